//! Holding back whoever sends too fast. A publisher that sends faster than real time (a file without `-re`) is not read while its media time
//! is too far ahead ([`wait`]); any connection, whatever it sends, is not read faster than at a given rate ([`Meter`]). Pure.

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

/// How much may come at once, in time at the full rate: what a publisher has held back during a stall that it survives.
const BURST: Duration = Duration::from_secs(5);

/// Meters what is read from one connection.
#[derive(Debug)]
pub struct Meter {
    bytes_per_second: u32,
    /// When what was read so far would have come at the full rate.
    due: Duration,
}

impl Meter {
    /// Reads at most so many bytes a second on average.
    #[must_use]
    pub fn new(bytes_per_second: u32) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), due: Duration::ZERO }
    }

    /// So many bytes were read at `now` since the connection's start.
    pub fn took(&mut self, now: Duration, bytes: usize) {
        let micros = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000_000);
        self.due = self.due.max(now) + Duration::from_micros(micros / u64::from(self.bytes_per_second));
    }

    /// How long not to read, at `now`; `None` to read on.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        let ahead = self.due.checked_sub(now + BURST).filter(|ahead| !ahead.is_zero())?;
        Some(ahead.max(WAIT_MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_pass_and_the_average_does_not() {
        let (mut meter, mut now, mut read) = (Meter::new(1_000_000), Duration::ZERO, 0u32);
        // As much as comes, for twenty seconds.
        while now < Duration::from_secs(20) {
            match meter.wait(now) {
                Some(wait) => now += wait,
                None => {
                    meter.took(now, 50_000);
                    read += 50_000;
                }
            }
        }
        assert!((24_900_000..=25_200_000).contains(&read), "{read}");
        // Half the rate is never held back.
        let mut meter = Meter::new(1_000_000);
        for second in 0..100 {
            meter.took(Duration::from_secs(second), 500_000);
            assert_eq!(meter.wait(Duration::from_secs(second)), None);
        }
    }

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
