//! What DASH-IF's guidelines (IOP 4.3, the timing model, the low-latency modes) and ISO/IEC 23009-1 demand of a manifest's text beyond
//! the schema, for gopcast's profile: `isoff-live`, a `SegmentTemplate` with a timeline per representation.
//!
//! A rule that a careful player could get along without is a fault here as well: nothing of this is a matter of taste.

use std::collections::HashSet;

use anyhow::{Context, Result};
use roxmltree::{Document, Node};

use crate::{
    check::Faults,
    mpd::{Mpd, Period, Track, duration, instant_us, ticks_to_seconds},
};

const PROFILE: &str = "urn:mpeg:dash:profile:isoff-live:2011";
const TIME_SCHEMES: [&str; 2] = ["urn:mpeg:dash:utc:http-iso:2014", "urn:mpeg:dash:utc:http-xsdate:2014"];
const THUMBNAILS: &str = "http://dashif.org/guidelines/thumbnail_tile";
const ROLES: &str = "urn:mpeg:dash:role:2011";
/// Channel configuration schemes of MPEG: by channel count, and by ISO/IEC 23091-3.
const CHANNELS: [&str; 2] =
    ["urn:mpeg:dash:23003:3:audio_channel_configuration:2011", "urn:mpeg:mpegB:cicp:ChannelConfiguration"];
/// Rounding of seconds.
const ROUNDING: f64 = 0.001;
/// Rounding of instants, in microseconds: they are written in milliseconds.
const INSTANT_ROUNDING: i64 = 1000;
/// Longest poll that a player should be asked to wait.
const UPDATE_MAX: f64 = 5.0;

/// Judges the text of a manifest.
pub(crate) fn rules(faults: &mut Faults, text: &str, mpd: &Mpd) -> Result<()> {
    let document = Document::parse(text).context("the manifest is not XML")?;
    let root = document.root_element();
    let profiles = root.attribute("profiles").unwrap_or_default();
    faults.check(profiles.split(',').any(|p| p.trim() == PROFILE), || format!("MPD@profiles is {profiles}"));
    let min_buffer = seconds(root, "minBufferTime")?;
    faults.check(min_buffer.is_some_and(|s| s > 0.0), || "no MPD@minBufferTime".to_owned());
    if mpd.dynamic {
        live(faults, root)?;
    } else {
        on_demand(faults, root, mpd);
    }
    longest(faults, root, mpd)?;
    let mut ids = HashSet::new();
    for (node, period) in children(root, "Period").zip(&mpd.periods) {
        faults.check(ids.insert(period.id.clone()), || format!("two periods are called {}", period.id));
        sets(faults, node, period)?;
        references(faults, root, node, period)?;
        for track in &period.tracks {
            template(faults, period, track);
            declared(faults, period, track);
        }
        for track in &period.images {
            template(faults, period, track);
        }
    }
    Ok(())
}

