//! What an unclear or refused write means, given what the table says afterwards. Pure.

use media::{
    id::{BroadcastId, EncoderId, Epoch},
    ledger::{Fill, Row},
};
use service::{
    bucket::Object,
    table::{Binding, Broadcast, State},
};

use super::core::Bounds;

/// What a notice about a broadcast finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// It is this encoder's under the epoch of the notice.
    Mine,
    /// Its binding says otherwise.
    Stale,
    /// It is over.
    Over,
}

/// Whose a broadcast is.
#[must_use]
pub fn ownership(
    broadcast: Option<&Broadcast>,
    binding: Option<&Binding>,
    epoch: Epoch,
    me: &EncoderId,
) -> Ownership {
    match (broadcast.map(|broadcast| broadcast.state), binding) {
        (None | Some(State::Ended), _) => Ownership::Over,
        (Some(State::Live | State::Ending), Some(binding))
            if binding.epoch == epoch && binding.encoder == *me =>
        {
            Ownership::Mine
        }
        (Some(State::Live | State::Ending), _) => Ownership::Stale,
    }
}

/// What became of a commit that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Somebody else has the broadcast.
    Fenced,
    /// It took place; only the reply was lost. The binding as it was made then: a floor that has come since is met, and taken into
    /// account, by the next write.
    Done(Binding),
    /// The timeline has changed: decide anew. The binding as it is now.
    Again(Binding),
    /// The place is taken, for good. The binding as it is now.
    Taken(Binding),
}

/// The binding, if it is still the one that `mine` was.
fn still_mine(mine: &Binding, found: Option<Binding>) -> Option<Binding> {
    found.filter(|found| found.epoch == mine.epoch && found.encoder == mine.encoder)
}

/// Decides about a chunk's commit. `found` and `there` (whether its row is in the ledger) were read after the refusal.
#[must_use]
pub fn commit_refused(mine: &Binding, found: Option<Binding>, row: &Row, there: bool) -> Refused {
    let Some(found) = still_mine(mine, found) else { return Refused::Fenced };
    if there {
        return Refused::Done(Binding { floor: mine.floor, ..found });
    }
    // A binding that was read before the last commit was acknowledged has an old cursor.
    let moved = found.cursor != mine.cursor || (!row.late && bounds(&found) != bounds(mine));
    if moved { Refused::Again(found) } else { Refused::Taken(found) }
}

/// Decides about a fill's commit. `found` was read after the refusal.
#[must_use]
pub fn fill_refused(mine: &Binding, found: Option<Binding>, fill: &Fill) -> Refused {
    let Some(found) = still_mine(mine, found) else { return Refused::Fenced };
    // Nobody else moves the end of the live timeline under this epoch.
    if found.live_end == Some(fill.end) && mine.live_end != found.live_end {
        return Refused::Done(Binding { floor: mine.floor, ..found });
    }
    if bounds(&found) == bounds(mine) { Refused::Taken(found) } else { Refused::Again(found) }
}

/// What a binding says about the live timeline.
#[must_use]
pub fn bounds(binding: &Binding) -> Bounds {
    Bounds { end: binding.live_end, floor: binding.floor }
}

/// Whose a manifest is that is in the way of one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InTheWay {
    /// One's own, an earlier epoch's, or an earlier broadcast's of the live: it may be replaced.
    Replaceable,
    /// That of a later broadcast of the live: it stays, and one's own broadcast goes on without.
    NextBroadcast,
    /// A later epoch's of the same broadcast: somebody else has it.
    LaterEpoch,
}

