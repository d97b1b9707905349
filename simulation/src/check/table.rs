//! Checks on every write to the table.

use std::time::Duration;

use media::{
    id::{BroadcastId, ChunkPos, ChunkSeq, PublishNo},
    ledger::{Fill, Row, SOURCE_RUNG, Segment},
    names,
    time::{Ticks, VIDEO_TIMESCALE, WallTime, to_media_time},
};
use service::table::store::{Item, Key, Value};

use super::{Checks, Found, Invariant, LADDER, SMALLEST, Show};
use crate::{
    model::{
        bucket::Objects,
        table::{Changed, Rows},
    },
    mutation::number,
};

/// A publish that has started keeps its place on the live timeline for at least so long, however silent it is: the longest GOP takes
/// 10 s, of which clocks that are 2 s off each way may take some.
const FLOOR_STANDS: Duration = Duration::from_secs(6);

/// A publish that nobody has closed is waited for at least so long: an encoder's patience with a silent one is 15 s, of which clocks that
/// are 2 s off each way may take some.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn text<'a>(item: Option<&'a Item>, name: &str) -> Option<&'a str> {
    match item?.get(name) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

pub(super) fn num(item: Option<&Item>, name: &str) -> Option<i128> {
    number(item.and_then(|item| item.get(name)))
}

fn ticks(item: Option<&Item>, name: &str) -> Option<Ticks> {
    num(item, name).and_then(|n| Ticks::try_from(n).ok())
}

fn position(item: Option<&Item>) -> Option<ChunkPos> {
    let publish = num(item, "cursor_publish").and_then(|n| u32::try_from(n).ok()).and_then(PublishNo::new)?;
    let seq = num(item, "cursor_seq").and_then(|n| u32::try_from(n).ok())?;
    Some(ChunkPos { publish, seq: ChunkSeq(seq) })
}

/// The broadcast of a partition.
fn broadcast(pk: &str) -> Option<BroadcastId> {
    pk.strip_prefix("BCAST#")?.parse().ok()
}

impl Checks {
    /// Looks at what a write has changed. `rows` and `objects` are as they are after it.
    pub(crate) fn wrote(
        &mut self,
        who: &str,
        operation: &str,
        changed: &[Changed],
        rows: &Rows,
        objects: &Objects,
        now: Duration,
    ) -> Found {
        let mut found = Found::new();
        // The ledger first, so that the binding's cursor is compared with what was written beside it.
        for change in changed {
            if let Some(id) = broadcast(&change.key.pk) {
                match change.key.sk.as_str() {
                    "META" => self.meta(&id, operation, change, now, &mut found),
                    sk if sk.starts_with("GOP#") || sk.starts_with("LATE#") => {
                        self.row(&id, who, change, rows, objects, &mut found);
                    }
                    sk if sk.starts_with("FILL#") => self.fill(&id, who, change, rows, now, &mut found),
                    _ => {}
                }
            }
        }
        let mut counts = false;
        for change in changed {
            if change.key.sk == "BINDING"
                && let Some(id) = broadcast(&change.key.pk)
            {
                self.binding(&id, change, now, &mut found);
                counts = true;
            }
            if change.key.pk == "ENCODERS" {
                if change.after.is_none() {
                    self.forgotten.insert(change.key.sk.clone());
                }
                counts |= num(change.before.as_ref(), "bound") != num(change.after.as_ref(), "bound");
            }
        }
        if counts {
            self.counts(rows, &mut found);
        }
        if operation == "create broadcast" {
            self.created(changed, rows, &mut found);
        }
        found
    }

    fn show(&mut self, id: &BroadcastId) -> &mut Show {
        let number = self.shows.len();
        self.shows.entry(id.clone()).or_insert_with(|| Show { number, ..Show::default() })
    }

