//! What flows through gopcast, and what it is called: identifiers, time, codec configuration, closed GOPs,
//! chunks, ledger rows, ladders, object names and the messages between the services.
//!
//! Everything here is pure: no I/O, no clock, no async. Time and randomness are inputs. The three services
//! share this crate (and `service`), never each other.

pub mod aac;
pub mod audio;
pub mod av1;
pub mod avc;
pub mod bits;
pub mod chunk;
pub mod cue;
pub mod flv;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod gop;
pub mod hevc;
pub mod id;
pub mod index;
pub mod ingest;
pub mod ladder;
pub mod ledger;
pub mod limits;
pub mod mp3;
pub mod nal;
pub mod names;
pub mod opus;
pub mod picture;
pub mod time;
pub mod timeline;
pub mod verdict;
pub mod video;
pub mod wire;
