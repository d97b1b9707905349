//! Bit rates as they are measured from segments (RFC 8216, 4.3.4.2).

use std::collections::VecDeque;

const MICROS: u128 = 1_000_000;
/// A bit rate that still may change is told in steps of an eighth of its power of two: a multivariant playlist is not written anew for less.
const STEP_SHIFT: u32 = 3;

/// Bit rates of a playlist in bit/s.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// Of the most demanding run of segments that lasts 0.5 to 1.5 target durations ("peak segment bit rate").
    pub(super) peak: u64,
    /// Of all segments together.
    pub(super) average: u64,
    target_micros: u128,
    bits: u128,
    micros: u128,
    /// The last segments: bits and microseconds. No more than last 1.5 target durations.
    run: VecDeque<(u128, u128)>,
}

impl Rates {
    /// Nothing measured yet.
    pub(super) fn new(target_seconds: u64) -> Self {
        Self { target_micros: u128::from(target_seconds) * MICROS, ..Self::default() }
    }

    /// The next segment.
    pub(super) fn add(&mut self, bytes: u64, duration: u64, timescale: u32) {
        let bits = u128::from(bytes) * 8;
        let micros = u128::from(duration) * MICROS / u128::from(timescale.max(1));
        self.bits += bits;
        self.micros += micros;
        self.run.push_front((bits, micros));
        let (mut bits, mut micros, mut kept) = (0, 0, 0);
        for (more, longer) in &self.run {
            bits += more;
            micros += longer;
            if micros > self.target_micros * 3 / 2 {
                break;
            }
            kept += 1;
            if micros * 2 >= self.target_micros {
                self.peak = self.peak.max(rate(bits, micros));
            }
        }
        self.run.truncate(kept);
    }

    /// What came of it. A playlist that is shorter than half a target duration has its average as its peak.
    pub(super) fn measured(mut self) -> Self {
        self.average = rate(self.bits, self.micros);
        self.peak = self.peak.max(self.average);
        self.run.clear();
        self
    }
}

fn rate(bits: u128, micros: u128) -> u64 {
    u64::try_from((bits * MICROS).div_ceil(micros.max(1))).unwrap_or(u64::MAX)
}

/// The next step up.
pub(super) fn stepped(rate: u64) -> u64 {
    let step = 1u64 << rate.max(1).ilog2().saturating_sub(STEP_SHIFT);
    rate.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_that_of_runs_of_about_a_target_duration() {
        let mut rates = Rates::new(4);
        // 2 s each: runs of one (2 s), two (4 s) and three (6 s).
        for kilobits in [100u64, 900, 100, 100] {
            rates.add(kilobits * 125, 180_000, 90_000);
        }
        let rates = rates.measured();
        assert_eq!((rates.peak, rates.average), (450_000, 150_000));
        let mut rates = Rates::new(10);
        rates.add(1_250, 90_000, 90_000);
        assert_eq!(rates.measured().peak, 10_000, "too short for a run");
    }

    #[test]
    fn steps_are_an_eighth() {
        for (rate, expected) in [(0, 0), (1, 1), (1000, 1024), (1025, 1152), (810_000, 851_968)] {
            assert_eq!(stepped(rate), expected);
        }
    }
}
