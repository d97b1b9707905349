//! Why a connection was ended: what was wrong, and at which input byte, so that it can be found in a capture.
//!
//! Invariant: no error carries anything the peer said that could be a secret (names, keys, URLs); numbers and fixed
//! words only.

use super::amf0;

/// A fatal fault of one connection. The session is closing once it has returned one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rtmp fault at input byte {offset}")]
pub struct Error {
    /// Bytes of the connection (handshake included) consumed when the fault was seen.
    pub offset: u64,
    /// What was wrong.
    #[source]
    pub kind: ErrorKind,
}

/// What a deadline was waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The handshake's end.
    Handshake,
    /// A connect and publish command.
    Publish,
    /// Any byte, during a publish.
    Input,
    /// Audio or video, during a publish.
    Media,
}

/// The kinds of fatal fault. Lengths and limits are bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// C0 asks for a version other than 3: encrypted RTMP (6), TLS on a plain port (22), HTTP and others (§5.2.2).
    #[error("handshake version {version} is not 3")]
    HandshakeVersion {
        /// C0's byte.
        version: u8,
    },
    /// A chunk stream's first chunk leaves out what only an earlier one could have said (§5.3.1.2).
    #[error("first chunk of chunk stream {csid} has compressed header type {format}")]
    FreshChunkStream {
        /// Chunk stream id.
        csid: u32,
        /// Chunk header type, 2 or 3.
        format: u8,
    },
    /// A new message begins on a chunk stream whose last message is unfinished and was not aborted.
    #[error(
        "chunk stream {csid} begins a message of type {message_type} inside an unfinished one of type {unfinished_type}"
    )]
    MessageInsideMessage {
        /// Chunk stream id.
        csid: u32,
        /// Type of the message that begins.
        message_type: u8,
        /// Type of the unfinished message.
        unfinished_type: u8,
    },
    /// A message announces more than [`Limits::max_message_bytes`](super::Limits::max_message_bytes).
    #[error("message of type {message_type} on chunk stream {csid} announces {length} bytes, limit {limit}")]
    MessageTooLarge {
        /// Chunk stream id.
        csid: u32,
        /// Message type id.
        message_type: u8,
        /// Announced length.
        length: u32,
        /// The limit.
        limit: usize,
    },
    /// More chunk streams than [`Limits::max_chunk_streams`](super::Limits::max_chunk_streams).
    #[error("chunk stream {csid} is one more than the limit of {limit}")]
    TooManyChunkStreams {
        /// Chunk stream id.
        csid: u32,
        /// The limit, chunk streams.
        limit: usize,
    },
    /// Unfinished messages together exceed [`Limits::max_buffered_bytes`](super::Limits::max_buffered_bytes), or
    /// [`Limits::max_buffered_idle_bytes`](super::Limits::max_buffered_idle_bytes) while nothing is being published.
    #[error("unfinished messages exceed {limit} bytes")]
    BufferedTooMuch {
        /// The limit.
        limit: usize,
    },
    /// Set chunk size with 0 or with the top bit, which must be zero (§5.4.1).
    #[error("chunk size {size} is not in 1..=2147483647")]
    ChunkSize {
        /// What was asked for.
        size: u32,
    },
    /// A control message shorter than its fields.
    #[error("control message of type {message_type} is cut short: {length} bytes")]
    ControlTruncated {
        /// Message type id.
        message_type: u8,
        /// Its length.
        length: usize,
    },
    /// A command message larger than [`Limits::max_amf_bytes`](super::Limits::max_amf_bytes).
    #[error("command of {length} bytes, limit {limit}")]
    CommandTooLarge {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// A command that is not well-formed AMF.
    #[error("command is not well-formed AMF")]
    CommandEncoding(#[source] amf0::Error),
    /// A command that does not begin with a name, or has a transaction id that is not a number.
    #[error("command without a name or with a transaction id that is not a number")]
    CommandShape,
    /// A command other than connect before connect was accepted.
    #[error("command before connect")]
    CommandBeforeConnect,
    /// A tag of an aggregate message goes beyond the message's end.
    #[error("aggregate message cut short at its byte {position} of {length}")]
    AggregateTruncated {
        /// Where the tag begins.
        position: usize,
        /// The aggregate's length.
        length: usize,
    },
    /// Media sent ahead of the decision exceeds [`Limits::held_media_max_bytes`](super::Limits::held_media_max_bytes).
    #[error("media ahead of the publish decision exceeds {limit} bytes")]
    HeldMedia {
        /// The limit.
        limit: usize,
    },
    /// The peer let a deadline pass.
    #[error("deadline passed, waiting for {0:?}")]
    Deadline(Wait),
}

/// `accept_publish` or `refuse_publish` with no publish awaiting a decision: the peer took it back meanwhile, or the
/// decision came too late. Not a fault of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no publish is awaiting a decision")]
pub struct NotPending;
