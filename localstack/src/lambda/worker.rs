//! The seam to whoever starts processes: [`WorkerSpawner`] is asked for a worker, [`Worker`] is its handle.

use std::sync::{Arc, Weak};

use tokio_util::sync::CancellationToken;

use super::pool::WorkerId;
use super::state::State;

/// Starts runtime processes of the function.
pub trait WorkerSpawner: Send + Sync + 'static {
    /// Starts one process with [`Worker::environment`] in its environment, kills it when [`Worker::stop`] is
    /// cancelled, and calls [`Worker::exited`] when it has ended. Must not block: it is called on an async thread.
    ///
    /// A process that cannot be started is reported in the same way. Dropping the worker counts as its end.
    fn spawn(&self, worker: Worker);
}

/// A runtime process to be started and watched.
#[derive(Debug)]
pub struct Worker {
    id: WorkerId,
    environment: Vec<(&'static str, String)>,
    stop: CancellationToken,
    state: Weak<State>,
}

impl Worker {
    pub(super) fn new(
        id: WorkerId,
        environment: Vec<(&'static str, String)>,
        stop: CancellationToken,
        state: &Arc<State>,
    ) -> Self {
        Self { id, environment, stop, state: Arc::downgrade(state) }
    }

    /// What Lambda sets for a runtime: `AWS_LAMBDA_RUNTIME_API` (a URL with a path that names this worker) and the
    /// `AWS_LAMBDA_FUNCTION_*` variables. It holds no credentials.
    #[must_use]
    pub fn environment(&self) -> &[(&'static str, String)] {
        &self.environment
    }

    /// Cancelled when the process must be killed: its invocation timed out, it never became ready, or the stack
    /// stops.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Reports that the process has ended; `reason` (like `exit status: 1`) is told to the invocation's caller.
    pub fn exited(mut self, reason: &str) {
        self.report(reason);
    }

    fn report(&mut self, reason: &str) {
        if let Some(state) = std::mem::take(&mut self.state).upgrade() {
            state.worker_exited(self.id, reason);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.report("unknown reason");
    }
}
