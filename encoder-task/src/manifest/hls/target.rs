//! The target duration. RFC 8216 wants it constant for the life of a playlist, and no segment longer than it (rounded); but segments are
//! GOPs, and how long the next one is nobody knows. See `docs/decisions/0009-hls.md`.

use media::{
    ledger::Segment,
    time::{Ticks, VIDEO_TIMESCALE},
};

use crate::manifest::{State, Timeline};

/// What fits every GOP that an edge lets through (`media::gop::limits::GOP_MAX_MS`), in seconds.
const LONGEST: u64 = 10;
/// So many rows say what kind of GOPs the broadcaster makes…
const ROWS: usize = 4;
/// …unless one of them is longer than this: half of [`LONGEST`] saves no viewer much.
const LONG: Ticks = 5 * VIDEO_TIMESCALE as Ticks;
/// GOPs of one setting differ by no more than this (0.15 s): a few frames of a phone's variable rate.
const ALIKE: Ticks = 13_500;
/// What a GOP of a fixed setting may be longer than the longest of the first ones, in ms, without a change of the rounded number.
const MARGIN_MS: u64 = 200;

/// The target duration of a broadcast's playlists in seconds; `None` while its GOPs can't be judged yet.
pub(super) fn target_duration(timeline: &Timeline<'_>) -> Option<u64> {
    let ledger = timeline.ledger;
    let longest = timeline.ledger.rows.iter().chain(&ledger.late).flat_map(|row| &row.segments);
    let longest = longest.chain(ledger.fills.iter().flat_map(|fill| &fill.segments));
    let longest = longest.map(|segment| rounded(timeline, segment)).max()?.max(1);
    let first = ledger.rows.iter().filter(|row| !row.segments.is_empty()).map(|row| row.end - row.start);
    Some(match usual(first) {
        Some(usual) if longest <= usual => usual,
        // Once in the life of a show, if at all: a broadcaster whose first GOPs were alike sends a longer one.
        Some(_) => longest.max(LONGEST),
        None if timeline.state == State::Over => longest,
        None => return None,
    })
}

/// What follows from the first rows' lengths. Once there, it stays.
fn usual(rows: impl Iterator<Item = Ticks>) -> Option<u64> {
    let mut first = Vec::with_capacity(ROWS);
    for length in rows.take(ROWS) {
        if length > LONG {
            return Some(LONGEST);
        }
        first.push(length);
    }
    // The very first may be short: encoders begin with what they have.
    let settled = (first.len() == ROWS).then(|| first.get(1..)).flatten()?;
    let (least, most) = (settled.iter().min()?, settled.iter().max()?);
    if most - least > ALIKE || first.first()? > most {
        return Some(LONGEST);
    }
    let ms = u64::try_from(most / (Ticks::from(VIDEO_TIMESCALE) / 1000)).unwrap_or(0);
    Some(((ms + MARGIN_MS + 500) / 1000).max(1))
}

/// A segment's duration to the nearest second.
fn rounded(timeline: &Timeline<'_>, segment: &Segment) -> u64 {
    let timescale =
        timeline.ledger.init_of(segment).map_or(u64::from(VIDEO_TIMESCALE), |init| init.timescale.into());
    (segment.duration.saturating_mul(2).saturating_add(timescale)) / (timescale.max(1) * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(ms: &[i64], expected: Option<u64>) {
        let said = usual(ms.iter().map(|ms| ms * 90));
        assert_eq!(said, expected, "{ms:?}");
    }

    #[test]
    fn alike_gops_are_taken_by_their_length_and_others_by_the_longest_there_can_be() {
        says(&[2000; 4], Some(2));
        says(&[2000; 9], Some(2));
        says(&[1000; 4], Some(1));
        says(&[500; 4], Some(1));
        says(&[4000; 4], Some(4));
        says(&[2400; 4], Some(3));
        says(&[1990, 2033, 1966, 2000], Some(2));
        says(&[700, 2000, 2000, 2000], Some(2));
        says(&[2000, 1000, 2000, 2000], Some(10));
        says(&[3000, 2000, 2000, 2000], Some(10));
        says(&[8333], Some(10));
        says(&[1000, 2000, 8000], Some(10));
        says(&[2000, 2000, 2000], None);
        says(&[], None);
    }

    #[test]
    fn it_stays_whatever_comes() {
        let mut lengths = vec![2000i64, 2000, 2000, 2000];
        let first = usual(lengths.iter().map(|ms| ms * 90));
        lengths.extend([1000, 9000, 500]);
        assert_eq!(usual(lengths.iter().map(|ms| ms * 90)), first);
    }
}
