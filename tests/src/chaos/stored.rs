//! What the edges have stored: the chunks of a broadcast, read from the bucket by their documented format, and the stamps of their
//! pictures. This is what nothing may be lost of.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{aws::Aws, stamp};

/// Bytes before the header: the magic and the header's length.
const PREAMBLE: usize = 8;
/// SHA-256 at the end.
const DIGEST: usize = 32;
/// Pictures that may be sent before one that is shown earlier: the B-frames of a source, and the one that they lean on.
const REORDERED: usize = 3;
/// NAL units in Annex B's byte stream start with this.
const START_CODE: [u8; 4] = [0, 0, 0, 1];

#[derive(Debug, Deserialize)]
struct Header {
    publish: u32,
    seq: u32,
    received: i64,
    video: Option<Video>,
    audio: Option<Audio>,
}

#[derive(Debug, Deserialize)]
struct Video {
    config: String,
    start: i64,
    end: i64,
    sizes: Vec<usize>,
}

#[derive(Debug, Deserialize)]
struct Audio {
    sizes: Vec<usize>,
}

/// One stored chunk.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Its publish and its number in that.
    pub pos: (u32, u32),
    /// When its last byte reached the edge, in microseconds since the Unix epoch.
    pub received_us: i64,
    /// Presentation time of its start and end in 1/90 000 s.
    pub span: (i64, i64),
    /// How many pictures it has.
    pub pictures: usize,
    /// SHA-256 of each of its frames of sound.
    pub sound: Vec<String>,
    annex_b: Vec<u8>,
}

/// All that is stored of a broadcast, in the order of positions.
#[derive(Debug)]
pub struct Stored {
    /// The chunks.
    pub chunks: Vec<Chunk>,
    /// The stamp (mark, number) of each picture, in the order in which they are shown.
    pub stamps: Vec<(u32, u32)>,
}

impl Stored {
    /// Reads everything that is stored of `broadcast`.
    ///
    /// # Errors
    /// When an object is not a whole chunk, or a picture has no stamp.
    pub fn read(aws: &Aws, broadcast: &str) -> Result<Self> {
        let mut chunks = BTreeMap::new();
        for key in aws.keys(&format!("ingest/{broadcast}/"))? {
            let chunk = parse(&aws.object(&key)?).with_context(|| key.clone())?;
            let named = format!("ingest/{broadcast}/{:06}/{:08}.gop", chunk.pos.0, chunk.pos.1);
            anyhow::ensure!(named == key, "{key} holds chunk {:?}", chunk.pos);
            chunks.insert(chunk.pos, chunk);
        }
        let chunks: Vec<Chunk> = chunks.into_values().collect();
        let stamps = stamps(&chunks)?;
        Ok(Self { chunks, stamps })
    }

    /// Where the numbers of the pictures do not go on by one: the last before and the first after each hole. The very end is not looked
    /// at: a publisher that is stopped may have sent a picture ahead of one that is shown before it.
    #[must_use]
    pub fn holes(&self) -> Vec<(u32, u32)> {
        let sent = self.stamps.len().saturating_sub(REORDERED);
        let numbers = self.stamps[..sent].windows(2).map(|pair| (pair[0].1, pair[1].1));
        numbers.filter(|(before, after)| before + 1 != *after).collect()
    }

    /// Seconds of pictures stored.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        let ticks: i64 = self.chunks.iter().map(|chunk| chunk.span.1 - chunk.span.0).sum();
        f64::from(u32::try_from(ticks / 90).unwrap_or(u32::MAX)) / 1000.0
    }
}

fn parse(bytes: &[u8]) -> Result<Chunk> {
    anyhow::ensure!(bytes.len() > PREAMBLE + DIGEST && bytes.starts_with(b"GOP1"), "not a chunk");
    let (body, digest) = bytes.split_at(bytes.len() - DIGEST);
    anyhow::ensure!(Sha256::digest(body).as_slice() == digest, "the check sum is wrong");
    let length = u32::from_be_bytes(body[4..PREAMBLE].try_into()?);
    let payload = PREAMBLE + usize::try_from(length)?;
    let header: Header = serde_json::from_slice(body.get(PREAMBLE..payload).context("cut header")?)?;
    let video = header.video.context("no pictures")?;
    let mut rest = &body[payload..];
    let mut take = |size: usize| -> Result<&[u8]> {
        let (sample, after) = rest.split_at_checked(size).context("a sample is cut")?;
        rest = after;
        Ok(sample)
    };
    let mut annex_b = parameter_sets(&STANDARD.decode(&video.config)?)?;
    for size in &video.sizes {
        let mut sample = take(*size)?;
        while !sample.is_empty() {
            let (length, after) = sample.split_at_checked(4).context("a NAL unit is cut")?;
            let length = usize::try_from(u32::from_be_bytes(length.try_into()?))?;
            let (unit, after) = after.split_at_checked(length).context("a NAL unit is cut")?;
            annex_b.extend(START_CODE);
            annex_b.extend_from_slice(unit);
            sample = after;
        }
    }
    let mut sound = Vec::new();
    for size in header.audio.iter().flat_map(|audio| &audio.sizes) {
        let hash = Sha256::digest(take(*size)?);
        sound.push(hash.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    Ok(Chunk {
        pos: (header.publish, header.seq),
        received_us: header.received,
        span: (video.start, video.end),
        pictures: video.sizes.len(),
        sound,
        annex_b,
    })
}

/// The parameter sets of an `AVCDecoderConfigurationRecord` (ISO 14496-15, 5.3.3.1) as a byte stream.
fn parameter_sets(record: &[u8]) -> Result<Vec<u8>> {
    anyhow::ensure!(record.len() > 6 && record[4] & 3 == 3, "NAL units without 4-byte lengths");
    let mut out = Vec::new();
    let mut at = 5;
    for mask in [0x1f_u8, 0xff] {
        let count = record.get(at).context("a cut record")? & mask;
        at += 1;
        for _ in 0..count {
            let length = record.get(at..at + 2).context("a cut record")?;
            let length = usize::from(u16::from_be_bytes(length.try_into()?));
            out.extend(START_CODE);
            out.extend_from_slice(record.get(at + 2..at + 2 + length).context("a cut record")?);
            at += 2 + length;
        }
    }
    Ok(out)
}

fn stamps(chunks: &[Chunk]) -> Result<Vec<(u32, u32)>> {
    let folder = TempDir::new()?;
    let mut all = Vec::new();
    // One decoder for all: every chunk begins with an IDR picture.
    let file = folder.path().join("stored.h264");
    let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.annex_b.iter().copied()).collect();
    if bytes.is_empty() {
        return Ok(all);
    }
    std::fs::write(&file, bytes)?;
    for (at, picture) in stamp::read_file(&file)?.into_iter().enumerate() {
        let stamp = picture.stamp.with_context(|| format!("stored picture {at} has no stamp"))?;
        all.push((stamp.mark, stamp.number));
    }
    let pictures: usize = chunks.iter().map(|chunk| chunk.pictures).sum();
    anyhow::ensure!(all.len() == pictures, "{pictures} pictures are stored, {} can be shown", all.len());
    Ok(all)
}
