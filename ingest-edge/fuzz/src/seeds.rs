//! Seeds from captures of real clients (`ingest-edge/tests/data/*.bin`), pictures and sound cut down to their first bytes, and a few by hand:
//! what other servers are known to fail at.

use std::{fs, io, path::Path};

use bytes::{BufMut, BytesMut};

use crate::rtmp::fuzzing::parts::{ChunkReader, Limits, Message, Value, encode};

/// Bytes of C0, C1 and C2.
const HANDSHAKE: usize = 1 + 2 * 1536;
/// Bytes kept of an audio or video message.
const KEPT: usize = 24;
/// Messages kept of a capture.
const MESSAGES: usize = 24;
/// The seed before the bytes: pieces, times, and a publish that is accepted.
const DICE: [u8; 4] = [1, 0, 0, 0];

/// Writes the seeds under the crate's folder.
pub fn write(root: &Path) -> io::Result<()> {
    let seed = |target: &str, name: &str, bytes: &[u8]| {
        let folder = root.join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)
    };
    for entry in fs::read_dir(root.join("../tests/data"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "bin") {
            continue;
        }
        let capture = fs::read(&path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (handshake, rest) = capture.split_at(HANDSHAKE);
        let messages = messages(rest);
        let mut chunks = BytesMut::new();
        for message in &messages {
            put(&mut chunks, message, 128);
        }
        seed("chunk_reader", &name, &[&DICE, &chunks[..]].concat())?;
        seed("chunk_reader", &format!("{name}-as-sent"), &[&DICE, &rest[..rest.len().min(900)]].concat())?;
        seed("session", &name, &[&DICE, handshake, &chunks[..]].concat())?;
        let mut payloads: Vec<_> =
            messages.iter().filter(|message| matches!(message.type_id, 18 | 20)).collect();
        payloads.dedup_by(|a, b| a.payload == b.payload);
        for (n, message) in payloads.into_iter().enumerate() {
            seed("amf0", &format!("{name}-{n}"), &message.payload)?;
        }
    }
    let text = |text: &str| Value::String(text.to_owned());
    let all = [
        text("@setDataFrame"),
        text("onMetaData"),
        Value::EcmaArray(vec![
            ("framerate".to_owned(), Value::Number(29.97)),
            ("width".to_owned(), text("1280")),
            ("stereo".to_owned(), Value::Boolean(true)),
            ("list".to_owned(), Value::StrictArray(vec![Value::Null, Value::Undefined, Value::Unsupported])),
            ("when".to_owned(), Value::Date { unix_ms: 1e12, zone_minutes: -60 }),
            ("of".to_owned(), Value::TypedObject { class: "C".to_owned(), properties: Vec::new() }),
            ("same".to_owned(), Value::Reference(1)),
            ("xml".to_owned(), Value::Xml("<a/>".to_owned())),
        ]),
    ];
    seed("amf0", "every-type", &encode(&all))?;
    seed("amf0", "nested", &[3, 0, 1, b'a'].repeat(20))?;

    // Legal interleaving of two chunk streams, which servers with one body for all of them fail at.
    let mut out = BytesMut::new();
    out.put_slice(&DICE);
    header(&mut out, 4, 0, 200, 9);
    out.put_slice(&[1; 128]);
    header(&mut out, 6, 0, 10, 8);
    out.put_slice(&[2; 10]);
    out.put_u8(0xC4);
    out.put_slice(&[1; 72]);
    seed("chunk_reader", "interleaved", &out)?;
    // Extended timestamps, repeated on the first continuation only; an abort; a chunk size of 1; an aggregate.
    let mut out = BytesMut::new();
    out.put_slice(&DICE);
    header(&mut out, 4, 0x0100_0000, 300, 9);
    out.put_slice(&[1; 128]);
    out.put_slice(&[0xC4, 1, 0, 0, 0]);
    out.put_slice(&[1; 128]);
    header(&mut out, 2, 0, 4, 2);
    out.put_u32(4);
    header(&mut out, 2, 0, 4, 1);
    out.put_u32(1);
    header(&mut out, 5, u32::MAX, 2, 8);
    out.put_slice(&[7, 0xC5, 0xff, 0xff, 0xff, 0xff, 7]);
    seed("chunk_reader", "extended-abort-size", &out)
}

/// The capture's messages, those of media cut down.
fn messages(mut rest: &[u8]) -> Vec<Message> {
    let mut reader = ChunkReader::new(&Limits::default(), 0);
    let mut messages = Vec::new();
    while let Ok(Some(mut message)) = reader.read(&mut rest) {
        if matches!(message.type_id, 8 | 9) && message.payload.len() > KEPT {
            message.payload = message.payload.slice(..KEPT);
        }
        messages.push(message);
    }
    // The end counts too: that is where publishing ends.
    let end = messages.split_off(messages.len().saturating_sub(8));
    messages.truncate(MESSAGES);
    messages.extend(end);
    messages
}

fn put(out: &mut BytesMut, message: &Message, chunk_size: usize) {
    let channel = match message.type_id {
        8 => 4,
        9 => 6,
        20 => 3,
        _ => 5,
    };
    let length = u32::try_from(message.payload.len()).unwrap_or(0);
    header(out, channel, message.timestamp, length, message.type_id);
    let at = out.len() - if message.timestamp < 0x00FF_FFFF { 4 } else { 8 };
    out[at..at + 4].copy_from_slice(&message.stream_id.to_le_bytes());
    for (n, piece) in message.payload.chunks(chunk_size).enumerate() {
        if n > 0 {
            out.put_u8(0xC0 | channel);
        }
        out.put_slice(piece);
    }
}

/// A full header, of message stream 1.
fn header(out: &mut BytesMut, channel: u8, timestamp: u32, length: u32, type_id: u8) {
    out.put_u8(channel);
    out.put_uint(u64::from(timestamp.min(0x00FF_FFFF)), 3);
    out.put_uint(u64::from(length), 3);
    out.put_u8(type_id);
    out.put_u32_le(1);
    if timestamp >= 0x00FF_FFFF {
        out.put_u32(timestamp);
    }
}
