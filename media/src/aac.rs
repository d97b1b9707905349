//! AAC as FLV and MP4 carry it: the `AudioSpecificConfig` (ISO 14496-3, 1.6.2.1), and frames of silence.
//!
//! gopcast takes AAC-LC, mono or stereo, 8 to 96 kHz, in frames of 1024 samples. HE-AAC is refused: its explicit signalling halves the
//! sample rate that frames count in, its implicit one is invisible here, and every encoder that broadcasters use can do LC.
//!
//! Invariant: holding a [`Config`] is the proof that the sound is what gopcast takes.

use bytes::Bytes;
use thiserror::Error;

use crate::{
    bits::{BitError, Bits},
    verdict::{Code, Verdict},
};

/// Longest configuration in bytes; usual ones have 2 to 5.
pub const CONFIG_MAX: usize = 64;
/// Samples in every frame.
pub const FRAME_SAMPLES: u32 = 1024;
/// Lowest sample rate taken, in Hz.
pub const SAMPLE_RATE_MIN: u32 = 8_000;
/// Highest sample rate taken, in Hz.
pub const SAMPLE_RATE_MAX: u32 = 96_000;
/// Most bytes of a frame: 6144 bits per channel (ISO 14496-3, 4.5.3.2), two channels, and room for data elements.
pub const FRAME_MAX: usize = 8 << 10;

const OBJECT_LC: u32 = 2;
const OBJECT_SBR: u32 = 5;
const OBJECT_PS: u32 = 29;
const OBJECT_ESCAPE: u32 = 31;
const RATE_ESCAPE: u32 = 15;
/// `sync_extension_type` of the backward-compatible SBR signalling.
const SYNC_SBR: u32 = 0x2b7;

/// Table 1.18.
const SAMPLE_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// Why sound is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AacError {
    /// The configuration is cut.
    #[error("the AAC configuration can't be read: {0}")]
    Config(#[from] BitError),
    /// Longer than [`CONFIG_MAX`], or empty.
    #[error("an AAC configuration has 2 to {CONFIG_MAX} bytes, not {0}")]
    Length(usize),
    /// Not AAC-LC.
    #[error("the sound is {0}; set the audio encoder to AAC-LC")]
    ObjectType(&'static str),
    /// Too low or too high.
    #[error(
        "the sound has {0} samples a second; gopcast takes {SAMPLE_RATE_MIN} to {SAMPLE_RATE_MAX}, 48000 is best"
    )]
    SampleRate(u32),
    /// Neither mono nor stereo.
    #[error("the sound has {0}; set the audio encoder to mono or stereo")]
    Channels(&'static str),
    /// Frames of 960 samples.
    #[error("the sound has frames of 960 samples; gopcast takes 1024")]
    FrameLength,
}

impl AacError {
    /// What the broadcaster is told.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::new(Code::AudioFormat, format!("{self}."))
    }
}

/// A configuration that gopcast takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The `AudioSpecificConfig` itself.
    pub record: Bytes,
    /// Samples per second and channel.
    pub sample_rate: u32,
    /// 1 or 2.
    pub channels: u8,
}

impl Config {
    /// Reads an `AudioSpecificConfig`.
    ///
    /// # Errors
    /// When it is cut, or describes sound that gopcast does not take.
    pub fn parse(record: &Bytes) -> Result<Self, AacError> {
        if record.len() < 2 || record.len() > CONFIG_MAX {
            return Err(AacError::Length(record.len()));
        }
        let mut b = Bits::new(record);
        let object = object_type(&mut b)?;
        let sample_rate = sample_rate(&mut b)?;
        let channels = b.u(4, "channelConfiguration")?;
        match object {
            OBJECT_LC => {}
            OBJECT_SBR => return Err(AacError::ObjectType("HE-AAC")),
            OBJECT_PS => return Err(AacError::ObjectType("HE-AAC version 2")),
            1 => return Err(AacError::ObjectType("AAC Main")),
            _ => return Err(AacError::ObjectType("another kind of AAC")),
        }
        if !(SAMPLE_RATE_MIN..=SAMPLE_RATE_MAX).contains(&sample_rate) {
            return Err(AacError::SampleRate(sample_rate));
        }
        let channels = match channels {
            0 => return Err(AacError::Channels("channels given by a program config element")),
            1 => 1,
            2 => 2,
            _ => return Err(AacError::Channels("more than two channels")),
        };
        // GASpecificConfig (4.4.1)
        if b.flag("frameLengthFlag")? {
            return Err(AacError::FrameLength);
        }
        if b.flag("dependsOnCoreCoder")? {
            b.u(14, "coreCoderDelay")?;
        }
        b.flag("extensionFlag")?;
        if b.left() >= 16 && b.u(11, "syncExtensionType")? == SYNC_SBR && object_type(&mut b)? == OBJECT_SBR {
            let present = b.flag("sbrPresentFlag").unwrap_or(false);
            if present {
                return Err(AacError::ObjectType("HE-AAC"));
            }
        }
        Ok(Self { record: record.clone(), sample_rate, channels })
    }

