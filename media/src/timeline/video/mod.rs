//! Exact presentation and decode times for the pictures of one GOP.
//!
//! A frame rate is believed when every picture of the GOP lies on its grid within [`RESIDUAL_MAX_US`]; dropped frames are gaps in the grid.
//! Candidates are the rate used so far, the one in the H.264 parameters, the one in the metadata, and the usual ones, best fit first. When no
//! rate fits, presentation times follow the stamps, to the millisecond.
//!
//! Either way the chain holds: a GOP ends exactly where the next one starts. A grid that drifts away from the stamps (30 against 29.97, or a
//! camera that is not quite either) is brought back at the end of a GOP, and the rate nearest to what was observed is used from there on.

use super::{Line, Millis, TICKS_PER_MS};
use crate::time::{FrameRate, Ticks};

/// How far a picture may lie from its place on the grid, in µs. A stamp is a decode time and an offset from it, each rounded or cut to whole
/// milliseconds: up to 1 ms off, and so is the first picture's, from which the grid is measured.
pub const RESIDUAL_MAX_US: i64 = 2_050;
/// How far the end of a GOP may lie from the stamp of the next IDR picture before it is set to it; the same uncertainty in ticks.
const DRIFT_MAX: Ticks = 2 * TICKS_PER_MS + TICKS_PER_MS / 2;
/// Highest rate told from stamps of milliseconds: at 120 the grid is 8.3 ms wide, four times the uncertainty.
const RATE_MAX: u32 = 120;
/// How near a declared rate must be to a usual one to mean it, in percent of a percent: 29.97 is 30000/1001, 29.9 is not.
const SNAP_PER_10K: f64 = 5.0;
/// Longest lead of decode before presentation kept from GOP to GOP, in ticks: half a second, half of what media time has room for.
const DELAY_MAX: Ticks = 45_000;
/// Duration of a picture of which nothing is known, in ticks: 1/30 s.
const DURATION_DEFAULT: Ticks = 3_000;
/// Longest duration given to the last picture of a publish by its neighbours' distances, in ticks.
const DURATION_MAX: Ticks = 90_000;

/// The frame rates that publishers have.
pub const USUAL_RATES: [FrameRate; 14] = [
    rate(30, 1),
    rate(30_000, 1001),
    rate(60, 1),
    rate(60_000, 1001),
    rate(25, 1),
    rate(24, 1),
    rate(24_000, 1001),
    rate(50, 1),
    rate(20, 1),
    rate(15, 1),
    rate(48, 1),
    rate(12, 1),
    rate(25, 2),
    rate(120, 1),
];

const fn rate(num: u32, den: u32) -> FrameRate {
    FrameRate { num, den }
}

/// The usual rate that a number in the metadata means; `None` when it means none.
#[must_use]
pub fn snap(fps: f64) -> Option<FrameRate> {
    let off = |rate: &FrameRate| (fps / rate.fps() - 1.0).abs() * 10_000.0;
    USUAL_RATES.into_iter().filter(|rate| off(rate) <= SNAP_PER_10K).min_by(|a, b| off(a).total_cmp(&off(b)))
}

/// Times of the pictures of one GOP, in ticks, in decode order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// The frame rate, when the pictures lie on its grid (some may be missing).
    pub frame_rate: Option<FrameRate>,
    /// Presentation times: the first is the start that was asked for, all differ.
    pub pts: Vec<Ticks>,
    /// Decode times: strictly growing, none after its presentation time.
    pub dts: Vec<Ticks>,
    /// Where the next GOP starts.
    pub end: Ticks,
}

/// The grid's state over a publish.
#[derive(Debug, Default)]
pub struct VideoTimeline {
    declared: [Option<FrameRate>; 2],
    rate: Option<FrameRate>,
    grid: Option<Grid>,
    delay: Ticks,
}

/// The grid of `rate`. It spans GOPs, since a frame is not always a whole number of ticks.
#[derive(Debug, Clone, Copy)]
struct Grid {
    /// Where it begins.
    origin: Ticks,
    /// The stamp of its beginning.
    since: Millis,
    /// Frames counted on it: the place of the next IDR picture.
    frames: i64,
}

struct Fit {
    rate: FrameRate,
    index: Vec<i64>,
    next: Option<i64>,
    /// Spread of the residuals, in µs².
    cost: i64,
}

