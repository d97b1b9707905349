//! The oracles: what must hold of every presentation that gopcast makes, read from the bytes that a player gets.
//!
//! A check collects every fault that it finds before it fails: one look at a failed test says what is wrong everywhere.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    boxes::{self, Init, Media, Segment, nal_types},
    dash,
    mpd::{Period, Track, ticks_to_seconds},
    presentation::Presentation,
    process::run,
    sound,
    source::{Format, Source},
    stamp::{self, Picture},
    storyboard,
};

/// Farthest that sound may be from its picture, in seconds.
const SKEW_MAX: f64 = 0.020;
/// H.264's NAL unit type of a slice of an IDR picture.
const IDR: u8 = 5;
/// NAL unit types of slices.
const SLICES: std::ops::RangeInclusive<u8> = 1..=5;
/// Sound and picture of a period start and end this close to each other, in seconds: a few frames of sound at 44.1 kHz.
const EDGES_MAX: f64 = 0.1;
/// What a presentation's duration may differ from the end of its longest track by, in seconds: what is rounded to ticks.
const DURATION_MAX: f64 = 0.001;
/// Frames of sound that may be missing before the first picture: the publisher's sound starts a reorder delay before its picture.
const SOUND_BEFORE_PICTURE: usize = 8;
/// Most faults that one failure shows.
const FAULTS_SHOWN: usize = 40;

/// What a check has found wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<String>);

impl Faults {
    pub(crate) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }

    fn note<T>(&mut self, place: &str, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.0.push(format!("{place}: {error:#}"))).ok()
    }

    pub(crate) fn into_result(self, of: &str) -> Result<()> {
        let shown = self.0.iter().take(FAULTS_SHOWN).cloned().collect::<Vec<_>>().join("\n  ");
        anyhow::ensure!(self.0.is_empty(), "{of}: {} faults:\n  {shown}", self.0.len());
        Ok(())
    }
}

/// Checks the manifest's text against the DASH schema.
///
/// # Errors
/// When it is not valid, or xmllint is missing.
pub fn schema(presentation: &Presentation) -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("manifest.mpd");
    std::fs::write(&file, &presentation.text)?;
    let schema = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/dash-schema");
    let mut command = Command::new("xmllint");
    command.env("XML_CATALOG_FILES", schema.join("catalog.xml")).args(["--nonet", "--noout", "--schema"]);
    command.arg(schema.join("DASH-MPD.xsd")).arg(&file);
    run("xmllint", &mut command).map(|_| ()).with_context(|| presentation.text.clone())
}

/// Checks what DASH-IF and CMAF demand beyond what makes a stream playable: the manifest's attributes and what they say of each other, the
/// boxes of every object, the bit rates that are promised.
///
/// # Errors
/// Every fault found.
pub fn rules(presentation: &Presentation) -> Result<()> {
    let mut faults = Faults::default();
    let judged = dash::rules(&mut faults, &presentation.text, &presentation.mpd);
    faults.note("the manifest", judged);
    for track in presentation.mpd.periods.iter().flat_map(|p| &p.tracks) {
        let header = presentation.object(&track.init).and_then(boxes::header_layout);
        faults.note(&track.init, header);
        for named in &track.segments {
            let layout = presentation.object(&named.url).and_then(boxes::segment_layout);
            faults.note(&named.url, layout);
        }
        rate(&mut faults, presentation, track);
    }
    faults.into_result(&presentation.url)
}

/// Checks everything that can be told from the bytes alone: the schema; that headers agree with the manifest; that each segment
/// starts with an IDR, at the time and for as long as the manifest says; that each track's decode times form one chain to the tick.
///
/// # Errors
/// Every fault found.
pub fn structure(presentation: &Presentation) -> Result<()> {
    schema(presentation)?;
    let mut faults = Faults::default();
    faults.check(!presentation.mpd.periods.is_empty(), || "no period".to_owned());
    for period in &presentation.mpd.periods {
        for track in &period.tracks {
            let place = format!("period {} {}", period.id, track.id);
            let init = presentation.object(&track.init).and_then(Init::parse);
            let Some(init) = faults.note(&format!("{place} header"), init) else { continue };
            header(&mut faults, &place, track, &init);
            chain(&mut faults, &place, presentation, track, &init);
        }
        alike(&mut faults, period);
    }
    let images = storyboard::images(&mut faults, presentation);
    faults.note("the storyboard", images);
    ends(&mut faults, presentation);
    faults.into_result(&presentation.url)
}

