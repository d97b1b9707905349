//! Positions of sound: counted in samples from the first frame, since stamps of milliseconds can't say where 1024 samples end.
//!
//! The first frame's own stamp may be wrong: some publishers stamp their first two frames alike. So the count is anchored where most frames
//! of the beginning say ([`ANCHOR_MS`]).
//!
//! Counting and stamps part when frames were lost or when the publisher's sound card does not keep its nominal rate. Only when the
//! difference passes what a viewer could notice is the count corrected: a hole is filled with frames of silence, an overlap
//! makes frames be left out. The chain of positions never breaks.

use super::{JUMP_GOES_ON_MAX_MS, Line, Millis};
use crate::time::{Ticks, VIDEO_TIMESCALE, rescale};

/// How far the count may be from the stamps, in ms: EBU R 37 allows sound to be 40 ms early and 60 ms late.
pub const DRIFT_MAX_MS: i64 = 40;
/// How long it must stay further away to be corrected, in ms of stamps: jitter of a phone's capture clock passes sooner.
pub const DRIFT_SUSTAIN_MS: i64 = 1_000;
/// How far away it is corrected at once, in ms: frames are missing, or come twice. ITU-R BT.1359 finds 125 ms unmistakable.
pub const DRIFT_AT_ONCE_MS: i64 = 125;

/// The longest hole that one frame may leave before itself, in ms: what a jump goes on by. A longer one, of frames that could not be used, is
/// made up for over the frames that follow it, so that no frame brings more silence at once.
const HOLE_MAX_MS: i64 = JUMP_GOES_ON_MAX_MS;

/// How much sound decides where the count begins, in ms: less than the shortest GOP, so that no sound has gone on its way before.
pub const ANCHOR_MS: i64 = 400;
/// How far the stamps of the beginning may be from the count for it to stay where it is, in ms: they are rounded, or cut.
pub const ANCHOR_OFF_MS: i64 = 5;
/// Most stamps that decide: of [`ANCHOR_MS`] in the shortest packets of Opus.
const ANCHOR_FRAMES_MAX: usize = 160;

/// Where a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Nowhere: it comes too late, or is from before the first picture.
    LeftOut,
    /// At `position`, after `silence` samples (0, or at least one frame) that fill a hole before it.
    At {
        /// Presentation time in samples.
        position: Ticks,
        /// Length of the hole before it, in samples.
        silence: Ticks,
    },
}

/// The count of one track of sound.
#[derive(Debug)]
pub struct AudioTimeline {
    rate: u32,
    /// The first frame ends after this position…
    from: Ticks,
    /// …and does not begin before this one.
    floor: Ticks,
    next: Option<Ticks>,
    off_since: Option<Millis>,
    leaving_out: bool,
    /// How far the stamps since the anchor are from the count, in samples, until they have decided.
    anchoring: Option<Anchoring>,
}

/// The frames of the beginning.
#[derive(Debug, Default)]
struct Anchoring {
    offsets: Vec<Ticks>,
    samples: Ticks,
}

impl AudioTimeline {
    /// A count that begins with the first frame that ends after `from` and does not begin before `floor`, in samples.
    #[must_use]
    pub fn new(rate: u32, from: Ticks, floor: Ticks) -> Self {
        let anchoring = Some(Anchoring::default());
        Self { rate, from, floor, next: None, off_since: None, leaving_out: false, anchoring }
    }

    /// A count that goes on at a position, in samples.
    #[must_use]
    pub fn going_on(rate: u32, at: Ticks) -> Self {
        Self { next: Some(at), anchoring: None, ..Self::new(rate, at, at) }
    }

    /// Where the next frame would go, in samples; `None` before the first.
    #[must_use]
    pub fn next(&self) -> Option<Ticks> {
        self.next
    }

