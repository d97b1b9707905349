//! A publisher to test with: makes FLV tag bodies, feeds them, and checks every chunk that comes out and the chain they form.

use std::ops::Range;

use super::super::*;

/// 1280×720, x264's defaults, and 1920×1080.
pub(super) const P720: &str =
    "0164001fffe1001a6764001facd9405005bb0110000003001000000303c0f183196001000468ef8fcbfdf8f800";
pub(super) const P1080: &str =
    "01640028ffe1001d67640028acd940780227e5c05b808080a000007d20001d4c01e30632c001000668ebe3cb22c0fdf8f800";

pub(super) fn at(ms: i64) -> WallTime {
    WallTime(1_700_000_000_000_000 + ms * 1000)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Video,
    Audio,
}

pub(super) struct Feed {
    pub(super) assembler: Assembler,
    pub(super) chunks: Vec<Chunk>,
    pub(super) verdict: Option<Verdict>,
    /// 0 for no sound.
    pub(super) sample_rate: i64,
    pub(super) record: &'static str,
    /// Added to every stamp.
    pub(super) base: i64,
    /// Added to every arrival.
    pub(super) late: i64,
    pub(super) now: i64,
    pub(super) drop_sound: Option<Range<i64>>,
    pub(super) drop_pictures: bool,
    pub(super) false_keyframes: bool,
    pub(super) availability_start: WallTime,
    pub(super) not_before: Option<Ticks>,
    pub(super) answer: bool,
    /// Most chunks kept.
    pub(super) keep: usize,
    /// Stamps are such that pictures and sound must stay together.
    pub(super) orderly: bool,
    configured: bool,
    previous: Option<Header>,
    count: u32,
}

impl Feed {
    pub(super) fn new(sample_rate: i64) -> Self {
        Self::publish(1, sample_rate)
    }

    pub(super) fn publish(number: u32, sample_rate: i64) -> Self {
        let publish = Publish {
            live: "demo".parse().unwrap(),
            broadcast: BroadcastId::new(1_700_000_000_001, [0; 10]),
            publish: PublishNo::new(number).unwrap(),
        };
        Self {
            assembler: Assembler::new(publish),
            chunks: Vec::new(),
            verdict: None,
            sample_rate,
            record: P720,
            base: 1_000,
            late: 0,
            now: 0,
            drop_sound: None,
            drop_pictures: false,
            false_keyframes: false,
            availability_start: at(0),
            not_before: None,
            answer: true,
            keep: usize::MAX,
            orderly: true,
            configured: false,
            previous: None,
            count: 0,
        }
    }

    /// 30 frames a second with a B-frame between any two others and an IDR picture every `gop` ms, and sound, from where the last show
    /// ended to `until`.
    pub(super) fn show(&mut self, until: i64, gop: i64) {
        if !self.configured {
            self.configured = true;
            self.configure_video();
            self.configure_audio();
        }
        let due = |frame: i64| (frame * 1000 + 15) / 30;
        let frames_per_gop = (gop * 30 / 1000).max(1);
        let mut frame = (self.now * 30 + 999) / 1000;
        let mut sound = if self.sample_rate == 0 {
            i64::MAX
        } else {
            (self.now * self.sample_rate + 1_023_999) / 1_024_000
        };
        while due(frame) < until {
            let now = due(frame);
            while sound != i64::MAX && sound * 1_024_000 / self.sample_rate <= now {
                let ms = sound * 1_024_000 / self.sample_rate;
                if ms < until && !self.drop_sound.as_ref().is_some_and(|dropped| dropped.contains(&ms)) {
                    self.sound_at(ms, now);
                }
                sound += 1;
            }
            if !self.drop_pictures {
                // Decode order I P B P B…: in each pair after the IDR picture, the later one is decoded first.
                let place = frame % frames_per_gop;
                let last = frames_per_gop - 1;
                let shown = match place {
                    0 => frame,
                    n if n == last && n % 2 == 1 => frame,
                    n if n % 2 == 1 => frame + 1,
                    _ => frame - 1,
                };
                // Decoded one frame before the IDR picture is shown.
                self.picture_at(due(frame) - 33, now, due(shown) - due(frame) + 33, place == 0);
            }
            frame += 1;
        }
        self.now = until;
    }

