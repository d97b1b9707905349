//! What a hole on the live timeline is filled with while the publisher is away: the last picture held or a slate, and silence.
//!
//! Pure but for FFmpeg's work: no I/O, no clock. The same source, span and plan give the same bytes, on one machine and with
//! rungs of up to 720p30 (see `transcode`).
//! Invariants: the initialization segments are those of the chunk that the source was made from, to the byte, so that show and fill
//! share one Period and one Representation; pictures tile their span to the tick and begin with an IDR; sound is whole frames
//! of silence that end no later than asked.

mod image;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use media::{
    aac::{self, FRAME_SAMPLES},
    chunk::{AudioTrack, Chunk},
    time::{Ticks, VIDEO_TIMESCALE},
};

pub use self::image::{IMAGE_BYTES_MAX, IMAGE_PIXELS_MAX, IMAGE_SIDE_MAX, ImageError};
use crate::{
    cmaf::{self, PackageError, Packaged},
    transcode::{self, EncodedTrack, Plan, Still, TranscodeError},
};
use image::ImageFile;

/// Longest span in seconds: a segment of the fill is no longer than the longest GOP. Longer holes take several.
pub const SPAN_SECONDS_MAX: u32 = 10;
/// Encoded lengths that a source keeps. Fills of one broadcast alternate between two: the usual segment's, and that of one that
/// is cut short or is a frame longer as its span is no multiple of the frame's.
const KEPT_MAX: usize = 2;
/// What `mfhd` says: each segment of the fill is a fragment of its own, as the first chunk of a publish is.
const SEQUENCE: u32 = 1;
/// No presentation time is further from 0: 400 000 years, and sums stay within their type.
const TIME_MAX: Ticks = 1 << 60;

/// Where one segment of the fill lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Presentation time at which the pictures begin, in 1/90 000 s.
    pub video_start: Ticks,
    /// Presentation time at which the last picture ends, in 1/90 000 s; after `video_start` by at most [`SPAN_SECONDS_MAX`].
    pub video_end: Ticks,
    /// Presentation time at which the sound begins, in samples: where the sound before it ended. Without it there is no sound.
    pub audio_start: Option<Ticks>,
    /// Presentation time that no frame of sound passes, in samples; after `audio_start` by at most [`SPAN_SECONDS_MAX`].
    pub audio_end_at_most: Ticks,
    /// Something follows there: the last frame of silence lasts until then, so that players find no gap.
    pub audio_joins: bool,
}

