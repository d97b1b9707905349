//! Every state against every event. The expectations are written out, not computed the way the decisions are.

use media::{
    id::{BroadcastId, Epoch, PublishNo},
    ladder::Profile,
    time::{Ticks, WallTime},
    verdict::{Code, Verdict},
    wire::{Close, CloseReason, EncoderReply, Open, Start},
};
use service::table::{Binding, Broadcast, Closed, Floor, Live, State};

use super::{
    ChunkDecision, CloseDecision, EndDecision, FloorDecision, HandoverDecision, Heard, OpenDecision,
    Reaction, RebindReason, StartDecision, SweepDecision,
    end::end,
    open::{Current, SILENCE_SLACK_MICROS, open},
    publish::{chunk, close, floor, start},
    sweep::{handover, sweep},
    tell::{is_failure, judge, react},
};

const NOW: WallTime = WallTime(1_700_000_000_000_000);
const WINDOW_SECONDS: u32 = 30;
const WINDOW_MICROS: i64 = 30_000_000;
const STATES: [State; 3] = [State::Live, State::Ending, State::Ended];
const REASONS: [CloseReason; 3] = [CloseReason::Unpublished, CloseReason::Lost, CloseReason::Stopped];

fn no(n: u32) -> PublishNo {
    PublishNo::new(n).unwrap()
}

fn id() -> BroadcastId {
    BroadcastId::new(1_700_000_000_001, [0; 10])
}

fn live() -> Live {
    Live {
        live: "demo".parse().unwrap(),
        title: "Demo".to_owned(),
        key_hash: "0".repeat(64).parse().unwrap(),
        profile: Profile::ALL[0],
        source_rung: false,
        window_seconds: 999,
        limits: media::limits::Limits::default(),
        slate: None,
        disabled: false,
        current: Some(id()),
        created: WallTime(0),
    }
}

/// On air as publish 2 of `connection-b`, opened a minute ago.
fn broadcast(state: State) -> Broadcast {
    Broadcast {
        broadcast: id(),
        live: "demo".parse().unwrap(),
        state,
        publish: no(2),
        connection: "connection-b".to_owned(),
        earlier: vec![],
        filler: false,
        profile: Profile::ALL[0],
        source_rung: false,
        window_seconds: WINDOW_SECONDS,
        limits: media::limits::Limits::default(),
        opened: NOW.plus_micros(-60_000_000),
        availability_start: None,
        closed: None,
        ended: None,
    }
}

fn closed(publish: u32, reason: CloseReason, ago: i64) -> Option<Closed> {
    Some(Closed { publish: no(publish), chunks: 5, reason, at: NOW.plus_micros(-ago) })
}

fn opening(connection: &str, filler: bool) -> Open {
    Open { connection: connection.to_owned(), key_hash: "0".repeat(64).parse().unwrap(), filler }
}

fn opened(connection: &str, filler: bool, broadcast: Broadcast) -> OpenDecision {
    open(
        &opening(connection, filler),
        Some(&live()),
        Some(&Current { broadcast, last_commit: Some(NOW) }),
        NOW,
    )
}

/// A new broadcast, the current one brought to its end first.
fn replaced() -> OpenDecision {
    OpenDecision::New { expire: Some((id(), no(2))), tell_end: Some(id()) }
}

fn code(decision: &OpenDecision) -> Option<Code> {
    match decision {
        OpenDecision::Refuse(verdict) => Some(verdict.code),
        _ => None,
    }
}

#[test]
fn open_without_a_live_or_a_broadcast() {
    for filler in [false, true] {
        let request = opening("connection-a", filler);
        assert_eq!(code(&open(&request, None, None, NOW)), Some(Code::UnknownKey));
        let fresh = OpenDecision::New { expire: None, tell_end: None };
        assert_eq!(open(&request, Some(&live()), None, NOW), fresh);
    }
}

#[test]
fn open_after_the_end_is_a_new_broadcast_whoever_asks() {
    for connection in ["connection-a", "connection-b"] {
        for (was, is) in [(false, false), (false, true), (true, false), (true, true)] {
            for closed in [None, closed(2, CloseReason::Lost, 0), closed(2, CloseReason::Unpublished, 0)] {
                let current = |state| Broadcast { filler: was, closed, ..broadcast(state) };
                assert_eq!(
                    opened(connection, is, current(State::Ended)),
                    OpenDecision::New { expire: None, tell_end: None }
                );
                assert_eq!(
                    opened(connection, is, current(State::Ending)),
                    OpenDecision::New { expire: None, tell_end: Some(id()) }
                );
            }
        }
    }
}

