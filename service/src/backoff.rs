//! Waits between tries: exponential with full jitter, bounded. Pure: the random number is an input.

use std::time::Duration;

use crate::clock::Clock;

/// A schedule of waits.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Upper end of the first wait.
    pub first: Duration,
    /// Upper end that later waits grow to.
    pub max: Duration,
}

impl Backoff {
    /// For calls inside one region: S3, DynamoDB, Lambda and the private hop answer in milliseconds, and a show waits.
    pub const REGIONAL: Self = Self { first: Duration::from_millis(50), max: Duration::from_secs(2) };

    /// The wait before try number `attempt` + 1, `attempt` counting failed tries from 1. `random` is uniform in 0..=1.
    /// At least half of the upper end, so that a failing dependency is never hammered.
    #[must_use]
    pub fn wait(&self, attempt: u32, random: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(16);
        let upper = self.first.saturating_mul(1 << doublings).min(self.max);
        upper.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
    }

    /// Sleeps for [`Backoff::wait`].
    pub async fn sleep(&self, attempt: u32, clock: &Clock) {
        tokio::time::sleep(self.wait(attempt, clock.chance())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_never_vanish() {
        let backoff = Backoff::REGIONAL;
        assert_eq!(backoff.wait(1, 1.0), Duration::from_millis(50));
        assert_eq!(backoff.wait(2, 0.0), Duration::from_millis(50));
        assert_eq!(backoff.wait(3, 1.0), Duration::from_millis(200));
        assert_eq!(backoff.wait(1000, 1.0), Duration::from_secs(2));
        assert_eq!(backoff.wait(1000, 0.0), Duration::from_secs(1));
    }
}
