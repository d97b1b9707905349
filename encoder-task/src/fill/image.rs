//! What is known of an image file before it is decoded: that it is one, whole, and of a size that is taken. Pure.
//!
//! Invariant: what the decoder is given declares its size once, up front, and holds nothing that expands beyond its pixels.

use crate::transcode::{ImageFormat, LibavError};

/// Most bytes of an image file: a photograph of 1080p as PNG has 4 MB.
pub const IMAGE_BYTES_MAX: usize = 8 << 20;
/// Most pixels of an image: 4096 × 4096, what a phone's camera makes. 64 MB while it is converted.
pub const IMAGE_PIXELS_MAX: u32 = 1 << 24;
/// Longest side of an image in pixels.
pub const IMAGE_SIDE_MAX: u32 = 8192;

/// Why an image can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// More than [`IMAGE_BYTES_MAX`].
    #[error("the image has {0} bytes, more than {IMAGE_BYTES_MAX}")]
    Large(usize),
    /// Another kind of file, or none.
    #[error("the image is neither PNG nor JPEG")]
    Kind,
    /// Cut, or not what its first bytes promise.
    #[error("the image is damaged: {0}")]
    Damaged(&'static str),
    /// No pixels, or more than [`IMAGE_PIXELS_MAX`], or longer than [`IMAGE_SIDE_MAX`].
    #[error(
        "the image is {width}×{height}; 1 to {IMAGE_SIDE_MAX} a side and {IMAGE_PIXELS_MAX} pixels are taken"
    )]
    Size {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
    /// The decoder refused it.
    #[error("the image can't be decoded")]
    Undecodable(#[source] LibavError),
}

/// An image file that may be decoded.
#[derive(Debug)]
pub(super) struct ImageFile {
    pub(super) format: ImageFormat,
    pub(super) bytes: Vec<u8>,
}

impl ImageFile {
    /// Looks a file over.
    pub(super) fn check(file: &[u8]) -> Result<Self, ImageError> {
        if file.len() > IMAGE_BYTES_MAX {
            return Err(ImageError::Large(file.len()));
        }
        let (format, bytes, (width, height)) = if file.starts_with(PNG_SIGNATURE) {
            let (bytes, size) = png(file)?;
            (ImageFormat::Png, bytes, size)
        } else if file.starts_with(&[MARKER, SOI, MARKER]) {
            (ImageFormat::Jpeg, file.to_vec(), jpeg(file)?)
        } else {
            return Err(ImageError::Kind);
        };
        let fits = width.min(height) > 0
            && width.max(height) <= IMAGE_SIDE_MAX
            && u64::from(width) * u64::from(height) <= u64::from(IMAGE_PIXELS_MAX);
        if !fits {
            return Err(ImageError::Size { width, height });
        }
        Ok(Self { format, bytes })
    }
}

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Length, type, and checksum of a chunk (ISO 15948, 5.3).
const PNG_CHUNK_OVERHEAD: usize = 12;
/// The chunks that make the pixels. Others are left out: texts and profiles may be compressed without bound, and nobody sees them.
const PNG_CHUNKS: [&[u8; 4]; 5] = [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"];

/// A PNG file's pixel chunks as a file, and its size.
fn png(file: &[u8]) -> Result<(Vec<u8>, (u32, u32)), ImageError> {
    let cut = || ImageError::Damaged("it is cut");
    let mut out = PNG_SIGNATURE.to_vec();
    let mut rest = file.get(PNG_SIGNATURE.len()..).ok_or_else(cut)?;
    let mut size = None;
    loop {
        let length = u32_at(rest, 0).and_then(|length| usize::try_from(length).ok()).ok_or_else(cut)?;
        let chunk = length
            .checked_add(PNG_CHUNK_OVERHEAD)
            .and_then(|whole| rest.split_at_checked(whole))
            .ok_or_else(cut)?;
        let kind = chunk.0.get(4..8).unwrap_or_default();
        if (kind == b"IHDR") == size.is_some() {
            return Err(ImageError::Damaged("it does not have one header, in front"));
        }
        if size.is_none() {
            size = Some((u32_at(chunk.0, 8).ok_or_else(cut)?, u32_at(chunk.0, 12).ok_or_else(cut)?));
        }
        if PNG_CHUNKS.iter().any(|known| kind == *known) {
            out.extend_from_slice(chunk.0);
        }
        if kind == b"IEND" {
            return size.map(|size| (out, size)).ok_or_else(cut);
        }
        rest = chunk.1;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}

/// First byte of every JPEG marker (ITU-T T.81, table B.1), and the markers that count here.
const MARKER: u8 = 0xff;
const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
/// Frame headers: baseline, extended and progressive with Huffman coding, which is what exists.
const SOF: std::ops::RangeInclusive<u8> = 0xc0..=0xc2;
/// Every other frame header: differential, lossless, arithmetic.
const SOF_RARE: [u8; 10] = [0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf];

/// A JPEG file's size.
fn jpeg(file: &[u8]) -> Result<(u32, u32), ImageError> {
    let cut = || ImageError::Damaged("it is cut");
    let mut size = None;
    let mut at = 2;
    loop {
        let segment = file.get(at..).ok_or_else(cut)?;
        let (marker, kind) = (*segment.first().ok_or_else(cut)?, *segment.get(1).ok_or_else(cut)?);
        if marker != MARKER {
            return Err(ImageError::Damaged("a segment is not where it should be"));
        }
        if kind == MARKER {
            // Fill bytes may precede any marker (B.1.1.2).
            at += 1;
            continue;
        }
        let short = |at: usize| segment.get(at..)?.first_chunk().map(|two| u16::from_be_bytes(*two));
        let length = usize::from(short(2).ok_or_else(cut)?);
        if SOF.contains(&kind) {
            if size.is_some() {
                return Err(ImageError::Damaged("it has two headers"));
            }
            let (height, width) = (short(5).ok_or_else(cut)?, short(7).ok_or_else(cut)?);
            size = Some((u32::from(width), u32::from(height)));
        } else if SOF_RARE.contains(&kind) {
            return Err(ImageError::Damaged("its coding is none that web browsers show"));
        } else if kind == SOS {
            let data = segment.get(2..).ok_or_else(cut)?;
            if !data.windows(2).any(|two| two == [MARKER, EOI]) {
                return Err(cut());
            }
            return size.ok_or(ImageError::Damaged("it has no header"));
        }
        at += 2 + length.max(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&length[..], kind, data, &[0; 4]].concat()
    }

    fn header(width: u32, height: u32) -> Vec<u8> {
        chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat())
    }

    fn png_of(chunks: &[Vec<u8>]) -> Vec<u8> {
        [PNG_SIGNATURE.to_vec(), chunks.concat()].concat()
    }

    fn jpeg_of(width: u16, height: u16) -> Vec<u8> {
        let mut out = vec![0xff, SOI, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xc0, 0, 11, 8];
        out.extend(height.to_be_bytes());
        out.extend(width.to_be_bytes());
        out.extend([1, 1, 0x11, 0, 0xff, SOS, 0, 2, 1, 2, 3, 0xff, EOI]);
        out
    }

    #[test]
    fn only_pixels_of_a_png_go_on() {
        let (head, data, end) = (header(3, 2), chunk(b"IDAT", &[1, 2]), chunk(b"IEND", &[]));
        let file = png_of(&[head.clone(), chunk(b"zTXt", &[9; 50]), data.clone(), end.clone(), vec![7; 9]]);
        let image = ImageFile::check(&file).unwrap();
        assert_eq!((image.format, image.bytes), (ImageFormat::Png, png_of(&[head, data, end])));
    }

    #[test]
    fn sizes_are_bounded() {
        let png = |w, h| ImageFile::check(&png_of(&[header(w, h), chunk(b"IEND", &[])])).map(|_| ());
        let jpeg = |w, h| ImageFile::check(&jpeg_of(w, h)).map(|_| ());
        assert_eq!((png(4096, 4096), jpeg(8192, 2048)), (Ok(()), Ok(())));
        for (width, height) in [(4097, 4096), (0, 5), (5, 0), (8193, 1)] {
            let refused = Err(ImageError::Size { width, height });
            assert_eq!(png(width, height), refused);
            assert_eq!(jpeg(u16::try_from(width).unwrap(), u16::try_from(height).unwrap()), refused);
        }
        let large = vec![0; IMAGE_BYTES_MAX + 1];
        assert_eq!(ImageFile::check(&large).unwrap_err(), ImageError::Large(IMAGE_BYTES_MAX + 1));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for file in [&b""[..], b"GIF89a", b"\x89PNG", b"<svg/>", &[0xff, SOI]] {
            assert_eq!(ImageFile::check(file).unwrap_err(), ImageError::Kind);
        }
        let twice = png_of(&[header(1, 1), header(9, 9), chunk(b"IEND", &[])]);
        assert!(matches!(ImageFile::check(&twice), Err(ImageError::Damaged(_))));
        let mut rare = jpeg_of(5, 5);
        rare[10] = 0xc9;
        assert!(matches!(ImageFile::check(&rare), Err(ImageError::Damaged(_))));
    }

    #[test]
    fn every_cut_is_noticed() {
        for whole in [jpeg_of(5, 5), png_of(&[header(1, 1), chunk(b"IDAT", &[1]), chunk(b"IEND", &[])])] {
            assert!(ImageFile::check(&whole).is_ok());
            for length in 0..whole.len() {
                assert!(ImageFile::check(&whole[..length]).is_err(), "{length} of {}", whole.len());
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(mut bytes: Vec<u8>, jpeg: bool) {
            let front: &[u8] = if jpeg { &[MARKER, SOI, MARKER, 0xe0] } else { PNG_SIGNATURE };
            bytes.splice(0..0, front.iter().copied());
            let _checked = ImageFile::check(&bytes);
        }
    }
}
