//! Audio tags.

use bytes::Bytes;

use super::{Audio, FlvError, Tag, byte, enhanced, names};
use crate::chunk::AudioCodec;

const TAG: Tag = Tag::Audio;
/// `SoundFormat`s.
const SOUND_MP3: u8 = 2;
const SOUND_ENHANCED: u8 = 9;
const SOUND_AAC: u8 = 10;
/// MP3 at 8 kHz, for which the old header has no rate. What a frame says counts in any case.
const SOUND_MP3_8K: u8 = 14;

/// `AudioPacketType`s of the enhanced header; the first two are also those of the old one.
const SEQUENCE_START: u8 = 0;
const CODED_FRAMES: u8 = 1;
const SEQUENCE_END: u8 = 2;
const MULTICHANNEL_CONFIG: u8 = 4;
const MULTITRACK: u8 = 5;

/// Reads an audio tag's body.
///
/// # Errors
/// When the body is cut, or its coding is none that gopcast takes.
pub fn audio(body: &Bytes) -> Result<Audio, FlvError> {
    let Some(first) = body.first().copied() else { return Ok(Audio::Nothing) };
    match first >> 4 {
        SOUND_AAC => {
            let kind = byte(body, 1, TAG, "AAC packet type")?;
            let unknown = FlvError::PacketType { tag: TAG, at: 1, kind };
            packet(AudioCodec::Aac, kind, body.slice(2..)).ok_or(unknown)
        }
        SOUND_MP3 | SOUND_MP3_8K => Ok(frame(AudioCodec::Mp3, body.slice(1..))),
        SOUND_ENHANCED => {
            // Sub-millisecond offsets are of no use here: sound is placed by counting its samples.
            let prelude = enhanced::prelude(body, TAG)?;
            let enhanced::Track { kind, kind_at, four_cc, payload } =
                enhanced::track(body, &prelude, TAG, MULTITRACK)?;
            let codec = match &four_cc {
                b"mp4a" => AudioCodec::Aac,
                b"Opus" => AudioCodec::Opus,
                b".mp3" => AudioCodec::Mp3,
                other => return Err(FlvError::AudioCodec(names::four_cc(*other))),
            };
            match kind {
                // The coding's own configuration says how many channels there are and in which order.
                SEQUENCE_END | MULTICHANNEL_CONFIG => Ok(Audio::Nothing),
                // MP3 has none, and whoever sends one all the same means nothing by it.
                SEQUENCE_START if codec == AudioCodec::Mp3 => Ok(Audio::Nothing),
                _ => {
                    let unknown = FlvError::PacketType { tag: TAG, at: kind_at, kind };
                    packet(codec, kind, body.slice(payload..)).ok_or(unknown)
                }
            }
        }
        format => Err(FlvError::AudioCodec(names::sound_format(format))),
    }
}

fn packet(codec: AudioCodec, kind: u8, payload: Bytes) -> Option<Audio> {
    match kind {
        SEQUENCE_START => Some(Audio::Config { codec, record: payload }),
        CODED_FRAMES => Some(frame(codec, payload)),
        _ => None,
    }
}

fn frame(codec: AudioCodec, data: Bytes) -> Audio {
    if data.is_empty() { Audio::Nothing } else { Audio::Frame { codec, data } }
}
