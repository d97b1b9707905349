//! AV1 as Enhanced RTMP and MP4 carry it: the `AV1CodecConfigurationRecord` ("AV1 Codec ISO Media File Format Binding", 2.3) and temporal
//! units of OBUs (AV1 specification, 5.3).
//!
//! Invariant: a [`Config`] holds a sequence header that could be read; its bytes are those of the record, untouched. Whether the
//! *content* is something gopcast takes (8 bit, 4:2:0, size) is the encoder's to judge, not this module's.

mod obu;
mod sequence;

use bytes::Bytes;
use thiserror::Error;

use self::obu::{FRAME, FRAME_HEADER, SEQUENCE_HEADER, obus};
pub use self::{
    obu::{OBUS_MAX, ObuError},
    sequence::Sequence,
};
use crate::{
    bits::{BitError, Bits},
    picture::{Format, SampleKind},
};

/// Largest configuration record in bytes: usual ones have 20; metadata may follow the sequence header.
pub const CONFIG_MAX: usize = 64 << 10;
/// Bytes of a record before its OBUs.
const FIXED: usize = 4;
/// First byte of every record: marker and version 1.
const MARKER: u8 = 0x81;
/// `frame_type` of a key frame (6.8.2).
const KEY_FRAME: u32 = 0;

/// Why bytes are not AV1 as this module knows it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Av1Error {
    /// The configuration record is cut or contradicts itself.
    #[error("the AV1 configuration record is wrong at byte {at}: {what}")]
    Config {
        /// Byte in the record.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// The sequence header can't be read.
    #[error("the AV1 sequence header can't be read: {0}")]
    Sequence(#[from] BitError),
    /// A sample's OBUs do not add up to its size.
    #[error("AV1: {0}")]
    Sample(#[from] ObuError),
}

/// A codec configuration record, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The record itself.
    pub record: Bytes,
    /// Its sequence header, read.
    pub sequence: Sequence,
}

impl Config {
    /// Reads a record; it shares its bytes.
    ///
    /// # Errors
    /// When it is longer than [`CONFIG_MAX`], cut, of another version, without a sequence header, or that can't be read.
    pub fn parse(record: &Bytes) -> Result<Self, Av1Error> {
        let error = |at, what| Av1Error::Config { at, what };
        if record.len() > CONFIG_MAX {
            return Err(error(CONFIG_MAX, "longer than any"));
        }
        if record.first() != Some(&MARKER) {
            return Err(error(0, "not version 1"));
        }
        let rest = record.get(FIXED..).ok_or(error(record.len(), "cut"))?;
        for obu in obus(rest) {
            let obu = obu?;
            if obu.kind == SEQUENCE_HEADER {
                return Ok(Self { record: record.clone(), sequence: Sequence::parse(obu.payload)? });
            }
        }
        Err(error(FIXED, "no sequence header"))
    }

    /// What the pictures are like.
    #[must_use]
    pub fn format(&self) -> Format {
        let sequence = &self.sequence;
        Format {
            name: format!("AV1 profile {}", sequence.profile),
            width: sequence.width,
            height: sequence.height,
            chroma_format: sequence.chroma_format,
            bit_depth: sequence.bit_depth,
            interlaced: false,
            colour: sequence.colour,
            frame_rate: sequence.frame_rate,
        }
    }

    /// Tells what a temporal unit holds by its frame headers (5.9.2). A key frame that is shown at once resets everything that later frames
    /// could refer to; one that is hidden is shown later, after others that refer to what was before.
    ///
    /// # Errors
    /// When the OBUs do not add up to the sample, or a frame header is cut.
    pub fn sample_kind(&self, sample: &[u8]) -> Result<SampleKind, Av1Error> {
        let mut kind = SampleKind::NoPicture;
        let (mut first, mut hidden_key) = (true, false);
        for obu in obus(sample) {
            let obu = obu?;
            if !matches!(obu.kind, FRAME | FRAME_HEADER) {
                continue;
            }
            let frame = if self.sequence.still { Frame::STILL } else { Frame::parse(obu.payload)? };
            if frame.shown && first && frame.key {
                kind = SampleKind::Start;
            } else if frame.shown && kind == SampleKind::NoPicture {
                kind = SampleKind::Picture;
            }
            hidden_key |= frame.key && !frame.shown;
            first = false;
        }
        Ok(if hidden_key && kind == SampleKind::Picture { SampleKind::OpenStart } else { kind })
    }
}

/// The first bits of a frame header.
struct Frame {
    key: bool,
    shown: bool,
}

impl Frame {
    /// With `reduced_still_picture_header` there is but one kind of frame.
    const STILL: Self = Self { key: true, shown: true };

    fn parse(payload: &[u8]) -> Result<Self, BitError> {
        let mut b = Bits::new(payload);
        if b.flag("show_existing_frame")? {
            return Ok(Self { key: false, shown: true });
        }
        let key = b.u(2, "frame_type")? == KEY_FRAME;
        Ok(Self { key, shown: b.flag("show_frame")? })
    }
}

#[cfg(test)]
mod tests;
