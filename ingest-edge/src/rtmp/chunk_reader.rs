//! Chunks to messages (§5.3), with one unfinished message *per chunk stream*: senders interleave.
//!
//! Invariants:
//! - What comes out depends on the bytes alone, never on how they were split into reads.
//! - Memory is bounded by [`Limits`]: unfinished payload over all chunk streams, number of chunk streams, and 18 bytes
//!   of unfinished header. Payload is copied once, into the buffer that becomes the message.
//! - Set chunk size and abort are obeyed here and not passed on; they belong to this layer (§5.4.1, §5.4.2).
//! - Timestamps and deltas are arithmetic modulo 2³². A type 3 chunk that begins a message repeats the last delta, and
//!   after a type 0 chunk that is its timestamp (§5.3.1.2.4), as ffmpeg and librtmp have it.
//!
//! **Extended timestamps on type 3 chunks.** The specification has them repeated, many senders do not. The next four
//! bytes are taken for a repetition if they equal the extended field in force or the message's own timestamp (some
//! write that instead of the delta); otherwise they are payload. Once a continuation chunk has shown that the sender does
//! not repeat, later ones are not even compared, so that payload cannot imitate a timestamp.
//!
//! **Tolerated**: a chunk stream that starts with a type 1 header (librtmp's pings), and a continuation chunk with a full
//! header that says the same as the first one (rml_rtmp).

use std::collections::HashMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::error::{Error, ErrorKind};
use super::limits::{INITIAL_CHUNK_SIZE, INITIAL_RESERVE_BYTES, Limits, MAX_CHUNK_SIZE};
use super::message::type_id;

/// The longest chunk header: 3 basic, 11 message, 4 extended timestamp.
const MAX_HEADER_BYTES: usize = 18;
/// In a 24-bit timestamp field: the value follows in 32 bits.
pub(super) const EXTENDED: u32 = 0x00FF_FFFF;

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) type_id: u8,
    pub(crate) stream_id: u32,
    /// Milliseconds, modulo 2³².
    pub(crate) timestamp: u32,
    pub(crate) payload: Bytes,
}

/// What later chunks of a chunk stream may leave out, and its unfinished message.
#[derive(Default)]
struct ChunkStream {
    timestamp: u32,
    /// The last timestamp field: a timestamp in type 0, a delta in types 1 and 2.
    field: u32,
    extended: bool,
    length: u32,
    type_id: u8,
    stream_id: u32,
    unfinished: Option<BytesMut>,
}

/// One chunk header, as read.
struct Header {
    csid: u32,
    format: u8,
    /// The timestamp field and whether it was extended; not in type 3.
    field: Option<(u32, bool)>,
    /// Length and type id; not in types 2 and 3.
    length_type: Option<(u32, u8)>,
    /// Only in type 0.
    stream_id: Option<u32>,
    /// A continuation chunk that did not repeat the extended timestamp.
    not_repeated: bool,
}

/// The chunk whose payload is being read.
struct OpenChunk {
    csid: u32,
    left: usize,
}

/// The receiving half's state.
pub(crate) struct ChunkReader {
    streams: HashMap<u32, ChunkStream>,
    /// Bytes of an unfinished header, and what was read past one that turned out shorter.
    carry: BytesMut,
    open: Option<OpenChunk>,
    chunk_size: usize,
    buffered: usize,
    /// Known not to repeat extended timestamps on continuation chunks.
    never_repeats: bool,
    offset: u64,
    max_message_bytes: usize,
    max_chunk_streams: usize,
    max_buffered_bytes: usize,
}

impl ChunkReader {
    /// `offset` is how many bytes of the connection came before.
    pub(crate) fn new(limits: &Limits, offset: u64) -> Self {
        Self {
            streams: HashMap::new(),
            carry: BytesMut::with_capacity(MAX_HEADER_BYTES),
            open: None,
            chunk_size: to_usize(INITIAL_CHUNK_SIZE),
            buffered: 0,
            never_repeats: false,
            offset,
            max_message_bytes: limits.max_message_bytes,
            max_chunk_streams: limits.max_chunk_streams,
            max_buffered_bytes: limits.max_buffered_bytes,
        }
    }

    /// Bytes of the connection consumed so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Payload bytes of unfinished messages.
    pub(crate) fn buffered(&self) -> usize {
        self.buffered
    }

    /// Unfinished messages may have so many bytes from now on, over all chunk streams. What there is already stays.
    pub(crate) fn hold_at_most(&mut self, bytes: usize) {
        self.max_buffered_bytes = bytes;
    }

