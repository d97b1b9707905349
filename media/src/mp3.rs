//! MP3 as FLV and Enhanced RTMP carry it: frame headers (ISO 11172-3, 2.4.1.3; ISO 13818-3; and the lower rates known as MPEG 2.5).
//!
//! There is no configuration ahead of the frames: each says what it is. Layer III only.

use bytes::Bytes;
use thiserror::Error;

use crate::verdict::{Code, Verdict};

/// Bytes of a frame's header.
pub const HEADER_LEN: usize = 4;
/// Most bytes of a frame: 320 kbit/s at 32 kHz, and a byte of padding.
pub const FRAME_MAX: usize = 1_441;

/// kbit/s by index, of MPEG 1 and of the lower rates; 0 is "free format", which nobody sends live.
const BIT_RATES: [[u32; 15]; 2] = [
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];
/// Hz by index, of MPEG 1; halved for MPEG 2, and again for 2.5.
const SAMPLE_RATES: [u32; 3] = [44_100, 48_000, 32_000];
const LAYER_III: u8 = 1;
const MODE_MONO: u8 = 3;

/// Why a frame is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Mp3Error {
    /// It does not start with a header.
    #[error("a frame of MP3 does not start with a header")]
    NoHeader,
    /// MPEG audio, but of another layer.
    #[error("the sound is MPEG audio of another layer than III")]
    Layer,
}

impl Mp3Error {
    /// What the broadcaster is told, when it is for the broadcaster to change; `None` for a damaged frame.
    #[must_use]
    pub fn verdict(self) -> Option<Verdict> {
        let layer = self == Self::Layer;
        layer.then(|| Verdict::new(Code::AudioCodec, format!("{self}; set the audio encoder to AAC.")))
    }
}

/// What a frame's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Samples a second and channel.
    pub sample_rate: u32,
    /// 1 or 2.
    pub channels: u8,
    /// Samples of the frame: 1152, or 576 at 24 kHz and below.
    pub samples: u32,
    /// Bytes of the frame, its header included.
    pub bytes: usize,
}

impl Header {
    /// Reads the header at the start of `frame`.
    ///
    /// # Errors
    /// When there is none, or it is of another layer.
    pub fn parse(frame: &[u8]) -> Result<Self, Mp3Error> {
        let [sync, a, b, c] = *frame.first_chunk::<HEADER_LEN>().ok_or(Mp3Error::NoHeader)?;
        let (version, layer) = ((a >> 3) & 3, (a >> 1) & 3);
        if sync != 0xff || a < 0xe0 || version == 1 || layer == 0 {
            return Err(Mp3Error::NoHeader);
        }
        if layer != LAYER_III {
            return Err(Mp3Error::Layer);
        }
        let (halvings, table, samples) = match version {
            3 => (0, 0, 1152),
            2 => (1, 1, 576),
            _ => (2, 1, 576),
        };
        let bit_rate = BIT_RATES[table].get(usize::from(b >> 4)).copied().filter(|rate| *rate > 0);
        let rate = SAMPLE_RATES.get(usize::from((b >> 2) & 3)).copied();
        let (Some(bit_rate), Some(rate)) = (bit_rate, rate) else { return Err(Mp3Error::NoHeader) };
        let sample_rate = rate >> halvings;
        let bytes = samples / 8 * bit_rate * 1000 / sample_rate + u32::from((b >> 1) & 1);
        Ok(Self {
            sample_rate,
            channels: if c >> 6 == MODE_MONO { 1 } else { 2 },
            samples,
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        })
    }
}

/// What all frames of a sound have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// A frame's header with what may change from frame to frame set to a fixed value.
    pub record: Bytes,
    /// Samples a second.
    pub sample_rate: u32,
    /// 1 or 2.
    pub channels: u8,
    /// Samples of a frame.
    pub samples: u32,
}

