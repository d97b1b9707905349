//! The sound of a publish, between its arrival and the GOP that it goes with.
//!
//! Invariants: what is taken goes on where the last taking ended, to the sample, unless [`Sound::break_off`] came between; at most
//! [`QUEUE_MAX`] frames wait, besides the silence of one hole. Sound that is to be transcoded is given away with what was heard before it
//! (the lead).

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{
    audio::{Config, LEAD_FRAMES, LEAD_MS},
    chunk::AudioTrack,
    time::{Ticks, VIDEO_TIMESCALE, WallTime, rescale},
    timeline::{
        Line, Millis,
        audio::{AudioTimeline, Placement, silence},
    },
};

/// Most frames that wait: 25 s of AAC at 96 kHz or of Opus in packets of 10 ms, more than the longest GOP with all that may be late.
pub const QUEUE_MAX: usize = 2_500;
/// Holes in the stamps longer than this, in ms, are sound that did not come and not a clock that is off.
const CORRECTION_MAX_MS: i64 = 1_000;

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
    /// It is silence, put in.
    silent: bool,
}

/// What goes with one GOP.
pub(super) struct Taken {
    pub(super) track: AudioTrack,
    pub(super) frames: Vec<Bytes>,
    pub(super) received: WallTime,
    /// How many frames after the lead are silence, put in.
    pub(super) silent: u32,
    /// It does not begin where the last taking ended.
    pub(super) broken: bool,
}

/// What happened to the sound so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SoundStats {
    /// Frames left out: too early, too late, too large, or without a configuration.
    pub left_out: u64,
    /// Frames of silence put in.
    pub silent: u64,
    /// By how much sound was corrected to stay with its stamps, in ms.
    pub corrected_ms: u64,
}

/// What was given away last, for the lead of what follows.
#[derive(Debug, Default)]
struct History {
    frames: VecDeque<(u32, Bytes)>,
    samples: Ticks,
    /// Where it ends.
    end: Ticks,
}

impl History {
    fn clear(&mut self) {
        self.frames.clear();
        self.samples = 0;
    }

