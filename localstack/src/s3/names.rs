//! Where an object's file lies: the reversible spelling of bucket names and object keys as file names.
//!
//! Invariants: different keys have different paths; no key's file is another key's directory (files end in
//! `@`, directories never do); no path leaves its bucket's directory (a segment never starts with a dot).

use std::path::PathBuf;

/// The longest key S3 takes, in bytes of UTF-8 (S3 User Guide, "Naming Amazon S3 objects").
const KEY_BYTES_MAX: usize = 1024;

/// The longest file name Linux file systems take, in bytes.
const FILE_NAME_BYTES_MAX: usize = 255;

/// Ends the name of every object's file, so that `a` (file `a@`) and `a/b` (file `a/b@`) can both exist.
const FILE_MARK: char = '@';

/// Stands for an empty segment (as in `a//b`); no encoded segment is a lone percent sign.
const EMPTY_SEGMENT: &str = "%";

/// The path of `key`'s file, relative to its bucket's directory; `None` when the key is empty or too long.
pub(crate) fn key_to_path(key: &str) -> Option<PathBuf> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return None;
    }
    let mut path = PathBuf::new();
    let mut segments = key.split('/').peekable();
    while let Some(segment) = segments.next() {
        let mut name = encode_segment(segment);
        if segments.peek().is_none() {
            name.push(FILE_MARK);
        }
        if name.len() > FILE_NAME_BYTES_MAX {
            return None;
        }
        path.push(name);
    }
    Some(path)
}

/// The segment that a directory (`is_file` false) or a file is named for; `None` when it is not ours.
pub(crate) fn segment_of(name: &str, is_file: bool) -> Option<String> {
    let encoded = if is_file { name.strip_suffix(FILE_MARK)? } else { name };
    if encoded == EMPTY_SEGMENT {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether `name` may name a bucket (S3 User Guide, "Bucket naming rules"), hence a directory.
pub(crate) fn is_bucket_name(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
        && !name.starts_with(['-', '.'])
        && !name.ends_with(['-', '.'])
        && !name.contains("..")
}

fn encode_segment(segment: &str) -> String {
    if segment.is_empty() {
        return EMPTY_SEGMENT.to_owned();
    }
    let mut name = String::with_capacity(segment.len() + 1);
    for (at, byte) in segment.bytes().enumerate() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'=' | b'+' | b',' => {
                name.push(char::from(byte));
            }
            b'.' if at > 0 => name.push('.'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Component;

    fn path_to_key(path: &std::path::Path) -> Option<String> {
        let names: Vec<&str> = path.iter().map(|n| n.to_str()).collect::<Option<_>>()?;
        let last = names.len() - 1;
        let segments: Option<Vec<String>> =
            names.iter().enumerate().map(|(i, n)| segment_of(n, i == last)).collect();
        Some(segments?.join("/"))
    }

    #[test]
    fn the_names_we_use_read_as_they_are() {
        assert_eq!(key_to_path("live/demo/manifest.mpd"), Some(PathBuf::from("live/demo/manifest.mpd@")));
    }

    #[test]
    fn dots_and_empty_segments_stay_inside() {
        assert_eq!(key_to_path("../a"), Some(PathBuf::from("%2E./a@")));
        assert_eq!(key_to_path("a//b/"), Some(PathBuf::from("a/%/b/%@")));
        assert_eq!(key_to_path(""), None);
        assert_eq!(key_to_path(&"k".repeat(KEY_BYTES_MAX + 1)), None);
        assert_eq!(key_to_path(&"k".repeat(FILE_NAME_BYTES_MAX)), None);
    }

    #[test]
    fn bucket_names() {
        assert!(is_bucket_name("gopcast-media"));
        for bad in ["ab", "-abc", "a..b", ".tmp", "A-bucket", "a/b"] {
            assert!(!is_bucket_name(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_key_comes_back_and_stays_inside(key in "\\PC{1,60}|[a./%@]{1,20}") {
            if let Some(path) = key_to_path(&key) {
                prop_assert!(path.components().all(|c| matches!(c, Component::Normal(_))));
                prop_assert_eq!(path_to_key(&path), Some(key));
            }
        }
    }
}
