//! What `check` finds, on evidence that is whole but for one thing.

use media::{
    id::{BroadcastId, ChunkSeq, Epoch, LiveId, PublishNo},
    ledger::{Cursor, Fill, Init, Naming, Object, TILE_RUNG, Tile, Track as InitTrack},
    time::WallTime,
    verdict::{Code, Verdict},
};

use super::*;
use crate::verify::{
    evidence::{Fault, Manifest, Reached, Role, Stored},
    mpd::{Mpd, Named, Track},
};

pub(super) const GOP: i64 = 180_000;
pub(super) const ENDED: WallTime = WallTime(100_000_000);

pub(super) fn live() -> LiveId {
    "demo".parse().unwrap()
}
pub(super) fn id() -> BroadcastId {
    BroadcastId::new(1_700_000_000_001, [0; 10])
}
pub(super) fn pos(publish: u32, seq: u32) -> ChunkPos {
    ChunkPos { publish: PublishNo::new(publish).unwrap(), seq: ChunkSeq(seq) }
}
fn object(name: &str) -> Object {
    Object { bytes: u64::try_from(name.len()).unwrap(), sha256: hex::encode(name) }
}

fn segment(rung: &str, time: u64, duration: u64) -> Segment {
    let object = object(&format!("{rung}{time}"));
    Segment { rung: rung.to_owned(), config: "c0".to_owned(), time, duration, object }
}

pub(super) fn segments(place: u32) -> Vec<Segment> {
    let place = u64::from(place);
    vec![
        segment("360p", place * 180_000 + 90_000, 180_000),
        segment("audio", place * 96_000 + 48_000, 96_000),
    ]
}

pub(super) fn row(place: u32, at: ChunkPos) -> Row {
    let start = i64::from(place) * GOP;
    Row {
        pos: at,
        epoch: Epoch::FIRST,
        start,
        end: start + GOP,
        discontinuity: false,
        late: false,
        naming: Naming::Plain,
        source: object(&format!("chunk{}-{}", at.publish.get(), at.seq.0)),
        segments: segments(place),
        tile: None,
        verdict: None,
        committed: WallTime(0),
    }
}

fn init(rung: &str) -> Init {
    Init {
        rung: rung.to_owned(),
        config: "c0".to_owned(),
        codecs: "x".to_owned(),
        timescale: 90_000,
        bandwidth: 1,
        track: InitTrack::Audio { sample_rate: 48_000, channels: 2 },
        object: object(rung),
    }
}

/// A manifest of these pieces.
pub(super) fn mpd(evidence: &Evidence, pieces: &[Piece<'_>], dynamic: bool) -> Mpd {
    let track = |rung: &str| {
        let of = |piece: &Piece<'_>| {
            let parts = evidence.parts(*piece).into_iter().filter(|part| part.rung == rung);
            // Nothing is judged by the time but its order, which the names give.
            parts.map(|part| Named { key: part.key, time: 0, duration: part.duration }).collect::<Vec<_>>()
        };
        let init = (rung != TILE_RUNG).then(|| names::init(&live(), &id(), rung, "c0"));
        Track { rung: rung.to_owned(), init, segments: pieces.iter().flat_map(of).collect() }
    };
    let mut tracks = vec![track("360p"), track("audio"), track(TILE_RUNG)];
    tracks.retain(|track| !track.segments.is_empty());
    Mpd { dynamic, tracks }
}

fn evidence(rows: Vec<Row>, ended: Option<WallTime>) -> Evidence {
    filled(rows, Vec::new(), Vec::new(), ended)
}

pub(super) fn filled(rows: Vec<Row>, late: Vec<Row>, fills: Vec<Fill>, ended: Option<WallTime>) -> Evidence {
    let stored = |(at, row): (usize, &Row)| Stored {
        key: names::chunk(&id(), row.pos),
        at: WallTime(i64::try_from(at).unwrap() * 2_000_000),
    };
    let mut evidence = Evidence {
        live: live(),
        broadcast: id(),
        ended,
        reached: Reached::default(),
        manifests: Vec::new(),
        playlists: Vec::new(),
        objects: BTreeMap::new(),
        chunks: rows.iter().chain(&late).enumerate().map(stored).collect(),
        inits: vec![init("360p"), init("audio")],
        rows,
        late,
        fills,
    };
    if ended.is_none() {
        evidence.reached = Reached {
            cursor: evidence.rows.last().map(|row| Cursor { pos: row.pos, end: row.end }),
            live_end: evidence.timeline().last().map(|piece| piece.end()),
        };
    }
    evidence.objects = evidence.expected().into_iter().map(|e| (e.key, e.object)).collect();
    let pieces = if ended.is_none() { evidence.timeline() } else { evidence.replay() };
    let found = Some(Ok(mpd(&evidence, &pieces, ended.is_none())));
    let own = Manifest { key: names::vod_manifest(&live(), &id()), role: Role::Own, found };
    evidence.manifests =
        vec![own.clone(), Manifest { key: names::live_manifest(&live()), role: Role::Stable, ..own }];
    evidence
}

