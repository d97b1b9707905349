//! The ledger: commits, fills, and reading them back.

use media::{
    cue::Cue,
    id::BroadcastId,
    ledger::{Cursor, Fill, Init, Row, Segment},
    time::{Ticks, VIDEO_TIMESCALE, WallTime, to_media_time},
};

use super::{
    Binding, Table, TableError,
    broadcasts::{binding_key, broadcast_pk},
    json,
    store::{Change, Condition, Key, Value, Write},
};

/// Most ledger rows of a broadcast: 24 hours of 1 s GOPs, twice over.
const ROWS_MAX: usize = 172_800;
/// Most initialization segments of a broadcast: far more format changes than a show has.
const INITS_MAX: usize = 10_000;

/// All that is committed of a broadcast.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// What the live timeline shows of chunks, in order of time (and of positions).
    pub rows: Vec<Row>,
    /// Chunks that only the replay shows, in order of time.
    pub late: Vec<Row>,
    /// What fills the live timeline's holes, in order of time.
    pub fills: Vec<Fill>,
    /// The initialization segments.
    pub inits: Vec<Init>,
    /// The timed events, by number.
    pub cues: Vec<Cue>,
}

impl Ledger {
    /// What a media segment is initialized with.
    #[must_use]
    pub fn init_of(&self, segment: &Segment) -> Option<&Init> {
        self.inits.iter().find(|init| init.rung == segment.rung && init.config == segment.config)
    }
}

/// A presentation time as media time, spelled so that keys sort by it.
fn spelled(start: Ticks) -> Result<String, TableError> {
    let time = to_media_time(start, VIDEO_TIMESCALE).ok_or(TableError::Call {
        operation: "commit",
        message: format!("a chunk that starts {start} ticks before the broadcast has no place in it"),
        transient: false,
    })?;
    Ok(format!("{time:015}"))
}

/// Where a chunk's row is.
fn row_key(broadcast: &BroadcastId, row: &Row) -> Result<Key, TableError> {
    let start = spelled(row.start)?;
    let sk = match row.late {
        false => format!("GOP#{start}"),
        true => format!("LATE#{start}#{:06}", row.pos.publish.get()),
    };
    Ok(Key::new(broadcast_pk(broadcast), sk))
}

impl Table {
    /// Commits a chunk: its row is put if absent and the cursor moves on, in one transaction, if `binding` (epoch and cursor) still stands.
    /// A row that is shown live moves the end of the live timeline too, and needs the floor to be as `binding` has it.
    /// Returns the binding as it is afterwards.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if the binding, the cursor or the floor has moved on, or the place on the timeline is taken.
    pub async fn commit(
        &self,
        broadcast: &BroadcastId,
        binding: &Binding,
        row: &Row,
    ) -> Result<Binding, TableError> {
        // What was stored out of turn leaves the cursor where it is.
        let stray = binding.cursor.filter(|seen| seen.pos > row.pos);
        let cursor = stray.unwrap_or(Cursor { pos: row.pos, end: row.end });
        let mut next = Binding { cursor: Some(cursor), ..binding.clone() };
        let mut changes = vec![
            Change::Set("cursor_publish", cursor.pos.publish.get().into()),
            Change::Set("cursor_seq", cursor.pos.seq.0.into()),
            Change::Set("cursor_end", cursor.end.into()),
        ];
        let seen = |value: fn(&Cursor) -> Value| binding.cursor.as_ref().map(value);
        let mut conditions = vec![
            binding.same_epoch(),
            Condition::seen("cursor_publish", seen(|c| c.pos.publish.get().into())),
            Condition::seen("cursor_seq", seen(|c| c.pos.seq.0.into())),
        ];
        if !row.late {
            next.live_end = Some(row.end);
            changes.push(Change::Set("live_end", row.end.into()));
            conditions.push(binding.same_floor());
        }
        let fence = Write { conditions, ..Write::update(binding_key(broadcast), changes) };
        let attributes = vec![
            ("epoch", row.epoch.0.into()),
            ("publish", row.pos.publish.get().into()),
            ("seq", row.pos.seq.0.into()),
            ("row", json(row)?),
        ];
        let put = Write::create(row_key(broadcast, row)?, attributes);
        self.write("commit", vec![fence, put]).await?;
        Ok(next)
    }

