//! The sending half of a client, for tests and fuzzing: every header form, any interleaving, either habit with extended timestamps.

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::chunk_reader::{EXTENDED, Message};

/// What later headers of a chunk stream may leave out.
#[derive(Clone, Copy)]
struct Previous {
    timestamp: u32,
    field: u32,
    length: usize,
    type_id: u8,
    stream_id: u32,
}

/// Writes messages as chunks.
pub(super) struct Sender {
    pub(super) chunk_size: usize,
    /// Whether continuation chunks repeat an extended timestamp.
    pub(super) repeats: bool,
    /// A payload began as an extended timestamp that was left out would have: a reader can't tell, and need not.
    pub(super) imitated: bool,
    previous: HashMap<u32, Previous>,
    unfinished: HashMap<u32, (Message, usize)>,
}

impl Sender {
    pub(super) fn new() -> Self {
        Self {
            chunk_size: 128,
            repeats: true,
            imitated: false,
            previous: HashMap::new(),
            unfinished: HashMap::new(),
        }
    }

    /// Writes one chunk of `csid`'s unfinished message, or the first one of `next`, with the most compressed header that
    /// is valid and not above `format`. The message, once it is whole.
    pub(super) fn chunk(
        &mut self,
        csid: u32,
        format: u8,
        next: impl FnOnce() -> Option<Message>,
        output: &mut BytesMut,
    ) -> Option<Message> {
        let (format, (message, sent)) = match self.unfinished.remove(&csid) {
            Some(unfinished) => {
                basic_header(3, csid, output);
                let field = self.previous[&csid].field;
                if field >= EXTENDED && self.repeats {
                    output.put_u32(field);
                }
                (3, unfinished)
            }
            None => {
                let message = next()?;
                (self.first_header(csid, format, &message, output), (message, 0))
            }
        };
        let end = message.payload.len().min(sent + self.chunk_size);
        let piece = &message.payload[sent..end];
        let field = self.previous[&csid].field;
        if format == 3 && field >= EXTENDED && !self.repeats {
            let begins = &piece[..piece.len().min(4)];
            self.imitated |=
                [field, message.timestamp].iter().any(|value| value.to_be_bytes().starts_with(begins));
        }
        output.put_slice(piece);
        if end == message.payload.len() {
            return Some(message);
        }
        self.unfinished.insert(csid, (message, end));
        None
    }

    /// Writes a whole message with full headers.
    pub(super) fn message(&mut self, csid: u32, message: &Message, output: &mut BytesMut) {
        while self.chunk(csid, 0, || Some(message.clone()), output).is_none() {}
    }

    /// Chunk streams with an unfinished message.
    pub(super) fn unfinished(&self) -> Vec<u32> {
        let mut streams: Vec<_> = self.unfinished.keys().copied().collect();
        streams.sort_unstable();
        streams
    }

    /// The header of a message's first chunk; its format.
    fn first_header(&mut self, csid: u32, wanted: u8, message: &Message, output: &mut BytesMut) -> u8 {
        let length = message.payload.len();
        let delta = |previous: &Previous| message.timestamp.wrapping_sub(previous.timestamp);
        let possible = match self.previous.get(&csid) {
            Some(p) if p.stream_id != message.stream_id => 0,
            Some(p) if p.length != length || p.type_id != message.type_id => 1,
            Some(p) if p.field != delta(p) => 2,
            Some(_) => 3,
            None => 0,
        };
        let format = wanted.min(possible);
        let field = match self.previous.get(&csid) {
            Some(previous) if format > 0 => delta(previous),
            _ => message.timestamp,
        };
        basic_header(format, csid, output);
        if format < 3 {
            output.put_uint(u64::from(field.min(EXTENDED)), 3);
        }
        if format < 2 {
            output.put_uint(u64::try_from(length).unwrap(), 3);
            output.put_u8(message.type_id);
        }
        if format == 0 {
            output.put_u32_le(message.stream_id);
        }
        if field >= EXTENDED && (format < 3 || self.repeats) {
            output.put_u32(field);
        }
        let Message { timestamp, type_id, stream_id, .. } = *message;
        self.previous.insert(csid, Previous { timestamp, field, length, type_id, stream_id });
        format
    }
}

/// The shortest basic header for `csid`.
pub(super) fn basic_header(format: u8, csid: u32, output: &mut BytesMut) {
    let format = format << 6;
    match csid {
        2..64 => output.put_u8(format | u8::try_from(csid).unwrap()),
        64..320 => output.put_slice(&[format, u8::try_from(csid - 64).unwrap()]),
        _ => {
            output.put_u8(format | 1);
            output.put_u16_le(u16::try_from(csid - 64).unwrap());
        }
    }
}

/// A message.
pub(super) fn message(type_id: u8, stream_id: u32, timestamp: u32, payload: impl Into<Bytes>) -> Message {
    Message { type_id, stream_id, timestamp, payload: payload.into() }
}