/// Why a hole can't be filled.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// The chunk's last picture can't be decoded, or the pictures of the fill can't be encoded.
    #[error(transparent)]
    Transcode(#[from] TranscodeError),
    /// The segments can't be written.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The slate can't be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The span is none that can be filled.
    #[error("the span {0}")]
    Span(&'static str),
}

/// What fills of one broadcast are made from: a picture, and what its sound is like. Holds one picture in memory and the few
/// encoded lengths that it keeps, each as large as the segments that are made of it (2 s of a 720p ladder: 250 kB).
#[derive(Debug)]
pub struct Source {
    still: Option<Arc<Still>>,
    sound: Option<SoundFormat>,
    /// The latest first.
    kept: Mutex<VecDeque<Kept>>,
}

#[derive(Debug, Clone)]
struct SoundFormat {
    /// Without frames.
    track: AudioTrack,
    silence: Bytes,
}

/// Rungs encoded from time 0 on.
#[derive(Debug)]
struct Kept {
    frames: usize,
    plan: Plan,
    tracks: Arc<Vec<EncodedTrack>>,
}

impl Source {
    /// Takes from a stored chunk its last picture (in the order of presentation), frame rate and kind of sound; what the chunk lacks,
    /// the fill lacks. The rate is [`crate::transcode::nominal_rate`]'s. Decodes the chunk, which blocks for as long as it takes.
    ///
    /// # Errors
    /// When not one of its pictures can be decoded, or FFmpeg fails.
    pub fn last_picture(chunk: &Chunk, plan: &Plan) -> Result<Self, FillError> {
        let video = chunk.header.video.as_ref();
        let still = video.map(|video| Still::last_of(chunk, video, plan)).transpose()?.map(Arc::new);
        let sound = chunk.header.audio.as_ref().map(|audio| SoundFormat {
            silence: aac::silence(transcode::sound::format(audio).channels),
            track: transcode::sound::format(audio),
        });
        Ok(Self { still, sound, kept: Mutex::default() })
    }

    /// The same with another picture: a PNG or JPEG file, scaled to fit inside the source's shape as shown, with black around it. Its
    /// pixels count as square; orientation and colour profile are not looked at. Of a source without pictures nothing changes.
    ///
    /// # Errors
    /// [`FillError::Image`] when the file can't be used, whether or not the source has pictures.
    pub fn with_slate(&self, image: &[u8]) -> Result<Self, FillError> {
        let file = ImageFile::check(image)?;
        let slate = |still: &Arc<Still>| still.with_image(file.format, &file.bytes, IMAGE_PIXELS_MAX);
        let still = self.still.as_ref().map(slate).transpose().map_err(ImageError::Undecodable)?;
        Ok(Self { still: still.map(Arc::new), sound: self.sound.clone(), kept: Mutex::default() })
    }

    /// Fills `span`: a segment per rung of `plan`'s ladder, largest first, then one of silence if at least one frame of it fits.
    /// A new length is encoded, which blocks for as long as it takes; a length that was filled before is only placed anew.
    ///
    /// # Errors
    /// When the span is empty, too long or before the media time's origin, or FFmpeg fails.
    pub fn fill(&self, span: &Span, plan: &Plan) -> Result<Vec<Packaged>, FillError> {
        let mut out = Vec::new();
        if let Some(still) = &self.still {
            let length = length(span.video_start, span.video_end, VIDEO_TIMESCALE)?;
            if length == 0 {
                return Err(FillError::Span("is empty"));
            }
            for track in self.encoded(still, still.frames(length), plan)?.iter() {
                let placed = track.placed(span.video_start, span.video_end);
                let placed = placed.ok_or(FillError::Span("has no room for its frames"))?;
                out.push(cmaf::package_video(&placed, (span.video_start, span.video_end), SEQUENCE)?);
            }
        }
        if let (Some(sound), Some(start)) = (&self.sound, span.audio_start) {
            out.extend(sound.fill(start, span.audio_end_at_most.max(start), span.audio_joins)?);
        }
        Ok(out)
    }

    /// The rungs, encoded now or before.
    fn encoded(
        &self,
        still: &Still,
        frames: usize,
        plan: &Plan,
    ) -> Result<Arc<Vec<EncodedTrack>>, TranscodeError> {
        let of = |kept: &Kept| kept.frames == frames && kept.plan == *plan;
        // Nothing that could panic is done while the lock is held.
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut kept = lock();
            if let Some(found) = kept.iter().position(of).and_then(|at| kept.remove(at)) {
                let tracks = Arc::clone(&found.tracks);
                kept.push_front(found);
                return Ok(tracks);
            }
        }
        let tracks = Arc::new(still.encode(frames, plan)?);
        let mut kept = lock();
        kept.push_front(Kept { frames, plan: *plan, tracks: Arc::clone(&tracks) });
        kept.truncate(KEPT_MAX);
        Ok(tracks)
    }
}

impl SoundFormat {
    /// Silence from `start` on, in whole frames, none of which passes `end`; if it `joins` what follows there, the last one lasts until then.
    fn fill(&self, start: Ticks, end: Ticks, joins: bool) -> Result<Option<Packaged>, FillError> {
        let frame = Ticks::from(FRAME_SAMPLES);
        let length = length(start, end, self.track.sample_rate)?;
        let frames = usize::try_from(length / frame).unwrap_or(0);
        let rest = if joins { u32::try_from(length % frame).unwrap_or(0) } else { 0 };
        let mut durations = vec![FRAME_SAMPLES; frames];
        match durations.last_mut() {
            Some(last) => *last += rest,
            None => return Ok(None),
        }
        let size = u32::try_from(self.silence.len()).unwrap_or(0);
        let track = AudioTrack {
            start,
            end: start + durations.iter().map(|duration| Ticks::from(*duration)).sum::<Ticks>(),
            durations,
            sizes: vec![size; frames],
            ..self.track.clone()
        };
        Ok(Some(cmaf::package_audio(&track, &vec![self.silence.clone(); frames], SEQUENCE)?))
    }
}

/// How long a span is, in ticks of `timescale`; an error if it ends before it starts, or is too long.
fn length(start: Ticks, end: Ticks, timescale: u32) -> Result<Ticks, FillError> {
    if !(-TIME_MAX..=TIME_MAX).contains(&start) || !(-TIME_MAX..=TIME_MAX).contains(&end) {
        return Err(FillError::Span("is nowhere near the broadcast"));
    }
    match end - start {
        length if length < 0 => Err(FillError::Span("ends before it starts")),
        length if length > Ticks::from(SPAN_SECONDS_MAX) * Ticks::from(timescale) => {
            Err(FillError::Span("is too long"))
        }
        length => Ok(length),
    }
}
