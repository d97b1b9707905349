//! Positions of sound: counted in samples from the first frame, since stamps of milliseconds can't say where 1024 samples end.
//!
//! Counting and stamps part when frames were lost or when the publisher's sound card does not keep its nominal rate. Only when the
//! difference passes what a viewer could notice is the count corrected: a hole is filled with frames of silence, an overlap
//! makes frames be left out. The chain of positions never breaks.

use super::{Line, Millis};
use crate::{
    aac::FRAME_SAMPLES,
    time::{Ticks, VIDEO_TIMESCALE, rescale},
};

/// How far the count may be from the stamps, in ms: EBU R 37 allows sound to be 40 ms early and 60 ms late.
pub const DRIFT_MAX_MS: i64 = 40;
/// How long it must stay further away to be corrected, in ms of stamps: jitter of a phone's capture clock passes sooner.
pub const DRIFT_SUSTAIN_MS: i64 = 1_000;
/// How far away it is corrected at once, in ms: frames are missing, or come twice. ITU-R BT.1359 finds 125 ms unmistakable.
pub const DRIFT_AT_ONCE_MS: i64 = 125;

/// Samples of one frame.
const FRAME: Ticks = FRAME_SAMPLES as Ticks;

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
}

impl AudioTimeline {
    /// A count that begins with the first frame that ends after `from` and does not begin before `floor`, in samples.
    #[must_use]
    pub fn new(rate: u32, from: Ticks, floor: Ticks) -> Self {
        Self { rate, from, floor, next: None, off_since: None, leaving_out: false }
    }

    /// A count that goes on at a position, in samples.
    #[must_use]
    pub fn going_on(rate: u32, at: Ticks) -> Self {
        Self { next: Some(at), ..Self::new(rate, at, at) }
    }

    /// Where the next frame would go, in samples; `None` before the first.
    #[must_use]
    pub fn next(&self) -> Option<Ticks> {
        self.next
    }

    /// Finds the position of a frame stamped `ms`.
    pub fn place(&mut self, line: Line, ms: Millis) -> Placement {
        let stamped = rescale(line.at(ms), VIDEO_TIMESCALE, self.rate);
        let Some(next) = self.next else {
            if stamped.saturating_add(FRAME) <= self.from || stamped < self.floor {
                return Placement::LeftOut;
            }
            self.next = Some(stamped.saturating_add(FRAME));
            return Placement::At { position: stamped, silence: 0 };
        };
        let off = stamped.saturating_sub(next);
        if self.leaving_out && off < -FRAME / 2 {
            return Placement::LeftOut;
        }
        self.leaving_out = false;
        let samples = |ms: i64| rescale(ms, 1000, self.rate).max(FRAME);
        if off.abs() <= samples(DRIFT_MAX_MS) {
            self.off_since = None;
        } else {
            let since = *self.off_since.get_or_insert(ms);
            if off.abs() >= samples(DRIFT_AT_ONCE_MS) || ms.saturating_sub(since) >= DRIFT_SUSTAIN_MS {
                self.off_since = None;
                if off < 0 {
                    self.leaving_out = true;
                    return Placement::LeftOut;
                }
                self.next = Some(stamped.saturating_add(FRAME));
                return Placement::At { position: stamped, silence: off };
            }
        }
        self.next = Some(next.saturating_add(FRAME));
        Placement::At { position: next, silence: 0 }
    }

    /// Goes on at `position`, what is before it having been filled or moved.
    pub fn skip_to(&mut self, position: Ticks) {
        self.next = Some(position);
        self.off_since = None;
    }
}

/// The durations of frames of silence that fill a hole of `samples`: whole frames, the last as much longer as it takes. Empty for a
/// hole shorter than a frame.
#[must_use]
pub fn silence(samples: Ticks) -> Vec<u32> {
    let whole = usize::try_from(samples / FRAME).unwrap_or(0);
    let mut out = vec![FRAME_SAMPLES; whole];
    if let Some(last) = out.last_mut() {
        *last += u32::try_from(samples % FRAME).unwrap_or(0);
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
                    timeline.place(LINE, n * 1024 * 1000 / rate),
                    at(n * 1024),
                    "{rate} Hz, frame {n}"
                );
            }
        }
    }

    #[test]
    fn a_hole_is_filled_and_an_overlap_left_out() {
        let mut timeline = AudioTimeline::new(48_000, 0, Ticks::MIN);
        assert_eq!(timeline.place(LINE, 0), at(0));
        assert_eq!(timeline.place(LINE, 521), Placement::At { position: 25_008, silence: 25_008 - 1024 });
        assert_eq!(timeline.place(LINE, 542), at(26_032));
        assert_eq!(timeline.place(LINE, 300), Placement::LeftOut);
        assert_eq!(timeline.place(LINE, 540), Placement::LeftOut);
        assert_eq!(timeline.place(LINE, 563), at(27_056));
    }

    #[test]
    fn a_slow_sound_card_is_corrected_before_lips_and_voice_part() {
        // 100 ppm slow: stamps run ahead of the count by 0.36 s an hour.
        let mut timeline = AudioTimeline::new(48_000, 0, Ticks::MIN);
        let (mut worst, mut filled) = (0, 0);
        for n in 0..48_000 * 3600 / 1024i64 {
            let ms = n * 1024 * 10_001 / 10_000 / 48;
            let Placement::At { position, silence } = timeline.place(LINE, ms) else { panic!("left out") };
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
            assert_eq!(timeline.place(LINE, ms), at(n * 1024));
        }
    }

    #[test]
    fn sound_from_before_the_first_picture_is_left_out() {
        let mut timeline = AudioTimeline::new(48_000, 0, Ticks::MIN);
        assert_eq!(timeline.place(LINE, -43), Placement::LeftOut);
        assert_eq!(timeline.place(LINE, -21), at(-1008));
        assert_eq!(timeline.place(LINE, 0), at(16));
    }

    #[test]
    fn silence_adds_up() {
        assert_eq!(silence(1023), Vec::<u32>::new());
        assert_eq!(silence(1024), [1024]);
        assert_eq!(silence(3000), [1024, 1976]);
    }
}
