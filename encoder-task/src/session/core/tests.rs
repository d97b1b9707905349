//! The core against made-up buckets.

use super::*;

fn pos(publish: u32, seq: u32) -> ChunkPos {
    ChunkPos { publish: PublishNo::new(publish).unwrap(), seq: ChunkSeq(seq) }
}
fn at(seconds: i64) -> WallTime {
    WallTime(seconds * 1_000_000)
}
/// Two seconds each; an hour between publishes.
fn place(pos: ChunkPos) -> Place {
    let start = (i64::from(pos.publish.get()) * 1800 + i64::from(pos.seq.0)) * 180_000;
    Place { start, end: start + 180_000 }
}
/// A core on a broadcast without origin.
fn core(cursor: Option<ChunkPos>, publish: PublishNo, window_seconds: u32) -> Core {
    let committed =
        cursor.into_iter().flat_map(|c| (0..=c.seq.0).map(move |s| pos(c.publish.get(), s))).collect();
    let mut line = Line::default();
    if let Some(cursor) = cursor {
        line.show(place(cursor));
    }
    Core::new(at(0), Start { cursor, committed, line, publish, window_seconds })
}
fn shown(pos: ChunkPos) -> Effect {
    Effect::Commit { pos, late: false }
}
fn drain(core: &mut Core, now: WallTime) -> Vec<Effect> {
    std::iter::from_fn(|| core.poll(now)).collect()
}
/// Runs every effect at once against a bucket; returns what was committed, and whether `Finish` came.
fn settle(
    core: &mut Core,
    now: WallTime,
    bucket: &BTreeSet<ChunkPos>,
    committed: &mut Vec<ChunkPos>,
) -> bool {
    let mut finished = false;
    while let Some(effect) = core.poll(now) {
        match effect {
            Effect::List(after) => {
                let found = bucket.iter().copied().filter(|p| Some(*p) > after).collect();
                core.handle(now, Input::Listed(found));
            }
            Effect::Start(pos) => core.handle(now, Input::Done(pos, Some(place(pos)))),
            Effect::Commit { pos, late } => {
                committed.push(pos);
                core.handle(now, Input::Committed(pos, (!late).then(|| place(pos))));
            }
            Effect::Fill(piece) => core.handle(now, Input::Filled(piece)),
            Effect::Look => panic!("there is no origin: nothing is looked for"),
            Effect::Expire(_) => core.handle(now, Input::Expired),
            Effect::Finish => {
                assert!(!finished, "finished twice");
                finished = true;
            }
        }
    }
    finished
}

#[test]
fn steady_state_starts_and_commits_in_order() {
    let mut core = core(None, PublishNo::FIRST, 60);
    assert_eq!(drain(&mut core, at(0)), [Effect::List(None)]);
    core.handle(at(0), Input::Listed(vec![]));
    core.handle(at(1), Input::Chunk(pos(1, 0)));
    core.handle(at(1), Input::Chunk(pos(1, 1)));
    assert_eq!(drain(&mut core, at(1)), [Effect::Start(pos(1, 0)), Effect::Start(pos(1, 1))]);
    core.handle(at(2), Input::Done(pos(1, 1), Some(place(pos(1, 1)))));
    assert_eq!(drain(&mut core, at(2)), [], "the second is not committed before the first");
    core.handle(at(2), Input::Done(pos(1, 0), Some(place(pos(1, 0)))));
    assert_eq!(drain(&mut core, at(2)), [shown(pos(1, 0))]);
    core.handle(at(2), Input::Committed(pos(1, 0), Some(place(pos(1, 0)))));
    assert_eq!(drain(&mut core, at(2)), [shown(pos(1, 1))]);
}

