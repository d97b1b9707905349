//! Checks on every write to the bucket.

use std::time::Duration;

use media::{
    id::{BroadcastId, ChunkPos},
    names,
    time::Ticks,
};
use service::bucket::Write;

use super::{Checks, Found, Invariant, Shown, hls, mpd};
use crate::{
    model::{
        bucket::{Objects, Stored},
        table::Rows,
    },
    mutation::{is_chunk, is_manifest, is_playlist, is_poster, is_segment},
};

/// How far a presentation time in a manifest may be off: its text has nanoseconds, a tick is 11 microseconds.
const ROUNDING: Ticks = 1;

/// The position of a chunk, by its key.
fn chunk(key: &str) -> Option<(BroadcastId, ChunkPos)> {
    let id: BroadcastId = key.strip_prefix("ingest/")?.split('/').next()?.parse().ok()?;
    let pos = names::parse_chunk(&id, key)?;
    Some((id, pos))
}

impl Checks {
    /// Looks at a write that took place, over `before`. `objects` are as they are after it.
    pub(crate) fn stored(
        &mut self,
        now: Duration,
        write: &Write,
        before: Option<&Stored>,
        _rows: &Rows,
        objects: &Objects,
    ) -> Found {
        let mut found = Found::new();
        let key = &write.key;
        let stays = is_chunk(key) || is_segment(key) || key.ends_with(".mp4");
        if before.is_some() && (stays || (key.starts_with("vod/") && key.ends_with(".jpg"))) {
            found.push((Invariant::ObjectsStay, format!("{key} was written over")));
        }
        if let Some((id, pos)) = chunk(key) {
            if let Some(show) = self.shows.get_mut(&id) {
                show.chunks.entry(pos).or_insert(now);
            }
        } else if is_playlist(key) {
            self.playlist(write, objects, &mut found);
        } else if is_manifest(key) {
            self.manifest(write, objects, &mut found);
        } else if is_poster(key) {
            self.poster(write, &mut found);
        }
        found
    }

    fn poster(&mut self, write: &Write, found: &mut Found) {
        let key = &write.key;
        let meta = |name| write.meta.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        let id = meta(service::bucket::META_BROADCAST).and_then(|id| id.parse::<BroadcastId>().ok());
        let epoch = meta(service::bucket::META_EPOCH).and_then(|epoch| epoch.parse::<u64>().ok());
        let show = id.and_then(|id| self.shows.get(&id));
        let (Some(show), Some(epoch)) = (show, epoch) else {
            return found.push((Invariant::ManifestGoesForward, format!("{key} is of no broadcast")));
        };
        let new = (show.number, epoch);
        if let Some(old) = self.posters.insert(key.clone(), new).filter(|old| new < *old) {
            found.push((Invariant::ManifestGoesForward, format!("{key} from {old:?} to {new:?}")));
        }
    }

    fn playlist(&mut self, write: &Write, objects: &Objects, found: &mut Found) {
        let key = &write.key;
        let meta = |name| write.meta.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        let id = meta(service::bucket::META_BROADCAST).and_then(|id| id.parse::<BroadcastId>().ok());
        let epoch = meta(service::bucket::META_EPOCH).and_then(|epoch| epoch.parse::<u64>().ok());
        let text = std::str::from_utf8(&write.bytes).unwrap_or_default();
        let (Some(id), Some(epoch), Ok(read)) = (id, epoch, hls::read(key, text)) else {
            return found.push((Invariant::ManifestIsOfTheLedger, format!("{key} can't be read")));
        };
        let Some(show) = self.shows.get(&id) else {
            return found.push((Invariant::ManifestIsOfTheLedger, format!("{key} is of no broadcast")));
        };
        for named in read.segments() {
            if !show.segments.contains_key(named) {
                let what = format!("{key} names {named}, not committed");
                found.push((Invariant::ManifestIsOfTheLedger, what));
            }
        }
        for named in read.named() {
            if objects.get(named).is_none() {
                found.push((Invariant::ManifestIsOfTheBucket, format!("{key} names {named}, not stored")));
            }
        }
        let number = show.number;
        let new = (number, epoch, read);
        if let Some((old_number, old_epoch, old)) = self.playlists.get(key) {
            let same = *old_number == number;
            if (number, epoch) < (*old_number, *old_epoch)
                || (same && !new.2.goes_on_from(old, epoch > *old_epoch))
            {
                let what =
                    format!("{key} from {old_number}/{old_epoch} {old:?} to {number}/{epoch} {:?}", new.2);
                found.push((Invariant::ManifestGoesForward, what));
            }
        }
        self.playlists.insert(key.clone(), new);
    }

