//! The threads of one transcode: this one decodes, one per rung scales and encodes. Rung *n* hands its scaled pictures to rung
//! *n + 1*, so that each scales from the next larger one. All channels are bounded; a rung that fails closes its end, which
//! stops those before it.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use bytes::Bytes;
use media::{
    chunk::{Chunk, VideoTrack},
    ladder::Rendition,
    time::{FrameRate, Ticks},
    verdict::{Code, Verdict},
};

use super::{
    EncodedTrack, Plan, Sample, TranscodeError, Transcoded,
    libav::{Decoder, Encoder, Picture, Scaler, Settings},
    nal,
    order::decode_times,
    params::{Colour, REORDER_FRAMES, nominal_rate, scaled_sar, x264_options},
};

/// Pictures between two threads: enough that neither waits for the other's jitter, few enough that 2160p stays below 100 MB a rung.
const PICTURES_IN_FLIGHT: usize = 6;
/// Decoder threads at most: more would only run ahead of the scalers.
const DECODER_THREADS_MAX: usize = 4;

/// Pixels a second that one encoder thread is given: 720p30, which a core does at the best preset in half the time it has.
const PIXELS_PER_THREAD: u64 = 1280 * 720 * 30;

/// What is the same for all rungs of a chunk.
struct Source<'a> {
    video: &'a VideoTrack,
    /// Presentation times in order.
    times: Vec<Ticks>,
    rate: FrameRate,
    plan: &'a Plan,
}

/// How the source is to be looked at. Carried with each picture, as scaling loses it.
#[derive(Clone, Copy)]
struct Look {
    size: (u32, u32),
    sar: (u32, u32),
    colour: Colour,
}

/// What travels from thread to thread: a picture tagged with its index.
struct Shot {
    picture: Picture,
    look: Look,
}

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
    let mut times = video.pts.clone();
    times.sort_unstable();
    let mut with_end = times.clone();
    with_end.push(video.end);
    let rate = nominal_rate(video.frame_rate, &with_end);
    let source = Source { video, times, rate, plan };
    let renditions = plan.profile.renditions(video.width, video.height, Some(rate));

    let (tracks, decoded) = thread::scope(|scope| {
        let (to_first, mut from_before) = sync_channel(PICTURES_IN_FLIGHT);
        let mut rungs = Vec::with_capacity(renditions.len());
        for (n, rendition) in renditions.iter().enumerate() {
            let (to_next, from_this) = sync_channel(PICTURES_IN_FLIGHT);
            let input = std::mem::replace(&mut from_before, from_this);
            let to_next = (n + 1 < renditions.len()).then_some(to_next);
            let source = &source;
            let spawned = thread::Builder::new()
                .name(format!("rung-{}", rendition.name))
                .spawn_scoped(scope, move || run_rung(source, rendition, &input, to_next.as_ref()));
            rungs.push(spawned.map_err(|_| TranscodeError::Thread("rung"))?);
        }
        let decoded = decode(chunk, &source, &to_first);
        drop(to_first);
        let tracks: Vec<Result<EncodedTrack, TranscodeError>> = rungs
            .into_iter()
            .map(|rung| rung.join().unwrap_or(Err(TranscodeError::Thread("rung"))))
            .collect();
        Ok::<_, TranscodeError>((tracks, decoded))
    })?;
    // The decoder's error first: rungs that were given nothing fail in its wake.
    let replaced = decoded?;
    let tracks = tracks.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut warnings = Vec::new();
    if replaced > 0 {
        warnings.push(Verdict::new(
            Code::VideoCorrupt,
            format!(
                "{replaced} of {} pictures arrived damaged and were repaired; check the encoder and the network",
                source.times.len()
            ),
        ));
    }
    Ok(Transcoded { tracks, warnings })
}

/// Threads of a rung's encoder: one, and one more for each further [`PIXELS_PER_THREAD`]. One is also what makes its bytes
/// repeatable: with several, x264's buffer model looks at how far the other threads happen to be.
fn encoder_threads(rendition: &Rendition, rate: FrameRate, cores: usize) -> usize {
    let pixels = u64::from(rendition.width) * u64::from(rendition.height) * u64::from(rate.num);
    let threads = pixels.div_ceil(u64::from(rate.den.max(1))).div_ceil(PIXELS_PER_THREAD);
    usize::try_from(threads).unwrap_or(1).clamp(1, cores.max(1))
}

