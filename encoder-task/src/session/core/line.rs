//! The live timeline of one broadcast: where it ends, what may still be shown on it, and when a hole in it is to be filled. Pure.
//!
//! Invariants: what is shown never overlaps; nothing is shown beyond the floor, the place where the latest publish begins, but that
//! publish itself and what comes after it; a fill lies in the past by at least [`FILL_LAG_MICROS`], unless a chunk is known to follow it.

use std::collections::VecDeque;

use media::{
    id::{ChunkPos, PublishNo},
    time::{Ticks, VIDEO_TIMESCALE, WallTime},
    timeline::wall_ticks,
};
use service::table::Floor;

/// A fill becomes visible as late after its end as a chunk usually does (stored, transcoded, committed), so that players see no difference;
/// and a publisher that returns meanwhile begins after it, whatever the clocks of edge and encoder differ by in practice.
pub const FILL_LAG_MICROS: i64 = 700_000;
/// Nothing heard for this long after the last chunk should have come, in µs: look whether notices were lost.
const LOOK_AFTER_MICROS: i64 = 2_500_000;
/// Time between two such looks, in µs.
const LOOK_EVERY_MICROS: i64 = 1_000_000;
/// A publish that nobody has closed is taken to be gone after this long, in µs: the longest GOP that is accepted (10 s), and time to store it.
const SILENT_MICROS: i64 = 12_000_000;
/// A publish that a session finds to have begun keeps its place for this long, in µs, if nothing is heard of it: it may have been let in just before, or
/// have been silent for long. A GOP of several seconds, and time to store it.
const TAKEN_OVER_MICROS: i64 = 7_000_000;
/// Holes shorter than this, in ticks (a quarter of a second), stay open and begin a new Period: a segment of a few pictures costs more than it mends.
pub const FILL_MIN: Ticks = 22_500;
/// How far back a hole is filled, in ticks: nobody at the live edge is further behind (20 s). What lies before stays a jump.
const FILL_BACK_MAX: Ticks = 20 * VIDEO_TIMESCALE as Ticks;
/// Shortest and longest piece of a fill, in ticks: 1 and 4 s. Shorter pieces cost requests; a longer one could only be shown later.
const PIECE: (Ticks, Ticks) = (VIDEO_TIMESCALE as Ticks, 4 * VIDEO_TIMESCALE as Ticks);
/// Piece and expected GOP before there is any chunk to go by: encoders' usual setting.
const USUAL_GOP: Ticks = 2 * VIDEO_TIMESCALE as Ticks;
/// The longest of so many last GOPs is what is waited for: variable GOPs must not look like silence.
const GOPS_KEPT: usize = 8;
/// The last picture is held for this long, in ticks (10 s); then comes the slate.
const HELD_FOR: Ticks = 10 * VIDEO_TIMESCALE as Ticks;

/// A place on the timeline, in 1/90 000 s of presentation time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where it starts.
    pub start: Ticks,
    /// Where it ends.
    pub end: Ticks,
}

/// A piece of a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where it lies.
    pub place: Place,
    /// The publisher has been away for so long that the slate is shown.
    pub slate: bool,
}

/// What is to be done about a hole next, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// See in table and bucket whether something has come.
    Look(WallTime),
    /// Fill this; only if a look later than that found nothing.
    Fill(WallTime, Piece),
    /// Fill this at once: the publish after it is known.
    FillNow(Piece),
}

/// The live timeline.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// When presentation time 0 was.
    pub origin: Option<WallTime>,
    /// Where it ends, fills included.
    pub end: Option<Ticks>,
    /// Where the latest publish begins.
    pub floor: Option<Floor>,
    /// Until when that publish has its place, whether or not it is heard of.
    kept_until: Option<WallTime>,
    /// Where the last chunk that is shown ends.
    shown_end: Option<Ticks>,
    gops: VecDeque<Ticks>,
}

impl Line {
    /// An empty one, whose floor is found now.
    #[must_use]
    pub fn new(origin: Option<WallTime>, now: WallTime, floor: Option<Floor>) -> Self {
        let kept_until = floor.map(|_| now.plus_micros(TAKEN_OVER_MICROS));
        Self { origin, floor, kept_until, ..Self::default() }
    }

    /// A publish begins there, as is known now.
    pub fn starts(&mut self, now: WallTime, floor: Floor) {
        if self.floor != Some(floor) {
            self.kept_until = Some(now.plus_micros(SILENT_MICROS));
        }
        self.floor = Some(floor);
    }

    /// A chunk is shown there.
    pub fn show(&mut self, place: Place) {
        self.end = self.end.max(Some(place.end));
        self.shown_end = self.shown_end.max(Some(place.end));
        if self.gops.len() == GOPS_KEPT {
            self.gops.pop_front();
        }
        self.gops.push_back(place.end.saturating_sub(place.start));
    }

