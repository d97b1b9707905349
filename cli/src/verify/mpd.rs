//! Reading back what a manifest names: every segment of every representation, as keys in the bucket. Pure.
//!
//! Reads what the DASH live profile with `SegmentTimeline` may say (ISO/IEC 23009-1, 5.3.9), by itself and not with the code that wrote
//! the manifest, so that a fault in that code is seen.

use std::str::FromStr;

use roxmltree::{Document, Node};

/// Most segments of one representation: two days of 1 s GOPs. A manifest that says more is wrong, or meant to fill the memory.
const SEGMENTS_MAX: usize = 200_000;

/// What a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mpd {
    /// Whether it will change (`type="dynamic"`).
    pub(crate) dynamic: bool,
    /// Its representations, period by period.
    pub(crate) tracks: Vec<Track>,
}

/// One representation in one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Track {
    /// The rung: the representation's id.
    pub(crate) rung: String,
    /// Key of its initialization segment; images have none.
    pub(crate) init: Option<String>,
    /// Its segments, in order.
    pub(crate) segments: Vec<Named>,
}

/// A named segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its key.
    pub(crate) key: String,
    /// `S@t`, counted on through `S@r`.
    pub(crate) time: u64,
    /// `S@d`.
    pub(crate) duration: u64,
}

/// Reads a manifest that is stored under `key`.
///
/// # Errors
/// A sentence that says what can't be read.
pub(crate) fn parse(key: &str, text: &str) -> Result<Mpd, String> {
    let document = Document::parse(text).map_err(|error| format!("it is no XML: {error}"))?;
    let root = document.root_element();
    if root.tag_name().name() != "MPD" {
        return Err(format!("it is a {} and no MPD", root.tag_name().name()));
    }
    let mut mpd = Mpd { dynamic: root.attribute("type") == Some("dynamic"), tracks: Vec::new() };
    let base = rebased(&format!("/{key}"), root)?;
    for period in children(root, "Period") {
        let base = rebased(&base, period)?;
        for set in children(period, "AdaptationSet") {
            let base = rebased(&base, set)?;
            for representation in children(set, "Representation") {
                let base = rebased(&base, representation)?;
                let levels = [representation, set, period];
                mpd.tracks.push(track(&levels, &base)?);
            }
        }
    }
    Ok(mpd)
}

fn children<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

fn rebased(base: &str, node: Node<'_, '_>) -> Result<String, String> {
    match children(node, "BaseURL").next().and_then(|url| url.text()) {
        Some(url) => resolve(base, url.trim()),
        None => Ok(base.to_owned()),
    }
}

/// One representation. A template's attributes are inherited from the levels above (5.3.9.1).
fn track(levels: &[Node<'_, '_>], base: &str) -> Result<Track, String> {
    let rung = levels.first().and_then(|node| node.attribute("id")).ok_or("a Representation has no id")?;
    let templates: Vec<_> =
        levels.iter().filter_map(|node| children(*node, "SegmentTemplate").next()).collect();
    let attribute = |name: &str| {
        let found = templates.iter().find_map(|template| template.attribute(name));
        found.ok_or_else(|| format!("{rung} has no SegmentTemplate@{name}"))
    };
    let is_image = levels.iter().any(|node| node.attribute("contentType") == Some("image"));
    let spell = |template: &str, time: Option<u64>| {
        let filled = template.replace("$RepresentationID$", rung);
        let filled = time.map_or(filled.clone(), |time| filled.replace("$Time$", &time.to_string()));
        if filled.contains('$') {
            return Err(format!("{rung}: the template {template} is of a kind that gopcast never writes"));
        }
        Ok(resolve(base, &filled)?.trim_start_matches('/').to_owned())
    };
    let media = attribute("media")?;
    let init = if is_image { None } else { Some(spell(attribute("initialization")?, None)?) };
    let timeline = templates
        .iter()
        .find_map(|template| children(*template, "SegmentTimeline").next())
        .ok_or_else(|| format!("{rung} has no SegmentTimeline"))?;
    let mut segments = Vec::new();
    let mut next: Option<u64> = None;
    for s in children(timeline, "S") {
        let mut time = match number(s, "t")? {
            Some(time) => time,
            None => next.unwrap_or(0),
        };
        let duration = number::<u64>(s, "d")?.ok_or_else(|| format!("{rung} has an S without d"))?;
        let repeats: u64 = number(s, "r")?.unwrap_or(0);
        for _ in 0..=repeats {
            if segments.len() == SEGMENTS_MAX {
                return Err(format!("{rung} names more than {SEGMENTS_MAX} segments"));
            }
            segments.push(Named { key: spell(media, Some(time))?, time, duration });
            time = time.checked_add(duration).ok_or_else(|| format!("{rung}: times beyond all clocks"))?;
        }
        next = Some(time);
    }
    Ok(Track { rung: rung.to_owned(), init, segments })
}

