//! The bodies of FLV video and audio tags, which are also those of RTMP video and audio messages (Adobe FLV 10.1, E.4.2 and E.4.3;
//! Enhanced RTMP v1 and v2).
//!
//! Zero-copy: payloads share the body's bytes. H.264, HEVC and AV1, AAC, MP3 and Opus are read, H.264, AAC and MP3 also with the old header;
//! every other coding, and several tracks in one message, are recognised and refused by name. No body panics.

mod audio;
mod enhanced;
mod names;
mod video;

use bytes::Bytes;
use thiserror::Error;

pub use self::{audio::audio, video::video};
use crate::{
    chunk::{AudioCodec, VideoCodec},
    verdict::{Code, Verdict},
};

/// A video tag's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Video {
    /// A decoder configuration record.
    Config {
        /// Of this coding.
        codec: VideoCodec,
        /// The record, as [`VideoCodec`] says.
        record: Bytes,
    },
    /// A picture.
    Picture {
        /// In this coding.
        codec: VideoCodec,
        /// The publisher marks it as a key frame. A hint only: recovery points are marked too.
        keyframe: bool,
        /// Presentation minus decode time in milliseconds; 24 bits, signed. 0 in AV1, which has none.
        composition_ms: i32,
        /// By how much its presentation is later than the message's whole milliseconds say, in nanoseconds: below a millisecond, 0 unless
        /// the publisher says so. The timeline finds exact frame durations without it.
        offset_ns: u32,
        /// Length-prefixed NAL units, or OBUs.
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
    /// A decoder configuration.
    Config {
        /// Of this coding.
        codec: AudioCodec,
        /// The record, as [`AudioCodec`] says.
        record: Bytes,
    },
    /// One raw AAC frame, one packet of Opus, or frames of MP3 (usually one).
    Frame {
        /// In this coding.
        codec: AudioCodec,
        /// The bytes.
        data: Bytes,
    },
    /// Nothing that matters here: an empty body, the end of the sequence, an order of channels.
    Nothing,
}

/// Which of the two kinds of tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Video => "video",
            Self::Audio => "audio",
        })
    }
}

/// Why a tag can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FlvError {
    /// The body ends too early.
    #[error("the {tag} tag ends at byte {at}, within its {what}")]
    Cut {
        /// Its kind.
        tag: Tag,
        /// Its length.
        at: usize,
        /// What was being read.
        what: &'static str,
    },
    /// A packet type that the coding does not have.
    #[error("the {tag} tag has the unknown packet type {kind} at byte {at}")]
    PacketType {
        /// Its kind.
        tag: Tag,
        /// Where the type stands.
        at: usize,
        /// The type.
        kind: u8,
    },
    /// A coding of pictures that is not taken.
    #[error("the video is {0}; set the video encoder to H.264, HEVC or AV1")]
    VideoCodec(String),
    /// The old header's numbers for codings that only the enhanced one has.
    #[error(
        "the video is {0} in an old FLV header; send it as Enhanced RTMP, or set the video encoder to H.264"
    )]
    OldHeader(&'static str),
    /// A coding of sound that is not taken.
    #[error("the sound is {0}; set the audio encoder to AAC")]
    AudioCodec(String),
    /// More than one track in one message.
    #[error("the stream has several {0} tracks; turn multitrack {0} (in OBS: Settings, Stream) off")]
    Multitrack(Tag),
}

impl FlvError {
    /// What the broadcaster is told, when it is for the broadcaster to change; `None` for a damaged tag.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        let code = match self {
            Self::VideoCodec(_) | Self::OldHeader(_) | Self::Multitrack(Tag::Video) => Code::VideoCodec,
            Self::AudioCodec(_) | Self::Multitrack(Tag::Audio) => Code::AudioCodec,
            Self::Cut { .. } | Self::PacketType { .. } => return None,
        };
        Some(Verdict::new(code, format!("{self}.")))
    }
}

fn byte(body: &[u8], at: usize, tag: Tag, what: &'static str) -> Result<u8, FlvError> {
    body.get(at).copied().ok_or(FlvError::Cut { tag, at: body.len(), what })
}

#[cfg(test)]
mod tests;
