//! How many of a ladder's largest rungs are left out so that a broadcast does not fall behind its publisher. Pure.
//!
//! What is measured is throughput. A chunk is so much *work* ([`Job`]: pixels, by the rungs that are made of it); the broadcast's chunks are
//! worked at at some pace each, some of them at once. Both are measured as they are, so that whatever else the machine does is in them, and both
//! hold for any number of rungs. From the two follows how long the next chunks would take with fewer rungs, or with more.
//!
//! Invariants:
//! - the smallest rung is always made, and what is left out is always the largest;
//! - once a broadcast runs, rungs are only left out while chunks pile up: being slow is no reason, not keeping up is;
//! - quick to shed, as many at once as it takes; slow to restore, one at a time, after a while in which there was room for it.

use std::{collections::VecDeque, time::Duration};

use media::{
    id::ChunkPos,
    ladder::Rendition,
    time::{FrameRate, Ticks, VIDEO_TIMESCALE, WallTime},
};

use super::transcoder::CHUNKS_AT_ONCE;

/// Chunks that may be at hand without anything being behind: as many as are worked at at once.
const AT_HAND_MAX: usize = CHUNKS_AT_ONCE;
/// Nor is anything behind with less than this at hand, in seconds: short GOPs come in bursts.
const AT_HAND_SECONDS: f64 = 3.0;
/// What is behind is to be caught up within so many seconds. A takeover's backlog that goes faster is left alone; one that does not is helped.
const CATCH_UP_SECONDS: f64 = 30.0;
/// A rung is restored when there has been room for it for so many seconds: some GOPs of any length.
const HOLD_SECONDS: f64 = 20.0;
/// The longest hold. It doubles each time that a rung had to go again at once; one that stayed for this long ends the doubling.
const HOLD_SECONDS_MAX: f64 = 320.0;
/// There is room for a rung if chunks would take this share of their length with it, alone.
const ROOM: f64 = 0.75;
/// At the beginning nothing is measured but the machine ([`Job::speed`]): rungs are left out beforehand only if chunks would take more than this
/// many times their length by it. It is right to a third or so; between 1 and this, waiting for the first chunks costs a few seconds.
const BEFOREHAND_MAX: f64 = 1.5;
/// Chunks that the pace is measured over: enough to even out a hard one.
const PACE_CHUNKS: usize = 4;
/// How far back it is remembered how many were worked at at once, in seconds.
const AT_ONCE_SECONDS: f64 = 20.0;
/// What decoding and scaling cost, in percent of a rung of the source's size. Measured from 720p to 2160p: 25 at the slowest preset, 37 at the fastest.
/// That it is no rung's work matters here: it stays when rungs go.
const OVERHEAD_PERCENT: u32 = 30;
/// What surveying a picture costs, in pixels of a rung. Measured: 400 000 at the slowest preset, 1 500 000 at the fastest.
const SURVEY_PIXELS: u32 = 700_000;

/// One rung of a chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Rung {
    /// Its name.
    pub name: String,
    /// Pixels of a picture.
    pub size: u64,
    /// Pixels of all pictures.
    pub work: f64,
}

/// What there is to do about a chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// How long its pictures last.
    pub seconds: f64,
    /// Work that any number of rungs costs.
    pub overhead: f64,
    /// Largest first.
    pub rungs: Vec<Rung>,
    /// Work that this machine does in a second if nothing else is to be done, as far as that is known beforehand.
    pub speed: Option<f64>,
}

impl Job {
    /// Of a chunk that lasts `length`, of pictures of `size` at `rate`, whose whole ladder is `renditions`; on a machine that encodes so many
    /// pixels a second ([`crate::transcode::Capacity`]).
    #[must_use]
    pub fn new(
        length: Ticks,
        size: (u32, u32),
        rate: FrameRate,
        renditions: &[Rendition],
        capacity: Option<u64>,
    ) -> Self {
        let seconds = length.max(1) as f64 / f64::from(VIDEO_TIMESCALE);
        let frames = seconds * f64::from(rate.num) / f64::from(rate.den.max(1));
        let pixels = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        let rungs = renditions.iter().map(|rendition| {
            let size = pixels((rendition.width, rendition.height));
            let frames = if rendition.halved { frames / 2.0 } else { frames };
            Rung { name: rendition.name.clone(), size, work: size as f64 * frames }
        });
        let rungs: Vec<Rung> = rungs.collect();
        let overhead = pixels(size) as f64 * f64::from(OVERHEAD_PERCENT) / 100.0 + f64::from(SURVEY_PIXELS);
        let overhead = overhead * frames;
        // The capacity is told in pixels of rungs, their usual overhead included.
        let of_rungs: f64 = rungs.iter().map(|rung| rung.work).sum();
        let speed = capacity.map(|capacity| capacity as f64 * (of_rungs + overhead) / of_rungs.max(1.0));
        Self { seconds, overhead, rungs, speed }
    }

