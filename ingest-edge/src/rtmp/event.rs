//! What a session puts out: bytes for the peer, events for the shell, the next deadline.
//!
//! Invariant: `Debug` of everything here is fit for a log; keys and tokens are redacted, payloads are `Bytes`.

use std::time::Duration;

use bytes::Bytes;

use super::command::PublishKind;
use super::metadata::Metadata;
use super::publish_name::{Parameters, StreamKey};
use super::reason::Reason;

/// What [`Session::poll_output`](super::Session::poll_output) hands out.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Bytes to send to the peer, in order. Finish sending before giving the session more input: that is what bounds a
    /// peer that asks and does not read.
    Transmit(Bytes),
    /// Something happened.
    Event(Event),
    /// The connection is over: everything before this is to be sent, then the sending side shut down, then input read and
    /// discarded for up to [`CLOSE_LINGER`](super::CLOSE_LINGER), then the socket dropped.
    Close,
    /// Nothing more now. Call [`Session::handle_timeout`](super::Session::handle_timeout) when this time since
    /// connection start has come, unless input came before.
    Timeout(Duration),
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The client has connected to the application.
    Connected {
        /// Its software's name (`flashVer`), at most 64 characters; empty if it gave none.
        client: String,
    },
    /// The client asks to publish. Answer with `accept_publish` or `refuse_publish`.
    PublishRequested(PublishRequest),
    /// onMetaData of the publish.
    Metadata(Box<Metadata>),
    /// One video message.
    Video {
        /// Milliseconds on the publisher's clock, modulo 2³². Decode time: the composition offset is in the payload.
        timestamp: u32,
        /// The body of an FLV video tag; never empty.
        payload: Bytes,
    },
    /// One audio message.
    Audio {
        /// Milliseconds on the publisher's clock, modulo 2³².
        timestamp: u32,
        /// The body of an FLV audio tag; never empty.
        payload: Bytes,
    },
    /// The publish is over, or the request was taken back before it was decided. The connection may go on.
    PublishEnded {
        /// Why.
        reason: EndReason,
    },
    /// The session refused something itself and is closing; the client was told why.
    Refused {
        /// Why.
        reason: Reason,
    },
    /// A message that was skipped, for a debug log.
    Ignored {
        /// Message type id.
        message_type: u8,
        /// Why.
        reason: &'static str,
    },
}

/// A wish to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishRequest {
    /// The application, without trailing slashes: always [`APP`](super::APP).
    pub app: String,
    /// The stream key.
    pub key: StreamKey,
    /// What followed the key behind a question mark.
    pub parameters: Parameters,
    /// Message stream id.
    pub stream_id: u32,
    /// What the publisher asks to be done with the stream.
    pub kind: PublishKind,
}

/// Why a publish ended without the shell's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The publisher said so: FCUnpublish, deleteStream or closeStream.
    Unpublished,
    /// The shell did not decide in time; the publisher was told to try again, and the session is closing.
    Undecided,
}
