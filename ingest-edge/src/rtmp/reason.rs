//! Why the session itself ends a connection or refuses something on it, as broadcasters and operators are told.
//!
//! Invariant: the codes are stable and listed in `docs/CODES.md`; every fault has one.

use super::error::{ErrorKind, Wait};
use super::limits::Limits;

/// A stable code for what the session refuses by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The application in the server URL is not ours.
    WrongUrl,
    /// There is no stream key, or it is none by its form.
    UnknownKey,
    /// Streams are taken in, not played.
    NotPlayed,
    /// A second publish on one connection.
    AlreadyPublishing,
    /// The handshake, or the wish to publish, did not come in time.
    TooSlow,
    /// Nothing came from a publisher on air.
    Silent,
    /// Neither pictures nor sound came from a publisher on air.
    NoMedia,
    /// A message, or what is held of several, is larger than is taken.
    TooLarge,
    /// What came is not RTMP as specified.
    Protocol,
}

impl Reason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 9] = [
        Self::WrongUrl,
        Self::UnknownKey,
        Self::NotPlayed,
        Self::AlreadyPublishing,
        Self::TooSlow,
        Self::Silent,
        Self::NoMedia,
        Self::TooLarge,
        Self::Protocol,
    ];

    /// The code as it is sent, logged and documented.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WrongUrl => "wrong-url",
            Self::UnknownKey => "unknown-key",
            Self::NotPlayed => "not-played",
            Self::AlreadyPublishing => "already-publishing",
            Self::TooSlow => "too-slow",
            Self::Silent => "silent",
            Self::NoMedia => "no-media",
            Self::TooLarge => "too-large",
            Self::Protocol => "protocol",
        }
    }

    /// A description for a status: the code, and a sentence that says what to change.
    pub(crate) fn tell(self, sentence: &str) -> String {
        format!("{}: {sentence}", self.as_str())
    }
}

impl ErrorKind {
    /// The code that the fault is told and logged as.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Deadline(Wait::Handshake | Wait::Publish) => Reason::TooSlow,
            Self::Deadline(Wait::Input) => Reason::Silent,
            Self::Deadline(Wait::Media) => Reason::NoMedia,
            Self::MessageTooLarge { .. }
            | Self::TooManyChunkStreams { .. }
            | Self::BufferedTooMuch { .. }
            | Self::CommandTooLarge { .. }
            | Self::HeldMedia { .. } => Reason::TooLarge,
            Self::HandshakeVersion { .. }
            | Self::FreshChunkStream { .. }
            | Self::MessageInsideMessage { .. }
            | Self::ChunkSize { .. }
            | Self::ControlTruncated { .. }
            | Self::CommandEncoding(_)
            | Self::CommandShape
            | Self::CommandBeforeConnect
            | Self::AggregateTruncated { .. } => Reason::Protocol,
        }
    }

    /// What a publisher is told: its status code and description.
    pub(crate) fn status(&self, limits: &Limits) -> (&'static str, String) {
        let reason = self.reason();
        // Whoever was silent is to come back; client libraries go by the code.
        let (code, sentence) = match reason {
            Reason::Silent => {
                let seconds = limits.idle_timeout.as_secs_f64();
                (
                    "NetConnection.Connect.Closed",
                    format!("Nothing arrived for {seconds} s. Check the network and publish again."),
                )
            }
            Reason::NoMedia => {
                let seconds = limits.media_timeout.as_secs_f64();
                let sentence = format!(
                    "Neither picture nor sound arrived for {seconds} s. Check the encoder's sources and publish again."
                );
                ("NetConnection.Connect.Closed", sentence)
            }
            Reason::TooLarge => {
                ("NetStream.Failed", format!("The stream does not fit: {self}. Lower its bit rate."))
            }
            _ => ("NetStream.Failed", format!("The encoder does not keep to RTMP: {self}. Update it.")),
        };
        (code, reason.tell(&sentence))
    }
}

#[cfg(test)]
mod tests {
    use media::verdict::Code;

    use super::*;

    #[test]
    fn every_code_is_documented() {
        let page = include_str!("../../../docs/CODES.md");
        let codes = Code::ALL.iter().map(|code| code.as_str());
        for code in codes.chain(Reason::ALL.map(Reason::as_str)) {
            assert!(page.contains(&format!("| `{code}` |")), "{code}");
        }
    }
}
