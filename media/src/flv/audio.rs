//! Audio tags.

use bytes::Bytes;

use super::{Audio, FlvError, Tag, byte, enhanced, names};

const TAG: Tag = Tag::Audio;
/// `SoundFormat`s.
const SOUND_ENHANCED: u8 = 9;
const SOUND_AAC: u8 = 10;

/// `AudioPacketType`s of the enhanced header; the first two are also those of the old one.
const SEQUENCE_START: u8 = 0;
const CODED_FRAMES: u8 = 1;
const SEQUENCE_END: u8 = 2;
const MULTICHANNEL_CONFIG: u8 = 4;
const MULTITRACK: u8 = 5;

/// Reads an audio tag's body.
///
/// # Errors
/// When the body is cut, or its coding is not AAC.
pub fn audio(body: &Bytes) -> Result<Audio, FlvError> {
    let Some(first) = body.first().copied() else { return Ok(Audio::Nothing) };
    match first >> 4 {
        SOUND_AAC => {
            let kind = byte(body, 1, TAG, "AAC packet type")?;
            let unknown = FlvError::PacketType { tag: TAG, at: 1, kind };
            aac(kind, body.slice(2..)).ok_or(unknown)
        }
        SOUND_ENHANCED => {
            // Sub-millisecond offsets are of no use here: sound is placed by counting its samples.
            let enhanced::Prelude { kind, kind_at, next, .. } = enhanced::prelude(body, TAG)?;
            if kind == MULTITRACK {
                return Err(FlvError::Multitrack(TAG));
            }
            let code = enhanced::four_cc(body, next, TAG)?;
            if &code != b"mp4a" {
                return Err(FlvError::AudioCodec(names::four_cc(code)));
            }
            match kind {
                // AAC's own configuration says how many channels there are and in which order.
                SEQUENCE_END | MULTICHANNEL_CONFIG => Ok(Audio::Nothing),
                _ => {
                    let unknown = FlvError::PacketType { tag: TAG, at: kind_at, kind };
                    aac(kind, body.slice(next + 4..)).ok_or(unknown)
                }
            }
        }
        format => Err(FlvError::AudioCodec(names::sound_format(format))),
    }
}

fn aac(kind: u8, payload: Bytes) -> Option<Audio> {
    match kind {
        SEQUENCE_START => Some(Audio::Config(payload)),
        CODED_FRAMES if payload.is_empty() => Some(Audio::Nothing),
        CODED_FRAMES => Some(Audio::Frame(payload)),
        _ => None,
    }
}