    fn meta(
        &mut self,
        id: &BroadcastId,
        operation: &str,
        change: &Changed,
        now: Duration,
        found: &mut Found,
    ) {
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        let show = self.show(id);
        show.live = text(after, "live").and_then(|live| live.parse().ok());
        let rank = |item| match text(item, "state") {
            Some("live") => 1,
            Some("ending") => 2,
            Some("ended") => 3,
            _ => 0,
        };
        if rank(after) < rank(before) {
            found.push((
                Invariant::StateGoesForward,
                format!("{id} from {:?} to {:?}", text(before, "state"), text(after, "state")),
            ));
        }
        if rank(after) > 1 {
            show.ending.get_or_insert(now);
        }
        let (old, new) = (num(before, "publish"), num(after, "publish"));
        let (old_name, new_name) = (text(before, "publish_connection"), text(after, "publish_connection"));
        let step = old.map_or(new == Some(1), |old| new == Some(old) || new == Some(old + 1));
        if !step || (old == new && old_name != new_name) {
            found.push((
                Invariant::PublishIsOnes,
                format!("{id}: publish {old:?} of {old_name:?} became {new:?} of {new_name:?}"),
            ));
        }
        if old != new && old.is_some() && rank(before) != 1 {
            found.push((
                Invariant::StateGoesForward,
                format!("{id}: publish {new:?} came when it took none any more"),
            ));
        }
        if old != new {
            show.published = now;
        }
        let closed = num(after, "closed_publish") == new;
        if operation == "expire"
            && rank(before) == 1
            && !closed
            && now.saturating_sub(show.published) < PATIENCE
        {
            found.push((
                Invariant::StateGoesForward,
                format!("{id} expired {:?} after publish {new:?} came", now.saturating_sub(show.published)),
            ));
        }
        let start = |item| num(item, "availability_start");
        if start(before).is_some() && start(before) != start(after) {
            found.push((
                Invariant::StartStays,
                format!("{id}: from {:?} to {:?}", start(before), start(after)),
            ));
        }
        show.availability_start = start(after).and_then(|at| i64::try_from(at).ok()).map(WallTime);
    }

    /// Whether the writer of a ledger row is who it must be.
    fn writer(&self, id: &BroadcastId, who: &str, change: &Changed, rows: &Rows, found: &mut Found) {
        let binding = rows.get(&Key::new(change.key.pk.as_str(), "BINDING"));
        let (epoch, now) = (num(change.after.as_ref(), "epoch"), num(binding, "epoch"));
        if epoch != now || text(binding, "encoder") != Some(who) {
            let whose = text(binding, "encoder");
            let what = format!(
                "{who} wrote {} of {id} under epoch {epoch:?}; bound is {whose:?} under {now:?}",
                change.key.sk
            );
            found.push((Invariant::OneWriter, what));
        }
        if change.before.is_some() {
            found.push((
                Invariant::RowsStay,
                format!("{} of {id} was written over or taken away", change.key.sk),
            ));
        }
    }

    fn row(
        &mut self,
        id: &BroadcastId,
        who: &str,
        change: &Changed,
        rows: &Rows,
        objects: &Objects,
        found: &mut Found,
    ) {
        self.writer(id, who, change, rows, found);
        let Some(row) = document::<Row>(change.after.as_ref(), "row") else {
            return found
                .push((Invariant::RowsTellTheTruth, format!("{} of {id} can't be read", change.key.sk)));
        };
        self.commits += 1;
        let pos = row.pos;
        let name = format!("{id} {}/{}", pos.publish.get(), pos.seq.0);
        if objects.get(&names::chunk(id, pos)).is_none_or(|chunk| sha256(&chunk.bytes) != row.source.sha256) {
            found
                .push((Invariant::RowsTellTheTruth, format!("{name} is committed, its chunk is not stored")));
        }
        let floor = rows.get(&Key::new(change.key.pk.as_str(), "BINDING"));
        let floor = (num(floor, "floor_publish"), ticks(floor, "floor_at"));
        if !from_the_bottom(&row.segments) {
            found.push((Invariant::ShedFromTheTop, format!("{name} has {:?}", rungs(&row.segments))));
        }
        self.shed += u64::from(self.full_ladders && row.segments.len() < LADDER.len());
        let show = self.show(id);
        // What was stored out of turn only the replay shows.
        if !row.late && show.committed.last().is_some_and(|last| *last > pos) {
            found.push((Invariant::CommittedInOrder, format!("{name} after {:?}", show.committed.last())));
        }
        if !show.committed.insert(pos) {
            found.push((Invariant::CommittedOnce, name.clone()));
        }
        if let (false, (Some(publish), Some(at))) = (row.late, floor)
            && i128::from(pos.publish.get()) < publish
            && row.end > at
        {
            found.push((
                Invariant::FloorHolds,
                format!("{name} ends at {}, publish {publish} begins at {at}", row.end),
            ));
        }
        if let Some(live) = show.live.clone() {
            for segment in &row.segments {
                let key = names::segment(&live, id, &segment.rung, segment.time, row.naming);
                if objects.get(&key).is_none_or(|object| sha256(&object.bytes) != segment.object.sha256) {
                    found.push((
                        Invariant::RowsTellTheTruth,
                        format!("{name} is committed, {key} is not stored so"),
                    ));
                }
                show.segments.insert(key, place(segment));
            }
            if let (Some(tile), Some(time)) = (&row.tile, to_media_time(row.start, VIDEO_TIMESCALE)) {
                let key = names::tile(&live, id, time, row.naming);
                if objects.get(&key).is_none_or(|object| sha256(&object.bytes) != tile.object.sha256) {
                    found.push((
                        Invariant::RowsTellTheTruth,
                        format!("{name} is committed, {key} is not stored so"),
                    ));
                }
                show.segments.insert(key, row.start);
            }
        }
        if !row.late {
            show.overlap(&name, row.start, row.end, found);
        }
        show.rows.push(row);
    }