fn live(faults: &mut Faults, root: Node<'_, '_>) -> Result<()> {
    for name in ["availabilityStartTime", "publishTime", "minimumUpdatePeriod", "suggestedPresentationDelay"]
    {
        faults.check(root.attribute(name).is_some(), || format!("a dynamic manifest without MPD@{name}"));
    }
    faults.check(root.attribute("mediaPresentationDuration").is_none(), || {
        "MPD@mediaPresentationDuration, though nobody knows when the show ends".to_owned()
    });
    let update = seconds(root, "minimumUpdatePeriod")?.unwrap_or_default();
    faults.check(update > 0.0 && update <= UPDATE_MAX, || format!("MPD@minimumUpdatePeriod is {update} s"));
    let delay = seconds(root, "suggestedPresentationDelay")?.unwrap_or_default();
    let longest = seconds(root, "maxSegmentDuration")?.unwrap_or_default();
    faults.check(delay > longest, || {
        format!("MPD@suggestedPresentationDelay is {delay} s, but a segment may last {longest} s")
    });
    if let Some(window) = seconds(root, "timeShiftBufferDepth")? {
        faults.check(window > delay, || {
            format!("the window of {window} s is no longer than the delay {delay} s")
        });
    }
    let clocks: Vec<_> = children(root, "UTCTiming").filter_map(|n| n.attribute("schemeIdUri")).collect();
    faults.check(clocks.iter().any(|scheme| TIME_SCHEMES.contains(scheme)), || {
        format!("no UTCTiming that players know: {clocks:?}")
    });
    let services: Vec<_> = children(root, "ServiceDescription").collect();
    // shaka-player takes no notice of more than one.
    faults.check(services.len() == 1, || format!("{} ServiceDescriptions", services.len()));
    for service in services {
        let latency = children(service, "Latency").next().and_then(|n| n.attribute("target"));
        let target = latency.and_then(|text| text.parse::<f64>().ok()).map(|ms| ms / 1000.0);
        faults.check(target.is_some_and(|t| (t - delay).abs() < ROUNDING), || {
            format!("Latency@target is {target:?} s, MPD@suggestedPresentationDelay {delay} s")
        });
        let rate = children(service, "PlaybackRate").next();
        let rate = |name: &str| rate.and_then(|n| n.attribute(name)).and_then(|t| t.parse::<f64>().ok());
        faults.check(rate("max").is_some_and(|max| max > 1.0 && max <= 1.1), || {
            format!("PlaybackRate@max is {:?}", rate("max"))
        });
        // shaka-player counts the target from the delay on: told that it may slow down, it drifts as far back again.
        faults.check(rate("min").is_some_and(|min| (min - 1.0).abs() < f64::EPSILON), || {
            format!("PlaybackRate@min is {:?}", rate("min"))
        });
    }
    Ok(())
}

fn on_demand(faults: &mut Faults, root: Node<'_, '_>, mpd: &Mpd) {
    for name in ["minimumUpdatePeriod", "timeShiftBufferDepth", "suggestedPresentationDelay"] {
        faults.check(root.attribute(name).is_none(), || format!("a static manifest with MPD@{name}"));
    }
    let mut at = 0.0;
    for period in &mpd.periods {
        faults.check((period.start - at).abs() < ROUNDING, || {
            format!("period {} starts at {} s, the one before ends at {at} s", period.id, period.start)
        });
        faults.check(period.duration.is_some(), || format!("period {} without duration", period.id));
        at = period.start + period.duration.unwrap_or_default();
    }
    let total = mpd.duration.unwrap_or_default();
    faults.check((at - total).abs() < ROUNDING, || {
        format!("the periods end at {at} s, mediaPresentationDuration is {total} s")
    });
}

/// No segment is longer than the manifest says that they are.
fn longest(faults: &mut Faults, root: Node<'_, '_>, mpd: &Mpd) -> Result<()> {
    let Some(most) = seconds(root, "maxSegmentDuration")? else {
        faults.check(false, || "no MPD@maxSegmentDuration".to_owned());
        return Ok(());
    };
    for track in mpd.periods.iter().flat_map(|p| &p.tracks) {
        let longest = track.segments.iter().map(|s| s.duration).max().unwrap_or(0);
        let longest = ticks_to_seconds(longest, track.timescale);
        faults.check(longest <= most + ROUNDING, || {
            format!("{}: a segment of {longest} s, maxSegmentDuration is {most} s", track.id)
        });
    }
    Ok(())
}

