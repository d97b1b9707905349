//! What must be true when all faults are over and everything has had its time.

use media::{
    id::{BroadcastId, LiveId},
    ledger::{Row, TILE_RUNG},
    names,
    time::{VIDEO_TIMESCALE, to_media_time},
};
use service::table::store::Key;

use super::{
    Checks, Found, Invariant, RUNGS, Show, hls, mpd,
    table::{num, text},
};
use crate::model::{bucket::Objects, table::Rows};

impl Checks {
    /// Whether every broadcast has ended and nothing is bound.
    pub(crate) fn quiet(&self, rows: &Rows) -> bool {
        rows.of("ONAIR", "").next().is_none() && self.bindings.is_empty()
    }

    /// Looks at everything once more.
    pub(crate) fn ended(&self, rows: &Rows, objects: &Objects, alive: &[String]) -> Found {
        let mut found = Found::new();
        for (id, show) in &self.shows {
            show.ended(id, rows, objects, &mut found);
        }
        for (key, _) in rows.of("ONAIR", "") {
            found.push((Invariant::NothingLeft, format!("{} is on air", key.sk)));
        }
        for (broadcast, encoder) in &self.bindings {
            found.push((Invariant::NothingLeft, format!("{broadcast} is bound to {encoder}")));
        }
        for encoder in alive {
            let row = rows.get(&Key::new("ENCODERS", encoder.as_str()));
            let bound = num(row, "bound").unwrap_or(0);
            if bound != 0 {
                found.push((Invariant::NothingLeft, format!("{encoder} counts {bound} bindings")));
            }
        }
        let mut lives: Vec<&LiveId> = self.shows.values().filter_map(|show| show.live.as_ref()).collect();
        lives.sort();
        lives.dedup();
        for live in lives {
            self.live(live, rows, objects, &mut found);
        }
        found
    }

    /// The live's current broadcast is its last one, and the stable manifest is that of the last one with something to show.
    fn live(&self, live: &LiveId, rows: &Rows, objects: &Objects, found: &mut Found) {
        let mut shows: Vec<_> =
            self.shows.iter().filter(|(_, show)| show.live.as_ref() == Some(live)).collect();
        shows.sort_by_key(|(_, show)| show.number);
        let meta = rows.get(&Key::new(format!("LIVE#{live}"), "META"));
        let last = shows.last().map(|(id, _)| id.as_str());
        if text(meta, "current") != last {
            found.push((
                Invariant::OneBroadcast,
                format!("{live}: current is {:?}, the last {last:?}", text(meta, "current")),
            ));
        }
        let shown = shows.iter().rev().find(|(_, show)| show.has_pictures());
        let manifest = objects.get(&names::live_manifest(live));
        match (shown, manifest) {
            (None, None) => {}
            (Some((id, _)), Some(manifest)) if manifest.broadcast() == Some(id.as_str()) => {
                let read = std::str::from_utf8(&manifest.bytes).ok().and_then(|text| mpd::read(text).ok());
                if read.is_none_or(|read| !read.is_static) {
                    found.push((Invariant::ReplayIsWhole, format!("the manifest of {live} is not static")));
                }
            }
            (shown, manifest) => {
                let what = format!(
                    "the manifest of {live} shows {:?}, the last broadcast is {:?}",
                    manifest.and_then(|manifest| manifest.broadcast()),
                    shown.map(|(id, _)| id)
                );
                found.push((Invariant::ManifestGoesForward, what));
            }
        }
    }
}

/// Where the segment of a rung is, relative to the broadcast's folder.
fn path(row: &Row, rung: &str) -> Option<String> {
    let segment = row.segments.iter().find(|segment| segment.rung == rung)?;
    Some(format!("{rung}/{}{}.m4s", segment.time, names::suffix(row.naming)))
}

impl Show {
    fn has_pictures(&self) -> bool {
        self.rows.iter().any(|row| !row.segments.is_empty())
    }

