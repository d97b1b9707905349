//! Opus as Enhanced RTMP carries it: the identification header (RFC 7845, 5.1) and how long a packet lasts (RFC 6716, 3.1).
//!
//! Opus is counted at 48 kHz whatever was encoded. MPEG-DASH players on phones do not all play it, so that the encoder transcodes it.
//!
//! Invariant: holding a [`Config`] is the proof that the sound is what gopcast takes.

use bytes::Bytes;
use thiserror::Error;

use crate::verdict::{Code, Verdict};

/// Samples a second that Opus is counted in (RFC 6716, 2.1.3).
pub const SAMPLE_RATE: u32 = 48_000;
/// Most samples of a packet: 120 ms (RFC 6716, 3.2.5, R5).
pub const PACKET_SAMPLES_MAX: u32 = 5_760;
/// Samples of the packet that encoders make unless told otherwise: 20 ms.
pub const PACKET_SAMPLES_USUAL: u32 = 960;
/// Most bytes of a packet: 48 frames of 1275 bytes (RFC 6716, 3.2.1), no more than a chunk's table can say.
pub const PACKET_MAX: usize = 48 * 1275;
/// Most channels: those that mapping families 0 and 1 have (RFC 7845, 5.1.1).
pub const CHANNELS_MAX: u8 = 8;

const MAGIC: &[u8] = b"OpusHead";
/// Up to the mapping family.
const HEAD_LEN: usize = 19;
/// Where what is played first stands; see [`Config::without_pre_skip`].
const PRE_SKIP_AT: usize = 10;

/// Why sound is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpusError {
    /// Not an identification header, or a cut one.
    #[error("the Opus header can't be read: {0}")]
    Header(&'static str),
    /// More channels than there are names for.
    #[error("the sound has {0} channels; gopcast takes 1 to {CHANNELS_MAX}")]
    Channels(u8),
}

impl OpusError {
    /// What the broadcaster is told.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::new(Code::AudioFormat, format!("{self}. Set the audio encoder to stereo."))
    }
}

/// An identification header that gopcast takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The header itself.
    pub record: Bytes,
    /// 1 to 8.
    pub channels: u8,
}

impl Config {
    /// Reads an identification header.
    ///
    /// # Errors
    /// When it is none, is cut, or describes sound that gopcast does not take.
    pub fn parse(record: &Bytes) -> Result<Self, OpusError> {
        let head = record.get(..HEAD_LEN).ok_or(OpusError::Header("it is cut"))?;
        if !head.starts_with(MAGIC) {
            return Err(OpusError::Header("it does not start with OpusHead"));
        }
        if head[8] & 0xf0 != 0 {
            return Err(OpusError::Header("it is of a version that does not exist"));
        }
        let (channels, family) = (head[9], head[18]);
        match family {
            0 if (1..=2).contains(&channels) => {}
            0 => return Err(OpusError::Header("more than two channels without a mapping")),
            // Two counts and a place for each channel (5.1.1.2).
            1 if (1..=CHANNELS_MAX).contains(&channels) => {
                if record.len() < HEAD_LEN + 2 + usize::from(channels) {
                    return Err(OpusError::Header("its channel mapping is cut"));
                }
            }
            1 => return Err(OpusError::Channels(channels)),
            _ => return Err(OpusError::Header("its channels have no meaning")),
        }
        Ok(Self { record: record.clone(), channels })
    }

    /// The header for a decoder that is to leave nothing out: where sound lies is told by stamps, which count what is to be skipped, too.
    #[must_use]
    pub fn without_pre_skip(&self) -> Vec<u8> {
        let mut record = self.record.to_vec();
        if let Some(pre_skip) = record.get_mut(PRE_SKIP_AT..PRE_SKIP_AT + 2) {
            pre_skip.fill(0);
        }
        record
    }
}

/// How many samples at 48 kHz a packet lasts; `None` when it is no packet.
#[must_use]
pub fn samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let config = toc >> 3;
    // Table 2 of RFC 6716: 2.5 ms are 120 samples.
    let frame = match config {
        0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        12..=15 => [480, 960][usize::from(config & 1)],
        _ => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    Some(frame * frames).filter(|samples| (1..=PACKET_SAMPLES_MAX).contains(samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As libopus' authors' `opusenc` and FFmpeg write it: stereo, 312 samples of pre-skip, 48 kHz.
    const STEREO: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00";

    #[test]
    fn headers() {
        let config = Config::parse(&Bytes::from_static(STEREO)).unwrap();
        assert_eq!(config.channels, 2);
        assert_eq!(config.without_pre_skip()[9..12], [2, 0, 0]);
        let surround =
            [b"OpusHead\x01\x06\x38\x01\x80\xbb\x00\x00\x00\x00\x01", &[4u8, 2, 0, 4, 1, 2, 3, 5][..]];
        let surround = Bytes::from(surround.concat());
        assert_eq!(Config::parse(&surround).unwrap().channels, 6);
        for len in 0..surround.len() {
            assert!(Config::parse(&surround.slice(..len)).is_err(), "{len}");
        }
        for (at, value) in [(0, b'o'), (8, 0x10), (9, 0), (9, 3), (18, 2)] {
            let mut bad = STEREO.to_vec();
            bad[at] = value;
            let error = Config::parse(&Bytes::from(bad)).unwrap_err();
            assert_eq!(error.verdict().code, Code::AudioFormat, "{at}");
        }
    }

    /// Durations of RFC 6716's table of configurations, and of its four ways to pack frames.
    #[test]
    fn packets_last() {
        for (packet, lasts) in [
            (&[0x00][..], Some(480)),
            (&[0x18], Some(2880)),
            (&[0x60], Some(480)),
            (&[0x68], Some(960)),
            (&[0x80], Some(120)),
            (&[0xfc], Some(960)),
            (&[0xfd], Some(1920)),
            (&[0xfe, 5], Some(1920)),
            (&[0xff, 0x83], Some(2880)),
            (&[0x1b, 2], Some(5760)),
            (&[0x1b, 3], None),
            (&[0xff, 0], None),
            (&[0xff], None),
            (&[], None),
        ] {
            assert_eq!(samples(packet), lasts, "{packet:02x?}");
        }
    }
}
