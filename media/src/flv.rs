//! The bodies of FLV video and audio tags, which are also those of RTMP video and audio messages (Adobe FLV 10.1, E.4.2 and E.4.3;
//! Enhanced RTMP v2).
//!
//! Zero-copy: payloads share the body's bytes. H.264 and AAC are read, in the old and in the enhanced form of the header; every other
//! coding is recognised and refused by name. No body panics.

use bytes::Bytes;
use thiserror::Error;

use crate::verdict::{Code, Verdict};

/// A video tag's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Video {
    /// An `AVCDecoderConfigurationRecord`.
    Config(Bytes),
    /// Length-prefixed NAL units.
    Picture {
        /// The publisher marks it as a key frame. A hint only: recovery points are marked too.
        keyframe: bool,
        /// Presentation minus decode time in milliseconds; 24 bits, signed.
        composition_ms: i32,
        /// The NAL units.
        data: Bytes,
    },
    /// The end of the sequence.
    End,
    /// Nothing that matters here: an empty body, a seek command, metadata.
    Nothing,
}

/// An audio tag's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audio {
    /// An `AudioSpecificConfig`.
    Config(Bytes),
    /// One raw AAC frame.
    Frame(Bytes),
    /// Nothing that matters here: an empty body, the end of the sequence.
    Nothing,
}

/// Why a tag can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FlvError {
    /// The body ends too early.
    #[error("the {tag} tag ends at byte {at}, within its {what}")]
    Cut {
        /// `video` or `audio`.
        tag: &'static str,
        /// Its length.
        at: usize,
        /// What was being read.
        what: &'static str,
    },
    /// A packet type that the coding does not have.
    #[error("the {tag} tag has the unknown packet type {kind} at byte {at}")]
    PacketType {
        /// `video` or `audio`.
        tag: &'static str,
        /// Where the type stands.
        at: usize,
        /// The type.
        kind: u8,
    },
    /// Not H.264.
    #[error("the video is {0}; set the video encoder to H.264")]
    VideoCodec(String),
    /// Not AAC.
    #[error("the sound is {0}; set the audio encoder to AAC")]
    AudioCodec(String),
}

impl FlvError {
    /// What the broadcaster is told, when it is for the broadcaster to change; `None` for a damaged tag.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::VideoCodec(_) => Some(Verdict::new(Code::VideoCodec, format!("{self}."))),
            Self::AudioCodec(_) => Some(Verdict::new(Code::AudioCodec, format!("{self}."))),
            Self::Cut { .. } | Self::PacketType { .. } => None,
        }
    }
}

const EX_VIDEO: u8 = 0x80;
const FRAME_KEY: u8 = 1;
const FRAME_COMMAND: u8 = 5;
const CODEC_AVC: u8 = 7;
const SOUND_EX: u8 = 9;
const SOUND_AAC: u8 = 10;

/// Reads a video tag's body.
///
/// # Errors
/// When the body is cut, or its coding is not H.264.
pub fn video(body: &Bytes) -> Result<Video, FlvError> {
    let Some(first) = body.first().copied() else { return Ok(Video::Nothing) };
    if first & EX_VIDEO != 0 {
        return ex_video(body, first);
    }
    let (frame_type, codec) = (first >> 4, first & 0x0f);
    if frame_type == FRAME_COMMAND {
        return Ok(Video::Nothing);
    }
    if codec != CODEC_AVC {
        return Err(FlvError::VideoCodec(video_codec_name(codec)));
    }
    let kind = take(body, 1, "video", "AVC packet type")?;
    let composition_ms = composition(body, 2)?;
    match kind {
        0 => Ok(Video::Config(body.slice(5..))),
        1 if body.len() == 5 => Ok(Video::Nothing),
        1 => Ok(Video::Picture { keyframe: frame_type == FRAME_KEY, composition_ms, data: body.slice(5..) }),
        2 => Ok(Video::End),
        kind => Err(FlvError::PacketType { tag: "video", at: 1, kind }),
    }
}

