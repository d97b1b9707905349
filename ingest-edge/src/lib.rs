//! The edge: takes RTMPS publishers in and turns each into closed GOPs.
//!
//! Invariants: [`rtmp`] is the pure protocol core, everything else its shell; whatever waits is bounded; a GOP counts only once it is
//! in the bucket; stream keys go no further than this process, and never into a log.

pub mod admission;
pub mod backend;
pub mod config;
pub mod connection;
pub mod revocation;
pub mod rtmp;
pub mod server;
pub mod tls;
pub mod upload;
