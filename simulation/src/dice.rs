//! The one source of chance of a run: SplitMix64 from the seed. Same seed, same throws.

use std::time::Duration;

/// Dice. Deterministic, never for secrets.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as the seed says.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds must not give shifted copies of one sequence.
        let mut dice = Self(seed ^ 0x5851_f42d_4c95_7f2d);
        let start = dice.bits();
        Self(start)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..bound`; 0 for a bound of 0. The bias is below 2⁻³² for the small bounds used here.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound.max(1)
    }

    /// One of `from..=to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// True in so many of a thousand cases.
    pub fn permille(&mut self, chances: u64) -> bool {
        self.below(1000) < chances
    }

    /// An index below `len`, which is not 0.
    pub fn index(&mut self, len: usize) -> usize {
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        usize::try_from(self.below(len)).unwrap_or(0)
    }

    /// A duration in whole milliseconds.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.between(from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides() {
        let throws = |seed| -> Vec<u64> {
            let mut dice = Dice::new(seed);
            (0..8).map(|_| dice.bits()).collect()
        };
        assert_eq!(throws(1), throws(1));
        assert!(throws(1).iter().all(|throw| !throws(2).contains(throw)));
    }

    #[test]
    fn bounds_are_kept() {
        let mut dice = Dice::new(7);
        assert!((0..1000).map(|_| dice.between(3, 5)).all(|n| (3..=5).contains(&n)));
        assert_eq!((0..1000).filter(|_| dice.permille(0)).count(), 0);
        assert_eq!((0..1000).filter(|_| dice.permille(1000)).count(), 1000);
    }
}
