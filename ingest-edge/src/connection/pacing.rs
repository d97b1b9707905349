//! Holding back a publisher that sends faster than real time (a file without `-re`): its socket is not read while its media time is too
//! far ahead. Pure.

use std::time::Duration;

/// How far media time may be ahead of the time that has passed: what encoders send at once at their start, and players have as buffer.
pub const LEAD_MAX: Duration = Duration::from_secs(3);
/// By how much that grows, in parts of a thousand of the time passed: no sound card or camera clock is further off, and whoever sends in
/// real time must never be held back for his clock.
const DRIFT_PER_MILLE: u32 = 1;
/// Longest wait before looking again.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// Shortest wait: below, the wake-ups cost more than they level.
const WAIT_MIN: Duration = Duration::from_millis(10);

/// How long not to read, given that media time is `lead_micros` ahead after `passed`; `None` to read on.
#[must_use]
pub fn wait(lead_micros: i64, passed: Duration) -> Option<Duration> {
    let lead = Duration::from_micros(u64::try_from(lead_micros).unwrap_or(0));
    let allowed = LEAD_MAX + passed / 1000 * DRIFT_PER_MILLE;
    let ahead = lead.checked_sub(allowed).filter(|ahead| !ahead.is_zero())?;
    Some(ahead.clamp(WAIT_MIN, WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_too_far_ahead_waits() {
        let minute = Duration::from_secs(60);
        assert_eq!(wait(-5_000_000, minute), None);
        assert_eq!(wait(3_060_000, minute), None);
        assert_eq!(wait(3_060_001, minute), Some(WAIT_MIN));
        assert_eq!(wait(3_160_000, minute), Some(Duration::from_millis(100)));
        assert_eq!(wait(i64::MAX, minute), Some(WAIT_MAX));
        // Half a day with a clock that is 100 ppm fast.
        let half_day = Duration::from_secs(12 * 3600);
        assert_eq!(wait(3_000_000 + 4_320_000, half_day), None);
    }
}
