//! A strict reader of HLS playlists, written from RFC 8216 and its second edition (draft 16), not from gopcast's writer; and the
//! rules that one version of a playlist must keep towards the version before (6.2.1, 6.2.2).

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use crate::http::{Client, resolve};

/// `application/vnd.apple.mpegurl` (4).
const CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";

/// A multivariant playlist.
#[derive(Debug, Clone, Default)]
pub struct Multivariant {
    /// `EXT-X-STREAM-INF`, in order.
    pub variants: Vec<Variant>,
    /// `EXT-X-MEDIA`: attributes.
    pub renditions: Vec<Attributes>,
}

/// One variant stream.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Its attributes.
    pub attributes: Attributes,
    /// URL of its media playlist.
    pub url: String,
}

/// An attribute list: quotes taken off.
pub type Attributes = BTreeMap<String, String>;

/// A media playlist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Media {
    /// `EXT-X-TARGETDURATION`
    pub target: u64,
    /// `EXT-X-MEDIA-SEQUENCE`
    pub sequence: usize,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`
    pub discontinuity_sequence: usize,
    /// `EXT-X-PLAYLIST-TYPE`
    pub kind: Option<String>,
    /// `EXT-X-ENDLIST`
    pub ended: bool,
    /// In order.
    pub segments: Vec<Segment>,
    /// `EXT-X-DATERANGE`: attributes.
    pub date_ranges: Vec<Attributes>,
}

/// A media segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Its URL.
    pub url: String,
    /// Its duration in seconds.
    pub seconds: f64,
    /// URL of its initialization section.
    pub map: String,
    /// `EXT-X-DISCONTINUITY` stands before it.
    pub discontinuity: bool,
    /// `EXT-X-PROGRAM-DATE-TIME`, in ms since the Unix epoch: as written, or as it follows.
    pub date_ms: f64,
    /// `EXT-X-GAP`
    pub gap: bool,
}

/// Fetches a playlist, and checks what it is served as.
///
/// # Errors
/// When it is not there or not served as HLS.
pub fn fetch(client: &Client, url: &str) -> Result<String> {
    let reply = client.get(url)?;
    ensure!(reply.status == 200, "{url}: {}", reply.status);
    ensure!(reply.header("content-type") == Some(CONTENT_TYPE), "{url}: {:?}", reply.header("content-type"));
    ensure!(
        reply.header("access-control-allow-origin") == Some("*")
            || reply.header("access-control-allow-origin").is_none(),
        "{url}: CORS"
    );
    String::from_utf8(reply.body).context("it is not UTF-8")
}

/// Lines of a playlist behind `#EXTM3U`; control characters are refused (4.1).
fn lines(text: &str) -> Result<Vec<&str>> {
    ensure!(text.ends_with('\n'), "the last line has no end");
    ensure!(!text.chars().any(|c| c.is_control() && c != '\n'), "control characters");
    let mut lines = text.lines();
    ensure!(lines.next() == Some("#EXTM3U"), "no #EXTM3U");
    // Blank lines and comments say nothing (4.1); a tag begins with `#EXT`.
    let says = |line: &&str| !line.is_empty() && (!line.starts_with('#') || line.starts_with("#EXT"));
    Ok(lines.filter(says).collect())
}

/// `NAME=value,NAME="value"` (4.2).
fn attributes(text: &str) -> Result<Attributes> {
    let mut out = Attributes::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').with_context(|| format!("{rest} has no ="))?;
        ensure!(
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-'),
            "attribute name {name}"
        );
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').context("a quote that does not end")?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                let (value, next) = after.split_at(end);
                ensure!(!value.is_empty() && !value.contains(['"', ' ']), "value {value}");
                (value, next)
            }
        };
        ensure!(out.insert(name.to_owned(), value.to_owned()).is_none(), "{name} twice");
        rest = match next.strip_prefix(',') {
            Some(rest) => rest,
            None => {
                ensure!(next.is_empty(), "{next} behind a value");
                ""
            }
        };
    }
    Ok(out)
}

