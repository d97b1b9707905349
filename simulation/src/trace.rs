//! What happened, as one line per event and as one number: two runs of a seed are the same run if the numbers are.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// Lines kept of a run, the last ones: enough for a whole run of the usual length.
const LINES_MAX: usize = 200_000;

/// The history of a run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    events: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// An empty history. Lines cost more than the rest of a run and are kept only on demand.
    #[must_use]
    pub fn new(lines: bool) -> Self {
        Self { hash: 0, events: 0, lines: lines.then(Vec::new) }
    }

    /// Takes an event down. `detail` adds to its line only.
    pub fn note(
        &mut self,
        at: Duration,
        who: &str,
        what: &str,
        subject: &str,
        detail: impl FnOnce() -> String,
    ) {
        let mut hasher = DefaultHasher::new();
        (at, who, what, subject).hash(&mut hasher);
        // A sum: what happens at the same instant in places that do not touch has no order.
        self.hash = self.hash.wrapping_add(hasher.finish());
        self.events += 1;
        if let Some(lines) = &mut self.lines
            && lines.len() < LINES_MAX
        {
            let (detail, seconds, millis) = (detail(), at.as_secs(), at.subsec_millis());
            lines.push(format!("{seconds:4}.{millis:03}  {who:<10} {what:<18} {subject} {detail}"));
        }
    }

    /// The number that stands for the whole history.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many events there were.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The lines, if they are kept.
    #[must_use]
    pub fn take_lines(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }
}