#[test]
fn open_again_by_the_same_connection_has_the_same_answer() {
    // Whatever became of an earlier publish, and even when nothing was committed for long.
    for earlier in [None, closed(1, CloseReason::Lost, 3_600_000_000), closed(1, CloseReason::Unpublished, 1)]
    {
        let current =
            Broadcast { closed: earlier, availability_start: Some(WallTime(7)), ..broadcast(State::Live) };
        let OpenDecision::Again(again) = opened("connection-b", false, current) else { panic!() };
        assert_eq!((again.live.as_str(), again.broadcast, again.publish), ("demo", id(), no(2)));
        assert_eq!(again.availability_start, Some(WallTime(7)));
    }
}

#[test]
fn an_open_that_was_overtaken_takes_nothing_over() {
    let current = || Broadcast { earlier: vec!["connection-a".to_owned()], ..broadcast(State::Live) };
    assert_eq!(code(&opened("connection-a", false, current())), Some(Code::Superseded));
    let waiting = Broadcast { closed: closed(2, CloseReason::Lost, 1), ..current() };
    assert_eq!(code(&opened("connection-a", false, waiting)), Some(Code::Superseded));
    assert_eq!(opened("connection-c", false, current()), OpenDecision::Next);
}

#[test]
fn open_by_another_connection_takes_over() {
    assert_eq!(opened("connection-a", false, broadcast(State::Live)), OpenDecision::Next);
    let filler = Broadcast { filler: true, ..broadcast(State::Live) };
    assert_eq!(opened("connection-a", true, filler), OpenDecision::Next);
    // An earlier publish's close says nothing of this one.
    let closed = closed(1, CloseReason::Unpublished, 3_600_000_000);
    let current = Broadcast { closed, ..broadcast(State::Live) };
    assert_eq!(opened("connection-a", false, current), OpenDecision::Next);
}

#[test]
fn open_after_a_close_continues_within_the_window_only() {
    for connection in ["connection-a", "connection-b"] {
        for reason in REASONS {
            for (ago, in_window) in [
                (-5_000_000, true),
                (0, true),
                (WINDOW_MICROS, true),
                (WINDOW_MICROS + 1, false),
                (i64::MAX / 2, false),
            ] {
                let current = Broadcast { closed: closed(2, reason, ago), ..broadcast(State::Live) };
                let goes_on = in_window && reason != CloseReason::Unpublished;
                let expected = if goes_on { OpenDecision::Next } else { replaced() };
                assert_eq!(opened(connection, false, current), expected, "{reason:?} {ago}");
            }
        }
    }
}

#[test]
fn open_of_a_broadcast_that_fell_silent_is_a_new_one() {
    let silence = WINDOW_MICROS + SILENCE_SLACK_MICROS;
    let at = |ago: i64| NOW.plus_micros(-ago);
    for (opened, start, commit, expected) in [
        (at(silence), None, None, OpenDecision::Next),
        (at(silence + 1), None, None, replaced()),
        (at(silence + 1), Some(at(silence)), None, OpenDecision::Next),
        (at(silence + 1), Some(at(silence + 1)), Some(at(silence + 1)), replaced()),
        (at(silence * 9), Some(at(silence * 9)), Some(at(silence)), OpenDecision::Next),
        (at(silence * 9), Some(at(silence * 9)), None, replaced()),
    ] {
        let broadcast = Broadcast { opened, availability_start: start, ..broadcast(State::Live) };
        let current = Current { broadcast, last_commit: commit };
        assert_eq!(open(&opening("connection-a", false), Some(&live()), Some(&current), NOW), expected);
    }
}

#[test]
fn a_filler_yields_and_never_takes_over() {
    let filler = || Broadcast { filler: true, ..broadcast(State::Live) };
    assert_eq!(opened("connection-a", false, filler()), replaced());
    let lost = closed(2, CloseReason::Lost, 1);
    assert_eq!(opened("connection-a", false, Broadcast { closed: lost, ..filler() }), replaced());

    assert_eq!(code(&opened("connection-a", true, broadcast(State::Live))), Some(Code::Superseded));
    let waiting = Broadcast { closed: lost, ..broadcast(State::Live) };
    assert_eq!(code(&opened("connection-a", true, waiting)), Some(Code::Superseded));
    for over in [closed(2, CloseReason::Unpublished, 1), closed(2, CloseReason::Lost, WINDOW_MICROS + 1)] {
        let over = Broadcast { closed: over, ..broadcast(State::Live) };
        assert_eq!(opened("connection-a", true, over), replaced());
    }
}

