//! From what is found of each chunk to what is said of a stream: a state is said once when it begins, and once more when it is over, however
//! many chunks show it. Pure.
//!
//! Chunks come in the order of positions, as they are committed. A publish begins with a clean slate: what was wrong with the one before may be
//! mended.

use std::collections::VecDeque;

use media::{
    chunk::{Header, Transit},
    id::PublishNo,
    limits::Limits,
    time::{Ticks, VIDEO_TIMESCALE, WallTime},
    verdict::{Code, Verdict},
};

use super::core::Place;

/// A state is over when nothing showed it for so long, in ticks: 10 s, several GOPs, so that what comes and goes is said once.
const CLEAR_AFTER: Ticks = 900_000;
/// Without sound, or pictures, for so long, in ticks: 10 s. Scenes without a microphone are switched through faster.
const MISSING_MAX: Ticks = 900_000;
/// Over how much of the stream its arrival is measured, in ticks: 10 s, more than a burst of the network evens out.
const ARRIVAL_WINDOW: Ticks = 900_000;
/// By how many percent arriving may take longer than playing: 10 % are a second of delay more every 10 s.
const ARRIVAL_PERCENT_MAX: i64 = 110;
/// From how many percent on it is in order again.
const ARRIVAL_PERCENT_FINE: i64 = 103;
/// Over how much of the stream corrections of the sound are added up, in ticks: a minute.
const DRIFT_WINDOW: Ticks = 5_400_000;
/// Most corrections in that time, in ms. A sound card that is 0.1 % off needs 60; one of half a frame is not noticed, ten are.
const DRIFT_MS_MAX: u32 = 200;
/// Over how much of the stream its bit rate is measured, in ticks: 4 s at least, so that one scene change does not pass a limit.
const RATE_WINDOW: Ticks = 360_000;

/// What there is to know of a chunk beside its samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its publish.
    pub publish: PublishNo,
    /// Where it lies.
    pub place: Place,
    /// The timeline does not go on from the chunk before.
    pub discontinuity: bool,
    /// When its last byte reached the edge.
    pub received: WallTime,
    /// It has pictures.
    pub pictures: bool,
    /// It has sound that somebody sent.
    pub sound: bool,
    /// Bytes of its samples, without those of the chunk before.
    pub bytes: u64,
    /// What the edge saw.
    pub transit: Transit,
}

impl Facts {
    /// Of a chunk that lies at `place`.
    #[must_use]
    pub fn new(header: &Header, place: Place) -> Self {
        let transit = header.transit.unwrap_or_default();
        let sum = |sizes: &[u32]| sizes.iter().map(|size| u64::from(*size)).sum::<u64>();
        let (video, audio) = (header.video.as_ref(), header.audio.as_ref());
        let frames = audio.map_or(0, |audio| audio.sizes.len() - audio.lead().min(audio.sizes.len()));
        Self {
            publish: header.pos.publish,
            place,
            discontinuity: header.discontinuity,
            received: header.received,
            pictures: video.is_some(),
            sound: frames > usize::try_from(transit.silent).unwrap_or(usize::MAX),
            bytes: video.map_or(0, |video| sum(&video.sizes))
                + audio.map_or(0, |audio| sum(audio.sizes.get(audio.lead()..).unwrap_or_default())),
            transit,
        }
    }
}

/// Something to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A state has begun; with a fatal code, the publish must stop.
    Raised(Verdict),
    /// A state is over.
    Cleared(Code),
}

/// A chunk of the near past.
#[derive(Debug)]
struct Piece {
    start: Ticks,
    end: Ticks,
    /// From the chunk before's arrival to its own, in µs; `None` if it did not follow one.
    took: Option<i64>,
    bytes: u64,
    corrected_ms: u32,
}

/// Without sound, or without pictures.
#[derive(Debug, Default)]
struct Missing {
    /// There was some in this publish.
    had: bool,
    ticks: Ticks,
}

/// Judges one broadcast.
#[derive(Debug, Default)]
pub struct Judge {
    publish: Option<PublishNo>,
    /// States that were said and are not over, each with the end of the last chunk that showed it.
    active: Vec<(Code, Ticks)>,
    sound: Missing,
    pictures: Missing,
    last_arrival: Option<WallTime>,
    recent: VecDeque<Piece>,
}

