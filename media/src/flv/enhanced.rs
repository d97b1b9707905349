//! What the enhanced headers of video and audio have in common (Enhanced RTMP v2, "ExVideoTagHeader" and "ExAudioTagHeader"): the
//! chain of `ModEx` extensions, then the packet type that counts, which may be wrapped as one track of several.

use super::{FlvError, Tag, byte};

/// `VideoPacketType::ModEx` and `AudioPacketType::ModEx`.
const MOD_EX: u8 = 7;
/// `TimestampOffsetNano`, the only extension there is, in both kinds of tag.
const TIMESTAMP_OFFSET_NANO: u8 = 0;
/// Nanoseconds that an offset may have at most: it lies within the message's millisecond.
const OFFSET_NS_MAX: u32 = 999_999;
/// Most extensions of one tag: one of each of the 16 types that can be told apart.
const MOD_EX_MAX: usize = 16;

/// What stands before the payload's `FourCC`, or before a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prelude {
    /// The packet type that counts.
    pub(super) kind: u8,
    /// Where it stands.
    pub(super) kind_at: usize,
    /// Sub-millisecond part of the presentation time.
    pub(super) offset_ns: u32,
    /// Where the `FourCC` stands.
    pub(super) next: usize,
}

/// Reads the packet type from the low bits of the body's first byte, and the extensions if that is what it says.
pub(super) fn prelude(body: &[u8], tag: Tag) -> Result<Prelude, FlvError> {
    let mut out = Prelude { kind: byte(body, 0, tag, "header")? & 0xf, kind_at: 0, offset_ns: 0, next: 1 };
    for _ in 0..MOD_EX_MAX {
        if out.kind != MOD_EX {
            return Ok(out);
        }
        let what = "ModEx";
        let mut at = out.next;
        // One byte for up to 255, two more when that is not enough; each coded less one.
        let mut size = usize::from(byte(body, at, tag, what)?) + 1;
        at += 1;
        if size == 256 {
            size =
                usize::from(u16::from_be_bytes([byte(body, at, tag, what)?, byte(body, at + 1, tag, what)?]))
                    + 1;
            at += 2;
        }
        let data = body.get(at..at + size).ok_or(FlvError::Cut { tag, at: body.len(), what })?;
        let kinds = byte(body, at + size, tag, what)?;
        // Extensions that are not known are skipped, that is what they are for; so is an offset that can't be one.
        if kinds >> 4 == TIMESTAMP_OFFSET_NANO
            && let Some([a, b, c]) = data.first_chunk()
        {
            let offset = u32::from_be_bytes([0, *a, *b, *c]);
            out.offset_ns = if offset <= OFFSET_NS_MAX { offset } else { 0 };
        }
        (out.kind, out.kind_at, out.next) = (kinds & 0xf, at + size, at + size + 1);
    }
    // What is still an extension now is no packet type that anybody has.
    Ok(out)
}

/// `AvMultitrackType::OneTrack`.
const ONE_TRACK: u8 = 0;
/// The track that a stream's only one has.
const TRACK_ID: u8 = 0;

/// The packet of a tag with one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Track {
    /// The packet type that counts.
    pub(super) kind: u8,
    /// Where it stands.
    pub(super) kind_at: usize,
    /// Its coding.
    pub(super) four_cc: [u8; 4],
    /// Where its payload begins.
    pub(super) payload: usize,
}

/// Reads what stands behind the prelude: a packet as it is, or wrapped as one track of several, which is what the packet type `multitrack`
/// says.
///
/// Track 0 alone in its message says the same as a plain tag, and is what a publisher sends that wraps whatever it has; all else is a
/// second track.
///
/// # Errors
/// [`FlvError::Multitrack`] when there is more than track 0.
pub(super) fn track(body: &[u8], prelude: &Prelude, tag: Tag, multitrack: u8) -> Result<Track, FlvError> {
    let Prelude { kind, kind_at, next: at, .. } = *prelude;
    if kind != multitrack {
        return Ok(Track { kind, kind_at, four_cc: four_cc(body, at, tag)?, payload: at + 4 });
    }
    let kinds = byte(body, at, tag, "multitrack type")?;
    if kinds >> 4 != ONE_TRACK || kinds & 0xf == multitrack {
        return Err(FlvError::Multitrack(tag));
    }
    let four_cc = four_cc(body, at + 1, tag)?;
    if byte(body, at + 5, tag, "track id")? != TRACK_ID {
        return Err(FlvError::Multitrack(tag));
    }
    Ok(Track { kind: kinds & 0xf, kind_at: at, four_cc, payload: at + 6 })
}

/// The `FourCC` at `at`.
fn four_cc(body: &[u8], at: usize, tag: Tag) -> Result<[u8; 4], FlvError> {
    let code = body.get(at..).and_then(|rest| rest.first_chunk());
    code.copied().ok_or(FlvError::Cut { tag, at: body.len(), what: "FourCC" })
}
