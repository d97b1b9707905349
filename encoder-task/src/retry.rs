//! Calls to S3 and DynamoDB that are tried again until they succeed or can't, and the health that follows from them: an encoder that
//! has not reached the storage for a while says so, so that its broadcasts are bound to others.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use media::time::WallTime;
use service::{
    backoff::Backoff, bucket::BucketError, clock::Clock, metrics::defs::CALLS_RETRIED, table::TableError,
};
use tokio::time::Instant;

/// Storage out of reach for this long makes an encoder give its broadcasts away: longer than a throttled call with the SDK's own tries
/// takes, and than any call on a loaded machine; shorter than what viewers have buffered.
const AILING_AFTER: Duration = Duration::from_secs(3);

/// An error that may pass.
pub trait Transient: std::error::Error {
    /// Whether the same call may succeed later.
    fn is_transient(&self) -> bool;
}

impl Transient for BucketError {
    fn is_transient(&self) -> bool {
        self.transient
    }
}

impl Transient for TableError {
    fn is_transient(&self) -> bool {
        TableError::is_transient(self)
    }
}

#[derive(Debug, Default)]
struct State {
    /// Since when calls have failed without one that succeeded.
    failing: Option<Instant>,
    /// Since when each call is under way, all its tries included.
    calls: BTreeMap<u64, Instant>,
    next: u64,
}

/// Whether the storage is in reach.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
    clock: Clock,
}

impl Health {
    /// The health of a process with these dice.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { state: Mutex::default(), clock }
    }

    /// Whether calls have been failing, or one has been without an answer, for longer than [`AILING_AFTER`].
    #[must_use]
    pub fn is_ailing(&self) -> bool {
        let state = self.lock();
        let oldest = state.calls.values().next().copied();
        state.failing.into_iter().chain(oldest).any(|since| since.elapsed() > AILING_AFTER)
    }

    /// The time by this process's clock.
    pub(crate) fn now(&self) -> WallTime {
        self.clock.now()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls until the result is final. There is no bound on the tries: the session that asks is dropped when it is fenced or its
    /// broadcast given away, which happens when this encoder ails.
    ///
    /// # Errors
    /// What `call` says when trying again would not help.
    pub async fn insist<T, E, F>(&self, what: &'static str, call: impl FnMut() -> F) -> Result<T, E>
    where
        E: Transient,
        F: Future<Output = Result<T, E>>,
    {
        let _counted = Counted::new(self);
        self.patiently(what, call).await
    }

    /// The same for a call that takes as long as the show was: that it is under way says nothing.
    ///
    /// # Errors
    /// What `call` says when trying again would not help.
    pub async fn patiently<T, E, F>(&self, what: &'static str, mut call: impl FnMut() -> F) -> Result<T, E>
    where
        E: Transient,
        F: Future<Output = Result<T, E>>,
    {
        let mut attempt = 0;
        loop {
            match call().await {
                Err(error) if error.is_transient() => {
                    attempt += 1;
                    self.lock().failing.get_or_insert_with(Instant::now);
                    CALLS_RETRIED.inc(what);
                    tracing::warn!(what, attempt, %error, "storage call failed, trying again");
                    Backoff::REGIONAL.sleep(attempt, &self.clock).await;
                }
                result => {
                    self.lock().failing = None;
                    return result;
                }
            }
        }
    }
}

/// A call that is under way, until dropped.
struct Counted<'a>(&'a Health, u64);

impl<'a> Counted<'a> {
    fn new(health: &'a Health) -> Self {
        let mut state = health.lock();
        let number = state.next;
        state.next += 1;
        state.calls.insert(number, Instant::now());
        Self(health, number)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.lock().calls.remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn failure(transient: bool) -> TableError {
        TableError::Call { operation: "test", message: String::new(), transient }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_is_an_ailment_until_it_is_dropped() {
        let health = Health::default();
        let call = health.insist("test", std::future::pending::<Result<(), TableError>>);
        assert!(tokio::time::timeout(AILING_AFTER, call).await.is_err());
        assert!(!health.is_ailing());
        let mut call = Box::pin(health.insist("test", std::future::pending::<Result<(), TableError>>));
        assert!(tokio::time::timeout(AILING_AFTER * 2, &mut call).await.is_err());
        assert!(health.is_ailing());
        drop(call);
        assert!(!health.is_ailing());
    }

    #[tokio::test(start_paused = true)]
    async fn a_patient_call_only_ails_by_failing() {
        let health = Health::default();
        let mut call = Box::pin(health.patiently("test", std::future::pending::<Result<(), TableError>>));
        assert!(tokio::time::timeout(AILING_AFTER * 2, &mut call).await.is_err());
        assert!(!health.is_ailing());
        let mut failing = Box::pin(health.patiently("test", async || Err::<(), _>(failure(true))));
        assert!(tokio::time::timeout(AILING_AFTER * 2, &mut failing).await.is_err());
        assert!(health.is_ailing());
        health.patiently("test", async || Ok::<_, TableError>(())).await.unwrap();
        assert!(!health.is_ailing(), "one success is enough");
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_not_pass_is_told_at_once() {
        let calls = AtomicU32::new(0);
        let result: Result<(), _> = Health::default()
            .insist("test", async || {
                let before = calls.fetch_add(1, Ordering::Relaxed);
                Err(failure(before < 4))
            })
            .await;
        assert!(result.is_err());
        assert_eq!(calls.into_inner(), 5);
    }
}
