//! Periods → MPD elements → text. All choices about what players are told are here, as constants with their reasons.

use std::{
    collections::HashMap,
    fmt::Write,
    time::{Duration, SystemTime},
};

use dash_mpd_core::{
    AdaptationSet, AudioChannelConfiguration, BaseURL, Event, EventStream, Latency, MPD, Period,
    PlaybackRate, ProducerReferenceTime, ProgramInformation, Representation, Role, S, SegmentTemplate,
    SegmentTimeline, ServiceDescription, Title, UTCTiming,
};
use media::{
    cue,
    ledger::{Init, Segment, Track},
    names::suffix,
    time::{FrameRate, Ticks, VIDEO_TIMESCALE, WallTime, rescale, to_media_time},
};

use super::{
    Input, ManifestError, Scope, State, Timeline,
    cues::Placed,
    periods::{Entry, Plan, window_start},
    storyboard,
};
use crate::transcode::gcd;

const NAMESPACE: &str = "urn:mpeg:dash:schema:mpd:2011";
const PROFILE_LIVE: &str = "urn:mpeg:dash:profile:isoff-live:2011";
/// Players set their clock by this; the CDN answers it, so that a wrong clock on a phone does not matter.
const TIME_URL: &str = "/time";
const TIME_SCHEME: &str = "urn:mpeg:dash:utc:http-iso:2014";
const ROLE_SCHEME: &str = "urn:mpeg:dash:role:2011";
const CHANNELS_SCHEME: &str = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
/// Shorter than any GOP worth streaming: a new segment is found at most this late.
const UPDATE_PERIOD: Duration = Duration::from_secs(1);
/// From the end of a GOP at the edge to its being named here (stored, transcoded, stored, committed), plus the update period's share.
const PROCESSING_ALLOWANCE_MS: u64 = 1500;
/// Segments that a player keeps between itself and the live edge. With one it stalls whenever one comes late; two hold.
const DELAY_SEGMENTS: u64 = 2;
/// The delay is rounded up to this, so that it does not wander with each GOP's exact length.
const DELAY_STEP_MS: u64 = 500;
/// A measured bit rate is rounded up to this, in bit/s, so that it does not change with every segment.
const BIT_RATE_STEP: u64 = 16_000;
/// How far playback may be sped up to come back to the target latency: not noticed by ear. Never slowed: shaka-player counts the target
/// from where the delay has put it already, takes itself to be too near, and would slow down until it is twice as far away.
const CATCH_UP: (f64, f64) = (1.0, 1.04);
/// The producer reference times that the target latency is counted from.
const REFERENCE: &str = "0";
/// How much longer a presentation that is over is said to be than its media, in 1/90 000 s: 0.1 ms. dash.js (5.2) looks every 200 ms whether playback
/// is within 5 µs of the end, and where it comes to see that before the element has said `ended`, it pauses and seeks, and `ended` never comes: in 1
/// of 16 showings (15 of 248) of what was said to be as long as it was, in none of 200 of what was said to be this much longer. A browser cuts its
/// own duration to what is buffered, so that nobody waits for what is not there.
const END_MARGIN: Ticks = 9;
const NANOS: u32 = 1_000_000_000;

/// How far behind the edge a player is to play, in milliseconds.
pub(super) fn delay_ms(longest_chunk_ms: u64) -> u64 {
    (longest_chunk_ms * DELAY_SEGMENTS + PROCESSING_ALLOWANCE_MS).next_multiple_of(DELAY_STEP_MS)
}