#[test]
fn start_and_chunk_against_every_state_and_publish() {
    for state in STATES {
        for (publish, stop) in [
            (1, Some(Code::Superseded)),
            (2, (state != State::Live).then_some(Code::Ended)),
            (3, Some(Code::Ended)),
        ] {
            for fixed in [None, Some(WallTime(7))] {
                let current = Broadcast { availability_start: fixed, ..broadcast(state) };
                match (start(Some(&current), no(publish)), stop) {
                    (StartDecision::Stop(verdict), Some(code)) => assert_eq!(verdict.code, code),
                    (StartDecision::Started(at), None) => assert_eq!(Some(at), fixed),
                    (StartDecision::Fix, None) => assert_eq!(fixed, None),
                    (decision, _) => panic!("{state} {publish} {decision:?}"),
                }
                match (chunk(Some(&current), no(publish)), stop) {
                    (ChunkDecision::Stop(verdict), Some(code)) => assert_eq!(verdict.code, code),
                    (ChunkDecision::Tell, None) => {}
                    (decision, _) => panic!("{state} {publish} {decision:?}"),
                }
            }
        }
    }
    assert!(matches!(start(None, no(1)), StartDecision::Stop(v) if v.code == Code::Ended));
    assert!(matches!(chunk(None, no(1)), ChunkDecision::Stop(v) if v.code == Code::Ended));
}

/// Bound under epoch 4, the live timeline shown to `live_end`, the floor (if any) set by a publish.
fn binding(live_end: Option<Ticks>, floor: Option<(u32, Ticks)>) -> Binding {
    Binding {
        encoder: "one".parse().unwrap(),
        epoch: Epoch(4),
        cursor: None,
        live_end,
        floor: floor.map(|(publish, at)| Floor { publish: no(publish), at }),
    }
}

#[test]
fn floors_against_every_binding_and_publish() {
    let starting = |publish, first_frame| Start {
        broadcast: id(),
        publish: no(publish),
        first_frame: WallTime(first_frame),
    };
    // One second after the availability start, by the edge's clock; a second before it.
    let (later, earlier, began) = (2_000_000, 0, WallTime(1_000_000));
    for publish in [1, 2, 9] {
        let request = starting(publish, later);
        assert!(matches!(floor(None, &request, began), FloorDecision::Stop(v) if v.code == Code::Ended));
    }
    for live_end in [None, Some(-7), Some(0), Some(70_000), Some(500_000)] {
        for before in [None, Some((1, 40_000)), Some((2, 600_000))] {
            let seen = binding(live_end, before);
            for (first_frame, arrived) in [(later, 90_000), (earlier, -90_000)] {
                let decide = |publish| floor(Some(&seen), &starting(publish, first_frame), began);
                let fix = |publish, at| FloorDecision::Fix {
                    seen: &seen,
                    floor: Floor { publish: no(publish), at },
                };
                let at = match live_end {
                    Some(500_000) => 500_000,
                    Some(70_000) => arrived.max(70_000),
                    _ => arrived.max(0),
                };
                // The third is later than any that has a floor.
                assert_eq!(decide(3), fix(3, at));
                match before {
                    None => {
                        assert_eq!(decide(2), fix(2, at));
                        let first = if live_end.is_none() { FloorDecision::Begins(None) } else { fix(1, at) };
                        assert_eq!(decide(1), first);
                    }
                    Some((1, set)) => {
                        assert_eq!(decide(2), fix(2, at));
                        assert_eq!(decide(1), FloorDecision::Begins(Some(set)));
                    }
                    Some((_, set)) => {
                        assert_eq!(decide(2), FloorDecision::Begins(Some(set)));
                        assert!(matches!(decide(1), FloorDecision::Stop(v) if v.code == Code::Superseded));
                    }
                }
            }
        }
    }
    let far = binding(None, None);
    let decision = floor(Some(&far), &starting(2, i64::MAX), WallTime(i64::MIN));
    assert!(matches!(decision, FloorDecision::Fix { floor, .. } if floor.at > 0), "{decision:?}");
}

