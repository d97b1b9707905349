//! One rung: takes pictures, hands them on scaled, encodes them and gives them their times.

use std::{
    path::Path,
    sync::mpsc::{Receiver, SyncSender},
};

use bytes::Bytes;
use media::{
    ladder::Rendition,
    time::{FrameRate, Ticks},
};

use super::{
    EncodedTrack, Preset, Sample, TranscodeError,
    libav::{Encoded, Encoder, LibavError, Pass, Picture, Scaler, Settings},
    nal,
    order::decode_times,
    params::{Colour, Pace, REORDER_FRAMES, scaled_sar, x264_options},
};

/// Pixels a second that one encoder thread is given: half of 1080p30, which a core does at the best preset in half the time it has.
const PIXELS_PER_THREAD: u64 = 1920 * 1080 * 30 / 2;
/// Threads of one encoder at most: each holds a few pictures more, and reaches less far back for what it refers to.
const ENCODER_THREADS_MAX: usize = 8;

/// What a rung is encoded from and by.
pub(super) struct Order<'a> {
    pub(super) rendition: &'a Rendition,
    pub(super) pace: &'a Pace,
    /// Where the last picture ends.
    pub(super) end: Ticks,
    pub(super) preset: Preset,
    /// The survey's statistics for its pace.
    pub(super) statistics: &'a Path,
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

impl Shot {
    /// Another handle on the same.
    pub(super) fn share(&self) -> Result<Self, LibavError> {
        Ok(Self { picture: self.picture.share()?, look: self.look })
    }
}

/// Threads of a rung's encoder: one, and one more for each further [`PIXELS_PER_THREAD`]. They follow from the format alone, not from the
/// machine, because another number gives other bytes.
fn encoder_threads(rendition: &Rendition, rate: FrameRate) -> usize {
    let pixels = u64::from(rendition.width) * u64::from(rendition.height) * u64::from(rate.num);
    let threads = pixels.div_ceil(u64::from(rate.den.max(1))).div_ceil(PIXELS_PER_THREAD);
    usize::try_from(threads).unwrap_or(1).clamp(1, ENCODER_THREADS_MAX)
}

/// Scales, passes on and encodes what comes.
pub(super) fn run(
    order: &Order<'_>,
    input: &Receiver<Shot>,
    to_next: Option<SyncSender<Shot>>,
) -> Result<EncodedTrack, TranscodeError> {
    let Order { rendition, pace, .. } = order;
    let size = (rendition.width, rendition.height);
    let mut scaler = Scaler::new(size.0, size.1);
    let mut rung: Option<(Encoder, (u32, u32), Colour)> = None;
    let mut encoded = Vec::with_capacity(pace.times.len());
    for Shot { picture, look } in input {
        // The rungs below are no faster than this one: what it leaves out, they leave out.
        let Some(tag) = picture.index().and_then(|index| pace.place(index)) else { continue };
        let mut scaled = scaler.scale(&picture)?;
        drop(picture);
        if let Some(to_next) = &to_next
            && to_next.send(Shot { picture: scaled.share()?, look }).is_err()
        {
            // The next rung has failed and says why itself; this one's work is for nothing.
            return Err(TranscodeError::Thread("rung"));
        }
        let encoder = match &mut rung {
            Some((encoder, ..)) => encoder,
            None => {
                let sar = scaled_sar(look.sar, look.size, size);
                let threads = encoder_threads(rendition, pace.rate);
                let length = order.end - pace.times.first().copied().unwrap_or(0);
                let options = x264_options(rendition, pace.rate, length, order.preset, threads);
                let rate = (pace.rate.num, pace.rate.den);
                let pass = Pass::Second(order.statistics);
                let settings = Settings { size, rate, sar, colour: look.colour, options: &options, pass };
                &mut rung.insert((Encoder::open(&settings)?, sar, look.colour)).0
            }
        };
        scaled.set_tag(tag);
        encoder.send(scaled)?;
        while let Some(picture) = encoder.receive() {
            encoded.push(picture);
        }
    }
    // Or the next rung would only end when all of this one is done.
    drop(to_next);
    let Some((mut encoder, sar, colour)) = rung else { return Err(TranscodeError::Thread("decoder")) };
    encoder.finish()?;
    while let Some(picture) = encoder.receive() {
        encoded.push(picture);
    }

    let broken = |what| TranscodeError::Encoder { rung: rendition.name.clone(), what };
    let (sps, pps) = nal::parameter_sets(&encoder.header()).ok_or_else(|| broken("no parameter sets"))?;
    let delay = pace.rate.ticks(REORDER_FRAMES);
    let samples = samples(&pace.times, order.end, delay, encoded).map_err(broken)?;
    let (rendition, frame_rate) = ((*rendition).clone(), Some(pace.rate));
    Ok(EncodedTrack { rendition, frame_rate, sar, colour, sps, pps, delay, samples })
}

/// What the encoder gave back, with its times. The error says how it broke its contract.
fn samples(
    times: &[Ticks],
    end: Ticks,
    delay: Ticks,
    encoded: Vec<Encoded>,
) -> Result<Vec<Sample>, &'static str> {
    if encoded.len() != times.len() {
        return Err("another number of pictures came out than went in");
    }
    let shown: Option<Vec<Ticks>> = encoded
        .iter()
        .map(|picture| usize::try_from(picture.tag).ok().and_then(|index| times.get(index).copied()))
        .collect();
    let shown = shown.ok_or("a picture has a time that none went in with")?;
    let (decoded, end) =
        decode_times(&shown, end, delay).ok_or("the order of its pictures has no decode times")?;
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
    fn large_rungs_get_more_threads_on_every_machine() {
        let threads = |width, height, fps| {
            let rate = FrameRate { num: fps, den: 1 };
            let renditions = Profile::P2160.renditions(width, height, Some(rate));
            encoder_threads(&renditions[0], rate)
        };
        assert_eq!(threads(640, 360, 30), 1);
        assert_eq!(threads(1280, 720, 30), 1);
        assert_eq!(threads(1280, 720, 60), 2);
        assert_eq!(threads(1920, 1080, 30), 2);
        assert_eq!(threads(3840, 2160, 30), 8);
        assert_eq!(threads(3840, 2160, 60), 8);
    }
}
