//! The world that the processes of one run share: the services' state, the dice, the weather, the history and the checks.
//!
//! Everything happens on one thread and in simulated time, so that the seed alone decides what happens.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    check::{Checks, Invariant},
    dice::Dice,
    model::{bucket::Objects, table::Rows},
    mutation::Mutation,
    trace::Trace,
    weather::{Fate, Service, Weather},
};

/// Furthest that a process's clock is off, in microseconds.
const SKEW_MAX: u64 = 2_000_000;
/// Furthest that a process's clock runs too fast or too slow, in millionths.
const DRIFT_MAX: u64 = 200;

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What was seen.
    pub what: String,
    /// When, in simulated time since the start.
    pub at: Duration,
}

/// All that changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) dice: Dice,
    pub(crate) weather: Weather,
    pub(crate) rows: Rows,
    pub(crate) objects: Objects,
    pub(crate) trace: Trace,
    pub(crate) checks: Checks,
    pub(crate) violation: Option<Violation>,
    skews: bool,
}

/// The world.
pub struct World {
    seed: u64,
    state: Mutex<State>,
    began: Instant,
    mutation: Option<Mutation>,
    violated: Notify,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl World {
    /// An empty world.
    pub(crate) fn new(seed: u64, mutation: Option<Mutation>, lines: bool) -> Arc<Self> {
        let mut dice = Dice::new(seed);
        let skews = dice.permille(700);
        let state = State {
            dice,
            weather: Weather::CALM,
            rows: Rows::default(),
            objects: Objects::default(),
            trace: Trace::new(lines),
            checks: Checks::default(),
            violation: None,
            skews,
        };
        Arc::new(Self {
            seed,
            state: Mutex::new(state),
            began: Instant::now(),
            mutation,
            violated: Notify::new(),
        })
    }

    /// What changes. Never held across an await: everything is on one thread.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When simulated time began.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// The fault that is built in.
    #[must_use]
    pub fn mutation(&self) -> Option<Mutation> {
        self.mutation
    }

    /// How far the clock of a new process is off (microseconds), and by how many millionths it runs too fast.
    pub(crate) fn skew(&self) -> (i64, i64) {
        let mut state = self.state();
        if !state.skews {
            return (0, 0);
        }
        let mut around = |most: u64| {
            let thrown = i64::try_from(state.dice.below(2 * most + 1)).unwrap_or(0);
            thrown - i64::try_from(most).unwrap_or(0)
        };
        (around(SKEW_MAX), around(DRIFT_MAX))
    }

    /// Dice that fall as the seed and `of` say, whatever else has been thrown: what happens to one must not depend on the order in which
    /// tasks that are ready at the same instant run, some of which the runtime wakes in any order.
    pub(crate) fn derived(&self, of: impl Hash) -> Dice {
        let mut hasher = DefaultHasher::new();
        (self.seed, of).hash(&mut hasher);
        Dice::new(hasher.finish())
    }

    /// Throws the dice for one call.
    pub(crate) fn fate(&self, who: &str, service: Service, subject: &str, cut: bool) -> Fate {
        let weather = self.state().weather;
        let mut dice = self.derived((who, service, subject, self.now()));
        Fate::thrown(&mut dice, &weather, cut)
    }

    /// Takes an event down.
    pub(crate) fn note(&self, who: &str, what: &str, subject: &str, detail: impl FnOnce() -> String) {
        let at = self.now();
        self.state().trace.note(at, who, what, subject, detail);
    }

    /// Simulated time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.began)
    }

    /// Notes that an invariant does not hold; the first one is kept.
    pub(crate) fn violate(&self, invariant: Invariant, what: impl Into<String>) {
        let (at, what) = (self.now(), what.into());
        let mut state = self.state();
        state.trace.note(at, "CHECK", invariant.name(), "", || what.clone());
        state.violation.get_or_insert(Violation { invariant, what, at });
        drop(state);
        self.violated.notify_one();
    }

    /// Passes on what the checks found.
    pub(crate) fn judge(&self, found: Vec<(Invariant, String)>) {
        for (invariant, what) in found {
            self.violate(invariant, what);
        }
    }

    /// Returns when an invariant has been violated.
    pub(crate) async fn violated(&self) {
        self.violated.notified().await;
    }

    /// One of a thousand chances.
    pub(crate) fn permille(&self, chances: u64) -> bool {
        self.state().dice.permille(chances)
    }

    /// A duration by dice, milliseconds.
    pub(crate) fn millis(&self, from: u64, to: u64) -> Duration {
        self.state().dice.millis(from, to)
    }

    /// A number by dice.
    pub(crate) fn between(&self, from: u64, to: u64) -> u64 {
        self.state().dice.between(from, to)
    }

    /// An index by dice.
    pub(crate) fn index(&self, len: usize) -> usize {
        self.state().dice.index(len)
    }
}

/// For messages.
pub(crate) fn service_name(service: Service) -> &'static str {
    match service {
        Service::Table => "table",
        Service::Bucket => "bucket",
        Service::Gateway => "gateway",
        Service::Encoder => "encoder",
    }
}