    /// The longest of the last GOPs.
    fn usual(&self) -> Ticks {
        self.gops.iter().copied().max().unwrap_or(USUAL_GOP).max(1)
    }

    /// Whether a chunk that is to be committed now is shown live.
    #[must_use]
    pub fn shows(&self, pos: ChunkPos, place: Place) -> bool {
        let free = self.end.is_none_or(|end| place.start >= end);
        let reaches_later = self.floor.is_some_and(|f| f.publish > pos.publish && place.end > f.at);
        free && !reaches_later
    }

    /// What must be filled before a chunk that will be shown at `place`.
    #[must_use]
    pub fn before(&self, place: Place) -> Option<Piece> {
        let from = self.end?.max(place.start.saturating_sub(FILL_BACK_MAX));
        (place.start.saturating_sub(from) >= FILL_MIN).then(|| self.piece(from, Some(place.start)))
    }

    /// What is to be done while nothing is in hand. `highest` is the latest publish heard of, `gone` says that nothing more comes of it
    /// for now, `looked` is when table and bucket were last looked at.
    #[must_use]
    pub fn next(
        &self,
        now: WallTime,
        highest: PublishNo,
        gone: bool,
        looked: Option<WallTime>,
    ) -> Option<Next> {
        let (origin, end) = (self.origin?, self.end?);
        let at = |ticks: Ticks, micros: i64| origin.plus_micros(micros_of(ticks)).plus_micros(micros);
        let awaited = self.floor.filter(|floor| floor.publish == highest && floor.at >= end);
        if let (Some(floor), false) = (awaited, gone) {
            let from = end.max(floor.at.saturating_sub(FILL_BACK_MAX));
            if floor.at.saturating_sub(from) >= FILL_MIN {
                return Some(Next::FillNow(self.piece(from, Some(floor.at))));
            }
        }
        let expected = awaited.map_or(end, |floor| floor.at);
        // A publisher that took long to be let in has a place that is long past, and no chance yet to store anything there.
        let kept_until = self.kept_until.filter(|_| awaited.is_some());
        let silent = at(expected, SILENT_MICROS).max(kept_until.unwrap_or(WallTime(i64::MIN)));
        let from = end.max(wall_ticks(origin, now).saturating_sub(FILL_BACK_MAX));
        let piece = self.piece(from, None);
        let due = at(piece.place.end, FILL_LAG_MICROS);
        if gone {
            return Some(Next::Fill(due, piece));
        }
        if now >= silent {
            return Some(Next::Fill(due.max(silent), piece));
        }
        let look = at(expected.saturating_add(self.usual()), LOOK_AFTER_MICROS);
        let again = looked.map_or(look, |looked| looked.plus_micros(LOOK_EVERY_MICROS));
        Some(Next::Look(look.max(again).min(silent)))
    }

    /// The piece of a hole that begins at `from`, up to where something follows.
    fn piece(&self, from: Ticks, until: Option<Ticks>) -> Piece {
        let length = self.usual().clamp(PIECE.0, PIECE.1);
        let end = match until {
            // What would be left is not worth a piece of its own.
            Some(until) if until - from < length + FILL_MIN => until,
            _ => from + length,
        };
        let slate = self.shown_end.is_some_and(|shown| from.saturating_sub(shown) >= HELD_FOR);
        Piece { place: Place { start: from, end }, slate }
    }
}

/// Ticks as microseconds.
fn micros_of(ticks: Ticks) -> i64 {
    media::time::rescale(ticks, VIDEO_TIMESCALE, 1_000_000)
}

#[cfg(test)]
mod tests {
    use media::id::ChunkSeq;

    use super::*;

    const SECOND: Ticks = 90_000;

    fn no(publish: u32) -> PublishNo {
        PublishNo::new(publish).unwrap()
    }
    fn pos(publish: u32, seq: u32) -> ChunkPos {
        ChunkPos { publish: no(publish), seq: ChunkSeq(seq) }
    }
    fn place(start: Ticks, end: Ticks) -> Place {
        Place { start: start * SECOND, end: end * SECOND }
    }
    fn at(ms: i64) -> WallTime {
        WallTime(1_700_000_000_000_000 + ms * 1000)
    }
    /// Two GOPs of 2 s shown.
    fn line() -> Line {
        let mut line = Line { origin: Some(at(0)), ..Line::default() };
        line.show(place(0, 2));
        line.show(place(2, 4));
        line
    }

    #[test]
    fn a_chunk_is_shown_if_its_place_is_free_and_it_does_not_reach_into_a_later_publish() {
        let mut line = line();
        assert!(line.shows(pos(1, 2), place(4, 6)));
        assert!(line.shows(pos(1, 2), place(9, 10)));
        assert!(!line.shows(pos(1, 2), place(3, 6)), "the place is taken");
        line.floor = Some(Floor { publish: no(2), at: 5 * SECOND });
        assert!(!line.shows(pos(1, 2), place(4, 6)), "a ghost's");
        assert!(line.shows(pos(1, 2), place(4, 5)));
        assert!(line.shows(pos(2, 0), place(5, 7)));
        assert!(line.shows(pos(3, 0), place(5, 7)));
        assert!(Line::default().shows(pos(1, 0), place(0, 2)));
    }

