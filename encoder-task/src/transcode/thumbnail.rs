//! Small pictures of a chunk for who seeks or chooses: its first picture as a JPEG, in square pixels and as browsers take colours.
//!
//! A pure function of the chunk with deterministic bytes, like its segments. The storyboard's is made of what is decoded for the ladder; a
//! poster, which is seldom wanted, decodes its picture by itself.

use bytes::Bytes;
use media::chunk::{Chunk, VideoTrack};

use super::{
    TranscodeError,
    libav::{Decoder, LibavError, Picture, Raster},
    rung::{Look, Shot},
};

/// How large a JPEG is at most, and how good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thumbnail {
    /// Most pixels of the short side.
    pub short_side: u32,
    /// Most pixels of the long side.
    pub long_side: u32,
    /// The encoder's quantiser, 2 (best) to 31.
    pub quantiser: u8,
}

/// A picture of the storyboard: what fits above a seek bar, some 10 kB.
pub const TILE: Thumbnail = Thumbnail { short_side: 180, long_side: 320, quantiser: 5 };
/// A poster: what fills a card on a front page, some 30 kB.
pub const POSTER: Thumbnail = Thumbnail { short_side: 360, long_side: 640, quantiser: 4 };

/// A JPEG (ITU-T T.81, baseline).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jpeg {
    /// The file.
    pub bytes: Bytes,
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Standard deviation of its luma, in steps of 8 bits: 0 of a picture of one colour, at most 127.
    pub contrast: u8,
}

impl Thumbnail {
    /// A picture that is decoded already.
    pub(super) fn of_shot(self, shot: &Shot) -> Result<Jpeg, LibavError> {
        let Shot { picture, look } = shot;
        let (width, height) = self.size(look.size, look.sar);
        let raster = Raster::of(picture, (width, height), look.colour)?;
        let contrast = deviation(raster.luma());
        let bytes = Bytes::from(raster.to_jpeg(self.quantiser)?);
        Ok(Jpeg { bytes, width, height, contrast })
    }

    /// The chunk's key picture; `None` of a chunk without pictures.
    ///
    /// # Errors
    /// When the key picture can't be decoded, or FFmpeg fails.
    pub fn of(self, chunk: &Chunk) -> Result<Option<Jpeg>, TranscodeError> {
        let Some(video) = &chunk.header.video else { return Ok(None) };
        let picture = key_picture(chunk, video)?;
        let picture = picture.ok_or(TranscodeError::Undecodable { samples: 1 })?;
        let look = Look::of(&picture);
        Ok(Some(self.of_shot(&Shot { picture, look })?))
    }

    /// The size of a thumbnail of a picture of `size` with samples of `sar`: the shape that is shown, never larger than that, even.
    fn size(self, size: (u32, u32), sar: (u32, u32)) -> (u32, u32) {
        let sar = if sar.0 == 0 || sar.1 == 0 { (1, 1) } else { sar };
        // As shown, the lines stay and the columns are stretched; here both are in units of a line divided by `sar.1`.
        let (width, height) =
            (u128::from(size.0) * u128::from(sar.0), u128::from(size.1) * u128::from(sar.1));
        let (long, short) = (width.max(height).max(1), width.min(height).max(1));
        let (most_long, most_short) = (u128::from(self.long_side), u128::from(self.short_side));
        // The smallest of three: as it is shown, bound by the long side, bound by the short one. As num / den of it.
        let mut by = (1, u128::from(sar.1));
        for bound in [(most_long, long), (most_short, short)] {
            if bound.0 * by.1 < by.0 * bound.1 {
                by = bound;
            }
        }
        let side = |of: u128, most: u32| {
            let side = u32::try_from(rounded(of * by.0, by.1)).unwrap_or(most);
            ((side + 1) & !1).clamp(2, most)
        };
        let (long, short) = (side(long, self.long_side), side(short, self.short_side));
        if width >= height { (long, short) } else { (short, long) }
    }
}

fn rounded(num: u128, den: u128) -> u128 {
    (num + den / 2) / den.max(1)
}

/// The chunk's IDR; `None` if it can't be decoded.
fn key_picture(chunk: &Chunk, video: &VideoTrack) -> Result<Option<Picture>, LibavError> {
    let samples = chunk.video_samples();
    let Some(key) = samples.first() else { return Ok(None) };
    let mut decoder = Decoder::open(video.codec, &video.config, 1)?;
    // With the end behind it, it comes out at once: a decoder that waits for later pictures would have to be given those.
    if !decoder.send(key, 0) {
        return Ok(None);
    }
    decoder.finish();
    Ok(decoder.receive())
}

/// Standard deviation of 8-bit samples, rounded down.
fn deviation(samples: impl Iterator<Item = u8>) -> u8 {
    let (mut count, mut sum, mut squares) = (0u64, 0u64, 0u64);
    for sample in samples.map(u64::from) {
        count += 1;
        sum += sample;
        squares += sample * sample;
    }
    let count = count.max(1);
    // count² × variance, of at most a few hundred thousand samples: far from the end of 64 bits, and never negative.
    let scaled = (count * squares).saturating_sub(sum * sum);
    u8::try_from((scaled / (count * count)).isqrt()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_the_shape_that_is_shown_and_are_even() {
        for (size, sar, tile, poster) in [
            ((1920, 1080), (1, 1), (320, 180), (640, 360)),
            ((1280, 720), (0, 1), (320, 180), (640, 360)),
            ((854, 480), (1, 1), (320, 180), (640, 360)),
            ((1080, 1920), (1, 1), (180, 320), (360, 640)),
            ((720, 576), (16, 15), (240, 180), (480, 360)),
            ((1000, 1000), (1, 1), (180, 180), (360, 360)),
            ((2560, 1080), (1, 1), (320, 136), (640, 270)),
            ((160, 90), (1, 1), (160, 90), (160, 90)),
            ((2, 2), (1, 1), (2, 2), (2, 2)),
            ((65_535, 1), (1, 1), (320, 2), (640, 2)),
        ] {
            assert_eq!(TILE.size(size, sar), tile, "{size:?} {sar:?}");
            assert_eq!(POSTER.size(size, sar), poster, "{size:?} {sar:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_size_is_too_large_or_odd(size in (1u32..20_000, 1u32..20_000), sar in (0u32..70_000, 0u32..70_000)) {
            let (width, height) = TILE.size(size, sar);
            assert!(width.max(height) <= 320 && width.min(height) <= 180 && width.min(height) >= 2);
            assert!(width % 2 == 0 && height % 2 == 0);
        }
    }

    #[test]
    fn one_colour_has_no_contrast() {
        assert_eq!(deviation([16u8; 1000].into_iter()), 0);
        assert_eq!(deviation([0u8, 255].into_iter()), 127);
        assert_eq!(deviation([100u8, 120].into_iter()), 10);
        assert_eq!(deviation(std::iter::empty()), 0);
    }
}
