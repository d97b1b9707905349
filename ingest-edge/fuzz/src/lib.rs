//! The protocol core of the edge by itself: it needs nothing of what is around it, and is built in seconds.
#![allow(dead_code, unused_imports, reason = "the rest of the edge uses it")]

#[path = "../../src/rtmp/mod.rs"]
pub mod rtmp;

pub mod seeds;
