//! What a fault proxy does to the requests that pass it: pure decisions, from the settings of the moment and a seeded generator.
//!
//! Invariant: the same seed and the same order of requests give the same faults.

use std::time::Duration;

/// The settings of one proxy at one moment. Everything off is [`Faults::NONE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Added before each request is passed on.
    pub latency: Duration,
    /// Up to this much more, at random.
    pub jitter: Duration,
    /// Percent of requests that are answered with the service's own "slow down" and not passed on.
    pub errors: u64,
    /// Percent of requests whose connection is reset before they are passed on.
    pub resets: u64,
    /// Percent of requests that are passed on and take effect, and whose connection is then reset instead of answered.
    pub lost_replies: u64,
    /// Connections are taken and never answered; those that are open freeze. What waits goes on when this ends, if its client has.
    pub black_hole: bool,
}

impl Faults {
    /// Everything passes.
    pub const NONE: Self = Self {
        latency: Duration::ZERO,
        jitter: Duration::ZERO,
        errors: 0,
        resets: 0,
        lost_replies: 0,
        black_hole: false,
    };
    /// Nothing passes.
    pub const BLACK_HOLE: Self = Self { black_hole: true, ..Self::NONE };

    /// Only errors, on this many percent of the requests.
    #[must_use]
    pub fn errors(percent: u64) -> Self {
        Self { errors: percent, ..Self::NONE }
    }

    /// Only lost replies, on this many percent of the requests.
    #[must_use]
    pub fn lost_replies(percent: u64) -> Self {
        Self { lost_replies: percent, ..Self::NONE }
    }
}

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Passed on and answered.
    Pass,
    /// Answered with an error by the proxy.
    Error,
    /// Its connection is reset.
    Reset,
    /// Passed on; its connection is reset instead of an answer.
    LoseReply,
}

/// A seeded generator (splitmix64): small, the same on every machine.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// A generator whose throws follow from `seed` and `name`.
    #[must_use]
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a, so that proxies of one run differ.
        let start = 0xcbf2_9ce4_8422_2325 ^ seed;
        Self(name.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    /// What becomes of the next request.
    pub fn fate(&mut self, faults: &Faults) -> Fate {
        let throw = self.below(100);
        let (errors, resets) = (faults.errors, faults.errors + faults.resets);
        match throw {
            t if t < errors => Fate::Error,
            t if t < resets => Fate::Reset,
            t if t < resets + faults.lost_replies => Fate::LoseReply,
            _ => Fate::Pass,
        }
    }

    /// How much later the next request is passed on.
    pub fn delay(&mut self, faults: &Faults) -> Duration {
        let jitter = u64::try_from(faults.jitter.as_micros()).unwrap_or(u64::MAX);
        faults.latency + Duration::from_micros(if jitter == 0 { 0 } else { self.below(jitter) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_faults_again_and_shares_are_kept() {
        let faults = Faults { errors: 20, resets: 5, lost_replies: 10, ..Faults::NONE };
        let throws = |seed, name| {
            let mut dice = Dice::new(seed, name);
            (0..10_000).map(|_| dice.fate(&faults)).collect::<Vec<_>>()
        };
        assert_eq!(throws(7, "s3"), throws(7, "s3"));
        assert_ne!(throws(7, "s3"), throws(8, "s3"));
        assert_ne!(throws(7, "s3"), throws(7, "dynamodb"));
        let all = throws(7, "s3");
        for (fate, percent) in [(Fate::Error, 20), (Fate::Reset, 5), (Fate::LoseReply, 10), (Fate::Pass, 65)]
        {
            let count = all.iter().filter(|f| **f == fate).count();
            assert!(count.abs_diff(percent * 100) < 200, "{fate:?}: {count}");
        }
    }

    #[test]
    fn jitter_stays_within_its_bound() {
        let faults =
            Faults { latency: Duration::from_millis(10), jitter: Duration::from_millis(5), ..Faults::NONE };
        let mut dice = Dice::new(1, "x");
        for _ in 0..1000 {
            let delay = dice.delay(&faults);
            assert!((10..15).contains(&delay.as_millis()), "{delay:?}");
        }
        assert_eq!(dice.delay(&Faults::NONE), Duration::ZERO);
    }
}
