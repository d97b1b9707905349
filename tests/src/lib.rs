//! The end-to-end tests' tools: builders that start the real binaries and real publishers, and oracles that read what came out of
//! them. They share no code with gopcast: MPD, ISO BMFF and pictures are read here anew, from the standards.
//!
//! Invariants: nothing here waits without a bound; every process that a test starts is gone when the test ends; a check that fails
//! says which object, which sample or which picture it was.

pub mod aws;
pub mod background;
pub mod boxes;
pub mod browser;
pub mod chaos;
pub mod check;
mod dash;
pub mod delivery;
pub mod emulator;
pub mod hls;
pub mod http;
pub mod mpd;
pub mod obs;
pub mod poll;
pub mod presentation;
pub mod process;
pub mod publisher;
pub mod rtmp;
pub mod sound;
pub mod source;
pub mod stack;
pub mod stamp;
mod storyboard;
pub mod watcher;
