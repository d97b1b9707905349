//! What Enhanced RTMP v2 wraps round a tag's body: `ModEx` prefixes are taken off, multitrack is refused by name, commands are left out.
//! What remains is the body that [`media::flv`] reads. Pure.
//!
//! Invariants: no body panics; a body that is cut within its wrapping is as good as none.

use bytes::{BufMut, Bytes, BytesMut};
use media::verdict::{Code, Verdict};

/// Set in a video tag's first byte when the header is an enhanced one (E-RTMP v2, "Enhanced Video").
const EX_VIDEO: u8 = 0x80;
/// `VideoFrameType.Command`.
const FRAME_COMMAND: u8 = 5;
/// `VideoPacketType.Metadata`, which is read whatever the frame type says.
const VIDEO_METADATA: u8 = 4;
/// `VideoPacketType.Multitrack`.
const VIDEO_MULTITRACK: u8 = 6;
/// `SoundFormat.ExHeader` (E-RTMP v2, "Enhanced Audio").
const SOUND_EX: u8 = 9;
/// `AudioPacketType.Multitrack`.
const AUDIO_MULTITRACK: u8 = 5;
/// `ModEx`, in both.
const MOD_EX: u8 = 7;
/// The size of a modifier that says that 16 more bits hold it.
const SIZE_ESCAPE: usize = 256;

/// A video body without its wrapping.
///
/// # Errors
/// For multitrack.
pub(super) fn video(body: &Bytes) -> Result<Bytes, Verdict> {
    let Some(first) = body.first().copied().filter(|first| first & EX_VIDEO != 0) else {
        return Ok(body.clone());
    };
    let Some((kind, rest)) = modified(body, first) else { return Ok(Bytes::new()) };
    if (first >> 4) & 7 == FRAME_COMMAND && kind != VIDEO_METADATA {
        // A seek command: one byte, and no coding is named.
        return Ok(Bytes::new());
    }
    if kind == VIDEO_MULTITRACK {
        return Err(Verdict::new(
            Code::VideoCodec,
            "The stream has several video tracks (multitrack); send one, and turn multitrack video off.",
        ));
    }
    Ok(rewrapped(body, first, kind, rest))
}

/// An audio body without its wrapping.
///
/// # Errors
/// For multitrack.
pub(super) fn audio(body: &Bytes) -> Result<Bytes, Verdict> {
    let Some(first) = body.first().copied().filter(|first| first >> 4 == SOUND_EX) else {
        return Ok(body.clone());
    };
    let Some((kind, rest)) = modified(body, first) else { return Ok(Bytes::new()) };
    if kind == AUDIO_MULTITRACK {
        return Err(Verdict::new(
            Code::AudioCodec,
            "The stream has several audio tracks (multitrack); send one.",
        ));
    }
    Ok(rewrapped(body, first, kind, rest))
}

/// Skips modifiers: the packet type that they modify, and where its content begins. All there are refine timestamps by less than a
/// millisecond. `None` when the body ends within one.
fn modified(body: &[u8], first: u8) -> Option<(u8, usize)> {
    let (mut kind, mut at) = (first & 0x0f, 1);
    while kind == MOD_EX {
        let mut size = usize::from(*body.get(at)?) + 1;
        at += 1;
        if size == SIZE_ESCAPE {
            size = usize::from(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?])) + 1;
            at += 2;
        }
        at += size;
        // The modifier's type, which need not be known to be skipped, and the next packet type.
        kind = *body.get(at)? & 0x0f;
        at += 1;
    }
    Some((kind, at))
}

fn rewrapped(body: &Bytes, first: u8, kind: u8, rest: usize) -> Bytes {
    if rest == 1 {
        return body.clone();
    }
    let content = body.get(rest..).unwrap_or_default();
    let mut plain = BytesMut::with_capacity(1 + content.len());
    plain.put_u8((first & 0xf0) | kind);
    plain.put_slice(content);
    plain.freeze()
}

#[cfg(test)]
mod tests {
    use media::flv;

    use super::*;

    fn bytes(parts: &[&[u8]]) -> Bytes {
        parts.concat().into()
    }

    #[test]
    fn modifiers_are_taken_off() {
        // A nanosecond offset, and before it a modifier of a kind that is not known yet with 300 bytes.
        let nanos: &[u8] = &[2, 0, 1, 2];
        let unknown: &[u8] = &[&[255, 1, 43][..], &[9; 300]].concat();
        for (chain, last) in [(vec![nanos], 0x00), (vec![unknown, &[0x37], nanos], 0x00)] {
            let wrapped = bytes(&[&[0x97], &chain.concat(), &[last | 1], b"avc1\x00\x00\x21\x09"]);
            let plain = video(&wrapped).unwrap();
            assert_eq!(plain[..], b"\x91avc1\x00\x00\x21\x09"[..]);
            let data = Bytes::from_static(&[9]);
            assert_eq!(
                flv::video(&plain),
                Ok(flv::Video::Picture { keyframe: true, composition_ms: 33, data })
            );
            for cut in 1..wrapped.len() - 8 {
                assert_eq!(video(&wrapped.slice(..cut)).unwrap(), Bytes::new(), "{cut}");
            }
        }
        let wrapped = bytes(&[&[0x97], nanos, &[0x01], b"mp4a\x07"]);
        assert_eq!(audio(&wrapped).unwrap()[..], b"\x91mp4a\x07"[..]);
    }

    #[test]
    fn what_is_not_wrapped_is_left_alone() {
        for body in [&b""[..], &[0x17, 1, 0, 0, 0, 9], b"\x91avc1\x00\x00\x00\x09", b"\xd4avc1\x02"] {
            assert_eq!(video(&Bytes::copy_from_slice(body)).unwrap()[..], *body);
        }
        for body in [&b""[..], &[0xaf, 1, 7], &[0x2f, 7], b"\x91mp4a\x07"] {
            assert_eq!(audio(&Bytes::copy_from_slice(body)).unwrap()[..], *body);
        }
    }

    #[test]
    fn several_tracks_are_refused_by_name_and_commands_left_out() {
        for body in [&b"\x96\x01avc1\x00\x00\x00\x00\x09"[..], b"\x97\x00\x05\x06\x11avc1"] {
            let verdict = video(&Bytes::copy_from_slice(body)).unwrap_err();
            assert_eq!(verdict.code, Code::VideoCodec);
            assert!(verdict.message.contains("multitrack"));
        }
        let verdict = audio(&Bytes::from_static(b"\x95\x01mp4a\x00\x07")).unwrap_err();
        assert_eq!(verdict.code, Code::AudioCodec);
        assert_eq!(video(&Bytes::from_static(&[0xd1, 0])).unwrap(), Bytes::new());
    }

    #[test]
    fn no_short_body_panics() {
        for first in 0..=u8::MAX {
            for fill in [0, 7, 0x77, 0xff] {
                for length in 1..600 {
                    let mut body = vec![fill; length];
                    body[0] = first;
                    let body = Bytes::from(body);
                    let _ = (video(&body), audio(&body));
                }
            }
        }
    }
}
