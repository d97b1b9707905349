//! What is published: four seconds of RTMP chunks that may be sent over and over, since all times in them are deltas.
//!
//! 30 pictures a second in two closed GOPs, and sound (AAC, 32 kHz) of 32 ms a frame, so that both end together. What is coded is noise: nobody
//! behind the server under test decodes it.

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of a chunk's payload: what OBS and ffmpeg announce or exceed.
pub(crate) const CHUNK_SIZE: usize = 4096;
/// Length of the pattern, in ms.
pub(crate) const LENGTH_MS: u64 = 4000;
/// Pictures in the pattern, and in each of its GOPs.
const PICTURES: usize = 120;
const GOP: usize = 60;
/// Frames of sound in the pattern, and how long each is, in ms.
const FRAMES: usize = 125;
const FRAME_MS: u64 = 32;
/// Bytes of a frame of sound: 64 kbit/s.
const FRAME_BYTES: usize = 256;
/// An IDR picture is so many times as large as another one.
const IDR_FACTOR: usize = 10;
/// x264's parameter sets for 1280×720.
const RECORD: [u8; 45] = [
    0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05,
    0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60,
    0x01, 0x00, 0x04, 0x68, 0xef, 0x8f, 0xcb, 0xfd, 0xf8, 0xf8, 0x00,
];
/// AAC-LC, 32 kHz, one channel.
const SOUND: [u8; 2] = [0x12, 0x88];

/// A message and when it is due.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// Since the pattern's beginning, in ms.
    pub(crate) due_ms: u64,
    /// Its chunks.
    pub(crate) bytes: Bytes,
    /// It begins a GOP, and thereby ends the one before.
    pub(crate) idr: bool,
}

/// What is sent on one connection after `publish` was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// Once: the configurations, at time 0.
    pub(crate) head: Bytes,
    /// Over and over.
    pub(crate) frames: Vec<Frame>,
}

impl Pattern {
    /// A stream of so many bits a second, sound included.
    #[must_use]
    pub(crate) fn new(bits_per_second: usize) -> Self {
        let length = usize::try_from(LENGTH_MS / 1000).unwrap_or(1);
        let pictures_bytes = (bits_per_second * length / 8).saturating_sub(FRAMES * FRAME_BYTES);
        let unit = pictures_bytes / (PICTURES + PICTURES / GOP * (IDR_FACTOR - 1));
        let mut head = BytesMut::new();
        first(&mut head, 6, 9, &[&[0x17, 0, 0, 0, 0], &RECORD[..]].concat());
        first(&mut head, 4, 8, &[&[0xaf, 0], &SOUND[..]].concat());
        let mut frames: Vec<Frame> = (0..PICTURES)
            .map(|n| {
                let idr = n % GOP == 0;
                let size = if idr { unit * IDR_FACTOR } else { unit };
                let due = |n: usize| u64::try_from((n * 100).div_ceil(3)).unwrap_or(0);
                let before = if n == 0 { due(PICTURES) - due(PICTURES - 1) } else { due(n) - due(n - 1) };
                let mut body = BytesMut::from(&[if idr { 0x17 } else { 0x27 }, 1, 0, 0, 0][..]);
                body.put_u32(u32::try_from(size).unwrap_or(0));
                body.put_u8(if idr { 0x65 } else { 0x41 });
                noise(&mut body, size - 1, n);
                Frame { due_ms: due(n), bytes: later(6, 9, before, &body), idr }
            })
            .collect();
        frames.extend((0..FRAMES).map(|n| {
            let mut body = BytesMut::from(&[0xaf, 1][..]);
            noise(&mut body, FRAME_BYTES, n);
            let due_ms = u64::try_from(n).unwrap_or(0) * FRAME_MS;
            Frame { due_ms, bytes: later(4, 8, FRAME_MS, &body), idr: false }
        }));
        frames.sort_by_key(|frame| frame.due_ms);
        Self { head: head.freeze(), frames }
    }

    /// Bytes of one round.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.frames.iter().map(|frame| frame.bytes.len()).sum()
    }
}

/// Bytes that look coded: none is 0, so no emulation prevention is missing.
fn noise(out: &mut BytesMut, count: usize, seed: usize) {
    let mut state = u32::try_from(seed).unwrap_or(0).wrapping_mul(0x9e37_79b9) | 1;
    for _ in 0..count {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        out.put_u8(state.to_le_bytes()[1] | 1);
    }
}

/// A message at time 0 with a full header.
pub(crate) fn first(out: &mut BytesMut, channel: u8, type_id: u8, body: &[u8]) {
    out.put_u8(channel);
    out.put_uint(0, 3);
    out.put_uint(u64::try_from(body.len()).unwrap_or(0), 3);
    out.put_u8(type_id);
    out.put_u32_le(1);
    payload(out, channel, body);
}

/// A message so many ms after the one before on its channel.
fn later(channel: u8, type_id: u8, delta_ms: u64, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len() + 64);
    out.put_u8(0x40 | channel);
    out.put_uint(delta_ms, 3);
    out.put_uint(u64::try_from(body.len()).unwrap_or(0), 3);
    out.put_u8(type_id);
    payload(&mut out, channel, body);
    out.freeze()
}

fn payload(out: &mut BytesMut, channel: u8, body: &[u8]) {
    for (n, piece) in body.chunks(CHUNK_SIZE).enumerate() {
        if n > 0 {
            out.put_u8(0xC0 | channel);
        }
        out.put_slice(piece);
    }
}
