//! The configuration of a video track, whichever of the codings that gopcast takes it is in: one face for [`crate::avc`], [`crate::hevc`] and
//! [`crate::av1`].

use bytes::Bytes;
use thiserror::Error;

use crate::{
    av1::{self, Av1Error},
    avc::{self, AvcError},
    chunk::VideoCodec,
    hevc::{self, HevcError},
    picture::{Format, SampleKind},
};

/// Why a configuration or a sample can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VideoError {
    /// H.264.
    #[error(transparent)]
    Avc(#[from] AvcError),
    /// HEVC.
    #[error(transparent)]
    Hevc(#[from] HevcError),
    /// AV1.
    #[error(transparent)]
    Av1(#[from] Av1Error),
}

/// A decoder configuration, read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Avc(avc::Config),
    Hevc(hevc::Config),
    Av1(av1::Config),
}

/// A decoder configuration, read, and what it says of the pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    kind: Kind,
    format: Format,
}

impl Config {
    /// Reads the record that goes with `codec`; it shares its bytes.
    ///
    /// # Errors
    /// When it is cut or contradicts itself.
    pub fn parse(codec: VideoCodec, record: &Bytes) -> Result<Self, VideoError> {
        let kind = match codec {
            VideoCodec::Avc => Kind::Avc(avc::Config::parse(record)?),
            VideoCodec::Hevc => Kind::Hevc(hevc::Config::parse(record)?),
            VideoCodec::Av1 => Kind::Av1(av1::Config::parse(record)?),
        };
        let format = match &kind {
            Kind::Avc(config) => config.format(),
            Kind::Hevc(config) => config.format(),
            Kind::Av1(config) => config.format(),
        };
        Ok(Self { kind, format })
    }

    /// Which coding.
    #[must_use]
    pub fn codec(&self) -> VideoCodec {
        match self.kind {
            Kind::Avc(_) => VideoCodec::Avc,
            Kind::Hevc(_) => VideoCodec::Hevc,
            Kind::Av1(_) => VideoCodec::Av1,
        }
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> &Bytes {
        match &self.kind {
            Kind::Avc(config) => &config.record,
            Kind::Hevc(config) => &config.record,
            Kind::Av1(config) => &config.record,
        }
    }

    /// What the pictures are like.
    #[must_use]
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// Tells what a sample holds by what is in it.
    ///
    /// # Errors
    /// When its parts do not add up to its size.
    pub fn sample_kind(&self, sample: &[u8]) -> Result<SampleKind, VideoError> {
        Ok(match &self.kind {
            Kind::Avc(config) => avc::sample_kind(sample, config.length_size)?,
            Kind::Hevc(config) => hevc::sample_kind(sample, config.length_size)?,
            Kind::Av1(config) => config.sample_kind(sample)?,
        })
    }
}
