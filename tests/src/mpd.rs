//! A reader of DASH manifests (ISO/IEC 23009-1), as far as gopcast's profile goes: periods, adaptation sets, representations and
//! segment templates with a timeline. Written from the standard, not from gopcast's writer.

use anyhow::{Context, Result, bail};
use roxmltree::{Document, Node};

use crate::http::resolve;

/// Most segments that one `S` may repeat: a day of one-second segments.
const REPEAT_MAX: i64 = 86_400;

/// A manifest.
#[derive(Debug, Clone)]
pub struct Mpd {
    /// Whether it is `dynamic`.
    pub dynamic: bool,
    /// `availabilityStartTime`, in milliseconds since the Unix epoch.
    pub availability_start_ms: Option<i64>,
    /// `mediaPresentationDuration` in seconds.
    pub duration: Option<f64>,
    /// `publishTime`, in microseconds since the Unix epoch.
    pub publish_time_us: Option<i64>,
    /// `suggestedPresentationDelay` in seconds.
    pub suggested_delay: Option<f64>,
    /// Its periods, in order.
    pub periods: Vec<Period>,
}

/// A `Period`.
#[derive(Debug, Clone)]
pub struct Period {
    /// Its id.
    pub id: String,
    /// Its start in seconds.
    pub start: f64,
    /// Its duration in seconds, when it says.
    pub duration: Option<f64>,
    /// Every representation of every adaptation set of pictures and sound.
    pub tracks: Vec<Track>,
    /// The storyboard's, whose segments are images.
    pub images: Vec<Track>,
}

/// A `Representation`, with what it inherits.
#[derive(Debug, Clone)]
pub struct Track {
    /// Its id.
    pub id: String,
    /// `video/mp4`, `audio/mp4` or `image/jpeg`.
    pub mime_type: String,
    /// The `codecs` parameter; images have none.
    pub codecs: String,
    /// Bits a second.
    pub bandwidth: u64,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// `frameRate` as written.
    pub frame_rate: Option<String>,
    /// `audioSamplingRate`.
    pub sample_rate: Option<u32>,
    /// Ticks a second.
    pub timescale: u64,
    /// `presentationTimeOffset` in ticks.
    pub offset: u64,
    /// URL of its initialization segment; images have none.
    pub init: String,
    /// Its segments, in order.
    pub segments: Vec<Segment>,
}

/// One segment of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// `S@t`, or what follows from the one before.
    pub time: u64,
    /// `S@d`.
    pub duration: u64,
    /// Its URL.
    pub url: String,
}

impl Track {
    /// Whether it is a storyboard.
    #[must_use]
    pub fn is_image(&self) -> bool {
        self.mime_type.starts_with("image/")
    }

    /// Whether it is pictures.
    #[must_use]
    pub fn is_video(&self) -> bool {
        self.mime_type.starts_with("video/")
    }
}

impl Mpd {
    /// Reads the manifest that was fetched from `url`.
    ///
    /// # Errors
    /// When it is not XML, or lacks what the standard demands.
    pub fn parse(url: &str, text: &str) -> Result<Self> {
        let document = Document::parse(text).context("the manifest is not XML")?;
        let root = document.root_element();
        anyhow::ensure!(root.tag_name().name() == "MPD", "the root element is {}", root.tag_name().name());
        anyhow::ensure!(
            root.tag_name().namespace() == Some("urn:mpeg:dash:schema:mpd:2011"),
            "wrong namespace"
        );
        let base = base_url(url, root);
        let mut periods: Vec<Period> = Vec::new();
        for node in children(root, "Period") {
            let start = match (node.attribute("start"), periods.last()) {
                (Some(start), _) => duration(start)?,
                (None, None) => 0.0,
                (None, Some(before)) => {
                    before.start
                        + before.duration.context("a period without start after one without duration")?
                }
            };
            periods.push(period(&base, node, start)?);
        }
        Ok(Self {
            dynamic: match root.attribute("type") {
                Some("dynamic") => true,
                Some("static") | None => false,
                Some(other) => bail!("MPD@type is {other}"),
            },
            availability_start_ms: root.attribute("availabilityStartTime").map(instant_ms).transpose()?,
            duration: root.attribute("mediaPresentationDuration").map(duration).transpose()?,
            publish_time_us: root.attribute("publishTime").map(instant_us).transpose()?,
            suggested_delay: root.attribute("suggestedPresentationDelay").map(duration).transpose()?,
            periods,
        })
    }

    /// How many segments of pictures its first period's first rung names; 0 when there are none.
    #[must_use]
    pub fn video_segments(&self) -> usize {
        self.periods
            .iter()
            .filter_map(|p| p.tracks.iter().find(|t| t.is_video()))
            .map(|track| track.segments.len())
            .sum()
    }

