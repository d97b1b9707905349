//! The threads of one transcode: this one decodes, one per rung scales and encodes (`rung`). Rung *n* hands its scaled pictures to rung
//! *n + 1*, so that each scales from the next larger one. All channels are bounded; a rung that fails closes its end, which
//! stops those before it.

use std::{sync::mpsc::sync_channel, thread};

use media::{
    chunk::{Chunk, VideoTrack},
    ladder::Rendition,
    time::{FrameRate, Ticks},
    verdict::{Code, Verdict},
};

use super::{
    EncodedTrack, Plan, TranscodeError, Transcoded,
    libav::{Decoder, Picture},
    params::nominal_rate,
    rung::{self, Look, Shot, Timing},
};

/// Pictures between two threads: enough that neither waits for the other's jitter, few enough that 2160p stays below 100 MB a rung.
const PICTURES_IN_FLIGHT: usize = 6;
/// Decoder threads at most: more would only run ahead of the scalers.
const DECODER_THREADS_MAX: usize = 4;

/// Transcodes one chunk: every rendition of `plan.profile` that its pictures are large enough for.
///
/// A picture that can't be decoded is replaced by the one before it, so that count and timeline stay whole, and
/// [`Code::VideoCorrupt`] is among the warnings. Blocks for as long as it takes; uses about `plan.threads` cores.
///
/// # Errors
/// When not one picture can be decoded, or FFmpeg fails.
pub fn transcode(chunk: &Chunk, plan: &Plan) -> Result<Transcoded, TranscodeError> {
    let Some(video) = &chunk.header.video else {
        return Ok(Transcoded { tracks: Vec::new(), warnings: Vec::new() });
    };
    let (times, rate) = schedule(video);
    let renditions = plan.profile.renditions(video.width, video.height, Some(rate));
    let timing = Timing { times: &times, end: video.end, rate, plan };
    let (tracks, replaced) = encode(&timing, &renditions, |out| decode(chunk, video, &times, plan, out))?;
    let mut warnings = Vec::new();
    if replaced > 0 {
        warnings.push(Verdict::new(
            Code::VideoCorrupt,
            format!(
                "{replaced} of {} pictures arrived damaged and were repaired; check the encoder and the network",
                times.len()
            ),
        ));
    }
    Ok(Transcoded { tracks, warnings })
}

/// A track's presentation times in order, and the rate that it is encoded with.
pub(super) fn schedule(video: &VideoTrack) -> (Vec<Ticks>, FrameRate) {
    let mut times = video.pts.clone();
    times.sort_unstable();
    times.push(video.end);
    let rate = nominal_rate(video.frame_rate, &times);
    times.pop();
    (times, rate)
}

/// Takes a picture; `false` when nobody wants any more: what took them has failed and says why itself.
pub(super) type Sink<'a> = dyn FnMut(Shot) -> bool + 'a;

/// Encodes what `feed` gives, one picture for each of `timing`'s times and tagged with its index, as all `renditions`.
pub(super) fn encode<T>(
    timing: &Timing<'_>,
    renditions: &[Rendition],
    feed: impl FnOnce(&mut Sink<'_>) -> Result<T, TranscodeError>,
) -> Result<(Vec<EncodedTrack>, T), TranscodeError> {
    let (tracks, fed) = thread::scope(|scope| {
        let (to_first, mut from_before) = sync_channel(PICTURES_IN_FLIGHT);
        let mut rungs = Vec::with_capacity(renditions.len());
        for (n, rendition) in renditions.iter().enumerate() {
            let (to_next, from_this) = sync_channel(PICTURES_IN_FLIGHT);
            let input = std::mem::replace(&mut from_before, from_this);
            let to_next = (n + 1 < renditions.len()).then_some(to_next);
            let spawned = thread::Builder::new()
                .name(format!("rung-{}", rendition.name))
                .spawn_scoped(scope, move || rung::run(timing, rendition, &input, to_next.as_ref()));
            rungs.push(spawned.map_err(|_| TranscodeError::Thread("rung"))?);
        }
        let fed = feed(&mut |shot| to_first.send(shot).is_ok());
        drop(to_first);
        let tracks: Vec<Result<EncodedTrack, TranscodeError>> = rungs
            .into_iter()
            .map(|rung| rung.join().unwrap_or(Err(TranscodeError::Thread("rung"))))
            .collect();
        Ok::<_, TranscodeError>((tracks, fed))
    })?;
    // The feeder's error first: rungs that were given nothing fail in its wake.
    let fed = fed?;
    Ok((tracks.into_iter().collect::<Result<Vec<_>, _>>()?, fed))
}

/// Decodes the chunk and gives exactly one picture for each of its presentation `times`, in order, tagged with its index. Says how
/// many had to be replaced or were damaged.
pub(super) fn decode(
    chunk: &Chunk,
    video: &VideoTrack,
    times: &[Ticks],
    plan: &Plan,
    out: &mut Sink<'_>,
) -> Result<usize, TranscodeError> {
    let mut decoder = Decoder::open(video.codec, &video.config, plan.threads.clamp(1, DECODER_THREADS_MAX))?;
    let mut feed = Feed { times, out, next: 0, last: None, look: None, damaged: 0, closed: false };
    for (sample, pts) in chunk.video_samples().iter().zip(&video.pts) {
        // A sample that the decoder refuses shows as a picture that is missing.
        let _understood = decoder.send(sample, *pts);
        while let Some(picture) = decoder.receive() {
            feed.push(picture)?;
        }
        if feed.closed {
            return Ok(feed.damaged);
        }
    }
    decoder.finish();
    while let Some(picture) = decoder.receive() {
        feed.push(picture)?;
    }
    feed.finish()
}

/// Makes the sequence of decoded pictures whole.
struct Feed<'a, 'o> {
    times: &'a [Ticks],
    out: &'a mut Sink<'o>,
    /// Index of the picture that is due.
    next: usize,
    last: Option<Picture>,
    /// That of the first picture.
    look: Option<Look>,
    damaged: usize,
    /// Nobody takes pictures any more: the first rung has failed and says why itself.
    closed: bool,
}

impl Feed<'_, '_> {
    fn push(&mut self, picture: Picture) -> Result<(), TranscodeError> {
        let index = picture.tag().and_then(|tag| self.times.binary_search(&tag).ok());
        let Some(index) = index.filter(|index| *index >= self.next) else {
            // Twice, or too late: its place has been filled.
            return Ok(());
        };
        if picture.is_damaged() {
            self.damaged += 1;
        }
        // What is missing before it is shown as the picture before it; before the first, as the first.
        let filler = self.last.take().map_or_else(|| picture.share(), Ok)?;
        self.fill(&filler, index)?;
        self.send(picture.share()?)?;
        self.last = Some(picture);
        Ok(())
    }

    fn fill(&mut self, filler: &Picture, until: usize) -> Result<(), TranscodeError> {
        while self.next < until && !self.closed {
            self.damaged += 1;
            self.send(filler.share()?)?;
        }
        Ok(())
    }

    fn send(&mut self, mut picture: Picture) -> Result<(), TranscodeError> {
        let tag = i64::try_from(self.next).map_err(|_| TranscodeError::Thread("decoder"))?;
        let look = *self.look.get_or_insert_with(|| Look::of(&picture));
        picture.set_tag(tag);
        self.closed |= !(self.out)(Shot { picture, look });
        self.next += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<usize, TranscodeError> {
        let Some(last) = self.last.take() else {
            return Err(TranscodeError::Undecodable { samples: self.times.len() });
        };
        self.fill(&last, self.times.len())?;
        Ok(self.damaged)
    }
}
