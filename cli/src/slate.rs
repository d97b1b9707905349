//! The slate of a live: an image that is shown while its publisher is away. Looked over here, so that what can't be shown is said now and
//! not in the middle of a show; then stored for good under its hash.

use std::{fs::File, io::Read as _, path::Path};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use media::{id::LiveId, names};
use service::bucket::{Bucket, Condition, Kind};
use sha2::{Digest as _, Sha256};

/// Most bytes of a slate: a photograph of 1080p as PNG; an encoder that takes a broadcast over reads it while viewers wait.
const BYTES_MAX: u64 = 4 << 20;
/// Longest side of a slate in pixels: the largest picture that is broadcast is 3840 wide, and the image is scaled to the picture anyway.
const SIDE_MAX: u32 = 4096;

/// An image that can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slate(Bytes);

impl Slate {
    /// Reads an image file.
    ///
    /// # Errors
    /// When it can't be read or shown; the text says what is taken.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let read = || {
            let file = File::open(path)?;
            let mut bytes = Vec::new();
            file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
            std::io::Result::Ok(bytes)
        };
        let bytes = read().with_context(|| format!("reading the slate {}", path.display()))?;
        Self::new(bytes).with_context(|| format!("{} can't be the slate", path.display()))
    }

    fn new(bytes: Vec<u8>) -> anyhow::Result<Self> {
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > BYTES_MAX {
            bail!("it is larger than {} MiB", BYTES_MAX >> 20);
        }
        let size = if bytes.starts_with(PNG_SIGNATURE) {
            png_size(&bytes)
        } else if bytes.starts_with(&[MARKER, SOI, MARKER]) {
            jpeg_size(&bytes)
        } else {
            bail!("it is neither PNG nor JPEG");
        };
        let (width, height) =
            size.context("the image is damaged, or of a rare kind that browsers don't show either")?;
        if width.min(height) == 0 || width.max(height) > SIDE_MAX {
            bail!("it is {width}×{height}; up to {SIDE_MAX}×{SIDE_MAX} are taken");
        }
        Ok(Self(bytes.into()))
    }

    /// Stores it. Returns its key.
    ///
    /// # Errors
    /// When the bucket can't be reached.
    pub(crate) async fn store(self, bucket: &Bucket, live: &LiveId) -> anyhow::Result<String> {
        let key = names::slate(live, &hex::encode(Sha256::digest(&self.0)));
        // A conflict says that it is there: the name is the hash of its bytes.
        bucket.put(&key, self.0, Kind::SLATE, Condition::Absent, &[]).await.context("storing the slate")?;
        Ok(key)
    }
}

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Length, type and checksum of a PNG chunk (ISO/IEC 15948, 5.3).
const PNG_CHUNK_OVERHEAD: usize = 12;
/// First byte of every JPEG marker, and the markers that count here (ITU-T T.81, table B.1).
const MARKER: u8 = 0xff;
const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
/// Frame headers with Huffman coding: baseline, extended, progressive. Others are rare.
const SOF: std::ops::RangeInclusive<u8> = 0xc0..=0xc2;
const SOF_RARE: [u8; 10] = [0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf];

/// Width and height of a whole PNG file: its header comes first, its end mark is there.
fn png_size(file: &[u8]) -> Option<(u32, u32)> {
    let u32_at =
        |bytes: &[u8], at: usize| bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four));
    let mut rest = file.get(PNG_SIGNATURE.len()..)?;
    let mut size = None;
    loop {
        let length = usize::try_from(u32_at(rest, 0)?).ok()?;
        let (chunk, after) = rest.split_at_checked(length.checked_add(PNG_CHUNK_OVERHEAD)?)?;
        match (chunk.get(4..8)?, size) {
            (b"IHDR", None) => size = Some((u32_at(chunk, 8)?, u32_at(chunk, 12)?)),
            (b"IHDR", Some(_)) | (_, None) => return None,
            (b"IEND", Some(size)) => return Some(size),
            _ => {}
        }
        rest = after;
    }
}

