//! Cuts a publish into closed GOPs with the sound of the same time.
//!
//! A GOP is cut before every IDR picture (a [`SampleKind::Start`], told by what is in it; in AV1 a shown key frame) that comes [`GOP_MIN_MS`] or
//! more after the one before; then it waits for its sound, for [`SOUND_WAIT_MS`] at most. Times are relative to the first picture of the publish; the caller adds where that lies.
//!
//! Invariants of what comes out: it satisfies [`crate::chunk::Chunk`]'s; a GOP starts where the one before ended, to the tick, as does its
//! sound, unless it says `discontinuity`; once there is sound every GOP has some, which begins with its pictures, give or take a frame. What can't be used is left out and counted, never
//! passed on. Nothing here grows without bound.

mod building;
mod limits;
mod sound;

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use self::{
    building::{Building, Closing},
    limits::{CATCH_UP, EVER, ROUNDING_MS, STALL_MS, no_config, no_idr, no_keyframe},
    sound::{Arrived, Sound},
};
pub use self::{
    limits::{
        CLOSING_MAX, COMPOSITION_MAX_MS, CONFIG_WAIT_MS, GOP_BYTES_MAX, GOP_MAX_MS, GOP_MIN_MS,
        GOP_PICTURES_MAX, LAG_MAX, LAG_SUSTAIN_MS, PAUSE_MS, SOUND_ONLY_AFTER_MS, SOUND_ONLY_TICKS,
        SOUND_WAIT_MS,
    },
    sound::{QUEUE_MAX as SOUND_QUEUE_MAX, SoundStats},
};
use crate::{
    audio,
    chunk::{AudioTrack, VideoTrack},
    picture::SampleKind,
    time::{FrameRate, Ticks, WallTime},
    timeline::{Line, Millis, TICKS_PER_MS, video::VideoTimeline, wall_ticks},
    verdict::Verdict,
    video,
};

/// A picture, its stamps unwrapped.
#[derive(Debug, Clone)]
pub struct Picture {
    /// When its last byte arrived.
    pub arrival: WallTime,
    /// Decode time by the publisher.
    pub dts: Millis,
    /// Presentation minus decode time in ms.
    pub composition_ms: i32,
    /// What is in it, by its NAL units or OBUs.
    pub kind: SampleKind,
    /// FLV's key frame flag.
    pub keyframe: bool,
    /// The NAL units, or OBUs.
    pub data: Bytes,
}

impl Picture {
    /// Whether anybody, rightly or not, says that decoding can start here.
    fn claims_start(&self) -> bool {
        self.keyframe || matches!(self.kind, SampleKind::Start | SampleKind::OpenStart)
    }
}

/// A closed GOP. Times are relative to the publish's first picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gop {
    /// When its last byte arrived.
    pub received: WallTime,
    /// It does not start where the one before ended.
    pub discontinuity: bool,
    /// Its pictures.
    pub video: Option<VideoTrack>,
    /// Its sound.
    pub audio: Option<AudioTrack>,
    /// The samples: pictures, then sound.
    pub samples: Vec<Bytes>,
    /// How many frames of its sound are silence, put in.
    pub silent: u32,
}

/// What the cutter has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The publish's first picture (or sound) arrived then: relative time 0.
    Began(WallTime),
    /// A GOP is complete.
    Gop(Box<Gop>),
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Pictures taken.
    pub pictures: u64,
    /// Pictures left out: before the first IDR picture, after a pause until the next, damaged, or leading their GOP's first picture.
    pub left_out: u64,
    /// Times that the timeline was set anew to wall-clock time.
    pub resets: u64,
    /// The sound's part.
    pub sound: SoundStats,
}

enum State {
    /// For an IDR picture.
    Waiting,
    Pictures(Building),
    /// No pictures, sound alone; the next chunk starts here.
    SoundOnly(Ticks),
}

/// Presentation lags behind arrival.
#[derive(Debug, Clone, Copy)]
struct Lag {
    since: WallTime,
    /// By how much, when it began.
    ticks: Ticks,
}

/// Pictures that are left out.
#[derive(Debug, Clone, Copy)]
struct Idle {
    /// Since when, by the publisher…
    since: Millis,
    /// …and on arrival.
    arrival: WallTime,
    /// One claimed to be a key frame.
    keyframe: bool,
}

