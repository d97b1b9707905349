//! Any legal behaviour of timestamps gives contiguous, exact ranges of ticks: pictures at a constant rate (rounded or cut to milliseconds, with
//! B-frames, dropped frames, a change of rate), or at a variable one; sound of any rate that comes early or late; arrivals in bursts; a clock
//! that wraps. [`Feed`] checks that every chunk goes on where the one before ended; here is checked where that is.

use proptest::prelude::*;

use super::{super::Chunk, support::*};
use crate::time::{FrameRate, Ticks};

const RATES: [(u32, u32); 8] =
    [(24_000, 1001), (24, 1), (25, 1), (30_000, 1001), (30, 1), (50, 1), (60_000, 1001), (60, 1)];
/// 1280×720, baseline profile, without a word on the frame rate.
const NO_RATE: &str = "0142001fffe100096742001fda014016e401000468ce3880";
/// Samples of a frame of sound.
const FRAME: i64 = 1024;

/// What a publisher does with its clocks.
#[derive(Debug, Clone)]
struct Habits {
    rate: FrameRate,
    /// Frames of a GOP, and B-frames between reference frames.
    gop: i64,
    b_frames: i64,
    /// Stamps are cut to milliseconds, instead of rounded.
    cut: bool,
    /// The metadata tells the rate.
    declared: bool,
    /// Jitter of each picture's stamp in ms, taken in turn; empty for a constant rate.
    jitter: Vec<i64>,
    /// Of so many pictures one is never sent (never a GOP's first); 0: all are.
    dropped: i64,
    sample_rate: i64,
    /// How much later than its stamp sound arrives, in ms.
    sound_late: i64,
    /// Nothing arrives during the first so many ms of every so many.
    hold: (i64, i64),
    base: i64,
}

/// The clocks' state: what has been sent.
struct Sent {
    /// Where the next picture is due, in ms, if the rate changes there.
    from_ms: i64,
    sound: i64,
    arrival: i64,
}

impl Habits {
    fn ms(&self, frames: i64) -> i64 {
        let (num, den) = (i64::from(self.rate.num), i64::from(self.rate.den));
        if self.cut {
            (frames * den * 1000).div_euclid(num)
        } else {
            (frames * den * 2000 + num).div_euclid(num * 2)
        }
    }

    /// Frames of a GOP that begins at `first` in decode order.
    fn order(&self, first: i64) -> Vec<i64> {
        let (mut order, mut shown) = (vec![first], first + 1);
        while shown < first + self.gop {
            let reference = (shown + self.b_frames).min(first + self.gop - 1);
            order.push(reference);
            order.extend(shown..reference);
            shown = reference + 1;
        }
        order
    }

    /// Sends `gops` GOPs.
    fn send(&self, feed: &mut Feed, gops: i64, sent: &mut Sent) {
        let lead = i64::from(self.b_frames > 0);
        let mut pictures = Vec::new();
        for n in 0..gops {
            let first = n * self.gop;
            for (decoded, frame) in (first..).zip(self.order(first)) {
                let jitter = self.jitter.get(usize::try_from(frame).unwrap() % self.jitter.len().max(1));
                // The first of a show is where all is counted from.
                let jitter = if frame == 0 { 0 } else { jitter.copied().unwrap_or(0) };
                let is_dropped = self.dropped > 0 && frame % self.dropped == 1 && frame != first;
                let dts = sent.from_ms + self.ms(decoded - lead);
                let pts = dts + self.ms(frame - (decoded - lead)) + jitter;
                if !is_dropped {
                    pictures.push((sent.from_ms + self.ms(decoded), dts, pts - dts, frame == first));
                }
            }
        }
        let end = sent.from_ms + self.ms(gops * self.gop);
        let mut pictures = pictures.into_iter().peekable();
        loop {
            let stamp = sent.sound * FRAME * 1000 / self.sample_rate;
            let sound_due = if stamp < end { Some(stamp + self.sound_late) } else { None };
            match (pictures.peek(), sound_due) {
                (Some(&(due, dts, composition, idr)), sound) if sound.is_none_or(|sound| due <= sound) => {
                    feed.picture_at(dts, self.arrival(due, sent), composition, idr);
                    pictures.next();
                }
                (_, Some(due)) => {
                    feed.sound_at(stamp, self.arrival(due, sent));
                    sent.sound += 1;
                }
                (None, None) => break,
                (Some(_), None) => unreachable!("taken above"),
            }
        }
        sent.from_ms = end;
    }

