//! One broadcast on this encoder. `core` and `decide` decide (pure), `actor` carries out; `job` turns a stored chunk into stored
//! segments (`storing` puts each where it belongs as soon as it is made), `commit` puts it into the ledger, `fill` fills the live timeline's holes, `publisher` keeps the manifests at the ledger's
//! heels, `judge` decides what is said of the stream, `shed` how many rungs are left out to keep up (`turn` is its shell), `poster` leaves
//! pictures for the pages, `finish` ends it; `transcoder` is the seam to FFmpeg.
//!
//! Invariants: segments are stored before their row is committed; the row is committed before a manifest names it; every commit and
//! every manifest carries the epoch of the binding this session was made for, and the first refusal ends the session.

mod actor;
mod claim;
mod commit;
pub mod core;
pub mod decide;
mod fill;
mod finish;
mod job;
pub mod judge;
mod latency;
mod notes;
mod poster;
mod publisher;
pub mod shed;
mod storing;
pub mod transcoder;
mod turn;

pub use actor::{End, Message, Session};
pub use claim::{Claim, Claimed, Deps, claim};
pub use core::PIPELINE;
pub use job::Workshop;
pub use turn::Turn;
