//! What the playlists must name: `window` and `live` the live timeline, `replay` the replay; of each piece the rung's own segment, or
//! that of another rung where the piece has none. Pure.

use std::collections::HashMap;

use media::{
    ledger::{AUDIO_RUNG, Segment},
    names,
};

use super::{
    evidence::{Evidence, Piece, Report},
    m3u8::{M3u8, Media},
};

/// How far a duration may be off: it is written in microseconds.
const ROUNDING_MICROS: u64 = 1;

/// A playlist in the bucket.
#[derive(Debug, Clone)]
pub(crate) struct Playlist {
    /// Its key.
    pub(crate) key: String,
    /// It must be there once the broadcast is over: the broadcast's own multivariant playlist, and what that leads to.
    pub(crate) due: bool,
    /// What it says, or why that can't be read; `None` if there is no such object.
    pub(crate) found: Option<Result<M3u8, String>>,
}

/// Judges every playlist.
pub(super) fn check(evidence: &Evidence, report: &mut Report) {
    for playlist in &evidence.playlists {
        let key = &playlist.key;
        match &playlist.found {
            Some(Err(problem)) => report.fault(key, problem),
            None if playlist.due && evidence.ended.is_some() && !evidence.replay().is_empty() => {
                report.fault(key, "it is missing");
            }
            None | Some(Ok(M3u8::Multivariant(_))) => {}
            Some(Ok(M3u8::Media(media))) => check_media(evidence, key, media, report),
        }
    }
}

/// Whether a playlist names an object.
pub(super) fn is_named(evidence: &Evidence, key: &str) -> bool {
    evidence.playlists.iter().any(|playlist| match &playlist.found {
        Some(Ok(M3u8::Media(media))) => media.segments.iter().any(|listed| listed.key == key),
        _ => false,
    })
}

fn check_media(evidence: &Evidence, key: &str, media: &Media, report: &mut Report) {
    let (folder, file) = key.rsplit_once('/').unwrap_or(("", key));
    let of_sound = folder.ends_with(&format!("/{AUDIO_RUNG}"));
    let pieces = if file == "replay.m3u8" { evidence.replay() } else { evidence.shown() };
    let alike = |segment: &&Segment| (segment.rung == AUDIO_RUNG) == of_sound;
    let mut places: HashMap<String, (usize, Piece<'_>, &Segment)> = HashMap::new();
    let mut has: Vec<Option<String>> = Vec::with_capacity(pieces.len());
    for (place, piece) in pieces.iter().enumerate() {
        for segment in piece.segments().iter().filter(alike) {
            places.insert(evidence.key(*piece, segment), (place, *piece, segment));
        }
        has.push(piece.segments().iter().find(alike).map(|segment| evidence.key(*piece, segment)));
    }
    // A window begins later.
    let first = media.segments.first().filter(|_| file == "window.m3u8");
    let mut next = first.and_then(|first| places.get(&first.key)).map_or(0, |(place, ..)| *place);
    for listed in &media.segments {
        let Some((place, piece, segment)) = places.get(&listed.key) else {
            report.fault(key, format!("it names {}, which is not what it is to play", listed.key));
            continue;
        };
        if *place < next {
            report.fault(key, format!("it names {} again or out of order", listed.key));
            continue;
        }
        for skipped in has.get(next..*place).unwrap_or_default().iter().flatten() {
            report.fault(key, format!("it does not name {skipped}"));
        }
        next = place + 1;
        let own = piece.segments().iter().any(|own| folder.ends_with(&format!("/{}", own.rung)));
        if own && !folder.ends_with(&format!("/{}", segment.rung)) {
            report.fault(key, format!("it names {} though there is one of its own rung", listed.key));
        }
        let (live, id) = (&evidence.live, &evidence.broadcast);
        if names::init(live, id, &segment.rung, &segment.config) != listed.init {
            let (init, config) = (&listed.init, &segment.config);
            report.fault(key, format!("it names {init} for {}, recorded is {config}", listed.key));
        }
        let timescale = evidence.inits.iter().find(|i| i.rung == segment.rung && i.config == segment.config);
        let timescale = timescale.map_or(1, |init| init.timescale.max(1));
        let micros = u128::from(segment.duration) * 1_000_000 / u128::from(timescale);
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        if micros.abs_diff(listed.micros) > ROUNDING_MICROS {
            let said = listed.micros;
            report.fault(key, format!("it gives {} {said} µs, recorded are {micros}", listed.key));
        }
    }
    // On air it may be behind the ledger, the one from second 0 by more than a moment.
    if evidence.ended.is_some() {
        if !media.ended {
            report.fault(key, "the broadcast is over and it has no EXT-X-ENDLIST");
        }
        for missing in has.get(next..).unwrap_or_default().iter().flatten() {
            report.fault(key, format!("it does not name {missing}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::{
        check::tests::{faults, finds, whole},
        m3u8::Listed,
    };

    fn replayed() -> Evidence {
        let mut evidence = whole();
        let listed = |rung: &str| {
            let of = |piece: Piece<'_>| {
                let segment = piece.segments().iter().find(|s| s.rung == rung).unwrap();
                let init = names::init(&evidence.live, &evidence.broadcast, rung, "c0");
                let micros = segment.duration * 100 / 9;
                Listed { key: evidence.key(piece, segment), micros, init }
            };
            evidence.replay().into_iter().map(of).collect::<Vec<_>>()
        };
        let playlist = |rung: &str| Playlist {
            key: names::playlist(&evidence.live, &evidence.broadcast, rung, "replay.m3u8"),
            due: true,
            found: Some(Ok(M3u8::Media(Media { ended: true, segments: listed(rung) }))),
        };
        evidence.playlists = vec![playlist("360p"), playlist("audio")];
        evidence
    }

    fn changed(change: impl FnOnce(&mut Media)) -> Evidence {
        let mut evidence = replayed();
        if let Some(Ok(M3u8::Media(media))) = &mut evidence.playlists[0].found {
            change(media);
        }
        evidence
    }

    #[test]
    fn playlists_that_are_whole() {
        assert_eq!(faults(&replayed()), Vec::<String>::new());
    }

    #[test]
    fn playlists_that_are_not() {
        let finds = |change: fn(&mut Media), problem| finds(&changed(change), "vod/demo/", problem);
        finds(|media| drop(media.segments.remove(1)), "it does not name vod/demo/");
        finds(|media| drop(media.segments.pop()), "it does not name vod/demo/");
        finds(|media| media.segments.swap(1, 2), "again or out of order");
        finds(|media| media.segments[1].key.push('x'), "not what it is to play");
        finds(|media| media.segments[1].micros += 2, "recorded are 2000000");
        finds(|media| media.segments[1].init.push('x'), "recorded is c0");
        finds(|media| media.ended = false, "no EXT-X-ENDLIST");
        let mut missing = replayed();
        missing.playlists[0].found = None;
        super::super::check::tests::finds(&missing, "vod/demo/", "it is missing");
    }
}