    /// Adds a frame that follows, and forgets what no lead needs any more.
    fn push(&mut self, duration: u32, data: Bytes, rate: u32) {
        self.frames.push_back((duration, data));
        self.samples += Ticks::from(duration);
        let needed = rescale(LEAD_MS.into(), 1000, rate);
        while let Some((oldest, _)) = self.frames.front()
            && self.frames.len() > LEAD_FRAMES
            && self.samples - Ticks::from(*oldest) >= needed
        {
            self.samples -= Ticks::from(*oldest);
            self.frames.pop_front();
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Sound {
    config: Option<Config>,
    /// Comes into force at the next GOP; frames that arrive meanwhile are `unplaced`.
    next_config: Option<Config>,
    timeline: Option<AudioTimeline>,
    /// Where the timeline began or was last broken off, in 1/90 000 s: what the count begins with lies no earlier.
    origin: Ticks,
    unplaced: VecDeque<Arrived>,
    placed: VecDeque<Placed>,
    /// Where the last frame taken ended, in samples at this rate.
    taken: Option<(Ticks, u32)>,
    history: History,
    stats: SoundStats,
}

impl Sound {
    /// The configuration that frames are from now on to be read with. The first one is in force at once, also in the GOP that is being built,
    /// which starts at `from`; a changed one with the next GOP.
    pub(super) fn configure(&mut self, config: Config, from: Ticks) {
        if self.config() == Some(&config) {
            return;
        }
        if self.timeline.is_none() {
            self.config = Some(config);
        } else if self.config.is_none() {
            self.config = Some(config);
            self.origin = from;
            self.timeline = Some(self.anew(from));
        } else {
            self.next_config = Some(config);
        }
        self.left_out(self.unplaced.len());
        self.unplaced.clear();
    }

    /// The configuration that frames are to be read with.
    pub(super) fn config(&self) -> Option<&Config> {
        self.next_config.as_ref().or(self.config.as_ref())
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
        self.config.as_ref().map_or(1, Config::sample_rate)
    }

    /// Samples of a frame, as they usually are.
    fn frame_samples(&self) -> u32 {
        self.config.as_ref().map_or(1, Config::usual_samples)
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
        let samples = self.config().and_then(|config| config.samples(&frame.data));
        if samples.is_none() || self.placed.len() >= QUEUE_MAX {
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
        let duration = self.config.as_ref().and_then(|config| config.samples(&frame.data));
        let (Some(timeline), Some(duration)) = (&mut self.timeline, duration) else {
            self.left_out(1);
            return false;
        };
        let counting = timeline.next().is_some();
        match timeline.place(line, frame.ms, duration) {
            Placement::LeftOut => {
                self.left_out(1);
                if counting {
                    self.corrected(duration.into());
                }
                false
            }
            Placement::At { position, silence } => {
                if silence <= rescale(CORRECTION_MAX_MS, 1000, self.sample_rate()) {
                    self.corrected(silence);
                }
                self.fill(position - silence, silence, frame.ms, frame.arrival);
                self.placed.push_back(Placed { position, duration, from: frame, silent: false });
                self.settle();
                true
            }
        }
    }

    fn corrected(&mut self, samples: Ticks) {
        let ms = rescale(samples, self.sample_rate(), 1000);
        self.stats.corrected_ms += u64::try_from(ms).unwrap_or(0);
    }

    /// Moves what has been placed to where most of its stamps say, once enough of them have come.
    fn settle(&mut self) {
        let Some(timeline) = &mut self.timeline else { return };
        let Some(by) = timeline.settle() else { return };
        for frame in &mut self.placed {
            frame.position += by;
        }
        let early =
            self.placed.iter().take_while(|frame| !timeline.admits(frame.position, frame.duration)).count();
        self.placed.drain(..early);
        self.left_out(early);
    }

    /// Puts silence in. A hole is no longer than the clock goes on at a jump.
    fn fill(&mut self, position: Ticks, samples: Ticks, ms: Millis, arrival: WallTime) {
        let silent = self.silent(position, samples, ms, arrival);
        self.placed.extend(silent);
    }

    /// Frames of silence from `position` on.
    fn silent(&mut self, mut position: Ticks, samples: Ticks, ms: Millis, arrival: WallTime) -> Vec<Placed> {
        let Some(data) = self.config.as_ref().map(Config::silence) else { return Vec::new() };
        let mut frames = Vec::new();
        for duration in silence(samples, self.frame_samples()) {
            let from = Arrived { ms, arrival, data: data.clone() };
            frames.push(Placed { position, duration, from, silent: true });
            position += Ticks::from(duration);
            self.stats.silent += 1;
        }
        frames
    }

    /// Puts silence before sound that begins a frame or more after its pictures, which are from `start` to `end`: where one of two tracks begins
    /// later, some players skip what the other has until then.
    fn lead_in(&mut self, start: Ticks, end: Ticks) {
        let from = self.border(start).max(self.taken().unwrap_or(Ticks::MIN));
        let Some(first) = self.placed.front().map(|frame| frame.position) else { return };
        if first < self.border(end) {
            for frame in self.silent(from, first - from, Millis::MIN, WallTime(i64::MIN)).into_iter().rev() {
                self.placed.push_front(frame);
            }
        }
    }

    /// The line is known: presentation begins at `from`. What waited is placed.
    pub(super) fn begin(&mut self, line: Line, from: Ticks) {
        self.origin = from;
        self.timeline = Some(self.anew(from));
        self.place_waiting(line);
    }

    /// A count that is anchored by what comes from `start` on, after all that has been taken.
    fn anew(&self, start: Ticks) -> AudioTimeline {
        AudioTimeline::new(self.sample_rate(), self.border(start), self.taken().unwrap_or(Ticks::MIN))
    }

    fn place_waiting(&mut self, line: Line) {
        for frame in std::mem::take(&mut self.unplaced) {
            self.place(frame, line);
        }
    }

    /// The changed configuration comes into force where the old one ended; or at `start`, where the timeline goes on, if no sound flows up to
    /// there: a break since is not to be filled with silence. While none has been taken, it counts from where the timeline last was broken off
    /// (at `start`, if `broken`): sound may come late.
    pub(super) fn change(&mut self, line: Line, start: Ticks, broken: bool) {
        let Some(config) = self.next_config.take() else { return };
        let new = config.sample_rate();
        let durations = self.unplaced.iter().filter_map(|frame| config.samples(&frame.data));
        let waiting: Ticks = durations.map(Ticks::from).sum();
        self.history.clear();
        self.left_out(self.placed.len());
        self.placed.clear();
        self.config = Some(config);
        if broken {
            self.origin = start;
        }
        let reach = waiting + rescale(CORRECTION_MAX_MS, 1000, new);
        let flowing = self.border(start.saturating_sub(FLOWING_TICKS));
        self.timeline = Some(match self.taken() {
            Some(taken) if taken + reach >= flowing => AudioTimeline::going_on(new, taken),
            Some(_) => self.anew(start),
            None => self.anew(self.origin),
        });
        self.place_waiting(line);
    }

    /// The line moved by `by` ticks: what has not been taken moves with it.
    pub(super) fn shift(&mut self, by: Ticks) {
        let samples = rescale(by, VIDEO_TIMESCALE, self.sample_rate());
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
        self.origin = start;
        let flowing = start.saturating_sub(FLOWING_TICKS);
        if self.covers(flowing) {
            return;
        }
        self.left_out(self.placed.len());
        self.placed.clear();
        if self.timeline.is_some() {
            self.timeline = Some(self.anew(start));
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

    /// Takes the frames that begin before `until`, for a GOP of pictures from `start` to `end`: if they begin later than it or end earlier,
    /// silence comes before or after them. Without an end it takes those that end before `until`, as they are: pictures that follow begin no
    /// earlier than what came before them ended.
    pub(super) fn take(&mut self, start: Ticks, end: Option<Ticks>, until: Ticks) -> Option<Taken> {
        let (rate, frame) = (self.config.as_ref()?.sample_rate(), Ticks::from(self.frame_samples()));
        if let (Some(timeline), Some(end)) = (&mut self.timeline, end) {
            let from = timeline.next().unwrap_or(border(start, rate));
            let missing = border(end, rate) - from;
            if missing > 0 {
                // Whole frames, so that the end is reached or passed by less than one.
                let samples = (missing + frame - 1) / frame * frame;
                timeline.skip_to(from + samples);
                self.fill(from, samples, Millis::MIN, WallTime(i64::MIN));
            }
            self.lead_in(start, end);
        }
        let (border, last) = (self.border(until), scale_down(until, VIDEO_TIMESCALE, rate));
        let belongs = |frame: &&Placed| match end {
            Some(_) => frame.position < border,
            None => frame.position + Ticks::from(frame.duration) <= last,
        };
        let count = self.placed.iter().take_while(belongs).count();
        let taken: Vec<Placed> = self.placed.drain(..count).collect();
        let (start, end) =
            (taken.first()?.position, taken.last().map(|last| last.position + Ticks::from(last.duration))?);
        if let Some(timeline) = &mut self.timeline {
            timeline.anchored();
        }
        if self.history.end != start {
            self.history.clear();
        }
        let config = self.config.as_ref()?;
        let (mut durations, mut frames): (Vec<u32>, Vec<Bytes>) = self.history.frames.iter().cloned().unzip();
        let lead = u32::try_from(frames.len()).unwrap_or(0);
        let silent = taken.iter().filter(|frame| frame.silent).count();
        let received = taken.iter().map(|frame| frame.from.arrival).max().unwrap_or(WallTime(i64::MIN));
        for Placed { duration, from, .. } in taken {
            if !config.is_carried() {
                self.history.push(duration, from.data.clone(), rate);
            }
            durations.push(duration);
            frames.push(from.data);
        }
        self.history.end = end;
        let track = AudioTrack {
            codec: config.codec(),
            config: config.record().to_vec(),
            sample_rate: rate,
            channels: config.channels(),
            lead,
            start,
            end,
            durations,
            sizes: frames.iter().map(|data| u32::try_from(data.len()).unwrap_or(u32::MAX)).collect(),
        };
        let broken = self.taken().is_some_and(|taken| taken != start);
        self.taken = Some((end, rate));
        Some(Taken { track, frames, received, silent: u32::try_from(silent).unwrap_or(u32::MAX), broken })
    }
}

/// The first position at `rate` that does not lie before `ticks` of 1/90 000 s.
fn border(ticks: Ticks, rate: u32) -> Ticks {
    scale_up(ticks, VIDEO_TIMESCALE, rate)
}

/// Rescales, rounding down. Saturates as [`scale_up`] does.
fn scale_down(ticks: Ticks, from: u32, to: u32) -> Ticks {
    scale_up(ticks.saturating_neg(), from, to).saturating_neg()
}

/// Rescales, rounding up. Saturates at the range of `i64`, as [`rescale`] does.
fn scale_up(ticks: Ticks, from: u32, to: u32) -> Ticks {
    let (from, product) = (i128::from(from.max(1)), i128::from(ticks) * i128::from(to));
    let rounded = -((-product).div_euclid(from));
    Ticks::try_from(rounded).unwrap_or(if rounded > 0 { Ticks::MAX } else { Ticks::MIN })
}