#[test]
fn a_duplicate_or_late_notice_starts_nothing_twice() {
    let mut core = core(Some(pos(1, 4)), PublishNo::FIRST, 60);
    let bucket = BTreeSet::from([pos(1, 4), pos(1, 5), pos(1, 6)]);
    let mut done = vec![];
    core.handle(at(1), Input::Chunk(pos(1, 6)));
    core.handle(at(1), Input::Chunk(pos(1, 5)));
    settle(&mut core, at(1), &bucket, &mut done);
    core.handle(at(2), Input::Chunk(pos(1, 6)));
    core.handle(at(2), Input::Chunk(pos(1, 2)));
    settle(&mut core, at(2), &bucket, &mut done);
    assert_eq!(done, [pos(1, 5), pos(1, 6)]);
}

#[test]
fn a_hole_waits_until_its_publish_is_final() {
    let mut core = core(None, PublishNo::FIRST, 60);
    let mut bucket = BTreeSet::from([pos(1, 0), pos(1, 2)]);
    let mut done = vec![];
    assert!(!settle(&mut core, at(0), &bucket, &mut done));
    assert_eq!(done, [pos(1, 0)]);
    bucket.insert(pos(2, 0));
    core.handle(at(1), Input::Chunk(pos(2, 0)));
    assert!(!settle(&mut core, at(1), &bucket, &mut done));
    assert_eq!(done, [pos(1, 0), pos(1, 2), pos(2, 0)], "what was stored is kept, the hole is crossed");
}

#[test]
fn a_broadcaster_who_stops_ends_the_broadcast_with_everything_in_it() {
    let mut core = core(None, PublishNo::FIRST, 60);
    let bucket = BTreeSet::from([pos(1, 0), pos(1, 1)]);
    let mut done = vec![];
    core.handle(at(1), Input::Closed { publish: PublishNo::FIRST, reason: CloseReason::Unpublished });
    assert!(settle(&mut core, at(1), &bucket, &mut done));
    assert_eq!(done, [pos(1, 0), pos(1, 1)]);
    assert_eq!(core.wake(at(1)), None);
}

#[test]
fn a_lost_publisher_has_its_window_and_a_silent_one_a_little_more() {
    let mut core = core(None, PublishNo::FIRST, 60);
    let (bucket, mut done) = (BTreeSet::new(), vec![]);
    settle(&mut core, at(0), &bucket, &mut done);
    assert_eq!(core.wake(at(1)), Some(at(75)));
    core.handle(at(10), Input::Closed { publish: PublishNo::FIRST, reason: CloseReason::Lost });
    assert_eq!(core.wake(at(1)), Some(at(70)));
    assert!(!settle(&mut core, at(69), &bucket, &mut done));
    core.handle(at(69), Input::Chunk(pos(2, 0)));
    assert_eq!(core.wake(at(1)), Some(at(144)), "its return stops the clock");
    assert!(settle(&mut core, at(144), &BTreeSet::from([pos(2, 0)]), &mut done));
    assert_eq!(done, [pos(2, 0)]);
}

#[test]
fn an_expiry_that_meets_a_new_publish_is_taken_back() {
    let mut core = core(None, PublishNo::FIRST, 0);
    core.handle(at(0), Input::Listed(vec![]));
    drain(&mut core, at(0));
    core.handle(at(0), Input::Listed(vec![]));
    core.handle(at(1), Input::Closed { publish: PublishNo::FIRST, reason: CloseReason::Lost });
    assert_eq!(drain(&mut core, at(1)), [Effect::Expire(PublishNo::FIRST)]);
    core.handle(at(1), Input::Extended(PublishNo::new(2).unwrap()));
    assert_eq!(drain(&mut core, at(2)), [Effect::List(None)]);
    assert!(!core.is_ending());
    assert_eq!(core.wake(at(1)), Some(at(16)));
}

