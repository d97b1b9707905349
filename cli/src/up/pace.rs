//! How long until a process that has ended is started again: almost at once when it was killed or asked to end, ever later when it keeps
//! failing.

use std::time::Duration;

use service::backoff::Backoff;

/// Waits before starts: a killed process is missed by viewers from the next chunk on (most GOPs have 2 s), so it is back long before that;
/// one that can't run is tried often enough that a repaired cause is noticed, and seldom enough that the log stays readable.
const RESTART: Backoff = Backoff { first: Duration::from_millis(300), max: Duration::from_secs(10) };
/// A process that ran for this long had started well: every service is up within a second.
const STEADY: Duration = Duration::from_secs(5);

/// The pace at which one process is started again.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Lives in a row that failed before [`STEADY`].
    failed: u32,
}

impl Pace {
    /// The wait before the next life, after one that `lived` so long, and whether it `failed` by itself. `chance` is uniform in 0..=1.
    pub(crate) fn next(&mut self, lived: Duration, failed: bool, chance: f64) -> Duration {
        self.failed = if failed && lived < STEADY { self.failed.saturating_add(1) } else { 0 };
        RESTART.wait(self.failed.max(1), chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_process_is_back_at_once_and_one_that_can_not_run_is_tried_ever_more_seldom() {
        let (mut pace, long, short) = (Pace::default(), Duration::from_secs(9), Duration::from_millis(50));
        for _ in 0..100 {
            assert_eq!(pace.next(long, true, 1.0), Duration::from_millis(300));
            assert_eq!(pace.next(short, false, 1.0), Duration::from_millis(300));
        }
        let waits: Vec<_> = (0..8).map(|_| pace.next(short, true, 1.0).as_millis()).collect();
        assert_eq!(waits, [300, 600, 1200, 2400, 4800, 9600, 10_000, 10_000]);
        assert!(pace.next(short, true, 0.0) >= Duration::from_secs(5));
        assert_eq!(pace.next(long, true, 0.0), Duration::from_millis(150));
    }
}