impl VideoTimeline {
    /// Tells what the stream claims of its frame rate: its parameter set, and its metadata.
    pub fn declare(&mut self, parameters: Option<FrameRate>, metadata: Option<FrameRate>) {
        self.declared = [parameters, metadata];
    }

    /// Forgets the rate: the stream's parameters have changed.
    pub fn reset(&mut self) {
        (self.rate, self.grid, self.delay) = (None, None, 0);
    }

    /// Finds the times of a GOP that starts at `start`. `stamps` are its presentation times by the publisher, in decode order, none before the
    /// first; `next` is that of the next IDR picture, when the timeline goes on with it; `lead` how far the IDR picture's decode time
    /// is ahead of its presentation, in ms.
    pub fn map(
        &mut self,
        line: Line,
        start: Ticks,
        stamps: &[Millis],
        next: Option<Millis>,
        lead: i64,
    ) -> Mapped {
        let fit = self.choose(stamps, next);
        let mut mapped = match fit {
            Some(fit) => self.on_grid(line, start, &fit, stamps, next),
            None => by_stamps(line, start, stamps, next),
        };
        let lead = match mapped.frame_rate {
            Some(rate) => rate.ticks(nearest(rate, lead.saturating_mul(1000))),
            None => lead.saturating_mul(TICKS_PER_MS),
        };
        mapped.dts = self.decode_times(&mapped.pts, lead);
        mapped
    }

    fn choose(&mut self, stamps: &[Millis], next: Option<Millis>) -> Option<Fit> {
        let [parameters, metadata] = self.declared;
        let mut known = [self.rate, parameters, metadata].into_iter().flatten();
        // A GOP that was cut off may end with pictures whose neighbours, sent after them, never came.
        let cut = next.is_none();
        let found = known.find_map(|rate| fit(rate, stamps, next, cut)).or_else(|| {
            let usual = USUAL_RATES.into_iter().filter_map(|rate| fit(rate, stamps, next, false));
            // One picture alone fits every rate: that is no evidence.
            usual.filter(|fit| fit.index.len() > 1 || fit.next.is_some()).min_by_key(|fit| fit.cost)
        });
        if let Some(found) = &found
            && self.rate != Some(found.rate)
        {
            (self.rate, self.grid) = (Some(found.rate), None);
        }
        found
    }

    fn on_grid(
        &mut self,
        line: Line,
        start: Ticks,
        fit: &Fit,
        stamps: &[Millis],
        next: Option<Millis>,
    ) -> Mapped {
        let goes_on = |grid: &Grid| grid.origin.saturating_add(fit.rate.ticks(grid.frames)) == start;
        let since = stamps.first().copied().unwrap_or_default();
        let grid = self.grid.filter(goes_on).unwrap_or(Grid { origin: start, since, frames: 0 });
        let at = |index: i64| grid.origin.saturating_add(fit.rate.ticks(grid.frames.saturating_add(index)));
        let pts: Vec<Ticks> = fit.index.iter().copied().map(at).collect();
        let last = fit.index.iter().copied().max().unwrap_or(0);
        let mut end = at(fit.next.unwrap_or(last + 1));
        if let (Some(next), Some(frames)) = (next, fit.next) {
            let frames = grid.frames + frames;
            self.grid = Some(Grid { frames, ..grid });
            if end.abs_diff(line.at(next)) > DRIFT_MAX.unsigned_abs() {
                end = line.at(next).max(at(last) + 1);
                self.rate = nearest_rate(fit.rate, frames, next - grid.since);
                self.grid = None;
            }
        }
        Mapped { frame_rate: Some(fit.rate), pts, dts: Vec::new(), end }
    }

    /// In order of presentation, brought forward by a delay that lets every picture be decoded before it is shown. For a constant frame rate
    /// these are the publisher's own decode times, exact.
    fn decode_times(&mut self, pts: &[Ticks], lead: Ticks) -> Vec<Ticks> {
        let mut sorted = pts.to_vec();
        sorted.sort_unstable();
        let needed = sorted.iter().zip(pts).map(|(slot, pts)| slot - pts).max().unwrap_or(0);
        let delay = needed.max(self.delay.max(lead).clamp(0, DELAY_MAX));
        self.delay = delay.min(DELAY_MAX);
        sorted.iter().map(|slot| slot - delay).collect()
    }
}

