//! Encoders: heartbeats, and the count of bindings that stand on each, kept in the same transactions as the bindings themselves.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use media::{id::EncoderId, time::WallTime};

use super::{PK, Row, SK, TTL, Table, TableError, fail, lives::update, n, s};

/// Rows of encoders that have fallen silent are kept this long, in seconds: bindings on them must still be moved and uncounted.
const KEPT_SECONDS: u64 = 3600;
/// Most encoders read at once.
const ENCODERS_MAX: usize = 10_000;

/// An encoder as it last said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoder {
    /// Its id: one per process life, so that no two processes ever share an epoch.
    pub id: EncoderId,
    /// `address:port` of its HTTP server in the private network.
    pub address: String,
    /// What it can transcode, in pixels per second, as it measured.
    pub capacity: u64,
    /// It is shutting down and takes nothing new.
    pub draining: bool,
    /// When it last said so, by its own clock.
    pub seen: WallTime,
    /// How many bindings stand on it. Written only together with bindings.
    pub bound: i64,
}

impl Table {
    /// Writes an encoder's heartbeat; the count of bindings is left as it is.
    ///
    /// # Errors
    /// When the table could not be written.
    pub async fn heartbeat(&self, encoder: &Encoder) -> Result<(), TableError> {
        self.client
            .update_item()
            .table_name(&self.name)
            .key(PK, s("ENCODERS"))
            .key(SK, s(encoder.id.as_str()))
            .update_expression("SET address = :address, #capacity = :capacity, draining = :draining, seen = :seen, #ttl = :ttl")
            .expression_attribute_names("#capacity", "capacity")
            .expression_attribute_names("#ttl", TTL)
            .expression_attribute_values(":address", s(&encoder.address))
            .expression_attribute_values(":capacity", n(encoder.capacity))
            .expression_attribute_values(":draining", AttributeValue::Bool(encoder.draining))
            .expression_attribute_values(":seen", n(encoder.seen.0))
            .expression_attribute_values(":ttl", n(encoder.seen.unix_ms() / 1000 + KEPT_SECONDS))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| fail("heartbeat", &error))
    }

    /// Takes an encoder off the list: its process ends.
    ///
    /// # Errors
    /// When the table could not be written.
    pub async fn forget_encoder(&self, id: &EncoderId) -> Result<(), TableError> {
        let delete =
            self.client.delete_item().table_name(&self.name).key(PK, s("ENCODERS")).key(SK, s(id.as_str()));
        delete.send().await.map(|_| ()).map_err(|error| fail("forget encoder", &error))
    }

    /// One encoder, alive or not; `None` when it has no row (any more).
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn encoder(&self, id: &EncoderId) -> Result<Option<Encoder>, TableError> {
        Ok(self.get("ENCODERS", id.as_str()).await?.map(|row| read_encoder(&row)).transpose()?.flatten())
    }

    /// Every encoder that has a row, alive or not.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn encoders(&self) -> Result<Vec<Encoder>, TableError> {
        let mut encoders = Vec::new();
        for row in self.query("ENCODERS", "", None, ENCODERS_MAX).await? {
            encoders.extend(read_encoder(&row)?);
        }
        Ok(encoders)
    }

    /// One more binding on `encoder`, if its count is still what was read: two placements at once see each other.
    pub(super) fn count_binding(&self, encoder: &Encoder) -> Result<TransactWriteItem, TableError> {
        let call = Update::builder()
            .table_name(&self.name)
            .key(PK, s("ENCODERS"))
            .key(SK, s(encoder.id.as_str()))
            .update_expression("SET bound = :more")
            .expression_attribute_values(":more", n(encoder.bound + 1));
        update(if encoder.bound == 0 {
            call.condition_expression(
                "attribute_exists(address) AND (attribute_not_exists(bound) OR bound = :seen)",
            )
            .expression_attribute_values(":seen", n(0))
        } else {
            call.condition_expression("attribute_exists(address) AND bound = :seen")
                .expression_attribute_values(":seen", n(encoder.bound))
        })
    }

    /// One binding less on the encoder. Without condition: its row may be gone.
    pub(super) fn uncount_binding(&self, id: &EncoderId) -> Result<TransactWriteItem, TableError> {
        update(
            Update::builder()
                .table_name(&self.name)
                .key(PK, s("ENCODERS"))
                .key(SK, s(id.as_str()))
                .update_expression("SET #ttl = if_not_exists(#ttl, :ttl) ADD bound :less")
                .expression_attribute_names("#ttl", TTL)
                .expression_attribute_values(":ttl", n(1))
                .expression_attribute_values(":less", n(-1)),
        )
    }
}

/// An encoder's row; `None` for one that only uncounting has left behind: it has no address, nobody lives there.
fn read_encoder(row: &Row) -> Result<Option<Encoder>, TableError> {
    let Some(address) = row.parsed::<String>("address")? else { return Ok(None) };
    Ok(Some(Encoder {
        id: row.required(SK)?,
        address,
        capacity: row.required("capacity")?,
        draining: row.flag("draining"),
        seen: WallTime(row.required("seen")?),
        bound: row.parsed("bound")?.unwrap_or(0),
    }))
}
