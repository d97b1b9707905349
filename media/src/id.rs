//! Identifiers and counters. Each is its own type, so that an epoch is never taken for a publish number, and each
//! can only be built from a valid value: holding one is the proof that it was checked.
//!
//! Invariant: a `StreamKey` never shows itself in `Debug`, has no `Display` and cannot be serialised.

use std::{fmt, num::NonZeroU32, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Longest [`LiveId`] in bytes: it is part of every object key and URL, so it stays well under S3's 1024.
pub const LIVE_ID_MAX: usize = 63;
/// Longest [`EncoderId`] in bytes; ECS task ids are 32 hexadecimal digits.
pub const ENCODER_ID_MAX: usize = 64;
/// Shortest stream key accepted, in bytes. Generated keys have [`StreamKey::GENERATED_BYTES`] random bytes.
pub const STREAM_KEY_MIN: usize = 8;
/// Longest stream key accepted, in bytes: keys travel in RTMP commands, whose strings are bounded.
pub const STREAM_KEY_MAX: usize = 128;

/// Why a text is not the identifier it was given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A live's name must be 1 to 63 of `a-z`, `0-9` and inner `-`.
    #[error(
        "a live is named with 1 to {LIVE_ID_MAX} of the characters a-z, 0-9 and '-', starting and ending with a letter or digit"
    )]
    Live,
    /// A broadcast id is a lower-case hyphenated UUID of version 7.
    #[error(
        "a broadcast id is a UUID of version 7 in lower case, such as 01938f2a-7c00-7000-8000-000000000000"
    )]
    Broadcast,
    /// An encoder id is 1 to 64 of `a-z`, `A-Z`, `0-9`, `-`, `_`, `.`.
    #[error("an encoder id is 1 to {ENCODER_ID_MAX} of the characters a-z, A-Z, 0-9, '-', '_' and '.'")]
    Encoder,
    /// A stream key is 8 to 128 of `a-z`, `A-Z`, `0-9`, `-`, `_`.
    #[error(
        "a stream key is {STREAM_KEY_MIN} to {STREAM_KEY_MAX} of the characters a-z, A-Z, 0-9, '-' and '_'"
    )]
    StreamKey,
    /// A key hash is 64 lower-case hexadecimal digits.
    #[error("a key hash is 64 lower-case hexadecimal digits")]
    KeyHash,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $err:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The checked text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(IdError::$err) }
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_from(text.to_owned())
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// The name of a live: a channel that an operator creates. Part of URLs and object keys.
    LiveId, Live, |text| {
        let bytes = text.as_bytes();
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        (1..=LIVE_ID_MAX).contains(&bytes.len())
            && bytes.iter().all(inner)
            && bytes.first() != Some(&b'-')
            && bytes.last() != Some(&b'-')
    }
}

text_id! {
    /// One show of a live: a UUID of version 7, so that text order is time order.
    BroadcastId, Broadcast, |text| {
        text.len() == 36
            && !text.bytes().any(|b| b.is_ascii_uppercase())
            && uuid::Uuid::try_parse(text).is_ok_and(|id| id.get_version_num() == 7)
    }
}

impl BroadcastId {
    /// Makes an id from a time (milliseconds since the Unix epoch) and 10 random bytes (RFC 9562, section 5.7).
    #[must_use]
    pub fn new(unix_ms: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid().hyphenated().to_string())
    }
}