/// Two publishes: three chunks and two.
pub(in crate::verify) fn whole() -> Evidence {
    let places = [pos(1, 0), pos(1, 1), pos(1, 2), pos(2, 0), pos(2, 1)];
    evidence(places.iter().zip(0..).map(|(at, place)| row(place, *at)).collect(), Some(ENDED))
}

pub(in crate::verify) fn faults(evidence: &Evidence) -> Vec<String> {
    check(evidence).faults.iter().map(Fault::to_string).collect()
}

#[track_caller]
pub(in crate::verify) fn finds(evidence: &Evidence, object: &str, problem: &str) {
    let found = faults(evidence);
    assert!(
        found.iter().any(|line| line.starts_with(object) && line.contains(problem)),
        "no \"{object}: …{problem}\" in {found:#?}"
    );
}

#[test]
fn whole_is_whole_over_and_on_air() {
    assert_eq!(check(&whole()), Report::default());
    let on_air = evidence(whole().rows, None);
    assert_eq!(check(&on_air), Report::default());
    assert_eq!(check(&evidence(Vec::new(), Some(ENDED))), Report::default());
}

#[test]
fn a_missing_or_altered_segment_is_one_fault_that_names_it() {
    let key = names::segment(&live(), &id(), "360p", 90_000 + 180_000, Naming::Plain);
    let mut e = whole();
    e.objects.remove(&key);
    assert_eq!(faults(&e), [format!("{key}: it is missing")]);
    let mut e = whole();
    e.objects.get_mut(&key).unwrap().sha256 = "00".to_owned();
    finds(&e, &key, "SHA-256 is 00");
    assert_eq!(faults(&e).len(), 1);
    let mut e = whole();
    e.objects.get_mut(&key).unwrap().bytes = 1;
    finds(&e, &key, "has 1 bytes");
    let init = names::init(&live(), &id(), "audio", "c0");
    let mut e = whole();
    e.objects.remove(&init);
    finds(&e, &init, "missing");
}

#[test]
fn a_deleted_row_is_found_wherever_it_was() {
    for gone in 0..5 {
        let mut e = whole();
        let row = e.rows.remove(gone);
        let chunk = names::chunk(&id(), row.pos);
        let segment = names::segment(&live(), &id(), "360p", row.segments[0].time, Naming::Plain);
        finds(&e, "vod/demo/", &format!("names {segment}, which is in no row"));
        if gone != 4 {
            finds(&e, &chunk, "in no row");
        }
        // Even when its chunk has expired.
        e.chunks.retain(|stored| stored.key != chunk);
        assert!(!faults(&e).is_empty());
    }
    let mut e = whole();
    e.rows.remove(1);
    finds(&e, "ledger row of publish 1 chunk 2", "1 row is missing between");
    let mut e = whole();
    e.rows.remove(3);
    finds(&e, "ledger row of publish 2 chunk 1", "1 row is missing before it");
    let mut e = evidence(whole().rows, None);
    e.rows.pop();
    finds(&e, "ledger row of publish 2 chunk 1", "committed and is gone");
}

#[test]
fn sound_alone_begins_with_a_frame_after_the_pictures() {
    let with = |later: i64| {
        let mut e = whole();
        e.rows[2].start += later;
        e.rows[2].segments.retain(|segment| segment.rung == AUDIO_RUNG);
        faults(&e).into_iter().filter(|fault| fault.contains("a hole of")).count()
    };
    assert_eq!(with(1_920), 0, "a frame of AAC at 48 kHz");
    assert_eq!(with(23_040), 0, "at 4 kHz");
    assert_eq!(with(23_064), 1);
}