/// Width and height of a whole JPEG file: it has one frame header, and after the pixels its end mark.
fn jpeg_size(file: &[u8]) -> Option<(u32, u32)> {
    let mut rest = file.get(2..)?;
    let mut size = None;
    loop {
        let (&[MARKER, kind], after) = rest.split_first_chunk::<2>()? else { return None };
        if kind == MARKER {
            // Fill bytes may stand before a marker.
            rest = rest.get(1..)?;
            continue;
        }
        let u16_at = |at: usize| after.get(at..)?.first_chunk().map(|two| u16::from_be_bytes(*two));
        if SOF.contains(&kind) && size.is_none() {
            // Length, precision, height, width.
            size = Some((u32::from(u16_at(5)?), u32::from(u16_at(3)?)));
        } else if SOF.contains(&kind) || SOF_RARE.contains(&kind) {
            return None;
        } else if kind == SOS {
            return size.filter(|_| after.windows(2).any(|two| two == [MARKER, EOI]));
        }
        rest = after.get(usize::from(u16_at(0)?).max(2)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let chunk = |kind: &[u8; 4], data: &[u8]| {
            let length = u32::try_from(data.len()).unwrap().to_be_bytes();
            [&length[..], kind, data, &[0; 4]].concat()
        };
        let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
        [PNG_SIGNATURE, &chunk(b"IHDR", &header), &chunk(b"IDAT", &[1]), &chunk(b"IEND", &[])].concat()
    }

    fn jpeg(width: u16, height: u16) -> Vec<u8> {
        let mut out = vec![0xff, SOI, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xc0, 0, 11, 8];
        out.extend(height.to_be_bytes());
        out.extend(width.to_be_bytes());
        out.extend([1, 1, 0x11, 0, 0xff, SOS, 0, 2, 1, 2, 3, 0xff, EOI]);
        out
    }

    #[track_caller]
    fn refused(bytes: Vec<u8>, says: &str) {
        let error = format!("{:#}", Slate::new(bytes).unwrap_err());
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn sizes_are_read_and_bounded() {
        assert_eq!(png_size(&png(1280, 720)), Some((1280, 720)));
        assert_eq!(jpeg_size(&jpeg(1280, 720)), Some((1280, 720)));
        for bytes in [png(4096, 4096), jpeg(4096, 1)] {
            assert_eq!(Slate::new(bytes.clone()).unwrap(), Slate(bytes.into()));
        }
        refused(png(4097, 1), "it is 4097×1; up to 4096×4096");
        refused(jpeg(1, 4097), "it is 1×4097");
        refused(png(0, 4), "0×4");
        refused([png(1, 1), vec![0; 4 << 20]].concat(), "larger than 4 MiB");
    }

    #[test]
    fn what_is_no_whole_image_is_refused() {
        for file in [&b""[..], b"GIF89a", b"<svg/>", b"\x89PNG", &[0xff, SOI]] {
            refused(file.to_vec(), "neither PNG nor JPEG");
        }
        for whole in [png(2, 2), jpeg(2, 2)] {
            for length in 0..whole.len() {
                assert!(Slate::new(whole[..length].to_vec()).is_err(), "{length} of {}", whole.len());
            }
        }
        let mut arithmetic = jpeg(2, 2);
        arithmetic[10] = 0xc9;
        refused(arithmetic, "damaged");
    }

    #[test]
    fn a_file_is_named_in_what_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("slate.gif");
        let said = || format!("{:#}", Slate::read(&path).unwrap_err());
        assert!(said().contains("slate.gif"));
        std::fs::write(&path, "GIF89a").unwrap();
        assert!(said().contains("slate.gif can't be the slate: it is neither"), "{}", said());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(mut bytes: Vec<u8>, jpeg: bool) {
            let front: &[u8] = if jpeg { &[MARKER, SOI, MARKER, 0xe0] } else { PNG_SIGNATURE };
            bytes.splice(0..0, front.iter().copied());
            let _ = Slate::new(bytes);
        }
    }
}
