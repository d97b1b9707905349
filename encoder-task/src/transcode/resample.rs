//! Samples of one rate → samples at 48 kHz, each a function of its place alone: what chunk by chunk is resampled is what all at once would be, to
//! the bit. That is why it is not left to a library, whose resamplers begin where their input does. Pure.
//!
//! A windowed sinc, one row of coefficients for each place that an output sample can have between two input samples.

use media::time::Ticks;

use super::params::gcd;

/// The rate that comes out.
pub(super) const RATE: u32 = 48_000;
/// Zero crossings of the sinc on either side.
const CROSSINGS: u32 = 32;
/// Kaiser window: 90 dB between what is kept and what is not.
const BETA: f64 = 9.0;
/// Where the filter cuts, as a share of the lower rate's half: its slope ends there.
const CUT: f64 = 0.91;

/// From one rate to [`RATE`].
pub(super) struct Resampler {
    from: u32,
    /// Input samples on either side of an output sample that matter.
    half: usize,
    /// Places between two input samples.
    phases: usize,
    /// `2 * half` for each place.
    rows: Vec<f32>,
}

impl Resampler {
    /// From `from` samples a second, not 0.
    pub(super) fn new(from: u32) -> Self {
        let from = from.max(1);
        if from == RATE {
            return Self { from, half: 0, phases: 1, rows: Vec::new() };
        }
        let common = u32::try_from(gcd(from.into(), RATE.into())).unwrap_or(1).max(1);
        let phases = usize::try_from(RATE / common).unwrap_or(1);
        // In input samples: as much wider as the lower rate is lower.
        let half = usize::try_from(CROSSINGS * from.max(RATE).div_ceil(RATE)).unwrap_or(64);
        let cut = CUT * (f64::from(RATE) / f64::from(from)).min(1.0);
        let mut rows = Vec::with_capacity(phases * half * 2);
        for phase in 0..phases {
            let row: Vec<f64> =
                (0..2 * half).map(|n| tap(distance(n, half, phase, phases), cut, half)).collect();
            // Every row lets the same of a constant through, or there would be a tone at the rows' rate.
            let sum: f64 = row.iter().sum();
            #[allow(clippy::cast_possible_truncation, reason = "coefficients, rounded")]
            rows.extend(row.iter().map(|tap| (tap / sum) as f32));
        }
        Self { from, half, phases, rows }
    }

    /// How many samples, at 48 kHz, around an output sample matter for it.
    pub(super) fn reach(&self) -> Ticks {
        let samples = i64::try_from(self.half).unwrap_or(0) + 1;
        (samples * i64::from(RATE)) / i64::from(self.from) + 1
    }

    /// The samples at `out..out + count` at 48 kHz, of input that begins at `start` in its own samples; silence lies around it.
    pub(super) fn run(&self, input: &[f32], start: Ticks, out: Ticks, count: usize) -> Vec<f32> {
        let at =
            |place: Ticks| usize::try_from(place).ok().and_then(|n| input.get(n)).copied().unwrap_or(0.0);
        let mut samples = Vec::with_capacity(count);
        for n in out..out.saturating_add(i64::try_from(count).unwrap_or(0)) {
            if self.rows.is_empty() {
                samples.push(at(n - start));
                continue;
            }
            let place = i128::from(n) * i128::from(self.from);
            let whole = i64::try_from(place.div_euclid(i128::from(RATE))).unwrap_or(0);
            let rest = usize::try_from(place.rem_euclid(i128::from(RATE))).unwrap_or(0);
            let phase = rest * self.phases / usize::try_from(RATE).unwrap_or(1);
            let row = &self.rows[phase * self.half * 2..][..self.half * 2];
            let first = whole - start - i64::try_from(self.half).unwrap_or(0) + 1;
            let inside = usize::try_from(first).ok().and_then(|first| input.get(first..first + row.len()));
            samples.push(match inside {
                Some(inside) => row.iter().zip(inside).map(|(tap, sample)| tap * sample).sum(),
                None => (first..).zip(row).map(|(place, tap)| tap * at(place)).sum(),
            });
        }
        samples
    }
}

/// How far input sample `n` of a row is from its output sample, in input samples.
#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn distance(n: usize, half: usize, phase: usize, phases: usize) -> f64 {
    n as f64 + 1.0 - half as f64 - phase as f64 / phases as f64
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn tap(distance: f64, cut: f64, half: usize) -> f64 {
    let within = distance / half as f64;
    if within.abs() >= 1.0 {
        return 0.0;
    }
    let angle = std::f64::consts::PI * distance * cut;
    let sinc = if angle == 0.0 { 1.0 } else { angle.sin() / angle };
    sinc * bessel(BETA * (1.0 - within * within).sqrt()) / bessel(BETA)
}

/// The modified Bessel function of order 0, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..64 {
        term *= (x / 2.0 / f64::from(n)).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "test signals")]
mod tests {
    use super::*;

    fn tone(rate: u32, hz: f64, from: i64, count: usize) -> Vec<f32> {
        let at = |n: i64| (std::f64::consts::TAU * hz * n as f64 / f64::from(rate)).sin() as f32;
        (from..).take(count).map(at).collect()
    }

    #[test]
    fn tones_keep_their_place() {
        for rate in [8_000, 11_025, 22_050, 32_000, 44_056, 44_100, 48_000, 88_200, 96_000] {
            let resampler = Resampler::new(rate);
            let seconds = i64::from(rate);
            let input = tone(rate, 997.0, seconds, usize::try_from(rate).unwrap());
            let out = resampler.run(&input, seconds, 48_000 + 12_000, 24_000);
            let wanted = tone(48_000, 997.0, 60_000, 24_000);
            let noise: f32 = out.iter().zip(&wanted).map(|(a, b)| (a - b).powi(2)).sum();
            let signal: f32 = wanted.iter().map(|b| b.powi(2)).sum();
            let db = 10.0 * (signal / noise.max(1e-20)).log10();
            assert!(db > 75.0, "{rate}: {db} dB");
        }
    }

    #[test]
    fn what_can_not_be_expressed_is_gone() {
        let resampler = Resampler::new(96_000);
        let out = resampler.run(&tone(96_000, 30_000.0, 0, 96_000), 0, 12_000, 12_000);
        assert!(out.iter().all(|sample| sample.abs() < 1e-4));
    }

    #[test]
    fn in_pieces_as_all_at_once() {
        let resampler = Resampler::new(44_100);
        let input = tone(44_100, 1_234.5, 0, 44_100);
        let all = resampler.run(&input, 0, 0, 48_000);
        for from in [1_000i64, 7_777, 20_001] {
            // The piece's input begins as late as it may.
            let reach = resampler.reach();
            let start = (from - reach) * 44_100 / 48_000;
            let piece = resampler.run(&input[usize::try_from(start).unwrap()..], start, from, 5_000);
            assert_eq!(piece[..], all[usize::try_from(from).unwrap()..][..5_000]);
        }
    }
}
