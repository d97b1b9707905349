//! Broadcasts: their state, publishes and binding. Every change is conditional on what the writer had read.

use std::{fmt, str::FromStr};

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use media::{
    id::{BroadcastId, ChunkPos, ChunkSeq, EncoderId, Epoch, LiveId, PublishNo},
    ladder::Profile,
    ledger::Cursor,
    time::{Ticks, WallTime},
    wire::CloseReason,
};

use super::{
    Encoder, PK, Row, SK, Table, TableError, fail,
    lives::{entry_sk, live_pk, put, update},
    n, s,
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
    /// Its publisher is a placeholder that yields to any other.
    pub filler: bool,
    /// The ladder, as the live had it at the start.
    pub profile: Profile,
    /// Reconnect window in seconds, as the live had it at the start.
    pub window_seconds: u32,
    /// When it was opened.
    pub opened: WallTime,
    /// When presentation time 0 reached an edge.
    pub availability_start: Option<WallTime>,
    /// How the latest closed publish ended.
    pub closed: Option<Closed>,
    /// When it ended.
    pub ended: Option<WallTime>,
}

/// Which encoder serves a broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The encoder.
    pub encoder: EncoderId,
    /// Grows by one at each change.
    pub epoch: Epoch,
    /// What is committed.
    pub cursor: Option<Cursor>,
}

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
        let meta = Put::builder()
            .table_name(&self.name)
            .item(PK, s(broadcast_pk(&new.broadcast)))
            .item(SK, s("META"))
            .item("broadcast", s(id))
            .item("live", s(new.live.as_str()))
            .item("state", s(new.state.as_str()))
            .item("publish", n(new.publish.get()))
            .item("publish_connection", s(&new.connection))
            .item("filler", AttributeValue::Bool(new.filler))
            .item("profile", s(new.profile.name()))
            .item("window", n(new.window_seconds))
            .item("opened", n(new.opened.0))
            .condition_expression("attribute_not_exists(pk)");
        let binding = Put::builder()
            .table_name(&self.name)
            .item(PK, s(broadcast_pk(&new.broadcast)))
            .item(SK, s("BINDING"))
            .item("encoder", s(encoder.id.as_str()))
            .item("epoch", n(Epoch::FIRST.0))
            .condition_expression("attribute_not_exists(pk)");
        let entry = Put::builder()
            .table_name(&self.name)
            .item(PK, s(live_pk(&new.live)))
            .item(SK, s(entry_sk(&new.broadcast)))
            .item("broadcast", s(id))
            .item("state", s(new.state.as_str()))
            .item("started", n(new.opened.0));
        let mut current = Update::builder()
            .table_name(&self.name)
            .key(PK, s(live_pk(&new.live)))
            .key(SK, s("META"))
            .update_expression("SET #current = :new")
            .expression_attribute_names("#current", "current")
            .expression_attribute_values(":new", s(id));
        current = match previous {
            None => current.condition_expression("attribute_exists(pk) AND attribute_not_exists(#current)"),
            Some(previous) => current
                .condition_expression("#current = :previous")
                .expression_attribute_values(":previous", s(previous.as_str())),
        };
        let rows =
            vec![put(meta)?, put(binding)?, put(entry)?, update(current)?, self.count_binding(encoder)?];
        self.transact("create broadcast", rows).await
    }

    /// Changes the broadcast's own row under a condition. `#state` stands for the attribute of that name.
    async fn update_meta(
        &self,
        operation: &'static str,
        broadcast: &BroadcastId,
        change: &str,
        condition: &str,
        values: impl IntoIterator<Item = (&str, AttributeValue)>,
    ) -> Result<(), TableError> {
        let mut call = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(PK, s(broadcast_pk(broadcast)))
            .key(SK, s("META"))
            .update_expression(change)
            .condition_expression(condition)
            .expression_attribute_names("#state", "state");
        for (name, value) in values {
            call = call.expression_attribute_values(name, value);
        }
        call.send().await.map(|_| ()).map_err(|error| fail(operation, &error))
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
        let values = [
            (":next", n(next.get())),
            (":seen", n(seen.publish.get())),
            (":connection", s(connection)),
            (":filler", AttributeValue::Bool(filler)),
            (":live", s(State::Live.as_str())),
        ];
        let change = "SET publish = :next, publish_connection = :connection, filler = :filler";
        self.update_meta(
            "next publish",
            &seen.broadcast,
            change,
            "publish = :seen AND #state = :live",
            values,
        )
        .await?;
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
        let condition =
            "attribute_exists(pk) AND attribute_not_exists(availability_start) AND #state = :live";
        let values = [(":at", n(at.0)), (":live", s(State::Live.as_str()))];
        self.update_meta("availability start", broadcast, "SET availability_start = :at", condition, values)
            .await
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
        let change = "SET closed_publish = :publish, closed_chunks = :chunks, closed_reason = :reason, closed_at = :at";
        let values = [
            (":publish", n(closed.publish.get())),
            (":chunks", n(closed.chunks)),
            (":reason", s(reason)),
            (":at", n(closed.at.0)),
            (":ended", s(State::Ended.as_str())),
        ];
        self.update_meta("close", broadcast, change, "publish = :publish AND #state <> :ended", values).await
    }

    /// From live to ending: no publish is taken from here on.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if it is not live.
    pub async fn begin_ending(&self, broadcast: &BroadcastId) -> Result<(), TableError> {
        let values = [(":ending", s(State::Ending.as_str())), (":live", s(State::Live.as_str()))];
        self.update_meta("begin ending", broadcast, "SET #state = :ending", "#state = :live", values).await
    }

    /// From live to ending, if `publish` still is the latest: its window has passed, or its broadcaster has stopped.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if it is not live, or a later publish has come.
    pub async fn expire(&self, broadcast: &BroadcastId, publish: PublishNo) -> Result<(), TableError> {
        let values = [
            (":ending", s(State::Ending.as_str())),
            (":live", s(State::Live.as_str())),
            (":publish", n(publish.get())),
        ];
        let condition = "#state = :live AND publish = :publish";
        self.update_meta("expire", broadcast, "SET #state = :ending", condition, values).await
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
        let next = Binding { encoder: encoder.id.clone(), epoch: seen.epoch.next(), cursor: seen.cursor };
        let binding = Update::builder()
            .table_name(&self.name)
            .key(PK, s(broadcast_pk(broadcast)))
            .key(SK, s("BINDING"))
            .update_expression("SET encoder = :encoder, epoch = :next")
            .condition_expression("epoch = :seen")
            .expression_attribute_values(":encoder", s(encoder.id.as_str()))
            .expression_attribute_values(":next", n(next.epoch.0))
            .expression_attribute_values(":seen", n(seen.epoch.0));
        let mut rows = vec![update(binding)?];
        if encoder.id != seen.encoder {
            rows.push(self.count_binding(encoder)?);
            rows.push(self.uncount_binding(&seen.encoder)?);
        }
        self.transact("rebind", rows).await?;
        Ok(next)
    }

    /// Ends a broadcast whose ledger and manifests are final: frees its binding. Only the holder of the epoch may.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if the binding has moved on or is gone.
    pub async fn end_broadcast(
        &self,
        broadcast: &Broadcast,
        binding: &Binding,
        at: WallTime,
        duration: Ticks,
    ) -> Result<(), TableError> {
        let pk = broadcast_pk(&broadcast.broadcast);
        let meta = Update::builder()
            .table_name(&self.name)
            .key(PK, s(&pk))
            .key(SK, s("META"))
            .update_expression("SET #state = :ended, ended = :at")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":ended", s(State::Ended.as_str()))
            .expression_attribute_values(":at", n(at.0));
        let free = Delete::builder()
            .table_name(&self.name)
            .key(PK, s(&pk))
            .key(SK, s("BINDING"))
            .condition_expression("epoch = :epoch")
            .expression_attribute_values(":epoch", n(binding.epoch.0))
            .build()
            .map_err(|error| build(&error))?;
        let started = broadcast.availability_start.unwrap_or(broadcast.opened);
        let entry = Update::builder()
            .table_name(&self.name)
            .key(PK, s(live_pk(&broadcast.live)))
            .key(SK, s(entry_sk(&broadcast.broadcast)))
            .update_expression("SET broadcast = :id, #state = :ended, ended = :at, started = :started, #duration = :duration")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#duration", "duration")
            .expression_attribute_values(":id", s(broadcast.broadcast.as_str()))
            .expression_attribute_values(":ended", s(State::Ended.as_str()))
            .expression_attribute_values(":at", n(at.0))
            .expression_attribute_values(":started", n(started.0))
            .expression_attribute_values(":duration", n(duration));
        let free = TransactWriteItem::builder().delete(free).build();
        let rows = vec![update(meta)?, free, update(entry)?, self.uncount_binding(&binding.encoder)?];
        self.transact("end broadcast", rows).await
    }
}

pub(super) fn build(error: &aws_sdk_dynamodb::error::BuildError) -> TableError {
    TableError::Call { operation: "build request", message: error.to_string(), transient: false }
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
        filler: row.flag("filler"),
        profile: row.required("profile")?,
        window_seconds: row.required("window")?,
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
    Ok(Binding { encoder: row.required("encoder")?, epoch: Epoch(row.required("epoch")?), cursor })
}
