//! What can be told from the bytes alone: manifest, headers and segments agree with each other, and the segments of a track are one chain.

use anyhow::Result;

use super::{Faults, schema};
use crate::{
    boxes::{Init, Media, Segment, nal_types},
    mpd::{Period, Track, ticks_to_seconds},
    presentation::Presentation,
    storyboard,
};

/// H.264's NAL unit type of a slice of an IDR picture.
const IDR: u8 = 5;
/// NAL unit types of slices.
const SLICES: std::ops::RangeInclusive<u8> = 1..=5;
/// Sound and picture of a period start and end this close to each other, in seconds: a few frames of sound at 44.1 kHz.
const EDGES_MAX: f64 = 0.1;
/// What a presentation's duration may differ from the end of its longest track by, in seconds: what is rounded to ticks.
const DURATION_MAX: f64 = 0.001;

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
pub(super) fn span(track: &Track) -> Option<(f64, f64)> {
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