#[test]
fn close_against_every_state_publish_and_earlier_close() {
    let request = |publish, chunks, reason| Close {
        live: "demo".parse().unwrap(),
        broadcast: id(),
        publish: no(publish),
        chunks,
        reason,
    };
    assert_eq!(close(None, &request(1, 5, CloseReason::Lost)), CloseDecision::Nothing);
    for reason in REASONS {
        for state in STATES {
            for publish in [1, 3] {
                let decision = close(Some(&broadcast(state)), &request(publish, 5, reason));
                assert_eq!(decision, CloseDecision::Nothing, "publish {publish} is not the current one");
            }
        }
        assert_eq!(close(Some(&broadcast(State::Ended)), &request(2, 5, reason)), CloseDecision::Nothing);
        for state in [State::Live, State::Ending] {
            for (earlier, expected) in [
                (None, CloseDecision::NoteAndTell),
                (closed(1, reason, 0), CloseDecision::NoteAndTell),
                (closed(2, reason, 0), CloseDecision::Tell),
                (closed(2, CloseReason::Unpublished, 0), CloseDecision::Tell),
            ] {
                let current = Broadcast { closed: earlier, ..broadcast(state) };
                assert_eq!(close(Some(&current), &request(2, 5, reason)), expected, "{reason:?} {earlier:?}");
            }
            let fewer = Broadcast { closed: closed(2, CloseReason::Lost, 0), ..broadcast(state) };
            assert_eq!(close(Some(&fewer), &request(2, 6, CloseReason::Lost)), CloseDecision::NoteAndTell);
        }
    }
}

#[test]
fn end_against_every_state() {
    assert_eq!(end(None, None), EndDecision::NoSuchLive);
    assert_eq!(end(Some(&live()), None), EndDecision::NotOnAir);
    assert_eq!(end(Some(&live()), Some(&broadcast(State::Live))), EndDecision::BeginAndTell(id()));
    assert_eq!(end(Some(&live()), Some(&broadcast(State::Ending))), EndDecision::Tell(id()));
    assert_eq!(end(Some(&live()), Some(&broadcast(State::Ended))), EndDecision::NotOnAir);
}

#[test]
fn handovers_and_sweeps_against_every_state() {
    let bound = binding(None, None);
    for state in STATES {
        for epoch in [3, 4, 5] {
            let expected = match (state, epoch) {
                (State::Ended, _) => HandoverDecision::Over,
                (State::Live | State::Ending, 4) => HandoverDecision::Rebind,
                (State::Live | State::Ending, _) => HandoverDecision::Moved,
            };
            assert_eq!(handover(Some(&broadcast(state)), Some(&bound), Epoch(epoch)), expected);
            assert_eq!(handover(Some(&broadcast(state)), None, Epoch(epoch)), HandoverDecision::Over);
            assert_eq!(handover(None, Some(&bound), Epoch(epoch)), HandoverDecision::Over);
        }
    }
    assert_eq!(sweep(None), SweepDecision::Forget);
    assert_eq!(sweep(Some(&broadcast(State::Live))), SweepDecision::Check);
    assert_eq!(sweep(Some(&broadcast(State::Ending))), SweepDecision::Check);
    assert_eq!(sweep(Some(&broadcast(State::Ended))), SweepDecision::Forget);
}

#[test]
fn reasons_to_move_a_broadcast() {
    for (reason, name, failure) in [
        (RebindReason::Unreachable, "unreachable", true),
        (RebindReason::Draining, "draining", true),
        (RebindReason::HandedOver, "handed-over", true),
        (RebindReason::Gone, "gone", false),
        (RebindReason::Stale, "stale", false),
    ] {
        assert_eq!((reason.as_str(), is_failure(reason)), (name, failure));
    }
}

#[test]
fn every_answer_of_an_encoder() {
    let verdicts = vec![Verdict::new(Code::GopLong, "long")];
    for known in [false, true] {
        let heard = |reply| react(Heard::Reply(reply), known);
        let accepted = EncoderReply::Accepted { verdicts: verdicts.clone() };
        assert_eq!(heard(accepted), Reaction::Accepted(verdicts.clone()));
        assert_eq!(heard(EncoderReply::Over), Reaction::Over);
        assert_eq!(heard(EncoderReply::Draining), Reaction::Rebind(RebindReason::Draining));
        let stale = if known { Reaction::Rebind(RebindReason::Stale) } else { Reaction::LookAgain };
        assert_eq!(heard(EncoderReply::Stale), stale);
        assert_eq!(react(Heard::Nothing, known), Reaction::Rebind(RebindReason::Unreachable));
        assert_eq!(react(Heard::Gone, known), Reaction::Rebind(RebindReason::Gone));
    }
}

#[test]
fn the_first_fatal_verdict_stops() {
    let verdict = |code| Verdict::new(code, "x");
    let warnings = vec![verdict(Code::GopLong), verdict(Code::TimestampJump)];
    assert_eq!(judge(vec![]), Ok(vec![]));
    assert_eq!(judge(warnings.clone()), Ok(warnings));
    let mixed = vec![verdict(Code::GopLong), verdict(Code::OpenGop), verdict(Code::BitRate)];
    assert_eq!(judge(mixed), Err(verdict(Code::OpenGop)));
}
