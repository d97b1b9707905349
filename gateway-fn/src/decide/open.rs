//! May this key publish, and as what? The choice between a new broadcast, the next publish of the current one, and the answer that
//! was given before.

use media::{
    id::{BroadcastId, PublishNo},
    time::WallTime,
    verdict::{Code, Verdict},
    wire::{CloseReason, Open, Opened},
};
use service::table::{Broadcast, Live, State};

use super::publish::superseded;

/// A broadcast whose publish was never closed is taken for abandoned when nothing of it was committed for its reconnect window and
/// this much more, in microseconds: then publisher, edge and encoder are all gone. Far more than any backlog of an encoder, so that
/// a takeover of a running show never splits it.
pub const SILENCE_SLACK_MICROS: i64 = 120_000_000;

/// A live's current broadcast, as an open needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The broadcast.
    pub broadcast: Broadcast,
    /// When its last ledger row was committed.
    pub last_commit: Option<WallTime>,
}

/// What to do about an [`Open`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenDecision {
    /// Refuse it.
    Refuse(Verdict),
    /// This connection has been given its publish before: give the same answer.
    Again(Opened),
    /// The next publish of the current broadcast.
    Next,
    /// The first publish of a new broadcast.
    New {
        /// The current broadcast is live and must begin to end first, or it would go on beside the new one. Only while this is its
        /// latest publish: one that has come meanwhile is to be decided on anew.
        expire: Option<(BroadcastId, PublishNo)>,
        /// Then its encoder must be told to end it: nobody else may have.
        tell_end: Option<BroadcastId>,
    },
}

/// Decides an [`Open`]. `live` is whose key it is; `current` is that live's current broadcast, if its row is there.
#[must_use]
pub fn open(request: &Open, live: Option<&Live>, current: Option<&Current>, now: WallTime) -> OpenDecision {
    let Some(live) = live else { return OpenDecision::Refuse(unknown_key()) };
    if live.disabled {
        return OpenDecision::Refuse(disabled());
    }
    let fresh = OpenDecision::New { expire: None, tell_end: None };
    let Some(current) = current else { return fresh };
    let broadcast = &current.broadcast;
    let id = || Some(broadcast.broadcast.clone());
    let replace = || OpenDecision::New { expire: id().map(|id| (id, broadcast.publish)), tell_end: id() };
    match broadcast.state {
        State::Ended => return fresh,
        // Whoever began to end it may have died before its encoder heard of it.
        State::Ending => return OpenDecision::New { expire: None, tell_end: id() },
        State::Live => {}
    }
    let closed = broadcast.closed.filter(|closed| closed.publish == broadcast.publish);
    if closed.is_none() && broadcast.connection == request.connection {
        return OpenDecision::Again(Opened {
            live: live.live.clone(),
            broadcast: broadcast.broadcast.clone(),
            publish: broadcast.publish,
            availability_start: broadcast.availability_start,
        });
    }
    // Sent again long ago, and overtaken since: whoever asked has been told, or is gone.
    if broadcast.earlier.contains(&request.connection) {
        return OpenDecision::Refuse(superseded());
    }
    if is_over(current, now) {
        return replace();
    }
    match (broadcast.filler, request.filler) {
        (true, false) => replace(),
        (false, true) => OpenDecision::Refuse(on_air()),
        (true, true) | (false, false) => OpenDecision::Next,
    }
}

/// Whether a broadcast that is still marked live has nothing more to come: its publisher stopped it, did not return in the
/// reconnect window, or vanished without a word.
fn is_over(current: &Current, now: WallTime) -> bool {
    let broadcast = &current.broadcast;
    let window = i64::from(broadcast.window_seconds) * 1_000_000;
    match broadcast.closed.filter(|closed| closed.publish == broadcast.publish) {
        Some(closed) => match closed.reason {
            CloseReason::Unpublished => true,
            // A refused publisher who mends the cause may return like one who lost the connection.
            CloseReason::Lost | CloseReason::Stopped => now.micros_since(closed.at) > window,
        },
        None => {
            let signs = [Some(broadcast.opened), broadcast.availability_start, current.last_commit];
            let last = signs.into_iter().flatten().max().unwrap_or(broadcast.opened);
            now.micros_since(last) > window.saturating_add(SILENCE_SLACK_MICROS)
        }
    }
}

fn unknown_key() -> Verdict {
    Verdict::new(
        Code::UnknownKey,
        "This stream key is not known here. Copy the stream key of your live again, whole, and publish with it.",
    )
}

fn disabled() -> Verdict {
    Verdict::new(
        Code::LiveDisabled,
        "This live is switched off. Ask its operator to enable it, then publish again.",
    )
}

fn on_air() -> Verdict {
    Verdict::new(
        Code::Superseded,
        "Another publisher is on air, and a placeholder yields to it. Publish without filler to take over.",
    )
}

/// The refusal when a new broadcast finds no encoder.
#[must_use]
pub fn no_encoder() -> Verdict {
    Verdict::new(
        Code::NoEncoder,
        "No encoder is free to take the broadcast. Try again in a few seconds; if it lasts, the operator must start encoders.",
    )
}