/// Enhanced RTMP: frame type (3 bits) and packet type (4 bits), then a `FourCC`.
fn ex_video(body: &Bytes, first: u8) -> Result<Video, FlvError> {
    let (frame_type, kind) = ((first >> 4) & 7, first & 0x0f);
    let code = body.get(1..5).ok_or(FlvError::Cut { tag: "video", at: body.len(), what: "FourCC" })?;
    if code != b"avc1" {
        return Err(FlvError::VideoCodec(four_cc_name(code)));
    }
    if frame_type == FRAME_COMMAND {
        return Ok(Video::Nothing);
    }
    let keyframe = frame_type == FRAME_KEY;
    match kind {
        0 => Ok(Video::Config(body.slice(5..))),
        1 => {
            let composition_ms = composition(body, 5)?;
            Ok(Video::Picture { keyframe, composition_ms, data: body.slice(8..) })
        }
        3 => Ok(Video::Picture { keyframe, composition_ms: 0, data: body.slice(5..) }),
        2 => Ok(Video::End),
        4 => Ok(Video::Nothing),
        kind => Err(FlvError::PacketType { tag: "video", at: 0, kind }),
    }
}

/// Reads an audio tag's body.
///
/// # Errors
/// When the body is cut, or its coding is not AAC.
pub fn audio(body: &Bytes) -> Result<Audio, FlvError> {
    let Some(first) = body.first().copied() else { return Ok(Audio::Nothing) };
    let (kind, payload) = match first >> 4 {
        SOUND_AAC => (take(body, 1, "audio", "AAC packet type")?, body.slice(2..)),
        SOUND_EX => {
            let code =
                body.get(1..5).ok_or(FlvError::Cut { tag: "audio", at: body.len(), what: "FourCC" })?;
            if code != b"mp4a" {
                return Err(FlvError::AudioCodec(four_cc_name(code)));
            }
            (first & 0x0f, body.slice(5..))
        }
        format => return Err(FlvError::AudioCodec(sound_format_name(format))),
    };
    match kind {
        0 => Ok(Audio::Config(payload)),
        1 if payload.is_empty() => Ok(Audio::Nothing),
        1 => Ok(Audio::Frame(payload)),
        2 | 4 if first >> 4 == SOUND_EX => Ok(Audio::Nothing),
        kind => Err(FlvError::PacketType { tag: "audio", at: usize::from(first >> 4 == SOUND_AAC), kind }),
    }
}

fn take(body: &Bytes, at: usize, tag: &'static str, what: &'static str) -> Result<u8, FlvError> {
    body.get(at).copied().ok_or(FlvError::Cut { tag, at: body.len(), what })
}

/// A signed number of 24 bits.
fn composition(body: &Bytes, at: usize) -> Result<i32, FlvError> {
    let what = "composition time";
    let byte = |n| take(body, at + n, "video", what);
    let (a, b, c) = (byte(0)?, byte(1)?, byte(2)?);
    let sign = if a & 0x80 == 0 { 0 } else { 0xff };
    Ok(i32::from_be_bytes([sign, a, b, c]))
}

fn four_cc_name(code: &[u8]) -> String {
    match code {
        b"hvc1" => "HEVC (hvc1)".to_owned(),
        b"av01" => "AV1 (av01)".to_owned(),
        b"vp09" => "VP9 (vp09)".to_owned(),
        b"vp08" => "VP8 (vp08)".to_owned(),
        b"Opus" => "Opus".to_owned(),
        b"ac-3" => "AC-3".to_owned(),
        b"ec-3" => "E-AC-3".to_owned(),
        b"fLaC" => "FLAC".to_owned(),
        b".mp3" => "MP3".to_owned(),
        other if other.iter().all(u8::is_ascii_graphic) => other.iter().map(|b| char::from(*b)).collect(),
        other => format!("of the unknown kind {}", hex::encode(other)),
    }
}

fn video_codec_name(codec: u8) -> String {
    match codec {
        2 => "Sorenson H.263".to_owned(),
        3 | 6 => "Screen Video".to_owned(),
        4 | 5 => "VP6".to_owned(),
        12 => "HEVC (codec 12)".to_owned(),
        13 => "AV1 (codec 13)".to_owned(),
        other => format!("of the unknown codec {other}"),
    }
}