fn header(faults: &mut Faults, place: &str, track: &Track, init: &Init) {
    faults.check(init.codecs.eq_ignore_ascii_case(&track.codecs), || {
        format!("{place}: codecs={}, but the header is {}", track.codecs, init.codecs)
    });
    faults.check(u64::from(init.timescale) == track.timescale, || {
        format!("{place}: timescale {} in the manifest, {} in the header", track.timescale, init.timescale)
    });
    faults.check(!init.moved, || format!("{place}: the header has an edit list that moves the media"));
    match init.media {
        Media::Video { width, height, .. } => {
            faults.check(
                track.is_video() && track.width == Some(width) && track.height == Some(height),
                || {
                    format!(
                        "{place}: {:?}×{:?} in the manifest, {width}×{height} in the header",
                        track.width, track.height
                    )
                },
            );
        }
        Media::Audio { sample_rate, .. } => {
            faults.check(!track.is_video() && track.sample_rate == Some(sample_rate), || {
                format!("{place}: {:?} Hz in the manifest, {sample_rate} in the header", track.sample_rate)
            });
        }
    }
}

fn chain(faults: &mut Faults, place: &str, presentation: &Presentation, track: &Track, init: &Init) {
    let mut before: Option<(u64, u64)> = None;
    for named in &track.segments {
        let place = format!("{place} t={}", named.time);
        let Some(bytes) = faults.note(&place, presentation.object(&named.url)) else { continue };
        let Some(segment) = faults.note(&place, init.segment(bytes)) else { continue };
        let earliest = segment.earliest().and_then(|t| u64::try_from(t).ok());
        faults.check(earliest == Some(named.time), || {
            format!("{place}: its earliest presentation time is {earliest:?}")
        });
        faults.check(segment.duration() == named.duration, || {
            format!("{place}: d={}, but its samples last {}", named.duration, segment.duration())
        });
        if let Some((end, decode_end)) = before {
            faults.check(end == named.time, || format!("{place}: the timeline jumps here from {end}"));
            faults.check(segment.decode_time == decode_end, || {
                format!("{place}: tfdt is {}, the segment before ends at {decode_end}", segment.decode_time)
            });
        }
        before = Some((named.time + named.duration, segment.decode_time + segment.duration()));
        if let Media::Video { nal_length, .. } = init.media {
            pictures(faults, &place, bytes, &segment, nal_length);
        } else {
            faults
                .check(segment.samples.iter().all(|s| s.sync), || format!("{place}: sound that is not sync"));
        }
    }
}

/// `@bandwidth` is what a connection needs: a buffer filled at that rate, with `minBufferTime` in it at the start, never runs empty
/// (ISO/IEC 23009-1, 5.3.5.4), whichever segment it starts with. Held to a segment's own length instead, which is what HLS's `BANDWIDTH` and
/// players' estimates mean.
fn rate(faults: &mut Faults, presentation: &Presentation, track: &Track) {
    for named in &track.segments {
        let Ok(bytes) = presentation.object(&named.url) else { continue };
        let bits = u64::try_from(bytes.len()).unwrap_or(u64::MAX).saturating_mul(8);
        // A last segment may be shorter than the rate control's buffer.
        let ticks = named.duration.max(track.timescale);
        faults.check(bits.saturating_mul(track.timescale) <= track.bandwidth.saturating_mul(ticks), || {
            let seconds = ticks_to_seconds(named.duration, track.timescale);
            format!(
                "{} t={}: {bits} bits in {seconds:.2} s, bandwidth={}",
                track.id, named.time, track.bandwidth
            )
        });
    }
}

fn pictures(faults: &mut Faults, place: &str, bytes: &[u8], segment: &Segment, nal_length: usize) {
    let mut times: Vec<i64> = segment.samples.iter().map(|s| s.presentation_time).collect();
    times.sort_unstable();
    times.dedup();
    faults.check(times.len() == segment.samples.len(), || format!("{place}: two pictures at one time"));
    for (number, sample) in segment.samples.iter().enumerate() {
        let place = format!("{place} sample {number}");
        let Some(types) = faults.note(&place, nal_types(&bytes[sample.data.clone()], nal_length)) else {
            return;
        };
        let slice = types.iter().find(|t| SLICES.contains(t));
        faults.check(slice.is_some(), || format!("{place}: no slice among NAL units {types:?}"));
        let is_idr = slice == Some(&IDR);
        faults.check(is_idr == (number == 0), || format!("{place}: IDR={is_idr}"));
        faults.check(is_idr == sample.sync, || format!("{place}: sync={}, IDR={is_idr}", sample.sync));
    }
}

