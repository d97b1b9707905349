//! What each event means, given what the table says. Pure and total: every state and every event has an answer, no I/O, no clock,
//! no randomness.
//!
//! Invariants: the same event on the same state has the same answer; an older publish never gets anything but a stop; what is not
//! live takes no publish, start or chunk.

pub mod cue;
pub mod end;
pub mod open;
pub mod publish;
pub mod sweep;
pub mod tell;

pub use end::EndDecision;
pub use open::OpenDecision;
pub use publish::{ChunkDecision, CloseDecision, FloorDecision, StartDecision};
pub use sweep::{HandoverDecision, SweepDecision};
pub use tell::{Heard, Reaction, RebindReason};

#[cfg(test)]
mod tests;