/// Cuts one publish.
pub struct Cutter {
    config: Option<Arc<video::Config>>,
    next_config: Option<Arc<video::Config>>,
    metadata_rate: Option<FrameRate>,
    timeline: VideoTimeline,
    sound: Sound,
    state: State,
    line: Option<Line>,
    origin: WallTime,
    /// Where the next GOP starts if it goes on from the last.
    chain: Ticks,
    closing: VecDeque<Closing>,
    /// False after sound was waited for in vain, until some comes.
    wait_for_sound: bool,
    video_seen: bool,
    /// Pictures are being left out for want of an IDR picture or of a configuration.
    idle: Option<Idle>,
    lag: Option<Lag>,
    last_arrival: Option<WallTime>,
    newest: Ticks,
    stats: Stats,
    events: VecDeque<Event>,
}

impl Default for Cutter {
    fn default() -> Self {
        Self {
            config: None,
            next_config: None,
            metadata_rate: None,
            timeline: VideoTimeline::default(),
            sound: Sound::default(),
            state: State::Waiting,
            line: None,
            origin: WallTime(0),
            chain: 0,
            closing: VecDeque::new(),
            wait_for_sound: true,
            video_seen: false,
            idle: None,
            lag: None,
            last_arrival: None,
            newest: 0,
            stats: Stats::default(),
            events: VecDeque::new(),
        }
    }
}

