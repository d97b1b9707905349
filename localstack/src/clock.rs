//! The one place that reads the machine's clock. Everything whose behaviour depends on time is given a [`Clock`].

use std::sync::Arc;

use jiff::Timestamp;

/// Tells the time of day.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock shared by the parts of the stack.
pub type SharedClock = Arc<dyn Clock>;