#[test]
fn a_drain_finishes_what_is_started_and_starts_nothing() {
    let mut core = core(None, PublishNo::FIRST, 60);
    drain(&mut core, at(0));
    core.handle(at(0), Input::Listed(vec![]));
    core.handle(at(1), Input::Chunk(pos(1, 0)));
    assert_eq!(drain(&mut core, at(1)), [Effect::Start(pos(1, 0))]);
    core.handle(at(1), Input::Drain);
    core.handle(at(1), Input::Chunk(pos(1, 1)));
    assert_eq!(drain(&mut core, at(1)), []);
    assert!(!core.is_drained());
    core.handle(at(2), Input::Done(pos(1, 0), Some(place(pos(1, 0)))));
    assert_eq!(drain(&mut core, at(2)), [shown(pos(1, 0))]);
    core.handle(at(2), Input::Committed(pos(1, 0), Some(place(pos(1, 0)))));
    assert!(core.is_drained());
    assert_eq!(core.wake(at(1)), None);
}

#[test]
fn a_ghost_changes_nothing() {
    let mut core = core(None, PublishNo::new(2).unwrap(), 60);
    let (bucket, mut done) = (BTreeSet::from([pos(1, 0), pos(2, 0)]), vec![]);
    settle(&mut core, at(0), &bucket, &mut done);
    core.handle(at(1), Input::Chunk(pos(1, 9)));
    core.handle(at(1), Input::Closed { publish: PublishNo::FIRST, reason: CloseReason::Unpublished });
    assert!(!settle(&mut core, at(1), &bucket, &mut done));
    assert_eq!(done, [pos(1, 0), pos(2, 0)]);
}

proptest::proptest! {
    /// Whatever order notices come in, and whichever are lost: once the broadcast ends, every stored chunk is committed once, in order.
    #[test]
    fn every_stored_chunk_once_and_in_order(
        stored in proptest::collection::btree_set((1u32..4, 0u32..12), 0..24),
        notices in proptest::collection::vec((1u32..4, 0u32..12), 0..40),
        cut in 0usize..40,
    ) {
        let bucket: BTreeSet<ChunkPos> = stored.iter().map(|(p, s)| pos(*p, *s)).collect();
        // A notice is only ever sent for a chunk that is stored with all before it.
        let truthful = |p: u32, s: u32| (0..=s).all(|s| stored.contains(&(p, s)));
        let mut core = core(None, PublishNo::FIRST, 60);
        let mut done = vec![];
        for (n, (p, s)) in notices.into_iter().enumerate() {
            if truthful(p, s) {
                core.handle(at(1), Input::Chunk(pos(p, s)));
            }
            if n == cut {
                core.handle(at(1), Input::End);
            }
            settle(&mut core, at(1), &bucket, &mut done);
        }
        core.handle(at(2), Input::End);
        settle(&mut core, at(2), &bucket, &mut done);
        proptest::prop_assert_eq!(done, bucket.into_iter().collect::<Vec<_>>());
    }
}

/// On air since time 0 with two chunks shown, the second until second 4; listed.
fn on_air() -> Core {
    let mut line = Line::new(Some(at(0)), at(0), None);
    let gop = |n: i64| Place { start: n * 180_000, end: (n + 1) * 180_000 };
    line.show(gop(0));
    line.show(gop(1));
    let committed = BTreeSet::from([pos(1, 0), pos(1, 1)]);
    let start =
        Start { cursor: Some(pos(1, 1)), committed, line, publish: PublishNo::FIRST, window_seconds: 60 };
    let mut core = Core::new(at(4), start);
    assert_eq!(drain(&mut core, at(4)), [Effect::List(Some(pos(1, 1)))]);
    core.handle(at(4), Input::Listed(vec![]));
    core
}
fn seen(core: &Core) -> Seen {
    Seen {
        publish: core.publish(),
        closed: None,
        ending: false,
        origin: None,
        bounds: Bounds { end: None, floor: None },
        found: vec![],
    }
}
fn lost() -> Input {
    Input::Closed { publish: PublishNo::FIRST, reason: CloseReason::Lost }
}
fn piece(start: i64, end: i64) -> Piece {
    Piece { place: Place { start: start * 90_000, end: end * 90_000 }, slate: false }
}

