//! The source as a rung: a chunk's own pictures, untouched, under the rules of every rung.
//!
//! Pure. Whether a chunk has this rung follows from the chunk alone, so that every encoder comes to the same: here from its configuration and its NAL
//! units, and in `pipeline`, which decodes it, from its having arrived whole.
//! Invariants: the slices, and what else belongs to the pictures, are the broadcaster's to the byte; all that the initialization segment is made from
//! (and the delay of the decode times) follows from the parameter sets alone.

use bytes::{BufMut, Bytes, BytesMut};
use media::{
    avc::{self, NAL_IDR, NAL_PPS, NAL_SEI, NAL_SPS, nal_type},
    chunk::{Chunk, VideoCodec, VideoTrack},
    ladder::Rendition,
    nal::nals,
    time::{FrameRate, Ticks, VIDEO_TIMESCALE},
};

use super::{EncodedTrack, Sample, order::decode_times, params::Colour};

/// Most bits a second, averaged over a GOP of a second or more, with which the source is a rung: what a connection carries that carries the top rung of
/// the largest ladder (2160p at 60 frames a second: 23.5 Mbit/s declared). One that has more would be a rung that nobody can play.
pub const SOURCE_BIT_RATE_MAX: u64 = 25_000_000;
/// Bits are counted over this many ticks at least: a GOP that was cut short is mostly its IDR picture.
const COUNTED_OVER_MIN: Ticks = 90_000;
/// Profiles that players take everywhere (`profile_idc`): Baseline, Main, High.
const PROFILES: [u8; 3] = [66, 77, 100];
/// Of those, the one without B-pictures, whose pictures are shown in the order that they are decoded in.
const BASELINE: u8 = 66;
/// Bits per sample, and chroma format, of every rung.
const BIT_DEPTH: u8 = 8;
const CHROMA_420: u8 = 1;
/// Bytes of the length before each NAL unit, as in every rung.
const LENGTH_SIZE: u8 = 4;
/// `nal_unit_type` of a slice of a picture that is not an IDR picture (ITU-T H.264, table 7-1).
const NAL_SLICE: u8 = 1;
/// `nal_unit_type` of an access unit delimiter, and of filler data.
const NAL_DELIMITER: u8 = 9;
const NAL_FILLER: u8 = 12;
/// Pictures by which decoding runs ahead when the parameter sets do not say: enough for B-pictures that are referred to.
const REORDER_ASSUMED: u8 = 2;
/// The rate that this is counted at when the parameter sets do not say one.
const RATE_ASSUMED: FrameRate = FrameRate { num: 30, den: 1 };
/// By how much decode times run ahead at most: a sixth of a second, five pictures at 30 a second. Claims of more are caution; if one is not, decode times are
/// uneven.
const DELAY_MAX: Ticks = 15_000;

/// Why a chunk's source is no rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Players do not take it everywhere.
    #[error("it is not H.264")]
    Codec,
    /// The decoder configuration can't be read, has several parameter sets of a kind, or lengths of another size.
    #[error("its decoder configuration is an unusual one")]
    Configuration,
    /// Profile, chroma format, bit depth, fields, or a size that is not the chunk's.
    #[error("its pictures are not what every player takes")]
    Format,
    /// More than [`SOURCE_BIT_RATE_MAX`].
    #[error("it has too many bits")]
    BitRate,
    /// Parameter sets on the way that are not those of the decoder configuration.
    #[error("its parameter sets change on the way")]
    ParameterSets,
    /// NAL units that are cut, of a kind that does not belong there, or without a picture; an IDR picture that is not the first.
    #[error("its samples are not one IDR picture and what follows from it")]
    Samples,
    /// No decode times fit.
    #[error("its pictures come in an order that has no decode times")]
    Order,
}

