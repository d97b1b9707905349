//! What this machine can do, measured, and what that is enough for.
//!
//! The one place of the module that looks at a clock, and that at each thread's own: processor time does not depend on what else the
//! machine happens to be doing while it is measured, such as starting the rest of the stack.

use std::{thread, time::Duration};

use media::{
    ladder::{Profile, Rendition},
    time::{FrameRate, Ticks},
};
use nix::time::{ClockId, clock_gettime};

use super::{
    Preset, TranscodeError,
    libav::{Encoder, Pass, Picture, Settings},
    params::{Colour, Pace, planned, x264_options},
    survey::Surveyor,
};

/// Frames that each core encodes per preset and round: about a tenth of a second's work at the slowest preset.
const FRAMES: usize = 15;
/// Each preset is measured so often, in turn with the others, and the fastest time counts. What else there is on a machine (caches that are cold,
/// a neighbour on the other half of the core) costs processor time as well; it can only make a time longer than what the work takes.
const ROUNDS: usize = 3;
/// Size of the test picture: large enough that setting up an encoder does not count.
const SIZE: (u32, u32) = (640, 360);
/// Share of the measured capacity that a live broadcast may take, in percent. A GOP is then done in a third of its duration on an
/// idle machine, and in two thirds on one that is as busy again with publishers, uploads, players or a second broadcast.
const LOAD_PERCENT: u64 = 33;
/// What decoding and scaling cost on top of surveying and encoding, in percent of its cost. Measured at 720p30 and 4 Mbit/s, in seconds of one core
/// for each second: decoding H.264 0.07, HEVC 0.12, AV1 0.06 (dav1d), scaling 0.05. What HEVC costs more is a few percent of the
/// ladder, which [`LOAD_PERCENT`] leaves room for.
const OVERHEAD_PERCENT: u64 = 25;

/// Pixels per second that this machine transcodes with all its cores, per preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// With [`Preset::Veryfast`].
    pub veryfast: u64,
    /// With [`Preset::Superfast`].
    pub superfast: u64,
    /// With [`Preset::Ultrafast`].
    pub ultrafast: u64,
}

impl Capacity {
    /// Pixels per second with `preset`.
    #[must_use]
    pub fn of(&self, preset: Preset) -> u64 {
        match preset {
            Preset::Veryfast => self.veryfast,
            Preset::Superfast => self.superfast,
            Preset::Ultrafast => self.ultrafast,
        }
    }

    /// Whether a live ladder of `profile` at `fps` frames a second leaves the reserve that live needs.
    #[must_use]
    pub fn holds(&self, profile: Profile, fps: u32, preset: Preset) -> bool {
        profile.pixels_per_second(fps) <= self.of(preset) / 100 * LOAD_PERCENT
    }
}

/// The best preset with which `capacity` holds `profile` at `fps` frames a second; the fastest if none does.
#[must_use]
pub fn choose_preset(capacity: &Capacity, profile: Profile, fps: u32) -> Preset {
    let holds = |preset: &&Preset| capacity.holds(profile, fps, **preset);
    Preset::BEST_FIRST.iter().find(holds).copied().unwrap_or(Preset::Ultrafast)
}

/// The largest profile that `capacity` holds at `fps` frames a second with `preset`; the smallest if none.
#[must_use]
pub fn highest_profile(capacity: &Capacity, fps: u32, preset: Preset) -> Profile {
    let holds = |profile: &&Profile| capacity.holds(**profile, fps, preset);
    Profile::ALL.iter().rev().find(holds).copied().unwrap_or(Profile::P360)
}

/// Measures what `cores` cores can do, by encoding synthetic pictures on all of them at once; takes about half a second of each.
///
/// # Errors
/// When FFmpeg lacks libx264, or fails.
pub fn measure(cores: usize) -> Result<Capacity, TranscodeError> {
    let cores = cores.max(1);
    let pictures: Vec<Picture> = (0..FRAMES).map(test_picture).collect();
    let busy = |preset| -> Result<Duration, TranscodeError> {
        thread::scope(|scope| {
            let mut workers = Vec::with_capacity(cores);
            for _ in 0..cores {
                let worker = thread::Builder::new().name("measure".to_owned());
                let spawned = worker.spawn_scoped(scope, || timed(|| encode(&pictures, preset)));
                workers.push(spawned.map_err(|_| TranscodeError::Thread("measuring"))?);
            }
            workers.into_iter().try_fold(Duration::ZERO, |sum, worker| {
                Ok(sum + worker.join().unwrap_or(Err(TranscodeError::Thread("measuring")))?)
            })
        })
    };
    let mut least = [Duration::MAX; Preset::BEST_FIRST.len()];
    for _ in 0..ROUNDS {
        for (least, preset) in least.iter_mut().zip(Preset::BEST_FIRST) {
            *least = busy(*preset)?.min(*least);
        }
    }
    let [veryfast, superfast, ultrafast] = least.map(|busy| pixels_per_second(cores, busy));
    Ok(Capacity { veryfast, superfast, ultrafast })
}

