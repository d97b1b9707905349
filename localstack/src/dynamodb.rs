//! The embedded DynamoDB: `dynoxide` on one file, the product's table, and the removal of expired items.
//!
//! Invariants: the table exists when [`DynamoDb::start`] returns, with `pk` and `sk` as its key and `ttl` as its
//! time-to-live attribute; an expired item is gone within the `expiry` it is started with (AWS promises "within a few days", so a
//! reader must judge `ttl` itself in either place).

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use dynoxide::Database;
use dynoxide::actions::create_table::CreateTableRequest;
use dynoxide::actions::describe_time_to_live::DescribeTimeToLiveRequest;
use dynoxide::actions::update_time_to_live::{TimeToLiveSpecification, UpdateTimeToLiveRequest};
use dynoxide::types::{AttributeDefinition, KeySchemaElement, KeyType, ScalarAttributeType};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Error;

/// The file below the data directory.
const FILE: &str = "dynamodb.sqlite";

/// How long requests in flight may go on after a shutdown began.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// The running service.
#[derive(Debug)]
pub(crate) struct DynamoDb {
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<Result<(), String>>,
    sweeper: JoinHandle<()>,
}

impl DynamoDb {
    /// Opens the file below `dir`, makes `table` when it is absent, and serves on `listener`. Looks every `expiry` for what has expired.
    pub(crate) async fn start(
        dir: &Path,
        table: &str,
        listener: TcpListener,
        expiry: Duration,
    ) -> Result<Self, Error> {
        let failed = |doing, reason: String| Error::DynamoDb { doing, reason };
        let path = dir.join(FILE);
        let path =
            path.to_str().ok_or_else(|| failed("open its file", "the path is not UTF-8".into()))?.to_owned();
        let name = table.to_owned();
        let opened = tokio::task::spawn_blocking(move || open(&path, &name)).await;
        let database = opened.map_err(|error| failed("open its file", error.to_string()))??;
        let address = listener.local_addr().map_err(|error| failed("listen", error.to_string()))?;

        let stop = CancellationToken::new();
        let server = tokio::spawn(dynoxide::server::serve_with_shutdown(
            listener,
            database.clone(),
            stop.clone().cancelled_owned(),
        ));
        let sweeper = tokio::spawn(sweep(database, expiry, stop.clone()));
        tracing::debug!(part = "dynamodb", %address, "listening");
        Ok(Self { address, stop, server, sweeper })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting and lets requests in flight finish for a bounded time. Every acknowledged write is on disk.
    pub(crate) async fn shutdown(self) {
        self.stop.cancel();
        match tokio::time::timeout(DRAIN_GRACE, self.server).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(reason))) => tracing::warn!(reason, "dynamodb ended with an error"),
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "dynamodb ended early")
            }
            Err(_) => tracing::warn!("dynamodb requests outlived the shutdown"),
        }
        if let Err(error) = self.sweeper.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "removal of expired items ended early");
        }
    }
}

fn open(path: &str, table: &str) -> Result<Database, Error> {
    let failed =
        |doing| move |error: dynoxide::DynoxideError| Error::DynamoDb { doing, reason: error.to_string() };
    let database = Database::new(path).map_err(failed("open its file"))?;
    if database.get_table_metadata(table).map_err(failed("look for the table"))?.is_none() {
        let key = |name: &str, key_type| KeySchemaElement { attribute_name: name.to_owned(), key_type };
        let text = |name: &str| AttributeDefinition {
            attribute_name: name.to_owned(),
            attribute_type: ScalarAttributeType::S,
        };
        let request = CreateTableRequest {
            table_name: table.to_owned(),
            key_schema: vec![key("pk", KeyType::HASH), key("sk", KeyType::RANGE)],
            attribute_definitions: vec![text("pk"), text("sk")],
            billing_mode: Some("PAY_PER_REQUEST".to_owned()),
            ..CreateTableRequest::default()
        };
        database.create_table(request).map_err(failed("make the table"))?;
    }
    let asked = DescribeTimeToLiveRequest { table_name: table.to_owned() };
    let found = database.describe_time_to_live(asked).map_err(failed("look for the table's time-to-live"))?;
    // Enabling what is enabled is an error, as on AWS.
    if found.time_to_live_description.time_to_live_status != "ENABLED" {
        let request = UpdateTimeToLiveRequest {
            table_name: table.to_owned(),
            time_to_live_specification: TimeToLiveSpecification {
                attribute_name: "ttl".to_owned(),
                enabled: true,
            },
        };
        database.update_time_to_live(request).map_err(failed("enable the table's time-to-live"))?;
    }
    Ok(database)
}

async fn sweep(database: Database, every: Duration, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.cancelled() => return,
        }
        let swept = database.clone();
        match tokio::task::spawn_blocking(move || swept.sweep_ttl()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(items)) => tracing::debug!(items, "removed expired items"),
            Ok(Err(error)) => tracing::warn!(%error, "removing expired items failed"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "removing expired items failed")
            }
        }
    }
}