fn sets(faults: &mut Faults, node: Node<'_, '_>, period: &Period) -> Result<()> {
    let (mut sets, mut representations) = (HashSet::new(), HashSet::new());
    for set in children(node, "AdaptationSet") {
        let id = set.attribute("id").unwrap_or_default();
        let place = format!("period {} adaptation set {id}", period.id);
        faults.check(!id.is_empty() && sets.insert(id), || format!("{place}: no id of its own"));
        let kind = set.attribute("contentType").unwrap_or_default();
        let mime = set.attribute("mimeType").unwrap_or_default();
        faults.check(mime.starts_with(&format!("{kind}/")) && !kind.is_empty(), || {
            format!("{place}: @contentType {kind}, @mimeType {mime}")
        });
        if kind == "image" {
            storyboard(faults, &place, set, &mut representations);
            continue;
        }
        for (name, wanted) in [("segmentAlignment", "true"), ("startWithSAP", "1")] {
            let got = set.attribute(name);
            faults.check(got == Some(wanted), || format!("{place}: @{name} is {got:?}"));
        }
        let role = children(set, "Role").any(|n| n.attribute("schemeIdUri") == Some(ROLES));
        faults.check(role, || format!("{place}: no Role"));
        if kind == "video" {
            faults.check(set.attribute("par").is_some(), || format!("{place}: no @par"));
            // IOP 4.3, 3.2.4.
            for (most, each) in [("maxWidth", "width"), ("maxHeight", "height")] {
                let value = |node: Node<'_, '_>, name: &str| node.attribute(name)?.parse::<u32>().ok();
                let largest = children(set, "Representation").filter_map(|n| value(n, each)).max();
                let said = value(set, most);
                faults.check(said.is_some() && said == largest, || {
                    format!("{place}: @{most} is {said:?}, the largest {each} {largest:?}")
                });
            }
            let fps = |node: Node<'_, '_>, name: &str| {
                let (num, den) =
                    node.attribute(name)?.split_once('/').or(Some((node.attribute(name)?, "1")))?;
                Some(num.parse::<f64>().ok()? / den.parse::<f64>().ok()?)
            };
            let each: Vec<_> = children(set, "Representation").map(|n| fps(n, "frameRate")).collect();
            let (said, fastest) =
                (fps(set, "maxFrameRate"), each.iter().flatten().copied().fold(0.0, f64::max));
            faults.check(
                each.iter().all(Option::is_some) && said.is_some_and(|s| (s - fastest).abs() < ROUNDING),
                || format!("{place}: @maxFrameRate is {said:?}, @frameRate of each {each:?}"),
            );
        } else {
            faults.check(set.attribute("lang").is_some(), || format!("{place}: no @lang"));
        }
        for representation in children(set, "Representation") {
            let id = representation.attribute("id").unwrap_or_default();
            faults.check(representations.insert(id), || format!("{place}: {id} is there twice"));
            if kind == "video" {
                let sar = representation.attribute("sar");
                faults.check(sar.is_some_and(|s| s.contains(':')), || format!("{place} {id}: @sar {sar:?}"));
            } else {
                let channels = children(representation, "AudioChannelConfiguration").next();
                let scheme = channels.and_then(|n| n.attribute("schemeIdUri"));
                faults.check(scheme.is_some_and(|s| CHANNELS.contains(&s)), || {
                    format!("{place} {id}: AudioChannelConfiguration {scheme:?}")
                });
            }
        }
    }
    faults.check(!period.tracks.is_empty(), || format!("period {} is empty", period.id));
    Ok(())
}

/// What DASH-IF's guidelines (IOP 4.3, 6.2.6) say of thumbnails: a descriptor with the count of pictures across and down, the size of the whole
/// image, and a bit rate.
fn storyboard<'a>(
    faults: &mut Faults,
    place: &str,
    set: Node<'a, '_>,
    representations: &mut HashSet<&'a str>,
) {
    faults.check(set.attribute("mimeType") == Some("image/jpeg"), || format!("{place}: no JPEG"));
    for representation in children(set, "Representation") {
        let id = representation.attribute("id").unwrap_or_default();
        faults.check(representations.insert(id), || format!("{place}: {id} is there twice"));
        let tiles: Vec<_> = children(representation, "EssentialProperty")
            .filter(|n| n.attribute("schemeIdUri") == Some(THUMBNAILS))
            .filter_map(|n| n.attribute("value"))
            .collect();
        // dash.js counts pictures within an image from time 0, whatever Period and segment: with more than one it shows the wrong one.
        faults.check(tiles == ["1x1"], || format!("{place} {id}: tiles {tiles:?}"));
        for name in ["width", "height", "bandwidth"] {
            let value = representation.attribute(name).and_then(|text| text.parse::<u32>().ok());
            faults.check(value.is_some_and(|n| n > 0), || format!("{place} {id}: @{name} is {value:?}"));
        }
    }
}