/// Decodes the chunk and sends exactly one picture for each presentation time, in order, tagged with its index. Gives how many
/// had to be replaced or were damaged.
fn decode(chunk: &Chunk, source: &Source<'_>, out: &SyncSender<Shot>) -> Result<usize, TranscodeError> {
    let mut decoder = Decoder::open(&source.video.config, source.plan.threads.clamp(1, DECODER_THREADS_MAX))?;
    let mut feed =
        Feed { times: &source.times, out, next: 0, last: None, look: None, damaged: 0, closed: false };
    for (sample, pts) in chunk.video_samples().iter().zip(&source.video.pts) {
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
struct Feed<'a> {
    times: &'a [Ticks],
    out: &'a SyncSender<Shot>,
    /// Index of the picture that is due.
    next: usize,
    last: Option<Picture>,
    /// That of the first picture.
    look: Option<Look>,
    damaged: usize,
    /// Nobody takes pictures any more: the first rung has failed and says why itself.
    closed: bool,
}

impl Feed<'_> {
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
        let look = *self.look.get_or_insert_with(|| {
            let (width, height) = picture.size();
            Look {
                size: (width, height),
                sar: picture.sar(),
                colour: picture.colour().or_assumed(width, height),
            }
        });
        picture.set_tag(tag);
        self.closed |= self.out.send(Shot { picture, look }).is_err();
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

/// Scales, passes on and encodes what comes.
fn run_rung(
    source: &Source<'_>,
    rendition: &Rendition,
    input: &Receiver<Shot>,
    to_next: Option<&SyncSender<Shot>>,
) -> Result<EncodedTrack, TranscodeError> {
    let size = (rendition.width, rendition.height);
    let mut scaler = Scaler::new(size.0, size.1);
    let mut rung: Option<(Encoder, (u32, u32), Colour)> = None;
    let mut encoded = Vec::with_capacity(source.times.len());
    for Shot { picture, look } in input {
        let scaled = scaler.scale(&picture)?;
        drop(picture);
        if let Some(to_next) = to_next
            && to_next.send(Shot { picture: scaled.share()?, look }).is_err()
        {
            // The next rung has failed and says why itself; this one's work is for nothing.
            return Err(TranscodeError::Thread("rung"));
        }
        let encoder = match &mut rung {
            Some((encoder, ..)) => encoder,
            None => {
                let sar = scaled_sar(look.sar, look.size, size);
                let rate = (source.rate.num, source.rate.den);
                let threads = encoder_threads(rendition, source.rate, source.plan.threads);
                let options =
                    x264_options(rendition, source.rate, source.times.len(), source.plan.preset, threads);
                let settings = Settings { size, rate, sar, colour: look.colour, options: &options };
                &mut rung.insert((Encoder::open(&settings)?, sar, look.colour)).0
            }
        };
        encoder.send(scaled)?;
        while let Some(picture) = encoder.receive() {
            encoded.push(picture);
        }
    }
    let Some((mut encoder, sar, colour)) = rung else { return Err(TranscodeError::Thread("decoder")) };
    encoder.finish()?;
    while let Some(picture) = encoder.receive() {
        encoded.push(picture);
    }

    let broken = |what| TranscodeError::Encoder { rung: rendition.name.clone(), what };
    let (sps, pps) = nal::parameter_sets(&encoder.header()).ok_or_else(|| broken("no parameter sets"))?;
    if encoded.len() != source.times.len() {
        return Err(broken("another number of pictures came out than went in"));
    }
    let shown: Option<Vec<Ticks>> = encoded
        .iter()
        .map(|picture| usize::try_from(picture.tag).ok().and_then(|index| source.times.get(index).copied()))
        .collect();
    let shown = shown.ok_or_else(|| broken("a picture has a time that none went in with"))?;
    let delay = source.rate.ticks(REORDER_FRAMES);
    let (decoded, end) = decode_times(&shown, source.video.end, delay)
        .ok_or_else(|| broken("the order of its pictures has no decode times"))?;
    let ends = decoded.iter().skip(1).copied().chain([end]);
    let samples: Vec<Sample> = encoded
        .into_iter()
        .zip(shown)
        .zip(decoded.iter().zip(ends))
        .map(|((picture, pts), (dts, until))| {
            let (data, idr) = nal::to_sample(&picture.stream);
            Sample { dts: *dts, pts, duration: until - dts, idr, data: Bytes::from(data) }
        })
        .collect();
    if samples.iter().enumerate().any(|(n, sample)| sample.idr != (n == 0)) {
        return Err(broken("the first picture, and no other, must be an IDR"));
    }
    let (rendition, frame_rate) = (rendition.clone(), source.rate);
    Ok(EncodedTrack { rendition, frame_rate, sar, colour, sps, pps, delay, samples })
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::ladder::Profile;

    #[test]
    fn large_rungs_get_more_threads_if_there_are_cores() {
        let threads = |width, height, fps, cores| {
            let rate = FrameRate { num: fps, den: 1 };
            let renditions = Profile::P2160.renditions(width, height, Some(rate));
            encoder_threads(&renditions[0], rate, cores)
        };
        assert_eq!(threads(1280, 720, 30, 8), 1);
        assert_eq!(threads(1280, 720, 60, 8), 2);
        assert_eq!(threads(1920, 1080, 30, 8), 3);
        assert_eq!(threads(1920, 1080, 30, 2), 2);
        assert_eq!(threads(3840, 2160, 60, 32), 18);
        assert_eq!(threads(640, 360, 30, 0), 1);
    }
}
