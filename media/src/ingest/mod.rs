//! From what an RTMP session yields to chunks: the facade over [`crate::flv`], [`crate::timeline`] and [`crate::gop`] for one publish.
//!
//! The contract: feed it ([`Assembler::video`], [`Assembler::audio`], [`Assembler::metadata`], [`Assembler::tick`], at last
//! [`Assembler::finish`]) and after each call drain [`Assembler::poll`]. The first output is [`Output::Start`]; chunks follow once
//! [`Assembler::started`] has told when the broadcast began. Chunks satisfy [`Chunk`]'s invariants and are numbered without holes.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::{
    audio,
    chunk::{AudioCodec, Chunk, Header, Transit, VideoCodec},
    flv::{self, FlvError},
    gop::{self, Cutter, Event, Gop, Picture},
    id::{BroadcastId, ChunkPos, ChunkSeq, LiveId, PublishNo},
    mp3,
    picture::SampleKind,
    time::{Ticks, VIDEO_TIMESCALE, WallTime, rescale},
    timeline::{Clock, Track, video::snap, wall_ticks},
    verdict::{Code, Verdict},
    video,
};

/// Most GOPs held while the broadcast's start is not known; then [`Assembler::blocked`] asks for a pause.
pub const PENDING_MAX: usize = 8;
/// Most bytes of parameter sets and SEI that came in tags of their own, kept for the next picture.
pub const PREFIX_MAX: usize = 64 << 10;

/// Time in µs in which nothing that arrives can be read, before the publish is ended: as long as an edge waits for pictures or sound.
pub const UNREADABLE_MAX_MICROS: i64 = 8_000_000;

/// Which publish the chunks are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The live.
    pub live: LiveId,
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// The publish.
    pub publish: PublishNo,
}

/// What an assembler has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The first picture (or sound) arrived then. Ask when the broadcast began, and answer with [`Assembler::started`].
    Start {
        /// By the edge's clock.
        first_frame: WallTime,
    },
    /// The next chunk.
    Chunk(Box<Chunk>),
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Tags that could not be read.
    pub damaged: u64,
    /// Times that the publisher's clock jumped.
    pub jumps: u64,
    /// What became of pictures and sound.
    pub gop: gop::Stats,
}

/// Makes the chunks of one publish.
pub struct Assembler {
    publish: Publish,
    clock: Clock,
    cutter: Cutter,
    prefix: BytesMut,
    /// A [`SampleKind::StartUnlessLed`]: whether it is depends on the picture after it.
    held: Option<Picture>,
    /// When relative time 0 arrived.
    began: Option<WallTime>,
    /// Presentation time of relative time 0.
    offset: Option<Ticks>,
    pending: VecDeque<Gop>,
    next: ChunkSeq,
    damaged: u64,
    /// Since when nothing has arrived but what can't be read.
    unreadable_since: Option<WallTime>,
    jumps: u64,
    /// What of it earlier chunks have told.
    told: Stats,
    outputs: VecDeque<Output>,
}

impl Assembler {
    /// An assembler for one publish.
    #[must_use]
    pub fn new(publish: Publish) -> Self {
        Self {
            publish,
            clock: Clock::default(),
            cutter: Cutter::default(),
            prefix: BytesMut::new(),
            held: None,
            began: None,
            offset: None,
            pending: VecDeque::new(),
            next: ChunkSeq::FIRST,
            damaged: 0,
            unreadable_since: None,
            jumps: 0,
            told: Stats::default(),
            outputs: VecDeque::new(),
        }
    }

