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
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        backend: "moto",
        check: "of-racing-creations-one-wins",
        when: When::Sometimes,
        what: "two may win: the condition is checked before the write",
    },
    Difference {
        backend: "moto",
        check: "of-racing-swaps-one-wins",
        when: When::Sometimes,
        what: "two may win: the condition is checked before the write",
    },
    Difference {
        backend: "moto",
        check: "of-racing-puts-one-wins",
        when: When::Sometimes,
        what: "two may win: the condition is checked before the write",
    },
    Difference {
        backend: "moto",
        check: "of-racing-updates-one-wins",
        when: When::Sometimes,
        what: "two may win: the condition is checked before the write",
    },
    Difference {
        backend: "moto",
        check: "of-racing-transactions-one-wins",
        when: When::Sometimes,
        what: "two may win: the conditions are checked before the writes",
    },
    Difference {
        backend: "moto",
        check: "a-transaction-again-with-its-token-is-one",
        when: When::Always,
        what: "the token is ignored: the second is cancelled",
    },
    Difference {
        backend: "embedded",
        check: "time-to-live-is-enabled-once",
        when: When::Always,
        what: "enabling it again is taken; nothing changes",
    },
    Difference {
        backend: "moto",
        check: "time-to-live-is-enabled-once",
        when: When::Always,
        what: "enabling it again is taken",
    },
    Difference {
        backend: "moto",
        check: "reads-see-one-version-whole",
        when: When::Sometimes,
        what: "500 for a read during an overwrite",
    },
    Difference {
        backend: "moto",
        check: "a-wrong-checksum-is-refused",
        when: When::Always,
        what: "the checksum is not looked at",
    },
];
