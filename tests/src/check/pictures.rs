//! The pictures, decoded: every rung shows what the source has, each picture once, in order and at its time.
//!
//! Decoding is strict: a picture counts if the decoder had nothing to say.

use anyhow::Result;
use tempfile::TempDir;

use super::Faults;
use crate::{
    boxes::Init,
    mpd::ticks_to_seconds,
    presentation::Presentation,
    source::{Format, Source},
    stamp::{self, Picture},
    storyboard,
};

/// A picture as viewers see it.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// Presentation time from the start of the presentation, in ticks of [`Shown::timescale`].
    pub ticks: i64,
    /// Ticks a second.
    pub timescale: u64,
    /// Presentation time in seconds.
    pub seconds: f64,
    /// What was read from it.
    pub picture: Picture,
}

/// Decodes a rung over all periods, strictly; every picture with its time, in the order in which they are shown.
///
/// # Errors
/// When a decoder has anything to say, or the count of pictures is not the count of samples.
pub fn shown(presentation: &Presentation, rung: &str) -> Result<Vec<Shown>> {
    let folder = TempDir::new()?;
    let mut all = Vec::new();
    for period in &presentation.mpd.periods {
        let track = presentation.track(period, rung)?;
        let file = presentation.write(period, track, folder.path())?;
        let pictures = stamp::read_file(&file)?;
        let init = Init::parse(presentation.object(&track.init)?)?;
        let mut times = Vec::new();
        for named in &track.segments {
            let segment = init.segment(presentation.object(&named.url)?)?;
            times.extend(segment.samples.iter().map(|s| s.presentation_time));
        }
        times.sort_unstable();
        anyhow::ensure!(
            times.len() == pictures.len(),
            "period {} {rung}: {} samples, {} pictures",
            period.id,
            times.len(),
            pictures.len()
        );
        for (time, picture) in times.into_iter().zip(pictures) {
            let ticks = time - i64::try_from(track.offset)?;
            let seconds = period.start + signed_seconds(ticks, track.timescale);
            all.push(Shown { ticks, timescale: track.timescale, seconds, picture });
        }
    }
    Ok(all)
}

pub(super) fn signed_seconds(ticks: i64, timescale: u64) -> f64 {
    let magnitude = ticks_to_seconds(ticks.unsigned_abs(), timescale);
    if ticks < 0 { -magnitude } else { magnitude }
}

/// Decodes each segment of pictures of every rung by itself, with nothing but its header before it, strictly: a player may start anywhere.
///
/// # Errors
/// Every segment that a decoder had anything to say about, or that gave another count of pictures than it has samples.
pub fn alone(presentation: &Presentation) -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("alone.mp4");
    let mut faults = Faults::default();
    for track in presentation.mpd.periods.iter().flat_map(|p| &p.tracks).filter(|t| t.is_video()) {
        let header = presentation.object(&track.init)?;
        let init = Init::parse(header)?;
        for named in &track.segments {
            let place = format!("{} t={}", track.id, named.time);
            let bytes = presentation.object(&named.url)?;
            std::fs::write(&file, [header, bytes].concat())?;
            let Some(pictures) = faults.note(&place, stamp::read_file(&file)) else { continue };
            let samples = init.segment(bytes)?.samples.len();
            faults.check(pictures.len() == samples, || {
                format!("{place}: {} pictures of {samples} samples", pictures.len())
            });
        }
    }
    faults.into_result(&presentation.url)
}

/// Checks that the pictures of `rung` are those of `source`: each once, in order, none missing, and each exactly one frame after the
/// one before it. Gives them.
///
/// # Errors
/// Every fault found.
pub fn whole(presentation: &Presentation, rung: &str, source: &Source) -> Result<Vec<Shown>> {
    let shown = shown(presentation, rung)?;
    let mut faults = Faults::default();
    let numbers = numbers(&mut faults, &shown, source.format.mark);
    let expected: Vec<u32> = (0..u32::try_from(source.format.pictures())?).collect();
    if numbers != expected {
        let first = numbers.iter().zip(&expected).position(|(got, want)| got != want);
        let at = first.unwrap_or(numbers.len().min(expected.len()));
        let around =
            |list: &[u32]| list.iter().skip(at.saturating_sub(3)).take(8).copied().collect::<Vec<_>>();
        faults.check(false, || {
            format!(
                "{} pictures instead of {}; from picture {at} on: {:?} instead of {:?}",
                numbers.len(),
                expected.len(),
                around(&numbers),
                around(&expected)
            )
        });
    }
    if presentation.mpd.periods.len() == 1 {
        steps(&mut faults, &shown, &source.format);
    }
    faults.into_result(&format!("{} {rung}", presentation.url))?;
    Ok(shown)
}

/// The numbers of the pictures; one without stamp or with another source's mark is a fault.
fn numbers(faults: &mut Faults, shown: &[Shown], mark: u32) -> Vec<u32> {
    let mut numbers = Vec::new();
    for (at, shown) in shown.iter().enumerate() {
        match shown.picture.stamp {
            Some(stamp) if stamp.mark == mark => numbers.push(stamp.number),
            other => faults.check(false, || format!("picture {at} at {:.3} s: {other:?}", shown.seconds)),
        }
    }
    numbers
}

/// Every picture is where the exact frame rate puts it, to the tick.
fn steps(faults: &mut Faults, shown: &[Shown], format: &Format) {
    let Some(first) = shown.first() else { return };
    for (number, shown) in (0i64..).zip(shown) {
        let exact = i128::from(number) * i128::from(shown.timescale) * i128::from(format.per_seconds);
        let frames = i128::from(format.frames);
        let expected = (exact + frames / 2) / frames;
        let got = i128::from(shown.ticks - first.ticks);
        faults.check(got == expected, || {
            format!("picture {number} is {got} ticks after the first, not {expected}")
        });
    }
}

/// Which numbers of `source` are shown, and whether in order and each once: for shows with a hole in them.
///
/// # Errors
/// When one is doubled, out of order, unreadable or of another source.
pub fn ordered(presentation: &Presentation, rung: &str, source: &Source) -> Result<Vec<u32>> {
    let shown = shown(presentation, rung)?;
    let mut faults = Faults::default();
    let numbers = numbers(&mut faults, &shown, source.format.mark);
    for pair in numbers.windows(2) {
        faults.check(pair[0] < pair[1], || format!("picture {} is followed by {}", pair[0], pair[1]));
    }
    faults.into_result(&format!("{} {rung}", presentation.url))?;
    Ok(numbers)
}

/// Checks that every chunk has a picture in the storyboard that shows what the chunk begins with, by the pictures of a rung.
///
/// # Errors
/// Every fault found.
pub(super) fn storyboard_whole(presentation: &Presentation, shown: &[Shown]) -> Result<()> {
    let mut faults = Faults::default();
    storyboard::whole(&mut faults, presentation, shown)?;
    faults.into_result(&presentation.url)
}
