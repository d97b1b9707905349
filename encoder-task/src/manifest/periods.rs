//! Which rows make up which Period. A Period holds rows of one format: the same rungs with the same initialization segments.

use media::{
    ledger::Row,
    time::{Ticks, VIDEO_TIMESCALE},
};

use super::{Scope, State};

/// Ticks missing between two rows from which on a replay starts a new Period: players step over less (a frame or two) by themselves.
const HOLE_MIN: Ticks = 4500;

/// One Period to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan<'a> {
    /// From the position of its first row, so that it is the same in every manifest of the broadcast.
    pub(super) id: String,
    /// Presentation time of its first row, listed or not, in 1/90 000 s.
    pub(super) origin: Ticks,
    /// `Period@start`, in 1/90 000 s: `origin` while on air; with the holes before it taken out when over.
    pub(super) start: Ticks,
    /// From `origin` to the end of its last row.
    pub(super) length: Ticks,
    /// The rows to list. Never empty.
    pub(super) rows: Vec<&'a Row>,
}

/// The rungs and configurations of a row.
fn format(row: &Row) -> Vec<(&str, &str)> {
    let mut format: Vec<_> = row.segments.iter().map(|s| (s.rung.as_str(), s.config.as_str())).collect();
    format.sort_unstable();
    format
}

pub(super) fn plan(rows: &[Row], state: State, scope: Scope) -> Vec<Plan<'_>> {
    let mut out: Vec<Plan<'_>> = Vec::new();
    let mut current = Vec::new();
    // Rows without segments are holes.
    for row in rows.iter().filter(|row| !row.segments.is_empty()) {
        let format = format(row);
        let last = out.last_mut().filter(|last| {
            let hole = row.start - (last.origin + last.length);
            format == current && (state == State::OnAir || hole < HOLE_MIN)
        });
        if let Some(last) = last {
            last.length = row.end - last.origin;
            last.rows.push(row);
        } else {
            let start = match (state, out.last()) {
                (State::OnAir, _) => row.start,
                (State::Over, None) => 0,
                (State::Over, Some(last)) => last.start + last.length,
            };
            out.push(Plan {
                id: format!("{}-{}", row.pos.publish.get(), row.pos.seq.0),
                origin: row.start,
                start,
                length: row.end - row.start,
                rows: vec![row],
            });
            current = format;
        }
    }
    if let (State::OnAir, Scope::Window(seconds), Some(last)) = (state, scope, out.last()) {
        let from = last.origin + last.length - Ticks::from(seconds) * Ticks::from(VIDEO_TIMESCALE);
        for plan in &mut out {
            plan.rows.retain(|row| row.end > from);
        }
        out.retain(|plan| !plan.rows.is_empty());
    }
    out
}