    pub(super) fn configure_video(&mut self) {
        let mut body = vec![0x17, 0, 0, 0, 0];
        body.extend(hex::decode(self.record).unwrap());
        self.raw(at(self.now), Kind::Video, self.now, body);
    }

    pub(super) fn configure_audio(&mut self) {
        match self.sample_rate {
            0 => {}
            44_100 => self.raw(at(self.now), Kind::Audio, self.now, vec![0xaf, 0, 0x12, 0x10]),
            96_000 => self.raw(at(self.now), Kind::Audio, self.now, vec![0xaf, 0, 0x10, 0x10]),
            _ => self.raw(at(self.now), Kind::Audio, self.now, vec![0xaf, 0, 0x11, 0x90]),
        }
    }

    pub(super) fn picture_at(&mut self, dts: i64, arrival: i64, composition: i64, idr: bool) {
        let composition = i32::try_from(composition).unwrap().to_be_bytes();
        let keyframe = idr || (self.false_keyframes && dts % 2_000 < 30);
        let mut body = vec![if keyframe { 0x17 } else { 0x27 }, 1];
        body.extend(&composition[1..]);
        body.extend([0, 0, 0, 3, if idr { 0x65 } else { 0x41 }, 0x88, 0x80]);
        self.raw(at(arrival), Kind::Video, dts, body);
    }

    pub(super) fn sound_at(&mut self, ms: i64, arrival: i64) {
        self.raw(at(arrival), Kind::Audio, ms, vec![0xaf, 1, 0x21, 7]);
    }

    pub(super) fn raw(&mut self, arrival: WallTime, kind: Kind, ms: i64, body: Vec<u8>) {
        if self.verdict.is_some() {
            return;
        }
        let stamp = u32::try_from((ms + self.base).rem_euclid(1 << 32)).unwrap();
        let arrival = arrival.plus_micros(self.late * 1000);
        let body = Bytes::from(body);
        let result = match kind {
            Kind::Video => self.assembler.video(arrival, stamp, &body),
            Kind::Audio => self.assembler.audio(arrival, stamp, &body),
        };
        self.verdict = result.err();
        self.drain();
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.assembler.poll() {
            match output {
                Output::Start { .. } if self.answer => {
                    self.assembler.started(self.availability_start, self.not_before);
                }
                Output::Start { .. } => {}
                Output::Chunk(chunk) => self.check(*chunk),
            }
        }
    }

    pub(super) fn end(&mut self) -> Vec<Chunk> {
        self.assembler.finish();
        self.drain();
        std::mem::take(&mut self.chunks)
    }

    /// What must hold for every chunk, and for every two in a row.
    fn check(&mut self, chunk: Chunk) {
        let bytes = chunk.encode().expect("every chunk encodes");
        if self.count < 50 {
            assert_eq!(Chunk::decode(&bytes).unwrap(), chunk);
        }
        let header = &chunk.header;
        assert_eq!(header.pos.seq, ChunkSeq(self.count));
        assert!(header.received >= at(-1), "{:?}", header.received);
        if let Some(previous) = &self.previous {
            if let (Some(a), Some(b)) = (&previous.video, &header.video) {
                assert!(b.start >= a.end, "{} starts before {}", b.start, a.end);
                assert!(b.start == a.end || header.discontinuity, "{} → {}", a.end, b.start);
            }
            if let (Some(a), Some(b)) = (&previous.audio, &header.audio)
                && a.sample_rate == b.sample_rate
            {
                assert!(b.start >= a.end, "sound: {} starts before {}", b.start, a.end);
                assert!(b.start == a.end || header.discontinuity, "sound: {} → {}", a.end, b.start);
            }
            // A GOP shorter than two frames of sound may lie within one; stray stamps may put sound into the next.
            let may_lack = !self.orderly
                || header.video.as_ref().is_some_and(|video| video.end - video.start < 2 * 2090);
            assert!(previous.audio.is_none() || header.audio.is_some() || may_lack, "sound is gone");
        }
        if let (Some(video), Some(audio), true) = (&header.video, &header.audio, self.orderly) {
            let start = rescale(audio.start, audio.sample_rate, 90_000);
            assert!(
                (start - video.start).abs() <= 90_000,
                "sound starts at {start}, pictures at {}",
                video.start
            );
        }
        self.previous = Some(header.clone());
        self.count += 1;
        self.chunks.push(chunk);
        if self.chunks.len() > self.keep {
            self.chunks.remove(0);
        }
    }
}