impl Judge {
    /// Goes on where another encoder left: these states were said.
    #[must_use]
    pub fn resume(said: impl IntoIterator<Item = Code>) -> Self {
        Self { active: said.into_iter().map(|code| (code, Ticks::MIN)).collect(), ..Self::default() }
    }

    /// The next chunk, and what was found in it by itself.
    pub fn chunk(&mut self, facts: &Facts, found: &[Verdict], limits: &Limits) -> Vec<Said> {
        let mut said = Vec::new();
        if self.publish.replace(facts.publish) != Some(facts.publish) {
            let resumed = self.recent.is_empty() && self.last_arrival.is_none();
            if !resumed {
                said.extend(self.active.drain(..).map(|(code, _)| Said::Cleared(code)));
            }
            (self.sound, self.pictures, self.last_arrival) = (Missing::default(), Missing::default(), None);
            self.recent.clear();
        }
        for (_, last) in &mut self.active {
            // Taken over from another encoder: as if this chunk were the last that showed it.
            *last = if *last == Ticks::MIN { facts.place.end } else { *last };
        }
        self.remember(facts);
        let mut observed: Vec<Verdict> =
            found.iter().filter(|verdict| !verdict.code.is_fatal()).cloned().collect();
        self.transit(facts, &mut observed);
        self.missing(facts, &mut observed);
        self.over_time(limits, &mut observed);
        for verdict in observed {
            match self.active.iter_mut().find(|(code, _)| *code == verdict.code) {
                Some((_, last)) => *last = (*last).max(facts.place.end),
                None => {
                    self.active.push((verdict.code, facts.place.end));
                    said.push(Said::Raised(verdict));
                }
            }
        }
        self.active.retain(|(code, last)| {
            let wait = if matches!(code, Code::NoAudio | Code::NoVideo) { 0 } else { CLEAR_AFTER };
            let over = !code.is_fatal() && facts.place.end.saturating_sub(*last) > wait;
            if over {
                said.push(Said::Cleared(*code));
            }
            !over
        });
        said
    }

    fn remember(&mut self, facts: &Facts) {
        let Place { start, end } = facts.place;
        let took =
            self.last_arrival.filter(|_| !facts.discontinuity).map(|last| facts.received.micros_since(last));
        self.last_arrival = Some(facts.received);
        self.recent.push_back(Piece {
            start,
            end,
            took,
            bytes: facts.bytes,
            corrected_ms: facts.transit.corrected_ms,
        });
        // One GOP is at least half a second long, so that these are few.
        while self.recent.front().is_some_and(|piece| end.saturating_sub(piece.end) > DRIFT_WINDOW) {
            self.recent.pop_front();
        }
    }

    /// What the edge saw.
    fn transit(&self, facts: &Facts, out: &mut Vec<Verdict>) {
        let Transit { jumps, resets, damaged, .. } = facts.transit;
        if jumps > 0 {
            let message = "The stream's timestamps jumped; the timeline goes on in real time. If it happens again, check the encoder's load and its clock.";
            out.push(Verdict::new(Code::TimestampJump, message));
        }
        if resets > 0 {
            let message = "The stream fell behind real time for many seconds and was set to the present. Lower the bit rate, or check the upload and the encoder's load.";
            out.push(Verdict::new(Code::Starvation, message));
        }
        if damaged > 0 {
            let message = format!(
                "{damaged} messages arrived damaged and were left out. Check the encoder and the network."
            );
            out.push(Verdict::new(Code::VideoCorrupt, message));
        }
    }

    fn missing(&mut self, facts: &Facts, out: &mut Vec<Verdict>) {
        let length = facts.place.end.saturating_sub(facts.place.start);
        let mut watch = |missing: &mut Missing, here: bool, code, never: &str, lost: &str| {
            if here {
                *missing = Missing { had: true, ticks: 0 };
                return;
            }
            missing.ticks = missing.ticks.saturating_add(length);
            if missing.ticks >= MISSING_MAX {
                out.push(Verdict::new(code, if missing.had { lost } else { never }));
            }
        };
        watch(
            &mut self.sound,
            facts.sound,
            Code::NoAudio,
            "There has been no sound since the stream began. Add an audio source, and check that it is not on another track.",
            "The sound stopped; viewers hear silence. Check the microphone and the audio encoder.",
        );
        watch(
            &mut self.pictures,
            facts.pictures,
            Code::NoVideo,
            "There has been no picture since the stream began; viewers only hear it. Add a video source if that is not meant.",
            "The pictures stopped; viewers only hear the stream. Check the camera and the video encoder.",
        );
    }

