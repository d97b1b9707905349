//! The ledger: commits, and reading it back.

use aws_sdk_dynamodb::types::{Put, Update};
use media::{
    id::BroadcastId,
    ledger::{Cursor, Init, Row},
    time::{Ticks, VIDEO_TIMESCALE, to_media_time},
};

use super::{
    Binding, PK, SK, Table, TableError,
    broadcasts::broadcast_pk,
    fail, json,
    lives::{put, update},
    n, s,
};

/// Most ledger rows of a broadcast: 24 hours of 1 s GOPs, twice over.
const ROWS_MAX: usize = 172_800;
/// Most initialization segments of a broadcast: far more format changes than a show has.
const INITS_MAX: usize = 10_000;

/// Sort key of the row that starts at this presentation time.
fn row_sk(start: Ticks) -> Result<String, TableError> {
    let time = to_media_time(start, VIDEO_TIMESCALE).ok_or(TableError::Call {
        operation: "commit",
        message: format!("a chunk that starts {start} ticks before the broadcast has no place in it"),
        transient: false,
    })?;
    Ok(format!("GOP#{time:015}"))
}

impl Table {
    /// Commits a chunk: its row is put if absent and the cursor moves on, in one transaction, if `binding` (epoch and cursor) still stands.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if the binding or the cursor has moved on, or the place on the timeline is taken.
    pub async fn commit(
        &self,
        broadcast: &BroadcastId,
        binding: &Binding,
        row: &Row,
    ) -> Result<Cursor, TableError> {
        let pk = broadcast_pk(broadcast);
        let cursor = Cursor { pos: row.pos, end: row.end };
        let mut fence = Update::builder()
            .table_name(&self.name)
            .key(PK, s(&pk))
            .key(SK, s("BINDING"))
            .update_expression("SET cursor_publish = :publish, cursor_seq = :seq, cursor_end = :end")
            .expression_attribute_values(":publish", n(cursor.pos.publish.get()))
            .expression_attribute_values(":seq", n(cursor.pos.seq.0))
            .expression_attribute_values(":end", n(cursor.end))
            .expression_attribute_values(":epoch", n(binding.epoch.0));
        fence = match binding.cursor {
            None => fence.condition_expression("epoch = :epoch AND attribute_not_exists(cursor_publish)"),
            Some(seen) => fence
                .condition_expression(
                    "epoch = :epoch AND cursor_publish = :seen_publish AND cursor_seq = :seen_seq",
                )
                .expression_attribute_values(":seen_publish", n(seen.pos.publish.get()))
                .expression_attribute_values(":seen_seq", n(seen.pos.seq.0)),
        };
        let gop = Put::builder()
            .table_name(&self.name)
            .item(PK, s(&pk))
            .item(SK, s(row_sk(row.start)?))
            .item("epoch", n(row.epoch.0))
            .item("publish", n(row.pos.publish.get()))
            .item("seq", n(row.pos.seq.0))
            .item("row", json(row)?)
            .condition_expression("attribute_not_exists(pk)");
        self.transact("commit", vec![update(fence)?, put(gop)?]).await?;
        Ok(cursor)
    }

    /// Notes an initialization segment, once.
    ///
    /// # Errors
    /// When the table could not be written.
    pub async fn note_init(&self, broadcast: &BroadcastId, init: &Init) -> Result<(), TableError> {
        let sent = self
            .client
            .put_item()
            .table_name(&self.name)
            .item(PK, s(broadcast_pk(broadcast)))
            .item(SK, s(format!("INIT#{}#{}", init.rung, init.config)))
            .item("init", json(init)?)
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match sent.map_err(|error| fail("note init", &error)) {
            Ok(_) | Err(TableError::Conflict(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Every row of the ledger, in order.
    ///
    /// # Errors
    /// When the table could not be read, or a row is damaged.
    pub async fn ledger(&self, broadcast: &BroadcastId) -> Result<Vec<Row>, TableError> {
        let rows = self.query(&broadcast_pk(broadcast), "GOP#", None, ROWS_MAX).await?;
        rows.iter().map(|row| row.document("row")).collect()
    }

    /// The last row of the ledger.
    ///
    /// # Errors
    /// When the table could not be read, or the row is damaged.
    pub async fn last_row(&self, broadcast: &BroadcastId) -> Result<Option<Row>, TableError> {
        let row = self.last(&broadcast_pk(broadcast), "GOP#").await?;
        row.map(|row| row.document("row")).transpose()
    }

    /// Every initialization segment of a broadcast.
    ///
    /// # Errors
    /// When the table could not be read, or a row is damaged.
    pub async fn inits(&self, broadcast: &BroadcastId) -> Result<Vec<Init>, TableError> {
        let rows = self.query(&broadcast_pk(broadcast), "INIT#", None, INITS_MAX).await?;
        rows.iter().map(|row| row.document("init")).collect()
    }
}