    /// Ids of all rungs of pictures, sorted, each once.
    #[must_use]
    pub fn rungs(&self) -> Vec<String> {
        let tracks = self.periods.iter().flat_map(|p| &p.tracks).filter(|t| t.is_video());
        let mut ids: Vec<String> = tracks.map(|t| t.id.clone()).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// How much media it offers, in seconds: the sum over its periods of the longest rung's timeline.
    #[must_use]
    pub fn media_seconds(&self) -> f64 {
        let seconds = |track: &Track| {
            let ticks: u64 = track.segments.iter().map(|s| s.duration).sum();
            ticks_to_seconds(ticks, track.timescale)
        };
        self.periods.iter().map(|p| p.tracks.iter().map(seconds).fold(0.0, f64::max)).sum()
    }
}

/// Ticks as seconds.
#[must_use]
pub fn ticks_to_seconds(ticks: u64, timescale: u64) -> f64 {
    let (whole, rest) = (ticks / timescale.max(1), ticks % timescale.max(1));
    let f = |n: u64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    f(whole) + f(rest) / f(timescale.max(1))
}

fn children<'a, 'b>(node: Node<'a, 'b>, name: &'static str) -> impl Iterator<Item = Node<'a, 'b>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

fn base_url(base: &str, node: Node<'_, '_>) -> String {
    let text = children(node, "BaseURL").next().and_then(|n| n.text());
    text.map_or_else(|| base.to_owned(), |text| resolve(base, text.trim()))
}

fn period(base: &str, node: Node<'_, '_>, start: f64) -> Result<Period> {
    let base = base_url(base, node);
    let mut all = Vec::new();
    for set in children(node, "AdaptationSet") {
        let base = base_url(&base, set);
        for representation in children(set, "Representation") {
            let base = base_url(&base, representation);
            all.push(track(&base, node, set, representation)?);
        }
    }
    let (images, tracks) = all.into_iter().partition(Track::is_image);
    Ok(Period {
        id: node.attribute("id").context("a period without id")?.to_owned(),
        start,
        duration: node.attribute("duration").map(duration).transpose()?,
        tracks,
        images,
    })
}

fn track(base: &str, period: Node<'_, '_>, set: Node<'_, '_>, node: Node<'_, '_>) -> Result<Track> {
    let id = node.attribute("id").context("a representation without id")?;
    let inherited = |name: &str| node.attribute(name).or_else(|| set.attribute(name));
    let levels = [node, set, period];
    let templates: Vec<_> = levels.iter().filter_map(|n| children(*n, "SegmentTemplate").next()).collect();
    let attribute = |name: &str| templates.iter().find_map(|t| t.attribute(name));
    let number = |name: &str| -> Result<Option<u64>> {
        attribute(name)
            .map(|text| text.parse().with_context(|| format!("{id}: @{name} is {text}")))
            .transpose()
    };
    let bandwidth = node.attribute("bandwidth").context("no bandwidth")?;
    let fill = |template: &str, time: Option<u64>| {
        let mut text = template.replace("$RepresentationID$", id).replace("$Bandwidth$", bandwidth);
        if let Some(time) = time {
            text = text.replace("$Time$", &time.to_string());
        }
        text.replace("$$", "$")
    };
    let media = attribute("media").context("no SegmentTemplate@media")?;
    let timeline = templates
        .iter()
        .find_map(|t| children(*t, "SegmentTimeline").next())
        .with_context(|| format!("{id}: no SegmentTimeline"))?;
    let mut segments: Vec<Segment> = Vec::new();
    for s in children(timeline, "S") {
        let value =
            |name: &str| s.attribute(name).map(str::parse::<u64>).transpose().context("an S attribute");
        let length = value("d")?.context("an S without d")?;
        let repeat: i64 = s.attribute("r").unwrap_or("0").parse().context("S@r")?;
        anyhow::ensure!((0..=REPEAT_MAX).contains(&repeat), "{id}: S@r is {repeat}");
        let mut time = match (value("t")?, segments.last()) {
            (Some(time), _) => time,
            (None, Some(before)) => before.time + before.duration,
            (None, None) => 0,
        };
        for _ in 0..=repeat {
            segments.push(Segment { time, duration: length, url: resolve(base, &fill(media, Some(time))) });
            time += length;
        }
    }
    let mime_type = inherited("mimeType").context("no mimeType")?.to_owned();
    let (codecs, init) = if mime_type.starts_with("image/") {
        (String::new(), String::new())
    } else {
        let init = fill(attribute("initialization").context("no initialization")?, None);
        (inherited("codecs").context("no codecs")?.to_owned(), resolve(base, &init))
    };
    Ok(Track {
        id: id.to_owned(),
        mime_type,
        codecs,
        bandwidth: bandwidth.parse().context("bandwidth")?,
        width: inherited("width").map(str::parse).transpose().context("width")?,
        height: inherited("height").map(str::parse).transpose().context("height")?,
        frame_rate: inherited("frameRate").map(str::to_owned),
        sample_rate: inherited("audioSamplingRate")
            .map(str::parse)
            .transpose()
            .context("audioSamplingRate")?,
        timescale: number("timescale")?.unwrap_or(1),
        offset: number("presentationTimeOffset")?.unwrap_or(0),
        init,
        segments,
    })
}

/// An `xs:duration` in seconds. Years and months have no fixed length and are not accepted.
///
/// # Errors
/// When it is not a duration.
pub fn duration(text: &str) -> Result<f64> {
    let rest = text.strip_prefix('P').with_context(|| format!("{text} is not a duration"))?;
    let (date, time) = rest.split_once('T').unwrap_or((rest, ""));
    let mut seconds = 0.0;
    for (part, units) in [(date, &[('D', 86_400.0)][..]), (time, &[('H', 3600.0), ('M', 60.0), ('S', 1.0)])] {
        let mut number = String::new();
        for c in part.chars() {
            if c.is_ascii_digit() || c == '.' {
                number.push(c);
                continue;
            }
            let unit =
                units.iter().find(|(name, _)| *name == c).with_context(|| format!("duration {text}"))?;
            seconds += number.parse::<f64>().with_context(|| format!("duration {text}"))? * unit.1;
            number.clear();
        }
        anyhow::ensure!(number.is_empty(), "duration {text} ends without unit");
    }
    Ok(seconds)
}

fn instant_ms(text: &str) -> Result<i64> {
    Ok(instant_us(text)?.div_euclid(1000))
}

/// An `xs:dateTime` with its zone, in microseconds since the Unix epoch.
///
/// # Errors
/// When it is not one.
pub fn instant_us(text: &str) -> Result<i64> {
    let instant: jiff::Timestamp = text.parse().with_context(|| format!("{text} is not an instant"))?;
    Ok(instant.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [("PT0S", 0.0), ("PT1.5S", 1.5), ("PT2M3.25S", 123.25), ("P1DT1H", 90_000.0)] {
            assert!((duration(text).unwrap() - seconds).abs() < 1e-9, "{text}");
        }
        for bad in ["", "1S", "PT5", "P1Y", "PTS"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_manifest_with_inheritance_and_repeats() {
        let text = r#"<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic" availabilityStartTime="1970-01-01T00:00:01Z">
            <BaseURL>/vod/x/b/</BaseURL><Period id="p" start="PT1S"><AdaptationSet mimeType="video/mp4">
            <SegmentTemplate timescale="90000" presentationTimeOffset="5" media="$RepresentationID$/$Time$.m4s"
              initialization="$RepresentationID$/i.mp4"><SegmentTimeline><S t="10" d="3" r="1"/><S d="2"/><S t="30" d="1"/>
            </SegmentTimeline></SegmentTemplate>
            <Representation id="r" codecs="avc1.64001E" bandwidth="1"/></AdaptationSet><AdaptationSet mimeType="image/jpeg">
            <Representation id="i" bandwidth="1"><SegmentTemplate media="$RepresentationID$/$Time$.jpg"><SegmentTimeline><S d="3"/>
            </SegmentTimeline></SegmentTemplate></Representation></AdaptationSet></Period></MPD>"#;
        let mpd = Mpd::parse("http://h/live/x/manifest.mpd", text).unwrap();
        assert!(mpd.dynamic);
        assert_eq!(mpd.availability_start_ms, Some(1000));
        let [image] = mpd.periods[0].images.as_slice() else { panic!("{mpd:?}") };
        assert_eq!((image.segments[0].url.as_str(), image.init.as_str()), ("http://h/vod/x/b/i/0.jpg", ""));
        assert_eq!(mpd.periods[0].tracks.len(), 1);
        let track = &mpd.periods[0].tracks[0];
        assert_eq!((track.timescale, track.offset), (90_000, 5));
        assert_eq!(track.init, "http://h/vod/x/b/r/i.mp4");
        let times: Vec<_> = track.segments.iter().map(|s| (s.time, s.duration)).collect();
        assert_eq!(times, [(10, 3), (13, 3), (16, 2), (30, 1)]);
        assert_eq!(track.segments[1].url, "http://h/vod/x/b/r/13.m4s");
    }
}