    /// The work with so many rungs left out.
    fn work(&self, left_out: usize) -> f64 {
        self.overhead + self.rungs.iter().skip(left_out).map(|rung| rung.work).sum::<f64>()
    }

    /// Most rungs that can be left out.
    fn most(&self) -> usize {
        self.rungs.len().saturating_sub(1)
    }

    /// How many rungs are larger than `largest`.
    fn above(&self, largest: Option<u64>) -> usize {
        let larger = |rung: &&Rung| largest.is_some_and(|largest| rung.size > largest);
        self.rungs.iter().take_while(larger).count().min(self.most())
    }
}

/// What is made of a chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// How many of its largest rungs are left out.
    pub left_out: usize,
    /// That is another number than before.
    pub change: Option<Change>,
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// More is left out.
    Shed {
        /// How far the broadcast is behind.
        behind: Duration,
    },
    /// Less is left out.
    Restored,
}

/// A chunk at hand.
#[derive(Debug)]
struct Chunk {
    pos: ChunkPos,
    /// Since when it is worked at, and how much work it is.
    begun: Option<(WallTime, f64)>,
}

/// One broadcast's state.
#[derive(Debug)]
pub struct Shed {
    /// Size of the largest rung that is made; `None`: nothing is left out.
    largest: Option<u64>,
    /// Stored chunks that are not transcoded.
    waiting: usize,
    /// Lengths of the last chunks, in seconds.
    lengths: VecDeque<f64>,
    /// Chunks that are read, or being worked at.
    at_hand: Vec<Chunk>,
    /// Work of the last chunks that are done, and how many seconds each took.
    done: VecDeque<(f64, f64)>,
    /// Until when the two below are counted.
    counted: Option<WallTime>,
    /// Seconds in which anything was at hand; older ones count less.
    busy: f64,
    /// Seconds of work in these; twice as many if two chunks were worked at all the time.
    working: f64,
    /// Since when there has been room for one more rung.
    room: Option<WallTime>,
    restored: Option<WallTime>,
    hold: f64,
}

impl Default for Shed {
    fn default() -> Self {
        Self {
            largest: None,
            waiting: 0,
            lengths: VecDeque::new(),
            at_hand: Vec::new(),
            done: VecDeque::new(),
            counted: None,
            busy: 0.0,
            working: 0.0,
            room: None,
            restored: None,
            hold: HOLD_SECONDS,
        }
    }
}

impl Shed {
    /// So many stored chunks are not transcoded.
    pub fn waiting(&mut self, chunks: usize) {
        self.waiting = chunks;
    }

    /// A chunk is read and may be worked at.
    pub fn ready(&mut self, now: WallTime, pos: ChunkPos) {
        self.count(now);
        self.at_hand.push(Chunk { pos, begun: None });
    }

    /// The work on a chunk begins: how much of its ladder is left out.
    pub fn begin(&mut self, now: WallTime, pos: ChunkPos, job: &Job) -> Decision {
        self.count(now);
        if self.lengths.len() == PACE_CHUNKS {
            self.lengths.pop_front();
        }
        self.lengths.push_back(job.seconds);
        let before = job.above(self.largest);
        if before == 0 {
            // The source has changed: nothing of it would be left out.
            self.largest = None;
        }
        let (left_out, change) = self.decide(now, job, before);
        if left_out != before {
            self.room = None;
            self.largest = if left_out == 0 { None } else { job.rungs.get(left_out).map(|rung| rung.size) };
        }
        if let Some(chunk) = self.at_hand.iter_mut().find(|chunk| chunk.pos == pos) {
            chunk.begun = Some((now, job.work(left_out)));
        }
        Decision { left_out, change }
    }