impl Multivariant {
    /// Reads one that was fetched from `url`.
    ///
    /// # Errors
    /// What rule it breaks.
    pub fn parse(url: &str, text: &str) -> Result<Self> {
        let mut this = Self::default();
        let (mut pending, mut independent) = (None, false);
        for line in lines(text)? {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            if let Some(stream) = pending.take() {
                ensure!(!line.starts_with('#'), "a STREAM-INF without URI");
                this.variants.push(Variant { attributes: stream, url: resolve(url, line) });
                continue;
            }
            match tag {
                "#EXT-X-VERSION" => ensure!(value.parse::<u32>()? >= 6, "version {value}"),
                "#EXT-X-INDEPENDENT-SEGMENTS" => independent = true,
                "#EXT-X-MEDIA" => {
                    let mut media = attributes(value)?;
                    for needed in ["TYPE", "GROUP-ID", "NAME"] {
                        ensure!(media.contains_key(needed), "EXT-X-MEDIA without {needed}");
                    }
                    let uri = media.get_mut("URI").context("no URI")?;
                    *uri = resolve(url, uri);
                    this.renditions.push(media);
                }
                "#EXT-X-STREAM-INF" => pending = Some(attributes(value)?),
                other => bail!("{other} in a multivariant playlist"),
            }
        }
        ensure!(independent, "no EXT-X-INDEPENDENT-SEGMENTS");
        ensure!(pending.is_none() && !this.variants.is_empty(), "no variant");
        for variant in &this.variants {
            let of = |name: &str| variant.attributes.get(name).map(String::as_str);
            let rate =
                |name: &str| of(name).with_context(|| format!("no {name}"))?.parse::<u64>().context("rate");
            ensure!(rate("AVERAGE-BANDWIDTH")? <= rate("BANDWIDTH")?, "average above peak");
            let codecs = of("CODECS").context("no CODECS")?;
            if codecs.contains("avc1.") {
                ensure!(of("RESOLUTION").is_some() && of("FRAME-RATE").is_some(), "size or rate missing");
            }
            if let Some(group) = of("AUDIO") {
                let known = this.renditions.iter().any(|r| r["TYPE"] == "AUDIO" && r["GROUP-ID"] == group);
                ensure!(known && codecs.contains(','), "AUDIO={group}, CODECS={codecs}");
            }
        }
        Ok(this)
    }

    /// URLs of all media playlists.
    #[must_use]
    pub fn media_urls(&self) -> Vec<String> {
        let renditions = self.renditions.iter().filter_map(|rendition| rendition.get("URI"));
        self.variants.iter().map(|variant| &variant.url).chain(renditions).cloned().collect()
    }
}

impl Media {
    /// Reads one that was fetched from `url`.
    ///
    /// # Errors
    /// What rule it breaks.
    pub fn parse(url: &str, text: &str) -> Result<Self> {
        let mut this = Self::default();
        let (mut map, mut date, mut duration) = (None, None, None);
        let (mut discontinuity, mut gap, mut independent, mut targets) = (false, false, false, 0);
        for line in lines(text)? {
            ensure!(!this.ended, "{line} behind EXT-X-ENDLIST");
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            let head = this.segments.is_empty() && !discontinuity;
            match tag {
                "#EXT-X-VERSION" => ensure!(value.parse::<u32>()? >= 6, "EXT-X-MAP needs version 6"),
                "#EXT-X-TARGETDURATION" => {
                    targets += 1;
                    this.target = value.parse()?;
                }
                "#EXT-X-MEDIA-SEQUENCE" if head => this.sequence = value.parse()?,
                "#EXT-X-DISCONTINUITY-SEQUENCE" if head => this.discontinuity_sequence = value.parse()?,
                "#EXT-X-PLAYLIST-TYPE" if head => this.kind = Some(value.to_owned()),
                "#EXT-X-INDEPENDENT-SEGMENTS" => independent = true,
                "#EXT-X-MAP" => {
                    let uri = attributes(value)?.remove("URI").context("EXT-X-MAP without URI")?;
                    map = Some(resolve(url, &uri));
                }
                "#EXT-X-PROGRAM-DATE-TIME" => {
                    let at: jiff::Timestamp = value.parse().context("EXT-X-PROGRAM-DATE-TIME")?;
                    date = Some(
                        f64::from(i32::try_from(at.as_millisecond() % 1_000_000_000)?)
                            + 1e9 * { f64::from(i32::try_from(at.as_millisecond() / 1_000_000_000)?) },
                    );
                }
                "#EXT-X-DATERANGE" => {
                    let range = attributes(value)?;
                    ensure!(
                        range.contains_key("ID") && range.contains_key("START-DATE"),
                        "DATERANGE {value}"
                    );
                    this.date_ranges.push(range);
                }
                "#EXT-X-DISCONTINUITY" => discontinuity = true,
                "#EXT-X-GAP" => gap = true,
                "#EXT-X-ENDLIST" => this.ended = true,
                "#EXTINF" => {
                    let (seconds, _) = value.split_once(',').context("EXTINF without comma")?;
                    ensure!(seconds.bytes().all(|b| b.is_ascii_digit() || b == b'.'), "EXTINF {seconds}");
                    duration = Some(seconds.parse::<f64>()?);
                }
                _ if line.starts_with('#') => {
                    bail!("{line} in a media playlist, at segment {}", this.segments.len())
                }
                _ => {
                    let seconds = duration.take().context("a segment without EXTINF")?;
                    let most = f64::from(u32::try_from(this.target)?);
                    ensure!(seconds.round() <= most, "{seconds} s, the target is {most} s");
                    let follows = this.segments.last().filter(|_| !discontinuity);
                    let follows = follows.map(|last| last.date_ms + last.seconds * 1000.0);
                    let date_ms = date.take().or(follows).context("a discontinuity without a date")?;
                    this.segments.push(Segment {
                        url: resolve(url, line),
                        seconds,
                        map: map.clone().context("a segment without EXT-X-MAP")?,
                        discontinuity: std::mem::take(&mut discontinuity),
                        date_ms,
                        gap: std::mem::take(&mut gap),
                    });
                }
            }
        }
        ensure!(targets == 1 && independent, "{targets} target durations, independent: {independent}");
        ensure!(this.kind.as_deref().is_none_or(|kind| matches!(kind, "EVENT" | "VOD")), "{:?}", this.kind);
        if this.kind.is_some() {
            ensure!(this.sequence == 0 && this.discontinuity_sequence == 0, "it has lost its front");
        }
        ensure!(this.kind.as_deref() != Some("VOD") || this.ended, "a VOD without end");
        Ok(this)
    }