fn number<T: FromStr>(node: Node<'_, '_>, name: &str) -> Result<Option<T>, String> {
    let parse = |text: &str| text.parse().map_err(|_| format!("S@{name}=\"{text}\" is no number that fits"));
    node.attribute(name).map(parse).transpose()
}

/// The path that `reference` means where `base` is (RFC 3986, 5.2, as far as manifests use it). Other hosts are not followed.
pub(super) fn resolve(base: &str, reference: &str) -> Result<String, String> {
    if reference.contains("://") || reference.starts_with("//") {
        return Err(format!("{reference} is on another host"));
    }
    let path = if reference.starts_with('/') {
        reference.to_owned()
    } else {
        let dir = base.rsplit_once('/').map_or("", |(dir, _)| dir);
        format!("{dir}/{reference}")
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic"><BaseURL>../../vod/demo/b/</BaseURL>
 <Period id="1"><AdaptationSet><SegmentTemplate timescale="90000" media="$RepresentationID$/$Time$.m4s" initialization="$RepresentationID$/init-ab.mp4"/>
  <Representation id="360p"><SegmentTemplate><SegmentTimeline><S t="100" d="10" r="2"/><S d="5"/><S t="200" d="7"/></SegmentTimeline></SegmentTemplate></Representation>
 </AdaptationSet>
 <AdaptationSet contentType="image"><Representation id="tiles"><SegmentTemplate media="$RepresentationID$/$Time$.jpg"><SegmentTimeline><S t="100" d="10"/></SegmentTimeline></SegmentTemplate></Representation></AdaptationSet>
 </Period>
</MPD>"#;

    #[test]
    fn templates_are_inherited_and_timelines_expanded() {
        let mpd = parse("live/demo/manifest.mpd", TEXT).unwrap();
        assert!(mpd.dynamic);
        let [track, tiles] = mpd.tracks.as_slice() else { panic!("{mpd:?}") };
        assert_eq!(
            (track.rung.as_str(), track.init.as_deref()),
            ("360p", Some("vod/demo/b/360p/init-ab.mp4"))
        );
        let tile = Named { key: "vod/demo/b/tiles/100.jpg".to_owned(), time: 100, duration: 10 };
        assert_eq!((&tiles.init, tiles.segments.as_slice()), (&None, &[tile][..]));
        let named: Vec<_> = track.segments.iter().map(|s| (s.time, s.duration)).collect();
        assert_eq!(named, [(100, 10), (110, 10), (120, 10), (130, 5), (200, 7)]);
        assert_eq!(track.segments[4].key, "vod/demo/b/360p/200.m4s");
    }

    #[test]
    fn without_a_base_names_are_beside_the_manifest() {
        let text = TEXT.replace("<BaseURL>../../vod/demo/b/</BaseURL>", "").replace("dynamic", "static");
        let mpd = parse("vod/demo/b/manifest.mpd", &text).unwrap();
        assert!(!mpd.dynamic);
        assert_eq!(mpd.tracks[0].segments[0].key, "vod/demo/b/360p/100.m4s");
    }

    #[test]
    fn what_can_not_be_read_is_said() {
        for (change, with, says) in [
            ("<MPD", "<XPD", "no XML"),
            ("$Time$", "$Number$", "never writes"),
            ("d=\"5\"", "", "S without d"),
            ("r=\"2\"", "r=\"-1\"", "no number that fits"),
            ("r=\"2\"", "r=\"2000000\"", "more than"),
            ("../../vod", "https://example.com/vod", "another host"),
            ("id=\"360p\"", "", "no id"),
        ] {
            let error = parse("live/demo/manifest.mpd", &TEXT.replace(change, with)).unwrap_err();
            assert!(error.contains(says), "{change}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(at in 0..TEXT.len(), with in ".{0,8}") {
            let at = (0..=at).rev().find(|i| TEXT.is_char_boundary(*i)).unwrap_or(0);
            let _ = parse("live/demo/manifest.mpd", &format!("{}{with}{}", &TEXT[..at], &TEXT[at..]));
        }
    }
}
