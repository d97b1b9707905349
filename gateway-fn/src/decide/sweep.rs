//! Who works on a broadcast: an encoder that gives one up, and the sweep that looks after all.

use media::id::Epoch;
use service::table::{Binding, Broadcast, State};

/// What to do when an encoder gives a broadcast up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandoverDecision {
    /// There is nothing to give up any more.
    Over,
    /// It has another binding already.
    Moved,
    /// Bind another encoder.
    Rebind,
}

/// Decides a handover by whoever holds the binding of `epoch`.
#[must_use]
pub fn handover(broadcast: Option<&Broadcast>, binding: Option<&Binding>, epoch: Epoch) -> HandoverDecision {
    match (broadcast.map(|broadcast| broadcast.state), binding) {
        (None | Some(State::Ended), _) | (Some(State::Live | State::Ending), None) => HandoverDecision::Over,
        (Some(State::Live | State::Ending), Some(binding)) if binding.epoch == epoch => {
            HandoverDecision::Rebind
        }
        (Some(State::Live | State::Ending), Some(_)) => HandoverDecision::Moved,
    }
}

/// What the sweep does about a broadcast that is listed as on air.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepDecision {
    /// It is not on air: take it off the list.
    Forget,
    /// See that an encoder works on it: all that is to be done about a broadcast, its end in due time included, that one does.
    Check,
}

/// Decides about a broadcast on the list. The list is written together with the broadcasts' own rows and read before them, so that one
/// without a row is not one that is just being made.
#[must_use]
pub fn sweep(broadcast: Option<&Broadcast>) -> SweepDecision {
    match broadcast.map(|broadcast| broadcast.state) {
        None | Some(State::Ended) => SweepDecision::Forget,
        Some(State::Live | State::Ending) => SweepDecision::Check,
    }
}
