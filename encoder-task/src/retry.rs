//! Calls to S3 and DynamoDB that are tried again until they succeed or can't, and the health that follows from them: an encoder that
//! has not reached the storage for a while says so, so that the gateway binds another.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use service::{backoff::Backoff, bucket::BucketError, table::TableError};

/// Storage out of reach for this long makes an encoder refuse notices: longer than a throttled call with the SDK's own retries takes,
/// shorter than two GOPs.
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

/// Since when the storage has been out of reach.
#[derive(Debug, Default)]
pub struct Health(Mutex<Option<Instant>>);

impl Health {
    /// Whether calls have been failing for longer than [`AILING_AFTER`].
    #[must_use]
    pub fn is_ailing(&self) -> bool {
        self.lock().is_some_and(|since| since.elapsed() > AILING_AFTER)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Calls until the result is final. There is no bound on the tries: the session that asks is dropped when it is fenced, and the
    /// gateway takes the broadcast elsewhere when this encoder ails.
    ///
    /// # Errors
    /// What `call` says when trying again would not help.
    pub async fn insist<T, E, F>(&self, what: &'static str, mut call: impl FnMut() -> F) -> Result<T, E>
    where
        E: Transient,
        F: Future<Output = Result<T, E>>,
    {
        let mut attempt = 0;
        loop {
            match call().await {
                Err(error) if error.is_transient() => {
                    attempt += 1;
                    self.lock().get_or_insert_with(Instant::now);
                    tracing::warn!(what, attempt, %error, "storage call failed, trying again");
                    Backoff::REGIONAL.sleep(attempt).await;
                }
                result => {
                    *self.lock() = None;
                    return result;
                }
            }
        }
    }
}
