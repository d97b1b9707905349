//! H.264 as FLV and MP4 carry it: the `AVCDecoderConfigurationRecord` (ISO 14496-15, 5.3.3.1) and length-prefixed NAL units.
//!
//! Invariant: a [`Config`] holds at least one SPS that could be read and one PPS; its bytes are those of the record, untouched.
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

/// Largest configuration record in bytes: usual ones have 40; 64 KiB holds 31 SPS and 255 PPS of any sane size.
pub const CONFIG_MAX: usize = 64 << 10;

/// `nal_unit_type` of a coded slice of an IDR picture (ITU-T H.264, table 7-1).
pub const NAL_IDR: u8 = 5;
/// `nal_unit_type` of supplemental enhancement information.
pub const NAL_SEI: u8 = 6;
/// `nal_unit_type` of a sequence parameter set.
pub const NAL_SPS: u8 = 7;
/// `nal_unit_type` of a picture parameter set.
pub const NAL_PPS: u8 = 8;

/// Why bytes are not H.264 as this module knows it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AvcError {
    /// The configuration record is cut or contradicts itself.
    #[error("the AVC configuration record is wrong at byte {at}: {what}")]
    Config {
        /// Byte in the record.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// The sequence parameter set can't be read.
    #[error("the H.264 sequence parameter set can't be read: {0}")]
    Sps(#[from] BitError),
    /// A sample's NAL units do not add up to its size.
    #[error("H.264: {0}")]
    Sample(#[from] NalError),
}

/// A decoder configuration record, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The record itself.
    pub record: Bytes,
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub length_size: u8,
    /// The sequence parameter sets, as NAL units; at least one.
    pub sps_nals: Vec<Bytes>,
    /// The picture parameter sets, as NAL units; at least one.
    pub pps_nals: Vec<Bytes>,
    /// The first sequence parameter set, read.
    pub sps: Sps,
}

impl Config {
    /// Reads a record; the parameter sets share its bytes.
    ///
    /// # Errors
    /// When it is longer than [`CONFIG_MAX`], cut, of another version, without SPS or PPS, or its first SPS can't be read.
    pub fn parse(record: &Bytes) -> Result<Self, AvcError> {
        let error = |at, what| AvcError::Config { at, what };
        if record.len() > CONFIG_MAX {
            return Err(error(CONFIG_MAX, "longer than any"));
        }
        let byte = |at: usize| record.get(at).copied().ok_or(error(at, "cut"));
        if byte(0)? != 1 {
            return Err(error(0, "not version 1"));
        }
        let length_size = (byte(4)? & 3) + 1;
        if length_size == 3 {
            return Err(error(4, "NAL unit lengths of 3 bytes do not exist"));
        }
        let mut at = 5;
        let sets = |count: u8, kind: u8, at: &mut usize| {
            let mut nals = Vec::with_capacity(usize::from(count));
            for _ in 0..count {
                let length = usize::from(u16::from_be_bytes([byte(*at)?, byte(*at + 1)?]));
                let from = *at + 2;
                let nal = record.get(from..from + length).ok_or(error(from, "parameter set cut"))?;
                if nal.first().is_none_or(|header| header & 0x1f != kind) {
                    return Err(error(from, "not the kind of parameter set that belongs here"));
                }
                nals.push(record.slice(from..from + length));
                *at = from + length;
            }
            Ok(nals)
        };
        let sps_count = byte(at)? & 0x1f;
        at += 1;
        let sps_nals = sets(sps_count, NAL_SPS, &mut at)?;
        let pps_count = byte(at)?;
        at += 1;
        let pps_nals = sets(pps_count, NAL_PPS, &mut at)?;
        let first = sps_nals.first().ok_or(error(5, "no sequence parameter set"))?;
        if pps_nals.is_empty() {
            return Err(error(at, "no picture parameter set"));
        }
        let sps = Sps::parse(first)?;
        Ok(Self { record: record.clone(), length_size, sps_nals, pps_nals, sps })
    }

    /// The `codecs` parameter (RFC 6381, section 3.3): `avc1.64001f`.
    #[must_use]
    pub fn codecs(&self) -> String {
        self.sps.codecs()
    }

    /// What the pictures are like.
    #[must_use]
    pub fn format(&self) -> Format {
        let sps = &self.sps;
        Format {
            name: format!("H.264 profile {}", sps.profile),
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

/// `nal_unit_type` of a NAL unit; `None` for an empty one.
#[must_use]
pub fn nal_type(nal: &[u8]) -> Option<u8> {
    nal.first().map(|header| header & 0x1f)
}

/// Tells what a sample holds by its NAL units.
///
/// # Errors
/// When the NAL units do not add up to the sample.
pub fn sample_kind(sample: &[u8], length_size: u8) -> Result<SampleKind, AvcError> {
    let (mut kind, mut recovery) = (SampleKind::NoPicture, false);
    for nal in nals(sample, length_size) {
        let nal = nal?;
        match nal_type(nal) {
            Some(NAL_IDR) => kind = SampleKind::Start,
            Some(1..=4) if kind == SampleKind::NoPicture => kind = SampleKind::Picture,
            Some(NAL_SEI) => recovery |= has_recovery_point(nal.get(1..).unwrap_or_default()),
            _ => {}
        }
    }
    Ok(if recovery && kind == SampleKind::Picture { SampleKind::OpenStart } else { kind })
}

#[cfg(test)]
mod tests;
