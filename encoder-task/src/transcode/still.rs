//! One picture, held: encoded again and again as rungs that can't be told from those of the chunk that it comes from.

use std::sync::{Mutex, PoisonError};

use media::{
    chunk::{Chunk, VideoTrack},
    time::{FrameRate, Ticks, VIDEO_TIMESCALE},
};

use super::{
    EncodedTrack, LibavError, Plan, Sample, TranscodeError,
    decode::decode,
    libav::{ImageFormat, Picture, Scaler},
    order::decode_times,
    pipeline::{Sink, Works, schedule},
    rung::{Look, Shot},
};

/// A picture in 8-bit 4:2:0 with all that its chunk's parameter sets were made from.
pub(crate) struct Still {
    /// Of `look`'s size.
    picture: Picture,
    look: Look,
    /// The size that the ladder follows from: the chunk's.
    size: (u32, u32),
    rate: FrameRate,
}

impl std::fmt::Debug for Still {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Still").field("look", &self.look).field("rate", &self.rate).finish_non_exhaustive()
    }
}

impl Still {
    /// The picture of `chunk` that is shown last, as its viewers saw it: if it was damaged, what it was replaced with.
    pub(crate) fn last_of(chunk: &Chunk, video: &VideoTrack, plan: &Plan) -> Result<Self, TranscodeError> {
        let (times, rate) = schedule(video);
        let mut last = None;
        decode(chunk, video, &times, plan, &mut |shot| {
            last = Some(shot);
            true
        })?;
        let Some(Shot { picture, look }) = last else {
            return Err(TranscodeError::Undecodable { samples: times.len() });
        };
        let picture = Scaler::new(look.size.0, look.size.1).scale(&picture)?;
        Ok(Self { picture, look, size: (video.width, video.height), rate })
    }

    /// The same with another picture: the image as large as it fits, in the middle of black.
    pub(crate) fn with_image(
        &self,
        format: ImageFormat,
        file: &[u8],
        pixels_max: u32,
    ) -> Result<Self, LibavError> {
        let image = Picture::from_image(format, file, pixels_max)?;
        let Look { size, sar, colour } = self.look;
        let picture = image.letterboxed(size, sar, colour)?;
        Ok(Self { picture, ..*self })
    }

    /// How many frames fill `length`: as many as are whole, and at least one; the last one lasts for the rest.
    pub(crate) fn frames(&self, length: Ticks) -> usize {
        let per = i128::from(VIDEO_TIMESCALE) * i128::from(self.rate.den.max(1));
        let whole = i128::from(length) * i128::from(self.rate.num) / per;
        usize::try_from(whole).unwrap_or(0).max(1)
    }

    /// Encodes it as `frames` frames from time 0 on, at the source's rate, as every rung of the ladder, largest first.
    pub(crate) fn encode(&self, frames: usize, plan: &Plan) -> Result<Vec<EncodedTrack>, TranscodeError> {
        let mut times: Vec<Ticks> = (0i64..).take(frames + 1).map(|n| self.rate.ticks(n)).collect();
        let end = times.pop().unwrap_or(0);
        let works = Works::new(plan, self.size, times, end, self.rate);
        let shot = |tag: i64| -> Result<Shot, LibavError> {
            let mut picture = self.picture.share()?;
            picture.set_tag(tag);
            Ok(Shot { picture, look: self.look })
        };
        let feed = |out: &mut Sink<'_>| -> Result<(), TranscodeError> {
            for tag in (0i64..).take(frames) {
                if !out(shot(tag)?) {
                    break;
                }
            }
            Ok(())
        };
        let mut cascade = works.cascade();
        let again = |out: &mut Sink<'_>| -> Result<(), TranscodeError> {
            for tag in (0i64..).take(frames) {
                if cascade.scale(&shot(tag)?)?.is_some_and(|shot| !out(shot)) {
                    break;
                }
            }
            Ok(())
        };
        let (surveyed, ()) = works.survey(feed)?;
        let tracks = Mutex::new(Vec::new());
        works.encode(&surveyed, again, &|track| {
            tracks.lock().unwrap_or_else(PoisonError::into_inner).push(track);
        })?;
        let mut tracks: Vec<EncodedTrack> = tracks.into_inner().unwrap_or_else(PoisonError::into_inner);
        tracks.sort_by_key(|track| std::cmp::Reverse(track.rendition.rank()));
        Ok(tracks)
    }
}

impl EncodedTrack {
    /// A track that was encoded from time 0 on, moved to `start` and made to end at `end`. `None` if that is not after its last
    /// frame begins.
    pub(crate) fn placed(&self, start: Ticks, end: Ticks) -> Option<Self> {
        let shown: Vec<Ticks> = self.samples.iter().map(|sample| start + sample.pts).collect();
        let (decoded, last_end) = decode_times(&shown, end, self.delay)?;
        let ends = decoded.iter().skip(1).copied().chain([last_end]);
        let times = shown.iter().zip(decoded.iter().zip(ends));
        let samples = self.samples.iter().zip(times).map(|(sample, (pts, (dts, until)))| Sample {
            dts: *dts,
            pts: *pts,
            duration: until - dts,
            ..sample.clone()
        });
        Some(Self { samples: samples.collect(), ..self.clone() })
    }
}
