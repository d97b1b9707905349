//! Broadcasts: their state, publishes and binding. Every change is conditional on what the writer had read.

use std::{fmt, str::FromStr};

use media::{
    id::{BroadcastId, ChunkPos, ChunkSeq, EncoderId, Epoch, LiveId, PublishNo},
    ladder::{Ladder, Profile},
    ledger::Cursor,
    limits::Limits,
    time::{Ticks, WallTime},
    wire::CloseReason,
};

use super::{
    Encoder, PK, Row, SK, Table, TableError, encoders, json,
    lives::{entry_key, live_key, read_limits},
    revoked,
    store::{Change, Condition, Key, Value, Write},
};

/// Where a broadcast stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// On air, or waiting for its publisher's return.
    Live,
    /// No more publishes; what is stored is being finished.
    Ending,
    /// Over: the replay is there.
    Ended,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Ending => "ending",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Live, Self::Ending, Self::Ended].into_iter().find(|s| s.as_str() == text).ok_or(())
    }
}

/// How the last publish ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Which publish.
    pub publish: PublishNo,
    /// How many chunks it has.
    pub chunks: u32,
    /// Why it ended.
    pub reason: CloseReason,
    /// When.
    pub at: WallTime,
}

/// A broadcast as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broadcast {
    /// Which.
    pub broadcast: BroadcastId,
    /// Of which live.
    pub live: LiveId,
    /// Where it stands.
    pub state: State,
    /// The latest publish.
    pub publish: PublishNo,
    /// The connection that has the latest publish.
    pub connection: String,
    /// Connections that had earlier publishes, the latest last; a few.
    pub earlier: Vec<String>,
    /// Its publisher is a placeholder that yields to any other.
    pub filler: bool,
    /// The ladder, as the live had it at the start.
    pub profile: Profile,
    /// The source itself is the top rung, where it can be one; as the live had it at the start.
    pub source_rung: bool,
    /// Reconnect window in seconds, as the live had it at the start.
    pub window_seconds: u32,
    /// What it may be like, as the live had it at the start.
    pub limits: Limits,
    /// When it was opened.
    pub opened: WallTime,
    /// When presentation time 0 reached an edge.
    pub availability_start: Option<WallTime>,
    /// How the latest closed publish ended.
    pub closed: Option<Closed>,
    /// When it ended.
    pub ended: Option<WallTime>,
}

impl Broadcast {
    /// What its viewers get of its pictures.
    #[must_use]
    pub fn ladder(&self) -> Ladder {
        Ladder { profile: self.profile, source: self.source_rung }
    }
}

/// Connections remembered per broadcast: an `open` that was sent twice arrives seconds late, not so many reconnects late.
const EARLIER_MAX: usize = 16;

/// Which encoder serves a broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The encoder.
    pub encoder: EncoderId,
    /// Grows by one at each change.
    pub epoch: Epoch,
    /// What is committed.
    pub cursor: Option<Cursor>,
    /// Where the live timeline ends, fills included, in 1/90 000 s of presentation time.
    pub live_end: Option<Ticks>,
    /// Where the latest publish that has started begins.
    pub floor: Option<Floor>,
}

/// Where a publish begins on the timeline. Fixed before its first chunk is stored; no fill and no earlier publish is shown live beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// Which publish.
    pub publish: PublishNo,
    /// In 1/90 000 s of presentation time.
    pub at: Ticks,
}

impl Binding {
    /// That the floor is as it was seen here.
    pub(super) fn same_floor(&self) -> Condition {
        Condition::seen("floor_publish", self.floor.map(|floor| Value::from(floor.publish.get())))
    }
    /// That the live timeline ends where it was seen here.
    pub(super) fn same_end(&self) -> Condition {
        Condition::seen("live_end", self.live_end.map(Value::from))
    }
    /// That the binding is under the epoch that was seen here.
    pub(super) fn same_epoch(&self) -> Condition {
        Condition::Is("epoch", Value::from(self.epoch.0))
    }
}

/// Partition of every broadcast that has not ended.
const ON_AIR: &str = "ONAIR";
/// Most broadcasts on air that one sweep sees.
const ON_AIR_MAX: usize = 10_000;

