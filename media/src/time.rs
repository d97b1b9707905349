//! Time. Two kinds, never mixed: [`Ticks`], presentation time in the units of one track, and [`WallTime`], an
//! instant of the world's clock. Conversions are exact or say how they round.

use serde::{Deserialize, Serialize};

/// Ticks per second of every video track (ISO 14496-12 timescale): divides the usual frame rates, 1001-based ones included.
pub const VIDEO_TIMESCALE: u32 = 90_000;

/// Where media time starts, in seconds: the frame at presentation time 0 has media time `MEDIA_ORIGIN_SECONDS` × timescale.
///
/// Media time (`tfdt`, `S@t`, `$Time$` in object names) must not be negative, but decode times run ahead of presentation by
/// the reorder delay and sound may begin before the picture. One second is room for both; `presentationTimeOffset` takes it off
/// again for players. See `docs/decisions/0002-media-time-origin.md`.
pub const MEDIA_ORIGIN_SECONDS: u32 = 1;

/// Presentation time (or a duration) in ticks of a track whose timescale the context gives: 90 000 a second for video, the
/// sample rate for audio. Counted from the broadcast's first picture; sound may be earlier, so it is signed.
pub type Ticks = i64;

/// The offset from presentation time to media time, in ticks of `timescale`.
#[must_use]
pub fn media_origin(timescale: u32) -> Ticks {
    Ticks::from(timescale) * Ticks::from(MEDIA_ORIGIN_SECONDS)
}

/// Presentation time → media time, both in ticks of `timescale`; `None` if it would be negative.
#[must_use]
pub fn to_media_time(presentation: Ticks, timescale: u32) -> Option<u64> {
    presentation.checked_add(media_origin(timescale)).and_then(|t| u64::try_from(t).ok())
}

/// Converts ticks from one timescale to another, rounding to nearest (ties away from zero). Saturates at the range of `i64`.
#[must_use]
pub fn rescale(ticks: Ticks, from: u32, to: u32) -> Ticks {
    let (from, product) = (i128::from(from.max(1)), i128::from(ticks) * i128::from(to));
    let half = from / 2;
    let rounded = if product >= 0 { (product + half) / from } else { (product - half) / from };
    Ticks::try_from(rounded).unwrap_or(if rounded > 0 { Ticks::MAX } else { Ticks::MIN })
}

/// An instant of the world's clock: microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(pub i64);

impl WallTime {
    /// Milliseconds since the Unix epoch, rounded down; 0 before it.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        u64::try_from(self.0.div_euclid(1000)).unwrap_or(0)
    }
    /// `self - earlier`, in microseconds.
    #[must_use]
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
    /// This instant and `micros` more.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
    /// RFC 3339 in UTC with milliseconds: `2026-01-31T09:08:07.006Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let ms = self.0.div_euclid(1000);
        let (days, ms_of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let (s, ms) = (ms_of_day / 1000, ms_of_day % 1000);
        format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z", s / 3600, s / 60 % 60, s % 60)
    }
}

/// Days since 1970-01-01 → proleptic Gregorian (year, month, day). The era arithmetic is Howard Hinnant's `civil_from_days`.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// A constant frame rate as an exact fraction of frames per second: 30000/1001 is not 29.97.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FrameRate {
    /// Frames…
    pub num: u32,
    /// …in this many seconds. Never 0.
    pub den: u32,
}

impl FrameRate {
    /// The ticks that `frames` frames last at [`VIDEO_TIMESCALE`], rounded to nearest; exact for every usual rate.
    #[must_use]
    pub fn ticks(self, frames: i64) -> Ticks {
        let num = i128::from(self.num.max(1));
        let product = i128::from(frames) * i128::from(VIDEO_TIMESCALE) * i128::from(self.den);
        let half = num / 2;
        Ticks::try_from(if product >= 0 { (product + half) / num } else { (product - half) / num })
            .unwrap_or(0)
    }
    /// Frames per second as a number, for display and comparisons only.
    #[must_use]
    pub fn fps(self) -> f64 {
        f64::from(self.num) / f64::from(self.den.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_of_known_instants() {
        assert_eq!(WallTime(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(WallTime(951_782_400_000_000).rfc3339(), "2000-02-29T00:00:00.000Z");
        assert_eq!(WallTime(1_795_369_687_123_456).rfc3339(), "2026-11-22T17:48:07.123Z");
        assert_eq!(WallTime(-1).rfc3339(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn rescaling_rounds_to_nearest_and_keeps_sign() {
        assert_eq!(rescale(1, 1000, 90_000), 90);
        assert_eq!(rescale(1024, 44_100, 90_000), 2090);
        assert_eq!(rescale(-1024, 44_100, 90_000), -2090);
        assert_eq!(rescale(i64::MAX, 1, 90_000), i64::MAX);
    }

    #[test]
    fn ntsc_frames_are_exact() {
        let ntsc = FrameRate { num: 30_000, den: 1001 };
        assert_eq!(ntsc.ticks(1), 3003);
        assert_eq!(ntsc.ticks(30_000 * 3600), 1001 * 90_000 * 3600);
    }

    #[test]
    fn media_time_is_never_negative() {
        assert_eq!(to_media_time(0, 48_000), Some(48_000));
        assert_eq!(to_media_time(-48_000, 48_000), Some(0));
        assert_eq!(to_media_time(-48_001, 48_000), None);
    }
}
