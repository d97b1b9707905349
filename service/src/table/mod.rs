//! The one DynamoDB table: every row that gopcast keeps, spelled and read in this one place, and the conditional writes on them.
//!
//! ```text
//! LIVES            {live}             the list of lives
//! LIVE#{live}      META               title, key hash, ladder, reconnect window, current broadcast
//! LIVE#{live}      BCAST#{broadcast}  the list of a live's broadcasts
//! KEY#{sha256}     LIVE               whose stream key it is
//! BCAST#{id}       META               state, availability start, publish number, …
//! BCAST#{id}       BINDING            encoder, epoch, cursor of the ledger, end of the live timeline, floor of the latest publish
//! BCAST#{id}       GOP#{t:015}        the ledger: one row per committed chunk; t is its media time in 1/90 000 s
//! BCAST#{id}       LATE#{t:015}#{p}   chunks of publish p committed when the live timeline had passed their place: in the replay only
//! BCAST#{id}       FILL#{t:015}       what fills a hole of the live timeline: not in the replay
//! BCAST#{id}       INIT#{rung}#{cfg}  initialization segments
//! BCAST#{id}       CUE#{id}           timed events, counted in META
//! BCAST#{id}       WARN#{code}        what its broadcaster was told, one row per code
//! ONAIR            {id}               every broadcast that has not ended, for the sweep
//! ENCODERS         {id}               heartbeat, capacity, standing bindings; TTL
//! REVOKED          {what}#{which}     keys, lives and broadcasts that publishes were lately deprived of; TTL
//! ```
//!
//! Invariants: an epoch only grows; a publish number only grows; a ledger row, once there, never changes (but for a fill whose segments
//! can't be made, which is left without); whoever writes a ledger row holds the binding in the same transaction; `GOP#` and `FILL#` rows
//! never overlap.
//!
//! [`store`] is the seam below: reads and conditional writes as data, carried out by DynamoDB ([`Table::new`]).

mod broadcasts;
mod cues;
mod dynamo;
mod encoders;
mod ledger;
mod lives;
mod revoked;
pub mod store;
mod warnings;

use std::sync::Arc;

use aws_config::SdkConfig;
pub use broadcasts::{Binding, Broadcast, Closed, Floor, State};
pub use cues::CueCount;
pub use encoders::Encoder;
pub use ledger::Ledger;
pub use lives::{BroadcastEntry, Live};
pub use revoked::REVOCATION_KEPT_SECONDS;
use store::{Item, Key, Query, Store, Value, Write};
pub use warnings::Warning;

/// Partition key attribute.
pub const PK: &str = "pk";
/// Sort key attribute.
pub const SK: &str = "sk";
/// TTL attribute: seconds since the Unix epoch.
pub const TTL: &str = "ttl";

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

/// The table.
#[derive(Debug, Clone)]
pub struct Table(Arc<dyn Store>);

impl Table {
    /// The DynamoDB table of this name.
    #[must_use]
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        Self::on(Arc::new(dynamo::Dynamo::new(config, name.into())))
    }

    /// A table on any store.
    #[must_use]
    pub fn on(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// One row, read consistently.
    async fn get(&self, pk: &str, sk: &str) -> Result<Option<Row>, TableError> {
        Ok(self.0.get(Key::new(pk, sk)).await?.map(Row))
    }

    /// All rows of a partition whose sort key starts with `prefix`, in order, read consistently. At most `limit`.
    async fn query(&self, pk: &str, prefix: &str, limit: usize) -> Result<Vec<Row>, TableError> {
        let query = Query { pk: pk.to_owned(), prefix: prefix.to_owned(), backwards: false, limit };
        Ok(self.0.query(query).await?.into_iter().map(Row).collect())
    }

    /// The last row of a partition whose sort key starts with `prefix`.
    async fn last(&self, pk: &str, prefix: &str) -> Result<Option<Row>, TableError> {
        let query = Query { pk: pk.to_owned(), prefix: prefix.to_owned(), backwards: true, limit: 1 };
        Ok(self.0.query(query).await?.pop().map(Row))
    }

    /// All writes or none.
    async fn write(&self, operation: &'static str, writes: Vec<Write>) -> Result<(), TableError> {
        self.0.write(operation, writes).await
    }
}

/// A row being read.
struct Row(Item);

impl Row {
    fn damaged(&self, what: impl Into<String>) -> TableError {
        let text = |key| self.text(key).map(str::to_owned).unwrap_or_default();
        TableError::Damaged { pk: text(PK), sk: text(SK), what: what.into() }
    }
    fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }
    fn required<T: std::str::FromStr>(&self, name: &str) -> Result<T, TableError> {
        self.parsed(name)?.ok_or_else(|| self.damaged(format!("{name} is missing")))
    }
    /// A text or number attribute, parsed; `None` when it is absent.
    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, TableError> {
        let parsed = match self.0.get(name) {
            Some(Value::Text(text)) => text.parse(),
            Some(Value::Number(number)) => number.to_string().parse(),
            None => return Ok(None),
            Some(Value::Flag(_)) => return Err(self.damaged(format!("{name} is neither text nor number"))),
        };
        parsed.map(Some).map_err(|_| self.damaged(format!("{name} can't be read")))
    }
    fn flag(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Value::Flag(true)))
    }
    /// A JSON document in a text attribute.
    fn document<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, TableError> {
        let text = self.text(name).ok_or_else(|| self.damaged(format!("{name} is missing")))?;
        serde_json::from_str(text).map_err(|error| self.damaged(format!("{name}: {error}")))
    }
}

/// Spells a value as JSON text.
fn json<T: serde::Serialize>(value: &T) -> Result<Value, TableError> {
    serde_json::to_string(value).map(Value::Text).map_err(|error| TableError::Call {
        operation: "put",
        message: error.to_string(),
        transient: false,
    })
}