#[test]
fn a_lost_publisher_is_filled_for_after_a_look_that_finds_nothing() {
    let mut core = on_air();
    core.handle(at(4), lost());
    assert_eq!(drain(&mut core, at(4)), []);
    let due = at(6).plus_micros(700_000);
    assert_eq!(core.wake(at(4)), Some(due));
    assert_eq!(drain(&mut core, due), [Effect::Look]);
    let nothing = seen(&core);
    core.handle(due, Input::Looked(Box::new(nothing)));
    assert_eq!(drain(&mut core, due), [Effect::Fill(piece(4, 6))]);
    assert_eq!(core.wake(due), Some(at(64)), "one at a time");
    core.handle(due, Input::Filled(piece(4, 6)));
    assert_eq!(core.wake(due), Some(at(8).plus_micros(700_000)));
}

#[test]
fn what_a_look_finds_is_taken_instead_of_a_fill() {
    let mut core = on_air();
    let due = core.wake(at(4)).unwrap();
    assert_eq!(drain(&mut core, due), [Effect::Look], "no notice came, none of the loss either");
    let found = Seen { found: vec![pos(1, 2)], ..seen(&core) };
    core.handle(due, Input::Looked(Box::new(found)));
    assert_eq!(drain(&mut core, due), [Effect::Start(pos(1, 2))]);
}

#[test]
fn a_return_is_filled_up_to_and_shown_where_it_begins() {
    let mut core = on_air();
    core.handle(at(4), lost());
    let due = core.wake(at(4)).unwrap();
    drain(&mut core, due);
    let floor = Floor { publish: PublishNo::new(2).unwrap(), at: 5 * 90_000 };
    let bounds = Bounds { end: Some(4 * 90_000), floor: Some(floor) };
    let back = Seen { publish: floor.publish, bounds, ..seen(&core) };
    core.handle(due, Input::Looked(Box::new(back)));
    assert_eq!(drain(&mut core, due), [Effect::List(Some(pos(1, 1)))], "the first publish is final now");
    core.handle(due, Input::Listed(vec![]));
    assert_eq!(drain(&mut core, due), [Effect::Fill(piece(4, 5))]);
    core.handle(due, Input::Filled(piece(4, 5)));
    core.handle(at(7), Input::Chunk(pos(2, 0)));
    assert_eq!(drain(&mut core, at(7)), [Effect::Start(pos(2, 0))]);
    core.handle(at(8), Input::Done(pos(2, 0), Some(Place { start: 5 * 90_000, end: 7 * 90_000 })));
    assert_eq!(drain(&mut core, at(8)), [shown(pos(2, 0))]);
}

#[test]
fn a_hole_nobody_told_of_is_filled_before_what_follows() {
    let mut core = on_air();
    core.handle(at(9), Input::Chunk(pos(1, 2)));
    drain(&mut core, at(9));
    core.handle(at(9), Input::Done(pos(1, 2), Some(Place { start: 7 * 90_000, end: 9 * 90_000 })));
    let mut fills = vec![];
    while let Some(Effect::Fill(fill)) = core.poll(at(9)) {
        fills.push((fill.place.start / 90_000, fill.place.end / 90_000));
        core.handle(at(9), Input::Filled(fill));
    }
    assert_eq!(fills, [(4, 6), (6, 7)]);
}

#[test]
fn what_can_not_be_filled_stays_a_hole_and_holds_nothing_up() {
    let mut core = on_air();
    core.handle(at(9), Input::Chunk(pos(1, 2)));
    drain(&mut core, at(9));
    core.handle(at(9), Input::Done(pos(1, 2), Some(Place { start: 7 * 90_000, end: 9 * 90_000 })));
    assert!(matches!(core.poll(at(9)), Some(Effect::Fill(_))));
    core.handle(at(9), Input::Unfillable);
    assert_eq!(drain(&mut core, at(9)), [shown(pos(1, 2))]);
}

