//! The chaos harness: the real binaries as separate processes, fault proxies before all that they reach, and oracles that read from
//! outside what became of a frame-stamped show. One scenario per file in `tests/chaos/`.
//!
//! Invariant: a scenario is judged by what publishers, viewers and the stored objects show, never by what a process says of itself.

pub mod broadcaster;
pub mod cluster;
pub mod encoder;
pub mod faults;
mod gateways;
pub mod keeper;
pub mod over;
mod programs;
pub mod proxy;
pub mod report;
pub mod show;
pub mod stored;
pub mod watcher;
pub mod wire;