    #[test]
    fn a_hole_before_a_chunk_is_filled_in_pieces_that_tile_it() {
        let mut line = line();
        assert_eq!(line.before(Place { start: 4 * SECOND + FILL_MIN - 1, end: 6 * SECOND }), None);
        let next = Place { start: 9 * SECOND + 9_000, end: 11 * SECOND };
        let mut pieces = Vec::new();
        while let Some(piece) = line.before(next) {
            pieces.push((piece.place.start, piece.place.end));
            line.end = Some(piece.place.end);
        }
        assert_eq!(pieces, [(360_000, 540_000), (540_000, 720_000), (720_000, 819_000)]);
    }

    #[test]
    fn only_the_last_seconds_of_a_long_hole_are_filled() {
        let piece = line().before(place(104, 106)).unwrap();
        assert_eq!(piece.place, place(84, 86));
        assert!(piece.slate);
    }

    #[test]
    fn a_gone_publisher_is_replaced_by_its_last_picture_then_by_the_slate() {
        let mut line = line();
        let due = at(6_700);
        let fill = Piece { place: place(4, 6), slate: false };
        assert_eq!(line.next(at(4_100), no(1), true, None), Some(Next::Fill(due, fill)));
        line.end = Some(14 * SECOND);
        let fill = Piece { place: place(14, 16), slate: true };
        assert_eq!(line.next(at(14_100), no(1), true, None), Some(Next::Fill(at(16_700), fill)));
    }

    #[test]
    fn the_hole_up_to_a_publish_that_has_begun_is_filled_exactly() {
        let mut line = line();
        line.floor = Some(Floor { publish: no(2), at: 5 * SECOND + 900 });
        let fill = Piece { place: Place { start: 4 * SECOND, end: 5 * SECOND + 900 }, slate: false };
        assert_eq!(line.next(at(5_100), no(2), false, None), Some(Next::FillNow(fill)));
        line.end = Some(5 * SECOND + 900);
        // Then its first chunk is waited for, like any other.
        assert_eq!(line.next(at(5_200), no(2), false, None), Some(Next::Look(at(9_510))));
        // Until it is gone as well.
        let fill = Piece { place: Place { start: 5 * SECOND + 900, end: 7 * SECOND + 900 }, slate: false };
        assert_eq!(line.next(at(5_300), no(2), true, None), Some(Next::Fill(at(7_710), fill)));
    }

    #[test]
    fn a_publish_that_was_let_in_late_has_its_time_all_the_same() {
        let mut line = line();
        let floor = Floor { publish: no(2), at: 4 * SECOND };
        line.starts(at(20_000), floor);
        let later = Floor { publish: no(2), at: 5 * SECOND };
        line.starts(at(21_000), later);
        // Known already.
        line.starts(at(25_000), later);
        // Whether what is missing before it is too little to be filled, or was filled.
        for end in [later.at - FILL_MIN + 1, later.at] {
            line.end = Some(end);
            assert!(matches!(line.next(at(32_900), no(2), false, Some(at(32_000))), Some(Next::Look(_))));
            assert!(matches!(line.next(at(33_000), no(2), false, Some(at(32_900))), Some(Next::Fill(..))));
        }
        // What is known from the beginning may have been so for long, or for an instant.
        let taken_over = Line { end: line.end, ..Line::new(line.origin, at(25_000), Some(later)) };
        assert!(matches!(taken_over.next(at(31_900), no(2), false, Some(at(31_000))), Some(Next::Look(_))));
        assert!(matches!(taken_over.next(at(32_000), no(2), false, Some(at(31_900))), Some(Next::Fill(..))));
    }

    #[test]
    fn silence_is_looked_into_and_in_the_end_filled() {
        let line = line();
        assert_eq!(line.next(at(4_500), no(1), false, None), Some(Next::Look(at(8_500))));
        assert_eq!(line.next(at(9_000), no(1), false, Some(at(8_500))), Some(Next::Look(at(9_500))));
        let Some(Next::Fill(due, piece)) = line.next(at(16_000), no(1), false, Some(at(15_500))) else {
            panic!()
        };
        assert_eq!((due, piece.place), (at(16_000), place(4, 6)));
    }

    #[test]
    fn variable_gops_do_not_look_like_silence() {
        let mut line = line();
        line.show(place(4, 12));
        assert_eq!(line.next(at(12_500), no(1), false, None), Some(Next::Look(at(22_500))));
    }

    #[test]
    fn nothing_is_filled_before_the_first_chunk() {
        let line = Line { origin: Some(at(0)), ..Line::default() };
        assert_eq!(line.next(at(90_000), no(2), true, None), None);
        assert_eq!(line.before(place(4, 6)), None);
    }
}