#[test]
fn a_commit_refused_by_a_new_floor_is_decided_anew() {
    let mut core = on_air();
    core.handle(at(6), Input::Chunk(pos(1, 2)));
    drain(&mut core, at(6));
    core.handle(at(6), Input::Done(pos(1, 2), Some(Place { start: 4 * 90_000, end: 6 * 90_000 })));
    assert_eq!(drain(&mut core, at(6)), [shown(pos(1, 2))]);
    let floor = Floor { publish: PublishNo::new(2).unwrap(), at: 5 * 90_000 };
    core.handle(at(6), Input::Refused(Bounds { end: Some(4 * 90_000), floor: Some(floor) }));
    let late = Effect::Commit { pos: pos(1, 2), late: true };
    // The floor is how it hears of the later publish.
    assert_eq!(drain(&mut core, at(6)), [Effect::List(Some(pos(1, 2))), late]);
    assert_eq!(core.publish(), floor.publish);
}

#[test]
fn a_ghosts_last_chunk_comes_into_the_replay_at_the_end() {
    let mut core = core(None, PublishNo::FIRST, 60);
    let mut bucket = BTreeSet::from([pos(1, 0), pos(2, 0)]);
    let mut done = vec![];
    core.handle(at(1), Input::Chunk(pos(1, 0)));
    core.handle(at(1), Input::Chunk(pos(2, 0)));
    settle(&mut core, at(1), &bucket, &mut done);
    bucket.insert(pos(1, 1));
    core.handle(at(2), Input::End);
    assert!(settle(&mut core, at(2), &bucket, &mut done));
    assert_eq!(done, [pos(1, 0), pos(2, 0), pos(1, 1)]);
}

#[test]
fn a_stray_is_never_shown_live() {
    let mut core = on_air();
    core.handle(at(5), Input::Chunk(pos(2, 0)));
    assert_eq!(drain(&mut core, at(5)), [Effect::List(Some(pos(1, 1)))]);
    core.handle(at(5), Input::Listed(vec![]));
    drain(&mut core, at(5));
    core.handle(at(5), Input::Done(pos(2, 0), Some(Place { start: 360_000, end: 540_000 })));
    drain(&mut core, at(5));
    core.handle(at(5), Input::Committed(pos(2, 0), Some(Place { start: 360_000, end: 540_000 })));
    core.handle(at(6), Input::End);
    assert_eq!(drain(&mut core, at(6)), [Effect::List(None)]);
    core.handle(at(6), Input::Listed(vec![pos(1, 0), pos(1, 1), pos(1, 2), pos(2, 0)]));
    assert_eq!(drain(&mut core, at(6)), [Effect::Start(pos(1, 2))]);
    core.handle(at(6), Input::Done(pos(1, 2), Some(Place { start: 720_000, end: 900_000 })));
    assert_eq!(drain(&mut core, at(6)), [Effect::Commit { pos: pos(1, 2), late: true }]);
    core.handle(at(6), Input::Committed(pos(1, 2), None));
    assert_eq!(drain(&mut core, at(6)), [Effect::Finish]);
}

