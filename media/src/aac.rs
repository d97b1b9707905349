//! AAC as FLV and MP4 carry it: the `AudioSpecificConfig` (ISO 14496-3, 1.6.2.1), and frames of silence.
//!
//! gopcast carries AAC-LC and HE-AAC (both versions), mono or stereo, at the usual rates from 8 to 48 kHz, in frames of 1024 samples.
//! More channels, AAC Main and LTP, and other rates are taken to be transcoded ([`Config::carried`]). HE-AAC is AAC-LC at half the
//! sample rate with hints by which a decoder adds the upper half of the spectrum (SBR) and the second channel (PS). It is counted as what it is
//! made of: 1024 samples a frame at the lower rate are the 2048 at the higher one that come out. Where only the frames say that there
//! is SBR, it is invisible here, and as good: decoders find it.
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
/// Lowest sample rate taken, in Hz: below, there is nothing to hear.
pub const SAMPLE_RATE_MIN: u32 = 4_000;
/// Highest sample rate taken, in Hz.
pub const SAMPLE_RATE_MAX: u32 = 96_000;
/// Lowest sample rate carried, in Hz: what players take.
const CARRIED_RATE_MIN: u32 = 8_000;
/// Highest sample rate carried, in Hz: Windows' decoder takes no more, and a sample entry's field does not hold 88 200 (ISO 14496-12, 12.2.3).
const CARRIED_RATE_MAX: u32 = 48_000;
/// Most bytes of a frame: 6144 bits per channel (ISO 14496-3, 4.5.3.2), eight channels, and room for data elements.
pub const FRAME_MAX: usize = 8 << 10;

const OBJECT_MAIN: u32 = 1;
const OBJECT_LC: u32 = 2;
const OBJECT_LTP: u32 = 4;
const OBJECT_SBR: u32 = 5;
const OBJECT_PS: u32 = 29;
const OBJECT_ESCAPE: u32 = 31;
const RATE_ESCAPE: u32 = 15;
/// `sync_extension_type` of the backward-compatible SBR signalling.
const SYNC_SBR: u32 = 0x2b7;
/// `sync_extension_type` of the parametric stereo that may follow it.
const SYNC_PS: u32 = 0x548;

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
    /// Neither AAC-LC nor HE-AAC nor what can be made AAC-LC of.
    #[error("the sound is {0}; set the audio encoder to AAC-LC")]
    ObjectType(&'static str),
    /// Too low or too high.
    #[error(
        "the sound has {0} samples a second; gopcast takes {SAMPLE_RATE_MIN} to {SAMPLE_RATE_MAX}, 48000 is best"
    )]
    SampleRate(u32),
    /// Channels that the configuration does not name.
    #[error("the sound has {0}; set the audio encoder to mono or stereo")]
    Channels(&'static str),
    /// SBR that makes something else than one or two samples of each.
    #[error("the sound is HE-AAC of a kind that does not exist; set the audio encoder to AAC-LC")]
    Extension,
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
    /// Samples per second and channel that frames count in: of HE-AAC what the AAC-LC in it has.
    pub sample_rate: u32,
    /// 1 to 8: of HE-AAC version 2 what the AAC-LC in it has.
    pub channels: u8,
    /// It goes to viewers as it is: AAC-LC or HE-AAC, mono or stereo, at a usual rate.
    pub carried: bool,
    /// Which AAC.
    pub profile: Profile,
}