    /// What must hold of the version after this one.
    ///
    /// # Errors
    /// What rule is broken.
    pub fn goes_on_as(&self, new: &Self) -> Result<()> {
        ensure!(new.target == self.target, "target duration {} → {}", self.target, new.target);
        ensure!(new.kind == self.kind, "type {:?} → {:?}", self.kind, new.kind);
        ensure!(!self.ended || new == self, "it changed after its end");
        let left = new.sequence.checked_sub(self.sequence).context("EXT-X-MEDIA-SEQUENCE went back")?;
        ensure!(left <= self.segments.len(), "{left} segments left at once");
        let (gone, kept) = self.segments.split_at(left);
        let discontinuities = gone.iter().filter(|segment| segment.discontinuity).count();
        ensure!(
            new.discontinuity_sequence == self.discontinuity_sequence + discontinuities,
            "EXT-X-DISCONTINUITY-SEQUENCE"
        );
        for (old, new) in kept.iter().zip(&new.segments) {
            let same = (&old.url, &old.map, old.discontinuity, old.gap)
                == (&new.url, &new.map, new.discontinuity, new.gap);
            ensure!(same && (old.date_ms - new.date_ms).abs() < 2.0, "{old:?} became {new:?}");
        }
        ensure!(new.segments.len() >= kept.len(), "segments left at the end");
        Ok(())
    }

    /// Its length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.segments.iter().map(|segment| segment.seconds).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://h/vod/x/b/360p/live.m3u8";
    const TEXT: &str = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-INDEPENDENT-SEGMENTS\n\
        #EXT-X-MAP:URI=\"i.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01.000Z\n#EXTINF:2.000000,\n1.m4s\n#EXTINF:1.5,\n2.m4s\n";

    #[test]
    fn a_media_playlist() {
        let media = Media::parse(URL, TEXT).unwrap();
        assert_eq!(media.segments[1].url, "http://h/vod/x/b/360p/2.m4s");
        assert!((media.segments[1].date_ms - 3000.0).abs() < 1e-6);
        let longer = Media::parse(URL, &format!("{TEXT}#EXTINF:2,\n3.m4s\n#EXT-X-ENDLIST\n")).unwrap();
        media.goes_on_as(&longer).unwrap();
        longer.goes_on_as(&media).unwrap_err();
    }

    #[test]
    fn broken_rules_are_seen() {
        for (change, with) in [
            ("TARGETDURATION:2", "TARGETDURATION:1"),
            ("#EXT-X-MAP:URI=\"i.mp4\"\n", ""),
            ("#EXTINF:1.5,\n", ""),
            ("#EXT-X-INDEPENDENT-SEGMENTS\n", ""),
            ("#EXTINF:1.5,", "#EXT-X-DISCONTINUITY\n#EXTINF:1.5,"),
            ("#EXTINF:1.5,", "#EXT-X-NEW\n#EXTINF:1.5,"),
            ("#EXT-X-VERSION:6", "#EXT-X-VERSION:3"),
        ] {
            assert!(Media::parse(URL, &TEXT.replace(change, with)).is_err(), "{change} {with}");
        }
    }

    #[test]
    fn attribute_lists() {
        let read = attributes("A=1,B-C=\"x,y=z\",D=0xAF").unwrap();
        assert_eq!(read.into_iter().map(|(k, v)| k + &v).collect::<Vec<_>>(), ["A1", "B-Cx,y=z", "D0xAF"]);
        for bad in ["A", "A=", "a=1", "A=1,A=2", "A=\"x", "A=\"x\"y"] {
            assert!(attributes(bad).is_err(), "{bad}");
        }
    }
}
