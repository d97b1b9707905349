//! What `check` finds where there are holes, fills and late chunks, on evidence that is whole but for one thing.

use media::{
    id::{Epoch, PublishNo},
    ledger::{Cursor, Fill, Naming, Shown},
    time::WallTime,
};

use super::{
    tests::{ENDED, GOP, faults, filled, finds, id, live, mpd, pos, row, segments, whole},
    *,
};

/// A chunk that came when the live timeline had passed its place.
fn late(place: u32, at: ChunkPos) -> Row {
    let naming = Naming::Publish(at.publish);
    Row { late: true, naming, discontinuity: at.seq.0 == 0, ..row(place, at) }
}

fn fill(place: u32) -> Fill {
    let start = i64::from(place) * GOP;
    Fill {
        epoch: Epoch::FIRST,
        start,
        end: start + GOP,
        shown: Shown::Held,
        naming: Naming::Plain,
        segments: segments(place),
        committed: WallTime(0),
    }
}

/// Three chunks, a hole of two pieces that is filled, two more chunks; and one that came too late for the live timeline.
fn with_hole(ended: Option<WallTime>) -> Evidence {
    let mut rows = whole().rows;
    rows.truncate(3);
    rows.push(Row { discontinuity: true, ..row(5, pos(2, 0)) });
    rows.push(row(6, pos(2, 1)));
    let fills = vec![fill(3), Fill { naming: Naming::Fill, shown: Shown::Slate, ..fill(4) }];
    filled(rows, vec![late(3, pos(1, 3)), late(4, pos(1, 4))], fills, ended)
}

#[test]
fn a_filled_hole_and_late_chunks_are_whole() {
    for ended in [None, Some(ENDED)] {
        let e = with_hole(ended);
        assert_eq!(check(&e), Report::default());
        assert_eq!(e.replay().len(), 7);
        assert_eq!(e.timeline().len(), 7);
    }
}

#[test]
fn a_late_row_must_be_there_in_its_publishs_order_and_once() {
    let mut e = with_hole(Some(ENDED));
    let gone = e.late.remove(0);
    finds(&e, &names::chunk(&id(), gone.pos), "in no row");
    finds(&e, "ledger row of publish 1 chunk 4", "1 row is missing between");
    let mut e = with_hole(Some(ENDED));
    e.late[1].start += 2;
    finds(&e, "ledger row of publish 1 chunk 4", "a hole of 2 ticks");
    let mut e = with_hole(Some(ENDED));
    e.late[1].start -= 2;
    finds(&e, "ledger row of publish 1 chunk 4", "before the end of");
    let mut e = with_hole(Some(ENDED));
    e.late[1].segments[1].time -= 5;
    finds(&e, "vod/demo/", "overlaps");
    let mut e = with_hole(Some(ENDED));
    e.late[0].epoch = Epoch(2);
    finds(&e, "ledger row of publish 1 chunk 4", "its epoch 1 is older than 2");
    let mut e = with_hole(Some(ENDED));
    let again = e.late[0].clone();
    e.late.push(again);
    finds(&e, "ingest/", "in 2 rows");
    let mut e = with_hole(None);
    e.reached.cursor = Some(Cursor { pos: pos(1, 5), end: 0 });
    finds(&e, "ledger row of publish 1 chunk 5", "committed and is gone");
}

#[test]
fn no_two_pieces_share_a_name() {
    let mut e = with_hole(Some(ENDED));
    e.late[0].naming = Naming::Plain;
    let key = names::segment(&live(), &id(), "360p", 3 * 180_000 + 90_000, Naming::Plain);
    finds(&e, &key, "it is that of the fill at 540000 and of the ledger row of publish 1 chunk 3");
}

