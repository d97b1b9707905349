//! Waiting for what has no event: asks again at short, even intervals until the answer is there or the time is over.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// Between two tries. Short against every bound that tests measure, long against what one try costs.
const INTERVAL: Duration = Duration::from_millis(50);

/// Calls `try_once` until it gives `Some`, at most for `limit`.
///
/// # Errors
/// When the time is over, naming `what`; or the first error of `try_once`.
pub fn until<T>(what: &str, limit: Duration, mut try_once: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = try_once().with_context(|| format!("waiting for {what}"))? {
            return Ok(found);
        }
        anyhow::ensure!(Instant::now() < deadline, "{what}: not within {limit:?}");
        thread::sleep(INTERVAL);
    }
}
