//! From a publisher's timestamps to presentation time.
//!
//! RTMP stamps are milliseconds in 32 bits that wrap, jitter and sometimes jump. [`Clock`] undoes wrap-around and jumps, in this one place,
//! and gives milliseconds in 64 bits. A [`Line`] ties those to presentation time. [`video`] and [`audio`] then find exact positions near
//! the line: pictures on the grid of their frame rate, sound by counting samples.

pub mod audio;
pub mod video;

use crate::time::{Ticks, VIDEO_TIMESCALE, WallTime};

/// A publisher's time in milliseconds, unwrapped and without jumps.
pub type Millis = i64;

/// A stamp further than this after the one before it, in ms, is a jump of the publisher's clock and not a pause: a publisher that is
/// silent for so long is about to be dropped as idle.
pub const JUMP_FORWARD_MS: i64 = 10_000;
/// A stamp further than this before the one before it, in ms, is a jump and not jitter: encoders' queues reorder by a few frames only.
pub const JUMP_BACK_MS: i64 = 500;

/// How much time a jump goes on by at most, in ms: as long as an edge holds a publisher back while it can't store anything (90 s), and the
/// silence after which it drops one. More comes only of stamps that make no sense (one track's stand still for minutes, then
/// the other's jumps), and would be filled with silence.
pub const JUMP_GOES_ON_MAX_MS: i64 = 100_000;

/// How far stamps may run ahead of their arrival, in ms, before they are a jump: more than an edge lets be sent ahead (3 s) with one read
/// (64 KiB) of the thinnest sound (8 kbit/s: 66 s). Or a few bytes that claim ten seconds each would be filled with days of silence.
pub const AHEAD_MAX_MS: i64 = 100_000;
/// By how much that grows, in parts of a thousand of the time passed: twice what a publisher's clock may be off for an edge to read on.
const AHEAD_PER_MILLE: i64 = 2;

/// A stamp that goes on by so many ms more than the time that has passed since the one before, and so runs ahead of its arrival by as much, is a
/// jump: a pause, or frames that were dropped, would have taken their time. More than bad starts and bursts make up.
pub const LEAP_MS: i64 = 2_000;

/// Tracks whose stamps are this near, in ms, agree: a track that comes back to the other after a stray stamp does not jump.
const TOGETHER_MS: u64 = 1_000;

/// Ticks of [`VIDEO_TIMESCALE`] in one millisecond.
pub const TICKS_PER_MS: Ticks = 90;

/// Which track a stamp is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Track {
    /// Pictures (their decode times).
    Video,
    /// Sound.
    Audio,
}

/// A stamp, unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The publisher's time.
    pub ms: Millis,
    /// The publisher's clock jumped here; `ms` goes on by the time that passed on arrival, up to [`JUMP_GOES_ON_MAX_MS`].
    pub jumped: bool,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    raw: u32,
    ms: Millis,
    arrival: WallTime,
}

/// Unwraps stamps. Both tracks of a publish share its clock.
#[derive(Debug, Default)]
pub struct Clock {
    video: Option<Last>,
    audio: Option<Last>,
    /// What came first, of either track.
    first: Option<Last>,
    /// When the last stamp arrived.
    arrived: Option<WallTime>,
}

impl Clock {
    /// Unwraps the next stamp of a track.
    ///
    /// A stamp that would go back by more than [`JUMP_BACK_MS`], or that lies more than [`JUMP_FORWARD_MS`] ahead, is taken to follow the other track, if that is near, or else to be as much later than what came last as it
    /// arrived later. So is one that leaps ahead by [`LEAP_MS`], or that would be more than [`AHEAD_MAX_MS`] ahead of its arrival.
    pub fn stamp(&mut self, track: Track, raw: u32, arrival: WallTime) -> Stamp {
        // The clock on the wall may be put back in mid-show; no time is lost by that.
        if let (Some(first), Some(arrived)) = (&mut self.first, self.arrived.replace(arrival)) {
            first.arrival = first.arrival.plus_micros(arrival.micros_since(arrived).min(0));
        }
        let (own, other) = match track {
            Track::Video => (self.video, self.audio),
            Track::Audio => (self.audio, self.video),
        };
        let near =
            |last: Last, ms: Millis| (last.ms - JUMP_BACK_MS..=last.ms + JUMP_FORWARD_MS).contains(&ms);
        let after = |last: Last| last.ms.saturating_add(distance(last.raw, raw));
        let by_own = own.map(|own| (own, after(own)));
        let by_other = other.map(|other| (other, after(other))).filter(|(other, ms)| {
            // The other track may be ahead of this one as well as behind it.
            (other.ms - JUMP_FORWARD_MS..=other.ms + JUMP_FORWARD_MS).contains(ms)
        });
        let now = |last: Last| last.ms.saturating_add(elapsed_ms(last.arrival, arrival));
        let leaps = |own: Last, ms: Millis| {
            ms > now(own).saturating_add(LEAP_MS) && ms > self.latest(arrival, LEAP_MS)
        };
        let follows = match (by_own, by_other) {
            (Some((own, ms)), _) if near(own, ms) && !leaps(own, ms) => Some(ms),
            (_, Some((other, ms))) if other.ms.abs_diff(ms) <= TOGETHER_MS => Some(ms),
            (Some((own, _)), Some((_, ms))) if ms >= own.ms - JUMP_BACK_MS && !leaps(own, ms) => Some(ms),
            (None, Some((_, ms))) => Some(ms),
            _ => None,
        };
        let (ms, jumped) = match follows.filter(|ms| *ms <= self.latest(arrival, AHEAD_MAX_MS)) {
            Some(ms) => (ms, false),
            None => match own.into_iter().chain(other).map(now).max() {
                Some(ms) => (ms, true),
                None => (Millis::from(raw), false),
            },
        };
        let last = Some(Last { raw, ms, arrival });
        self.first = self.first.or(last);
        match track {
            Track::Video => self.video = last,
            Track::Audio => self.audio = last,
        }
        Stamp { ms, jumped }
    }

