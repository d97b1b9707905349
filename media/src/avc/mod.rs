//! H.264 as FLV and MP4 carry it: the `AVCDecoderConfigurationRecord` (ISO 14496-15, 5.3.3.1) and length-prefixed NAL units.
//!
//! Invariant: a [`Config`] holds at least one SPS that could be read and one PPS; its bytes are those of the record, untouched.
//! Whether the *content* is something gopcast takes (8 bit, 4:2:0, size) is the encoder's to judge, not this module's.

mod sps;

use bytes::Bytes;
use thiserror::Error;

pub use self::sps::{Colour, Sps};
use crate::bits::BitError;

/// Largest configuration record in bytes: usual ones have 40; 64 KiB holds 31 SPS and 255 PPS of any sane size.
pub const CONFIG_MAX: usize = 64 << 10;
/// Most NAL units walked in one sample: one slice per macroblock row of an 8192-line picture, and as many SEI.
pub const NALS_MAX: usize = 1024;

/// `nal_unit_type` of a coded slice of an IDR picture (ITU-T H.264, table 7-1).
pub const NAL_IDR: u8 = 5;
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
    #[error("the H.264 sample is wrong at byte {at}: {what}")]
    Sample {
        /// Byte in the sample.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
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

    /// The NAL units of a sample that goes with this configuration.
    #[must_use]
    pub fn nals<'a>(&self, sample: &'a [u8]) -> Nals<'a> {
        nals(sample, self.length_size)
    }
}

/// Walks the length-prefixed NAL units of a sample.
#[must_use]
pub fn nals(sample: &[u8], length_size: u8) -> Nals<'_> {
    Nals { sample, at: 0, length_size: usize::from(length_size), count: 0 }
}

/// `nal_unit_type` of a NAL unit; `None` for an empty one.
#[must_use]
pub fn nal_type(nal: &[u8]) -> Option<u8> {
    nal.first().map(|header| header & 0x1f)
}

/// An iterator over the NAL units of one sample; ends after the first error. Empty units are skipped.
#[derive(Debug, Clone)]
pub struct Nals<'a> {
    sample: &'a [u8],
    at: usize,
    length_size: usize,
    count: usize,
}

impl<'a> Nals<'a> {
    fn fail(&mut self, what: &'static str) -> AvcError {
        let at = self.at;
        self.at = self.sample.len();
        AvcError::Sample { at, what }
    }
}

impl<'a> Iterator for Nals<'a> {
    type Item = Result<&'a [u8], AvcError>;
    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.sample.len() {
            let Some(prefix) = self.sample.get(self.at..self.at + self.length_size) else {
                return Some(Err(self.fail("the length of a NAL unit is cut")));
            };
            let length = prefix.iter().fold(0usize, |n, byte| (n << 8) | usize::from(*byte));
            let from = self.at + self.length_size;
            let Some(nal) = from.checked_add(length).and_then(|to| self.sample.get(from..to)) else {
                return Some(Err(self.fail("a NAL unit is longer than the sample")));
            };
            self.count += 1;
            if self.count > NALS_MAX {
                return Some(Err(self.fail("more NAL units than any picture has")));
            }
            self.at = from + length;
            if !nal.is_empty() {
                return Some(Ok(nal));
            }
        }
        None
    }
}

/// What a sample holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleKind {
    /// A picture from which decoding can start: it has a slice of NAL type 5. FLV's "key frame" flag is not asked: encoders set it for
    /// recovery points too.
    Idr,
    /// Another picture.
    Picture,
    /// No slice at all: parameter sets, SEI, delimiters.
    NoPicture,
}

/// Tells what a sample holds by its NAL units.
///
/// # Errors
/// When the NAL units do not add up to the sample.
pub fn sample_kind(sample: &[u8], length_size: u8) -> Result<SampleKind, AvcError> {
    let mut kind = SampleKind::NoPicture;
    for nal in nals(sample, length_size) {
        match nal_type(nal?) {
            Some(NAL_IDR) => kind = SampleKind::Idr,
            Some(1..=4) if kind == SampleKind::NoPicture => kind = SampleKind::Picture,
            _ => {}
        }
    }
    Ok(kind)
}

/// Takes the emulation prevention bytes out of a NAL unit: `00 00 03` → `00 00` (ITU-T H.264, 7.4.1.1).
#[must_use]
pub fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0u8;
    for byte in nal {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros.saturating_add(1) } else { 0 };
        out.push(*byte);
    }
    out
}

#[cfg(test)]
mod tests;
