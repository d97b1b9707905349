//! Which rows make up which Period. A Period holds rows of one format: the same rungs with the same initialization segments, named alike;
//! and in each of its tracks one segment follows the other. dash.js (5.2) looks for the next segment 10 ms after the end of the one before,
//! within the Period, and stops for good where there is none.

use media::{
    id::PublishNo,
    ledger::{AUDIO_RUNG, Naming, Segment, Tile},
    time::{Ticks, VIDEO_TIMESCALE, WallTime, rescale},
    timeline::TICKS_PER_MS,
};
use service::table::Ledger;

use super::State;

/// Holes between segments from which on there is a new Period, in ms.
const HOLE_MIN_MS: i64 = 9;
/// The same in ticks.
const HOLE_MIN: Ticks = HOLE_MIN_MS * TICKS_PER_MS;
/// Sound may begin so much before the end of the sound before, in ms: a frame of AAC at 44.1 kHz, as after a fill's silence.
const UNDER_MAX_MS: i64 = 24;

/// What a Period is made of: a row, or a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) start: Ticks,
    pub(super) end: Ticks,
    pub(super) segments: &'a [Segment],
    /// What the storyboard shows of it. Whether there is one makes no difference to which Period an entry is in.
    pub(super) tile: Option<&'a Tile>,
    /// When it was committed.
    pub(super) committed: WallTime,
    naming: Naming,
    /// Publish and number of a chunk; none of a fill.
    pos: Option<(PublishNo, u32)>,
}

impl Entry<'_> {
    /// Where its sound starts and ends, in ms of media time; rounded, which is enough to tell a hole.
    fn sound(&self, ledger: &Ledger) -> Option<(i64, i64)> {
        let sound = self.segments.iter().find(|segment| segment.rung == AUDIO_RUNG)?;
        let init = ledger.init_of(sound)?;
        let ms = |time: u64| {
            let time = i64::try_from(time).unwrap_or(i64::MAX);
            rescale(time, init.timescale, 1000)
        };
        Some((ms(sound.time), ms(sound.time.saturating_add(sound.duration))))
    }

    /// Whether it is a chunk's, not a fill.
    pub(super) fn is_chunk(&self) -> bool {
        self.pos.is_some()
    }
}

/// One Period to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan<'a> {
    /// From its first row, so that it is the same in every manifest of the broadcast.
    pub(super) id: String,
    /// Presentation time of its first row, listed or not, in 1/90 000 s.
    pub(super) origin: Ticks,
    /// `Period@start`, in 1/90 000 s: `origin` on the live timeline; with the holes before it taken out in the replay.
    pub(super) start: Ticks,
    /// From `origin` to the end of its last row.
    pub(super) length: Ticks,
    /// How its segments are named.
    pub(super) naming: Naming,
    /// What to list. Never empty.
    pub(super) entries: Vec<Entry<'a>>,
}

/// What is shown live, in order of time; or what the replay has, in order of positions. What has no segments is a hole.
fn entries(ledger: &Ledger, state: State) -> Vec<Entry<'_>> {
    let chunk = |row: &'_ media::ledger::Row| (row.pos.publish, row.pos.seq.0);
    let mut out: Vec<Entry<'_>> = Vec::with_capacity(ledger.rows.len());
    let replayed = match state {
        State::Over => ledger.late.as_slice(),
        State::OnAir | State::Closing => &[],
    };
    for row in ledger.rows.iter().chain(replayed).filter(|row| !row.segments.is_empty()) {
        let (start, end, segments, tile) = (row.start, row.end, row.segments.as_slice(), row.tile.as_ref());
        let (committed, naming, pos) = (row.committed, row.naming, Some(chunk(row)));
        out.push(Entry { start, end, segments, tile, committed, naming, pos });
    }
    if state == State::Over {
        out.sort_by_key(|entry| entry.pos);
        return out;
    }
    for fill in ledger.fills.iter().filter(|fill| !fill.segments.is_empty()) {
        let (start, end, segments) = (fill.start, fill.end, fill.segments.as_slice());
        let (committed, naming) = (fill.committed, fill.naming);
        out.push(Entry { start, end, segments, tile: None, committed, naming, pos: None });
    }
    out.sort_by_key(|entry| entry.start);
    out
}

/// The rungs and configurations of a row, and how they are named.
fn format<'a>(entry: &Entry<'a>) -> (Naming, Vec<(&'a str, &'a str)>) {
    let mut format: Vec<_> = entry.segments.iter().map(|s| (s.rung.as_str(), s.config.as_str())).collect();
    // A fill too short for a frame of sound belongs to the Period around it all the same.
    if entry.pos.is_none() {
        format.retain(|(rung, _)| *rung != AUDIO_RUNG);
    }
    format.sort_unstable();
    (entry.naming, format)
}

/// Whether an entry may go into a Period of this format.
fn fits(entry: &Entry<'_>, current: &(Naming, Vec<(&str, &str)>)) -> bool {
    let (naming, own) = format(entry);
    let others = current.1.iter().filter(|(rung, _)| entry.pos.is_some() || *rung != AUDIO_RUNG);
    naming == current.0 && own.iter().eq(others)
}

/// The Periods, from the first on.
pub(super) fn plan(ledger: &Ledger, state: State) -> Vec<Plan<'_>> {
    let replay = state == State::Over;
    let mut out: Vec<Plan<'_>> = Vec::new();
    let mut current = (Naming::Plain, Vec::new());
    let mut heard_until: Option<i64> = None;
    for entry in entries(ledger, state) {
        let sound = entry.sound(ledger);
        let silent_for = heard_until.zip(sound).map_or(0, |(until, (from, _))| from - until);
        let last = out.last_mut().filter(|last| {
            let hole = entry.start - (last.origin + last.length);
            fits(&entry, &current)
                && (0..HOLE_MIN).contains(&hole)
                && (-UNDER_MAX_MS..HOLE_MIN_MS).contains(&silent_for)
        });
        heard_until = sound.map(|(_, until)| until).or(heard_until);
        if let Some(last) = last {
            last.length = entry.end - last.origin;
            last.entries.push(entry);
        } else {
            let start = match (replay, out.last()) {
                (false, _) => entry.start,
                (true, None) => 0,
                (true, Some(last)) => last.start + last.length,
            };
            out.push(Plan {
                id: match entry.pos {
                    Some((publish, seq)) => format!("{}-{seq}", publish.get()),
                    None => format!("fill-{}", entry.start),
                },
                origin: entry.start,
                start,
                length: entry.end - entry.start,
                naming: entry.naming,
                entries: vec![entry],
            });
            current = format(&entry);
        }
    }
    out
}

/// Where a window of so many seconds begins: what ends after that is in it.
pub(super) fn window_start(plans: &[Plan<'_>], seconds: u32) -> Ticks {
    let end = plans.last().map_or(0, |last| last.origin + last.length);
    end - Ticks::from(seconds) * Ticks::from(VIDEO_TIMESCALE)
}
