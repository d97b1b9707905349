//! Lives: creating, listing and deleting them, their keys, and the list of their broadcasts.

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem, Update};
use media::{
    id::{BroadcastId, KeyHash, LiveId},
    ladder::Profile,
    time::WallTime,
};

use super::{PK, Row, SK, State, Table, TableError, fail, n, s};

/// Most lives listed at once.
const LIVES_MAX: usize = 10_000;

/// A live as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its name.
    pub live: LiveId,
    /// Its name for people.
    pub title: String,
    /// Hash of its stream key.
    pub key_hash: KeyHash,
    /// Its ladder profile.
    pub profile: Profile,
    /// How long a broadcast waits for a lost publisher, in seconds (0 to 1800).
    pub window_seconds: u32,
    /// Its current or last broadcast.
    pub current: Option<BroadcastId>,
    /// When it was created.
    pub created: WallTime,
}

/// One of a live's broadcasts, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BroadcastEntry {
    /// Which.
    pub broadcast: BroadcastId,
    /// Whether it is on air, ending or ended.
    pub state: State,
    /// When it was opened, until it has an availability start.
    pub started: WallTime,
    /// When it ended.
    pub ended: Option<WallTime>,
    /// How long it plays, in 1/90 000 s; 0 until it ended.
    pub duration: i64,
}

pub(super) fn live_pk(live: &LiveId) -> String {
    format!("LIVE#{live}")
}
fn key_pk(hash: &KeyHash) -> String {
    format!("KEY#{hash}")
}
pub(super) fn entry_sk(broadcast: &BroadcastId) -> String {
    format!("BCAST#{broadcast}")
}

impl Table {
    /// Creates a live with its key.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if there is a live of that name, or the key is in use.
    pub async fn create_live(&self, live: &Live) -> Result<(), TableError> {
        let meta = Put::builder()
            .table_name(&self.name)
            .item(PK, s(live_pk(&live.live)))
            .item(SK, s("META"))
            .item("live", s(live.live.as_str()))
            .item("title", s(&live.title))
            .item("key_hash", s(live.key_hash.as_str()))
            .item("profile", s(live.profile.name()))
            .item("window", n(live.window_seconds))
            .item("created", n(live.created.0))
            .condition_expression("attribute_not_exists(pk)");
        let list = Put::builder().table_name(&self.name).item(PK, s("LIVES")).item(SK, s(live.live.as_str()));
        self.transact("create live", vec![put(meta)?, self.put_key(&live.key_hash, &live.live)?, put(list)?])
            .await
    }

    fn put_key(&self, hash: &KeyHash, live: &LiveId) -> Result<TransactWriteItem, TableError> {
        put(Put::builder()
            .table_name(&self.name)
            .item(PK, s(key_pk(hash)))
            .item(SK, s("LIVE"))
            .item("live", s(live.as_str()))
            .condition_expression("attribute_not_exists(pk)"))
    }

    fn delete_row(&self, pk: String, sk: &str) -> Result<TransactWriteItem, TableError> {
        let delete = Delete::builder().table_name(&self.name).key(PK, s(pk)).key(SK, s(sk)).build();
        Ok(TransactWriteItem::builder().delete(delete.map_err(|e| super::broadcasts::build(&e))?).build())
    }

    /// A live by name.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn live(&self, live: &LiveId) -> Result<Option<Live>, TableError> {
        self.get(&live_pk(live), "META").await?.map(|row| read_live(&row)).transpose()
    }

    /// The live that a stream key belongs to.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn live_of_key(&self, hash: &KeyHash) -> Result<Option<Live>, TableError> {
        let Some(row) = self.get(&key_pk(hash), "LIVE").await? else { return Ok(None) };
        let live = self.live(&row.required("live")?).await?;
        // The key row and the live's row change in one transaction; between two reads the key may have been rotated away.
        Ok(live.filter(|live| live.key_hash == *hash))
    }

    /// Every live, by name.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn lives(&self) -> Result<Vec<Live>, TableError> {
        let mut lives = Vec::new();
        for row in self.query("LIVES", "", None, LIVES_MAX).await? {
            if let Some(live) = self.live(&row.required(SK)?).await? {
                lives.push(live);
            }
        }
        Ok(lives)
    }

    /// Replaces a live's stream key.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if the live has changed meanwhile.
    pub async fn rotate_key(&self, live: &Live, new: &KeyHash) -> Result<(), TableError> {
        let meta = Update::builder()
            .table_name(&self.name)
            .key(PK, s(live_pk(&live.live)))
            .key(SK, s("META"))
            .update_expression("SET key_hash = :new")
            .condition_expression("key_hash = :old")
            .expression_attribute_values(":new", s(new.as_str()))
            .expression_attribute_values(":old", s(live.key_hash.as_str()));
        let old = self.delete_row(key_pk(&live.key_hash), "LIVE")?;
        self.transact("rotate key", vec![update(meta)?, old, self.put_key(new, &live.live)?]).await
    }

    /// Deletes a live, its key and its list of broadcasts. What the broadcasts stored stays where it is.
    ///
    /// # Errors
    /// When the table could not be written.
    pub async fn delete_live(&self, live: &Live) -> Result<(), TableError> {
        for entry in self.broadcasts_of(&live.live, usize::MAX).await? {
            self.transact(
                "delete live",
                vec![self.delete_row(live_pk(&live.live), &entry_sk(&entry.broadcast))?],
            )
            .await?;
        }
        let rows = vec![
            self.delete_row(live_pk(&live.live), "META")?,
            self.delete_row(key_pk(&live.key_hash), "LIVE")?,
            self.delete_row("LIVES".to_owned(), live.live.as_str())?,
        ];
        self.transact("delete live", rows).await
    }

    /// A live's broadcasts, oldest first, at most `limit` of the oldest.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn broadcasts_of(
        &self,
        live: &LiveId,
        limit: usize,
    ) -> Result<Vec<BroadcastEntry>, TableError> {
        let rows = self.query(&live_pk(live), "BCAST#", None, limit).await?;
        rows.iter()
            .map(|row| {
                Ok(BroadcastEntry {
                    broadcast: row.required("broadcast")?,
                    state: row.required("state")?,
                    started: WallTime(row.required("started")?),
                    ended: row.parsed("ended")?.map(WallTime),
                    duration: row.parsed("duration")?.unwrap_or(0),
                })
            })
            .collect()
    }

    pub(super) async fn transact(
        &self,
        operation: &'static str,
        items: Vec<TransactWriteItem>,
    ) -> Result<(), TableError> {
        let sent = self.client.transact_write_items().set_transact_items(Some(items)).send().await;
        sent.map(|_| ()).map_err(|error| fail(operation, &error))
    }
}

pub(super) fn put(
    put: aws_sdk_dynamodb::types::builders::PutBuilder,
) -> Result<TransactWriteItem, TableError> {
    Ok(TransactWriteItem::builder().put(put.build().map_err(|e| super::broadcasts::build(&e))?).build())
}

pub(super) fn update(
    update: aws_sdk_dynamodb::types::builders::UpdateBuilder,
) -> Result<TransactWriteItem, TableError> {
    Ok(TransactWriteItem::builder().update(update.build().map_err(|e| super::broadcasts::build(&e))?).build())
}

fn read_live(row: &Row) -> Result<Live, TableError> {
    Ok(Live {
        live: row.required("live")?,
        title: row.required("title")?,
        key_hash: row.required("key_hash")?,
        profile: row.required("profile")?,
        window_seconds: row.required("window")?,
        current: row.parsed("current")?,
        created: WallTime(row.required("created")?),
    })
}