impl Cutter {
    /// The next thing to say.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { sound: self.sound.stats(), ..self.stats }
    }

    /// How far the newest presentation time is ahead of the time that has passed since the first picture, in ticks; negative when it
    /// lags, 0 before the first picture.
    #[must_use]
    pub fn lead(&self, now: WallTime) -> Ticks {
        if self.line.is_none() { 0 } else { self.newest.saturating_sub(wall_ticks(self.origin, now)) }
    }

    /// The configuration that samples are to be read with.
    #[must_use]
    pub fn video_config(&self) -> Option<&Arc<video::Config>> {
        self.next_config.as_ref().or(self.config.as_ref())
    }

    /// The pictures' configuration; a changed one comes into force with the next IDR picture.
    pub fn configure_video(&mut self, config: video::Config) {
        self.video_seen = true;
        if self.video_config().is_none_or(|current| **current != config) {
            self.next_config = Some(Arc::new(config));
        } else if self.config.as_deref() == Some(&config) {
            self.next_config = None;
        }
    }

    /// The sound's configuration; a changed one comes into force with the next GOP.
    pub fn configure_audio(&mut self, config: audio::Config) {
        // Where the GOP that is being built starts: without a configuration, none that is complete waits for sound.
        self.sound.configure(config, self.chain);
    }

    /// The configuration that frames of sound are to be read with.
    #[must_use]
    pub fn audio_config(&self) -> Option<&audio::Config> {
        self.sound.config()
    }

    /// The frame rate that the metadata declares.
    pub fn declare_rate(&mut self, rate: Option<FrameRate>) {
        self.metadata_rate = rate;
    }

    /// The next picture.
    ///
    /// # Errors
    /// A fatal verdict, when the publish can't be cut: GOPs too long, open, or too large.
    pub fn picture(&mut self, picture: Picture) -> Result<(), Verdict> {
        self.video_seen = true;
        let composition =
            if picture.composition_ms.abs() <= COMPOSITION_MAX_MS { picture.composition_ms } else { 0 };
        let pts = picture.dts.saturating_add(i64::from(composition));
        self.settle(picture.arrival, picture.dts);
        if let Some(line) = self.line {
            self.newest = self.newest.max(line.at(picture.dts));
            self.watch_lag(line, &picture);
        }
        match picture.kind {
            SampleKind::Start => self.idr(picture, pts),
            _ => self.other(picture, pts),
        }
    }

    /// Keeps account of how long presentation has lagged without being caught up with.
    fn watch_lag(&mut self, line: Line, picture: &Picture) {
        let lag = wall_ticks(self.origin, picture.arrival).saturating_sub(line.at(picture.dts));
        let last = self.last_arrival.replace(picture.arrival).unwrap_or(picture.arrival);
        let stalled = picture.arrival.micros_since(last) >= STALL_MS * 1000;
        let lasting = self.lag.filter(|held| !stalled && lag > held.ticks.saturating_sub(CATCH_UP));
        self.lag = (lag > LAG_MAX).then_some(lasting.unwrap_or(Lag { since: picture.arrival, ticks: lag }));
    }

    fn idr(&mut self, picture: Picture, pts: Millis) -> Result<(), Verdict> {
        let changed = self.next_config.is_some();
        let Some(config) = self.next_config.take().or_else(|| self.config.clone()) else {
            return self.leave_out(&picture);
        };
        let mut goes_on = false;
        if let State::Pictures(gop) = &mut self.state {
            let length = pts.saturating_sub(gop.first());
            if !changed && length < GOP_MIN_MS {
                self.stats.pictures += 1;
                return gop.push(picture, pts);
            }
            let pause = picture.dts.saturating_sub(gop.last_decoded()) >= PAUSE_MS;
            goes_on = !pause && length <= GOP_MAX_MS + ROUNDING_MS;
        }
        self.idle = None;
        let line = match self.line {
            Some(line) => line,
            None => self.begin(Line { ms: pts, ticks: 0 }, picture.arrival),
        };
        let behind =
            self.lag.is_some_and(|lag| picture.arrival.micros_since(lag.since) >= LAG_SUSTAIN_MS * 1000);
        let by = wall_ticks(self.origin, picture.arrival).saturating_sub(line.at(pts));
        let reanchor = behind && by > 0;
        goes_on &= !reanchor;
        let first_ever = matches!(self.state, State::Waiting) && self.stats.pictures == 0;
        self.close_gop(goes_on.then_some(pts), line.at(pts).max(self.chain), picture.arrival, picture.dts);
        let mut start = self.chain;
        let mut breaks = false;
        if !goes_on {
            let line = if reanchor { self.reanchor(line, by) } else { line };
            start = line.at(pts).max(self.chain);
            breaks = !first_ever || start != self.chain;
        }
        if breaks || self.sound.changes() {
            self.flush_closing();
        }
        if self.sound.changes() {
            self.sound.change(self.line.unwrap_or(line), start, breaks);
        } else if breaks {
            self.sound.break_off(start);
        }
        if changed {
            self.timeline.reset();
            self.config = Some(config.clone());
        }
        self.timeline.declare(config.format().frame_rate, self.metadata_rate);
        self.stats.pictures += 1;
        self.chain = start;
        let mut gop = Building::new(config, start, breaks, picture.dts, pts);
        let result = gop.push(picture, pts);
        self.state = State::Pictures(gop);
        result
    }

    /// Moves the timeline forward by `by`, to wall-clock time; sound that belongs to what is closed does not move.
    fn reanchor(&mut self, line: Line, by: Ticks) -> Line {
        self.flush_closing();
        let line = line.shifted(by);
        self.line = Some(line);
        self.lag = None;
        self.sound.shift(by);
        self.stats.resets += 1;
        line
    }

    fn other(&mut self, picture: Picture, pts: Millis) -> Result<(), Verdict> {
        let State::Pictures(gop) = &mut self.state else { return self.leave_out(&picture) };
        let distance = picture.dts.saturating_sub(gop.last_decoded());
        let too_long = pts.saturating_sub(gop.first()) > GOP_MAX_MS + ROUNDING_MS;
        if distance >= PAUSE_MS || (too_long && distance >= GOP_MAX_MS / 10) {
            let chain = self.chain;
            self.close_gop(None, chain, picture.arrival, picture.dts);
            return self.leave_out(&picture);
        }
        if too_long {
            return Err(no_idr(gop.has_open_keyframes() || picture.claims_start()));
        }
        let leading = picture.kind == SampleKind::Leading && pts < gop.first();
        if leading || picture.kind == SampleKind::NoPicture {
            self.stats.left_out += 1;
            return Ok(());
        }
        self.stats.pictures += 1;
        // Nothing else is shown before the picture that starts a closed GOP: the stamp is wrong, and those after it refer to the picture.
        let pts = pts.max(gop.first());
        gop.push(picture, pts)
    }

    fn leave_out(&mut self, picture: &Picture) -> Result<(), Verdict> {
        self.stats.left_out += 1;
        let begun = Idle { since: picture.dts, arrival: picture.arrival, keyframe: false };
        let idle = self.idle.get_or_insert(begun);
        idle.keyframe |= picture.claims_start();
        let by_stamps = picture.dts.saturating_sub(idle.since);
        let lasted = by_stamps.max(picture.arrival.micros_since(idle.arrival) / 1000);
        let keyframe = idle.keyframe;
        if self.video_config().is_none() {
            return if lasted > CONFIG_WAIT_MS { Err(no_config()) } else { Ok(()) };
        }
        if by_stamps <= GOP_MAX_MS {
            return Ok(());
        }
        Err(if keyframe { no_idr(true) } else { no_keyframe() })
    }

    /// The next frame of sound.
    pub fn frame(&mut self, arrival: WallTime, ms: Millis, data: Bytes) {
        if self.sound.push(Arrived { ms, arrival, data }, self.line) {
            self.wait_for_sound = true;
        }
        if let Some(line) = self.line {
            self.newest = self.newest.max(line.at(ms));
        } else if !self.video_seen
            && let Some((first, span)) = self.sound.unplaced_span()
            && span >= SOUND_ONLY_AFTER_MS
        {
            let (line, arrival) = (Line { ms: first.ms, ticks: 0 }, first.arrival);
            self.begin(line, arrival);
            self.state = State::SoundOnly(0);
        }
        let last_picture = match &self.state {
            State::Waiting => self.line.map(|_| self.chain),
            State::Pictures(gop) => self.line.map(|line| line.at(gop.last_decoded())),
            State::SoundOnly(_) => None,
        };
        let paused = last_picture.map(|last| last.saturating_add(PAUSE_MS * TICKS_PER_MS));
        // Frames of a changed configuration have no place before it comes into force, which it does with a GOP.
        let heard = |from| {
            self.sound.covers(from)
                || (self.sound.changes() && self.line.is_some_and(|line| line.at(ms) >= from))
        };
        if paused.is_some_and(heard) {
            let chain = self.chain;
            self.close_gop(None, chain, arrival, ms);
            self.flush_closing();
            self.state = State::SoundOnly(self.chain);
        }
        self.settle(arrival, ms);
    }

    /// Lets time pass: a GOP that has waited long enough for its sound goes without.
    pub fn tick(&mut self, now: WallTime) {
        self.settle(now, Millis::MIN);
    }

    /// The publish is over: what there is comes out.
    pub fn finish(&mut self) {
        let until = if matches!(self.state, State::SoundOnly(_)) { EVER } else { self.chain };
        self.close_gop(None, until, WallTime(i64::MIN), Millis::MIN);
        self.flush_closing();
    }

    fn begin(&mut self, line: Line, arrival: WallTime) -> Line {
        self.line = Some(line);
        self.origin = arrival;
        self.events.push_back(Event::Began(arrival));
        self.sound.begin(line, 0);
        line
    }

    /// Closes the GOP being built, if any: `next` is the stamp of the IDR picture that goes on from it; sound before `until` or its end
    /// belongs to it. Moves the chain to its end.
    fn close_gop(&mut self, next: Option<Millis>, until: Ticks, arrival: WallTime, ms: Millis) {
        match std::mem::replace(&mut self.state, State::Waiting) {
            State::Waiting => {}
            State::Pictures(gop) => {
                let Some(line) = self.line else { return };
                let mut closing = gop.close(&mut self.timeline, line, next, (arrival, ms));
                self.chain = closing.end();
                closing.take_until(if next.is_some() { closing.end() } else { until.max(closing.end()) });
                self.closing.push_back(closing);
                self.settle(arrival, ms);
            }
            State::SoundOnly(start) => {
                self.sound_only(start, until);
            }
        }
    }

    /// Completes what has all its sound or has waited long enough for it.
    fn settle(&mut self, arrival: WallTime, ms: Millis) {
        while let Some(closing) = self.closing.pop_front() {
            let complete = !self.sound.expected() || self.sound.covers(closing.until());
            let room = self.closing.len() < CLOSING_MAX;
            if !complete && self.wait_for_sound && room && !closing.waited(arrival, ms, SOUND_WAIT_MS) {
                self.closing.push_front(closing);
                break;
            }
            self.wait_for_sound = complete;
            self.complete(closing);
        }
        while let State::SoundOnly(start) = self.state {
            let end = start.saturating_add(SOUND_ONLY_TICKS);
            if !self.sound.covers(end) && !self.sound.changes() {
                break;
            }
            self.sound_only(start, end);
            self.chain = end;
            self.state = State::SoundOnly(end);
            if let Some(line) = self.line.filter(|_| self.sound.changes()) {
                self.sound.change(line, start, true);
            }
        }
    }

    fn flush_closing(&mut self) {
        while let Some(closing) = self.closing.pop_front() {
            self.complete(closing);
        }
    }

    fn complete(&mut self, closing: Closing) {
        let taken = self.sound.take(closing.start(), Some(closing.end()), closing.until());
        self.events.push_back(Event::Gop(Box::new(closing.complete(taken))));
    }

    /// A chunk of sound alone.
    fn sound_only(&mut self, start: Ticks, until: Ticks) {
        if let Some(taken) = self.sound.take(start, None, until) {
            self.events.push_back(Event::Gop(Box::new(Gop {
                received: taken.received,
                discontinuity: taken.broken,
                video: None,
                audio: Some(taken.track),
                samples: taken.frames,
                silent: taken.silent,
            })));
        }
    }
}
