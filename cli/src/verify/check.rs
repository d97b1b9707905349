//! The proof: evidence in, faults out. Pure and total; what it promises is listed in `gopcast broadcast verify --help`.

use std::collections::{BTreeMap, BTreeSet};

use media::{
    audio::FRAME_TICKS_MAX,
    id::ChunkPos,
    ledger::{AUDIO_RUNG, Row, Segment},
    names,
    time::Ticks,
};

use super::{
    evidence::{Evidence, Must, Piece, Report, at},
    manifests, playlists,
};

/// While a broadcast is being ended its publisher may store one more chunk, before the next notice tells it to stop. Such a chunk came
/// after the end; the window is that of finishing a replay.
const ENDING_MICROS: i64 = 5_000_000;

/// A fill goes on where the live timeline ended, or leaves out what nobody watches any more; it never begins just after, in ticks (a
/// quarter of a second).
const JUMP_MIN: Ticks = 22_500;

/// Samples of a fill's silence that the sound after it may cover: one frame. Frames of sound do not end where pictures do, and who fills a
/// hole does not know yet where the frames of the publisher that returns begin.
const SOUND_SEAM: u64 = 1024;

/// Sound that is alone on the timeline begins with the first frame after the pictures before it: so many ticks later at most, with what is
/// rounded up to whole samples (22.5 at 4 kHz).
const SOUND_ALONE_AFTER: Ticks = FRAME_TICKS_MAX + 23;

/// Judges.
pub(crate) fn check(evidence: &Evidence) -> Report {
    let mut report = Report::default();
    check_positions(evidence, &mut report);
    check_timeline(evidence, &mut report);
    check_segments(evidence, &mut report);
    check_joins(evidence, &mut report);
    check_chunks(evidence, &mut report);
    check_objects(evidence, &mut report);
    manifests::check(evidence, &mut report);
    playlists::check(evidence, &mut report);
    report
}

/// Whether one row is that of the next chunk of the same publish.
fn follows(before: &Row, row: &Row) -> bool {
    before.pos.publish == row.pos.publish && row.pos.seq == before.pos.seq.next()
}

/// Whether a row has sound and no pictures.
fn is_heard_only(row: &Row) -> bool {
    !row.segments.is_empty() && row.segments.iter().all(|segment| segment.rung == AUDIO_RUNG)
}

fn rows(count: u32) -> String {
    if count == 1 { "1 row is".to_owned() } else { format!("{count} rows are") }
}

/// The replay: within each publish positions without holes, a timeline without holes or overlaps, epochs that never fall.
fn check_positions(evidence: &Evidence, report: &mut Report) {
    let mut before: Option<&Row> = None;
    for piece in evidence.replay() {
        let Piece::Chunk(row) = piece else { continue };
        let name = at(row.pos);
        let last = before.filter(|before| before.pos.publish == row.pos.publish);
        before = Some(row);
        match &row.verdict {
            None if row.segments.is_empty() => {
                report.fault(&name, "it has no segments, and no verdict says why")
            }
            Some(verdict) if row.segments.is_empty() => report.notes.push(format!(
                "{name}: not transcoded ({}: {})",
                verdict.code.as_str(),
                verdict.message
            )),
            _ => {}
        }
        let Some(last) = last else {
            if row.pos.seq.0 != 0 {
                report.fault(&name, format!("{} missing before it in its publish", rows(row.pos.seq.0)));
            }
            continue;
        };
        let last_name = at(last.pos);
        if row.pos.seq.0 > last.pos.seq.0 + 1 {
            let missing = row.pos.seq.0 - last.pos.seq.0 - 1;
            report.fault(&name, format!("{} missing between it and the {last_name}", rows(missing)));
        }
        let seam = if is_heard_only(row) && !is_heard_only(last) { SOUND_ALONE_AFTER } else { 0 };
        if row.start - last.end > seam && !row.discontinuity && follows(last, row) {
            let hole = row.start - last.end;
            report.fault(&name, format!("a hole of {hole} ticks lies between the {last_name} and it"));
        }
        // Where both are on the live timeline, that says the rest.
        if row.late || last.late {
            check_against(piece, Piece::Chunk(last), report);
        }
    }
    if let Some(cursor) = evidence.reached.cursor
        && !evidence.all_rows().any(|row| row.pos == cursor.pos)
    {
        report.fault(at(cursor.pos), "it was committed and is gone");
    }
}