    /// The next output.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { damaged: self.damaged, jumps: self.jumps, gop: self.cutter.stats() }
    }

    /// The position that the next chunk will have: as many have been put out.
    #[must_use]
    pub fn next_seq(&self) -> ChunkSeq {
        self.next
    }

    /// The caller should stop feeding until it has called [`Self::started`].
    #[must_use]
    pub fn blocked(&self) -> bool {
        self.pending.len() >= PENDING_MAX
    }

    /// How far media time is ahead of the time that has passed since the first picture, in µs; negative when it lags.
    #[must_use]
    pub fn lead_micros(&self, now: WallTime) -> i64 {
        rescale(self.cutter.lead(now), VIDEO_TIMESCALE, 1_000_000)
    }

    /// The frame rate that the metadata declares, in frames a second.
    pub fn metadata(&mut self, frame_rate: Option<f64>) {
        self.cutter.declare_rate(frame_rate.and_then(snap));
    }

    /// A video message.
    ///
    /// # Errors
    /// A fatal verdict; nothing but [`Self::finish`] makes sense afterwards.
    pub fn video(&mut self, arrival: WallTime, timestamp: u32, body: &Bytes) -> Result<(), Verdict> {
        let damaged = self.damaged;
        match flv::video(body) {
            Ok(flv::Video::Config { codec, record }) => {
                let config = video::Config::parse(codec, &record).map_err(|error| {
                    Verdict::new(
                        Code::VideoProfile,
                        format!("{error}; restart the stream or change the video encoder."),
                    )
                })?;
                self.release(None)?;
                if self.cutter.video_config().is_some_and(|now| now.codec() != codec) {
                    self.prefix.clear();
                }
                self.cutter.configure_video(config);
            }
            Ok(flv::Video::Picture { codec, keyframe, composition_ms, data, offset_ns: _ }) => {
                let dts = self.stamp(Track::Video, timestamp, arrival);
                let (kind, data) = self.picture(codec, data);
                if kind != SampleKind::NoPicture {
                    self.release(Some(kind))?;
                }
                let picture = Picture { arrival, dts, composition_ms, kind, keyframe, data };
                if kind == SampleKind::StartUnlessLed {
                    self.held = Some(picture);
                } else {
                    self.cutter.picture(picture)?;
                }
            }
            Ok(flv::Video::End | flv::Video::Nothing) => return Ok(()),
            Err(error) => self.fault(&error)?,
        }
        self.heard(arrival, self.damaged == damaged);
        self.drain();
        Ok(())
    }

    /// An audio message.
    ///
    /// # Errors
    /// A fatal verdict; nothing but [`Self::finish`] makes sense afterwards.
    pub fn audio(&mut self, arrival: WallTime, timestamp: u32, body: &Bytes) -> Result<(), Verdict> {
        let (damaged, mut configured) = (self.damaged, true);
        match flv::audio(body) {
            Ok(flv::Audio::Config { codec, record }) => {
                let config = audio::Config::parse(codec, &record).map_err(|error| error.verdict())?;
                self.cutter.configure_audio(config);
            }
            Ok(flv::Audio::Frame { codec: AudioCodec::Mp3, data }) => {
                let ms = self.stamp(Track::Audio, timestamp, arrival);
                self.mp3(arrival, ms, &data)?;
            }
            Ok(flv::Audio::Frame { codec, data }) => {
                let ms = self.stamp(Track::Audio, timestamp, arrival);
                configured = self.cutter.audio_config().is_some();
                if self.cutter.audio_config().is_none_or(|config| config.codec() == codec) {
                    self.cutter.frame(arrival, ms, data);
                } else {
                    // In a coding whose configuration has not come.
                    self.damaged += 1;
                }
            }
            Ok(flv::Audio::Nothing) => return Ok(()),
            Err(error) => self.fault(&error)?,
        }
        self.heard(arrival, configured && self.damaged == damaged);
        self.drain();
        Ok(())
    }

    /// Lets time pass; to be called now and then, also when nothing arrives.
    ///
    /// # Errors
    /// A fatal verdict: for [`UNREADABLE_MAX_MICROS`] nothing has arrived that can be read.
    pub fn tick(&mut self, now: WallTime) -> Result<(), Verdict> {
        self.cutter.tick(now);
        self.drain();
        let latest = self.unreadable_since.map(|since| since.plus_micros(UNREADABLE_MAX_MICROS));
        if latest.is_some_and(|latest| now >= latest) {
            let message = "What arrives can't be read as pictures or sound; check the encoder's codec settings, or update it.";
            return Err(Verdict::new(Code::Unreadable, message));
        }
        Ok(())
    }

    /// Takes note of a message that could, or could not, be read.
    fn heard(&mut self, arrival: WallTime, readable: bool) {
        if readable {
            self.unreadable_since = None;
        } else {
            self.unreadable_since.get_or_insert(arrival);
        }
    }

    /// The publish is over; what there is comes out.
    pub fn finish(&mut self) {
        // A verdict on the last picture comes too late to matter.
        let _ = self.release(None);
        self.cutter.finish();
        self.drain();
    }

    /// The answer to [`Output::Start`]: when presentation time 0 reached an edge, and the presentation time up to which earlier publishes have
    /// filled the timeline, if that is known.
    pub fn started(&mut self, availability_start: WallTime, not_before: Option<Ticks>) {
        let Some(began) = self.began else { return };
        let offset = wall_ticks(availability_start, began).max(not_before.unwrap_or(0)).max(0);
        self.offset.get_or_insert(offset);
        self.drain();
    }

    /// A message of MP3: its frames say themselves what they are.
    fn mp3(&mut self, arrival: WallTime, ms: i64, data: &Bytes) -> Result<(), Verdict> {
        let mut samples = 0u32;
        for (header, frame) in mp3::frames(data) {
            if let Ok(config) = mp3::Config::parse(&frame) {
                self.cutter.configure_audio(audio::Config::Mp3(config));
            }
            let offset = rescale(samples.into(), header.sample_rate, 1000);
            self.cutter.frame(arrival, ms.saturating_add(offset), frame);
            samples = samples.saturating_add(header.samples);
        }
        if samples == 0 {
            self.damaged += 1;
            if let Some(verdict) = mp3::Header::parse(data).err().and_then(mp3::Mp3Error::verdict) {
                return Err(verdict);
            }
        }
        Ok(())
    }

    fn stamp(&mut self, track: Track, timestamp: u32, arrival: WallTime) -> i64 {
        let stamp = self.clock.stamp(track, timestamp, arrival);
        self.jumps += u64::from(stamp.jumped);
        stamp.ms
    }

    /// Hands on the picture that was held until the next one came, of kind `next`: only that tells whether it starts a closed GOP.
    fn release(&mut self, next: Option<SampleKind>) -> Result<(), Verdict> {
        let Some(mut picture) = self.held.take() else { return Ok(()) };
        let led = next == Some(SampleKind::Leading);
        picture.kind = if led { SampleKind::OpenStart } else { SampleKind::Start };
        self.cutter.picture(picture)
    }

    /// Tells what a sample is. What came in tags of its own and is no picture goes before the picture that follows: parameter sets, SEI,
    /// hidden frames.
    fn picture(&mut self, codec: VideoCodec, data: Bytes) -> (SampleKind, Bytes) {
        let Some(config) = self.cutter.video_config() else {
            // The cutter leaves it out.
            return (SampleKind::Picture, data);
        };
        let kind = if config.codec() == codec { config.sample_kind(&data).ok() } else { None };
        match kind {
            // Damaged, or in a coding whose configuration has not come.
            None => {
                self.damaged += 1;
                (SampleKind::NoPicture, data)
            }
            Some(SampleKind::NoPicture) => {
                if self.prefix.len() + data.len() <= PREFIX_MAX {
                    self.prefix.extend_from_slice(&data);
                }
                (SampleKind::NoPicture, data)
            }
            Some(kind) if self.prefix.is_empty() => (kind, data),
            Some(kind) => {
                let mut whole = std::mem::take(&mut self.prefix);
                whole.extend_from_slice(&data);
                (kind, whole.freeze())
            }
        }
    }

    fn fault(&mut self, error: &FlvError) -> Result<(), Verdict> {
        if let Some(verdict) = error.verdict() {
            return Err(verdict);
        }
        self.damaged += 1;
        Ok(())
    }

    fn drain(&mut self) {
        while let Some(event) = self.cutter.poll() {
            match event {
                Event::Began(first_frame) => {
                    self.began = Some(first_frame);
                    self.outputs.push_back(Output::Start { first_frame });
                }
                Event::Gop(gop) => self.pending.push_back(*gop),
            }
        }
        while let Some(offset) = self.offset
            && let Some(gop) = self.pending.pop_front()
        {
            let chunk = self.chunk(gop, offset);
            self.outputs.push_back(Output::Chunk(Box::new(chunk)));
        }
    }

    /// What happened since the chunk before.
    fn transit(&mut self, silent: u32) -> Transit {
        let (now, told) = (self.stats(), self.told);
        self.told = now;
        let since = |now: u64, told: u64| u32::try_from(now.saturating_sub(told)).unwrap_or(u32::MAX);
        Transit {
            silent,
            jumps: since(now.jumps, told.jumps),
            resets: since(now.gop.resets, told.gop.resets),
            corrected_ms: since(now.gop.sound.corrected_ms, told.gop.sound.corrected_ms),
            damaged: since(now.damaged, told.damaged),
            left_out: since(now.gop.left_out, told.gop.left_out),
        }
    }

    fn chunk(&mut self, gop: Gop, offset: Ticks) -> Chunk {
        let transit = self.transit(gop.silent);
        let mut video = gop.video;
        if let Some(video) = &mut video {
            let times = [&mut video.start, &mut video.end];
            for time in times.into_iter().chain(&mut video.pts).chain(&mut video.dts) {
                *time = time.saturating_add(offset);
            }
        }
        let mut audio = gop.audio;
        if let Some(audio) = &mut audio {
            let offset = rescale(offset, VIDEO_TIMESCALE, audio.sample_rate);
            audio.start = audio.start.saturating_add(offset);
            audio.end = audio.end.saturating_add(offset);
        }
        let mut payload = BytesMut::with_capacity(gop.samples.iter().map(Bytes::len).sum());
        for sample in &gop.samples {
            payload.extend_from_slice(sample);
        }
        let pos = ChunkPos { publish: self.publish.publish, seq: self.next };
        let returned = self.next == ChunkSeq::FIRST && self.publish.publish > PublishNo::FIRST;
        self.next = self.next.next();
        Chunk {
            header: Header {
                live: self.publish.live.clone(),
                broadcast: self.publish.broadcast.clone(),
                pos,
                received: gop.received,
                discontinuity: gop.discontinuity || returned,
                transit: Some(transit),
                video,
                audio,
            },
            payload: payload.freeze(),
        }
    }
}

#[cfg(test)]
mod tests;