/// All rungs of pictures have one timeline, and the sound covers the same time.
fn alike(faults: &mut Faults, period: &Period) {
    let times = |track: &Track| track.segments.iter().map(|s| (s.time, s.duration)).collect::<Vec<_>>();
    let videos: Vec<&Track> = period.tracks.iter().filter(|t| t.is_video()).collect();
    for pair in videos.windows(2) {
        faults.check(times(pair[0]) == times(pair[1]), || {
            format!("period {}: {} and {} have different timelines", period.id, pair[0].id, pair[1].id)
        });
    }
    let Some(video) = videos.first().and_then(|t| span(t)) else { return };
    for audio in period.tracks.iter().filter(|t| !t.is_video()) {
        let Some(span) = span(audio) else { continue };
        let (start, end) = (span.0 - video.0, span.1 - video.1);
        faults.check(start.abs() < EDGES_MAX && end.abs() < EDGES_MAX, || {
            format!(
                "period {}: the sound starts {start:.3} s and ends {end:.3} s after the picture",
                period.id
            )
        });
    }
}

/// Start and end of a track in its period, in seconds.
fn span(track: &Track) -> Option<(f64, f64)> {
    let (first, last) = (track.segments.first()?, track.segments.last()?);
    let offset = ticks_to_seconds(track.offset, track.timescale);
    let seconds = |ticks: u64| ticks_to_seconds(ticks, track.timescale) - offset;
    Some((seconds(first.time), seconds(last.time + last.duration)))
}

/// A static presentation says how long it is, and is that long.
fn ends(faults: &mut Faults, presentation: &Presentation) {
    let mpd = &presentation.mpd;
    if mpd.dynamic {
        faults.check(mpd.availability_start_ms.is_some(), || "no availabilityStartTime".to_owned());
        return;
    }
    let Some(duration) = mpd.duration else {
        faults.check(false, || "a static manifest without mediaPresentationDuration".to_owned());
        return;
    };
    let Some(last) = mpd.periods.last() else { return };
    let end = last.tracks.iter().filter_map(span).map(|s| s.1).fold(0.0, f64::max) + last.start;
    faults.check((end - duration).abs() < DURATION_MAX, || {
        format!("mediaPresentationDuration is {duration} s, the media ends at {end} s")
    });
}

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

fn signed_seconds(ticks: i64, timescale: u64) -> f64 {
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
fn in_sync(presentation: &Presentation, shown: &[Shown], source: &Source) -> Result<f64> {
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

/// Checks that every chunk has a picture in the storyboard that shows what the chunk begins with, by the pictures of a rung.
///
/// # Errors
/// Every fault found.
fn storyboard_whole(presentation: &Presentation, shown: &[Shown]) -> Result<()> {
    let mut faults = Faults::default();
    storyboard::whole(&mut faults, presentation, shown)?;
    faults.into_result(&presentation.url)
}

/// All checks of one finished broadcast that was published whole: structure, every rung's pictures, the sound, and both together.
///
/// # Errors
/// The first check that fails, with every fault it found.
pub fn replay(presentation: &Presentation, source: &Source) -> Result<()> {
    anyhow::ensure!(!presentation.mpd.dynamic, "{} is not static", presentation.url);
    structure(presentation)?;
    rules(presentation)?;
    let (rungs, format) = (presentation.mpd.rungs(), &source.format);
    anyhow::ensure!(rungs.is_empty() != format.has_pictures(), "the rungs of pictures are {rungs:?}");
    let shown = rungs.iter().map(|rung| whole(presentation, rung, source)).collect::<Result<Vec<_>>>()?;
    if let Some(shown) = shown.first() {
        storyboard_whole(presentation, shown)?;
    }
    let sounds = presentation.mpd.periods.iter().flat_map(|p| &p.tracks).any(|track| !track.is_video());
    anyhow::ensure!(sounds == format.has_sound(), "there is sound: {sounds}");
    if sounds {
        sound_whole(presentation, source)?;
    }
    let worst = match shown.first() {
        Some(shown) if sounds => in_sync(presentation, shown, source)?,
        _ => 0.0,
    };
    eprintln!("{}: rungs {rungs:?}, sound within {:.1} ms", name(&source.file), worst * 1000.0);
    Ok(())
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