    /// The `codecs` parameter (RFC 6381, section 3.3).
    #[must_use]
    pub fn codecs(&self) -> &'static str {
        "mp4a.40.2"
    }

    /// A frame of silence with this many channels, to fill a hole with.
    #[must_use]
    pub fn silence(&self) -> Bytes {
        silence(self.channels)
    }
}

/// One `raw_data_block` of AAC-LC without any spectral data: a channel element per channel layout, then the end mark. It is
/// independent of the sample rate.
#[must_use]
pub fn silence(channels: u8) -> Bytes {
    /// `single_channel_element`, `fill_element`, `END`.
    const MONO: &[u8] = &[0x00, 0xc8, 0x00, 0x80, 0x23, 0x80];
    /// `channel_pair_element`, `fill_element`, `END`.
    const STEREO: &[u8] = &[0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80];
    Bytes::from_static(if channels == 1 { MONO } else { STEREO })
}

fn object_type(b: &mut Bits<'_>) -> Result<u32, BitError> {
    match b.u(5, "audioObjectType")? {
        OBJECT_ESCAPE => Ok(32 + b.u(6, "audioObjectTypeExt")?),
        object => Ok(object),
    }
}

fn sample_rate(b: &mut Bits<'_>) -> Result<u32, BitError> {
    let error = b.error("reserved samplingFrequencyIndex");
    match b.u(4, "samplingFrequencyIndex")? {
        RATE_ESCAPE => b.u(24, "samplingFrequency"),
        index => usize::try_from(index).ok().and_then(|index| SAMPLE_RATES.get(index)).copied().ok_or(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &'static [u8]) -> Result<Config, AacError> {
        Config::parse(&Bytes::from_static(bytes))
    }

    #[test]
    fn usual_configurations() {
        for (bytes, rate, channels) in [
            (&[0x12, 0x10][..], 44_100, 2),
            (&[0x11, 0x90], 48_000, 2),
            (&[0x12, 0x08], 44_100, 1),
            (&[0x15, 0x88], 8_000, 1),
            (&[0x10, 0x10], 96_000, 2),
            // As ffmpeg writes it: LC, then "no SBR" in the backward-compatible way.
            (&[0x12, 0x10, 0x56, 0xe5, 0x00], 44_100, 2),
            // Rate by escape: 2 | 15 | 44100 | 2 channels.
            (&[0x17, 0x80, 0x56, 0x22, 0x10], 44_100, 2),
        ] {
            let config = parse(bytes).unwrap();
            assert_eq!((config.sample_rate, config.channels, config.codecs()), (rate, channels, "mp4a.40.2"));
            assert_eq!(config.record, bytes);
        }
    }

    #[test]
    fn what_is_not_taken_is_refused_with_a_sentence() {
        let cases = [
            (&[0x2b, 0x11, 0x88, 0x00][..], AacError::ObjectType("HE-AAC")),
            (&[0xeb, 0x11, 0x88, 0x00], AacError::ObjectType("HE-AAC version 2")),
            (&[0x13, 0x10, 0x56, 0xe5, 0x9d], AacError::ObjectType("HE-AAC")),
            (&[0x0a, 0x10], AacError::ObjectType("AAC Main")),
            (&[0x12, 0x30], AacError::Channels("more than two channels")),
            (&[0x12, 0x00], AacError::Channels("channels given by a program config element")),
            (&[0x16, 0x10], AacError::SampleRate(7_350)),
            (&[0x12, 0x14], AacError::FrameLength),
            (&[0x12], AacError::Length(1)),
        ];
        for (bytes, expected) in cases {
            let error = parse(bytes).unwrap_err();
            assert_eq!(error, expected);
            assert_eq!(error.verdict().code, Code::AudioFormat);
        }
    }

    #[test]
    fn no_bytes_panic() {
        for a in 0..=u8::MAX {
            for b in 0..=u8::MAX {
                let _ = Config::parse(&Bytes::from(vec![a, b]));
                let _ = Config::parse(&Bytes::from(vec![a, b, a, b, a]));
            }
        }
    }
}