/// What holds between one piece and the one before it: no overlap, and an epoch that has not fallen.
fn check_against(piece: Piece<'_>, before: Piece<'_>, report: &mut Report) {
    let (name, last) = (piece.name(), before.name());
    if piece.start() < before.end() {
        let (start, end) = (piece.start(), before.end());
        report.fault(&name, format!("it starts at {start}, before the end of the {last} at {end}"));
    }
    if piece.epoch() < before.epoch() {
        let (epoch, older) = (piece.epoch().0, before.epoch().0);
        report.fault(&name, format!("its epoch {epoch} is older than {older} before it"));
    }
}

/// The live timeline: rows and fills never overlap, rows are in the order of positions, a fill goes on where the timeline ended, epochs
/// never fall.
fn check_timeline(evidence: &Evidence, report: &mut Report) {
    let timeline = evidence.timeline();
    let mut position: Option<ChunkPos> = None;
    let mut before: Option<Piece<'_>> = None;
    for piece in evidence.pieces().filter(|piece| piece.end() <= piece.start()) {
        let (start, end) = (piece.start(), piece.end());
        report.fault(piece.name(), format!("it ends at {end} and starts at {start}"));
    }
    for piece in timeline.iter().copied() {
        if let Some(before) = before {
            check_against(piece, before, report);
            let hole = piece.start() - before.end();
            match (before, piece) {
                (_, Piece::Fill(_)) if (1..JUMP_MIN).contains(&hole) => {
                    let last = before.name();
                    report.fault(
                        piece.name(),
                        format!("a hole of {hole} ticks lies between the {last} and it"),
                    );
                }
                (_, Piece::Fill(_)) | (Piece::Fill(_), _) if hole > 0 => {
                    report
                        .notes
                        .push(format!("{}: live, {hole} ticks before it were not filled", piece.name()));
                }
                _ => {}
            }
        } else if matches!(piece, Piece::Fill(_)) {
            report.fault(piece.name(), "nothing is before it that could be held");
        }
        if let Piece::Chunk(row) = piece {
            if let Some(last) = position.filter(|last| row.pos <= *last) {
                report.fault(piece.name(), format!("it comes after the {}", at(last)));
            }
            position = Some(row.pos);
        }
        before = Some(piece);
    }
    let end = timeline.iter().map(|piece| piece.end()).max();
    if let Some(live_end) = evidence.reached.live_end
        && end.is_none_or(|end| end < live_end)
    {
        report.fault("live timeline", format!("it was committed up to {live_end}, and what was is gone"));
    }
}

/// Each piece has one segment per rung, with a known initialization segment and a name of its own.
fn check_segments(evidence: &Evidence, report: &mut Report) {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut named: BTreeSet<ChunkPos> = BTreeSet::new();
    for piece in evidence.pieces() {
        // A position that is in two rows is one fault, and said elsewhere.
        if let Piece::Chunk(row) = piece
            && !named.insert(row.pos)
        {
            continue;
        }
        let mut rungs = BTreeSet::new();
        for segment in piece.segments() {
            let key = evidence.key(piece, segment);
            if !rungs.insert(segment.rung.as_str()) {
                report.fault(key, format!("{} has two segments of {}", piece.name(), segment.rung));
                continue;
            }
            if !evidence.inits.iter().any(|init| init.rung == segment.rung && init.config == segment.config) {
                let config = &segment.config;
                report.fault(&key, format!("its initialization segment {config} is not in the ledger"));
            }
            if let Some(other) = names.insert(key.clone(), piece.name()) {
                report.fault(key, format!("it is that of the {} and of the {other}", piece.name()));
            }
        }
    }
}

