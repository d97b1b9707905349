//! What the edge asks of the world behind it: to keep a chunk, and to answer an event. One trait, so that the queue and the connection are
//! tested with one that fails; the real one is the bucket and the gateway function.

use std::{future::Future, time::Duration};

use media::{
    chunk::Encoded,
    verdict::{Code, Verdict},
    wire::GatewayRequest,
};
use serde::de::DeserializeOwned;
use service::{
    backoff::Backoff,
    bucket::{Body, Bucket, Condition, Kind, Put},
    clock::Clock,
    gateway::Gateway,
    metrics::defs::CALLS_RETRIED,
};
use tokio::time::Instant;

/// Tries of a call that fails for a reason that waiting should not mend: policies and credentials take moments to spread.
const LASTING_TRIES_MAX: u32 = 5;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// What was said.
    pub message: String,
    /// Whether the same call may succeed later.
    pub transient: bool,
}

/// The world behind the edge. Both calls may be repeated: the write is create-only and what it writes is fixed by its key, events are
/// idempotent.
pub trait Backend: Send + Sync + 'static {
    /// This process's time and dice.
    fn clock(&self) -> &Clock;
    /// Keeps a chunk under a key. That there is one already means that an earlier try of ours arrived.
    fn put(&self, key: &str, chunk: Encoded) -> impl Future<Output = Result<(), CallError>> + Send;
    /// Sends an event to the gateway and waits for its reply.
    fn ask<R: DeserializeOwned + Send>(
        &self,
        request: &GatewayRequest,
    ) -> impl Future<Output = Result<R, CallError>> + Send;
}

/// The bucket and the gateway function.
#[derive(Debug, Clone)]
pub struct Aws {
    /// Where chunks go.
    pub bucket: Bucket,
    /// Who decides.
    pub gateway: Gateway,
    /// Time and dice.
    pub clock: Clock,
}

impl Backend for Aws {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn put(&self, key: &str, chunk: Encoded) -> Result<(), CallError> {
        let body = Body { bytes: chunk.bytes, sha256: Some(chunk.sha256) };
        match self.bucket.put(key, body, Kind::CHUNK, Condition::Absent, &[]).await {
            Ok(Put::Stored(_)) => Ok(()),
            Ok(Put::Conflict) => {
                // Only this connection writes keys of its publish, so the object is from a try whose answer was lost.
                tracing::debug!(key, "chunk was stored already");
                Ok(())
            }
            Err(error) => Err(CallError { message: error.to_string(), transient: error.transient }),
        }
    }

    async fn ask<R: DeserializeOwned + Send>(&self, request: &GatewayRequest) -> Result<R, CallError> {
        let reply = self.gateway.ask(request).await;
        reply.map_err(|error| CallError { message: error.to_string(), transient: error.transient })
    }
}

/// Repeats a call with growing waits until it succeeds, `until` comes (for ever without), or it keeps failing for a lasting reason.
///
/// # Errors
/// The last failure.
pub async fn persist<T, F: Future<Output = Result<T, CallError>>>(
    what: &'static str,
    until: Option<Instant>,
    clock: &Clock,
    mut call: impl FnMut() -> F,
) -> Result<T, CallError> {
    let mut attempt = 0u32;
    loop {
        let error = match until {
            None => call().await,
            Some(until) => tokio::time::timeout_at(until, call()).await.unwrap_or_else(|_| {
                Err(CallError { message: "no answer in time".to_owned(), transient: false })
            }),
        };
        let error = match error {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        attempt += 1;
        let wait = Backoff::REGIONAL.wait(attempt, clock.chance());
        let late = until.is_some_and(|until| Instant::now() + wait >= until);
        if late || (!error.transient && attempt >= LASTING_TRIES_MAX) {
            tracing::error!(what, attempt, error = %error, "gave up");
            return Err(error);
        }
        CALLS_RETRIED.inc(what);
        tracing::warn!(what, attempt, wait_ms = millis(wait), error = %error, "failed, trying again");
        tokio::time::sleep(wait).await;
    }
}

/// What a broadcaster is told when gopcast can't reach its own parts.
#[must_use]
pub fn unavailable(what: &str) -> Verdict {
    Verdict::new(Code::Unavailable, format!("{what} Please try again in a moment."))
}

/// Whole milliseconds, for logs.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn calls(transient: bool, until: Option<Duration>, succeed_at: u32) -> (u32, bool) {
        let count = AtomicU32::new(0);
        let until = until.map(|after| Instant::now() + after);
        let result = persist("test", until, &Clock::default(), || async {
            let n = count.fetch_add(1, Ordering::Relaxed) + 1;
            if n >= succeed_at { Ok(()) } else { Err(CallError { message: "no".to_owned(), transient }) }
        })
        .await;
        (count.into_inner(), result.is_ok())
    }

    #[tokio::test(start_paused = true)]
    async fn transient_failures_are_repeated_and_lasting_ones_not_for_long() {
        assert_eq!(calls(true, None, 100).await, (100, true));
        assert_eq!(calls(false, None, 100).await, (LASTING_TRIES_MAX, false));
        assert_eq!(calls(false, None, 3).await, (3, true));
        let (count, done) = calls(true, Some(Duration::from_secs(10)), u32::MAX).await;
        assert!(!done && (8..40).contains(&count), "{count}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_bounded_too() {
        let until = Some(Instant::now() + Duration::from_secs(1));
        let result: Result<(), _> = persist("test", until, &Clock::default(), std::future::pending).await;
        assert!(result.is_err());
    }
}
