//! FLV and Enhanced RTMP tags.

use bytes::{BufMut, Bytes, BytesMut};

use super::{cuts, selected};
use crate::{
    chunk::{AudioCodec, VideoCodec},
    flv::{self, Audio, FlvError, Video},
};

/// Longest message that a broadcaster is shown, in bytes: names in it are cut.
const MESSAGE_MAX: usize = 300;

/// The first byte says whether the rest is the body of a video tag (even) or of an audio tag.
///
/// Payloads are ends of the body, numbers are in range, messages are short; what was read, written again with the enhanced header and with
/// the old one where it can say it, is read as the same; a body that is cut short is read or refused, like any other.
pub fn tag(data: &[u8]) {
    let Some((kind, body)) = selected(data) else { return };
    let read = |body: &Bytes| {
        if kind % 2 == 0 {
            video(body);
        } else {
            audio(body);
        }
    };
    read(&body);
    for cut in cuts(body.len().min(64)) {
        read(&body.slice(..cut));
    }
}

fn video(body: &Bytes) {
    let tag = match flv::video(body) {
        Ok(tag) => tag,
        Err(error) => return refused(&error),
    };
    match &tag {
        Video::Config { record, .. } => assert!(body.ends_with(record)),
        Video::Picture { composition_ms, offset_ns, data, .. } => {
            assert!(body.ends_with(data) && !data.is_empty());
            assert!((-(1 << 23)..1 << 23).contains(composition_ms));
            assert!(*offset_ns < 1_000_000);
        }
        Video::End | Video::Nothing => return,
    }
    let again = write_enhanced(&tag);
    let empty_av1 = matches!(&tag, Video::Config { codec: VideoCodec::Av1, record } if record.is_empty());
    if empty_av1 {
        assert_eq!(flv::video(&again), Ok(Video::Nothing));
    } else {
        assert_eq!(flv::video(&again), Ok(tag.clone()));
        assert_eq!(flv::video(&again).map(|tag| write_enhanced(&tag)), Ok(again));
    }
    if let Some(old) = write_old(&tag) {
        assert_eq!(flv::video(&old), Ok(tag));
    }
}

/// With the enhanced header (Enhanced RTMP v2, "ExVideoTagHeader"), in its general form.
fn write_enhanced(tag: &Video) -> Bytes {
    let mut out = BytesMut::new();
    let four_cc = |codec: VideoCodec| match codec {
        VideoCodec::Avc => b"avc1",
        VideoCodec::Hevc => b"hvc1",
        VideoCodec::Av1 => b"av01",
    };
    match tag {
        Video::Config { codec, record } => {
            out.put_u8(0x90);
            out.put_slice(four_cc(*codec));
            out.put_slice(record);
        }
        Video::Picture { codec, keyframe, composition_ms, offset_ns, data } => {
            let first = 0x80 | if *keyframe { 0x10 } else { 0x20 };
            // ModEx: three bytes of nanoseconds, then the packet type it stands before.
            out.put_u8(first | 7);
            out.put_u8(2);
            out.put_uint(u64::from(*offset_ns), 3);
            out.put_u8(1);
            out.put_slice(four_cc(*codec));
            if *codec != VideoCodec::Av1 {
                out.put_slice(&composition_ms.to_be_bytes()[1..]);
            }
            out.put_slice(data);
        }
        Video::End | Video::Nothing => {}
    }
    out.freeze()
}

/// With the old header (Adobe FLV 10.1, E.4.3), if it can say it.
fn write_old(tag: &Video) -> Option<Bytes> {
    let mut out = BytesMut::new();
    match tag {
        Video::Config { codec: VideoCodec::Avc, record } => {
            out.put_slice(&[0x17, 0, 0, 0, 0]);
            out.put_slice(record);
        }
        Video::Picture { codec: VideoCodec::Avc, keyframe, composition_ms, offset_ns: 0, data } => {
            out.put_slice(&[if *keyframe { 0x17 } else { 0x27 }, 1]);
            out.put_slice(&composition_ms.to_be_bytes()[1..]);
            out.put_slice(data);
        }
        _ => return None,
    }
    Some(out.freeze())
}

fn audio(body: &Bytes) {
    match flv::audio(body) {
        Ok(Audio::Config { codec, record }) => {
            assert!(body.ends_with(&record));
            let again = flv::audio(&prefixed(&sound_header(codec, 0x90), &record));
            assert_eq!(again, Ok(Audio::Config { codec, record: record.clone() }));
            if codec == AudioCodec::Aac {
                let old = flv::audio(&prefixed(&[0xaf, 0], &record));
                assert_eq!(old, Ok(Audio::Config { codec, record }));
            }
        }
        Ok(Audio::Frame { codec, data }) => {
            assert!(body.ends_with(&data) && !data.is_empty());
            let again = flv::audio(&prefixed(&sound_header(codec, 0x91), &data));
            assert_eq!(again, Ok(Audio::Frame { codec, data: data.clone() }));
            let old = match codec {
                AudioCodec::Aac => flv::audio(&prefixed(&[0xaf, 1], &data)),
                AudioCodec::Mp3 => flv::audio(&prefixed(&[0x2f], &data)),
                AudioCodec::Opus => again,
            };
            assert_eq!(old, Ok(Audio::Frame { codec, data }));
        }
        Ok(Audio::Nothing) => {}
        Err(error) => refused(&error),
    }
}

/// An enhanced header of this coding.
fn sound_header(codec: AudioCodec, first: u8) -> Vec<u8> {
    let code = match codec {
        AudioCodec::Aac => b"mp4a",
        AudioCodec::Opus => b"Opus",
        AudioCodec::Mp3 => b".mp3",
    };
    [&[first][..], code].concat()
}

fn prefixed(header: &[u8], payload: &[u8]) -> Bytes {
    [header, payload].concat().into()
}

fn refused(error: &FlvError) {
    if let Some(verdict) = error.verdict() {
        assert!(verdict.message.len() <= MESSAGE_MAX);
        assert!(!verdict.message.chars().any(char::is_control), "{:?}", verdict.message);
    }
}
