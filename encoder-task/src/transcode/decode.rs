//! A chunk's pictures, decoded and made whole: exactly one for each presentation time, whatever arrived damaged or not at all.

use media::{
    chunk::{Chunk, VideoTrack},
    time::{Ticks, VIDEO_TIMESCALE},
};

use super::{
    Plan, TranscodeError,
    libav::{Decoder, Picture},
    pipeline::Sink,
    rung::{Look, Shot},
};

/// Decoder threads at most: more would only run ahead of the scalers.
const DECODER_THREADS_MAX: usize = 4;
/// Pixels a second that one decoder thread is given: 1080p at 31 frames a second.
const DECODER_ALONE_MAX: u64 = 1920 * 1080 * 31;

/// Threads of the decoder: one up to 1080p30, which decodes many times as fast as it is shown and spares the rest what threads cost.
fn decoder_threads(video: &VideoTrack, times: &[Ticks], plan: &Plan) -> usize {
    let length = u64::try_from(video.end - times.first().copied().unwrap_or(0)).unwrap_or(0).max(1);
    let pictures = u64::try_from(times.len()).unwrap_or(u64::MAX);
    let pixels = (u64::from(video.width) * u64::from(video.height)).saturating_mul(pictures);
    let per_second = pixels.saturating_mul(VIDEO_TIMESCALE.into()) / length;
    if per_second <= DECODER_ALONE_MAX { 1 } else { plan.threads.clamp(1, DECODER_THREADS_MAX) }
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
    let mut decoder = Decoder::open(video.codec, &video.config, decoder_threads(video, times, plan))?;
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