    /// The latest time that what arrives then is of if it may run `ahead` by so many ms, and by what the publisher's clock may be off.
    fn latest(&self, arrival: WallTime, ahead: i64) -> Millis {
        let Some(first) = self.first else { return Millis::MAX };
        let passed = arrival.micros_since(first.arrival).max(0) / 1000;
        let ahead = ahead.saturating_add(passed / 1000 * AHEAD_PER_MILLE);
        first.ms.saturating_add(passed).saturating_add(ahead)
    }
}

/// From one stamp to another the shorter way round, in ms.
fn distance(from: u32, to: u32) -> i64 {
    i64::from(to.wrapping_sub(from).cast_signed())
}

/// Time between arrivals in ms, at least 1.
fn elapsed_ms(from: WallTime, to: WallTime) -> i64 {
    (to.micros_since(from) / 1000).clamp(1, JUMP_GOES_ON_MAX_MS)
}

/// Where a publisher's time lies on the presentation timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// At this time of the publisher…
    pub ms: Millis,
    /// …presentation time is this, in 1/90 000 s.
    pub ticks: Ticks,
}

impl Line {
    /// Presentation time of `ms`, in 1/90 000 s.
    #[must_use]
    pub fn at(self, ms: Millis) -> Ticks {
        ms.saturating_sub(self.ms).saturating_mul(TICKS_PER_MS).saturating_add(self.ticks)
    }
    /// The line moved by so many ticks.
    #[must_use]
    pub fn shifted(self, by: Ticks) -> Self {
        Self { ticks: self.ticks.saturating_add(by), ..self }
    }
}