    fn fill(
        &mut self,
        id: &BroadcastId,
        who: &str,
        change: &Changed,
        rows: &Rows,
        now: Duration,
        found: &mut Found,
    ) {
        self.writer(id, who, change, rows, found);
        let Some(fill) = document::<Fill>(change.after.as_ref(), "fill") else {
            return found
                .push((Invariant::RowsTellTheTruth, format!("{} of {id} can't be read", change.key.sk)));
        };
        self.fills += 1;
        let name = format!("{id} fill at {}", fill.start);
        let binding = rows.get(&Key::new(change.key.pk.as_str(), "BINDING"));
        let floor = (num(binding, "floor_publish"), ticks(binding, "floor_at"));
        let meta = rows.get(&Key::new(change.key.pk.as_str(), "META"));
        let (latest, closed) = (num(meta, "publish"), num(meta, "closed_publish"));
        let show = self.show(id);
        if let (Some(publish), Some(at)) = floor
            && at < fill.end
            && latest == Some(publish)
            && closed != Some(publish)
            && show.rows.iter().all(|row| i128::from(row.pos.publish.get()) < publish)
            && show.floored.is_some_and(|since| now.saturating_sub(since) < FLOOR_STANDS)
        {
            let what =
                format!("{name} ends at {}, publish {publish} begins at {at} and has just started", fill.end);
            found.push((Invariant::FloorHolds, what));
        }
        if let Some(live) = show.live.clone() {
            for segment in &fill.segments {
                let key = names::segment(&live, id, &segment.rung, segment.time, fill.naming);
                show.segments.insert(key, place(segment));
            }
        }
        let shown = show.rows.iter().filter(|row| !row.late && row.start < fill.start);
        let before = shown.max_by_key(|row| row.start).map(|row| encoded(&row.segments));
        // Where the source is the only rung, the smallest.
        let before = before.map(|rungs| if rungs.is_empty() { vec![SMALLEST] } else { rungs });
        if !fill.segments.is_empty() && before.as_ref() != Some(&rungs(&fill.segments)) {
            let what = format!("{name} has {:?}, before it is {before:?}", rungs(&fill.segments));
            found.push((Invariant::ShedFromTheTop, what));
        }
        show.overlap(&name, fill.start, fill.end, found);
    }

