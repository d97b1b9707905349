//! Video tags.

use bytes::Bytes;

use super::{FlvError, Tag, Video, byte, enhanced, names};
use crate::chunk::VideoCodec;

const TAG: Tag = Tag::Video;
/// `IsExVideoHeader`.
const ENHANCED: u8 = 0x80;
const FRAME_KEY: u8 = 1;
const FRAME_COMMAND: u8 = 5;
/// `CodecID`s of the old header.
const CODEC_AVC: u8 = 7;
const CODEC_HEVC: u8 = 12;
const CODEC_AV1: u8 = 13;

/// `VideoPacketType`s of the enhanced header.
const SEQUENCE_START: u8 = 0;
const CODED_FRAMES: u8 = 1;
const SEQUENCE_END: u8 = 2;
const CODED_FRAMES_X: u8 = 3;
const METADATA: u8 = 4;
const MULTITRACK: u8 = 6;

/// Reads a video tag's body.
///
/// # Errors
/// When the body is cut, or its coding is not H.264, HEVC or AV1.
pub fn video(body: &Bytes) -> Result<Video, FlvError> {
    let Some(first) = body.first().copied() else { return Ok(Video::Nothing) };
    if first & ENHANCED != 0 {
        return ex_video(body, (first >> 4) & 7);
    }
    let (frame_type, codec) = (first >> 4, first & 0x0f);
    if frame_type == FRAME_COMMAND {
        return Ok(Video::Nothing);
    }
    match codec {
        CODEC_AVC => {}
        CODEC_HEVC => return Err(FlvError::OldHeader("HEVC")),
        CODEC_AV1 => return Err(FlvError::OldHeader("AV1")),
        _ => return Err(FlvError::VideoCodec(names::old_video(codec))),
    }
    let kind = byte(body, 1, TAG, "AVC packet type")?;
    let composition_ms = composition(body, 2)?;
    let codec = VideoCodec::Avc;
    match kind {
        0 => Ok(Video::Config { codec, record: body.slice(5..) }),
        1 => Ok(picture(codec, frame_type, composition_ms, 0, body.slice(5..))),
        2 => Ok(Video::End),
        kind => Err(FlvError::PacketType { tag: TAG, at: 1, kind }),
    }
}

fn ex_video(body: &Bytes, frame_type: u8) -> Result<Video, FlvError> {
    let prelude = enhanced::prelude(body, TAG)?;
    // Without a FourCC: the command's number is all there is.
    if frame_type == FRAME_COMMAND && prelude.kind != METADATA && prelude.kind != MULTITRACK {
        return Ok(Video::Nothing);
    }
    let offset_ns = prelude.offset_ns;
    let enhanced::Track { kind, kind_at, four_cc, payload: at } =
        enhanced::track(body, &prelude, TAG, MULTITRACK)?;
    let codec = match &four_cc {
        b"avc1" => VideoCodec::Avc,
        b"hvc1" => VideoCodec::Hevc,
        b"av01" => VideoCodec::Av1,
        other => return Err(FlvError::VideoCodec(names::four_cc(*other))),
    };
    match kind {
        // FFmpeg sends an empty record first when its AV1 encoder makes the sequence header with the first picture.
        SEQUENCE_START if codec == VideoCodec::Av1 && body.len() == at => Ok(Video::Nothing),
        SEQUENCE_START => Ok(Video::Config { codec, record: body.slice(at..) }),
        CODED_FRAMES if codec == VideoCodec::Av1 => {
            Ok(picture(codec, frame_type, 0, offset_ns, body.slice(at..)))
        }
        CODED_FRAMES => {
            let composition_ms = composition(body, at)?;
            Ok(picture(codec, frame_type, composition_ms, offset_ns, body.slice(at + 3..)))
        }
        CODED_FRAMES_X => Ok(picture(codec, frame_type, 0, offset_ns, body.slice(at..))),
        SEQUENCE_END => Ok(Video::End),
        METADATA => Ok(Video::Nothing),
        kind => Err(FlvError::PacketType { tag: TAG, at: kind_at, kind }),
    }
}

fn picture(codec: VideoCodec, frame_type: u8, composition_ms: i32, offset_ns: u32, data: Bytes) -> Video {
    if data.is_empty() {
        return Video::Nothing;
    }
    Video::Picture { codec, keyframe: frame_type == FRAME_KEY, composition_ms, offset_ns, data }
}

/// A signed number of 24 bits.
fn composition(body: &[u8], at: usize) -> Result<i32, FlvError> {
    let part = |n| byte(body, at + n, TAG, "composition time");
    let (a, b, c) = (part(0)?, part(1)?, part(2)?);
    let sign = if a & 0x80 == 0 { 0 } else { 0xff };
    Ok(i32::from_be_bytes([sign, a, b, c]))
}