/// Within each rung, nothing overlaps on the live timeline, and what follows without a cut joins to the tick.
fn check_joins(evidence: &Evidence, report: &mut Report) {
    let mut ends: BTreeMap<&str, (&Segment, bool)> = BTreeMap::new();
    for piece in evidence.timeline() {
        let is_fill = matches!(piece, Piece::Fill(_));
        for segment in piece.segments() {
            let before = ends.insert(&segment.rung, (segment, is_fill));
            let Some((before, after_fill)) = before else { continue };
            let Some(end) = end_of(before, segment) else { continue };
            let covered = if after_fill && segment.rung == AUDIO_RUNG { SOUND_SEAM } else { 0 };
            if segment.time.saturating_add(covered) < end {
                let key = evidence.key(piece, segment);
                report.fault(key, format!("it overlaps the one before, which ends at {end}"));
            }
        }
    }
    let replay = evidence.replay();
    for pair in replay.windows(2) {
        let [Piece::Chunk(before), Piece::Chunk(row)] = pair else { continue };
        if !follows(before, row) || row.discontinuity {
            continue;
        }
        for segment in &row.segments {
            let Some(last) = before.segments.iter().find(|last| last.rung == segment.rung) else { continue };
            let Some(end) = end_of(last, segment) else { continue };
            let key = || evidence.key(Piece::Chunk(row), segment);
            if segment.time > end {
                report.fault(key(), format!("it does not join the one before, which ends at {end}"));
            } else if segment.time < end && (row.late || before.late) {
                report.fault(key(), format!("it overlaps the one before, which ends at {end}"));
            }
        }
    }
}

/// Where a segment ends, in the ticks of the one after it; `None` when those are of another configuration.
fn end_of(before: &Segment, after: &Segment) -> Option<u64> {
    (before.config == after.config).then(|| before.time.saturating_add(before.duration))
}

/// Every stored chunk is in exactly one row.
fn check_chunks(evidence: &Evidence, report: &mut Report) {
    let id = &evidence.broadcast;
    let mut committed: BTreeMap<ChunkPos, u32> = BTreeMap::new();
    for row in evidence.all_rows() {
        *committed.entry(row.pos).or_default() += 1;
    }
    for (pos, count) in committed.iter().filter(|(_, count)| **count > 1) {
        report.fault(names::chunk(id, *pos), format!("it is in {count} rows of the ledger"));
    }
    for chunk in &evidence.chunks {
        let Some(pos) = names::parse_chunk(id, &chunk.key) else {
            report.notes.push(format!("{}: not a chunk's name", chunk.key));
            continue;
        };
        if committed.contains_key(&pos) {
            continue;
        }
        // Nothing of its publish that is behind it has been committed.
        let newest = committed.range(pos..).all(|(other, _)| other.publish != pos.publish);
        match evidence.ended {
            // On air, what was stored last is not committed yet.
            None if newest => {}
            Some(ended) if newest && chunk.at.plus_micros(ENDING_MICROS) >= ended => {
                report.notes.push(format!(
                    "{}: stored while or after the broadcast was ended, not part of it",
                    chunk.key
                ));
            }
            _ => report.fault(&chunk.key, "it is stored and in no row of the ledger"),
        }
    }
}

/// Every object is there, of the recorded size and hash.
fn check_objects(evidence: &Evidence, report: &mut Report) {
    let mut expired = 0;
    // On air the last one may be on its way.
    if evidence.ended.is_some() {
        for fill in evidence.timeline().into_iter().filter(|piece| evidence.is_empty_fill(*piece)) {
            report.notes.push(format!("{}: it was never stored; live, its place stayed a hole", fill.name()));
        }
    }
    for expected in evidence.expected() {
        let is = match (evidence.objects.get(&expected.key), expected.must) {
            (Some(_), Must::ThereIfNamed) => continue,
            (Some(found), _) => found,
            (None, Must::MatchIfThere) => {
                expired += 1;
                continue;
            }
            (None, Must::ThereIfNamed) if !manifests::is_named(evidence, &expected.key) => continue,
            (None, _) => {
                report.fault(&expected.key, "it is missing");
                continue;
            }
        };
        let must = &expected.object;
        if is.bytes != must.bytes {
            report.fault(&expected.key, format!("it has {} bytes, recorded are {}", is.bytes, must.bytes));
        } else if is.sha256 != must.sha256 {
            report.fault(&expected.key, format!("its SHA-256 is {}, recorded is {}", is.sha256, must.sha256));
        }
    }
    if expired > 0 {
        report
            .notes
            .push(format!("{expired} stored chunks are not there any more; their segments are what counts"));
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
pub(super) mod tests;

#[cfg(test)]
#[path = "hole_tests.rs"]
mod hole_tests;