#[test]
fn rows_and_fills_tile_the_live_timeline() {
    let mut e = with_hole(Some(ENDED));
    e.fills[1].start -= 1;
    finds(&e, "fill at 719999", "before the end of the fill at 540000");
    let mut e = with_hole(Some(ENDED));
    e.fills[1].end += 1;
    finds(&e, "ledger row of publish 2 chunk 0", "before the end of the fill at 720000");
    let mut e = with_hole(Some(ENDED));
    e.fills[1].start += 5;
    finds(&e, "fill at 720005", "a hole of 5 ticks");
    let mut e = with_hole(Some(ENDED));
    e.fills[0].end = e.fills[0].start;
    finds(&e, "fill at 540000", "it ends at 540000");
    let mut e = with_hole(Some(ENDED));
    e.rows.clear();
    finds(&e, "fill at 540000", "nothing is before it");
    let mut e = with_hole(Some(ENDED));
    e.fills[1].epoch = Epoch(2);
    finds(&e, "ledger row of publish 2 chunk 0", "its epoch 1 is older than 2");
    let mut e = with_hole(None);
    e.reached.live_end = Some(e.rows[4].end + 1);
    finds(&e, "live timeline", "what was is gone");
    // What could not be filled is known and no loss.
    let mut e = with_hole(None);
    e.fills[1].end -= 10;
    assert!(faults(&e).is_empty());
    assert!(check(&e).notes[0].contains("10 ticks before it were not filled"));
    let mut e = with_hole(None);
    e.fills[0].end -= 90_000;
    assert!(faults(&e).is_empty());
    assert!(check(&e).notes[0].contains("90000 ticks before it were not filled"));
}

#[test]
fn sound_may_cover_a_frame_of_silence_and_no_more() {
    let moved = |row: usize, rung: usize, by: u64| {
        let mut e = with_hole(Some(ENDED));
        let segment = &mut e.rows[row].segments[rung];
        (segment.time, segment.duration) = (segment.time - by, segment.duration + by);
        faults(&e).iter().any(|fault| fault.contains("overlaps"))
    };
    assert!(!moved(3, 1, 1024));
    assert!(moved(3, 1, 1025) && moved(3, 0, 1), "more, or pictures");
    assert!(moved(4, 1, 1), "no silence there");
}

#[test]
fn what_a_fill_lists_is_there_in_whatever_bytes() {
    let key = names::segment(&live(), &id(), "360p", 4 * 180_000 + 90_000, Naming::Fill);
    let mut e = with_hole(Some(ENDED));
    e.objects.get_mut(&key).unwrap().sha256 = "00".to_owned();
    assert!(faults(&e).is_empty());
    // Over: nobody names it any more. Whoever committed it died, and it could not be made again.
    e.objects.remove(&key);
    assert!(faults(&e).is_empty());
    assert!(check(&e).notes[0].contains("fill at 720000: it was never stored"));
    // On air it may be on its way, unless viewers are told of it.
    let mut e = with_hole(None);
    e.objects.remove(&key);
    finds(&e, &key, "missing");
    let shown = mpd(&e, &e.shown(), true);
    e.manifests.iter_mut().for_each(|manifest| manifest.found = Some(Ok(shown.clone())));
    assert_eq!(check(&e), Report::default());
}

#[test]
fn dynamic_manifests_name_the_live_timeline_and_static_ones_the_replay() {
    let own = names::vod_manifest(&live(), &id());
    let name = |ended, which: usize, timeline: bool, dynamic: bool| {
        let mut e = with_hole(ended);
        let pieces = if timeline { e.timeline() } else { e.replay() };
        let mpd = mpd(&e, &pieces, dynamic);
        e.manifests[which].found = Some(Ok(mpd));
        e
    };
    let late =
        names::segment(&live(), &id(), "360p", 3 * 180_000 + 90_000, Naming::Publish(PublishNo::FIRST));
    finds(&name(None, 0, false, true), &own, &format!("names {late}, which is in no row"));
    finds(&name(Some(ENDED), 0, true, false), &own, &format!("does not name {late}"));
    // For a while after the end the stable one shows those who watch how it went.
    let report = check(&name(Some(ENDED), 1, true, false));
    assert!(
        report.faults.is_empty() && report.notes[0].contains("still shows how it went on air"),
        "{report:?}"
    );
    let mut e = name(Some(ENDED), 1, true, false);
    let Some(Ok(mpd)) = &mut e.manifests[1].found else { panic!("no manifest") };
    mpd.tracks[0].segments.pop();
    finds(&e, "live/demo/manifest.mpd", "does not name");
    // The replay is given whole.
    let mut e = name(Some(ENDED), 1, false, false);
    let Some(Ok(mpd)) = &mut e.manifests[1].found else { panic!("no manifest") };
    mpd.tracks[0].segments.remove(0);
    finds(&e, "live/demo/manifest.mpd", "does not name");
}
