//! What an encoder's answer, or its silence, means for the binding.

use media::{verdict::Verdict, wire::EncoderReply};

/// What came back from an encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Its answer.
    Reply(EncoderReply),
    /// None: refused, reset, silent, or nothing that can be read.
    Nothing,
    /// It was not asked: it has no row, its process has ended.
    Gone,
}

/// Why a broadcast is moved to another encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebindReason {
    /// It did not answer.
    Unreachable,
    /// It is shutting down.
    Draining,
    /// Its process has ended.
    Gone,
    /// It holds the binding to be another's, the table says it is its own.
    Stale,
    /// It gave the broadcast up: it is shutting down, or has lost its storage.
    HandedOver,
}

impl RebindReason {
    /// As it is written in the event `rebound`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Draining => "draining",
            Self::Gone => "gone",
            Self::Stale => "stale",
            Self::HandedOver => "handed-over",
        }
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// It is told. Verdicts found since the last notice.
    Accepted(Vec<Verdict>),
    /// The broadcast is over.
    Over,
    /// The route came from memory, or the binding has just moved: read the table.
    LookAgain,
    /// Bind another encoder.
    Rebind(RebindReason),
}

/// Decides what an answer means. `known` says that the binding was read from the table (not remembered) since this encoder last
/// said [`EncoderReply::Stale`] of the same epoch.
#[must_use]
pub fn react(heard: Heard, known: bool) -> Reaction {
    match heard {
        Heard::Reply(EncoderReply::Accepted { verdicts }) => Reaction::Accepted(verdicts),
        Heard::Reply(EncoderReply::Over) => Reaction::Over,
        Heard::Reply(EncoderReply::Draining) => Reaction::Rebind(RebindReason::Draining),
        Heard::Reply(EncoderReply::Stale) if known => Reaction::Rebind(RebindReason::Stale),
        Heard::Reply(EncoderReply::Stale) => Reaction::LookAgain,
        Heard::Nothing => Reaction::Rebind(RebindReason::Unreachable),
        Heard::Gone => Reaction::Rebind(RebindReason::Gone),
    }
}

/// Whether an encoder that lost a broadcast for this reason is likely to fail others, too. One that only took the broadcast for
/// another's works, and one that is gone is no candidate anyway.
#[must_use]
pub fn is_failure(reason: RebindReason) -> bool {
    match reason {
        RebindReason::Unreachable | RebindReason::Draining | RebindReason::HandedOver => true,
        RebindReason::Stale | RebindReason::Gone => false,
    }
}

/// Splits an encoder's verdicts: the first fatal one stops the publish, else all are warnings.
///
/// # Errors
/// The verdict that stops the publish.
pub fn judge(verdicts: Vec<Verdict>) -> Result<Vec<Verdict>, Verdict> {
    match verdicts.iter().find(|verdict| verdict.code.is_fatal()) {
        Some(fatal) => Err(fatal.clone()),
        None => Ok(verdicts),
    }
}