/// Every input in every phase, draining or not: what phase follows, written out.
#[test]
fn every_phase_takes_every_input() {
    let bounds = Bounds { end: None, floor: None };
    let look = |core: &Core, ending| Input::Looked(Box::new(Seen { ending, ..seen(core) }));
    let closed = |reason| Input::Closed { publish: PublishNo::FIRST, reason };
    let inputs = |core: &Core| {
        vec![
            (Input::Chunk(pos(1, 2)), None),
            (Input::Chunk(pos(2, 0)), None),
            (closed(CloseReason::Unpublished), None),
            (closed(CloseReason::Lost), None),
            (closed(CloseReason::Stopped), None),
            (Input::End, Some(Phase::Ending)),
            (Input::Listed(vec![pos(1, 2), pos(9, 9)]), None),
            (Input::Done(pos(1, 2), None), None),
            (Input::Done(pos(1, 2), Some(place(pos(1, 2)))), None),
            (Input::Committed(pos(1, 2), None), None),
            (Input::Refused(bounds), None),
            (Input::Filled(piece(4, 6)), None),
            (Input::FillRefused(bounds), None),
            (Input::Unfillable, None),
            (look(core, false), None),
            (look(core, true), Some(Phase::Ending)),
            (Input::Drain, None),
            (Input::Expired, Some(Phase::Ending)),
            (Input::Extended(PublishNo::new(2).unwrap()), Some(Phase::OnAir)),
        ]
    };
    let in_phase = |phase| {
        let mut core = on_air();
        match phase {
            Phase::OnAir => {}
            Phase::Expiring => {
                core.handle(at(4), closed(CloseReason::Unpublished));
                assert_eq!(drain(&mut core, at(4)), [Effect::Expire(PublishNo::FIRST)]);
            }
            Phase::Ending => core.handle(at(4), Input::End),
            Phase::Finished => {
                core.handle(at(4), Input::End);
                drain(&mut core, at(4));
                core.handle(at(4), Input::Listed(vec![]));
                assert_eq!(drain(&mut core, at(4)), [Effect::Finish]);
            }
        }
        assert_eq!(core.phase, phase);
        core
    };
    for phase in [Phase::OnAir, Phase::Expiring, Phase::Ending, Phase::Finished] {
        for draining in [false, true] {
            for (input, asked) in inputs(&in_phase(phase)) {
                let mut core = in_phase(phase);
                if draining {
                    core.handle(at(4), Input::Drain);
                }
                let said = format!("{phase:?} {draining} {input:?}");
                core.handle(at(5), input);
                let expected = match (phase, asked) {
                    // What is ending ends.
                    (Phase::Ending | Phase::Finished, _) | (_, None) => phase,
                    (Phase::OnAir | Phase::Expiring, Some(next)) => next,
                };
                assert_eq!(core.phase, expected, "{said}");
                // And whatever is to be done comes to an end.
                assert!(drain(&mut core, at(5)).len() < 10, "{said}");
                assert!(core.wake(at(5)).is_none_or(|wake| wake > at(0)), "{said}");
            }
        }
    }
}

#[test]
fn a_return_that_a_look_finds_has_its_window() {
    let mut core = on_air();
    let back = Seen { publish: PublishNo::new(2).unwrap(), ..seen(&core) };
    core.handle(at(70), Input::Looked(Box::new(back)));
    assert_eq!(core.deadline(), Some(at(70 + 15 + 60)));
}

#[test]
fn what_comes_while_the_end_is_made_is_too_late() {
    let mut core = on_air();
    core.handle(at(5), Input::End);
    assert_eq!(drain(&mut core, at(5)), [Effect::List(Some(pos(1, 1)))]);
    core.handle(at(5), Input::Listed(vec![]));
    assert_eq!(drain(&mut core, at(5)), [Effect::Finish]);
    core.handle(at(6), Input::Chunk(pos(1, 2)));
    assert_eq!(drain(&mut core, at(6)), []);
}

#[test]
fn a_look_is_as_fresh_as_its_beginning() {
    let mut core = on_air();
    core.handle(at(4), lost());
    let due = core.wake(at(4)).unwrap();
    assert_eq!(drain(&mut core, due), [Effect::Look]);
    let nothing = seen(&core);
    // It took so long that the piece after is due as well: that needs a look of its own.
    let answered = due.plus_micros(3_000_000);
    core.handle(answered, Input::Looked(Box::new(nothing)));
    assert_eq!(drain(&mut core, answered), [Effect::Fill(piece(4, 6))]);
    core.handle(answered, Input::Filled(piece(4, 6)));
    assert_eq!(drain(&mut core, answered), [Effect::Look]);
}