/// Writes the manifest.
pub(super) fn mpd(input: &Input<'_>, timeline: &Timeline<'_>, scope: Scope) -> Result<String, ManifestError> {
    let inits: HashMap<(&str, &str), &Init> =
        timeline.ledger.inits.iter().map(|init| ((init.rung.as_str(), init.config.as_str()), init)).collect();
    let tiles = storyboard::bandwidth(timeline);
    let mut longest_ms = 1;
    let mut peaks: Peaks<'_> = HashMap::new();
    // Of all there is, not of what is listed: or the delay would wander with the window.
    for segment in timeline.entries().flat_map(|entry| entry.segments) {
        let init = known(&inits, segment)?;
        let timescale = u64::from(init.timescale.max(1));
        let peak = peaks.entry((&segment.rung, &segment.config)).or_insert(init.bandwidth.into());
        *peak = (*peak).max(bit_rate(segment, timescale));
        longest_ms = longest_ms.max(segment.duration.saturating_mul(1000).div_ceil(timescale));
    }
    // The sound's segments are longer by up to a frame now and then; no player waits for that frame.
    let chunks = timeline.entries().filter(|entry| entry.is_chunk());
    let longest_row = chunks.map(|entry| entry.end.saturating_sub(entry.start)).max().unwrap_or(0);
    let row_ms = u64::try_from(seconds(longest_row).as_millis()).unwrap_or(longest_ms);
    let delay_ms = delay_ms(row_ms);
    let on_air = timeline.state == State::OnAir;
    let from = match scope {
        Scope::Window(seconds) if on_air => Some(window_start(&timeline.plans, seconds)),
        Scope::Window(_) | Scope::Full => None,
    };
    let cues = timeline.cues_in_window(from);
    let listed = timeline.plans.iter().enumerate().map(|(n, plan)| (n, plan, listed(plan, from)));
    let listed = listed.filter(|(_, _, entries)| !entries.is_empty());
    let total = timeline.plans.last().map_or(0, |last| last.start + last.length);
    let over = timeline.plans.last().filter(|_| !on_air);
    let beyond = over.map_or(0, |last| overhang(last, &inits) + END_MARGIN);
    let mut mpd = MPD {
        xmlns: Some(NAMESPACE.to_owned()),
        id: Some(input.broadcast.to_string()),
        profiles: Some(PROFILE_LIVE.to_owned()),
        mpdtype: Some(if on_air { "dynamic" } else { "static" }.to_owned()),
        availabilityStartTime: Some(instant(input.availability_start).into()),
        publishTime: Some(instant(input.publish_time).into()),
        minBufferTime: Some(Duration::from_millis(longest_ms.next_multiple_of(DELAY_STEP_MS))),
        maxSegmentDuration: Some(Duration::from_millis(longest_ms)),
        ProgramInformation: vec![ProgramInformation {
            Title: Some(Title { content: Some(input.live.to_string()) }),
            ..ProgramInformation::default()
        }],
        base_url: input
            .base_url
            .iter()
            .map(|base| BaseURL { base: base.clone(), ..BaseURL::default() })
            .collect(),
        periods: listed
            .map(|(n, plan, entries)| {
                let cues = cues.iter().filter(|placed| placed.plan == n);
                let start = on_air.then_some(input.availability_start);
                let mut period = period(plan, entries, &inits, &peaks, start)?;
                if n + 1 == timeline.plans.len() {
                    period.duration = period.duration.map(|_| seconds(plan.length + beyond));
                }
                period.event_streams = event_stream(cues).into_iter().collect();
                period.adaptations.extend(storyboard::set(plan, entries, tiles)?);
                Ok(period)
            })
            .collect::<Result<_, ManifestError>>()?,
        ..MPD::default()
    };
    if on_air {
        mpd.minimumUpdatePeriod = Some(UPDATE_PERIOD);
        mpd.suggestedPresentationDelay = Some(Duration::from_millis(delay_ms));
        mpd.timeShiftBufferDepth = match scope {
            Scope::Window(seconds) => Some(Duration::from_secs(seconds.into())),
            Scope::Full => None,
        };
        mpd.ServiceDescription = vec![service_description(delay_ms)];
        mpd.UTCTiming = vec![clock()];
    } else {
        mpd.mediaPresentationDuration = Some(seconds(total + beyond));
    }
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    write!(text, "{mpd}").map_err(|_| ManifestError::Xml)?;
    text.push('\n');
    Ok(text)
}

/// The highest bit rate that a rung's segments of one configuration have had, in bit/s, and what it is declared with at the least.
type Peaks<'a> = HashMap<(&'a str, &'a str), u64>;

/// Bit rate of a segment, in bit/s, rounded up. Sound is carried over as the broadcaster sends it, and a rate control has a buffer to
/// spend at once: what was declared beforehand may be too little. One shorter than a second counts as a second: what matters is what it
/// takes from a connection.
fn bit_rate(segment: &Segment, timescale: u64) -> u64 {
    rate_of(segment.object.bytes, segment.duration, timescale)
}

/// The same of so many bytes for so many ticks.
pub(super) fn rate_of(bytes: u64, duration: u64, timescale: u64) -> u64 {
    let bits = bytes.saturating_mul(8);
    bits.saturating_mul(timescale).div_ceil(duration.max(timescale)).next_multiple_of(BIT_RATE_STEP)
}

