//! What must hold of a storyboard: every image is what it is declared as, has its chunk's place on the timeline, and shows its chunk.

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    check::{Faults, Shown},
    mpd::{Period, Track, ticks_to_seconds},
    presentation::Presentation,
    stamp,
};

/// A picture is at a time if it is no further from it than this, in seconds.
const SAME: f64 = 0.001;
/// Largest that an image may be, in bytes: a viewer who drags along the seek bar fetches many.
const BYTES_MAX: usize = 40_000;

/// Checks every image by itself: a JPEG of the declared size that a decoder has nothing to say about, at the place of a chunk.
///
/// # Errors
/// When an image can't be read.
pub(crate) fn images(faults: &mut Faults, presentation: &Presentation) -> Result<()> {
    for period in &presentation.mpd.periods {
        for track in &period.images {
            let place = format!("period {} {}", period.id, track.id);
            for named in &track.segments {
                let bytes = presentation.object(&named.url)?;
                let size = size(bytes);
                faults.check(size.is_some() && size == track.width.zip(track.height), || {
                    format!("{place} t={}: {size:?}, not {:?}×{:?}", named.time, track.width, track.height)
                });
                faults.check(bytes.len() < BYTES_MAX, || {
                    format!("{place} t={}: {} bytes", named.time, bytes.len())
                });
            }
            let Some(video) = period.tracks.iter().find(|t| t.is_video()) else {
                faults.check(false, || format!("{place}: no pictures that it could be of"));
                continue;
            };
            let alike = (video.timescale, video.offset) == (track.timescale, track.offset);
            faults.check(alike, || format!("{place}: another time line than that of the pictures"));
            let is_chunk = |t, d| video.segments.iter().any(|s| (s.time, s.duration) == (t, d));
            for named in track.segments.iter().filter(|s| !is_chunk(s.time, s.duration)) {
                faults.check(false, || format!("{place} t={}: there is no such segment", named.time));
            }
            let pictures = pictures(presentation, track)?.len();
            faults.check(pictures == track.segments.len(), || {
                format!("{place}: {pictures} pictures in {} images", track.segments.len())
            });
        }
    }
    Ok(())
}

/// Checks that every chunk has an image, and that it shows the chunk's first picture. `shown` is what its viewers see.
///
/// # Errors
/// When an image can't be read.
pub(crate) fn whole(faults: &mut Faults, presentation: &Presentation, shown: &[Shown]) -> Result<()> {
    for period in &presentation.mpd.periods {
        let Some(video) = period.tracks.iter().find(|t| t.is_video()) else { continue };
        let [track] = period.images.as_slice() else {
            faults.check(false, || format!("period {}: {} storyboards", period.id, period.images.len()));
            continue;
        };
        faults.check(track.segments.len() == video.segments.len(), || {
            let (images, chunks) = (track.segments.len(), video.segments.len());
            format!("period {}: {images} images of {chunks} chunks", period.id)
        });
        for (named, picture) in track.segments.iter().zip(pictures(presentation, track)?) {
            let at = seconds(period, track, named.time);
            let wanted = shown.iter().find(|shown| (shown.seconds - at).abs() < SAME);
            let (wanted, got) = (wanted.map(|shown| shown.picture.stamp), picture.stamp);
            faults.check(wanted == Some(got) && got.is_some(), || {
                format!(
                    "period {} t={}: the image shows {got:?}, viewers see {wanted:?}",
                    period.id, named.time
                )
            });
        }
    }
    Ok(())
}

fn seconds(period: &Period, track: &Track, time: u64) -> f64 {
    period.start + ticks_to_seconds(time.saturating_sub(track.offset), track.timescale)
}

/// What the images of a track show, decoded strictly.
fn pictures(presentation: &Presentation, track: &Track) -> Result<Vec<stamp::Picture>> {
    let folder = TempDir::new()?;
    let file = folder.path().join("all.mjpeg");
    let mut all = Vec::new();
    for named in &track.segments {
        all.extend_from_slice(presentation.object(&named.url)?);
    }
    std::fs::write(&file, all)?;
    stamp::read_file(&file).with_context(|| format!("the images of {}", track.id))
}

/// Width and height of a baseline JPEG (ITU-T T.81, B.2).
fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
    loop {
        let [0xff, kind, high, low, ..] = *rest else { return None };
        if kind == 0xc0 {
            let [_, _, _, _, _, h1, h0, w1, w0, ..] = *rest else { return None };
            let of = |high: u8, low: u8| u32::from(u16::from_be_bytes([high, low]));
            return Some((of(w1, w0), of(h1, h0)));
        }
        rest = rest.get(2 + usize::from(u16::from_be_bytes([high, low]))..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_jpeg_says_its_size_behind_other_segments() {
        let mut file = vec![0xff, 0xd8, 0xff, 0xfe, 0, 4, 1, 2, 0xff, 0xc0, 0, 11, 8, 0, 180, 1, 64, 3, 1];
        assert_eq!(size(&file), Some((320, 180)));
        file.truncate(14);
        assert_eq!(size(&file), None);
        assert_eq!(size(b"\x89PNG"), None);
    }
}
