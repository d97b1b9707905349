//! The format of stored chunks.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::cuts;
use crate::chunk::Chunk;

/// A chunk without its checksum, which is put behind: otherwise nothing but the checksum would be tried.
///
/// What is read can be written, and what was written is read as the same and written as the same bytes; samples lie in the payload and make it
/// up. One byte altered, or any cut, is noticed.
pub fn chunk(data: &[u8]) {
    let mut bytes = data.to_vec();
    bytes.extend_from_slice(&Sha256::digest(data));
    let bytes = Bytes::from(bytes);
    let Ok(chunk) = Chunk::decode(&bytes) else { return };
    let (video, audio) = (chunk.video_samples(), chunk.audio_samples());
    let header = &chunk.header;
    assert_eq!(video.len(), header.video.as_ref().map_or(0, |video| video.sizes.len()));
    assert_eq!(audio.len(), header.audio.as_ref().map_or(0, |audio| audio.sizes.len()));
    let whole: Vec<u8> = video.iter().chain(&audio).flatten().copied().collect();
    assert_eq!(whole, chunk.payload);

    let written = chunk.encode();
    let again = written.as_ref().map_err(Clone::clone).and_then(Chunk::decode);
    assert_eq!(again.as_ref(), Ok(&chunk), "what was read can be written");
    assert_eq!(again.and_then(|chunk| chunk.encode()), written, "and that as the same bytes");

    let mut altered = bytes.to_vec();
    let at = altered.iter().map(|byte| usize::from(*byte)).sum::<usize>() % altered.len();
    altered[at] ^= 1;
    assert!(Chunk::decode(&altered.into()).is_err(), "byte {at} was altered");
    for cut in cuts(bytes.len()).step_by(31) {
        assert!(Chunk::decode(&bytes.slice(..cut)).is_err(), "cut at {cut}");
    }
}
