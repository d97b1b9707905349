//! The sound, decoded: it is the source's, and each beep is with its flash.

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{Faults, Shown, pictures::signed_seconds, structure::span};
use crate::{mpd::ticks_to_seconds, presentation::Presentation, sound, source::Source};

/// Farthest that sound may be from its picture, in seconds.
const SKEW_MAX: f64 = 0.020;
/// Frames of sound that may be missing before the first picture: the publisher's sound starts a reorder delay before its picture.
const SOUND_BEFORE_PICTURE: usize = 8;

/// Checks that the sound is the source's, bit by bit: no frame missing but a few before the first picture and what starts after the
/// last one, none doubled or changed.
///
/// # Errors
/// When it is not.
pub fn sound_whole(presentation: &Presentation, source: &Source) -> Result<()> {
    let folder = TempDir::new()?;
    let mut got = Vec::new();
    for period in &presentation.mpd.periods {
        let track = period.tracks.iter().find(|t| !t.is_video()).context("no sound")?;
        got.extend(sound::frame_hashes(&presentation.write(period, track, folder.path())?)?);
    }
    let want = source.audio_hashes()?;
    let skipped = want
        .iter()
        .position(|hash| Some(hash) == got.first())
        .context("the first frame is not the source's")?;
    anyhow::ensure!(skipped <= SOUND_BEFORE_PICTURE, "{skipped} frames of sound are missing at the start");
    let same = want[skipped..].iter().zip(&got).take_while(|(a, b)| a == b).count();
    // Sound without a picture to it is not part of the show.
    let covers = presentation.mpd.periods.last().is_some_and(|period| {
        let end =
            |video: bool| period.tracks.iter().filter(|t| t.is_video() == video).find_map(span).map(|s| s.1);
        end(false) >= end(true)
    });
    anyhow::ensure!(
        same == got.len() && (same == want.len() - skipped || covers),
        "the sound has {} frames, the source {}; they differ from frame {same} on",
        got.len(),
        want.len() - skipped
    );
    Ok(())
}

/// A flash and the beep nearest to it.
struct Pair {
    /// When the flash is shown, in seconds.
    at: f64,
    /// By how much the beep is later than it should be, in seconds.
    skew: f64,
}

/// Finds the beep to each flash of a rung whose pictures are these.
///
/// # Errors
/// When the sound can't be decoded, or there are fewer of them than seconds.
fn pairs(presentation: &Presentation, shown: &[Shown], source: &Source) -> Result<Vec<Pair>> {
    let folder = TempDir::new()?;
    let mut flashes = Vec::new();
    let mut lit = false;
    for shown in shown {
        if shown.picture.flash && !lit {
            flashes.push(shown);
        }
        lit = shown.picture.flash;
    }
    let mut beeps = Vec::new();
    for period in &presentation.mpd.periods {
        let track = period.tracks.iter().find(|t| !t.is_video()).context("no sound")?;
        let file = presentation.write(period, track, folder.path())?;
        let first = track.segments.first().context("no segment of sound")?.time;
        let start = period.start
            + signed_seconds(i64::try_from(first)? - i64::try_from(track.offset)?, track.timescale);
        let found = sound::beeps(&file, u32::try_from(track.timescale)?)?;
        beeps.extend(found.into_iter().map(|at| start + ticks_to_seconds(at, track.timescale)));
    }
    let (heard, seen) = (beeps.len(), flashes.len());
    let enough = u64::try_from(heard.min(seen))? + 1 >= source.format.seconds;
    anyhow::ensure!(enough, "{seen} flashes and {heard} beeps in {} s", source.format.seconds);
    let pair = |flash: &&Shown| {
        let stamp = flash.picture.stamp?;
        // The picture may be late in its own second by less than a frame; the beep is not.
        let in_source = source.format.seconds_at(u64::from(stamp.number));
        let expected = flash.seconds - (in_source - (in_source + 1e-6).floor());
        // They are in order, as are the flashes.
        let next = beeps.partition_point(|beep| *beep < expected);
        let near = beeps.get(next.saturating_sub(1)..(next + 1).min(beeps.len()))?;
        let skew = near.iter().map(|beep| beep - expected).min_by(|a, b| a.abs().total_cmp(&b.abs()))?;
        Some(Pair { at: flash.seconds, skew })
    };
    Ok(flashes.iter().filter_map(pair).collect())
}

/// Checks that each beep is with its flash, of a rung whose pictures are these; gives the largest distance in seconds.
///
/// # Errors
/// When one is farther than 20 ms, or there are fewer beeps than seconds.
pub(super) fn in_sync(presentation: &Presentation, shown: &[Shown], source: &Source) -> Result<f64> {
    let mut faults = Faults::default();
    let mut worst: f64 = 0.0;
    for Pair { at, skew } in pairs(presentation, shown, source)? {
        worst = worst.max(skew.abs());
        faults.check(skew.abs() <= SKEW_MAX, || {
            format!("at {at:.3} s the sound is {:.1} ms after the picture", skew * 1000.0)
        });
    }
    faults.into_result(&presentation.url)?;
    Ok(worst)
}

/// By how much more the sound is after the pictures of a rung in the last minute than in the first, in seconds, on average.
///
/// # Errors
/// When the sound can't be decoded, or the show is shorter than two minutes.
pub fn drift(presentation: &Presentation, shown: &[Shown], source: &Source) -> Result<f64> {
    const MINUTE: usize = 60;
    let pairs = pairs(presentation, shown, source)?;
    anyhow::ensure!(pairs.len() >= 2 * MINUTE, "only {} flashes", pairs.len());
    let mean = |pairs: &[Pair]| pairs.iter().map(|pair| pair.skew).sum::<f64>() / pairs.len() as f64;
    Ok(mean(&pairs[pairs.len() - MINUTE..]) - mean(&pairs[..MINUTE]))
}