/// A chunk's source as a rung.
///
/// # Errors
/// Why it is none.
pub fn source(chunk: &Chunk, video: &VideoTrack) -> Result<EncodedTrack, Unfit> {
    if video.codec != VideoCodec::Avc {
        return Err(Unfit::Codec);
    }
    let record = Bytes::from(video.config.clone());
    let config = avc::Config::parse(&record).map_err(|_| Unfit::Configuration)?;
    let ([sps], [pps]) = (config.sps_nals.as_slice(), config.pps_nals.as_slice()) else {
        return Err(Unfit::Configuration);
    };
    if config.length_size != LENGTH_SIZE {
        return Err(Unfit::Configuration);
    }
    let read = &config.sps;
    let is_plain = PROFILES.contains(&read.profile)
        && (read.bit_depth_luma, read.bit_depth_chroma) == (BIT_DEPTH, BIT_DEPTH)
        && read.chroma_format == CHROMA_420
        && !read.interlaced;
    if !is_plain || (read.width, read.height) != (video.width, video.height) {
        return Err(Unfit::Format);
    }
    let bits = video.sizes.iter().map(|size| u64::from(*size) * 8).sum::<u64>();
    let length = u64::try_from((video.end - video.start).max(COUNTED_OVER_MIN)).unwrap_or(u64::MAX);
    if bits.saturating_mul(VIDEO_TIMESCALE.into()) > SOURCE_BIT_RATE_MAX.saturating_mul(length) {
        return Err(Unfit::BitRate);
    }
    let samples = chunk.video_samples();
    let data = samples.iter().enumerate().map(|(n, sample)| cleaned(sample, n == 0, sps, pps));
    let data = data.collect::<Result<Vec<Bytes>, Unfit>>()?;
    let delay = delay(read);
    let (decoded, end) = decode_times(&video.pts, video.end, delay).ok_or(Unfit::Order)?;
    let ends = decoded.iter().skip(1).copied().chain([end]);
    let times = video.pts.iter().zip(decoded.iter().zip(ends));
    let samples = data.into_iter().zip(times).enumerate().map(|(n, (data, (pts, (dts, until))))| Sample {
        dts: *dts,
        pts: *pts,
        duration: until - dts,
        idr: n == 0,
        data,
    });
    let unsaid = Colour::UNSPECIFIED;
    let colour = read.colour.map_or(
        Colour { primaries: unsaid, transfer: unsaid, matrix: unsaid, full_range: false },
        |said| Colour {
            primaries: said.primaries,
            transfer: said.transfer,
            matrix: said.matrix,
            full_range: said.full_range,
        },
    );
    Ok(EncodedTrack {
        rendition: Rendition::source(video.width, video.height),
        frame_rate: read.frame_rate,
        sar: read.sar,
        colour: colour.or_assumed(video.width, video.height),
        sps: sps.to_vec(),
        pps: pps.to_vec(),
        delay,
        samples: samples.collect(),
    })
}

/// A sample as it goes into a segment: without parameter sets, which are in the decoder configuration (ISO 14496-15, 5.3.2: `avc1`).
fn cleaned(sample: &Bytes, is_first: bool, sps: &[u8], pps: &[u8]) -> Result<Bytes, Unfit> {
    let (mut kept, mut has_picture) = (Vec::new(), false);
    for unit in nals(sample, LENGTH_SIZE) {
        let unit = unit.map_err(|_| Unfit::Samples)?;
        match nal_type(unit) {
            Some(NAL_IDR) if is_first => has_picture = true,
            Some(NAL_SLICE) if !is_first => has_picture = true,
            Some(NAL_SEI | NAL_DELIMITER | NAL_FILLER) => {}
            Some(NAL_SPS) if unit == sps => continue,
            Some(NAL_PPS) if unit == pps => continue,
            Some(NAL_SPS | NAL_PPS) => return Err(Unfit::ParameterSets),
            _ => return Err(Unfit::Samples),
        }
        kept.push(unit);
    }
    if !has_picture {
        return Err(Unfit::Samples);
    }
    let size = kept.iter().map(|unit| unit.len() + usize::from(LENGTH_SIZE)).sum();
    if size == sample.len() {
        return Ok(sample.clone());
    }
    let mut out = BytesMut::with_capacity(size);
    for unit in kept {
        out.put_u32(u32::try_from(unit.len()).map_err(|_| Unfit::Samples)?);
        out.put_slice(unit);
    }
    Ok(out.freeze())
}

/// By how much decode times run ahead of presentation: by as many pictures as the stream says that it reorders (`max_num_reorder_frames`), so that they are
/// evenly spaced. It must be the same for all chunks of a format, whatever a particular one needs.
fn delay(sps: &avc::Sps) -> Ticks {
    let assumed = if sps.profile == BASELINE { 0 } else { REORDER_ASSUMED };
    let pictures = sps.max_reorder.unwrap_or(assumed);
    sps.frame_rate.unwrap_or(RATE_ASSUMED).ticks(pictures.into()).min(DELAY_MAX)
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
