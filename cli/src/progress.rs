//! Progress, on standard error, so that what a command prints stays clean. Nothing is said to scripts.

use std::io::{IsTerminal as _, Write as _};

/// Says what is going on while something takes more than a moment.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    shown: bool,
    terminal: bool,
}

impl Progress {
    /// Progress for people; silent with `json`.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { shown: !json, terminal: std::io::stderr().is_terminal() }
    }

    /// A line that stays.
    pub fn step(self, text: &str) {
        if self.shown {
            let _ = writeln!(std::io::stderr(), "  {text}");
        }
    }

    /// A line that the next one replaces; only on a terminal.
    pub fn update(self, text: &str) {
        if self.shown && self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[2K  {text}").and_then(|()| std::io::stderr().flush());
        }
    }

    /// Takes the line of [`Progress::update`] away.
    pub fn clear(self) {
        if self.shown && self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }
}