impl Config {
    /// From a frame, or from the record of an earlier one.
    ///
    /// # Errors
    /// When it does not start with a header of layer III.
    pub fn parse(frame: &[u8]) -> Result<Self, Mp3Error> {
        let Header { sample_rate, channels, samples, .. } = Header::parse(frame)?;
        // Bit rate, padding, checksum and the kind of stereo may change.
        let record = [0xff, frame[1] | 1, 0x90 | (frame[2] & 0x0c), if channels == 1 { 0xc0 } else { 0 }];
        Ok(Self { record: Bytes::copy_from_slice(&record), sample_rate, channels, samples })
    }
}

/// The frames in a message: usually one. What is cut or no frame at its end is left out.
pub fn frames(message: &Bytes) -> impl Iterator<Item = (Header, Bytes)> {
    let mut rest = message.clone();
    std::iter::from_fn(move || {
        let header = Header::parse(&rest).ok()?;
        let frame = (header.bytes <= rest.len()).then(|| rest.split_to(header.bytes))?;
        Some((header, frame))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes and rates by LAME 3.100, as `ffprobe -show_packets` tells them.
    #[test]
    fn headers_of_real_frames() {
        for (bytes, sample_rate, channels, samples, size) in [
            ([0xff, 0xfb, 0x94, 0x64], 48_000, 2, 1152, 384),
            ([0xff, 0xfb, 0x90, 0x64], 44_100, 2, 1152, 417),
            ([0xff, 0xfb, 0x92, 0x64], 44_100, 2, 1152, 418),
            ([0xff, 0xfb, 0x50, 0xc4], 44_100, 1, 1152, 208),
            ([0xff, 0xf3, 0x80, 0xc4], 22_050, 1, 576, 208),
            ([0xff, 0xe3, 0x38, 0xc4], 8_000, 1, 576, 216),
        ] {
            let expected = Header { sample_rate, channels, samples, bytes: size };
            assert_eq!(Header::parse(&bytes), Ok(expected), "{bytes:02x?}");
            let config = Config::parse(&bytes).unwrap();
            assert_eq!(
                (config.sample_rate, config.channels, config.samples),
                (sample_rate, channels, samples)
            );
            assert_eq!(Config::parse(&config.record), Ok(config));
        }
    }

    #[test]
    fn what_changes_from_frame_to_frame_is_no_new_configuration() {
        let of = |bytes: [u8; 4]| Config::parse(&bytes).unwrap();
        // Another bit rate, padding, joint stereo, a checksum.
        assert_eq!(of([0xff, 0xfb, 0x90, 0x64]), of([0xff, 0xfa, 0xa2, 0x00]));
        assert_ne!(of([0xff, 0xfb, 0x90, 0x64]), of([0xff, 0xfb, 0x94, 0x64]));
        assert_ne!(of([0xff, 0xfb, 0x90, 0x64]), of([0xff, 0xfb, 0x90, 0xc4]));
    }

    #[test]
    fn no_frames() {
        for bytes in [
            &[0xff, 0xfb, 0x00, 0][..],
            &[0xff, 0xfb, 0xf0, 0],
            &[0xff, 0xfb, 0x9c, 0],
            &[0xff, 0xeb, 0x90, 0],
            &[0x12],
            b"ID3\x04",
        ] {
            assert_eq!(Header::parse(bytes), Err(Mp3Error::NoHeader), "{bytes:02x?}");
        }
        assert_eq!(Header::parse(&[0xff, 0xfd, 0x90, 0x64]), Err(Mp3Error::Layer));
        assert_eq!(Mp3Error::Layer.verdict().unwrap().code, Code::AudioCodec);
    }

    #[test]
    fn a_message_of_several_frames() {
        let frame = [&[0xff, 0xe3, 0x18, 0xc4][..], &[0; 68]].concat();
        let message = Bytes::from([frame.clone(), frame, vec![0xff, 0xe3]].concat());
        let sizes: Vec<_> = frames(&message).map(|(header, data)| (header.samples, data.len())).collect();
        assert_eq!(sizes, [(576, 72), (576, 72)]);
    }
}