    fn ended(&self, id: &BroadcastId, rows: &Rows, objects: &Objects, found: &mut Found) {
        let meta = rows.get(&Key::new(format!("BCAST#{id}"), "META"));
        if text(meta, "state") != Some("ended") {
            return found.push((Invariant::EverythingEnds, format!("{id} is {:?}", text(meta, "state"))));
        }
        let Some(live) = &self.live else { return };
        let entry = rows.get(&Key::new(format!("LIVE#{live}"), format!("BCAST#{id}")));
        if text(entry, "state") != Some("ended") {
            found.push((Invariant::EverythingEnds, format!("{id} is listed as {:?}", text(entry, "state"))));
        }
        for (pos, at) in &self.chunks {
            // What was stored when the broadcast took nothing any more may have come too late for the last look.
            let too_late = self.ending.is_some_and(|ending| *at >= ending);
            if !too_late && !self.committed.contains(pos) {
                let what = format!(
                    "{id} {}/{}, stored at {at:?}, ending at {:?}",
                    pos.publish.get(),
                    pos.seq.0,
                    self.ending
                );
                found.push((Invariant::NothingLost, what));
            }
        }
        self.replay(id, live, objects, found);
    }

    fn replay(&self, id: &BroadcastId, live: &LiveId, objects: &Objects, found: &mut Found) {
        let key = names::vod_manifest(live, id);
        let manifest = objects.get(&key).and_then(|object| std::str::from_utf8(&object.bytes).ok());
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|row| row.pos);
        let Some(read) = manifest.and_then(|text| mpd::read(text).ok()) else {
            if self.has_pictures() {
                found.push((
                    Invariant::ReplayIsWhole,
                    format!("{id} has {} rows and no manifest", rows.len()),
                ));
            }
            return;
        };
        let tiled = rows.iter().filter(|row| row.tile.is_some());
        let tiles = tiled
            .filter_map(|row| Some((to_media_time(row.start, VIDEO_TIMESCALE)?, names::suffix(row.naming))))
            .map(|(time, suffix)| format!("{TILE_RUNG}/{time}{suffix}.jpg"));
        let mut tracks: Vec<(&str, Vec<String>)> = vec![(TILE_RUNG, tiles.collect())];
        tracks.extend(RUNGS.iter().map(|rung| {
            let segments = rows.iter().filter_map(|row| path(row, rung));
            (*rung, segments.collect())
        }));
        for (rung, expected) in tracks {
            let named = read.named.iter().filter(|named| named.rung == rung);
            let named: Vec<_> = named.map(|named| named.path.clone()).collect();
            if !read.is_static || named != expected {
                let what = format!(
                    "{id} {rung}, static: {}; named {named:?}, committed {expected:?}",
                    read.is_static
                );
                found.push((Invariant::ReplayIsWhole, what));
            }
        }
        self.replay_playlists(id, live, &rows, objects, found);
    }

    /// The multivariant playlist leads to the replay's, which have every row.
    fn replay_playlists(
        &self,
        id: &BroadcastId,
        live: &LiveId,
        rows: &[&Row],
        objects: &Objects,
        found: &mut Found,
    ) {
        let prefix = names::vod_prefix(live, id);
        let read = |key: &str| {
            let text = objects.get(key).and_then(|object| std::str::from_utf8(&object.bytes).ok());
            text.and_then(|text| hls::read(key, text).ok())
        };
        let Some(hls::Playlist::Multivariant(named)) = read(&names::vod_master(live, id)) else {
            return found.push((Invariant::ReplayIsWhole, format!("{id} has no multivariant playlist")));
        };
        for key in &named {
            let rung = key.strip_prefix(&prefix).and_then(|path| path.split('/').next());
            let (larger, smaller) =
                RUNGS.split_at(RUNGS.iter().position(|known| Some(*known) == rung).unwrap_or(0));
            // Where a row lacks the rung, the next smaller one plays, else the next larger one.
            let instead = |row: &&Row| {
                let mut in_turn = smaller.iter().chain(larger.iter().rev());
                in_turn.find_map(|rung| path(row, rung))
            };
            let expected: Vec<String> =
                rows.iter().filter_map(instead).map(|path| format!("{prefix}{path}")).collect();
            match read(key) {
                Some(hls::Playlist::Media(media)) if media.ended && media.segments == expected => {}
                other => {
                    let what = format!("{key} says {other:?}, committed {expected:?}");
                    found.push((Invariant::ReplayIsWhole, what));
                }
            }
        }
        if named.is_empty() {
            found.push((Invariant::ReplayIsWhole, format!("the multivariant playlist of {id} is empty")));
        }
    }
}