fn service_description(delay_ms: u64) -> ServiceDescription {
    ServiceDescription {
        id: Some("0".to_owned()),
        // Milliseconds in a double; a delay is far below 2⁵³.
        Latency: vec![Latency {
            target: Some(f64::from(u32::try_from(delay_ms).unwrap_or(u32::MAX))),
            referenceId: Some(REFERENCE.to_owned()),
            ..Latency::default()
        }],
        PlaybackRate: vec![PlaybackRate { min: Some(CATCH_UP.0), max: Some(CATCH_UP.1) }],
        ..ServiceDescription::default()
    }
}

fn known<'a>(inits: &HashMap<(&str, &str), &'a Init>, segment: &Segment) -> Result<&'a Init, ManifestError> {
    inits
        .get(&(segment.rung.as_str(), segment.config.as_str()))
        .copied()
        .ok_or_else(|| ManifestError::NoInit { rung: segment.rung.clone(), config: segment.config.clone() })
}

/// The timed events of a Period; `None` if there are none.
fn event_stream<'c>(cues: impl Iterator<Item = &'c Placed<'c>>) -> Option<EventStream> {
    let ticks = |ticks: Ticks| u64::try_from(ticks).unwrap_or(0);
    let event: Vec<Event> = cues
        .map(|placed| Event {
            id: Some(placed.cue.number.to_string()),
            presentationTime: Some(ticks(placed.after)),
            duration: placed.lasts.map(ticks),
            // As an attribute: dash.js (5.2) leaves the entities in an element's text as they are.
            messageData: Some(placed.cue.data.clone()),
            ..Event::default()
        })
        .collect();
    (!event.is_empty()).then(|| EventStream {
        schemeIdUri: cue::SCHEME.to_owned(),
        timescale: Some(VIDEO_TIMESCALE.into()),
        event,
        ..EventStream::default()
    })
}

/// What of a Period is in the manifest.
fn listed<'p, 'a>(plan: &'p Plan<'a>, from: Option<Ticks>) -> &'p [Entry<'a>] {
    // Entries end in the order that they are in, within a Period.
    let first = from.map_or(0, |from| plan.entries.partition_point(|entry| entry.end <= from));
    plan.entries.get(first..).unwrap_or_default()
}

