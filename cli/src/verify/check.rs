//! The proof: evidence in, faults out. Pure and total; what it promises is listed in `gopcast broadcast verify --help`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use media::{
    id::{BroadcastId, ChunkPos, LiveId},
    ledger::{Cursor, Init, Object, Row, Segment},
    names,
    time::WallTime,
};

use super::mpd::Mpd;

/// While a broadcast is being ended its publisher may store one more chunk, before the next notice tells it to stop. Such a chunk came
/// after the end; the window is that of finishing a replay.
const ENDING_MICROS: i64 = 5_000_000;

/// Something is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The object, or the row of the ledger.
    pub(crate) object: String,
    /// What is wrong with it.
    pub(crate) problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.problem)
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Report {
    /// What is wrong.
    pub(crate) faults: Vec<Fault>,
    /// What is worth knowing and not wrong.
    pub(crate) notes: Vec<String>,
}

impl Report {
    fn fault(&mut self, object: impl Into<String>, problem: impl Into<String>) {
        self.faults.push(Fault { object: object.into(), problem: problem.into() });
    }
}

/// A chunk in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its key.
    pub(crate) key: String,
    /// When it was stored.
    pub(crate) at: WallTime,
}

/// A manifest in the bucket.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    /// Its key.
    pub(crate) key: String,
    /// It must name all of the ledger; the stable one of a live may name a window of it.
    pub(crate) whole: bool,
    /// What it names, or why that can't be read; `None` if there is no such object.
    pub(crate) found: Option<Result<Mpd, String>>,
}

/// Everything that the judgement is made from. Read in this order: broadcast, cursor, manifests, ledger, list of chunks, objects; so
/// that on air each may be ahead of those before it and never behind.
#[derive(Debug, Clone)]
pub(crate) struct Evidence {
    pub(crate) live: LiveId,
    pub(crate) broadcast: BroadcastId,
    /// When it ended; `None` while it is on air.
    pub(crate) ended: Option<WallTime>,
    /// The last position that the binding says was committed.
    pub(crate) cursor: Option<Cursor>,
    pub(crate) manifests: Vec<Manifest>,
    /// In the order of their keys, that is, of their start.
    pub(crate) rows: Vec<Row>,
    pub(crate) inits: Vec<Init>,
    pub(crate) chunks: Vec<Stored>,
    /// What was found under each key of [`expected`]; absent if there is no such object.
    pub(crate) objects: BTreeMap<String, Object>,
}

/// An object that the ledger says there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Its key.
    pub(crate) key: String,
    /// What it must be.
    pub(crate) object: Object,
    /// It may have expired.
    pub(crate) expires: bool,
}

/// Every object that the ledger says there is.
pub(crate) fn expected(
    live: &LiveId,
    broadcast: &BroadcastId,
    rows: &[Row],
    inits: &[Init],
) -> Vec<Expected> {
    let mut out = Vec::new();
    for init in inits {
        let key = names::init(live, broadcast, &init.rung, &init.config);
        out.push(Expected { key, object: init.object.clone(), expires: false });
    }
    for row in rows {
        let key = names::chunk(broadcast, row.pos);
        out.push(Expected { key, object: row.source.clone(), expires: true });
        out.extend(row.segments.iter().map(|segment| Expected {
            key: names::segment(live, broadcast, &segment.rung, segment.time, row.naming),
            object: segment.object.clone(),
            expires: false,
        }));
    }
    out
}

/// How a chunk's position is spelled in what is said.
fn at(pos: ChunkPos) -> String {
    format!("ledger row of publish {} chunk {}", pos.publish.get(), pos.seq.0)
}

/// Whether one row is that of the next chunk of the same publish.
fn follows(before: &Row, row: &Row) -> bool {
    before.pos.publish == row.pos.publish && row.pos.seq == before.pos.seq.next()
}

fn rows(count: u32) -> String {
    if count == 1 { "1 row is".to_owned() } else { format!("{count} rows are") }
}

/// Judges.
pub(crate) fn check(evidence: &Evidence) -> Report {
    let mut report = Report::default();
    check_order(evidence, &mut report);
    check_tracks(evidence, &mut report);
    check_chunks(evidence, &mut report);
    check_objects(evidence, &mut report);
    for manifest in &evidence.manifests {
        check_manifest(evidence, manifest, &mut report);
    }
    report
}