    /// [`Self::buffered`], counted anew.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn held(&self) -> usize {
        let held =
            self.streams.values().filter_map(|stream| stream.unfinished.as_ref()).map(BytesMut::len).sum();
        assert_eq!(held, self.buffered, "the count is wrong");
        held
    }

    /// Reads up to and including the next whole message; `None` when `input` is used up before one is whole.
    pub(crate) fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            if self.open.is_none() && !self.begin_chunk(input)? {
                return Ok(None);
            }
            let Some(csid) = self.fill_chunk(input)? else { return Ok(None) };
            let Some(message) = self.take_whole(csid) else { continue };
            match message.type_id {
                type_id::SET_CHUNK_SIZE => self.set_chunk_size(&message.payload)?,
                type_id::ABORT => self.abort(&message.payload)?,
                _ => return Ok(Some(message)),
            }
        }
    }

    /// Reads a chunk header; false if it is not whole yet.
    fn begin_chunk(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        let header = if self.carry.is_empty() && input.len() >= MAX_HEADER_BYTES {
            let Some((header, used)) = self.parse_header(input) else { return Ok(false) };
            input.advance(used);
            self.consumed(used);
            header
        } else {
            let wanted = MAX_HEADER_BYTES.saturating_sub(self.carry.len()).min(input.len());
            let (taken, rest) = input.split_at(wanted);
            self.carry.put_slice(taken);
            *input = rest;
            let Some((header, used)) = self.parse_header(&self.carry) else { return Ok(false) };
            self.carry.advance(used);
            self.consumed(used);
            header
        };
        self.apply_header(&header).map(|()| true).map_err(|kind| self.error(kind))
    }

    /// The header that `bytes` begin with and its length; `None` if it is not whole. 18 bytes are always enough.
    fn parse_header(&self, bytes: &[u8]) -> Option<(Header, usize)> {
        let mut rest = bytes;
        let first = rest.try_get_u8().ok()?;
        let format = first >> 6;
        let csid = match first & 0x3F {
            0 => 64 + u32::from(rest.try_get_u8().ok()?),
            1 => 64 + u32::from(rest.try_get_u16_le().ok()?),
            id => u32::from(id),
        };
        let mut header =
            Header { csid, format, field: None, length_type: None, stream_id: None, not_repeated: false };
        if format < 3 {
            let mut field = get_u24(&mut rest)?;
            if format < 2 {
                header.length_type = Some((get_u24(&mut rest)?, rest.try_get_u8().ok()?));
            }
            if format == 0 {
                header.stream_id = Some(rest.try_get_u32_le().ok()?);
            }
            let extended = field == EXTENDED;
            if extended {
                field = rest.try_get_u32().ok()?;
            }
            header.field = Some((field, extended));
        } else if let Some(stream) = self.streams.get(&csid)
            && stream.extended
        {
            if stream.continues() && self.never_repeats {
                header.not_repeated = true;
            } else {
                let seen = rest.get(..4).unwrap_or(rest);
                if !stream.may_repeat(seen) {
                    header.not_repeated = stream.continues();
                } else if seen.len() == 4 {
                    rest.advance(4);
                } else {
                    return None;
                }
            }
        }
        Some((header, bytes.len() - rest.len()))
    }

    fn apply_header(&mut self, header: &Header) -> Result<(), ErrorKind> {
        let Header { csid, format, .. } = *header;
        if !self.streams.contains_key(&csid) {
            if format > 1 {
                return Err(ErrorKind::FreshChunkStream { csid, format });
            }
            if self.streams.len() >= self.max_chunk_streams {
                return Err(ErrorKind::TooManyChunkStreams { csid, limit: self.max_chunk_streams });
            }
        }
        self.never_repeats |= header.not_repeated;
        let stream = self.streams.entry(csid).or_default();
        let have = if let Some(unfinished) = &stream.unfinished {
            stream.check_continuation(header)?;
            unfinished.len()
        } else {
            stream.begin_message(header);
            let length = to_usize(stream.length);
            if length > self.max_message_bytes {
                return Err(ErrorKind::MessageTooLarge {
                    csid,
                    message_type: stream.type_id,
                    length: stream.length,
                    limit: self.max_message_bytes,
                });
            }
            stream.unfinished = Some(BytesMut::with_capacity(length.min(INITIAL_RESERVE_BYTES)));
            0
        };
        let left = to_usize(stream.length).saturating_sub(have).min(self.chunk_size);
        self.open = Some(OpenChunk { csid, left });
        Ok(())
    }

    /// Copies payload into the open chunk; its chunk stream once the chunk is whole.
    fn fill_chunk(&mut self, input: &mut &[u8]) -> Result<Option<u32>, Error> {
        loop {
            let Some(OpenChunk { csid, left }) = self.open else { return Ok(None) };
            if left == 0 {
                self.open = None;
                return Ok(Some(csid));
            }
            let source = if self.carry.is_empty() { *input } else { &self.carry[..] };
            let piece = &source[..left.min(source.len())];
            let taken = piece.len();
            if taken == 0 {
                return Ok(None);
            }
            if self.buffered + taken > self.max_buffered_bytes {
                return Err(self.error(ErrorKind::BufferedTooMuch { limit: self.max_buffered_bytes }));
            }
            if let Some(unfinished) =
                self.streams.get_mut(&csid).and_then(|stream| stream.unfinished.as_mut())
            {
                unfinished.extend_from_slice(piece);
            }
            self.buffered += taken;
            if self.carry.is_empty() {
                input.advance(taken);
            } else {
                self.carry.advance(taken);
            }
            self.consumed(taken);
            self.open = Some(OpenChunk { csid, left: left - taken });
        }
    }

    fn take_whole(&mut self, csid: u32) -> Option<Message> {
        let stream = self.streams.get_mut(&csid)?;
        let length = to_usize(stream.length);
        let payload = stream.unfinished.take_if(|payload| payload.len() >= length)?;
        self.buffered = self.buffered.saturating_sub(payload.len());
        Some(Message {
            type_id: stream.type_id,
            stream_id: stream.stream_id,
            timestamp: stream.timestamp,
            payload: payload.freeze(),
        })
    }

    fn set_chunk_size(&mut self, mut payload: &[u8]) -> Result<(), Error> {
        let size = self.control_u32(type_id::SET_CHUNK_SIZE, &mut payload)?;
        if size == 0 || size > 0x7FFF_FFFF {
            return Err(self.error(ErrorKind::ChunkSize { size }));
        }
        self.chunk_size = to_usize(size.min(MAX_CHUNK_SIZE));
        Ok(())
    }

    fn abort(&mut self, mut payload: &[u8]) -> Result<(), Error> {
        let csid = self.control_u32(type_id::ABORT, &mut payload)?;
        if let Some(dropped) = self.streams.get_mut(&csid).and_then(|stream| stream.unfinished.take()) {
            self.buffered = self.buffered.saturating_sub(dropped.len());
        }
        Ok(())
    }

    fn control_u32(&self, message_type: u8, payload: &mut &[u8]) -> Result<u32, Error> {
        let length = payload.len();
        payload.try_get_u32().map_err(|_| self.error(ErrorKind::ControlTruncated { message_type, length }))
    }

    fn consumed(&mut self, bytes: usize) {
        self.offset = self.offset.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error { offset: self.offset, kind }
    }
}

