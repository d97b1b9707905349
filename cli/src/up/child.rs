//! One process of the stack, from its start to its end: its environment, its output into its log, its orderly stop.
//!
//! Invariants: a child is in a process group of its own, so that Ctrl-C in a terminal reaches `gopcast up` alone and the order of the
//! drain is ours; it has no standard input; it never outlives the future that runs it.

use std::{
    collections::VecDeque,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::StreamExt as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::AsyncRead,
    process::{Child, Command},
};
use tokio_util::{
    codec::{FramedRead, LinesCodec, LinesCodecError},
    sync::CancellationToken,
};

use super::log_file::LogFile;

/// How long a process may take to drain before it is killed. In production the services have longer graces, for outages; here all that
/// they need is on this machine, and somebody is waiting at the keyboard.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(10);
/// Longest line taken from a process; more of it is dropped. A panic with its backtrace is well below.
const LINE_MAX: usize = 256 * 1024;
/// Last lines kept to say why a process could not start.
const TAIL_LINES: usize = 8;
/// How long the output of a process that has ended may still come: a grandchild may hold the pipe.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

/// What to start.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Variables on top of ours. All of ours that begin with `AWS_` or `GOPCAST_` are left out, so that nobody's real account is used.
    pub(crate) env: Vec<(String, String)>,
    /// Text that must not get into the log, whatever the program prints.
    pub(crate) redact: Option<String>,
}

/// Variables of ours that children get all the same.
const PASSED_ON: [&str; 1] = [service::telemetry::LOG_VAR];

/// A started process.
#[derive(Debug)]
pub(crate) struct Started {
    child: Child,
    pid: u32,
    tail: Tail,
    output: Vec<tokio::task::JoinHandle<()>>,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// The signal that killed it, as `SIGKILL`.
    pub(crate) signal: Option<&'static str>,
    /// The last lines that it printed.
    pub(crate) tail: Vec<String>,
}

impl Ended {
    fn new(status: Option<ExitStatus>, tail: Vec<String>) -> Self {
        let signal =
            status.and_then(|s| s.signal()).and_then(|n| Signal::try_from(n).ok()).map(Signal::as_str);
        Self { code: status.and_then(|s| s.code()), signal, tail }
    }
}

impl Ended {
    /// Whether it failed by itself: not because it was asked to end, or killed.
    #[must_use]
    pub(crate) fn has_failed(&self) -> bool {
        let outside = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT].map(Signal::as_str);
        match self.signal {
            Some(signal) => !outside.contains(&signal),
            None => self.code != Some(0),
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.signal) {
            (_, Some(signal)) => write!(f, "signal: {signal}"),
            (Some(code), None) => write!(f, "exit status: {code}"),
            (None, None) => f.write_str("unknown reason"),
        }
    }
}

type Tail = Arc<Mutex<VecDeque<String>>>;

/// Starts a process. Each line of its standard output goes to the log and to `on_line`; its standard error to the log.
///
/// # Errors
/// When it can't be started.
pub(crate) fn start(
    spec: &Spec,
    log: &LogFile,
    on_line: impl Fn(&str) + Send + 'static,
) -> std::io::Result<Started> {
    let mut command = Command::new(&spec.program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if (text.starts_with("AWS_") || text.starts_with("GOPCAST_")) && !PASSED_ON.contains(&text.as_ref()) {
            command.env_remove(&name);
        }
    }
    let mut child = command
        .args(&spec.args)
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let pid = child.id().unwrap_or_default();
    let tail = Tail::default();
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        output.push(tokio::spawn(read(stdout, spec.redact.clone(), log.clone(), Arc::clone(&tail), on_line)));
    }
    if let Some(stderr) = child.stderr.take() {
        output.push(tokio::spawn(read(stderr, spec.redact.clone(), log.clone(), Arc::clone(&tail), |_| {})));
    }
    Ok(Started { child, pid, tail, output })
}

async fn read(
    from: impl AsyncRead + Unpin,
    redact: Option<String>,
    log: LogFile,
    tail: Tail,
    on_line: impl Fn(&str),
) {
    let mut lines = FramedRead::new(from, LinesCodec::new_with_max_length(LINE_MAX));
    while let Some(line) = lines.next().await {
        let mut line = match line {
            Ok(line) => line,
            Err(LinesCodecError::MaxLineLengthExceeded) => {
                log.line("(a line that was too long)");
                continue;
            }
            // Bytes that are no text: the codec goes on with the next line.
            Err(LinesCodecError::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => continue,
            Err(LinesCodecError::Io(_)) => return,
        };
        if let Some(secret) = &redact {
            line = line.replace(secret, "(redacted)");
        }
        log.line(&line);
        on_line(&line);
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line);
    }
}

