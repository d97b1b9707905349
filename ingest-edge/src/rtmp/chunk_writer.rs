//! Messages to chunks (§5.3.1), for the little a server says to a publisher.
//!
//! Invariant: every message starts with a full (type 0) header and timestamp 0, so no client needs state to read it;
//! the few bytes that header compression would save do not matter in this direction.

use bytes::{BufMut, BytesMut};

use super::limits::INITIAL_CHUNK_SIZE;
use super::message::Outgoing;

/// The sending half's state.
pub(crate) struct ChunkWriter {
    chunk_size: usize,
}

impl ChunkWriter {
    pub(crate) fn new() -> Self {
        Self { chunk_size: usize_from(INITIAL_CHUNK_SIZE) }
    }

    /// The chunk size from the next message on; the caller has just written the message that says so.
    pub(crate) fn set_chunk_size(&mut self, size: u32) {
        self.chunk_size = usize_from(size).max(1);
    }

    /// Appends `message` to `output`.
    pub(crate) fn write(&self, message: &Outgoing, output: &mut BytesMut) {
        // A reply longer than 24 bits cannot arise: what replies are built from is bounded far below.
        let length = u32::try_from(message.payload.len()).unwrap_or(u32::MAX);
        let channel = message.channel.chunk_stream();
        output.put_u8(channel);
        output.put_uint(0, 3);
        output.put_uint(u64::from(length), 3);
        output.put_u8(message.type_id);
        output.put_u32_le(message.stream_id);
        for (index, piece) in message.payload.chunks(self.chunk_size).enumerate() {
            if index > 0 {
                output.put_u8(0xC0 | channel);
            }
            output.put_slice(piece);
        }
    }
}

fn usize_from(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