pub(super) fn broadcast_pk(broadcast: &BroadcastId) -> String {
    format!("BCAST#{broadcast}")
}

impl Table {
    /// A broadcast.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn broadcast(&self, broadcast: &BroadcastId) -> Result<Option<Broadcast>, TableError> {
        self.get(&broadcast_pk(broadcast), "META").await?.map(|row| read_broadcast(&row)).transpose()
    }

    /// The binding of a broadcast; `None` when it has none (any more).
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn binding(&self, broadcast: &BroadcastId) -> Result<Option<Binding>, TableError> {
        self.get(&broadcast_pk(broadcast), "BINDING").await?.map(|row| read_binding(&row)).transpose()
    }

    /// Makes a broadcast, bound to `encoder` at the first epoch, the current one of its live in place of `previous`.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if the live has another current broadcast than `previous`, or the encoder's bindings have changed.
    pub async fn create_broadcast(
        &self,
        new: &Broadcast,
        previous: Option<&BroadcastId>,
        encoder: &Encoder,
    ) -> Result<(), TableError> {
        let id = new.broadcast.as_str();
        let mut meta = vec![
            ("broadcast", id.into()),
            ("live", new.live.as_str().into()),
            ("state", new.state.as_str().into()),
            ("publish", new.publish.get().into()),
            ("publish_connection", new.connection.as_str().into()),
            ("filler", new.filler.into()),
            ("profile", new.profile.name().into()),
            ("window", new.window_seconds.into()),
            ("opened", new.opened.0.into()),
        ];
        if !new.limits.is_empty() {
            meta.push(("limits", json(&new.limits)?));
        }
        meta.extend(new.source_rung.then(|| ("source_rung", true.into())));
        let binding = vec![("encoder", encoder.id.as_str().into()), ("epoch", Epoch::FIRST.0.into())];
        let entry = vec![
            ("broadcast", id.into()),
            ("state", new.state.as_str().into()),
            ("started", new.opened.0.into()),
        ];
        let current = Write::update(live_key(&new.live), vec![Change::Set("current", id.into())])
            .when(Condition::Present(PK))
            .when(Condition::seen("current", previous.map(|previous| previous.as_str().into())));
        let writes = vec![
            Write::create(meta_key(&new.broadcast), meta),
            Write::create(binding_key(&new.broadcast), binding),
            Write::put(entry_key(&new.live, &new.broadcast), entry),
            current,
            Write::put(Key::new(ON_AIR, id), vec![("live", new.live.as_str().into())]),
            encoders::count_binding(encoder),
        ];
        self.write("create broadcast", writes).await
    }

    /// Every broadcast that has not ended, with its live, oldest first.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn on_air(&self) -> Result<Vec<(BroadcastId, LiveId)>, TableError> {
        let rows = self.query(ON_AIR, "", ON_AIR_MAX).await?;
        rows.iter().map(|row| Ok((row.required(SK)?, row.required("live")?))).collect()
    }

    /// Takes a broadcast that is over off the list of those on air.
    ///
    /// # Errors
    /// When the table could not be written.
    pub async fn forget_on_air(&self, broadcast: &BroadcastId) -> Result<(), TableError> {
        self.write("forget on air", vec![Write::delete(Key::new(ON_AIR, broadcast.as_str()))]).await
    }

    /// Changes the broadcast's own row under conditions.
    async fn update_meta(
        &self,
        operation: &'static str,
        broadcast: &BroadcastId,
        changes: Vec<Change>,
        conditions: Vec<Condition>,
    ) -> Result<(), TableError> {
        let write = Write { conditions, ..Write::update(meta_key(broadcast), changes) };
        self.write(operation, vec![write]).await
    }

    /// Gives a broadcast its next publish.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if it has another latest publish than `seen`, or is not live any more.
    pub async fn next_publish(
        &self,
        seen: &Broadcast,
        connection: &str,
        filler: bool,
    ) -> Result<PublishNo, TableError> {
        let next = seen.publish.next();
        let mut earlier: Vec<_> = seen.earlier.iter().chain([&seen.connection]).map(String::as_str).collect();
        earlier.drain(..earlier.len().saturating_sub(EARLIER_MAX));
        let changes = vec![
            Change::Set("publish", next.get().into()),
            Change::Set("publish_connection", connection.into()),
            Change::Set("earlier_connections", earlier.join(" ").into()),
            Change::Set("filler", filler.into()),
        ];
        let conditions = vec![Condition::Is("publish", seen.publish.get().into()), state_is(State::Live)];
        self.update_meta("next publish", &seen.broadcast, changes, conditions).await?;
        Ok(next)
    }

    /// Fixes the availability start, once.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if it is fixed already or the broadcast is over.
    pub async fn fix_availability_start(
        &self,
        broadcast: &BroadcastId,
        at: WallTime,
    ) -> Result<(), TableError> {
        let changes = vec![Change::Set("availability_start", at.0.into())];
        let conditions = vec![Condition::Absent("availability_start"), state_is(State::Live)];
        self.update_meta("availability start", broadcast, changes, conditions).await
    }

    /// Fixes where a publish begins on the timeline.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if the live timeline or the floor is not as `seen` any more, or the binding is gone.
    pub async fn set_floor(
        &self,
        broadcast: &BroadcastId,
        seen: &Binding,
        floor: Floor,
    ) -> Result<(), TableError> {
        let changes = vec![
            Change::Set("floor_publish", floor.publish.get().into()),
            Change::Set("floor_at", floor.at.into()),
        ];
        let write = Write::update(binding_key(broadcast), changes)
            .when(Condition::Present(PK))
            .when(seen.same_end())
            .when(seen.same_floor());
        self.write("set floor", vec![write]).await
    }

    /// Notes how a publish ended.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if a later publish has come, or the broadcast is gone.
    pub async fn note_closed(&self, broadcast: &BroadcastId, closed: Closed) -> Result<(), TableError> {
        let reason = match closed.reason {
            CloseReason::Unpublished => "unpublished",
            CloseReason::Lost => "lost",
            CloseReason::Stopped => "stopped",
        };
        let changes = vec![
            Change::Set("closed_publish", closed.publish.get().into()),
            Change::Set("closed_chunks", closed.chunks.into()),
            Change::Set("closed_reason", reason.into()),
            Change::Set("closed_at", closed.at.0.into()),
        ];
        let conditions = vec![
            Condition::Is("publish", closed.publish.get().into()),
            Condition::IsNot("state", State::Ended.as_str().into()),
        ];
        self.update_meta("close", broadcast, changes, conditions).await
    }

    /// From live to ending: no publish is taken from here on, and one that runs is cut.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if it is not live.
    pub async fn begin_ending(&self, broadcast: &BroadcastId, now: WallTime) -> Result<(), TableError> {
        let state = Write::update(meta_key(broadcast), vec![set_state(State::Ending)]);
        let writes = vec![state.when(state_is(State::Live)), revoked::of_broadcast(broadcast, now)?];
        self.write("begin ending", writes).await
    }

    /// From live to ending, if `publish` still is the latest: its window has passed, or its broadcaster has stopped.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if it is not live, or a later publish has come.
    pub async fn expire(&self, broadcast: &BroadcastId, publish: PublishNo) -> Result<(), TableError> {
        let conditions = vec![state_is(State::Live), Condition::Is("publish", publish.get().into())];
        self.update_meta("expire", broadcast, vec![set_state(State::Ending)], conditions).await
    }

    /// Moves a broadcast to another encoder: `epoch + 1`, the cursor kept.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if the binding has moved on, is gone, or the new encoder's bindings have changed.
    pub async fn rebind(
        &self,
        broadcast: &BroadcastId,
        seen: &Binding,
        encoder: &Encoder,
    ) -> Result<Binding, TableError> {
        let next = Binding { encoder: encoder.id.clone(), epoch: seen.epoch.next(), ..seen.clone() };
        let changes = vec![
            Change::Set("encoder", encoder.id.as_str().into()),
            Change::Set("epoch", next.epoch.0.into()),
        ];
        let mut writes = vec![Write::update(binding_key(broadcast), changes).when(seen.same_epoch())];
        if encoder.id != seen.encoder {
            writes.push(encoders::count_binding(encoder));
            writes.push(encoders::uncount_binding(&seen.encoder));
        }
        self.write("rebind", writes).await?;
        Ok(next)
    }

    /// Ends a broadcast whose ledger and manifests are final: frees its binding. Only the holder of the epoch may. `poster`: whether it has
    /// one of its own.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if the binding has moved on or is gone.
    pub async fn end_broadcast(
        &self,
        broadcast: &Broadcast,
        binding: &Binding,
        at: WallTime,
        duration: Ticks,
        poster: bool,
    ) -> Result<(), TableError> {
        let id = &broadcast.broadcast;
        let started = broadcast.availability_start.unwrap_or(broadcast.opened);
        let entry = vec![
            Change::Set("broadcast", id.as_str().into()),
            set_state(State::Ended),
            Change::Set("ended", at.0.into()),
            Change::Set("started", started.0.into()),
            Change::Set("duration", duration.into()),
            Change::Set("poster", poster.into()),
        ];
        let ended = vec![set_state(State::Ended), Change::Set("ended", at.0.into())];
        let writes = vec![
            Write::update(meta_key(id), ended),
            Write::delete(binding_key(id)).when(binding.same_epoch()),
            Write::update(entry_key(&broadcast.live, id), entry),
            Write::delete(Key::new(ON_AIR, id.as_str())),
            encoders::uncount_binding(&binding.encoder),
        ];
        self.write("end broadcast", writes).await
    }
}