    fn arrival(&self, due: i64, sent: &mut Sent) -> i64 {
        let (held, every) = self.hold;
        let late = if due.rem_euclid(every) < held { held - due.rem_euclid(every) } else { 0 };
        // Arrivals never go back.
        sent.arrival = sent.arrival.max(due + late);
        sent.arrival
    }

    fn begin(&self, feed: &mut Feed) -> Sent {
        feed.base = self.base;
        // The broadcast begins when its first picture arrives.
        feed.availability_start = at(self.hold.0);
        if self.declared {
            feed.assembler.metadata(Some(self.rate.fps()));
        }
        feed.record = NO_RATE;
        feed.configure_video();
        feed.configure_audio();
        Sent { from_ms: 0, sound: 0, arrival: 0 }
    }
}

fn habits() -> impl Strategy<Value = Habits> {
    let shape = (prop::sample::select(&RATES[..]), 20..35i64, 0..4i64, any::<bool>());
    let sound = (prop::sample::select(vec![44_100i64, 48_000]), 0..900i64);
    let hold = prop_oneof![Just((0, 1)), (1..1_000i64, 1_500..9_000i64)];
    let base = prop_oneof![Just(0), Just((1i64 << 32) - 3_000), Just((1i64 << 31) - 3_000), 0..1i64 << 32];
    (shape, sound, hold, base).prop_map(
        |((rate, tenths, b_frames, cut), (sample_rate, sound_late), hold, base)| {
            let rate = FrameRate { num: rate.0, den: rate.1 };
            Habits {
                rate,
                gop: i64::from(rate.num) * tenths / (i64::from(rate.den) * 10),
                b_frames,
                cut,
                declared: true,
                jitter: Vec::new(),
                dropped: 0,
                sample_rate,
                sound_late,
                hold,
                base,
            }
        },
    )
}

/// Sound is counted: every frame has its length, and a chunk's begins with the first frame that does not begin before its pictures do.
fn sound_is_exact(chunks: &[Chunk], sample_rate: i64) {
    for (n, chunk) in chunks.iter().enumerate() {
        let (video, audio) = (chunk.header.video.as_ref().unwrap(), chunk.header.audio.as_ref().unwrap());
        assert!(audio.durations.iter().all(|duration| i64::from(*duration) == FRAME), "chunk {n}");
        let first = chunks[0].header.audio.as_ref().unwrap();
        assert_eq!((audio.start - first.start) % FRAME, 0, "chunk {n}");
        let after = audio.start * 90_000 - video.start * sample_rate;
        let frame = FRAME * 90_000;
        assert!((-frame..frame).contains(&after), "chunk {n}: sound is {after} units after its pictures");
    }
}