/// Positions without holes, the timeline without holes or overlaps, epochs that never fall.
fn check_order(evidence: &Evidence, report: &mut Report) {
    let mut before: Option<&Row> = None;
    for row in &evidence.rows {
        let name = at(row.pos);
        if row.end <= row.start {
            report.fault(&name, format!("it ends at {} and starts at {}", row.end, row.start));
        }
        let first = before.is_none_or(|before| before.pos.publish != row.pos.publish);
        if first && row.pos.seq.0 != 0 {
            report.fault(&name, format!("{} missing before it in its publish", rows(row.pos.seq.0)));
        }
        if let Some(before) = before {
            let last = at(before.pos);
            if row.pos <= before.pos {
                report.fault(&name, format!("it comes after the {last}"));
            } else if !first && row.pos.seq != before.pos.seq.next() {
                let missing = row.pos.seq.0 - before.pos.seq.0 - 1;
                report.fault(&name, format!("{} missing between it and the {last}", rows(missing)));
            }
            if row.start < before.end {
                report.fault(
                    &name,
                    format!("it starts at {}, before the end of the {last} at {}", row.start, before.end),
                );
            } else if row.start > before.end && !row.discontinuity && follows(before, row) {
                let hole = row.start - before.end;
                report.fault(&name, format!("a hole of {hole} ticks lies between the {last} and it"));
            }
            if row.epoch < before.epoch {
                report.fault(
                    &name,
                    format!("its epoch {} is older than {} before it", row.epoch.0, before.epoch.0),
                );
            }
        }
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
        before = Some(row);
    }
    if let Some(cursor) = evidence.cursor
        && before.is_none_or(|last| last.pos < cursor.pos)
    {
        report.fault(at(cursor.pos), "it was committed and is gone");
    }
}

/// Within each rung, what follows without a cut joins to the tick.
fn check_tracks(evidence: &Evidence, report: &mut Report) {
    let (live, id) = (&evidence.live, &evidence.broadcast);
    let mut ends: BTreeMap<&str, (&Segment, usize)> = BTreeMap::new();
    for (index, row) in evidence.rows.iter().enumerate() {
        let mut seen = BTreeSet::new();
        for segment in &row.segments {
            let key = || names::segment(live, id, &segment.rung, segment.time, row.naming);
            if !seen.insert(segment.rung.as_str()) {
                report.fault(key(), format!("{} has two segments of {}", at(row.pos), segment.rung));
                continue;
            }
            if !evidence.inits.iter().any(|init| init.rung == segment.rung && init.config == segment.config) {
                report.fault(
                    key(),
                    format!("its initialization segment {} is not in the ledger", segment.config),
                );
            }
            if let Some((before, at_row)) = ends.insert(&segment.rung, (segment, index)) {
                let end = before.time.saturating_add(before.duration);
                let same = before.config == segment.config;
                let joins = follows(&evidence.rows[at_row], row) && !row.discontinuity && same;
                if same && segment.time < end {
                    report.fault(key(), format!("it overlaps the one before, which ends at {end}"));
                } else if joins && segment.time > end && evidence.rows[at_row].pos.publish == row.pos.publish
                {
                    report.fault(key(), format!("it does not join the one before, which ends at {end}"));
                }
            }
        }
    }
}

/// Every stored chunk is in exactly one row.
fn check_chunks(evidence: &Evidence, report: &mut Report) {
    let id = &evidence.broadcast;
    let mut committed: BTreeMap<ChunkPos, u32> = BTreeMap::new();
    for row in &evidence.rows {
        *committed.entry(row.pos).or_default() += 1;
    }
    for (pos, count) in committed.iter().filter(|(_, count)| **count > 1) {
        report.fault(names::chunk(id, *pos), format!("it is in {count} rows of the ledger"));
    }
    let last = evidence.rows.iter().map(|row| row.pos).max();
    for chunk in &evidence.chunks {
        let Some(pos) = names::parse_chunk(id, &chunk.key) else {
            report.notes.push(format!("{}: not a chunk's name", chunk.key));
            continue;
        };
        if committed.contains_key(&pos) {
            continue;
        }
        let newer = last.is_none_or(|last| pos > last);
        match evidence.ended {
            // On air, what was stored last is not committed yet.
            None if newer => {}
            Some(ended) if newer && chunk.at.plus_micros(ENDING_MICROS) >= ended => {
                report.notes.push(format!(
                    "{}: stored while or after the broadcast was ended, not part of it",
                    chunk.key
                ));
            }
            _ if is_ghosts(evidence, pos, chunk.at) => {
                report.notes.push(format!(
                    "{}: stored by a publisher that had been superseded, not part of it",
                    chunk.key
                ));
            }
            _ => report.fault(&chunk.key, "it is stored and in no row of the ledger"),
        }
    }
}

