//! The life of one publish after its open: start, chunks, close.

use media::{
    id::PublishNo,
    time::{Ticks, WallTime},
    timeline::wall_ticks,
    verdict::{Code, Verdict},
    wire::{Close, CloseReason, Start},
};
use service::table::{Binding, Broadcast, Floor, State};

/// What to do about a `start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartDecision {
    /// The availability start is fixed already.
    Started(WallTime),
    /// Fix it.
    Fix,
    /// The publish must stop.
    Stop(Verdict),
}

/// Where a publish that may start begins on the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FloorDecision<'a> {
    /// Nothing is to be fixed: not before this, or at its first frame when nothing can be in its way.
    Begins(Option<Ticks>),
    /// Fix the floor, if the binding still is as it was seen.
    Fix {
        /// The binding.
        seen: &'a Binding,
        /// Its next floor.
        floor: Floor,
    },
    /// The publish must stop.
    Stop(Verdict),
}

/// What to do about a stored chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChunkDecision {
    /// Tell the bound encoder.
    Tell,
    /// The publish must stop.
    Stop(Verdict),
}

/// What to do about a `close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseDecision {
    /// Nobody needs to know any more.
    Nothing,
    /// Note it, then tell the bound encoder.
    NoteAndTell,
    /// It is noted; the encoder may not have heard.
    Tell,
}

/// Decides a `start`.
#[must_use]
pub fn start(broadcast: Option<&Broadcast>, publish: PublishNo) -> StartDecision {
    match (stop(broadcast, publish), broadcast.and_then(|b| b.availability_start)) {
        (Some(verdict), _) => StartDecision::Stop(verdict),
        (None, Some(at)) => StartDecision::Started(at),
        (None, None) => StartDecision::Fix,
    }
}

/// Decides where a publish begins, once its broadcast has an availability start.
///
/// While a publisher is away, encoders fill the hole it leaves on the live timeline. The floor ends that: no fill goes beyond it, and
/// it is not set before the end of what is filled already. So nothing that the publish sends is ever covered by a fill. Only a first
/// publish has nothing before it, as long as nothing is committed.
#[must_use]
pub fn floor<'a>(
    binding: Option<&'a Binding>,
    request: &Start,
    availability_start: WallTime,
) -> FloorDecision<'a> {
    // Freed by the end of the broadcast.
    let Some(seen) = binding else { return FloorDecision::Stop(ended()) };
    match seen.floor {
        Some(floor) if floor.publish == request.publish => FloorDecision::Begins(Some(floor.at)),
        Some(floor) if floor.publish > request.publish => FloorDecision::Stop(superseded()),
        None if request.publish == PublishNo::FIRST && seen.live_end.is_none() => FloorDecision::Begins(None),
        Some(_) | None => {
            let arrived = wall_ticks(availability_start, request.first_frame);
            let at = arrived.max(seen.live_end.unwrap_or(0)).max(0);
            FloorDecision::Fix { seen, floor: Floor { publish: request.publish, at } }
        }
    }
}

/// Decides a stored chunk.
#[must_use]
pub fn chunk(broadcast: Option<&Broadcast>, publish: PublishNo) -> ChunkDecision {
    stop(broadcast, publish).map_or(ChunkDecision::Tell, ChunkDecision::Stop)
}

/// Decides a `close`. The state is left to the encoder, which ends the broadcast at once when it was unpublished and after the
/// reconnect window when it was lost.
#[must_use]
pub fn close(broadcast: Option<&Broadcast>, request: &Close) -> CloseDecision {
    let Some(broadcast) = broadcast else { return CloseDecision::Nothing };
    if broadcast.state == State::Ended || broadcast.publish != request.publish {
        return CloseDecision::Nothing;
    }
    // A close sent again must not move the start of the reconnect window.
    let noted = broadcast.closed.is_some_and(|closed| {
        closed.publish == request.publish
            && closed.chunks == request.chunks
            && closed.reason == request.reason
    });
    // The first reason stands: a connection that breaks after the broadcaster's stop does not undo the stop.
    let unpublished = broadcast
        .closed
        .is_some_and(|closed| closed.publish == request.publish && closed.reason == CloseReason::Unpublished);
    if noted || unpublished { CloseDecision::Tell } else { CloseDecision::NoteAndTell }
}

/// Why this publish may not go on, if so.
fn stop(broadcast: Option<&Broadcast>, publish: PublishNo) -> Option<Verdict> {
    let Some(broadcast) = broadcast else { return Some(ended()) };
    if publish < broadcast.publish {
        return Some(superseded());
    }
    // A publish that was never given out belongs to nothing.
    (broadcast.state != State::Live || publish > broadcast.publish).then(ended)
}

/// The stop of a publish that a later one has overtaken.
#[must_use]
pub fn superseded() -> Verdict {
    Verdict::new(
        Code::Superseded,
        "Another publisher with the same stream key has taken over. Stop one of the two, or give each its own live.",
    )
}

/// The stop of a publish whose broadcast is over.
#[must_use]
pub fn ended() -> Verdict {
    Verdict::new(Code::Ended, "The broadcast has been ended. Publish again to start a new one.")
}