    fn manifest(&mut self, write: &Write, objects: &Objects, found: &mut Found) {
        let key = &write.key;
        let meta = |name| write.meta.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        let id = meta(service::bucket::META_BROADCAST).and_then(|id| id.parse::<BroadcastId>().ok());
        let epoch = meta(service::bucket::META_EPOCH).and_then(|epoch| epoch.parse::<u64>().ok());
        let text = std::str::from_utf8(&write.bytes).unwrap_or_default();
        let (Some(id), Some(epoch), Ok(read)) = (id, epoch, mpd::read(text)) else {
            return found.push((Invariant::ManifestIsOfTheLedger, format!("{key} can't be read")));
        };
        let Some(show) = self.shows.get(&id) else {
            return found.push((Invariant::ManifestIsOfTheLedger, format!("{key} is of no broadcast")));
        };
        let Some(live) = &show.live else { return };
        let prefix = names::vod_prefix(live, &id);
        for named in &read.named {
            let segment = format!("{prefix}{}", named.path);
            match show.segments.get(&segment) {
                None => found.push((
                    Invariant::ManifestIsOfTheLedger,
                    format!("{key} names {segment}, not committed"),
                )),
                Some(at) if !read.is_static && at.abs_diff(named.at) > ROUNDING.unsigned_abs() => {
                    let what = format!("{key} has {segment} at {}, it is at {at}", named.at);
                    found.push((Invariant::NoRenumbering, what));
                }
                Some(_) => {}
            }
            if objects.get(&segment).is_none() {
                found.push((Invariant::ManifestIsOfTheBucket, format!("{key} names {segment}, not stored")));
            }
        }
        let start = show.availability_start.map(media::time::WallTime::rfc3339);
        if !same_instant(read.availability_start.as_deref(), start.as_deref()) {
            let what = format!("{key} starts at {:?}, the broadcast at {start:?}", read.availability_start);
            found.push((Invariant::NoRenumbering, what));
        }
        let new = Shown { broadcast: show.number, epoch, is_static: read.is_static, named: read.named.len() };
        if let Some(old) = self.manifests.get(key) {
            // A static manifest may become shorter: the stable one shows the whole live timeline for a while, fills included, before
            // it becomes the replay's.
            let same = new.broadcast == old.broadcast;
            let back = (new.broadcast, new.epoch) < (old.broadcast, old.epoch)
                || (same && old.is_static && !new.is_static)
                || (same && !new.is_static && new.named < old.named);
            if back {
                found.push((Invariant::ManifestGoesForward, format!("{key} from {old:?} to {new:?}")));
            }
        }
        self.manifests.insert(key.clone(), new);
    }
}

/// Whether two instants agree to the millisecond, however many digits they are written with.
fn same_instant(one: Option<&str>, other: Option<&str>) -> bool {
    let spelled = |text: &str| -> (String, String) {
        let text = text.trim_end_matches('Z');
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        (whole.to_owned(), format!("{fraction:0<3}").chars().take(3).collect())
    };
    one.map(spelled) == other.map(spelled)
}

#[cfg(test)]
mod tests {
    use super::same_instant;

    #[test]
    fn instants_agree_to_the_millisecond() {
        assert!(same_instant(Some("2026-01-01T00:00:00Z"), Some("2026-01-01T00:00:00.000Z")));
        assert!(same_instant(Some("2026-01-01T00:00:00.123456Z"), Some("2026-01-01T00:00:00.123Z")));
        assert!(!same_instant(Some("2026-01-01T00:00:00.124Z"), Some("2026-01-01T00:00:00.123Z")));
    }
}