/// Which AAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// AAC-LC.
    Lc,
    /// AAC-LC with spectral band replication.
    He,
    /// The same with parametric stereo.
    HeV2,
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
        let mut object = object_type(&mut b)?;
        let sample_rate = sampling_frequency(&mut b)?;
        let channels = b.u(4, "channelConfiguration")?;
        let mut profile = match object {
            OBJECT_SBR => Profile::He,
            OBJECT_PS => Profile::HeV2,
            _ => Profile::Lc,
        };
        if profile != Profile::Lc {
            // Signalled at the front: what comes out, then what it is made of.
            check_extension(sample_rate, sampling_frequency(&mut b)?)?;
            object = object_type(&mut b)?;
        }
        match object {
            OBJECT_LC => {}
            OBJECT_MAIN | OBJECT_LTP if profile == Profile::Lc => {}
            3 => return Err(AacError::ObjectType("AAC-SSR")),
            _ => return Err(AacError::ObjectType("another kind of AAC")),
        }
        if !(SAMPLE_RATE_MIN..=SAMPLE_RATE_MAX).contains(&sample_rate) {
            return Err(AacError::SampleRate(sample_rate));
        }
        let channels = match channels {
            0 => return Err(AacError::Channels("channels given by a program config element")),
            // Table 1.19; what lies beyond are layouts that FFmpeg's decoder does not know by number.
            n @ 1..=6 => u8::try_from(n).unwrap_or(0),
            7 => 8,
            _ => return Err(AacError::Channels("an unusual layout of channels")),
        };
        let carried = object == OBJECT_LC
            && channels <= 2
            && (CARRIED_RATE_MIN..=CARRIED_RATE_MAX).contains(&sample_rate)
            && SAMPLE_RATES.contains(&sample_rate);
        // GASpecificConfig (4.4.1)
        if b.flag("frameLengthFlag")? {
            return Err(AacError::FrameLength);
        }
        if b.flag("dependsOnCoreCoder")? {
            b.u(14, "coreCoderDelay")?;
        }
        b.flag("extensionFlag")?;
        // Signalled at the end, where decoders of AAC-LC do not look.
        let signalled = profile == Profile::Lc
            && b.left() >= 16
            && b.u(11, "syncExtensionType")? == SYNC_SBR
            && object_type(&mut b)? == OBJECT_SBR;
        if signalled && b.flag("sbrPresentFlag").unwrap_or(false) {
            check_extension(sample_rate, sampling_frequency(&mut b)?)?;
            let parametric =
                b.left() >= 12 && b.u(11, "syncExtensionType")? == SYNC_PS && b.flag("psPresentFlag")?;
            profile = if parametric { Profile::HeV2 } else { Profile::He };
        }
        if profile == Profile::HeV2 && channels != 1 {
            return Err(AacError::Channels("parametric stereo made of more than one channel"));
        }
        Ok(Self { record: record.clone(), sample_rate, channels, carried, profile })
    }

    /// The `codecs` parameter (RFC 6381, section 3.3).
    #[must_use]
    pub fn codecs(&self) -> &'static str {
        match self.profile {
            Profile::Lc => "mp4a.40.2",
            Profile::He => "mp4a.40.5",
            Profile::HeV2 => "mp4a.40.29",
        }
    }

    /// Channels that come out of a decoder.
    #[must_use]
    pub fn channels_out(&self) -> u8 {
        if self.profile == Profile::HeV2 { 2 } else { self.channels }
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

/// Each sample becomes one (downsampled SBR) or two.
fn check_extension(from: u32, to: u32) -> Result<(), AacError> {
    if to == from || Some(to) == from.checked_mul(2) { Ok(()) } else { Err(AacError::Extension) }
}

fn sampling_frequency(b: &mut Bits<'_>) -> Result<u32, BitError> {
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
            // As ffmpeg writes it: LC, then "no SBR" in the backward-compatible way.
            (&[0x12, 0x10, 0x56, 0xe5, 0x00], 44_100, 2),
            // Rate by escape: 2 | 15 | 44100 | 2 channels.
            (&[0x17, 0x80, 0x56, 0x22, 0x10], 44_100, 2),
        ] {
            let config = parse(bytes).unwrap();
            assert_eq!((config.sample_rate, config.channels, config.codecs()), (rate, channels, "mp4a.40.2"));
            assert_eq!(config.record, bytes);
            assert!(config.carried);
        }
    }

    #[test]
    fn what_players_do_not_take_is_transcoded() {
        for (bytes, rate, channels) in [
            // 5.1 and 7.1, AAC Main, LTP, 7350 Hz, 96 kHz, 44 056 Hz by escape.
            (&[0x11, 0xb0][..], 48_000, 6),
            (&[0x12, 0x38], 44_100, 8),
            (&[0x0a, 0x10], 44_100, 2),
            (&[0x22, 0x10], 44_100, 2),
            (&[0x16, 0x10], 7_350, 2),
            (&[0x10, 0x10], 96_000, 2),
            (&[0x17, 0x80, 0x56, 0x0c, 0x10], 44_056, 2),
        ] {
            let config = parse(bytes).unwrap();
            assert_eq!(
                (config.sample_rate, config.channels, config.carried),
                (rate, channels, false),
                "{bytes:02x?}"
            );
        }
    }

    /// As libfdk-aac writes them, at the front and at the end of the record.
    #[test]
    fn high_efficiency_counts_in_samples_of_what_it_is_made_of() {
        for (bytes, rate, channels, out, codecs) in [
            (&[0x2b, 0x11, 0x88, 0x00][..], 24_000, 2, 2, "mp4a.40.5"),
            (&[0x2b, 0x8a, 0x08, 0x00], 22_050, 1, 1, "mp4a.40.5"),
            (&[0xeb, 0x09, 0x88, 0x00], 24_000, 1, 2, "mp4a.40.29"),
            (&[0x13, 0x10, 0x56, 0xe5, 0x98], 24_000, 2, 2, "mp4a.40.5"),
            // Downsampled SBR: 24 kHz stays 24 kHz.
            (&[0x13, 0x10, 0x56, 0xe5, 0xb0], 24_000, 2, 2, "mp4a.40.5"),
            (&[0x13, 0x08, 0x56, 0xe5, 0x9d, 0x48, 0x80], 24_000, 1, 2, "mp4a.40.29"),
        ] {
            let config = parse(bytes).unwrap();
            assert_eq!((config.sample_rate, config.channels), (rate, channels), "{bytes:02x?}");
            assert_eq!((config.channels_out(), config.codecs()), (out, codecs), "{bytes:02x?}");
        }
    }

    #[test]
    fn what_is_not_taken_is_refused_with_a_sentence() {
        let cases = [
            // 24 kHz to 44.1 kHz; then parametric stereo of two channels.
            (&[0x2b, 0x12, 0x08, 0x00][..], AacError::Extension),
            (
                &[0xeb, 0x11, 0x88, 0x00],
                AacError::Channels("parametric stereo made of more than one channel"),
            ),
            // HE-AAC made of AAC Main.
            (&[0x2b, 0x11, 0x84, 0x00], AacError::ObjectType("another kind of AAC")),
            (&[0x1a, 0x10], AacError::ObjectType("AAC-SSR")),
            (&[0x12, 0x58], AacError::Channels("an unusual layout of channels")),
            (&[0x12, 0x00], AacError::Channels("channels given by a program config element")),
            (&[0x17, 0x80, 0x07, 0x6c, 0x10], AacError::SampleRate(3_800)),
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