impl ChunkStream {
    fn continues(&self) -> bool {
        self.unfinished.is_some()
    }

    /// Whether `seen`, up to four bytes after a type 3 basic header, can be the extended timestamp once more.
    fn may_repeat(&self, seen: &[u8]) -> bool {
        let own = if self.continues() { self.timestamp } else { self.timestamp.wrapping_add(self.field) };
        [self.field, own].iter().any(|value| value.to_be_bytes().starts_with(seen))
    }

    fn begin_message(&mut self, header: &Header) {
        if let Some((length, type_id)) = header.length_type {
            self.length = length;
            self.type_id = type_id;
        }
        if let Some(stream_id) = header.stream_id {
            self.stream_id = stream_id;
        }
        if let Some((field, extended)) = header.field {
            self.field = field;
            self.extended = extended;
        }
        self.timestamp =
            if header.format == 0 { self.field } else { self.timestamp.wrapping_add(self.field) };
    }

    /// Inside a message, a header may only say again what the message's first one said.
    fn check_continuation(&self, header: &Header) -> Result<(), ErrorKind> {
        let same_stream = header.stream_id.is_none_or(|id| id == self.stream_id);
        match header.length_type {
            Some((length, type_id)) if !same_stream || length != self.length || type_id != self.type_id => {
                Err(ErrorKind::MessageInsideMessage {
                    csid: header.csid,
                    message_type: type_id,
                    unfinished_type: self.type_id,
                })
            }
            _ => Ok(()),
        }
    }
}

fn get_u24(bytes: &mut &[u8]) -> Option<u32> {
    let (value, rest) = bytes.split_first_chunk::<3>()?;
    *bytes = rest;
    Some(u32::from_be_bytes([0, value[0], value[1], value[2]]))
}

fn to_usize(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