/// Beyond the last row of its publish, and stored when a later publish already had stored something.
fn is_ghosts(evidence: &Evidence, pos: ChunkPos, at: WallTime) -> bool {
    let last = evidence.rows.iter().map(|row| row.pos).filter(|other| other.publish == pos.publish).max();
    let beyond = last.is_none_or(|last| pos > last);
    let later = |stored: &&Stored| {
        names::parse_chunk(&evidence.broadcast, &stored.key).is_some_and(|other| other.publish > pos.publish)
    };
    beyond && evidence.chunks.iter().filter(later).any(|stored| stored.at <= at)
}

/// Every object is there, of the recorded size and hash.
fn check_objects(evidence: &Evidence, report: &mut Report) {
    let mut expired = 0;
    for expected in expected(&evidence.live, &evidence.broadcast, &evidence.rows, &evidence.inits) {
        let is = match evidence.objects.get(&expected.key) {
            Some(found) => found,
            None if expected.expires => {
                expired += 1;
                continue;
            }
            None => {
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

/// A manifest names segments of the ledger only, in its order; once over, all of them.
fn check_manifest(evidence: &Evidence, manifest: &Manifest, report: &mut Report) {
    let (live, id, key) = (&evidence.live, &evidence.broadcast, &manifest.key);
    let has_segments = evidence.rows.iter().any(|row| !row.segments.is_empty());
    let mpd = match &manifest.found {
        Some(Ok(mpd)) => mpd,
        Some(Err(problem)) => return report.fault(key, problem),
        None if manifest.whole && has_segments && evidence.ended.is_some() => {
            return report.fault(key, "it is missing");
        }
        None => return,
    };
    // Written before the end, and not yet seen after it: only a manifest read after the end must be static.
    if evidence.ended.is_some() && mpd.dynamic {
        report.fault(key, "the broadcast is over and it still says type=\"dynamic\"");
    }
    let mut rungs: BTreeMap<&str, Vec<(String, &Segment)>> = BTreeMap::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (row, segment) in evidence.rows.iter().flat_map(|row| row.segments.iter().map(move |s| (row, s))) {
        let key = names::segment(live, id, &segment.rung, segment.time, row.naming);
        let rung = rungs.entry(&segment.rung).or_default();
        places.insert(key.clone(), rung.len());
        rung.push((key, segment));
    }
    let mut named: BTreeMap<&str, usize> = BTreeMap::new();
    for track in &mpd.tracks {
        let committed = rungs.get(track.rung.as_str()).map_or(&[][..], Vec::as_slice);
        // Where this rung's list goes on. The stable manifest may begin later than the ledger.
        let next = named.entry(&track.rung).or_insert_with(|| {
            let first = track.segments.first();
            let window = first.and_then(|first| places.get(&first.key)).copied();
            if manifest.whole { 0 } else { window.unwrap_or(0) }
        });
        for segment in &track.segments {
            let place = places.get(&segment.key).copied();
            let Some((at, recorded)) = place.and_then(|at| Some((at, committed.get(at)?.1))) else {
                report.fault(key, format!("it names {}, which is in no row of the ledger", segment.key));
                continue;
            };
            if at < *next {
                report.fault(key, format!("it names {} again or out of order", segment.key));
                continue;
            }
            for (skipped, _) in &committed[*next..at] {
                report.fault(key, format!("it does not name {skipped}"));
            }
            *next = at + 1;
            if recorded.duration != segment.duration {
                let problem = format!(
                    "it gives {} a duration of {}, recorded is {}",
                    segment.key, segment.duration, recorded.duration
                );
                report.fault(key, problem);
            }
            if names::init(live, id, &recorded.rung, &recorded.config) != track.init {
                report.fault(
                    key,
                    format!("it names {} for {}, recorded is {}", track.init, segment.key, recorded.config),
                );
            }
        }
    }
    // On air a manifest may be a moment behind the ledger, never ahead; once over, both agree.
    if evidence.ended.is_some() {
        for (rung, committed) in &rungs {
            let from = named.get(rung).copied().unwrap_or(0);
            for (missing, _) in &committed[from..] {
                report.fault(key, format!("it does not name {missing}"));
            }
        }
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
