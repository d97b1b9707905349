//! What happens to the processes of a stack whose `gopcast up` was killed. Two measures, as either may fail:
//! - a guard, `gopcast guard`, which reads the processes' numbers from a pipe and ends them when the pipe breaks, that is, at once;
//! - [`end_leftovers`]: the next start with the same data ends what the last one noted in `stack.json`.
//!
//! Both end a process only while it still is the one that was noted: numbers are used again.

use std::{
    collections::BTreeMap,
    io::{BufRead, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::child::signal;
use crate::{
    data_dir::{DataDir, read_optional},
    stack::{FILE, Stack},
};

/// How long processes without a stack may take to end: there is nothing left that they could finish.
const LEFTOVER_GRACE: Duration = Duration::from_secs(3);
/// How often it is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The pipe to the guard.
#[derive(Debug)]
pub(crate) struct Guard(Mutex<Option<ChildStdin>>);

impl Guard {
    /// Starts the guard. Without one the stack still runs.
    #[must_use]
    pub(crate) fn start() -> Self {
        let spawn = || -> std::io::Result<Option<ChildStdin>> {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("guard").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            // Its own group: Ctrl-C is not for it.
            Ok(command.process_group(0).spawn()?.stdin.take())
        };
        Self(Mutex::new(spawn().unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "no guard");
            None
        })))
    }

    /// No guard.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self(Mutex::new(None))
    }

    /// A process to end if we are killed.
    pub(crate) fn watch(&self, pid: u32) {
        self.say('+', pid);
    }

    /// The process has ended.
    pub(crate) fn forget(&self, pid: u32) {
        self.say('-', pid);
    }

    fn say(&self, what: char, pid: u32) {
        let mut pipe = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(guard) = pipe.as_mut()
            && writeln!(guard, "{what}{pid}").is_err()
        {
            *pipe = None;
        }
    }
}

/// `gopcast guard`: follows what it is told until the pipe breaks, then ends what is left.
pub fn run(input: impl BufRead) {
    let mut watched: BTreeMap<u32, Identity> = BTreeMap::new();
    for line in input.lines().map_while(Result::ok) {
        let Some((what, pid)) = line.split_at_checked(1) else { continue };
        let Ok(pid) = pid.parse() else { continue };
        match (what, Identity::of(pid)) {
            ("+", Some(identity)) => {
                watched.insert(pid, identity);
            }
            _ => {
                watched.remove(&pid);
            }
        }
    }
    end(&watched.into_iter().collect::<Vec<_>>());
}

/// Ends the processes of a stack that was killed. How many there were.
///
/// # Errors
/// When its `stack.json` is there and can't be read or removed.
pub(crate) fn end_leftovers(dir: &DataDir, programs: &Path) -> anyhow::Result<usize> {
    let path = dir.file(FILE);
    let Some(text) = read_optional(&path)? else { return Ok(0) };
    let noted = serde_json::from_str::<Stack>(&text).map(|stack| stack.processes).unwrap_or_default();
    let ours: Vec<_> = noted
        .into_iter()
        .filter(|process| exe(process.pid).is_some_and(|exe| is_program(&exe, programs, &process.role)))
        .filter_map(|process| Some((process.pid, Identity::of(process.pid)?)))
        .collect();
    end(&ours);
    std::fs::remove_file(&path)?;
    Ok(ours.len())
}

/// Whether a running process's program is that role's, also after a newer one has been built in its place.
fn is_program(exe: &Path, programs: &Path, role: &str) -> bool {
    let expected = programs.join(role);
    exe == expected || exe.as_os_str().to_string_lossy() == format!("{} (deleted)", expected.display())
}

/// Asks them to end, waits, kills.
fn end(processes: &[(u32, Identity)]) {
    let alive = || processes.iter().filter(|(pid, identity)| Identity::of(*pid).as_ref() == Some(identity));
    alive().for_each(|(pid, _)| signal(*pid, Signal::SIGTERM));
    let deadline = Instant::now() + LEFTOVER_GRACE;
    while alive().next().is_some() && Instant::now() < deadline {
        std::thread::sleep(LOOK_EVERY);
    }
    alive().for_each(|(pid, _)| signal(*pid, Signal::SIGKILL));
}

/// What tells a process from a later one with the same number: when it was started, in ticks since boot.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity(String);

impl Identity {
    /// `None` if there is no such process, or it has ended and only waits to be collected.
    fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in brackets, may hold anything; state is the first field after it, the start time the 20th.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        (!matches!(state, "Z" | "X")).then(|| fields.nth(18).map(|ticks| Self(ticks.to_owned())))?
    }
}

fn exe(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> std::process::Child {
        Command::new("sleep").arg("100").spawn().unwrap()
    }

    #[test]
    fn what_is_watched_ends_and_what_is_forgotten_does_not() {
        let (mut watched, mut forgotten) = (sleeper(), sleeper());
        let said = format!("+{}\n+{}\nnonsense\n\n-{}\n", watched.id(), forgotten.id(), forgotten.id());
        // The child must be collected for its end to be seen; the guard's own are not its children.
        run(said.as_bytes());
        assert!(!watched.wait().unwrap().success());
        assert!(forgotten.try_wait().unwrap().is_none());
        forgotten.kill().unwrap();
        forgotten.wait().unwrap();
    }

    #[test]
    fn a_number_used_again_is_left_alone() {
        let mut other = sleeper();
        end(&[(other.id(), Identity("1".to_owned()))]);
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn programs_are_known_after_a_new_build() {
        let dir = Path::new("/t/release");
        assert!(is_program(Path::new("/t/release/ingest-edge"), dir, "ingest-edge"));
        assert!(is_program(Path::new("/t/release/ingest-edge (deleted)"), dir, "ingest-edge"));
        assert!(!is_program(Path::new("/usr/bin/ingest-edge"), dir, "ingest-edge"));
        assert!(!is_program(Path::new("/t/release/gateway-fn"), dir, "ingest-edge"));
    }
}