    fn over_time(&self, limits: &Limits, out: &mut Vec<Verdict>) {
        let sum = |window: Ticks| {
            let newest = self.recent.back().map_or(0, |piece| piece.end);
            let within =
                self.recent.iter().rev().take_while(move |piece| newest.saturating_sub(piece.end) < window);
            within.collect::<Vec<_>>()
        };
        let length = |pieces: &[&Piece]| {
            pieces.iter().map(|piece| piece.end.saturating_sub(piece.start)).sum::<Ticks>()
        };

        let arrived = sum(ARRIVAL_WINDOW);
        let arrived: Vec<&Piece> = arrived.into_iter().take_while(|piece| piece.took.is_some()).collect();
        let (lasts, took) = (length(&arrived), arrived.iter().filter_map(|piece| piece.took).sum::<i64>());
        // Ticks to µs: by 100/9.
        let percent = took.saturating_mul(9) / lasts.max(1);
        let starving = self.active.iter().any(|(code, _)| *code == Code::Starvation);
        if lasts >= ARRIVAL_WINDOW * 9 / 10
            && percent >= if starving { ARRIVAL_PERCENT_FINE } else { ARRIVAL_PERCENT_MAX }
        {
            let message = format!(
                "The stream takes {percent} % of its length to arrive: viewers fall behind. Lower the bit rate, or check the upload and the encoder's load."
            );
            out.push(Verdict::new(Code::Starvation, message));
        }

        let corrected: u32 = sum(DRIFT_WINDOW).iter().map(|piece| piece.corrected_ms).sum();
        if corrected >= DRIFT_MS_MAX {
            let message = format!(
                "Sound and pictures do not keep the same time: {corrected} ms of sound had to be corrected within a minute. Set all audio devices to the same sample rate, 48 kHz."
            );
            out.push(Verdict::new(Code::AvDrift, message));
        }

        let recent = sum(RATE_WINDOW);
        let lasts = length(&recent);
        if lasts >= RATE_WINDOW / 2 {
            let bytes: u64 = recent.iter().map(|piece| piece.bytes).sum();
            let ticks = u64::try_from(lasts).unwrap_or(u64::MAX).max(1);
            let kbits = bytes.saturating_mul(8 * u64::from(VIDEO_TIMESCALE)) / ticks / 1000;
            out.extend(limits.check_bit_rate(kbits));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stream {
        judge: Judge,
        limits: Limits,
        at: Ticks,
        arrived: i64,
    }

    impl Stream {
        fn new() -> Self {
            Self { judge: Judge::default(), limits: Limits::default(), at: 0, arrived: 0 }
        }

        /// `chunks` of two seconds, as `change` makes them; what is said of each.
        fn send(&mut self, chunks: usize, change: impl Fn(&mut Facts)) -> Vec<(usize, Said)> {
            self.send_found(chunks, &[], change)
        }

        fn send_found(
            &mut self,
            chunks: usize,
            found: &[Verdict],
            change: impl Fn(&mut Facts),
        ) -> Vec<(usize, Said)> {
            let mut out = Vec::new();
            for n in 0..chunks {
                self.arrived += 2_000_000;
                let mut facts = Facts {
                    publish: PublishNo::FIRST,
                    place: Place { start: self.at, end: self.at + 180_000 },
                    discontinuity: false,
                    received: WallTime(self.arrived),
                    pictures: true,
                    sound: true,
                    bytes: 500_000,
                    transit: Transit::default(),
                };
                change(&mut facts);
                self.arrived = facts.received.0;
                self.at = facts.place.end;
                out.extend(self.judge.chunk(&facts, found, &self.limits).into_iter().map(|said| (n, said)));
            }
            out
        }
    }

    fn codes(said: &[(usize, Said)]) -> Vec<(usize, &'static str, bool)> {
        let of = |(n, said): &(usize, Said)| match said {
            Said::Raised(verdict) => (*n, verdict.code.as_str(), true),
            Said::Cleared(code) => (*n, code.as_str(), false),
        };
        said.iter().map(of).collect()
    }

    #[test]
    fn nothing_is_said_of_a_good_stream() {
        assert_eq!(Stream::new().send(1_000, |_| {}), []);
    }

    #[test]
    fn a_state_is_said_once_and_its_end_too() {
        let mut stream = Stream::new();
        let long = [Verdict::new(Code::GopLong, "long")];
        assert_eq!(codes(&stream.send_found(100, &long, |_| {})), [(0, "gop-long", true)]);
        // Now and then is the same state.
        for _ in 0..10 {
            assert_eq!(stream.send(4, |_| {}), []);
            assert_eq!(stream.send_found(1, &long, |_| {}), []);
        }
        assert_eq!(codes(&stream.send(20, |_| {})), [(5, "gop-long", false)]);
        assert_eq!(codes(&stream.send_found(1, &long, |_| {})), [(0, "gop-long", true)]);
    }

    #[test]
    fn sound_and_pictures_that_are_missing() {
        let mut stream = Stream::new();
        let said = stream.send(30, |facts| facts.sound = false);
        assert_eq!(codes(&said), [(4, "no-audio", true)]);
        assert!(
            matches!(&said[0].1, Said::Raised(verdict) if verdict.message.contains("since the stream began"))
        );
        assert_eq!(codes(&stream.send(3, |_| {})), [(0, "no-audio", false)]);
        let said = stream.send(30, |facts| facts.sound = false);
        assert!(matches!(&said[0], (4, Said::Raised(verdict)) if verdict.message.contains("stopped")));
        stream.send(1, |_| {});
        // A few seconds are nothing.
        assert_eq!(stream.send(4, |facts| facts.pictures = false), []);
        stream.send(1, |_| {});
        assert_eq!(codes(&stream.send(9, |facts| facts.pictures = false)), [(4, "no-video", true)]);
    }

    #[test]
    fn a_stream_that_arrives_slower_than_it_plays() {
        let slow = |facts: &mut Facts| facts.received = facts.received.plus_micros(250_000);
        let mut stream = Stream::new();
        assert_eq!(codes(&stream.send(30, slow)), [(5, "starvation", true)]);
        // A little too slow still is the same; then it is over, after a while.
        assert_eq!(stream.send(30, |facts| facts.received = facts.received.plus_micros(80_000)), []);
        let over = codes(&stream.send(30, |_| {}));
        assert!(matches!(over[..], [(5..=10, "starvation", false)]), "{over:?}");
        // A stall that is caught up with is none.
        let mut stream = Stream::new();
        stream.send(5, |_| {});
        assert_eq!(stream.send(1, |facts| facts.received = facts.received.plus_micros(900_000)), []);
        assert_eq!(stream.send(9, |facts| facts.received = facts.received.plus_micros(-100_000)), []);
    }

    #[test]
    fn what_the_edge_saw() {
        let mut stream = Stream::new();
        stream.send(3, |_| {});
        let said = stream.send(1, |facts| {
            facts.transit = Transit { jumps: 2, resets: 1, damaged: 3, ..Transit::default() };
        });
        assert_eq!(
            codes(&said),
            [(0, "timestamp-jump", true), (0, "starvation", true), (0, "video-corrupt", true)]
        );
        let mut stream = Stream::new();
        let said = stream.send(30, |facts| facts.transit.corrected_ms = 21);
        assert_eq!(codes(&said), [(9, "av-drift", true)]);
        assert_eq!(stream.send(100, |_| {}).len(), 1);
    }

    #[test]
    fn a_limit_of_the_live_is_fatal() {
        let mut stream = Stream::new();
        stream.limits.bit_rate = Some(2_000);
        assert_eq!(stream.send(10, |_| {}), []);
        // One large GOP is none too many.
        assert_eq!(stream.send(1, |facts| facts.bytes = 580_000), []);
        assert_eq!(stream.send(1, |_| {}), []);
        assert_eq!(codes(&stream.send(5, |facts| facts.bytes = 600_000)), [(1, "live-limit", true)]);
    }

    #[test]
    fn a_publish_begins_with_a_clean_slate_and_a_takeover_does_not() {
        let mut stream = Stream::new();
        let long = [Verdict::new(Code::GopLong, "long")];
        stream.send_found(3, &long, |_| {});
        let next = |facts: &mut Facts| facts.publish = PublishNo::FIRST.next();
        let said = codes(&stream.send_found(1, &long, next));
        assert_eq!(said, [(0, "gop-long", false), (0, "gop-long", true)]);

        stream.judge = Judge::resume([Code::GopLong]);
        assert_eq!(stream.send_found(3, &long, next), []);
        assert_eq!(codes(&stream.send(10, next)), [(5, "gop-long", false)]);
    }
}
