//! The file format of a stored object, what is remembered of it, and the conditions of a write.
//!
//! A file is the body, then the object's [`Meta`] as JSON, then the JSON's length (4 bytes, little-endian),
//! then [`MAGIC`]. Body and metadata are therefore one file: one `rename` replaces both at once, and a file cut
//! short is recognised because it does not end in the magic. Pure: bytes in, bytes out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Ends every object's file; the digits are the format's version.
pub(crate) const MAGIC: &[u8; 8] = b"gopobj01";

/// Bytes after the JSON: its length, then the magic.
pub(crate) const FOOTER_BYTES: usize = 4 + MAGIC.len();

/// S3 takes 2 KB of user metadata and some headers; more than this is a damaged file.
pub(crate) const META_BYTES_MAX: usize = 64 * 1024;

/// What is remembered of an object beside its body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// Bytes of the body.
    pub(crate) size: u64,
    /// The entity tag without quotes: the MD5 of the body, in hex.
    pub(crate) etag: String,
    /// When it was written, milliseconds since the Unix epoch.
    pub(crate) modified_ms: i64,
    /// `Content-Type`, `Cache-Control` and their like, as given by the writer.
    #[serde(default)]
    pub(crate) headers: Headers,
    /// `x-amz-meta-*`, without the prefix.
    #[serde(default)]
    pub(crate) user: BTreeMap<String, String>,
    /// The checksums that the writer gave and that were found true, base64 by algorithm (`crc32`, …).
    #[serde(default)]
    pub(crate) checksums: BTreeMap<String, String>,
}

/// The system-defined metadata that a writer may set (S3 User Guide, "Working with object metadata").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Headers {
    pub(crate) cache_control: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) content_type: Option<String>,
}

/// Why a file is not an object's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It was cut short, or is another program's.
    #[error("the file does not end in an object's footer")]
    NoFooter,
    /// The footer does not fit the file.
    #[error("the footer gives {meta_bytes} bytes of metadata, which the file cannot hold")]
    Length {
        /// Bytes of metadata, as the footer says.
        meta_bytes: u64,
    },
    /// The metadata is not ours, or does not account for every byte of the file.
    #[error("the metadata is not readable")]
    Meta,
}

/// What is written after the body.
pub(crate) fn trailer(meta: &Meta) -> Result<Vec<u8>, Damage> {
    let mut bytes = serde_json::to_vec(meta).map_err(|_| Damage::Meta)?;
    let length = u32::try_from(bytes.len()).map_err(|_| Damage::Meta)?;
    if bytes.len() > META_BYTES_MAX {
        return Err(Damage::Length { meta_bytes: u64::from(length) });
    }
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(MAGIC);
    Ok(bytes)
}

/// How many bytes of JSON stand before this footer, in a file of `file_bytes`.
pub(crate) fn meta_length(footer: &[u8; FOOTER_BYTES], file_bytes: u64) -> Result<usize, Damage> {
    let (length, magic) = footer.split_at(4);
    if magic != MAGIC {
        return Err(Damage::NoFooter);
    }
    let length = length.iter().rev().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let footer_bytes = u64::try_from(FOOTER_BYTES).unwrap_or(u64::MAX);
    match usize::try_from(length) {
        Ok(n) if n <= META_BYTES_MAX && length.saturating_add(footer_bytes) <= file_bytes => Ok(n),
        _ => Err(Damage::Length { meta_bytes: length }),
    }
}

/// The metadata, which must account for every byte of the file.
pub(crate) fn parse_meta(json: &[u8], file_bytes: u64) -> Result<Meta, Damage> {
    let meta: Meta = serde_json::from_slice(json).map_err(|_| Damage::Meta)?;
    let rest = u64::try_from(json.len() + FOOTER_BYTES).unwrap_or(u64::MAX);
    if meta.size.checked_add(rest) == Some(file_bytes) { Ok(meta) } else { Err(Damage::Meta) }
}

/// The conditions of a write (S3 User Guide, "Add preconditions to S3 operations with conditional requests").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// `If-None-Match: *`: there must be no such object.
    pub(crate) absent: bool,
    /// `If-Match`: there must be such an object, and it must have this tag.
    pub(crate) matches: Option<Expected>,
}

/// What `If-Match` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// `*`
    Any,
    /// An entity tag, without quotes.
    Tag(String),
}

/// Why a conditional write was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// S3 answers 404 `NoSuchKey`.
    Missing,
    /// S3 answers 412 `PreconditionFailed`.
    Failed,
}

impl Conditions {
    /// Judges them against the tag of the object that stands there now.
    pub(crate) fn check(&self, current: Option<&str>) -> Result<(), Refused> {
        if self.absent && current.is_some() {
            return Err(Refused::Failed);
        }
        match (&self.matches, current) {
            (None, _) | (Some(Expected::Any), Some(_)) => Ok(()),
            (Some(_), None) => Err(Refused::Missing),
            (Some(Expected::Tag(tag)), Some(current)) if tag == current => Ok(()),
            (Some(Expected::Tag(_)), Some(_)) => Err(Refused::Failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(meta: &Meta, body: &[u8]) -> Vec<u8> {
        let mut bytes = body.to_vec();
        bytes.extend(trailer(meta).unwrap());
        bytes
    }

    fn parse(file: &[u8]) -> Result<Meta, Damage> {
        let total = file.len() as u64;
        let Some((head, footer)) = file.split_last_chunk::<FOOTER_BYTES>() else {
            return Err(Damage::NoFooter);
        };
        let length = meta_length(footer, total)?;
        parse_meta(&head[head.len() - length..], total)
    }

    #[test]
    fn metadata_comes_back() {
        let meta = Meta {
            size: 5,
            etag: "5d41402abc4b2a76b9719d911017c592".into(),
            modified_ms: 1_700_000_000_123,
            headers: Headers { content_type: Some("video/mp4".into()), ..Headers::default() },
            user: BTreeMap::from([("epoch".into(), "7".into())]),
            checksums: BTreeMap::from([("crc32".into(), "NhCmhg==".into())]),
        };
        assert_eq!(parse(&file(&meta, b"hello")), Ok(meta));
    }

    #[test]
    fn a_file_cut_anywhere_is_damaged() {
        let whole = file(&Meta { size: 5, ..Meta::default() }, b"hello");
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = b"x".to_vec();
        longer.extend(&whole);
        assert_eq!(parse(&longer), Err(Damage::Meta));
    }

    #[test]
    fn conditions_follow_s3() {
        let create = Conditions { absent: true, matches: None };
        assert_eq!(create.check(None), Ok(()));
        assert_eq!(create.check(Some("a")), Err(Refused::Failed));
        let swap = Conditions { absent: false, matches: Some(Expected::Tag("a".into())) };
        assert_eq!(swap.check(Some("a")), Ok(()));
        assert_eq!(swap.check(Some("b")), Err(Refused::Failed));
        assert_eq!(swap.check(None), Err(Refused::Missing));
        let any = Conditions { absent: false, matches: Some(Expected::Any) };
        assert_eq!(any.check(Some("b")), Ok(()));
        assert_eq!(any.check(None), Err(Refused::Missing));
    }
}
