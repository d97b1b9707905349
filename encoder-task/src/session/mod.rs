//! One broadcast on this encoder. `core` decides (pure), `actor` carries out, `job` turns a stored chunk into stored segments,
//! `publisher` keeps the manifests at the ledger's heels.
//!
//! Invariants: segments are stored before their row is committed; the row is committed before a manifest names it; every commit and
//! every manifest carries the epoch of the binding this session was made for, and the first refusal ends the session.

mod actor;
pub mod core;
mod job;
mod publisher;

pub use actor::{Claim, Claimed, Deps, End, Message, Session, claim};
pub use core::PIPELINE;
pub use job::Workshop;
