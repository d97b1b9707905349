//! Where a backend is known to differ from AWS. What is here is a table in `localstack/README.md` as well; a test compares them.

/// How often a difference shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Each time: when it does not, this list is behind.
    Always,
    /// Now and then: a race.
    Sometimes,
}

/// A difference.
#[derive(Debug)]
pub(crate) struct Difference {
    /// Whose.
    pub(crate) backend: &'static str,
    /// Which check shows it.
    pub(crate) check: &'static str,
    /// How often.
    pub(crate) when: When,
    /// What it does instead.
    pub(crate) what: &'static str,
}

/// All that are known.
pub(crate) const DIFFERENCES: &[Difference] = &[];
