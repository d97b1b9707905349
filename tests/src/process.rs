//! Child processes: their output as lines that tests wait for, and an end that is certain.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Most bytes of one line of output; the rest of a longer one becomes the next line.
const LINE_MAX: u64 = 1 << 20;
/// How often a process is asked whether it has ended: the standard library has no wait with a time-out.
const EXIT_POLL: Duration = Duration::from_millis(20);

/// The lines that a process has written so far.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    closed: bool,
}

impl Lines {
    /// Collects the lines of `stream` on a thread of its own, until it ends.
    pub fn collect(stream: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let out = lines.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                out.lock().lines.push(text);
                out.shared.1.notify_all();
                line.clear();
            }
            out.lock().closed = true;
            out.shared.1.notify_all();
        });
        lines
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every line so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// Every line so far, as one text.
    #[must_use]
    pub fn text(&self) -> String {
        self.lock().lines.join("\n")
    }

    /// How many lines there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().lines.len()
    }

    /// Waits for the first line at or after `from` that `pick` takes; gives what it made of it.
    ///
    /// # Errors
    /// When the time is over or the output ended first; the error holds the last lines.
    pub fn wait<T>(
        &self,
        what: &str,
        from: usize,
        limit: Duration,
        mut pick: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        let mut next = from;
        let mut state = self.lock();
        loop {
            while let Some(line) = state.lines.get(next) {
                if let Some(found) = pick(line) {
                    return Ok(found);
                }
                next += 1;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                let why = if state.closed { "the output ended" } else { "the time is over" };
                let tail = state.lines.len().saturating_sub(30);
                bail!("{what}: {why} ({limit:?}); last lines:\n  {}", state.lines[tail..].join("\n  "));
            }
            state = self.shared.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A child process that does not outlive its owner.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// What it wrote to standard output.
    pub out: Lines,
    /// What it wrote to standard error.
    pub err: Lines,
}

impl Process {
    /// Starts `command` with both outputs collected.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(name: impl Into<String>, command: &mut Command) -> Result<Self> {
        let name = name.into();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        let out = child.stdout.take().map(Lines::collect).unwrap_or_default();
        let err = child.stderr.take().map(Lines::collect).unwrap_or_default();
        Ok(Self { name, child, out, err })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        signal_pid(self.id(), signal).with_context(|| format!("{}: {signal}", self.name))
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When the system can't say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} still runs after {limit:?}; it said:\n{}", self.name, self.err.text());
            }
            thread::sleep(EXIT_POLL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Sends `signal` to the process `pid`.
///
/// # Errors
/// When there is no such process.
pub fn signal_pid(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid).context("a process id beyond all process ids")?;
    anyhow::ensure!(pid > 1, "process id {pid} is not one that a test may signal");
    kill(Pid::from_raw(pid), signal).with_context(|| format!("signalling process {pid}"))
}

/// Runs `command` to its end and gives its standard output.
///
/// # Errors
/// When it can't be started or fails; the error holds what it wrote to standard error.
pub fn run(name: &str, command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{name}: {}\n{command:?}\n{said}", output.status);
    Ok(output.stdout)
}
