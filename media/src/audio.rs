//! The configuration of a sound track, whichever of the codings that gopcast takes it is in: one face for [`crate::aac`], [`crate::opus`]
//! and [`crate::mp3`].
//!
//! What every player takes (AAC-LC and HE-AAC, mono or stereo, at a usual rate) is carried as it is; the rest is transcoded in the encoder
//! ([`Config::is_carried`]). Transcoding chunk by chunk needs what was heard before: such a chunk's sound begins with a lead
//! ([`LEAD_MS`], [`LEAD_FRAMES`]). In sound that is to be transcoded a frame of no bytes is silence.

use bytes::Bytes;
use thiserror::Error;

use crate::{
    aac::{self, AacError},
    chunk::AudioCodec,
    mp3::{self, Mp3Error},
    opus::{self, OpusError},
    time::{Ticks, VIDEO_TIMESCALE},
    verdict::{Code, Verdict},
};

/// How long one frame of sound lasts at most, in 1/90 000 s: 0.256 s, of AAC at the lowest rate taken. A packet of Opus lasts 0.12 s at most
/// (RFC 6716, 3.2.5), a frame of MP3 0.072 s.
pub const FRAME_TICKS_MAX: Ticks =
    aac::FRAME_SAMPLES as Ticks * VIDEO_TIMESCALE as Ticks / aac::SAMPLE_RATE_MIN as Ticks;

/// How long the lead is at least, in ms, where there was so much: three frames of AAC at 48 kHz that wait for what follows them, four for the
/// encoder to settle, and 80 ms for a decoder of Opus to converge (RFC 7845, 4.6).
pub const LEAD_MS: u32 = 300;
/// How many frames the lead has at least: MP3 refers to bytes of up to 9 frames before, at bit rates that are sent live to 5; and a
/// decoder needs one frame to overlap with.
pub const LEAD_FRAMES: usize = 8;

/// Why sound is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AudioError {
    /// AAC.
    #[error(transparent)]
    Aac(#[from] AacError),
    /// Opus.
    #[error(transparent)]
    Opus(#[from] OpusError),
    /// MP3.
    #[error(transparent)]
    Mp3(#[from] Mp3Error),
}

impl AudioError {
    /// What the broadcaster is told.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Aac(error) => error.verdict(),
            Self::Opus(error) => error.verdict(),
            Self::Mp3(error) => {
                error.verdict().unwrap_or_else(|| Verdict::new(Code::AudioFormat, format!("{error}.")))
            }
        }
    }
}

/// A decoder configuration, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Config {
    /// AAC.
    Aac(aac::Config),
    /// Opus.
    Opus(opus::Config),
    /// MP3.
    Mp3(mp3::Config),
}

impl Config {
    /// Reads the record that goes with `codec`.
    ///
    /// # Errors
    /// When it is cut, or describes sound that gopcast does not take.
    pub fn parse(codec: AudioCodec, record: &Bytes) -> Result<Self, AudioError> {
        Ok(match codec {
            AudioCodec::Aac => Self::Aac(aac::Config::parse(record)?),
            AudioCodec::Opus => Self::Opus(opus::Config::parse(record)?),
            AudioCodec::Mp3 => Self::Mp3(mp3::Config::parse(record)?),
        })
    }

    /// Which coding.
    #[must_use]
    pub fn codec(&self) -> AudioCodec {
        match self {
            Self::Aac(_) => AudioCodec::Aac,
            Self::Opus(_) => AudioCodec::Opus,
            Self::Mp3(_) => AudioCodec::Mp3,
        }
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> &Bytes {
        match self {
            Self::Aac(config) => &config.record,
            Self::Opus(config) => &config.record,
            Self::Mp3(config) => &config.record,
        }
    }

    /// Samples a second that frames are counted in.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        match self {
            Self::Aac(config) => config.sample_rate,
            Self::Opus(_) => opus::SAMPLE_RATE,
            Self::Mp3(config) => config.sample_rate,
        }
    }

    /// Channels.
    #[must_use]
    pub fn channels(&self) -> u8 {
        match self {
            Self::Aac(config) => config.channels,
            Self::Opus(config) => config.channels,
            Self::Mp3(config) => config.channels,
        }
    }

    /// Whether it goes to viewers as it is; otherwise the encoder makes AAC-LC of it.
    #[must_use]
    pub fn is_carried(&self) -> bool {
        matches!(self, Self::Aac(config) if config.carried)
    }

    /// How many samples a frame lasts; `None` when it is none that can be used.
    #[must_use]
    pub fn samples(&self, frame: &[u8]) -> Option<u32> {
        match self {
            Self::Aac(_) => (frame.len() <= aac::FRAME_MAX).then_some(aac::FRAME_SAMPLES),
            Self::Opus(_) => opus::samples(frame).filter(|_| frame.len() <= opus::PACKET_MAX),
            Self::Mp3(config) => (frame.len() <= mp3::FRAME_MAX).then_some(config.samples),
        }
    }

    /// How many samples a frame usually lasts: what silence is put in by.
    #[must_use]
    pub fn usual_samples(&self) -> u32 {
        match self {
            Self::Aac(_) => aac::FRAME_SAMPLES,
            Self::Opus(_) => opus::PACKET_SAMPLES_USUAL,
            Self::Mp3(config) => config.samples,
        }
    }

    /// A frame of silence, to fill a hole with.
    #[must_use]
    pub fn silence(&self) -> Bytes {
        match self {
            Self::Aac(config) if config.carried => config.silence(),
            _ => Bytes::new(),
        }
    }
}
