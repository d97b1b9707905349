//! HEVC as Enhanced RTMP and MP4 carry it: the `HEVCDecoderConfigurationRecord` (ISO 14496-15, 8.3.3.1) and length-prefixed NAL units.
//!
//! Invariant: a [`Config`] holds at least one SPS that could be read, one VPS and one PPS; its bytes are those of the record, untouched.
//! Whether the *content* is something gopcast takes (8 bit, 4:2:0, size) is the encoder's to judge, not this module's.

mod sps;

use bytes::Bytes;
use thiserror::Error;

pub use self::sps::Sps;
use crate::{
    bits::BitError,
    nal::{NalError, has_recovery_point, nals},
    picture::{Format, SampleKind},
};

/// Largest configuration record in bytes: usual ones have 110; 64 KiB holds any sane number of parameter sets.
pub const CONFIG_MAX: usize = 64 << 10;
/// Most parameter sets of a record: 16 VPS, 16 SPS and 64 PPS are all there can be (7.4.3), and some SEI.
pub const SETS_MAX: usize = 128;

/// `nal_unit_type`s (ITU-T H.265, table 7-1). RADL_N, the first of the leading pictures…
const RADL_N: u8 = 6;
/// …and RASL_R, the last.
const RASL_R: u8 = 9;
/// The start of a broken link that may have leading pictures.
const BLA_W_LP: u8 = 16;
/// A broken link whose leading pictures refer to nothing before it.
const BLA_W_RADL: u8 = 17;
/// A broken link without leading pictures.
const BLA_N_LP: u8 = 18;
/// An IDR picture whose leading pictures refer to nothing before it. Most encoders use it for IDR pictures without any.
const IDR_W_RADL: u8 = 19;
/// An IDR picture without leading pictures.
const IDR_N_LP: u8 = 20;
/// A clean random access picture: an intra picture whose leading pictures may refer to what was before.
const CRA: u8 = 21;
/// The last type of a coded slice.
const SLICE_LAST: u8 = 31;
const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;
const SEI_PREFIX: u8 = 39;

/// Bytes of a record before its parameter sets.
const FIXED: usize = 23;
/// Bytes of a NAL unit's header.
const NAL_HEADER: usize = 2;

/// Why bytes are not HEVC as this module knows it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HevcError {
    /// The configuration record is cut or contradicts itself.
    #[error("the HEVC configuration record is wrong at byte {at}: {what}")]
    Config {
        /// Byte in the record.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// The sequence parameter set can't be read.
    #[error("the HEVC sequence parameter set can't be read: {0}")]
    Sps(#[from] BitError),
    /// A sample's NAL units do not add up to its size.
    #[error("HEVC: {0}")]
    Sample(#[from] NalError),
}

/// A decoder configuration record, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The record itself.
    pub record: Bytes,
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub length_size: u8,
    /// The first sequence parameter set, read.
    pub sps: Sps,
}

impl Config {
    /// Reads a record; it shares its bytes.
    ///
    /// # Errors
    /// When it is longer than [`CONFIG_MAX`], cut, of another version, without VPS, SPS or PPS, or its first SPS can't be read.
    pub fn parse(record: &Bytes) -> Result<Self, HevcError> {
        let error = |at, what| HevcError::Config { at, what };
        if record.len() > CONFIG_MAX {
            return Err(error(CONFIG_MAX, "longer than any"));
        }
        let byte = |at: usize| record.get(at).copied().ok_or(error(at, "cut"));
        if byte(0)? != 1 {
            return Err(error(0, "not version 1"));
        }
        let length_size = (byte(FIXED - 2)? & 3) + 1;
        if length_size == 3 {
            return Err(error(FIXED - 2, "NAL unit lengths of 3 bytes do not exist"));
        }
        let word =
            |at: usize| Ok::<_, HevcError>(usize::from(u16::from_be_bytes([byte(at)?, byte(at + 1)?])));
        let (mut at, mut sets) = (FIXED, 0usize);
        let (mut vps, mut pps, mut first_sps) = (false, false, None);
        for _ in 0..byte(FIXED - 1)? {
            let kind = byte(at)? & 0x3f;
            let count = word(at + 1)?;
            at += 3;
            for _ in 0..count {
                sets += 1;
                if sets > SETS_MAX {
                    return Err(error(at, "more parameter sets than there can be"));
                }
                let (from, length) = (at + 2, word(at)?);
                let nal = record.get(from..from + length).ok_or(error(from, "parameter set cut"))?;
                if nal_type(nal) != Some(kind) {
                    return Err(error(from, "not the kind of parameter set that belongs here"));
                }
                match kind {
                    VPS => vps = true,
                    SPS if first_sps.is_none() => first_sps = Some(nal),
                    PPS => pps = true,
                    _ => {}
                }
                at = from + length;
            }
        }
        let first_sps = first_sps.ok_or(error(FIXED, "no sequence parameter set"))?;
        if !vps || !pps {
            return Err(error(FIXED, "no video or no picture parameter set"));
        }
        Ok(Self { record: record.clone(), length_size, sps: Sps::parse(first_sps)? })
    }

    /// What the pictures are like.
    #[must_use]
    pub fn format(&self) -> Format {
        let sps = &self.sps;
        Format {
            name: format!("HEVC profile {}", sps.profile),
            width: sps.width,
            height: sps.height,
            chroma_format: sps.chroma_format,
            bit_depth: sps.bit_depth_luma.max(sps.bit_depth_chroma),
            interlaced: sps.interlaced,
            colour: sps.colour,
            frame_rate: sps.frame_rate,
        }
    }
}

/// `nal_unit_type` of a NAL unit; `None` when its header is cut.
#[must_use]
pub fn nal_type(nal: &[u8]) -> Option<u8> {
    (nal.len() >= NAL_HEADER).then(|| (nal[0] >> 1) & 0x3f)
}

/// Tells what a sample holds by its NAL units.
///
/// # Errors
/// When the NAL units do not add up to the sample.
pub fn sample_kind(sample: &[u8], length_size: u8) -> Result<SampleKind, HevcError> {
    let (mut kind, mut recovery) = (SampleKind::NoPicture, false);
    for nal in nals(sample, length_size) {
        let nal = nal?;
        let Some(unit) = nal_type(nal) else { continue };
        let found = match unit {
            IDR_N_LP | BLA_N_LP => SampleKind::Start,
            IDR_W_RADL | BLA_W_RADL | BLA_W_LP | CRA => SampleKind::StartUnlessLed,
            RADL_N..=RASL_R => SampleKind::Leading,
            ..=SLICE_LAST => SampleKind::Picture,
            SEI_PREFIX => {
                recovery |= has_recovery_point(nal.get(NAL_HEADER..).unwrap_or_default());
                continue;
            }
            _ => continue,
        };
        // All slices of a picture have one type (7.4.2.2): the first one tells.
        if kind == SampleKind::NoPicture {
            kind = found;
        }
    }
    Ok(if recovery && kind == SampleKind::Picture { SampleKind::OpenStart } else { kind })
}

#[cfg(test)]
mod tests;