    /// Whether this chunk's row is there, as a lost reply to [`Table::commit`] leaves open.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn is_committed(&self, broadcast: &BroadcastId, row: &Row) -> Result<bool, TableError> {
        let Key { pk, sk } = row_key(broadcast, row)?;
        let there = self.get(&pk, &sk).await?.map(|row| row.document::<Row>("row")).transpose()?;
        Ok(there.is_some_and(|there| there.pos == row.pos))
    }

    /// Takes a hole's place on the live timeline, in one transaction, if `binding` (epoch, end of the live timeline, floor) still
    /// stands. Returns the binding as it is afterwards.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if the binding, the timeline or the floor has moved on.
    pub async fn commit_fill(
        &self,
        broadcast: &BroadcastId,
        binding: &Binding,
        fill: &Fill,
    ) -> Result<Binding, TableError> {
        let fence = Write::update(binding_key(broadcast), vec![Change::Set("live_end", fill.end.into())])
            .when(binding.same_epoch())
            .when(binding.same_end())
            .when(binding.same_floor());
        let key = Key::new(broadcast_pk(broadcast), format!("FILL#{}", spelled(fill.start)?));
        let put = Write::create(key, vec![("epoch", fill.epoch.0.into()), ("fill", json(fill)?)]);
        self.write("commit fill", vec![fence, put]).await?;
        Ok(Binding { live_end: Some(fill.end), ..binding.clone() })
    }

    /// Leaves a fill without segments, for they are not there and can't be made: its place is a hole from here on.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if the binding has moved on.
    pub async fn empty_fill(
        &self,
        broadcast: &BroadcastId,
        binding: &Binding,
        fill: &Fill,
    ) -> Result<(), TableError> {
        let fence = vec![Change::Set("epoch", binding.epoch.0.into())];
        let fence = Write::update(binding_key(broadcast), fence).when(binding.same_epoch());
        let key = Key::new(broadcast_pk(broadcast), format!("FILL#{}", spelled(fill.start)?));
        let empty = Fill { segments: Vec::new(), ..fill.clone() };
        let put = Write::put(key, vec![("epoch", fill.epoch.0.into()), ("fill", json(&empty)?)]);
        self.write("empty fill", vec![fence, put]).await
    }

    /// Notes an initialization segment, once.
    ///
    /// # Errors
    /// When the table could not be written.
    pub async fn note_init(&self, broadcast: &BroadcastId, init: &Init) -> Result<(), TableError> {
        let key = Key::new(broadcast_pk(broadcast), format!("INIT#{}#{}", init.rung, init.config));
        match self.write("note init", vec![Write::create(key, vec![("init", json(init)?)])]).await {
            Ok(()) | Err(TableError::Conflict(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// All that is committed of a broadcast.
    ///
    /// # Errors
    /// When the table could not be read, or a row is damaged.
    pub async fn ledger(&self, broadcast: &BroadcastId) -> Result<Ledger, TableError> {
        let pk = broadcast_pk(broadcast);
        let query = |prefix: &'static str, limit| self.query(&pk, prefix, limit);
        let (rows, late, fills, inits, cues) = tokio::try_join!(
            query("GOP#", ROWS_MAX),
            query("LATE#", ROWS_MAX),
            query("FILL#", ROWS_MAX),
            query("INIT#", INITS_MAX),
            self.cues(broadcast)
        )?;
        Ok(Ledger {
            rows: rows.iter().map(|row| row.document("row")).collect::<Result<_, _>>()?,
            late: late.iter().map(|row| row.document("row")).collect::<Result<_, _>>()?,
            fills: fills.iter().map(|row| row.document("fill")).collect::<Result<_, _>>()?,
            inits: inits.iter().map(|row| row.document("init")).collect::<Result<_, _>>()?,
            cues,
        })
    }

    /// When the last row of the ledger that is shown live was committed.
    ///
    /// # Errors
    /// When the table could not be read, or the row is damaged.
    pub async fn last_commit(&self, broadcast: &BroadcastId) -> Result<Option<WallTime>, TableError> {
        Ok(self.last_row(broadcast).await?.map(|row| row.committed))
    }

    /// The last row of the ledger that is shown live.
    ///
    /// # Errors
    /// When the table could not be read, or the row is damaged.
    pub async fn last_row(&self, broadcast: &BroadcastId) -> Result<Option<Row>, TableError> {
        let row = self.last(&broadcast_pk(broadcast), "GOP#").await?;
        row.map(|row| row.document("row")).transpose()
    }
}