    fn binding(&mut self, id: &BroadcastId, change: &Changed, now: Duration, found: &mut Found) {
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        match text(after, "encoder") {
            Some(encoder) => drop(self.bindings.insert(id.to_string(), encoder.to_owned())),
            None => drop(self.bindings.remove(id.as_str())),
        }
        let Some(after) = after else { return };
        let (old, new) = (num(before, "epoch"), num(Some(after), "epoch"));
        let moved = before.is_some() && text(before, "encoder") != text(Some(after), "encoder");
        let fits = match (old, new) {
            (None, new) => new == Some(1),
            (Some(old), Some(new)) => new == old + i128::from(moved) || new == old + 1,
            (Some(_), None) => false,
        };
        if !fits {
            found.push((Invariant::EpochGrows, format!("{id}: from {old:?} to {new:?}, moved: {moved}")));
        }
        self.rebinds += u64::from(moved);
        let show = self.show(id);
        if num(before, "floor_publish") != num(Some(after), "floor_publish") {
            show.floored = Some(now);
            let (at, end) = (ticks(Some(after), "floor_at"), ticks(Some(after), "live_end"));
            if at < end {
                found.push((
                    Invariant::FloorHolds,
                    format!("{id}: a publish begins at {at:?}, the live timeline ends at {end:?}"),
                ));
            }
        }
        let (cursor, last) = (position(Some(after)), show.committed.last().copied());
        let (end, shown) = (ticks(Some(after), "live_end"), show.shown.values().max().copied());
        if cursor != last || end != shown {
            let what = format!("{id}: cursor {cursor:?} of {last:?}, live end {end:?} of {shown:?}");
            found.push((Invariant::CursorIsOfTheRows, what));
        }
    }

    fn counts(&self, rows: &Rows, found: &mut Found) {
        for (key, row) in rows.of("ENCODERS", "") {
            if text(Some(row), "address").is_none() || self.forgotten.contains(&key.sk) {
                continue;
            }
            let counted = num(Some(row), "bound").unwrap_or(0);
            let standing = self.bindings.values().filter(|encoder| **encoder == key.sk).count();
            if i128::try_from(standing) != Ok(counted) {
                found.push((
                    Invariant::CountsFit,
                    format!("{} has {counted} bindings, {standing} stand", key.sk),
                ));
            }
        }
    }

    /// A live that gets a new broadcast has no other that takes publishes.
    fn created(&self, changed: &[Changed], rows: &Rows, found: &mut Found) {
        let news = changed.iter().filter(|change| change.key.sk == "META" && change.before.is_none());
        for new in news.filter_map(|change| broadcast(&change.key.pk)) {
            let live = self.shows.get(&new).and_then(|show| show.live.as_ref());
            for (other, show) in self.shows.iter().filter(|(id, _)| **id != new) {
                let meta = rows.get(&Key::new(format!("BCAST#{other}"), "META"));
                if show.live.as_ref() == live && text(meta, "state") == Some("live") {
                    found.push((
                        Invariant::OneBroadcast,
                        format!("{new} was made while {other} still takes publishes"),
                    ));
                }
            }
        }
    }
}

fn rungs(segments: &[Segment]) -> Vec<&str> {
    segments.iter().map(|segment| segment.rung.as_str()).collect()
}

/// Without the source.
fn encoded(segments: &[Segment]) -> Vec<&str> {
    rungs(segments).into_iter().filter(|rung| *rung != SOURCE_RUNG).collect()
}

/// Whether these are the source, if it is among them, and the smallest rungs of the ladder, largest first.
fn from_the_bottom(segments: &[Segment]) -> bool {
    let (all, encoded) = (rungs(segments), encoded(segments));
    let has_source = all.first() == Some(&SOURCE_RUNG);
    !all.is_empty() && LADDER.ends_with(&encoded) && all.len() == encoded.len() + usize::from(has_source)
}

impl Show {
    fn overlap(&mut self, name: &str, start: Ticks, end: Ticks, found: &mut Found) {
        let before = self.shown.range(..=start).next_back();
        let after = self.shown.range(start..).next();
        if end <= start
            || before.is_some_and(|(_, before_end)| *before_end > start)
            || after.is_some_and(|(after, _)| *after < end)
        {
            found.push((
                Invariant::NoOverlap,
                format!("{name} {start}..{end} between {before:?} and {after:?}"),
            ));
        }
        self.shown.insert(start, end);
    }
}

/// Presentation time of a segment in milliseconds, by its own time: tracks of video only are simulated.
fn place(segment: &Segment) -> Ticks {
    let origin = media::time::media_origin(media::time::VIDEO_TIMESCALE);
    Ticks::try_from(segment.time).unwrap_or(Ticks::MAX).saturating_sub(origin)
}

fn document<T: serde::de::DeserializeOwned>(item: Option<&Item>, name: &str) -> Option<T> {
    serde_json::from_str(text(item, name)?).ok()
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(bytes))
}