/// A span of wall-clock time in ticks of 1/90 000 s, rounded to nearest.
#[must_use]
pub fn wall_ticks(from: WallTime, to: WallTime) -> Ticks {
    crate::time::rescale(to.micros_since(from), 1_000_000, VIDEO_TIMESCALE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> WallTime {
        WallTime(1_700_000_000_000_000 + ms * 1000)
    }

    #[test]
    fn wrap_around_is_undone_once() {
        let mut clock = Clock::default();
        let mut raw = u32::MAX - 100;
        let first = clock.stamp(Track::Video, raw, at(0)).ms;
        for n in 1..100 {
            raw = raw.wrapping_add(40);
            let video = clock.stamp(Track::Video, raw, at(n * 40));
            let audio = clock.stamp(Track::Audio, raw.wrapping_sub(15), at(n * 40));
            assert_eq!(video, Stamp { ms: first + n * 40, jumped: false });
            assert_eq!(audio, Stamp { ms: first + n * 40 - 15, jumped: false });
        }
    }

    #[test]
    fn a_jump_goes_on_by_arrival_and_the_other_track_follows() {
        let mut clock = Clock::default();
        clock.stamp(Track::Video, 1000, at(0));
        clock.stamp(Track::Audio, 1010, at(10));
        let video = clock.stamp(Track::Video, 9_000_000, at(40));
        assert_eq!(video, Stamp { ms: 1040, jumped: true });
        // Still on the old clock, then on the new one: neither is a jump of its own.
        assert_eq!(clock.stamp(Track::Audio, 1033, at(41)), Stamp { ms: 1033, jumped: false });
        assert_eq!(clock.stamp(Track::Audio, 9_000_016, at(56)), Stamp { ms: 1056, jumped: false });
        assert_eq!(clock.stamp(Track::Video, 9_000_040, at(80)), Stamp { ms: 1080, jumped: false });
        // And back again.
        assert_eq!(clock.stamp(Track::Video, 0, at(120)), Stamp { ms: 1120, jumped: true });
        assert_eq!(clock.stamp(Track::Audio, 0, at(121)), Stamp { ms: 1120, jumped: false });
    }

    #[test]
    fn a_leap_that_took_no_time_is_a_jump_and_a_pause_is_none() {
        for leap in [2_100, 5_000, 9_900] {
            let mut clock = Clock::default();
            clock.stamp(Track::Video, 1000, at(0));
            clock.stamp(Track::Audio, 1010, at(10));
            let ahead = u32::try_from(leap).unwrap();
            assert_eq!(clock.stamp(Track::Audio, 1033 + ahead, at(33)), Stamp { ms: 1033, jumped: true });
            assert_eq!(clock.stamp(Track::Video, 1040 + ahead, at(40)), Stamp { ms: 1040, jumped: false });
            assert_eq!(clock.stamp(Track::Audio, 1054 + ahead, at(54)), Stamp { ms: 1054, jumped: false });
            // Nothing came for as long as the stamps say.
            let then = at(54 + leap);
            assert_eq!(
                clock.stamp(Track::Video, 1054 + 2 * ahead, then),
                Stamp { ms: 1054 + leap, jumped: false }
            );
        }
    }

    #[test]
    fn pictures_that_were_dropped_in_a_stall_are_no_jump() {
        let mut clock = Clock::default();
        for n in 0..100 {
            clock.stamp(Track::Video, n * 40, at(i64::from(n) * 40));
        }
        // For 9 s nothing comes through; then all at once, without the pictures of the first 8 s.
        for n in 0..9_000u32 / 40 {
            let ms = 4_000 + n * 40;
            let track = if n < 200 { Track::Audio } else { Track::Video };
            assert_eq!(clock.stamp(track, ms, at(13_000)), Stamp { ms: ms.into(), jumped: false });
        }
    }

    #[test]
    fn a_stray_stamp_moves_nothing_after_it() {
        let mut clock = Clock::default();
        for (track, raw) in [(Track::Video, 0), (Track::Audio, 10), (Track::Audio, 3_000), (Track::Video, 33)]
        {
            clock.stamp(track, raw, at(0));
        }
        assert_eq!(clock.stamp(Track::Audio, 53, at(53)), Stamp { ms: 53, jumped: false });
    }

    #[test]
    fn a_jump_after_hours_of_stamps_that_stand_still_is_bounded() {
        let mut clock = Clock::default();
        clock.stamp(Track::Audio, 0, at(0));
        for minute in 0..600 {
            clock.stamp(Track::Video, 0, at(minute * 60_000));
        }
        let stamp = clock.stamp(Track::Audio, 1 << 31, at(36_000_000));
        assert_eq!(stamp, Stamp { ms: JUMP_GOES_ON_MAX_MS, jumped: true });
    }

    #[test]
    fn stamps_that_run_away_from_the_clock_on_the_wall_are_jumps() {
        let mut clock = Clock::default();
        let mut raw = 0u32;
        let mut last = Stamp { ms: 0, jumped: false };
        for _ in 0..20_000 {
            raw = raw.wrapping_add(9_900);
            last = clock.stamp(Track::Audio, raw, at(0));
        }
        assert!(last.jumped && last.ms < 9_900 + AHEAD_MAX_MS + 20_000, "{last:?}");
        // Nor do they run away when that clock is put back by an hour.
        let mut clock = Clock::default();
        for frame in 0..10_000u32 {
            let back = if frame < 5_000 { 0 } else { 3_600_000 };
            let stamp = clock.stamp(Track::Audio, frame * 20, at(i64::from(frame) * 20 - back));
            assert_eq!(stamp, Stamp { ms: i64::from(frame) * 20, jumped: false });
        }
        // A clock that is a thousandth fast for a month is none.
        let mut clock = Clock::default();
        let (mut raw, mut arrival) = (0u32, 0);
        for _ in 0..300_000 {
            (raw, arrival) = (raw.wrapping_add(9_009), arrival + 9_000);
            assert!(!clock.stamp(Track::Audio, raw, at(arrival)).jumped, "after {arrival} ms");
        }
    }

    #[test]
    fn jitter_and_pauses_are_no_jumps() {
        let mut clock = Clock::default();
        for (raw, arrival) in [(5000u32, 0), (4600, 0), (14_000, 9_000), (14_000, 9_000)] {
            let stamp = clock.stamp(Track::Video, raw, at(arrival));
            assert_eq!(stamp, Stamp { ms: raw.into(), jumped: false });
        }
    }

    #[test]
    fn lines_are_exact() {
        let line = Line { ms: 500, ticks: 9000 };
        assert_eq!(line.at(500), 9000);
        assert_eq!(line.at(499), 8910);
        assert_eq!(line.shifted(90).at(500), 9090);
        assert_eq!(line.at(i64::MAX), i64::MAX);
        assert_eq!(wall_ticks(at(0), at(1000)), 90_000);
    }
}