fn sound_format_name(format: u8) -> String {
    match format {
        0 | 3 => "PCM".to_owned(),
        1 => "ADPCM".to_owned(),
        2 | 14 => "MP3".to_owned(),
        4..=6 => "Nellymoser".to_owned(),
        7 => "G.711 A-law".to_owned(),
        8 => "G.711 mu-law".to_owned(),
        11 => "Speex".to_owned(),
        other => format!("of the unknown format {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(bytes: &'static [u8]) -> Result<Video, FlvError> {
        video(&Bytes::from_static(bytes))
    }

    fn a(bytes: &'static [u8]) -> Result<Audio, FlvError> {
        audio(&Bytes::from_static(bytes))
    }

    fn picture(keyframe: bool, composition_ms: i32, data: &'static [u8]) -> Result<Video, FlvError> {
        Ok(Video::Picture { keyframe, composition_ms, data: Bytes::from_static(data) })
    }

    #[test]
    fn avc_in_both_headers() {
        assert_eq!(v(&[0x17, 0, 0, 0, 0, 1, 100]), Ok(Video::Config(Bytes::from_static(&[1, 100]))));
        assert_eq!(v(&[0x17, 1, 0, 0, 0x43, 9]), picture(true, 67, &[9]));
        assert_eq!(v(&[0x27, 1, 0xff, 0xff, 0xfe, 9]), picture(false, -2, &[9]));
        assert_eq!(v(&[0x27, 1, 0x80, 0, 0, 9]), picture(false, -8_388_608, &[9]));
        assert_eq!(v(&[0x17, 2, 0, 0, 0]), Ok(Video::End));
        assert_eq!(v(&[0x57, 0]), Ok(Video::Nothing));
        assert_eq!(v(&[]), Ok(Video::Nothing));
        assert_eq!(v(b"\x90avc1\x01\x64"), Ok(Video::Config(Bytes::from_static(&[1, 0x64]))));
        assert_eq!(v(b"\x91avc1\x00\x00\x21\x09"), picture(true, 33, &[9]));
        assert_eq!(v(b"\xa3avc1\x09"), picture(false, 0, &[9]));
    }

    #[test]
    fn aac_in_both_headers() {
        assert_eq!(a(&[0xaf, 0, 0x12, 0x10]), Ok(Audio::Config(Bytes::from_static(&[0x12, 0x10]))));
        assert_eq!(a(&[0xaf, 1, 7]), Ok(Audio::Frame(Bytes::from_static(&[7]))));
        assert_eq!(a(&[0xaf, 1]), Ok(Audio::Nothing));
        assert_eq!(a(&[]), Ok(Audio::Nothing));
        assert_eq!(a(b"\x90mp4a\x12\x10"), Ok(Audio::Config(Bytes::from_static(&[0x12, 0x10]))));
        assert_eq!(a(b"\x91mp4a\x07"), Ok(Audio::Frame(Bytes::from_static(&[7]))));
    }

    #[test]
    fn other_codings_are_refused_by_name() {
        let verdict = v(b"\x91hvc1\x00\x00\x00").unwrap_err().verdict().unwrap();
        assert_eq!(verdict.code, Code::VideoCodec);
        assert_eq!(verdict.message, "the video is HEVC (hvc1); set the video encoder to H.264.");
        assert_eq!(v(&[0x1c, 1]).unwrap_err().verdict().unwrap().code, Code::VideoCodec);
        let verdict = a(&[0x2f, 1]).unwrap_err().verdict().unwrap();
        assert_eq!(verdict.code, Code::AudioCodec);
        assert_eq!(verdict.message, "the sound is MP3; set the audio encoder to AAC.");
        assert_eq!(a(b"\x91Opus").unwrap_err(), FlvError::AudioCodec("Opus".to_owned()));
        assert_eq!(
            v(b"\x91\x00\x01\x02\x03").unwrap_err(),
            FlvError::VideoCodec("of the unknown kind 00010203".to_owned())
        );
    }

    #[test]
    fn damage_says_where() {
        assert_eq!(
            v(&[0x17]).unwrap_err().to_string(),
            "the video tag ends at byte 1, within its AVC packet type"
        );
        assert_eq!(
            v(&[0x17, 1, 0]).unwrap_err().to_string(),
            "the video tag ends at byte 3, within its composition time"
        );
        assert_eq!(
            v(&[0x17, 9, 0, 0, 0]).unwrap_err().to_string(),
            "the video tag has the unknown packet type 9 at byte 1"
        );
        assert_eq!(v(&[0x17]).unwrap_err().verdict(), None);
        assert!(a(&[0xaf]).is_err() && a(&[0xaf, 9]).is_err() && a(&[0x91, b'm']).is_err());
    }

    #[test]
    fn no_short_body_panics() {
        for first in 0..=u8::MAX {
            for length in 1..9 {
                for fill in [0, 1, 2, 3, 0xff] {
                    let mut body = vec![fill; length];
                    body[0] = first;
                    let body = Bytes::from(body);
                    let _ = (video(&body), audio(&body));
                }
            }
        }
    }
}