/// The processor time that `work` takes of this thread, which does all of it: one encoder thread is the calling one.
fn timed(work: impl FnOnce() -> Result<(), TranscodeError>) -> Result<Duration, TranscodeError> {
    let now = || {
        let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
        time.map(Duration::from).map_err(|_| TranscodeError::Thread("measuring"))
    };
    let started = now()?;
    work()?;
    Ok(now()?.saturating_sub(started))
}

/// What `cores` cores do in a second, if each has done all pictures once in `busy` seconds altogether.
fn pixels_per_second(cores: usize, busy: Duration) -> u64 {
    let number = |n: usize| u128::try_from(n).unwrap_or(u128::MAX);
    let pixels = number(FRAMES) * u128::from(SIZE.0) * u128::from(SIZE.1);
    let per_core = pixels * number(cores) * 1_000_000 / busy.as_micros().max(1);
    let all = per_core * number(cores) * 100 / u128::from(100 + OVERHEAD_PERCENT);
    u64::try_from(all).unwrap_or(u64::MAX)
}

/// Surveys and encodes all pictures as one GOP, on this thread.
fn encode(pictures: &[Picture], preset: Preset) -> Result<(), TranscodeError> {
    let rate = FrameRate { num: 30, den: 1 };
    let rendition = Rendition {
        name: "measure".to_owned(),
        width: SIZE.0,
        height: SIZE.1,
        bit_rate: 700_000,
        halved: false,
    };
    let times: Vec<Ticks> = (0i64..).take(pictures.len()).map(|n| rate.ticks(n)).collect();
    let length = times.last().copied().unwrap_or(0) + rate.ticks(1);
    let pace = Pace::whole(&times, rate);
    let tagged = || {
        (0i64..).zip(pictures).map(|(tag, picture)| {
            let mut picture = picture.share()?;
            picture.set_tag(tag);
            Ok::<_, TranscodeError>(picture)
        })
    };
    let mut surveyor = Surveyor::new([&pace])?;
    for picture in tagged() {
        surveyor.push(&picture?)?;
    }
    let statistics = surveyor.finish()?;
    let settings = Settings {
        size: SIZE,
        rate: (rate.num, rate.den),
        sar: (1, 1),
        colour: Colour { primaries: 6, transfer: 6, matrix: 6, full_range: false },
        options: &x264_options(&rendition, rate, planned(&rendition, length), preset, 1),
        pass: Pass::Second(&statistics.of(&pace)),
    };
    let mut encoder = Encoder::open(&settings)?;
    for picture in tagged() {
        encoder.send(picture?)?;
        // It takes no more than it has room to give.
        while encoder.receive().is_some() {}
    }
    encoder.finish()?;
    while encoder.receive().is_some() {}
    Ok(())
}

/// Picture `n` of a scene with what costs an encoder time: texture that moves, an edge that moves otherwise, and noise.
fn test_picture(n: usize) -> Picture {
    let mut noise: u32 = u32::try_from(n).unwrap_or(0).wrapping_mul(0x9e37_79b9) | 1;
    let mut grain = move || {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        u8::try_from(noise & 7).unwrap_or(0)
    };
    Picture::synthetic(SIZE.0, SIZE.1, move |x, y| {
        let texture = (((x + 3 * n) / 5 * 37) ^ ((y + n) / 7 * 91)) & 0x3f;
        let shape = if (x + 5 * n) % 320 + y % 180 < 200 { 96 } else { 40 };
        u8::try_from(texture + shape).unwrap_or(u8::MAX).saturating_add(grain())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_preset_that_leaves_a_reserve_is_chosen() {
        let capacity = Capacity { veryfast: 130_000_000, superfast: 180_000_000, ultrafast: 400_000_000 };
        assert_eq!(choose_preset(&capacity, Profile::P480, 30), Preset::Veryfast);
        assert_eq!(choose_preset(&capacity, Profile::P720, 30), Preset::Superfast);
        assert_eq!(choose_preset(&capacity, Profile::P720, 60), Preset::Ultrafast);
        assert_eq!(choose_preset(&capacity, Profile::P2160, 60), Preset::Ultrafast);
        assert_eq!(highest_profile(&capacity, 30, Preset::Veryfast), Profile::P480);
        assert_eq!(highest_profile(&capacity, 30, Preset::Ultrafast), Profile::P1080);
        let slow = Capacity { veryfast: 1, superfast: 1, ultrafast: 1 };
        assert_eq!(highest_profile(&slow, 30, Preset::Ultrafast), Profile::P360);
    }

    #[test]
    fn a_machine_can_do_something_with_each_preset() {
        let capacity = measure(1).unwrap();
        assert!(Preset::BEST_FIRST.iter().all(|preset| capacity.of(*preset) > 0), "{capacity:?}");
    }

    #[test]
    fn capacity_is_what_all_cores_do_in_a_second() {
        let pixels = 15 * 640 * 360;
        let one = pixels_per_second(1, Duration::from_millis(100));
        assert_eq!(one, pixels * 10 * 100 / 125);
        // Two cores that were busy for as long each.
        assert_eq!(pixels_per_second(2, Duration::from_millis(200)), 2 * one);
    }
}