pub(super) fn meta_key(broadcast: &BroadcastId) -> Key {
    Key::new(broadcast_pk(broadcast), "META")
}

pub(super) fn binding_key(broadcast: &BroadcastId) -> Key {
    Key::new(broadcast_pk(broadcast), "BINDING")
}

pub(super) fn state_is(state: State) -> Condition {
    Condition::Is("state", state.as_str().into())
}

fn set_state(state: State) -> Change {
    Change::Set("state", state.as_str().into())
}

fn read_broadcast(row: &Row) -> Result<Broadcast, TableError> {
    let publish = |name: &str| -> Result<Option<PublishNo>, TableError> {
        row.parsed::<u32>(name)?
            .map(|p| PublishNo::new(p).ok_or_else(|| row.damaged(format!("{name} is 0"))))
            .transpose()
    };
    let closed = match publish("closed_publish")? {
        None => None,
        Some(publish) => Some(Closed {
            publish,
            chunks: row.required("closed_chunks")?,
            reason: match row.text("closed_reason") {
                Some("unpublished") => CloseReason::Unpublished,
                Some("lost") => CloseReason::Lost,
                Some("stopped") => CloseReason::Stopped,
                _ => return Err(row.damaged("closed_reason can't be read")),
            },
            at: WallTime(row.required("closed_at")?),
        }),
    };
    Ok(Broadcast {
        broadcast: row.required("broadcast")?,
        live: row.required("live")?,
        state: row.required("state")?,
        publish: publish("publish")?.ok_or_else(|| row.damaged("publish is missing"))?,
        connection: row.required("publish_connection")?,
        earlier: row
            .text("earlier_connections")
            .map(|text| text.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default(),
        filler: row.flag("filler"),
        profile: row.required("profile")?,
        source_rung: row.flag("source_rung"),
        window_seconds: row.required("window")?,
        limits: read_limits(row)?,
        opened: WallTime(row.required("opened")?),
        availability_start: row.parsed("availability_start")?.map(WallTime),
        closed,
        ended: row.parsed("ended")?.map(WallTime),
    })
}

fn read_binding(row: &Row) -> Result<Binding, TableError> {
    let cursor = match row.parsed::<u32>("cursor_publish")? {
        None => None,
        Some(publish) => Some(Cursor {
            pos: ChunkPos {
                publish: PublishNo::new(publish).ok_or_else(|| row.damaged("cursor_publish is 0"))?,
                seq: ChunkSeq(row.required("cursor_seq")?),
            },
            end: row.required("cursor_end")?,
        }),
    };
    let floor = match row.parsed::<u32>("floor_publish")? {
        None => None,
        Some(publish) => Some(Floor {
            publish: PublishNo::new(publish).ok_or_else(|| row.damaged("floor_publish is 0"))?,
            at: row.required("floor_at")?,
        }),
    };
    Ok(Binding {
        encoder: row.required("encoder")?,
        epoch: Epoch(row.required("epoch")?),
        cursor,
        live_end: row.parsed("live_end")?,
        floor,
    })
}