/// Producer reference times lie on the line that `availabilityStartTime` draws, so that whoever computes a latency from them has the
/// same figure as who computes it from there; and `Latency` refers to them.
fn references(faults: &mut Faults, root: Node<'_, '_>, node: Node<'_, '_>, period: &Period) -> Result<()> {
    let Some(start) = root.attribute("availabilityStartTime").map(instant_us).transpose()? else {
        return Ok(());
    };
    if root.attribute("type") != Some("dynamic") {
        return Ok(());
    }
    let wanted = root
        .descendants()
        .find(|n| n.tag_name().name() == "Latency")
        .and_then(|n| n.attribute("referenceId"));
    for set in children(node, "AdaptationSet").filter(|n| n.attribute("contentType") != Some("image")) {
        let place =
            format!("period {} adaptation set {}", period.id, set.attribute("id").unwrap_or_default());
        let references: Vec<_> = children(set, "ProducerReferenceTime").collect();
        faults.check(!references.is_empty(), || format!("{place}: no ProducerReferenceTime"));
        let first = children(set, "Representation").next().and_then(|n| n.attribute("id"));
        let Some(track) = period.tracks.iter().find(|t| Some(t.id.as_str()) == first) else { continue };
        for reference in references {
            let id = reference.attribute("id");
            faults.check(wanted.is_some() && id == wanted, || {
                format!("{place}: ProducerReferenceTime {id:?}, Latency@referenceId {wanted:?}")
            });
            faults.check(children(reference, "UTCTiming").next().is_some(), || {
                format!("{place}: nobody knows by which clock its ProducerReferenceTime is")
            });
            let wall = instant_us(reference.attribute("wallClockTime").context("no @wallClockTime")?)?;
            let ticks: u64 =
                reference.attribute("presentationTime").context("no @presentationTime")?.parse()?;
            let into =
                ticks_to_seconds(ticks, track.timescale) - ticks_to_seconds(track.offset, track.timescale);
            #[allow(clippy::cast_possible_truncation, reason = "microseconds of a show fit by far")]
            let line = start + ((period.start + into) * 1e6) as i64;
            faults.check((wall - line).abs() <= INSTANT_ROUNDING, || {
                format!(
                    "{place}: its reference time is {} ms off the availability start",
                    (wall - line) / 1000
                )
            });
        }
    }
    Ok(())
}

/// A timeline goes on without hole or overlap from no earlier than where its period starts.
fn template(faults: &mut Faults, period: &Period, track: &Track) {
    let place = format!("period {} {}", period.id, track.id);
    faults.check(!track.segments.is_empty(), || format!("{place}: no segment"));
    faults.check(track.timescale > 1, || format!("{place}: timescale {}", track.timescale));
    // Sound may start within its own frame of the period's start.
    let slack = if track.is_video() || track.is_image() { 0 } else { 2048 };
    if let Some(first) = track.segments.first() {
        faults.check(first.time + slack >= track.offset, || {
            format!(
                "{place}: its first segment is at {}, before the period starts at {}",
                first.time, track.offset
            )
        });
    }
    for pair in track.segments.windows(2) {
        faults.check(pair[0].time + pair[0].duration <= pair[1].time, || {
            format!("{place} t={}: overlaps the one before", pair[1].time)
        });
    }
    let urls: HashSet<_> = track.segments.iter().map(|s| &s.url).collect();
    faults.check(urls.len() == track.segments.len(), || format!("{place}: two segments have one address"));
}

/// What a representation says of itself is complete and well formed.
fn declared(faults: &mut Faults, period: &Period, track: &Track) {
    let place = format!("period {} {}", period.id, track.id);
    faults.check(track.bandwidth > 0, || format!("{place}: no bandwidth"));
    if track.is_video() {
        let avc = track.codecs.strip_prefix("avc1.").filter(|hex| hex.len() == 6);
        faults.check(avc.is_some_and(|hex| u32::from_str_radix(hex, 16).is_ok()), || {
            format!("{place}: codecs={}", track.codecs)
        });
        faults.check(track.width.is_some() && track.height.is_some(), || format!("{place}: no size"));
    } else {
        faults.check(track.codecs == "mp4a.40.2", || format!("{place}: codecs={}", track.codecs));
        faults.check(track.sample_rate.map(u64::from) == Some(track.timescale), || {
            format!("{place}: {:?} Hz at timescale {}", track.sample_rate, track.timescale)
        });
    }
}

fn children<'a, 'b>(node: Node<'a, 'b>, name: &'static str) -> impl Iterator<Item = Node<'a, 'b>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

fn seconds(node: Node<'_, '_>, name: &str) -> Result<Option<f64>> {
    node.attribute(name).map(|text| duration(text).with_context(|| format!("@{name}"))).transpose()
}