#[test]
fn order_timeline_and_epochs() {
    let mut e = whole();
    e.rows[1].pos = pos(1, 2);
    e.rows[2].pos = pos(1, 1);
    finds(&e, "ledger row of publish 1 chunk 1", "it comes after");
    let mut e = whole();
    e.rows[2].start += 1;
    finds(&e, "ledger row of publish 1 chunk 2", "a hole of 1 ticks");
    e.rows[2].discontinuity = true;
    assert_eq!(faults(&e), Vec::<String>::new());
    let mut e = whole();
    e.rows[2].start -= 1;
    finds(&e, "ledger row of publish 1 chunk 2", "before the end of");
    let mut e = whole();
    e.rows[1].epoch = Epoch(3);
    finds(&e, "ledger row of publish 1 chunk 2", "its epoch 1 is older than 3");
    let mut e = whole();
    e.rows[2].segments[0].time += 5;
    finds(&e, "vod/demo/", "does not join");
    let mut e = whole();
    e.rows[2].segments[1].time -= 5;
    finds(&e, "vod/demo/", "overlaps");
    let mut e = whole();
    let again = e.rows[1].clone();
    e.rows.insert(2, again);
    finds(&e, "ingest/", "in 2 rows");
}

#[test]
fn a_reconnect_may_leave_a_hole_in_time() {
    let mut rows = whole().rows;
    rows.truncate(3);
    rows.push(Row { discontinuity: true, ..row(9, pos(2, 0)) });
    assert_eq!(faults(&evidence(rows, Some(ENDED))), Vec::<String>::new());
}

#[test]
fn chunks_in_no_row() {
    let extra = |at: ChunkPos, stored: i64| Stored { key: names::chunk(&id(), at), at: WallTime(stored) };
    // On air the newest is not committed yet.
    let mut e = evidence(whole().rows, None);
    e.chunks.push(extra(pos(2, 2), 90_000_000));
    assert_eq!(check(&e), Report::default());
    // Over, it should have been; unless it came when the end had begun.
    let mut e = whole();
    e.chunks.push(extra(pos(2, 2), 50_000_000));
    finds(&e, &names::chunk(&id(), pos(2, 2)), "in no row");
    let mut e = whole();
    e.chunks.push(extra(pos(2, 2), 99_000_000));
    assert!(faults(&e).is_empty());
    assert_eq!(check(&e).notes.len(), 1);
    // A ghost's is as good as any: only one that came after the end is none of it.
    let mut e = whole();
    e.chunks.push(extra(pos(1, 3), 6_500_000));
    finds(&e, &names::chunk(&id(), pos(1, 3)), "in no row");
    let mut e = whole();
    e.chunks.push(extra(pos(1, 3), 99_000_000));
    assert!(faults(&e).is_empty());
    assert_eq!(check(&e).notes.len(), 1);
    let mut e = evidence(whole().rows, None);
    e.chunks.push(extra(pos(1, 3), 6_500_000));
    assert!(faults(&e).is_empty(), "on air it may be about to be committed");
    // Expired chunks are only mentioned.
    let mut e = whole();
    let keys: Vec<_> = e.chunks.drain(..).map(|stored| stored.key).collect();
    keys.iter().for_each(|key| drop(e.objects.remove(key)));
    assert!(faults(&e).is_empty());
    assert_eq!(check(&e).notes.len(), 1);
}

#[test]
fn a_chunk_that_could_not_be_transcoded_is_mentioned() {
    let mut rows = whole().rows;
    rows[1].segments.clear();
    finds(&evidence(rows.clone(), Some(ENDED)), "ledger row of publish 1 chunk 1", "no verdict");
    rows[1].verdict = Some(Verdict::new(Code::VideoCorrupt, "nothing could be decoded"));
    let report = check(&evidence(rows, Some(ENDED)));
    assert!(report.faults.is_empty(), "{report:?}");
    assert!(report.notes[0].contains("video-corrupt"));
}

fn with_manifest(change: impl FnOnce(&mut Mpd), ended: Option<WallTime>) -> Evidence {
    let mut e = evidence(whole().rows, ended);
    if let Some(Ok(mpd)) = &mut e.manifests[0].found {
        change(mpd);
    }
    e
}

