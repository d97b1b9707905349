//! What one connection may make the server hold, do or wait for: every bound of the RTMP core, with its reason.
//!
//! Invariant: nothing in this module's siblings allocates, queues or waits on behalf of a peer without one of these
//! bounds. Sizes are bytes; times are measured from the connection's start unless said otherwise.

use std::time::Duration;

/// Largest chunk size there is: a message is at most 0xFFFFFF bytes long, so a larger chunk means the same (§5.4.1).
pub(crate) const MAX_CHUNK_SIZE: u32 = 0x00FF_FFFF;

/// Chunk size in force until a peer sets another (§5.4.1).
pub(crate) const INITIAL_CHUNK_SIZE: u32 = 128;

/// Chunk size the server sends with: every reply of ours then fits one chunk, as all clients expect of a modern server.
pub(crate) const OUTGOING_CHUNK_SIZE: u32 = 4096;

/// Window the server asks publishers to send by and, until one announces its own, acknowledges by. Two minutes at
/// 16 Mbit/s: far above the deployed 2.5 MB, because every acknowledgement is a risk. A client that closes with one
/// unread (ffmpeg looks for input every tenth packet only) resets the connection, and the end of its stream, the unpublish
/// with it, is lost in its send buffer; at 2.5 MB, half a window each, that befell
/// seven of eight publishes that ended just behind one.
pub(crate) const WINDOW_BYTES: u32 = 250_000_000;

/// Deepest nesting of AMF values. Encoders use 3; a recursive decoder at 16 uses a few kilobytes of stack.
pub(crate) const MAX_AMF_DEPTH: usize = 16;

/// Most AMF values in one message. The richest onMetaData seen has under 60.
pub(crate) const MAX_AMF_VALUES: usize = 4096;

/// Most bytes of text in one message: what `max_amf_bytes` lets through by default, four times over, since AMF3 may refer to a string again.
pub(crate) const MAX_AMF_TEXT_BYTES: usize = 256 * 1024;

/// Most top-level onMetaData fields kept for whoever reads the raw map.
pub(crate) const MAX_METADATA_FIELDS: usize = 64;

/// Message streams open at once on a connection. A publisher needs one; a few spare ones forgive leaky clients.
pub(crate) const MAX_MESSAGE_STREAMS: usize = 8;

/// Longest publish name, query included: key plus a signed token or two.
pub(crate) const MAX_PUBLISH_NAME_BYTES: usize = 2048;

/// Longest stream key. Ours are far shorter; this bounds what is hashed and sent on.
pub(crate) const MAX_STREAM_KEY_BYTES: usize = 256;

/// Most query parameters of a publish name.
pub(crate) const MAX_PUBLISH_PARAMETERS: usize = 16;

/// Longest text from the client (its software's name) that is passed on, in characters: enough to recognise it in a log.
pub(crate) const MAX_CLIENT_NAME_CHARS: usize = 64;

/// Smallest window that acknowledgements are sent by: a peer that announces less, or 0, would have every read of ours answered.
pub(crate) const MIN_WINDOW_BYTES: u32 = 16 * 1024;

/// Payload reserved when a message begins. More is only allocated as bytes really arrive, so that a peer cannot make
/// the server allocate by announcing lengths.
pub(crate) const INITIAL_RESERVE_BYTES: usize = 64 * 1024;

/// What one held-back media message is counted as on top of its payload, so that empty ones are bounded too.
pub(crate) const HELD_MESSAGE_OVERHEAD_BYTES: usize = 128;

/// How long the shell should keep reading and discarding after [`Output::Close`](super::Output::Close) before it drops
/// the socket. Closing with unread input makes TCP send a reset, which can destroy the refusal before it is read;
/// two seconds is longer than a round trip to anywhere.
pub const CLOSE_LINGER: Duration = Duration::from_secs(2);

/// The bounds that a deployment or a test may tighten; [`Limits::default`] is right for production.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest message. Default 8 MiB: four times the largest 4K key picture seen, half of what the protocol can say.
    pub max_message_bytes: usize,
    /// Chunk streams one connection may use. Default 64: encoders use 2 to 6, the protocol allows 65 597.
    pub max_chunk_streams: usize,
    /// Bytes of unfinished messages held over all chunk streams. Default 12 MiB: one largest message and room beside it.
    pub max_buffered_bytes: usize,
    /// The same while nothing is being published. Default 1 MiB: a command has 64 KiB at most, and an unfinished key picture may be left of a
    /// publish that has ended. What whoever has no key can make an edge hold is this for each connection it takes (400).
    pub max_buffered_idle_bytes: usize,
    /// Largest command or data message that is decoded. Default 64 KiB; onMetaData and connect are under 2 KiB.
    pub max_amf_bytes: usize,
    /// Media held back while a publish awaits its decision, unfinished messages included, beyond which
    /// [`Session::wants_input`](super::Session::wants_input) says no. Default 2 MiB: most clients hold theirs back
    /// themselves, and TCP holds the rest.
    pub held_media_pause_bytes: usize,
    /// Held-back media at which the connection is ended. Default 12 MiB: a shell that honours `wants_input` overshoots
    /// the pause by one message and one read at most.
    pub held_media_max_bytes: usize,
    /// From connection (or the end of the TLS handshake) to end of handshake. Default 8 s: three round trips on the worst mobile link, and
    /// whoever does not manage is told within 10 s.
    pub handshake_timeout: Duration,
    /// From handshake (or the end of a publish) to the next publish command. Default 8 s: a few more round trips; an
    /// idle connection holds a slot others need.
    pub setup_timeout: Duration,
    /// From publish command to `accept_publish` or `refuse_publish`. Default 30 s: a cold gateway and its retries; at
    /// the end of it the publisher is told to try again.
    pub decision_timeout: Duration,
    /// Without any byte during a publish, after which the publisher counts as lost; a ping is sent at half of it. Default 5 s, what
    /// players have as buffer: only when a publisher is known to be gone can its place on the live timeline be filled, and viewers who
    /// wait longer stall. An encoder sends sound every 23 ms, so nothing but a network that is down is silent for so long; TCP gets one of
    /// up to about 3 s over the gap within the time. A longer one costs its publisher a reconnect and nothing else, since what is
    /// filled is not in the replay.
    pub idle_timeout: Duration,
    /// Without any audio or video during a publish, however chatty the peer otherwise is. Default 8 s: a live encoder
    /// whose line works (it answers pings) but that has nothing to send has been stopped, or put into the background.
    pub media_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 8 * 1024 * 1024,
            max_chunk_streams: 64,
            max_buffered_bytes: 12 * 1024 * 1024,
            max_buffered_idle_bytes: 1024 * 1024,
            max_amf_bytes: 64 * 1024,
            held_media_pause_bytes: 2 * 1024 * 1024,
            held_media_max_bytes: 12 * 1024 * 1024,
            handshake_timeout: Duration::from_secs(8),
            setup_timeout: Duration::from_secs(8),
            decision_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(5),
            media_timeout: Duration::from_secs(8),
        }
    }
}
