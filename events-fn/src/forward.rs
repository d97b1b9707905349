//! The shell: an invocation's lines onto the bus.

use service::{
    bus::{BusError, EventBus},
    clock::Clock,
};

use crate::{
    entries,
    logs::{self, Invocation, LogsError},
};

/// Why an invocation failed.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// It can't be read.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// Events are not on the bus.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// What puts events on a bus.
#[derive(Debug)]
pub struct Forwarder {
    bus: EventBus,
    stack: String,
    clock: Clock,
}

impl Forwarder {
    /// Onto this bus, as this stack's.
    #[must_use]
    pub fn new(bus: EventBus, stack: String, clock: Clock) -> Self {
        Self { bus, stack, clock }
    }

    /// Puts the events of an invocation on the bus, and says how many there were.
    ///
    /// # Errors
    /// When the invocation can't be read, or not all events are on the bus. All batches are tried, whatever comes of one.
    pub async fn forward(&self, invocation: &Invocation) -> Result<usize, ForwardError> {
        let entries = entries::of(&logs::read(invocation)?, &self.stack);
        if entries.passed_over > 0 {
            tracing::warn!(lines = entries.passed_over, "lines that are no event were passed over");
        }
        if entries.too_large > 0 {
            tracing::error!(events = entries.too_large, "events are larger than the bus takes");
        }
        let (mut put, mut failed) = (0, None);
        for batch in &entries.batches {
            match self.bus.put(batch, &self.clock).await {
                Ok(()) => put += batch.len(),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "events are not on the bus");
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(put), |error| Err(error.into()))
    }
}
