//! How a command ends: the documented exit codes, and the error that carries one.

use std::process::ExitCode;

/// Exit codes of `gopcast`. A contract: scripts branch on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed; or faults were found.
    Failed,
    /// Wrong usage; or `verify` could not tell.
    Unknown,
    /// No stack is running with this data directory.
    NotRunning,
    /// Stopped at once by a second Ctrl-C (128 + SIGINT, as shells spell it).
    Killed,
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Unknown => 2,
            Self::NotRunning => 3,
            Self::Killed => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// No stack is running with this data directory.
#[derive(Debug)]
pub struct NotRunning {
    /// The directory.
    pub data: std::path::PathBuf,
}

impl std::fmt::Display for NotRunning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let data = self.data.display();
        write!(f, "no stack is running with its data in {data}; start one with `gopcast up --data {data}`")
    }
}

impl std::error::Error for NotRunning {}

/// The exit code for an error.
#[must_use]
pub fn of(error: &anyhow::Error) -> Exit {
    if error.downcast_ref::<NotRunning>().is_some() { Exit::NotRunning } else { Exit::Failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_as_documented() {
        let all = [Exit::Done, Exit::Failed, Exit::Unknown, Exit::NotRunning, Exit::Killed];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 3, 130]);
        let error = anyhow::Error::new(NotRunning { data: "d".into() }).context("more");
        assert_eq!(of(&error), Exit::NotRunning);
        assert_eq!(of(&anyhow::anyhow!("other")), Exit::Failed);
    }
}