impl Started {
    /// Its process id.
    #[must_use]
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end. When `stop` is cancelled it is asked to end (SIGTERM), and killed if it takes longer than [`STOP_GRACE`];
    /// when `kill_now` is cancelled it is killed.
    pub(crate) async fn ended(mut self, stop: &CancellationToken, kill_now: &CancellationToken) -> Ended {
        let status = tokio::select! {
            status = self.child.wait() => status.ok(),
            () = stop.cancelled() => self.stop(kill_now).await,
            () = kill_now.cancelled() => self.kill().await,
        };
        for task in self.output {
            if tokio::time::timeout(OUTPUT_GRACE, task).await.is_err() {
                tracing::debug!(pid = self.pid, "output outlived its process");
            }
        }
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        Ended::new(status, tail)
    }

    async fn stop(&mut self, kill_now: &CancellationToken) -> Option<ExitStatus> {
        terminate(self.pid);
        tokio::select! {
            status = self.child.wait() => status.ok(),
            () = tokio::time::sleep(STOP_GRACE) => {
                tracing::warn!(pid = self.pid, "process did not end in its grace, killed");
                self.kill().await
            }
            () = kill_now.cancelled() => self.kill().await,
        }
    }

    async fn kill(&mut self) -> Option<ExitStatus> {
        if let Err(error) = self.child.start_kill() {
            tracing::debug!(pid = self.pid, error = &error as &dyn std::error::Error, "already gone");
        }
        self.child.wait().await.ok()
    }
}

/// Asks a process to end. A process that is gone is no error.
pub(crate) fn terminate(pid: u32) {
    signal(pid, Signal::SIGTERM);
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, signal: Signal) {
    // 0 would mean our own process group.
    if let Ok(pid) = i32::try_from(pid)
        && pid > 0
    {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Spec {
        Spec {
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: vec![("GOPCAST_X".to_owned(), "secret-key".to_owned())],
            redact: Some("secret-key".to_owned()),
        }
    }

    #[tokio::test]
    async fn output_goes_to_the_log_without_the_secret_and_the_end_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let (sender, lines) = std::sync::mpsc::channel();
        let spec = shell("echo out $GOPCAST_X; echo err >&2; exit 3");
        let started = start(&spec, &LogFile::open(path.clone()), move |line| {
            sender.send(line.to_owned()).unwrap();
        });
        let never = CancellationToken::new();
        let ended = started.unwrap().ended(&never, &never).await;
        assert_eq!((ended.code, ended.signal), (Some(3), None));
        assert_eq!(ended.to_string(), "exit status: 3");
        assert!(ended.has_failed());
        assert_eq!(lines.iter().collect::<Vec<_>>(), ["out (redacted)"]);
        let log = std::fs::read_to_string(path).unwrap();
        assert!(log.contains("out (redacted)") && log.contains("err") && !log.contains("secret-key"));
        assert_eq!(ended.tail.len(), 2);
    }

    #[tokio::test]
    async fn stopping_asks_first_and_killing_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let log = LogFile::open(dir.path().join("x.log"));
        let trap = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done";
        let by = |code, signal| Ended { code, signal, tail: Vec::new() }.has_failed();
        assert!(by(None, Some("SIGSEGV")) && !by(None, Some("SIGKILL")) && !by(Some(0), None));
        for (asked, expected) in [(true, (Some(7), None)), (false, (None, Some("SIGKILL")))] {
            let (sender, mut ready) = tokio::sync::mpsc::unbounded_channel();
            let started = start(&shell(trap), &log, move |_| sender.send(()).unwrap()).unwrap();
            let (stop, kill_now) = (CancellationToken::new(), CancellationToken::new());
            ready.recv().await.unwrap();
            if asked {
                stop.cancel()
            } else {
                kill_now.cancel()
            }
            let ended = started.ended(&stop, &kill_now).await;
            assert_eq!((ended.code, ended.signal), expected);
        }
    }
}