fn total_frames(chunks: &[Chunk]) -> usize {
    chunks.iter().map(|chunk| chunk.header.video.as_ref().unwrap().sizes.len()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_constant_rate_is_exact(habits in habits(), gops in 3..8i64, dropped in prop_oneof![2 => Just(0), 1 => 7..40i64]) {
        let habits = Habits { dropped, ..habits };
        let mut feed = Feed::new(habits.sample_rate);
        let mut sent = habits.begin(&mut feed);
        habits.send(&mut feed, gops, &mut sent);
        let chunks = feed.end();
        prop_assert_eq!(chunks.len(), usize::try_from(gops).unwrap());
        prop_assert_eq!(feed.assembler.stats().jumps, 0);
        for (n, chunk) in (0i64..).zip(&chunks) {
            let video = chunk.header.video.as_ref().unwrap();
            prop_assert_eq!(video.frame_rate, Some(habits.rate), "GOP {}", n);
            let first = n * habits.gop;
            let kept = |frame: &i64| !(habits.dropped > 0 && *frame % habits.dropped == 1 && *frame != first);
            let expected: Vec<Ticks> =
                habits.order(first).into_iter().filter(kept).map(|frame| habits.rate.ticks(frame)).collect();
            prop_assert_eq!(&video.pts, &expected, "GOP {}", n);
            if n + 1 < gops {
                prop_assert_eq!(video.end, habits.rate.ticks(first + habits.gop), "GOP {}", n);
            }
        }
        sound_is_exact(&chunks, habits.sample_rate);
    }

    #[test]
    fn a_variable_rate_is_kept_to_the_millisecond(
        habits in habits(),
        gops in 3..7i64,
        jitter in prop::collection::vec(-12..12i64, 5..30),
    ) {
        // At 60 frames a second they are 16 ms apart; the order stays.
        let slow = habits.rate.fps() < 35.0;
        let jitter = jitter.into_iter().map(|ms| if slow { ms } else { ms / 3 }).collect();
        let habits = Habits { jitter, declared: false, ..habits };
        let mut feed = Feed::new(habits.sample_rate);
        let mut sent = habits.begin(&mut feed);
        habits.send(&mut feed, gops, &mut sent);
        let chunks = feed.end();
        prop_assert_eq!(total_frames(&chunks), usize::try_from(gops * habits.gop).unwrap());
        for chunk in &chunks {
            let video = chunk.header.video.as_ref().unwrap();
            for pts in &video.pts {
                // The nearest frame's time, and the jitter, and what a grid may be off its stamps.
                let frame = pts * i64::from(habits.rate.num) / (90_000 * i64::from(habits.rate.den));
                let off = [frame, frame + 1].map(|frame| (habits.rate.ticks(frame) - pts).abs());
                prop_assert!(off[0].min(off[1]) <= (12 + 5) * 90, "{} is off by {:?}", pts, off);
            }
        }
        sound_is_exact(&chunks, habits.sample_rate);
    }

    #[test]
    fn a_change_of_rate_leaves_no_seam(habits in habits(), to in prop::sample::select(&RATES[..]), gops in 2..5i64) {
        let mut feed = Feed::new(habits.sample_rate);
        let mut sent = habits.begin(&mut feed);
        habits.send(&mut feed, gops, &mut sent);
        let rate = FrameRate { num: to.0, den: to.1 };
        let after = Habits { rate, gop: i64::from(to.0 / to.1) * 2, ..habits.clone() };
        let border = sent.from_ms;
        after.send(&mut feed, 3, &mut sent);
        let chunks = feed.end();
        prop_assert_eq!(total_frames(&chunks), usize::try_from(gops * habits.gop + 3 * after.gop).unwrap());
        let last = chunks.last().unwrap().header.video.as_ref().unwrap();
        let off = last.start - (border + after.ms(2 * after.gop)) * 90;
        prop_assert!(off.abs() <= 4 * 90, "{} ticks after the change the grid is off", off);
        sound_is_exact(&chunks, habits.sample_rate);
    }
}

/// Hours of 29.97 frames a second beside 44.1 kHz, the clock wrapping on the way: not a tick and not a sample of drift.
#[test]
fn hours_do_not_drift() {
    let rate = FrameRate { num: 30_000, den: 1001 };
    let habits = Habits {
        rate,
        // As many pictures and frames of sound as ever, in fewer chunks to check.
        gop: 240,
        b_frames: 2,
        cut: false,
        declared: true,
        jitter: Vec::new(),
        dropped: 0,
        sample_rate: 44_100,
        sound_late: 300,
        hold: (0, 1),
        base: (1 << 32) - 100_000,
    };
    let mut feed = Feed::new(habits.sample_rate);
    feed.keep = 2;
    let mut sent = habits.begin(&mut feed);
    let gops = 3 * 3600 * i64::from(rate.num) / i64::from(rate.den) / habits.gop;
    habits.send(&mut feed, gops, &mut sent);
    let chunks = feed.end();
    let last = &chunks.last().unwrap().header;
    assert_eq!(last.video.as_ref().unwrap().start, rate.ticks((gops - 1) * habits.gop));
    assert_eq!(last.audio.as_ref().unwrap().start % FRAME, 0);
    sound_is_exact(&chunks, habits.sample_rate);
    assert_eq!(feed.assembler.stats().gop.sound.left_out, 0);
}