/// Lays the stamps on a rate's grid; `None` if one does not fit, two share a place, or most places between them are empty (unless `sparse`).
fn fit(rate: FrameRate, stamps: &[Millis], next: Option<Millis>, sparse: bool) -> Option<Fit> {
    if rate.num == 0 || rate.den == 0 || rate.num > RATE_MAX.saturating_mul(rate.den) {
        return None;
    }
    let first = *stamps.first()?;
    let mut residuals = Vec::with_capacity(stamps.len() + 1);
    let mut place = |stamp: Millis| {
        let offset = stamp.saturating_sub(first).saturating_mul(1000);
        let index = nearest(rate, offset);
        let residual = offset.saturating_sub(micros(rate, index));
        residuals.push(residual);
        (residual.abs() <= RESIDUAL_MAX_US && index >= 0).then_some(index)
    };
    let index = stamps.iter().map(|stamp| place(*stamp)).collect::<Option<Vec<_>>>()?;
    let next = match next {
        Some(next) => Some(place(next)?),
        None => None,
    };
    let mut order: Vec<i64> = index.clone();
    order.sort_unstable();
    order.extend(next);
    let steps = order.len().saturating_sub(1);
    let single = order.windows(2).filter(|w| w[1] - w[0] == 1).count();
    if order.windows(2).any(|w| w[0] >= w[1]) || (!sparse && single * 2 < steps) {
        return None;
    }
    let count = i64::try_from(residuals.len()).unwrap_or(i64::MAX);
    let mean = residuals.iter().sum::<i64>() / count;
    let cost = residuals.iter().map(|r| (r - mean) * (r - mean)).sum::<i64>() / count;
    Some(Fit { rate, index, next, cost })
}

/// The frame nearest to an offset in µs.
fn nearest(rate: FrameRate, micros: i64) -> i64 {
    let (num, den) = (i128::from(rate.num), i128::from(rate.den.max(1)) * 1_000_000);
    i64::try_from((i128::from(micros) * num * 2 + den).div_euclid(den * 2)).unwrap_or(i64::MAX)
}

/// When a frame is due, in µs.
fn micros(rate: FrameRate, index: i64) -> i64 {
    let due = i128::from(index) * 1_000_000 * i128::from(rate.den) / i128::from(rate.num.max(1));
    i64::try_from(due).unwrap_or(i64::MAX)
}

/// The rate nearest to so many frames in so many ms, among the usual ones and the one in use.
fn nearest_rate(current: FrameRate, frames: i64, ms: i64) -> Option<FrameRate> {
    if frames <= 0 || ms <= 0 {
        return None;
    }
    // By how much the frames' due time misses the time observed.
    let off = |rate: &FrameRate| micros(*rate, frames).abs_diff(ms.saturating_mul(1000));
    std::iter::once(current).chain(USUAL_RATES).min_by_key(off)
}

/// Presentation times straight from the stamps. A picture stamped past the next IDR picture, which in a closed GOP is shown before it, is
/// brought back: one wrong stamp must not push what follows.
fn by_stamps(line: Line, start: Ticks, stamps: &[Millis], next: Option<Millis>) -> Mapped {
    let mut order: Vec<usize> = (0..stamps.len()).collect();
    order.sort_by_key(|n| (*n != 0, stamps[*n]));
    let limit = next.map_or(Ticks::MAX, |next| line.at(next));
    let mut pts = vec![start; stamps.len()];
    let mut last = start;
    for (n, left) in order.into_iter().zip((0..stamps.len()).rev()).skip(1) {
        let latest = limit.saturating_sub(Ticks::try_from(left).unwrap_or(0)).saturating_sub(1);
        last = line.at(stamps[n]).min(latest).max(last + 1);
        pts[n] = last;
    }
    let end = if next.is_some() {
        limit.max(last + 1)
    } else {
        let gaps = Ticks::try_from(stamps.len()).unwrap_or(1) - 1;
        let mean = if gaps > 0 { (last - start) / gaps } else { DURATION_DEFAULT };
        last + mean.clamp(1, DURATION_MAX)
    };
    Mapped { frame_rate: None, pts, dts: Vec::new(), end }
}

#[cfg(test)]
mod tests;
