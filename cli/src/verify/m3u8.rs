//! Reading back what an HLS playlist names, as keys in the bucket. Pure.
//!
//! Reads what RFC 8216 says of the tags that gopcast writes, by itself and not with the code that wrote them.

use super::mpd::resolve;

/// Most segments of a playlist: as of a manifest.
const SEGMENTS_MAX: usize = 200_000;

/// What a playlist names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum M3u8 {
    /// The keys of the media playlists that it leads to.
    Multivariant(Vec<String>),
    /// What it plays.
    Media(Media),
}

/// A media playlist.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Media {
    /// Whether it has its end (`EXT-X-ENDLIST`).
    pub(crate) ended: bool,
    /// Its segments in order, gaps left out.
    pub(crate) segments: Vec<Listed>,
}

/// A segment in a playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its key.
    pub(crate) key: String,
    /// Its duration in microseconds.
    pub(crate) micros: u64,
    /// Key of its initialization segment.
    pub(crate) init: String,
}

/// Reads the playlist that is stored under `key`.
///
/// # Errors
/// A sentence that says what can't be read.
pub(crate) fn parse(key: &str, text: &str) -> Result<M3u8, String> {
    let mut lines = text.lines();
    if lines.next() != Some("#EXTM3U") {
        return Err("it does not start with #EXTM3U".to_owned());
    }
    let base = format!("/{key}");
    let absolute = |uri: &str| Ok::<_, String>(resolve(&base, uri)?.trim_start_matches('/').to_owned());
    let (mut media, mut leads_to) = (Media::default(), Vec::new());
    let (mut is_media, mut init, mut duration, mut gap) = (false, None, None, false);
    let mut longest = 0;
    for line in lines.filter(|line| !line.is_empty()) {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-ENDLIST" => media.ended = true,
            "#EXT-X-GAP" => gap = true,
            "#EXT-X-TARGETDURATION" => {
                is_media = true;
                longest = value.parse::<u64>().map_err(|_| format!("{line} is no number"))?;
            }
            "#EXTINF" => {
                let micros = micros(value).ok_or_else(|| format!("{line} is no duration"))?;
                if (micros + 500_000) / 1_000_000 > longest {
                    return Err(format!("{line} is longer than the target duration of {longest} s"));
                }
                duration = Some(micros);
            }
            "#EXT-X-MAP" => init = Some(absolute(uri(value).ok_or_else(|| format!("{line} has no URI"))?)?),
            "#EXT-X-MEDIA" => leads_to.extend(uri(value).map(absolute).transpose()?),
            _ if line.starts_with('#') => {}
            _ if !is_media => leads_to.push(absolute(line)?),
            _ => {
                let micros = duration.take().ok_or_else(|| format!("{line} has no EXTINF"))?;
                if std::mem::take(&mut gap) {
                    continue;
                }
                if media.segments.len() == SEGMENTS_MAX {
                    return Err(format!("it names more than {SEGMENTS_MAX} segments"));
                }
                let init = init.clone().ok_or_else(|| format!("{line} has no EXT-X-MAP"))?;
                media.segments.push(Listed { key: absolute(line)?, micros, init });
            }
        }
    }
    Ok(if is_media { M3u8::Media(media) } else { M3u8::Multivariant(leads_to) })
}

/// The value of `URI` in an attribute list.
fn uri(attributes: &str) -> Option<&str> {
    Some(attributes.split_once("URI=\"")?.1.split_once('"')?.0)
}

/// `2.002000,` in microseconds.
fn micros(value: &str) -> Option<u64> {
    let number = value.split(',').next()?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 6)?;
    let fraction = fraction.parse::<u64>().ok()? * 10u64.pow(6 - digits);
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"init-a.mp4\"\n#EXTINF:2.002,\n1.m4s\n\
                        #EXTINF:2,\n#EXT-X-GAP\ngap.m4s\n#EXT-X-MAP:URI=\"../b/init-b.mp4\"\n#EXTINF:0.5,\n../b/2.m4s\n#EXT-X-ENDLIST\n";

    #[test]
    fn media_playlists() {
        let listed =
            |key: &str, micros, init: &str| Listed { key: key.to_owned(), micros, init: init.to_owned() };
        let segments = vec![
            listed("vod/x/a/1.m4s", 2_002_000, "vod/x/a/init-a.mp4"),
            listed("vod/x/b/2.m4s", 500_000, "vod/x/b/init-b.mp4"),
        ];
        assert_eq!(parse("vod/x/a/live.m3u8", TEXT), Ok(M3u8::Media(Media { ended: true, segments })));
    }

    #[test]
    fn multivariant_playlists() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"../../vod/x/audio/w.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n\
                    ../../vod/x/360p/w.m3u8\n";
        let leads_to = vec!["vod/x/audio/w.m3u8".to_owned(), "vod/x/360p/w.m3u8".to_owned()];
        assert_eq!(parse("live/x/master.m3u8", text), Ok(M3u8::Multivariant(leads_to)));
    }

    #[test]
    fn what_can_not_be_read_is_said() {
        for (change, with, says) in [
            ("#EXTM3U\n", "", "#EXTM3U"),
            ("2.002,", "x,", "no duration"),
            ("2.002,", "2.5,", "longer than the target"),
            ("#EXTINF:0.5,\n", "", "no EXTINF"),
            ("#EXT-X-MAP:URI=\"init-a.mp4\"\n", "", "no EXT-X-MAP"),
            ("1.m4s", "https://example.com/1.m4s", "another host"),
        ] {
            let error = parse("vod/x/a/live.m3u8", &TEXT.replace(change, with)).unwrap_err();
            assert!(error.contains(says), "{change}: {error}");
        }
    }
}
