//! One rung: takes pictures, hands them on scaled, encodes them and gives them their times.

use std::sync::mpsc::{Receiver, SyncSender};

use bytes::Bytes;
use media::{
    ladder::Rendition,
    time::{FrameRate, Ticks},
};

use super::{
    EncodedTrack, Plan, Sample, TranscodeError,
    libav::{Encoded, Encoder, Picture, Scaler, Settings},
    nal,
    order::decode_times,
    params::{Colour, REORDER_FRAMES, scaled_sar, x264_options},
};

/// Pixels a second that one encoder thread is given: 720p30, which a core does at the best preset in half the time it has.
const PIXELS_PER_THREAD: u64 = 1280 * 720 * 30;

/// What is the same for all rungs.
pub(super) struct Timing<'a> {
    /// Presentation times in order.
    pub(super) times: &'a [Ticks],
    /// Where the last picture ends.
    pub(super) end: Ticks,
    pub(super) rate: FrameRate,
    pub(super) plan: &'a Plan,
}

/// How the source is to be looked at. Carried with each picture, as scaling loses it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) size: (u32, u32),
    pub(super) sar: (u32, u32),
    pub(super) colour: Colour,
}

impl Look {
    pub(super) fn of(picture: &Picture) -> Self {
        let (width, height) = picture.size();
        Self { size: (width, height), sar: picture.sar(), colour: picture.colour().or_assumed(width, height) }
    }
}

/// What travels from thread to thread: a picture tagged with its index.
pub(super) struct Shot {
    pub(super) picture: Picture,
    pub(super) look: Look,
}

/// Threads of a rung's encoder: one, and one more for each further [`PIXELS_PER_THREAD`]. One is also what makes its bytes
/// repeatable: with several, x264's buffer model looks at how far the other threads happen to be.
fn encoder_threads(rendition: &Rendition, rate: FrameRate, cores: usize) -> usize {
    let pixels = u64::from(rendition.width) * u64::from(rendition.height) * u64::from(rate.num);
    let threads = pixels.div_ceil(u64::from(rate.den.max(1))).div_ceil(PIXELS_PER_THREAD);
    usize::try_from(threads).unwrap_or(1).clamp(1, cores.max(1))
}

/// Scales, passes on and encodes what comes.
pub(super) fn run(
    timing: &Timing<'_>,
    rendition: &Rendition,
    input: &Receiver<Shot>,
    to_next: Option<&SyncSender<Shot>>,
) -> Result<EncodedTrack, TranscodeError> {
    let size = (rendition.width, rendition.height);
    let mut scaler = Scaler::new(size.0, size.1);
    let mut rung: Option<(Encoder, (u32, u32), Colour)> = None;
    let mut encoded = Vec::with_capacity(timing.times.len());
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
                let rate = (timing.rate.num, timing.rate.den);
                let threads = encoder_threads(rendition, timing.rate, timing.plan.threads);
                let options =
                    x264_options(rendition, timing.rate, timing.times.len(), timing.plan.preset, threads);
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
    let delay = timing.rate.ticks(REORDER_FRAMES);
    let samples = samples(timing, delay, encoded).map_err(broken)?;
    let (rendition, frame_rate) = (rendition.clone(), timing.rate);
    Ok(EncodedTrack { rendition, frame_rate, sar, colour, sps, pps, delay, samples })
}

/// What the encoder gave back, with its times. The error says how it broke its contract.
fn samples(timing: &Timing<'_>, delay: Ticks, encoded: Vec<Encoded>) -> Result<Vec<Sample>, &'static str> {
    if encoded.len() != timing.times.len() {
        return Err("another number of pictures came out than went in");
    }
    let shown: Option<Vec<Ticks>> = encoded
        .iter()
        .map(|picture| usize::try_from(picture.tag).ok().and_then(|index| timing.times.get(index).copied()))
        .collect();
    let shown = shown.ok_or("a picture has a time that none went in with")?;
    let (decoded, end) =
        decode_times(&shown, timing.end, delay).ok_or("the order of its pictures has no decode times")?;
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
        return Err("the first picture, and no other, must be an IDR");
    }
    Ok(samples)
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
