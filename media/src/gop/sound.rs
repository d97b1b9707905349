//! The sound of a publish, between its arrival and the GOP that it goes with.
//!
//! Invariants: what is taken goes on where the last taking ended, to the sample, unless [`Sound::break_off`] came between; at most
//! [`QUEUE_MAX`] frames wait, besides the silence of one hole.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{
    aac::{self, FRAME_MAX, FRAME_SAMPLES},
    chunk::{AudioCodec, AudioTrack},
    time::{Ticks, VIDEO_TIMESCALE, WallTime},
    timeline::{
        Line, Millis,
        audio::{AudioTimeline, Placement, silence},
    },
};

/// Most frames that wait: 25 s at 96 kHz, more than the longest GOP with all that may be late.
pub const QUEUE_MAX: usize = 2_400;

/// How far sound may be behind the picture that comes after a break and still be taken to go on, in ticks: half a second of interleaving.
const FLOWING_TICKS: Ticks = 45_000;

/// A frame as it came.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) ms: Millis,
    pub(super) arrival: WallTime,
    pub(super) data: Bytes,
}

#[derive(Debug)]
struct Placed {
    position: Ticks,
    duration: u32,
    from: Arrived,
}

/// What goes with one GOP.
pub(super) struct Taken {
    pub(super) track: AudioTrack,
    pub(super) frames: Vec<Bytes>,
    pub(super) received: WallTime,
}

/// What happened to the sound so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SoundStats {
    /// Frames left out: too early, too late, too large, or without a configuration.
    pub left_out: u64,
    /// Frames of silence put in.
    pub silent: u64,
}

#[derive(Debug, Default)]
pub(super) struct Sound {
    config: Option<aac::Config>,
    /// Comes into force at the next GOP; frames that arrive meanwhile are `unplaced`.
    next_config: Option<aac::Config>,
    timeline: Option<AudioTimeline>,
    unplaced: VecDeque<Arrived>,
    placed: VecDeque<Placed>,
    /// Where the last frame taken ended, in samples at this rate.
    taken: Option<(Ticks, u32)>,
    stats: SoundStats,
}

impl Sound {
    pub(super) fn configure(&mut self, config: aac::Config) {
        let current = self.next_config.as_ref().or(self.config.as_ref());
        if current == Some(&config) {
            return;
        }
        if self.timeline.is_some() {
            self.next_config = Some(config);
        } else {
            self.config = Some(config);
        }
        self.left_out(self.unplaced.len());
        self.unplaced.clear();
    }

    /// Whether there is any sound to wait for.
    pub(super) fn expected(&self) -> bool {
        self.config.is_some()
    }

    /// Whether the configuration changes with the next GOP.
    pub(super) fn changes(&self) -> bool {
        self.next_config.is_some()
    }

    pub(super) fn stats(&self) -> SoundStats {
        self.stats
    }

    fn left_out(&mut self, count: usize) {
        self.stats.left_out += u64::try_from(count).unwrap_or(0);
    }

    fn sample_rate(&self) -> u32 {
        self.config.as_ref().map_or(1, |config| config.sample_rate)
    }

    /// Where the last frame taken ended, at the present rate.
    fn taken(&self) -> Option<Ticks> {
        let rate = self.sample_rate();
        self.taken.map(|(end, at)| if at == rate { end } else { scale_up(end, at, rate) })
    }

    /// The first position that does not lie before `ticks`.
    fn border(&self, ticks: Ticks) -> Ticks {
        border(ticks, self.sample_rate())
    }

    /// Takes a frame in; `true` when it found its place.
    pub(super) fn push(&mut self, frame: Arrived, line: Option<Line>) -> bool {
        if self.config.is_none() || frame.data.len() > FRAME_MAX || self.placed.len() >= QUEUE_MAX {
            self.left_out(1);
            return false;
        }
        match line {
            Some(line) if self.timeline.is_some() && self.next_config.is_none() => self.place(frame, line),
            _ => {
                if self.unplaced.len() >= QUEUE_MAX {
                    self.unplaced.pop_front();
                    self.left_out(1);
                }
                self.unplaced.push_back(frame);
                false
            }
        }
    }

    fn place(&mut self, frame: Arrived, line: Line) -> bool {
        let Some(timeline) = &mut self.timeline else { return false };
        match timeline.place(line, frame.ms) {
            Placement::LeftOut => {
                self.left_out(1);
                false
            }
            Placement::At { position, silence } => {
                self.fill(position - silence, silence, frame.ms, frame.arrival);
                self.placed.push_back(Placed { position, duration: FRAME_SAMPLES, from: frame });
                true
            }
        }
    }

    /// Puts silence in. A hole is no longer than the clock goes on at a jump.
    fn fill(&mut self, mut position: Ticks, samples: Ticks, ms: Millis, arrival: WallTime) {
        let Some(data) = self.config.as_ref().map(aac::Config::silence) else { return };
        for duration in silence(samples) {
            let from = Arrived { ms, arrival, data: data.clone() };
            self.placed.push_back(Placed { position, duration, from });
            position += Ticks::from(duration);
            self.stats.silent += 1;
        }
    }

