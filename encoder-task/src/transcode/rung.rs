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
    params::{Colour, Pace, REORDER_FRAMES, asked_again, planned, scaled_sar, x264_options},
};

/// Pixels a second that one encoder thread is given: half of 1080p30, which a core does at the best preset in half the time it has.
const PIXELS_PER_THREAD: u64 = 1920 * 1080 * 30 / 2;
/// Threads of one encoder at most: each holds a few pictures more, and reaches less far back for what it refers to.
const ENCODER_THREADS_MAX: usize = 8;
/// A rung is encoded so often at most until it takes no more than it may: each time it is asked for less in proportion, which the second time is enough for all but
/// pure noise. Of that the smallest that x264 can make of it is taken.
const ATTEMPTS_MAX: u32 = 3;
/// How often the bit rate is doubled at most when x264 says that it is too low to be possible. It compares with the survey's own headers, of a few
/// thousand bit/s, which any rung's bit rate is above after as many.
const DOUBLINGS_MAX: u32 = 8;

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

impl Order<'_> {
    /// How long the GOP lasts.
    fn length(&self) -> Ticks {
        self.end - self.pace.times.first().copied().unwrap_or(0)
    }

    /// The first attempt at it.
    pub(super) fn attempt(&self) -> Attempt {
        Attempt { bit_rate: planned(self.rendition, self.length()), before: None, left: ATTEMPTS_MAX - 1 }
    }
}

/// One attempt at a rung.
pub(super) struct Attempt {
    /// What x264 is asked for, in bit/s.
    bit_rate: i64,
    /// What came of it so far, if that was more than it may take.
    before: Option<EncodedTrack>,
    /// How many more there may be. What comes of the last one is taken whatever its size.
    left: u32,
}

/// What became of an attempt.
pub(super) enum Made {
    /// A rung.
    Track(EncodedTrack),
    /// One that took too much: the next attempt.
    Over(Attempt),
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

/// Scales and passes on what comes, and encodes it if there is something to `attempt`.
pub(super) fn run(
    order: &Order<'_>,
    attempt: Option<Attempt>,
    input: &Receiver<Shot>,
    to_next: Option<SyncSender<Shot>>,
) -> Result<Option<Made>, TranscodeError> {
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
        let Some(Attempt { bit_rate, .. }) = &attempt else { continue };
        let encoder = match &mut rung {
            Some((encoder, ..)) => encoder,
            None => {
                let sar = scaled_sar(look.sar, look.size, size);
                &mut rung.insert((open(order, *bit_rate, sar, look.colour)?, sar, look.colour)).0
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
    let Some(Attempt { bit_rate, before, left }) = attempt else { return Ok(None) };
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
    let track = EncodedTrack { rendition, frame_rate, sar, colour, sps, pps, delay, samples };
    let again = asked_again(order.rendition, order.length(), bit_rate, bytes(&track));
    let least = match before {
        Some(before) if bytes(&before) <= bytes(&track) => before,
        _ => track,
    };
    Ok(Some(match again {
        Some(bit_rate) if left > 0 => Made::Over(Attempt { bit_rate, before: Some(least), left: left - 1 }),
        _ => Made::Track(least),
    }))
}

/// Opens an encoder for `bit_rate` bit/s, or for as little more as x264 holds to be possible.
fn open(order: &Order<'_>, bit_rate: i64, sar: (u32, u32), colour: Colour) -> Result<Encoder, LibavError> {
    let Order { rendition, pace, preset, statistics, .. } = order;
    let threads = encoder_threads(rendition, pace.rate);
    let with = |bit_rate| {
        Encoder::open(&Settings {
            size: (rendition.width, rendition.height),
            rate: (pace.rate.num, pace.rate.den),
            sar,
            colour,
            options: &x264_options(rendition, pace.rate, bit_rate, *preset, threads),
            pass: Pass::Second(statistics),
        })
    };
    let mut opened = with(bit_rate);
    for doublings in 1..=DOUBLINGS_MAX {
        if opened.is_ok() {
            break;
        }
        opened = with(bit_rate.saturating_mul(1 << doublings));
    }
    opened
}

/// What viewers fetch of it.
fn bytes(track: &EncodedTrack) -> usize {
    track.samples.iter().map(|sample| sample.data.len()).sum()
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
    use super::{super::survey::Surveyor, *};
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

    #[test]
    fn what_x264_holds_to_be_too_little_is_doubled_until_it_does_not() {
        let rate = FrameRate { num: 30, den: 1 };
        let times: Vec<Ticks> = (0i64..30).map(|n| rate.ticks(n)).collect();
        let pace = Pace::whole(&times, rate);
        let mut surveyor = Surveyor::new([&pace]).unwrap();
        for n in 0..30u8 {
            let mut picture =
                Picture::synthetic(320, 180, |x, y| (x * 7 + y * 13).to_le_bytes()[0] ^ n.wrapping_mul(97));
            picture.set_tag(n.into());
            surveyor.push(&picture).unwrap();
        }
        let statistics = surveyor.finish().unwrap();
        let rendition = &Profile::P360.renditions(320, 180, Some(rate))[0];
        let order = Order {
            rendition,
            pace: &pace,
            end: rate.ticks(30),
            preset: Preset::Ultrafast,
            statistics: &statistics.of(&pace),
        };
        let colour = Colour { primaries: 6, transfer: 6, matrix: 6, full_range: false };
        assert!(open(&order, 1000, (1, 1), colour).is_ok());
    }
}
