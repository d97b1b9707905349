//! Aggregate messages (§7.1.6): FLV tags in one message, split into the messages they stand for.
//!
//! Invariants: payloads are slices of the aggregate, not copies; every tag takes at least its 11-byte header, so a
//! message yields a bounded number. Timestamps are the tags' own, moved by what makes the first tag's equal the
//! aggregate's, modulo 2³². The stream is the aggregate's, whatever the tags say. A missing last back pointer is forgiven.

use bytes::Buf;

use super::chunk_reader::Message;
use super::error::ErrorKind;

/// A tag's header: type, 24-bit size, 24-bit timestamp and its upper 8 bits, 24-bit stream id.
const TAG_HEADER_BYTES: usize = 11;
/// What follows a tag: its size once more.
const BACK_POINTER_BYTES: usize = 4;

/// The messages that `aggregate` stands for.
pub(crate) fn split(aggregate: &Message) -> Result<Vec<Message>, ErrorKind> {
    let mut messages = Vec::new();
    let mut rest = aggregate.payload.clone();
    let mut shift = None;
    while !rest.is_empty() {
        let position = aggregate.payload.len() - rest.len();
        let truncated = || ErrorKind::AggregateTruncated { position, length: aggregate.payload.len() };
        let header = *rest.first_chunk::<TAG_HEADER_BYTES>().ok_or_else(truncated)?;
        rest.advance(TAG_HEADER_BYTES);
        let [type_id, s2, s1, s0, t2, t1, t0, t3, _, _, _] = header;
        let size = usize::try_from(u32::from_be_bytes([0, s2, s1, s0])).unwrap_or(usize::MAX);
        if size > rest.len() {
            return Err(truncated());
        }
        let payload = rest.split_to(size);
        rest.advance(BACK_POINTER_BYTES.min(rest.len()));
        let own = u32::from_be_bytes([t3, t2, t1, t0]);
        let shift = *shift.get_or_insert(aggregate.timestamp.wrapping_sub(own));
        let timestamp = own.wrapping_add(shift);
        messages.push(Message { type_id, stream_id: aggregate.stream_id, timestamp, payload });
    }
    Ok(messages)
}
