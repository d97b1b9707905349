//! The operator ends what is on air.

use media::id::BroadcastId;
use service::table::{Broadcast, Live, State};

/// What to do about an `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndDecision {
    /// There is no such live.
    NoSuchLive,
    /// Nothing is on air.
    NotOnAir,
    /// Begin to end it, then tell its encoder.
    BeginAndTell(BroadcastId),
    /// It is ending; its encoder may not have heard.
    Tell(BroadcastId),
}

/// Decides an `end`. `current` is the live's current broadcast, if its row is there.
#[must_use]
pub fn end(live: Option<&Live>, current: Option<&Broadcast>) -> EndDecision {
    match (live, current) {
        (None, _) => EndDecision::NoSuchLive,
        (Some(_), None) => EndDecision::NotOnAir,
        (Some(_), Some(broadcast)) => match broadcast.state {
            State::Live => EndDecision::BeginAndTell(broadcast.broadcast.clone()),
            State::Ending => EndDecision::Tell(broadcast.broadcast.clone()),
            State::Ended => EndDecision::NotOnAir,
        },
    }
}