    /// Finds the position of a frame of `samples` stamped `ms`.
    pub fn place(&mut self, line: Line, ms: Millis, samples: u32) -> Placement {
        let frame = Ticks::from(samples);
        let stamped = rescale(line.at(ms), VIDEO_TIMESCALE, self.rate);
        let Some(next) = self.next else {
            if !self.admits(stamped, samples) {
                return Placement::LeftOut;
            }
            self.next = Some(stamped.saturating_add(frame));
            self.observe(0, frame);
            return Placement::At { position: stamped, silence: 0 };
        };
        let off = stamped.saturating_sub(next);
        if self.leaving_out && off < -frame / 2 {
            return Placement::LeftOut;
        }
        self.leaving_out = false;
        let bound = |ms: i64| rescale(ms, 1000, self.rate).max(frame);
        if off.abs() <= bound(DRIFT_MAX_MS) {
            self.off_since = None;
        } else {
            let since = *self.off_since.get_or_insert(ms);
            if off.abs() >= bound(DRIFT_AT_ONCE_MS) || ms.saturating_sub(since) >= DRIFT_SUSTAIN_MS {
                self.off_since = None;
                if off < 0 {
                    self.leaving_out = true;
                    return Placement::LeftOut;
                }
                self.anchoring = None;
                let silence = off.min(bound(HOLE_MAX_MS));
                let position = next.saturating_add(silence);
                self.next = Some(position.saturating_add(frame));
                return Placement::At { position, silence };
            }
        }
        self.observe(off, frame);
        self.next = Some(next.saturating_add(frame));
        Placement::At { position: next, silence: 0 }
    }

    fn observe(&mut self, off: Ticks, frame: Ticks) {
        if let Some(anchoring) = &mut self.anchoring {
            anchoring.offsets.push(off);
            anchoring.samples = anchoring.samples.saturating_add(frame);
        }
    }

    /// By how many samples everything counted so far must move, when the sound of the beginning is complete: asked after each frame, answered
    /// once at most. What has been given away meanwhile keeps the count where it is; then [`Self::anchored`] is to be called.
    pub fn settle(&mut self) -> Option<Ticks> {
        let complete = self.anchoring.as_ref().is_some_and(|anchoring| {
            anchoring.samples >= rescale(ANCHOR_MS, 1000, self.rate)
                || anchoring.offsets.len() >= ANCHOR_FRAMES_MAX
        });
        let mut offsets = if complete { self.anchoring.take()?.offsets } else { return None };
        let middle = offsets.len() / 2;
        let (_, median, _) = offsets.select_nth_unstable(middle);
        let (median, next) = (*median, self.next?);
        if median.abs() <= rescale(ANCHOR_OFF_MS, 1000, self.rate) {
            return None;
        }
        self.next = Some(next.saturating_add(median));
        Some(median)
    }

    /// Whether a frame at `position` is of the time that is counted.
    #[must_use]
    pub fn admits(&self, position: Ticks, samples: u32) -> bool {
        position.saturating_add(Ticks::from(samples)) > self.from && position >= self.floor
    }

    /// The count stays where it is.
    pub fn anchored(&mut self) {
        self.anchoring = None;
    }

    /// Goes on at `position`, what is before it having been filled or moved.
    pub fn skip_to(&mut self, position: Ticks) {
        self.next = Some(position);
        self.off_since = None;
        self.anchoring = None;
    }
}

