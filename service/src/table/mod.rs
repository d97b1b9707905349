//! The one DynamoDB table: every row that gopcast keeps, spelled and read in this one place, and the conditional writes on them.
//!
//! ```text
//! LIVES            {live}             the list of lives
//! LIVE#{live}      META               title, key hash, profile, reconnect window, current broadcast
//! LIVE#{live}      BCAST#{broadcast}  the list of a live's broadcasts
//! KEY#{sha256}     LIVE               whose stream key it is
//! BCAST#{id}       META               state, availability start, publish number, …
//! BCAST#{id}       BINDING            encoder, epoch, cursor of the ledger
//! BCAST#{id}       GOP#{t:015}        the ledger: one row per committed chunk; t is its media time in 1/90 000 s
//! BCAST#{id}       INIT#{rung}#{cfg}  initialization segments
//! ENCODERS         {id}               heartbeat, capacity, standing bindings; TTL
//! ```
//!
//! Invariants: an epoch only grows; a publish number only grows; a ledger row, once there, never changes; whoever writes a ledger row
//! holds the binding in the same transaction.

mod broadcasts;
mod encoders;
mod ledger;
mod lives;

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::AttributeValue,
};
pub use broadcasts::{Binding, Broadcast, Closed, State};
pub use encoders::Encoder;
pub use lives::{BroadcastEntry, Live};

use crate::aws::is_transient;

/// Partition key attribute.
pub const PK: &str = "pk";
/// Sort key attribute.
pub const SK: &str = "sk";
/// TTL attribute: seconds since the Unix epoch.
pub const TTL: &str = "ttl";

/// A row as DynamoDB has it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The condition of the write does not hold: somebody else was first. Read again and decide anew.
    #[error("dynamodb {0}: the condition does not hold")]
    Conflict(&'static str),
    /// DynamoDB could not be asked, or refused.
    #[error("dynamodb {operation} failed: {message}")]
    Call {
        /// Which call.
        operation: &'static str,
        /// What DynamoDB or the way to it said.
        message: String,
        /// Whether the same call may succeed later.
        transient: bool,
    },
    /// A row does not hold what it must.
    #[error("row {pk} / {sk} is damaged: {what}")]
    Damaged {
        /// Its partition key.
        pk: String,
        /// Its sort key.
        sk: String,
        /// What is wrong.
        what: String,
    },
}

impl TableError {
    /// Whether the same call may succeed when tried again later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Call { transient: true, .. })
    }
    /// Whether somebody else's write came first.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }
}

/// The table, and the client to reach it.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    /// A client for table `name`.
    #[must_use]
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        Self { client: Client::new(config), name: name.into() }
    }

    /// One row, read consistently.
    async fn get(&self, pk: &str, sk: &str) -> Result<Option<Row>, TableError> {
        let call = self.client.get_item().table_name(&self.name).consistent_read(true);
        let reply = call.key(PK, s(pk)).key(SK, s(sk)).send().await.map_err(|e| fail("get", &e))?;
        Ok(reply.item.map(Row))
    }

    /// All rows of a partition whose sort key starts with `prefix` and is greater than `after`, in order, read consistently. At most `limit`.
    async fn query(
        &self,
        pk: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, TableError> {
        let mut rows = Vec::new();
        let mut from: Option<Item> =
            after.map(|sk| HashMap::from([(PK.to_owned(), s(pk)), (SK.to_owned(), s(sk))]));
        loop {
            let mut call = self.client.query().table_name(&self.name).consistent_read(true);
            call = call.expression_attribute_names("#pk", PK).expression_attribute_values(":pk", s(pk));
            call = if prefix.is_empty() {
                call.key_condition_expression("#pk = :pk")
            } else {
                call.key_condition_expression("#pk = :pk AND begins_with(#sk, :prefix)")
                    .expression_attribute_names("#sk", SK)
                    .expression_attribute_values(":prefix", s(prefix))
            };
            let reply =
                call.set_exclusive_start_key(from.take()).send().await.map_err(|e| fail("query", &e))?;
            rows.extend(reply.items.unwrap_or_default().into_iter().map(Row));
            from = reply.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() || rows.len() >= limit {
                rows.truncate(limit);
                return Ok(rows);
            }
        }
    }

    /// The last row of a partition whose sort key starts with `prefix`.
    async fn last(&self, pk: &str, prefix: &str) -> Result<Option<Row>, TableError> {
        let reply = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("#pk = :pk AND begins_with(#sk, :prefix)")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":pk", s(pk))
            .expression_attribute_values(":prefix", s(prefix))
            .scan_index_forward(false)
            .limit(1)
            .send()
            .await
            .map_err(|e| fail("query", &e))?;
        Ok(reply.items.unwrap_or_default().pop().map(Row))
    }
}

/// A text attribute.
fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number attribute.
fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A row being read.
struct Row(Item);

impl Row {
    fn damaged(&self, what: impl Into<String>) -> TableError {
        let text = |key| self.0.get(key).and_then(|v| v.as_s().ok()).cloned().unwrap_or_default();
        TableError::Damaged { pk: text(PK), sk: text(SK), what: what.into() }
    }
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|v| v.as_s().ok()).map(String::as_str)
    }
    fn required<T: std::str::FromStr>(&self, name: &str) -> Result<T, TableError> {
        self.parsed(name)?.ok_or_else(|| self.damaged(format!("{name} is missing")))
    }
    /// A text or number attribute, parsed; `None` when it is absent.
    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, TableError> {
        let text = match self.0.get(name) {
            Some(AttributeValue::S(text) | AttributeValue::N(text)) => text,
            None => return Ok(None),
            Some(_) => return Err(self.damaged(format!("{name} is neither text nor number"))),
        };
        text.parse().map(Some).map_err(|_| self.damaged(format!("{name} can't be read")))
    }
    fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(|v| v.as_bool().ok()).copied().unwrap_or(false)
    }
    /// A JSON document in a text attribute.
    fn document<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, TableError> {
        let text = self.text(name).ok_or_else(|| self.damaged(format!("{name} is missing")))?;
        serde_json::from_str(text).map_err(|error| self.damaged(format!("{name}: {error}")))
    }
}

/// Spells a value as JSON text.
fn json<T: serde::Serialize>(value: &T) -> Result<AttributeValue, TableError> {
    serde_json::to_string(value).map(AttributeValue::S).map_err(|error| TableError::Call {
        operation: "put",
        message: error.to_string(),
        transient: false,
    })
}

/// Turns an SDK error into ours. A cancelled transaction is a conflict if a condition failed, transient if it met another writer.
fn fail<E>(operation: &'static str, error: &SdkError<E>) -> TableError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error.code();
    let message = aws_smithy_types::error::display::DisplayErrorContext(error).to_string();
    if code == Some("ConditionalCheckFailedException") {
        return TableError::Conflict(operation);
    }
    if code == Some("TransactionCanceledException") {
        // The message lists the reasons: "[ConditionalCheckFailed, None]".
        if message.contains("ConditionalCheckFailed") {
            return TableError::Conflict(operation);
        }
        let transient = message.contains("TransactionConflict") || message.contains("Throttl");
        return TableError::Call { operation, message, transient };
    }
    let status = error.raw_response().map(|r| r.status().as_u16());
    TableError::Call { operation, transient: is_transient(error, code, status), message }
}