#[test]
fn manifests_agree_with_the_ledger() {
    let key = names::vod_manifest(&live(), &id());
    let pop = |mpd: &mut Mpd| drop(mpd.tracks[0].segments.pop());
    finds(&with_manifest(pop, Some(ENDED)), &key, "does not name");
    assert!(faults(&with_manifest(pop, None)).is_empty(), "on air it may be a moment behind");
    let hole = |mpd: &mut Mpd| drop(mpd.tracks[0].segments.remove(1));
    finds(&with_manifest(hole, None), &key, "does not name");
    let swap = |mpd: &mut Mpd| mpd.tracks[0].segments.swap(1, 2);
    finds(&with_manifest(swap, None), &key, "out of order");
    finds(&with_manifest(|mpd| mpd.tracks[0].init = None, None), &key, "recorded is c0");
    let other = |mpd: &mut Mpd| mpd.tracks[0].init.as_mut().unwrap().push('x');
    finds(&with_manifest(other, None), &key, "recorded is c0");
    finds(&with_manifest(|mpd| mpd.tracks[1].segments[0].duration = 1, None), &key, "duration of 1");
    finds(&with_manifest(|mpd| mpd.dynamic = true, Some(ENDED)), &key, "dynamic");
    let mut e = whole();
    e.manifests[0].found = None;
    finds(&e, &key, "missing");
    e.manifests[0].found = Some(Err("it is no XML".to_owned()));
    finds(&e, &key, "no XML");
}

#[test]
fn the_stable_manifest_may_begin_later_but_has_no_holes() {
    let mut e = evidence(whole().rows, None);
    let Some(Ok(mpd)) = &mut e.manifests[1].found else { panic!("no manifest") };
    for track in &mut mpd.tracks {
        track.segments.drain(..2);
    }
    assert!(faults(&e).is_empty());
    let Some(Ok(mpd)) = &mut e.manifests[1].found else { panic!("no manifest") };
    mpd.tracks[0].segments.remove(1);
    finds(&e, "live/demo/manifest.mpd", "does not name");
}

#[test]
fn periods_go_on_where_the_one_before_ended() {
    let split = |mpd: &mut Mpd| {
        let later: Vec<Track> = mpd
            .tracks
            .iter_mut()
            .map(|track| Track { segments: track.segments.split_off(3), ..track.clone() })
            .collect();
        mpd.tracks.extend(later);
    };
    assert!(faults(&with_manifest(split, Some(ENDED))).is_empty());
}

/// As [`whole`], with a storyboard that lacks one picture.
fn with_tiles(ended: Option<WallTime>) -> Evidence {
    let mut rows = whole().rows;
    for (place, row) in rows.iter_mut().enumerate().filter(|(place, _)| *place != 2) {
        row.tile =
            Some(Tile { width: 320, height: 180, contrast: 40, object: object(&format!("tile{place}")) });
    }
    evidence(rows, ended)
}

#[test]
fn a_storyboard_is_held_to_the_ledger_as_segments_are() {
    let (own, tile) =
        (names::vod_manifest(&live(), &id()), names::tile(&live(), &id(), 270_000, Naming::Plain));
    let changed = |change: fn(&mut Track)| {
        let mut e = with_tiles(Some(ENDED));
        if let Some(Ok(mpd)) = &mut e.manifests[0].found {
            change(mpd.tracks.iter_mut().find(|track| track.rung == TILE_RUNG).unwrap());
        }
        e
    };
    for ended in [None, Some(ENDED)] {
        assert_eq!(check(&with_tiles(ended)), Report::default());
    }
    let mut e = with_tiles(Some(ENDED));
    e.objects.remove(&tile);
    assert_eq!(faults(&e), [format!("{tile}: it is missing")]);
    let mut e = with_tiles(Some(ENDED));
    e.objects.get_mut(&tile).unwrap().sha256 = "00".to_owned();
    finds(&e, &tile, "SHA-256 is 00");
    let mut e = with_tiles(Some(ENDED));
    e.rows[1].tile = None;
    finds(&e, &own, &format!("names {tile}, which is in no row"));
    finds(&changed(|track| drop(track.segments.remove(1))), &own, &format!("does not name {tile}"));
    finds(&changed(|track| track.segments[1].duration -= 1), &own, "recorded is 180000");
    finds(&changed(|track| track.init = Some("x".to_owned())), &own, "recorded is none");
}
