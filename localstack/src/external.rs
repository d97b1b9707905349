//! An S3 and a DynamoDB that run elsewhere on this machine, LocalStack's for one, in place of the embedded ones: the bucket and the
//! table are made there, and the CDN stand-in reads from there.
//!
//! Invariant: what is there stays; bucket and table are made only when they are absent.

use std::net::SocketAddr;
use std::time::Duration;

use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
    TimeToLiveSpecification, TimeToLiveStatus,
};
use aws_sdk_s3::primitives::ByteStream;
use futures_util::future::BoxFuture;

use crate::Error;
use crate::cdn::{Fetched, Object, Origin};

/// Time for one call. LocalStack starts its DynamoDB at the first one, a Java process: 6 s on an idle machine.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is looked whether a table that is being made can be used.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a table may take to be made.
const TABLE_MAX: Duration = Duration::from_secs(60);
/// The largest object that is served, as from the embedded S3.
const OBJECT_BYTES_MAX: i64 = 256 * 1024 * 1024;

/// Who asks: the key pair and region that the product's programs use as well.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) access_key: &'a str,
    pub(crate) secret_key: &'a str,
    pub(crate) region: &'a str,
}

macro_rules! client {
    ($sdk:ident, $address:expr, $caller:expr) => {
        $sdk::Config::builder()
            .behavior_version($sdk::config::BehaviorVersion::latest())
            .region($sdk::config::Region::new($caller.region.to_owned()))
            .credentials_provider($sdk::config::Credentials::new(
                $caller.access_key,
                $caller.secret_key,
                None,
                None,
                "local stack",
            ))
            .endpoint_url(format!("http://{}", $address))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .timeout_config(
                $sdk::config::timeout::TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build(),
            )
    };
}

fn failed(
    part: &'static str,
    address: SocketAddr,
    doing: &'static str,
    error: impl std::error::Error,
) -> Error {
    Error::External { part, address, doing, reason: DisplayErrorContext(error).to_string() }
}

/// A bucket of an S3 elsewhere, as the CDN reads it.
#[derive(Debug)]
pub(crate) struct Bucket {
    client: aws_sdk_s3::Client,
    name: String,
}

impl Bucket {
    /// The bucket `name`, made when it is absent.
    pub(crate) async fn ensure(address: SocketAddr, name: &str, caller: Caller<'_>) -> Result<Self, Error> {
        let config = client!(aws_sdk_s3, address, caller).force_path_style(true).build();
        let client = aws_sdk_s3::Client::from_conf(config);
        if let Err(error) = client.head_bucket().bucket(name).send().await {
            if error.raw_response().is_none_or(|reply| reply.status().as_u16() != 404) {
                return Err(failed("S3", address, "look for the bucket", error));
            }
            let made = client.create_bucket().bucket(name).send().await;
            made.map_err(|error| failed("S3", address, "make the bucket", error))?;
        }
        Ok(Self { client, name: name.to_owned() })
    }
}

impl Origin for Bucket {
    fn fetch<'a>(&'a self, key: &'a str, known: Option<&'a str>) -> BoxFuture<'a, Fetched> {
        let get = self.client.get_object().bucket(&self.name).key(key);
        let get = get.set_if_none_match(known.map(|tag| format!("\"{tag}\"")));
        Box::pin(async move {
            let reply = match get.send().await {
                Ok(reply) => reply,
                Err(error) => {
                    return match error.raw_response().map(|reply| reply.status().as_u16()) {
                        Some(304) => Fetched::NotModified,
                        Some(404) => Fetched::Missing,
                        _ => failed_to_read(key, error),
                    };
                }
            };
            if reply.content_length.unwrap_or(0) > OBJECT_BYTES_MAX {
                tracing::warn!(key, "object is too large to be served");
                return Fetched::Failed;
            }
            let modified_ms = reply.last_modified.and_then(|time| time.to_millis().ok()).unwrap_or(0);
            let object = Object {
                etag: reply.e_tag.unwrap_or_default().trim_matches('"').to_owned(),
                modified_ms,
                content_type: reply.content_type,
                content_encoding: reply.content_encoding,
                cache_control: reply.cache_control,
                body: bytes::Bytes::new(),
            };
            match ByteStream::collect(reply.body).await {
                Ok(body) => Fetched::Object(Object { body: body.into_bytes(), ..object }),
                Err(error) => failed_to_read(key, error),
            }
        })
    }
}

fn failed_to_read(key: &str, error: impl std::error::Error) -> Fetched {
    tracing::warn!(key, error = DisplayErrorContext(error).to_string(), "origin failed");
    Fetched::Failed
}

/// Makes the product's table where it is absent, with `pk` and `sk` as its key and `ttl` as its time-to-live attribute.
pub(crate) async fn ensure_table(address: SocketAddr, name: &str, caller: Caller<'_>) -> Result<(), Error> {
    let client = aws_sdk_dynamodb::Client::from_conf(client!(aws_sdk_dynamodb, address, caller).build());
    let described = client.describe_table().table_name(name).send().await;
    match described {
        Ok(_) => {}
        Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => {
            make_table(&client, address, name).await?;
        }
        Err(error) => return Err(failed("DynamoDB", address, "look for the table", error)),
    }
    wait_active(&client, address, name).await?;
    let asked = client.describe_time_to_live().table_name(name).send().await;
    let ttl =
        asked.map_err(|error| failed("DynamoDB", address, "look for the table's time-to-live", error))?;
    let status = ttl.time_to_live_description.and_then(|d| d.time_to_live_status);
    // Enabling what is enabled is an error, as on AWS.
    if status != Some(TimeToLiveStatus::Enabled) {
        let doing = "enable the table's time-to-live";
        let built = TimeToLiveSpecification::builder().attribute_name("ttl").enabled(true).build();
        let wanted = built.map_err(|error| failed("DynamoDB", address, doing, error))?;
        let set = client.update_time_to_live().table_name(name).time_to_live_specification(wanted);
        set.send().await.map_err(|error| failed("DynamoDB", address, doing, error))?;
    }
    Ok(())
}

async fn make_table(client: &aws_sdk_dynamodb::Client, address: SocketAddr, name: &str) -> Result<(), Error> {
    let mut call = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (attribute, role) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let key = KeySchemaElement::builder().attribute_name(attribute).key_type(role).build();
        let text = AttributeDefinition::builder()
            .attribute_name(attribute)
            .attribute_type(ScalarAttributeType::S)
            .build();
        let wrong = |error| failed("DynamoDB", address, "make the table", error);
        call = call.key_schema(key.map_err(wrong)?).attribute_definitions(text.map_err(wrong)?);
    }
    call.send().await.map(|_| ()).map_err(|error| failed("DynamoDB", address, "make the table", error))
}

async fn wait_active(
    client: &aws_sdk_dynamodb::Client,
    address: SocketAddr,
    name: &str,
) -> Result<(), Error> {
    let active = async {
        loop {
            let described = client.describe_table().table_name(name).send().await;
            let described =
                described.map_err(|error| failed("DynamoDB", address, "look for the table", error))?;
            if described.table.and_then(|table| table.table_status) == Some(TableStatus::Active) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(TABLE_MAX, active).await.unwrap_or_else(|_| {
        let reason = format!("it is not active after {} s", TABLE_MAX.as_secs());
        Err(Error::External { part: "DynamoDB", address, doing: "make the table", reason })
    })
}