fn period(
    plan: &Plan<'_>,
    entries: &[Entry<'_>],
    inits: &HashMap<(&str, &str), &Init>,
    peaks: &Peaks<'_>,
    // While it is on air.
    availability_start: Option<WallTime>,
) -> Result<Period, ManifestError> {
    let mut tracks: Vec<(&Init, Vec<&Segment>)> = Vec::new();
    for segment in entries.iter().flat_map(|entry| entry.segments) {
        match tracks.iter_mut().find(|(init, _)| init.rung == segment.rung) {
            Some((_, segments)) => segments.push(segment),
            None => tracks.push((known(inits, segment)?, vec![segment])),
        }
    }
    let (mut video, mut audio) = (Vec::new(), Vec::new());
    let shared = shared_template(plan, &tracks, peaks)?;
    for (init, segments) in &tracks {
        let mut representation = representation(plan, init, segments, peaks)?;
        if shared.is_some() && matches!(init.track, Track::Video { .. }) {
            representation.SegmentTemplate = representation.SegmentTemplate.map(|own| SegmentTemplate {
                initialization: own.initialization,
                ..SegmentTemplate::default()
            });
        }
        match init.track {
            Track::Video { width, height, sar, .. } => {
                let par = reduced(u64::from(width) * u64::from(sar.0), u64::from(height) * u64::from(sar.1));
                video.push((u64::from(width) * u64::from(height), par, representation));
            }
            Track::Audio { .. } => audio.push(representation),
        }
    }
    let reference = |timescale: u32| -> Result<Vec<ProducerReferenceTime>, ManifestError> {
        availability_start.map(|start| reference(plan, start, timescale)).into_iter().collect()
    };
    // Largest last, as players list them.
    video.sort_by(|a, b| (a.0, &a.2.id).cmp(&(b.0, &b.2.id)));
    let mut adaptations = Vec::with_capacity(2);
    if let Some((_, par, _)) = video.last() {
        let most = |of: fn(&Representation) -> Option<u64>| video.iter().filter_map(|(_, _, r)| of(r)).max();
        adaptations.push(AdaptationSet {
            id: Some("0".to_owned()),
            contentType: Some("video".to_owned()),
            par: Some(par.clone()),
            maxWidth: most(|r| r.width),
            maxHeight: most(|r| r.height),
            maxFrameRate: fastest(&tracks).map(rate),
            ProducerReferenceTime: reference(VIDEO_TIMESCALE)?,
            SegmentTemplate: shared,
            representations: video.into_iter().map(|(_, _, representation)| representation).collect(),
            ..adaptation("video/mp4")
        });
    }
    let sound = tracks.iter().find(|(init, _)| matches!(init.track, Track::Audio { .. }));
    if let Some(timescale) = sound.map(|(init, _)| init.timescale) {
        adaptations.push(AdaptationSet {
            id: Some("1".to_owned()),
            contentType: Some("audio".to_owned()),
            lang: Some("und".to_owned()),
            ProducerReferenceTime: reference(timescale)?,
            representations: audio,
            ..adaptation("audio/mp4")
        });
    }
    Ok(Period {
        id: Some(plan.id.clone()),
        start: Some(seconds(plan.start)),
        duration: availability_start.is_none().then(|| seconds(plan.length)),
        adaptations,
        ..Period::default()
    })
}

/// When the picture (or sound) of a Period's time 0 reached the edge: what a player's latency is counted from. It says with words what
/// `availabilityStartTime` says already, for those who compute by it.
fn reference(
    plan: &Plan<'_>,
    availability_start: WallTime,
    timescale: u32,
) -> Result<ProducerReferenceTime, ManifestError> {
    let origin = rescale(plan.origin, VIDEO_TIMESCALE, timescale);
    Ok(ProducerReferenceTime {
        id: Some(REFERENCE.to_owned()),
        inband: Some(false),
        prtType: Some("encoder".to_owned()),
        wallClockTime: Some((instant(availability_start) + seconds(plan.origin)).into()),
        presentationTime: Some(to_media_time(origin, timescale).ok_or(ManifestError::BeforeOrigin)?),
        UTCTiming: Some(clock()),
    })
}

/// How much longer a Period's longest track is than its chunks, in 1/90 000 s: a frame of sound does not end where a picture does; and shorter, below 0,
/// where there is sound alone that was transcoded, the last frames of which wait for what follows. The last Period of a presentation that is
/// over holds all that is in it: dash.js (5.2) takes a player that is past the end of the last Period back by half a second, and now and then it stays there.
fn overhang(plan: &Plan<'_>, inits: &HashMap<(&str, &str), &Init>) -> Ticks {
    let Some(end) = to_media_time(plan.origin + plan.length, VIDEO_TIMESCALE) else { return 0 };
    let ends = plan.entries.last().into_iter().flat_map(|entry| entry.segments).filter_map(|segment| {
        let timescale = known(inits, segment).ok()?.timescale.max(1);
        let end = u128::from(segment.time) + u128::from(segment.duration);
        i128::try_from((end * u128::from(VIDEO_TIMESCALE)).div_ceil(timescale.into())).ok()
    });
    // Pictures last as long as their chunks, to the tick.
    ends.max().and_then(|last| Ticks::try_from(last - i128::from(end)).ok()).unwrap_or(0)
}

/// The clock that players set theirs by.
fn clock() -> UTCTiming {
    UTCTiming {
        schemeIdUri: TIME_SCHEME.to_owned(),
        value: Some(TIME_URL.to_owned()),
        ..UTCTiming::default()
    }
}

/// What several rungs have in common, so that it is written once: their segments are those of the same chunks (ISO 23009-1, 5.3.9.1:
/// a Representation inherits what its own template does not say). In a long show with GOPs of all lengths that is most of the manifest.
fn shared_template(
    plan: &Plan<'_>,
    tracks: &[(&Init, Vec<&Segment>)],
    peaks: &Peaks<'_>,
) -> Result<Option<SegmentTemplate>, ManifestError> {
    let mut video = tracks.iter().filter(|(init, _)| matches!(init.track, Track::Video { .. }));
    let Some((first, segments)) = video.next() else { return Ok(None) };
    let mut several = false;
    for (init, others) in video {
        several = true;
        let places =
            |segments: &[&Segment]| segments.iter().map(|s| (s.time, s.duration)).collect::<Vec<_>>();
        if init.timescale != first.timescale || places(others) != places(segments) {
            return Ok(None);
        }
    }
    let template = representation(plan, first, segments, peaks)?.SegmentTemplate.filter(|_| several);
    Ok(template.map(|template| SegmentTemplate { initialization: None, ..template }))
}

fn adaptation(mime_type: &str) -> AdaptationSet {
    AdaptationSet {
        mimeType: Some(mime_type.to_owned()),
        segmentAlignment: Some(true),
        startWithSAP: Some(1),
        Role: vec![Role {
            schemeIdUri: ROLE_SCHEME.to_owned(),
            value: Some("main".to_owned()),
            ..Role::default()
        }],
        ..AdaptationSet::default()
    }
}

fn representation(
    plan: &Plan<'_>,
    init: &Init,
    segments: &[&Segment],
    peaks: &Peaks<'_>,
) -> Result<Representation, ManifestError> {
    // Where this Period's time 0 is on the track's own time line.
    let origin = rescale(plan.origin, VIDEO_TIMESCALE, init.timescale);
    let offset = to_media_time(origin, init.timescale).ok_or(ManifestError::BeforeOrigin)?;
    let mut out = Representation {
        id: Some(init.rung.clone()),
        bandwidth: peaks.get(&(init.rung.as_str(), init.config.as_str())).copied(),
        codecs: Some(init.codecs.clone()),
        SegmentTemplate: Some(SegmentTemplate {
            timescale: Some(init.timescale.into()),
            presentationTimeOffset: Some(offset),
            initialization: Some(format!("$RepresentationID$/init-{}.mp4", init.config)),
            media: Some(format!("$RepresentationID$/$Time${}.m4s", suffix(plan.naming))),
            SegmentTimeline: Some(SegmentTimeline {
                segments: timeline(segments.iter().map(|segment| (segment.time, segment.duration))),
            }),
            ..SegmentTemplate::default()
        }),
        ..Representation::default()
    };
    match init.track {
        Track::Video { width, height, sar, frame_rate } => {
            out.width = Some(width.into());
            out.height = Some(height.into());
            out.sar = Some(format!("{}:{}", sar.0, sar.1));
            out.frameRate = frame_rate.map(rate);
        }
        Track::Audio { sample_rate, channels } => {
            out.audioSamplingRate = Some(sample_rate.to_string());
            out.AudioChannelConfiguration = vec![AudioChannelConfiguration {
                schemeIdUri: CHANNELS_SCHEME.to_owned(),
                value: Some(channels.to_string()),
                ..AudioChannelConfiguration::default()
            }];
        }
    }
    Ok(out)
}

/// `S` elements of times and durations: runs of equal durations as one, `@t` at the front and after each hole.
pub(super) fn timeline(segments: impl Iterator<Item = (u64, u64)>) -> Vec<S> {
    let mut out: Vec<S> = Vec::new();
    let mut end = None;
    for (time, duration) in segments {
        let joins = end == Some(time);
        end = Some(time.saturating_add(duration));
        match out.last_mut() {
            Some(last) if joins && last.d == duration => {
                last.r = Some(last.r.unwrap_or(0) + 1);
            }
            _ => out.push(S { t: (!joins).then_some(time), d: duration, ..S::default() }),
        }
    }
    out
}

/// A frame rate as MPDs spell it (ISO/IEC 23009-1, `FrameRateType`).
fn rate(of: FrameRate) -> String {
    match of.den {
        1 => of.num.to_string(),
        den => format!("{}/{den}", of.num),
    }
}

fn fastest(tracks: &[(&Init, Vec<&Segment>)]) -> Option<FrameRate> {
    let rates = tracks.iter().filter_map(|(init, _)| match init.track {
        Track::Video { frame_rate, .. } => frame_rate,
        Track::Audio { .. } => None,
    });
    rates.max_by(|a, b| a.fps().total_cmp(&b.fps()))
}

fn reduced(width: u64, height: u64) -> String {
    let divisor = gcd(width.into(), height.into()).max(1);
    format!("{}:{}", u128::from(width) / divisor, u128::from(height) / divisor)
}

/// Ticks of 1/90 000 s as a duration; none is negative.
fn seconds(ticks: Ticks) -> Duration {
    let ticks = u64::try_from(ticks).unwrap_or(0);
    let timescale = u64::from(VIDEO_TIMESCALE);
    let nanos = (ticks % timescale * u64::from(NANOS)).div_ceil(timescale);
    Duration::from_secs(ticks / timescale) + Duration::from_nanos(nanos)
}

fn instant(time: WallTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(time.0).unwrap_or(0))
}
