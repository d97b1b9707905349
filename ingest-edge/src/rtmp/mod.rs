//! The RTMP server session, sans I/O: no socket, no clock, no randomness of its own, no panic on any input.
//!
//! Owns everything between bytes on a connection and the audio, video and metadata of one publish: handshake, chunk
//! streams, AMF, commands, acknowledgements, deadlines. Section numbers in comments are those of Adobe's "Real-Time
//! Messaging Protocol (RTMP) specification" 1.0. What is inside an FLV tag is not looked at here.
//!
//! The contract: one mutation, then drain [`Session::poll_output`] until it says `Timeout` or `Close`.
//!
//! ```
//! use std::time::Duration;
//! use ingest_edge::rtmp::{Config, Event, Limits, Output, Session};
//!
//! # fn drive(random: [u8; 32], now: Duration, bytes_read: &[u8], sink: &mut Vec<u8>) {
//! let config = Config { public_url: "rtmps://ingest.example.com/live".to_owned(), limits: Limits::default() };
//! let mut session = Session::new(config, random);
//!
//! // When bytes were read (or, with `handle_timeout(now)`, when the last `Timeout` has come):
//! let result = session.handle_input(now, bytes_read); // an error is logged; the drain below still applies
//! loop {
//!     match session.poll_output() {
//!         Output::Transmit(bytes) => sink.extend_from_slice(&bytes), // write_all, before the next read
//!         Output::Event(Event::PublishRequested(request)) => {
//!             // Ask whoever knows; later, and before `Limits::decision_timeout`:
//!             let _ = match request.key.reveal() {
//!                 "right" => session.accept_publish(now),
//!                 _ => session.refuse_publish("NetStream.Publish.BadName", "Unknown stream key. Please check it."),
//!             };
//!         }
//!         Output::Event(event) => println!("{event:?}"),
//!         Output::Close => break,         // shut down sending, discard input for CLOSE_LINGER, drop
//!         Output::Timeout(_at) => break,  // wait for input or for this time since connection start
//!     }
//! }
//! # let _ = result;
//! # }
//! # drive([7; 32], Duration::ZERO, b"\x03", &mut Vec::new());
//! ```
//!
//! The shell's duties: read at most 64 KiB at a time (what comes out of one call is bounded by what went in); do not
//! read while [`Session::wants_input`] is false; after a pause of its own choosing call [`Session::resume_input`], and do
//! not call `handle_timeout` during it; treat the end of input, with or without TLS close_notify, and a
//! connection reset as the end of a publish, after what was read before it.

mod aggregate;
mod amf0;
mod amf3;
mod chunk_reader;
mod chunk_writer;
mod command;
mod error;
mod event;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod limits;
mod message;
mod metadata;
mod publish_name;
mod reason;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "fuzzing needs a part of it; it sends what the input says and no more"
)]
mod sender;
mod session;

#[cfg(test)]
mod tests;

pub use amf0::{Error as Amf0Error, Fault as Amf0Fault, Properties as Amf0Properties, Value as Amf0Value};
pub use command::{PublishKind, StatusLevel};
pub use error::{Error, ErrorKind, NotPending, Wait};
pub use event::{EndReason, Event, Output, PublishRequest};
pub use limits::{CLOSE_LINGER, Limits};
pub use metadata::Metadata;
pub use publish_name::{Parameters, StreamKey};
pub use reason::Reason;
pub use session::{Config, Session};

/// The one application: the path of the server URL.
pub const APP: &str = "live";
