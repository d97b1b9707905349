//! What a manifest names: read back from its text, independently of what wrote it.

use media::time::Ticks;
use roxmltree::{Document, Node};

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mpd {
    /// `type="static"`.
    pub(super) is_static: bool,
    /// `availabilityStartTime`, as it is written.
    pub(super) availability_start: Option<String>,
    /// Segments in the order of Periods.
    pub(super) named: Vec<Named>,
}

/// One media segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// Its address, `$…$` replaced, relative to where the broadcast's objects are.
    pub(super) path: String,
    /// The track's name.
    pub(super) rung: String,
    /// Its presentation time, as the manifest has it, in 1/90 000 s.
    pub(super) at: Ticks,
}

/// Reads a manifest.
pub(super) fn read(text: &str) -> Result<Mpd, String> {
    let document = Document::parse(text).map_err(|error| error.to_string())?;
    let root = document.root_element();
    let mut named = Vec::new();
    for period in children(root, "Period") {
        let start = period.attribute("start").and_then(duration).ok_or("a Period without start")?;
        for set in children(period, "AdaptationSet") {
            for representation in children(set, "Representation") {
                track(set, representation, start, &mut named)?;
            }
        }
    }
    Ok(Mpd {
        is_static: root.attribute("type") == Some("static"),
        availability_start: root.attribute("availabilityStartTime").map(str::to_owned),
        named,
    })
}

fn children<'a>(node: Node<'a, 'a>, name: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

fn attribute<T: std::str::FromStr>(node: Node<'_, '_>, name: &str) -> Option<T> {
    node.attribute(name)?.parse().ok()
}

fn track<'a>(
    set: Node<'a, 'a>,
    representation: Node<'a, 'a>,
    start: Ticks,
    named: &mut Vec<Named>,
) -> Result<(), String> {
    let id = representation.attribute("id").ok_or("a Representation without id")?;
    // What a Representation does not say itself is that of its set.
    let templates: Vec<_> =
        [representation, set].into_iter().flat_map(|node| children(node, "SegmentTemplate")).collect();
    let said = |name: &str| templates.iter().find_map(|template| template.attribute(name));
    let media = said("media").ok_or("no media")?.replace("$RepresentationID$", id);
    let number = |name: &str| said(name).and_then(|text| text.parse::<i64>().ok());
    let timescale: i64 = number("timescale").ok_or("no timescale")?;
    let offset: i64 = number("presentationTimeOffset").unwrap_or(0);
    let timeline = templates.iter().find_map(|template| children(*template, "SegmentTimeline").next());
    let mut time = 0i64;
    for s in children(timeline.ok_or("no SegmentTimeline")?, "S") {
        time = attribute(s, "t").unwrap_or(time);
        let length: i64 = attribute(s, "d").ok_or("an S without d")?;
        let repeat: i64 = attribute(s, "r").unwrap_or(0);
        for _ in 0..=repeat {
            let at = start + (time - offset) * 90_000 / timescale.max(1);
            let path = media.replace("$Time$", &time.to_string());
            named.push(Named { path, rung: id.to_owned(), at });
            time += length;
        }
    }
    Ok(())
}

/// `PT1H2M3.5S` in 1/90 000 s.
fn duration(text: &str) -> Option<Ticks> {
    let mut total = 0i128;
    let mut rest = text.strip_prefix("PT")?;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let mut nanos = whole.parse::<i128>().ok()? * 1_000_000_000;
        if !fraction.is_empty() {
            let digits = u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 9)?;
            nanos += fraction.parse::<i128>().ok()? * 10i128.pow(9 - digits);
        }
        let seconds = match unit.chars().next()? {
            'H' => 3600,
            'M' => 60,
            'S' => 1,
            _ => return None,
        };
        total += nanos * seconds;
        rest = unit.get(1..)?;
    }
    // To nearest: the text has nanoseconds, a tick is 11 microseconds.
    Ticks::try_from((total * 9 + 50_000) / 100_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_ticks() {
        assert_eq!(duration("PT0S"), Some(0));
        assert_eq!(duration("PT1M2.5S"), Some(62 * 90_000 + 45_000));
        assert_eq!(duration("PT0.033366667S"), Some(3003));
        assert_eq!(duration("1S"), None);
    }
}