/// The durations of frames of silence that fill a hole of `samples`: whole frames of `frame`, the last as much longer as it takes. Empty for a
/// hole shorter than a frame.
#[must_use]
pub fn silence(samples: Ticks, frame: u32) -> Vec<u32> {
    let length = Ticks::from(frame.max(1));
    let whole = usize::try_from(samples / length).unwrap_or(0);
    let mut out = vec![frame; whole];
    if let Some(last) = out.last_mut() {
        *last += u32::try_from(samples % length).unwrap_or(0);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Line = Line { ms: 0, ticks: 0 };

    fn at(position: Ticks) -> Placement {
        Placement::At { position, silence: 0 }
    }

    #[test]
    fn twelve_hours_of_rounded_stamps_are_counted_exactly() {
        for rate in [44_100i64, 48_000, 22_050, 8_000, 96_000] {
            let mut timeline = AudioTimeline::new(u32::try_from(rate).unwrap(), 0, Ticks::MIN);
            for n in 0..12 * 3600 * rate / 1024 {
                // Cut to whole milliseconds, as some encoders do; the first one is exact.
                assert_eq!(
                    timeline.place(LINE, n * 1024 * 1000 / rate, 1024),
                    at(n * 1024),
                    "{rate} Hz, frame {n}"
                );
            }
        }
    }

    #[test]
    fn a_hole_is_filled_and_an_overlap_left_out() {
        let mut timeline = AudioTimeline::new(48_000, 0, Ticks::MIN);
        assert_eq!(timeline.place(LINE, 0, 1024), at(0));
        assert_eq!(
            timeline.place(LINE, 521, 1024),
            Placement::At { position: 25_008, silence: 25_008 - 1024 }
        );
        assert_eq!(timeline.place(LINE, 542, 1024), at(26_032));
        assert_eq!(timeline.place(LINE, 300, 1024), Placement::LeftOut);
        assert_eq!(timeline.place(LINE, 540, 1024), Placement::LeftOut);
        assert_eq!(timeline.place(LINE, 563, 1024), at(27_056));
    }

    #[test]
    fn a_slow_sound_card_is_corrected_before_lips_and_voice_part() {
        // 100 ppm slow: stamps run ahead of the count by 0.36 s an hour.
        let mut timeline = AudioTimeline::new(48_000, 0, Ticks::MIN);
        let (mut worst, mut filled) = (0, 0);
        for n in 0..48_000 * 3600 / 1024i64 {
            let ms = n * 1024 * 10_001 / 10_000 / 48;
            let Placement::At { position, silence } = timeline.place(LINE, ms, 1024) else {
                panic!("left out")
            };
            worst = worst.max((position - ms * 48).abs());
            filled += silence;
        }
        assert!(worst <= 48 * (DRIFT_MAX_MS + 2), "{worst}");
        assert!((14_000..=18_000).contains(&filled), "{filled}");
    }

    #[test]
    fn jitter_moves_nothing() {
        let mut timeline = AudioTimeline::new(44_100, 0, Ticks::MIN);
        for n in 0..10_000i64 {
            let jitter = [0, 30, -30, 60, -60, 10][usize::try_from(n % 6).unwrap()];
            let ms = n * 1024 * 1000 / 44_100 + if n == 0 { 0 } else { jitter };
            assert_eq!(timeline.place(LINE, ms, 1024), at(n * 1024));
        }
    }

    #[test]
    fn sound_from_before_the_first_picture_is_left_out() {
        let mut timeline = AudioTimeline::new(48_000, 0, Ticks::MIN);
        assert_eq!(timeline.place(LINE, -43, 1024), Placement::LeftOut);
        assert_eq!(timeline.place(LINE, -21, 1024), at(-1008));
        assert_eq!(timeline.place(LINE, 0, 1024), at(16));
    }

    #[test]
    fn silence_adds_up() {
        assert_eq!(silence(1023, 1024), Vec::<u32>::new());
        assert_eq!(silence(1024, 1024), [1024]);
        assert_eq!(silence(3000, 1024), [1024, 1976]);
    }

    #[test]
    fn a_hole_of_hours_is_filled_bit_by_bit() {
        let mut timeline = AudioTimeline::new(48_000, 0, Ticks::MIN);
        timeline.place(LINE, 0, 1024);
        let hour = 3_600_000;
        for n in 1..=36i64 {
            let Placement::At { position, silence } = timeline.place(LINE, hour, 1024) else { panic!("{n}") };
            assert!(silence <= 100 * 48_000 && position <= hour * 48, "{n}: {position}, {silence}");
        }
        let next = timeline.next().unwrap();
        assert!((next - hour * 48).abs() <= 100 * 48, "{next}");
    }

    /// What flvmux of GStreamer makes of B-frames: the first two frames have one stamp.
    #[test]
    fn most_stamps_of_the_beginning_decide_where_sound_lies() {
        for (first, rest) in [(0i64, -1024i64), (-1500, 0), (0, 0), (900, 0)] {
            let mut timeline = AudioTimeline::new(48_000, -10_000, Ticks::MIN);
            let (mut shift, mut counted) = (None, Vec::new());
            for n in 0..40i64 {
                let stamped = n * 1024 + if n == 0 { first } else { rest };
                let Placement::At { position, .. } = timeline.place(LINE, stamped.div_euclid(48), 1024)
                else {
                    panic!("left out")
                };
                counted.push(position);
                if let Some(by) = timeline.settle() {
                    assert_eq!((n, shift.replace(by)), (18, None), "once, after 400 ms");
                    counted.iter_mut().for_each(|position| *position += by);
                }
            }
            let off = counted[1] - (1024 + rest);
            assert!(off.abs() <= 48 * ANCHOR_OFF_MS, "{first} {rest}: {off}");
            assert_eq!(shift.is_some(), first != rest, "{first} {rest}: {shift:?}");
            assert!(counted.windows(2).all(|pair| pair[1] - pair[0] == 1024));
        }
    }
}