text_id! {
    /// One encoder task: its ECS task id, or a name given by configuration.
    EncoderId, Encoder, |text| {
        (1..=ENCODER_ID_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    }
}

text_id! {
    /// SHA-256 of a stream key in hexadecimal: what is stored and sent in place of the key.
    KeyHash, KeyHash, |text| {
        text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }
}

/// The secret that lets a broadcaster publish to one live.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamKey(String);

impl StreamKey {
    /// Random bytes in a generated key: 120 bits, out of reach of guessing.
    pub const GENERATED_BYTES: usize = 15;

    /// Makes a key from random bytes, spelled so that it can be read aloud and pasted (lower-case base 32).
    #[must_use]
    pub fn generate(random: [u8; Self::GENERATED_BYTES]) -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut key = String::from("sk_");
        for group in random.chunks(5) {
            let bits = group.iter().fold(0u64, |acc, byte| (acc << 8) | u64::from(*byte));
            for shift in (0..8).rev() {
                let index = usize::try_from((bits >> (shift * 5)) & 31).unwrap_or_default();
                key.push(char::from(ALPHABET[index]));
            }
        }
        Self(key)
    }

    /// The hash that stands for this key wherever it is stored or sent.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash(hex::encode(Sha256::digest(self.0.as_bytes())))
    }

    /// The secret itself, for the one place that must show it to its owner.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for StreamKey {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = (STREAM_KEY_MIN..=STREAM_KEY_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if fits { Ok(Self(text.to_owned())) } else { Err(IdError::StreamKey) }
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamKey(redacted)")
    }
}

/// Numbers the publishes of a broadcast: 1, 2, 3… A later publish fences an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublishNo(NonZeroU32);

impl PublishNo {
    /// The first publish of a broadcast.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// A publish number, or `None` for 0.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }
    /// The number, 1 or more.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
    /// The publish after this one. Saturates: a broadcast never has 2³² publishes.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Numbers the chunks of a publish: 0, 1, 2… without holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChunkSeq(pub u32);

impl ChunkSeq {
    /// The first chunk of a publish.
    pub const FIRST: Self = Self(0);
    /// The chunk after this one. Saturates: a publish never has 2³² chunks.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Counts the bindings of a broadcast: 1 for the first, one more at every change. A later epoch fences an earlier one.
/// It has no `Display`: only the table spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a broadcast's first binding.
    pub const FIRST: Self = Self(1);
    /// The epoch of the next binding. Saturates.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Where a chunk stands in its broadcast: publish first, then sequence. The order of commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChunkPos {
    /// Which publish.
    pub publish: PublishNo,
    /// Which chunk of it.
    pub seq: ChunkSeq,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_ids_are_dns_like() {
        for good in ["demo", "a", "shoes-24", "0"] {
            assert!(good.parse::<LiveId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a/b", "a.b", &"a".repeat(64)] {
            assert_eq!(bad.parse::<LiveId>(), Err(IdError::Live), "{bad}");
        }
    }

    #[test]
    fn broadcast_ids_sort_by_time() {
        let early = BroadcastId::new(1_700_000_000_000, [0xff; 10]);
        let late = BroadcastId::new(1_700_000_000_001, [0; 10]);
        assert!(early < late);
        assert_eq!(late.as_str(), "018bcfe5-6801-7000-8000-000000000000");
        assert_eq!(late.as_str().parse::<BroadcastId>().as_ref(), Ok(&late));
        assert!("018bcfe5-6801-4000-8000-000000000000".parse::<BroadcastId>().is_err());
        assert!("../../etc/passwd".parse::<BroadcastId>().is_err());
    }

    #[test]
    fn stream_keys_do_not_show_themselves() {
        let key = StreamKey::generate([7; 15]);
        assert_eq!(key.reveal().len(), 27);
        assert!(key.reveal().parse::<StreamKey>().is_ok());
        assert!(!format!("{key:?}").contains(key.reveal()));
        assert_eq!("secret-key".parse::<StreamKey>().unwrap().hash().as_str().len(), 64);
    }

    #[test]
    fn generated_keys_use_every_bit() {
        let a = StreamKey::generate([0; 15]);
        for byte in 0..15 {
            let mut random = [0; 15];
            random[byte] = 1;
            assert_ne!(StreamKey::generate(random), a, "byte {byte} is unused");
        }
    }

    #[test]
    fn positions_order_by_publish_then_seq() {
        let pos = |p, s| ChunkPos { publish: PublishNo::new(p).unwrap(), seq: ChunkSeq(s) };
        assert!(pos(1, 9) < pos(2, 0));
        assert!(pos(2, 0) < pos(2, 1));
    }
}