    /// The line is known: presentation begins at `from`. What waited is placed.
    pub(super) fn begin(&mut self, line: Line, from: Ticks) {
        self.timeline = Some(AudioTimeline::new(self.sample_rate(), self.border(from), Ticks::MIN));
        self.place_waiting(line);
    }

    fn place_waiting(&mut self, line: Line) {
        for frame in std::mem::take(&mut self.unplaced) {
            self.place(frame, line);
        }
    }

    /// The changed configuration comes into force where the old one ended.
    pub(super) fn change(&mut self, line: Line) {
        let Some(config) = self.next_config.take() else { return };
        let new = config.sample_rate;
        self.left_out(self.placed.len());
        self.placed.clear();
        self.config = Some(config);
        self.timeline = Some(match self.taken() {
            Some(taken) => AudioTimeline::going_on(new, taken),
            None => AudioTimeline::new(new, 0, Ticks::MIN),
        });
        self.place_waiting(line);
    }

    /// The line moved by `by` ticks: what has not been taken moves with it.
    pub(super) fn shift(&mut self, by: Ticks) {
        let samples = crate::time::rescale(by, VIDEO_TIMESCALE, self.sample_rate());
        for frame in &mut self.placed {
            frame.position += samples;
        }
        if let Some(timeline) = &mut self.timeline
            && let Some(next) = timeline.next()
        {
            timeline.skip_to(next + samples);
        }
    }

    /// The timeline goes on at `start`, later than where it was. Sound that flows up to there stays as it is; otherwise what lies before is
    /// left out, and what comes is anchored anew.
    pub(super) fn break_off(&mut self, start: Ticks) {
        let flowing = start.saturating_sub(FLOWING_TICKS);
        if self.covers(flowing) {
            return;
        }
        self.left_out(self.placed.len());
        self.placed.clear();
        if self.timeline.is_some() {
            let floor = self.taken().unwrap_or(Ticks::MIN);
            self.timeline = Some(AudioTimeline::new(self.sample_rate(), self.border(start), floor));
        }
    }

    /// Whether everything before `ticks` has come.
    pub(super) fn covers(&self, ticks: Ticks) -> bool {
        let next = self.timeline.as_ref().and_then(AudioTimeline::next);
        next.is_some_and(|next| next >= self.border(ticks))
    }

    /// How much time the frames that can't be placed yet span: from the first to the last.
    pub(super) fn unplaced_span(&self) -> Option<(&Arrived, Millis)> {
        let (first, last) = (self.unplaced.front()?, self.unplaced.back()?);
        Some((first, last.ms - first.ms))
    }

    /// Takes the frames that begin before `until`. If they end before `end`, silence follows, from `start` if there was no sound yet.
    pub(super) fn take(&mut self, start: Ticks, end: Ticks, until: Ticks) -> Option<Taken> {
        let rate = self.config.as_ref()?.sample_rate;
        if let Some(timeline) = &mut self.timeline {
            let from = timeline.next().unwrap_or(border(start, rate));
            let missing = border(end, rate) - from;
            if missing > 0 {
                // Whole frames, so that the end is reached or passed by less than one.
                let frame = Ticks::from(FRAME_SAMPLES);
                let samples = (missing + frame - 1) / frame * frame;
                timeline.skip_to(from + samples);
                self.fill(from, samples, Millis::MIN, WallTime(i64::MIN));
            }
        }
        let config = self.config.as_ref()?;
        let border = self.border(until);
        let count = self.placed.iter().take_while(|frame| frame.position < border).count();
        let taken: Vec<Placed> = self.placed.drain(..count).collect();
        let (first, last) = (taken.first()?, taken.last()?);
        let track = AudioTrack {
            codec: AudioCodec::Aac,
            config: config.record.to_vec(),
            sample_rate: config.sample_rate,
            channels: config.channels,
            start: first.position,
            end: last.position + Ticks::from(last.duration),
            durations: taken.iter().map(|frame| frame.duration).collect(),
            sizes: taken
                .iter()
                .map(|frame| u32::try_from(frame.from.data.len()).unwrap_or(u32::MAX))
                .collect(),
        };
        self.taken = Some((track.end, rate));
        let received = taken.iter().map(|frame| frame.from.arrival).max().unwrap_or(WallTime(i64::MIN));
        Some(Taken { track, frames: taken.into_iter().map(|frame| frame.from.data).collect(), received })
    }
}

/// The first position at `rate` that does not lie before `ticks` of 1/90 000 s.
fn border(ticks: Ticks, rate: u32) -> Ticks {
    scale_up(ticks, VIDEO_TIMESCALE, rate)
}

/// Rescales, rounding up.
fn scale_up(ticks: Ticks, from: u32, to: u32) -> Ticks {
    let (from, product) = (i128::from(from.max(1)), i128::from(ticks) * i128::from(to));
    Ticks::try_from(-((-product).div_euclid(from))).unwrap_or(Ticks::MAX)
}
