//! What an HLS playlist names: read back from its text, independently of what wrote it.

/// A playlist. Names are keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Playlist {
    /// It leads to these.
    Multivariant(Vec<String>),
    /// It plays something.
    Media(Media),
}

/// A media playlist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Media {
    /// `EXT-X-ENDLIST`.
    pub(super) ended: bool,
    /// In order.
    pub(super) segments: Vec<String>,
    /// Those and what they are initialized with.
    named: Vec<String>,
    /// `EXT-X-MEDIA-SEQUENCE`.
    sequence: usize,
    target: u64,
    /// Segments leave at its front.
    windowed: bool,
    /// `EXT-X-PLAYLIST-TYPE:VOD`
    replay: bool,
}

impl Playlist {
    /// Media segments.
    pub(super) fn segments(&self) -> &[String] {
        match self {
            Self::Multivariant(_) => &[],
            Self::Media(media) => &media.segments,
        }
    }

    /// Everything that it names.
    pub(super) fn named(&self) -> &[String] {
        match self {
            Self::Multivariant(named) => named,
            Self::Media(media) => &media.named,
        }
    }

    /// Whether it may take the place of `old` (RFC 8216, 6.2.1): lines are added at the end, a window loses some at its front, and what
    /// has ended stays. Unless `taken_over`: who ended it had lost the broadcast already, and who has it now found one more chunk.
    pub(super) fn goes_on_from(&self, old: &Self, taken_over: bool) -> bool {
        let (new, old) = match (self, old) {
            (Self::Multivariant(_), Self::Multivariant(_)) => return true,
            (Self::Media(new), Self::Media(old)) => (new, old),
            _ => return false,
        };
        let Some(left) = new.sequence.checked_sub(old.sequence) else { return false };
        let kept = old.segments.get(left..).unwrap_or_default();
        // The replay is in the order of positions: what is found later may belong further in front.
        let grown = new.segments.starts_with(kept) || (new.replay && taken_over);
        let ended = !old.ended || new == old || (taken_over && new.ended);
        new.target >= old.target && grown && ended && (new.windowed || left == 0)
    }
}

/// Reads the playlist that is stored under `key`.
pub(super) fn read(key: &str, text: &str) -> Result<Playlist, String> {
    let mut lines = text.lines();
    if lines.next() != Some("#EXTM3U") {
        return Err("no #EXTM3U".to_owned());
    }
    let folder: Vec<&str> = key.split('/').collect();
    let folder = folder.split_last().map_or(&[][..], |(_, folder)| folder);
    let mut media = Media { windowed: true, ..Media::default() };
    let (mut leads_to, mut timed) = (Vec::new(), false);
    for line in lines {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-ENDLIST" => media.ended = true,
            "#EXT-X-MEDIA-SEQUENCE" => media.sequence = value.parse().map_err(|_| line.to_owned())?,
            "#EXT-X-TARGETDURATION" => media.target = value.parse().map_err(|_| line.to_owned())?,
            "#EXT-X-PLAYLIST-TYPE" => (media.windowed, media.replay) = (false, value == "VOD"),
            "#EXTINF" => timed = true,
            "#EXT-X-MAP" | "#EXT-X-MEDIA" => {
                let uri = value.split_once("URI=\"").and_then(|(_, rest)| rest.split_once('"'));
                let key = resolve(folder, uri.ok_or_else(|| line.to_owned())?.0)?;
                if tag == "#EXT-X-MAP" { media.named.push(key) } else { leads_to.push(key) }
            }
            _ if line.starts_with('#') => {}
            _ if std::mem::take(&mut timed) => {
                let key = resolve(folder, line)?;
                media.named.push(key.clone());
                media.segments.push(key);
            }
            _ => leads_to.push(resolve(folder, line)?),
        }
    }
    match (leads_to.is_empty(), media.target) {
        (false, 0) => Ok(Playlist::Multivariant(leads_to)),
        (true, 1..) => Ok(Playlist::Media(media)),
        _ => Err("neither multivariant nor media".to_owned()),
    }
}

fn resolve(folder: &[&str], uri: &str) -> Result<String, String> {
    let mut parts = folder.to_vec();
    for part in uri.split('/') {
        match part {
            ".." => drop(parts.pop().ok_or_else(|| uri.to_owned())?),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:3\n#EXT-X-MAP:URI=\"i.mp4\"\n\
                        #EXTINF:2.0,\n1.m4s\n#EXTINF:2.0,\n../b/2.m4s\n";

    fn media(text: &str) -> Playlist {
        read("vod/x/a/window.m3u8", text).unwrap()
    }

    #[test]
    fn names_are_keys() {
        let read = media(TEXT);
        assert_eq!(read.named(), ["vod/x/a/i.mp4", "vod/x/a/1.m4s", "vod/x/b/2.m4s"]);
        assert_eq!(read.segments(), ["vod/x/a/1.m4s", "vod/x/b/2.m4s"]);
    }

    #[test]
    fn a_playlist_goes_on() {
        let old = media(TEXT);
        for (change, with, goes_on) in [
            ("", "", true),
            ("../b/2.m4s\n", "../b/2.m4s\n#EXTINF:2.0,\n3.m4s\n", true),
            ("../b/2.m4s\n", "", false),
            ("SEQUENCE:3", "SEQUENCE:2", false),
            ("SEQUENCE:3", "SEQUENCE:4", false),
            ("1.m4s", "9.m4s", false),
        ] {
            let new = media(&TEXT.replace(change, with));
            assert_eq!(new.goes_on_from(&old, false), goes_on, "{change} {with}");
        }
        let moved = TEXT.replace("SEQUENCE:3", "SEQUENCE:4").replace("#EXTINF:2.0,\n1.m4s\n", "");
        assert!(media(&moved).goes_on_from(&old, false));
        let ended = media(&format!("{TEXT}#EXT-X-ENDLIST\n"));
        assert!(ended.goes_on_from(&old, false) && !old.goes_on_from(&ended, true));
        let more = media(&format!("{TEXT}#EXTINF:2.0,\n3.m4s\n#EXT-X-ENDLIST\n"));
        assert!(more.goes_on_from(&ended, true) && !more.goes_on_from(&ended, false));
    }
}
