//! What gopcast says to a broadcaster, and to the operator about one: a stable code, a severity and a sentence that says what
//! to change. The codes are a contract (documented in `docs/CODES.md`); sentences may be improved.

use serde::{Deserialize, Serialize};

/// A judgement on a publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The stable code.
    pub code: Code,
    /// What is wrong and what to change, for people.
    pub message: String,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $fatal:literal;)*) => {
        /// Stable codes of verdicts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }
        impl Code {
            /// Every code, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// The code as it is sent and documented.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
            /// Whether the publish ends with it; otherwise it is a warning.
            #[must_use]
            pub fn is_fatal(self) -> bool {
                match self { $(Self::$name => $fatal,)* }
            }
        }
    };
}

codes! {
    /// The stream key is unknown.
    UnknownKey = "unknown-key", true;
    /// The stream key has been replaced by another while it was published with.
    KeyReplaced = "key-replaced", true;
    /// The live that the stream key belongs to is disabled.
    LiveDisabled = "live-disabled", true;
    /// No encoder is alive to take the broadcast.
    NoEncoder = "no-encoder", true;
    /// gopcast could not reach its own parts; try again.
    Unavailable = "unavailable", true;
    /// A later publisher of the same key has taken over.
    Superseded = "superseded", true;
    /// The operator ended the broadcast.
    Ended = "ended", true;
    /// The edge is shutting down; reconnect.
    Draining = "draining", true;
    /// The video coding is not one that gopcast takes.
    VideoCodec = "video-codec", true;
    /// The H.264 profile, chroma format or bit depth is not one that gopcast takes.
    VideoProfile = "video-profile", true;
    /// Pictures come without their decoder configuration.
    VideoConfig = "video-config", true;
    /// The picture is too large or too small.
    VideoResolution = "video-resolution", true;
    /// The frame rate is too high.
    VideoFrameRate = "video-frame-rate", true;
    /// The bit rate is above the limit.
    BitRate = "bit-rate", true;
    /// The GOP is longer than advised: latency suffers.
    GopLong = "gop-long", false;
    /// The GOP is longer than allowed.
    GopTooLong = "gop-too-long", true;
    /// Pictures came without any key frame to begin with.
    NoKeyframe = "no-keyframe", true;
    /// A GOP refers to pictures before its start.
    OpenGop = "open-gop", true;
    /// The pictures could not be decoded.
    VideoCorrupt = "video-corrupt", false;
    /// The audio coding is not one that gopcast takes.
    AudioCodec = "audio-codec", true;
    /// The sample rate or channel count is not one that gopcast takes.
    AudioFormat = "audio-format", true;
    /// Sound could not be decoded.
    AudioCorrupt = "audio-corrupt", false;
    /// No sound for many seconds: there was none from the start, or it is gone.
    NoAudio = "no-audio", false;
    /// No pictures for many seconds: there were none from the start, or they are gone.
    NoVideo = "no-video", false;
    /// Nothing that arrives can be read.
    Unreadable = "unreadable", true;
    /// Sound and pictures do not keep the same time.
    AvDrift = "av-drift", false;
    /// What is sent takes longer to arrive than it lasts.
    Starvation = "starvation", false;
    /// A limit that the operator has set for the live is passed.
    LiveLimit = "live-limit", true;
    /// The encoder can't keep up with the whole ladder and leaves out its largest rungs.
    LadderReduced = "ladder-reduced", false;
    /// The publisher's timestamps jumped; the timeline was re-anchored.
    TimestampJump = "timestamp-jump", false;
    /// The stored chunk can't be read.
    ChunkInvalid = "chunk-invalid", true;
}

impl Code {
    /// Whether it is for the operator alone: there is nothing that the broadcaster could change.
    #[must_use]
    pub fn is_operators(self) -> bool {
        self == Self::LadderReduced
    }
}

impl Verdict {
    /// A verdict with its sentence.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_spelled_alike_in_json_and_text() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{}\"", code.as_str()));
        }
    }
}