    /// Nothing more is done about a chunk.
    pub fn end(&mut self, now: WallTime, pos: ChunkPos) {
        self.count(now);
        let Some(at) = self.at_hand.iter().position(|chunk| chunk.pos == pos) else { return };
        if let Some((since, work)) = self.at_hand.swap_remove(at).begun {
            if self.done.len() == PACE_CHUNKS {
                self.done.pop_front();
            }
            self.done.push_back((work, seconds_since(now, since)));
        }
    }

    fn decide(&mut self, now: WallTime, job: &Job, before: usize) -> (usize, Option<Change>) {
        let Some(speed) = self.speed(now, job.speed) else { return (before, None) };
        let takes = |left_out: usize| job.work(left_out) / speed / job.seconds;
        let enough = |bound: f64| {
            (before..=job.most()).find(|left_out| takes(*left_out) <= bound).unwrap_or(job.most())
        };
        let behind = self.behind();
        if behind > 0.0 {
            self.room = None;
            // In each second so much of what is behind goes as is done beyond that second's own.
            let left_out = enough(1.0 / (1.0 + behind / CATCH_UP_SECONDS));
            if left_out == before {
                return (before, None);
            }
            self.hold = match self.restored {
                Some(at) if seconds_since(now, at) < self.hold => (self.hold * 2.0).min(HOLD_SECONDS_MAX),
                Some(at) if seconds_since(now, at) < HOLD_SECONDS_MAX => self.hold,
                _ => HOLD_SECONDS,
            };
            let behind = Duration::try_from_secs_f64(behind).unwrap_or_default();
            return (left_out, Some(Change::Shed { behind }));
        }
        if self.done.is_empty() {
            let left_out = enough(BEFOREHAND_MAX);
            return (left_out, (left_out > before).then_some(Change::Shed { behind: Duration::ZERO }));
        }
        let Some(more) = before.checked_sub(1) else { return (before, None) };
        if takes(more) > ROOM {
            self.room = None;
            return (before, None);
        }
        let since = *self.room.get_or_insert(now);
        if seconds_since(now, since) < self.hold {
            return (before, None);
        }
        self.restored = Some(now);
        (more, Some(Change::Restored))
    }

    /// Seconds of pictures that are at hand beyond what may be.
    fn behind(&self) -> f64 {
        let lengths: f64 = self.lengths.iter().sum();
        let usual = lengths / f64::max(1.0, self.lengths.len() as f64);
        self.waiting as f64 * usual - f64::max(AT_HAND_MAX as f64 * usual, AT_HAND_SECONDS)
    }

    /// Work that is done of this broadcast in a second; `beforehand` as long as nothing is done. `None`: nobody knows.
    fn speed(&self, now: WallTime, beforehand: Option<f64>) -> Option<f64> {
        let at_once = if self.working > 0.0 { self.working / self.busy.max(f64::MIN_POSITIVE) } else { 1.0 };
        let (work, seconds) = self.done.iter().fold((0.0, 0.0), |sum, done| (sum.0 + done.0, sum.1 + done.1));
        let measured = (seconds > 0.0).then(|| at_once * work / seconds).or(beforehand);
        // What is being worked at has not been faster than if it were done now.
        let bounds = self.at_hand.iter().filter_map(|chunk| chunk.begun).filter_map(|(since, work)| {
            let seconds = seconds_since(now, since);
            (seconds > 0.0).then(|| at_once * work / seconds)
        });
        measured.into_iter().chain(bounds).min_by(f64::total_cmp)
    }

    /// Counts the time up to now.
    fn count(&mut self, now: WallTime) {
        let since = self.counted.replace(now).unwrap_or(now);
        let seconds = seconds_since(now, since);
        if self.at_hand.is_empty() || seconds <= 0.0 {
            return;
        }
        let begun = self.at_hand.iter().filter(|chunk| chunk.begun.is_some()).count();
        let kept = (-seconds / AT_ONCE_SECONDS).exp();
        self.busy = self.busy * kept + seconds;
        self.working = self.working * kept + seconds * begun as f64;
    }
}

/// Not negative, whatever the clock was set to.
fn seconds_since(now: WallTime, since: WallTime) -> f64 {
    now.micros_since(since).max(0) as f64 / 1e6
}

#[cfg(test)]
#[path = "shed_tests.rs"]
mod tests;