/// Decides about a manifest that is in the way of `epoch` of `broadcast`. `shared`: other broadcasts write there as well.
#[must_use]
pub fn in_the_way(found: &Object, broadcast: &BroadcastId, epoch: Epoch, shared: bool) -> InTheWay {
    let theirs: Option<BroadcastId> = found.broadcast.as_deref().and_then(|id| id.parse().ok());
    match theirs {
        Some(theirs) if theirs == *broadcast && found.epoch.is_some_and(|theirs| theirs > epoch.0) => {
            InTheWay::LaterEpoch
        }
        Some(theirs) if shared && theirs > *broadcast => InTheWay::NextBroadcast,
        Some(_) | None => InTheWay::Replaceable,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use media::{
        id::{ChunkPos, ChunkSeq, PublishNo},
        ledger::{Cursor, Naming, Shown},
        time::WallTime,
    };
    use service::table::Floor;

    use super::*;

    fn me() -> EncoderId {
        "me".parse().unwrap()
    }
    fn pos(seq: u32) -> ChunkPos {
        ChunkPos { publish: PublishNo::FIRST, seq: ChunkSeq(seq) }
    }
    fn binding() -> Binding {
        let cursor = Some(Cursor { pos: pos(4), end: 900 });
        Binding { encoder: me(), epoch: Epoch(3), cursor, live_end: Some(900), floor: None }
    }
    fn floor() -> Option<Floor> {
        Some(Floor { publish: PublishNo::new(2).unwrap(), at: 1000 })
    }
    fn row(late: bool) -> Row {
        Row {
            pos: pos(5),
            epoch: Epoch(3),
            start: 900,
            end: 1080,
            discontinuity: false,
            late,
            naming: Naming::Plain,
            source: media::ledger::Object { bytes: 1, sha256: String::new() },
            segments: vec![],
            tile: None,
            verdict: None,
            committed: WallTime(0),
        }
    }
    fn fill() -> Fill {
        Fill {
            epoch: Epoch(3),
            start: 900,
            end: 1080,
            shown: Shown::Held,
            naming: Naming::Plain,
            segments: vec![],
            committed: WallTime(0),
        }
    }
    /// Everybody else's bindings.
    fn others() -> [Option<Binding>; 3] {
        let later = Binding { epoch: Epoch(4), ..binding() };
        let elsewhere = Binding { encoder: "other".parse().unwrap(), ..binding() };
        [None, Some(later), Some(elsewhere)]
    }

    #[test]
    fn a_refused_commit() {
        for late in [false, true] {
            for there in [false, true] {
                for other in others() {
                    assert_eq!(commit_refused(&binding(), other, &row(late), there), Refused::Fenced);
                }
            }
            let done = Binding { live_end: Some(1080), ..binding() };
            assert_eq!(commit_refused(&binding(), Some(done.clone()), &row(late), true), Refused::Done(done));
            let same = commit_refused(&binding(), Some(binding()), &row(late), false);
            assert_eq!(same, Refused::Taken(binding()));
        }
        let moved = Binding { floor: floor(), ..binding() };
        assert_eq!(
            commit_refused(&binding(), Some(moved.clone()), &row(false), false),
            Refused::Again(moved)
        );
    }

    #[test]
    fn a_refused_fill() {
        for other in others() {
            assert_eq!(fill_refused(&binding(), other, &fill()), Refused::Fenced);
        }
        let done = Binding { live_end: Some(1080), ..binding() };
        assert_eq!(fill_refused(&binding(), Some(done.clone()), &fill()), Refused::Done(done));
        let moved = Binding { floor: floor(), ..binding() };
        assert_eq!(fill_refused(&binding(), Some(moved.clone()), &fill()), Refused::Again(moved));
        assert_eq!(fill_refused(&binding(), Some(binding()), &fill()), Refused::Taken(binding()));
    }

    #[test]
    fn a_manifest_in_the_way() {
        let id = |n: u64| BroadcastId::new(n, [0; 10]);
        let found = |broadcast: Option<BroadcastId>, epoch: Option<u64>| Object {
            bytes: Bytes::new(),
            etag: String::new(),
            epoch,
            broadcast: broadcast.map(|id| id.to_string()),
            source: None,
        };
        let (mine, next, fenced) = (InTheWay::Replaceable, InTheWay::NextBroadcast, InTheWay::LaterEpoch);
        for (broadcast, epoch, own, shared) in [
            (None, None, mine, mine),
            (Some(id(5)), Some(2), mine, mine),
            (Some(id(5)), Some(3), mine, mine),
            (Some(id(5)), None, mine, mine),
            (Some(id(5)), Some(4), fenced, fenced),
            (Some(id(4)), Some(9), mine, mine),
            (Some(id(6)), Some(1), mine, next),
        ] {
            let object = found(broadcast.clone(), epoch);
            assert_eq!(in_the_way(&object, &id(5), Epoch(3), false), own, "{broadcast:?} {epoch:?}");
            assert_eq!(in_the_way(&object, &id(5), Epoch(3), true), shared, "{broadcast:?} {epoch:?}");
        }
    }

    #[test]
    fn whose_a_broadcast_is() {
        let broadcast = |state| Broadcast {
            broadcast: BroadcastId::new(1, [0; 10]),
            live: "demo".parse().unwrap(),
            state,
            publish: PublishNo::FIRST,
            connection: String::new(),
            earlier: vec![],
            filler: false,
            profile: media::ladder::Profile::ALL[0],
            source_rung: false,
            window_seconds: 60,
            limits: media::limits::Limits::default(),
            opened: WallTime(0),
            availability_start: None,
            closed: None,
            ended: None,
        };
        let mine = Some(binding());
        for found in others().into_iter().chain([mine.clone()]) {
            let ask = |state| ownership(Some(&broadcast(state)), found.as_ref(), Epoch(3), &me());
            let expected = if found == mine { Ownership::Mine } else { Ownership::Stale };
            assert_eq!(ask(State::Live), expected);
            assert_eq!(ask(State::Ending), expected);
            assert_eq!(ask(State::Ended), Ownership::Over);
            assert_eq!(ownership(None, found.as_ref(), Epoch(3), &me()), Ownership::Over);
        }
    }
}
