//! A stack as commands see it: the one that runs here, from `stack.json`, or one in AWS ([`crate::remote`]); and the clients made from it.
//!
//! Invariants: `stack.json` is believed only while somebody holds the directory's lock; a crash leaves the file behind, not the lock. What
//! is known of a local stack reaches the embedded AWS and nothing else, whatever AWS settings the user has; a stack in AWS is reached by
//! exactly those.

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_s3::config::Credentials;
use serde::{Deserialize, Serialize};
use service::{bucket::Bucket, gateway::Gateway, table::Table};
use std::{path::Path, time::Duration};

use crate::{
    data_dir::{DataDir, read_optional},
    exit::NotRunning,
};

/// The file's name in the data directory.
pub const FILE: &str = "stack.json";
/// Names inside the embedded AWS. Each stack has its own endpoints, so the names need not differ.
pub const BUCKET: &str = "gopcast";
/// See [`BUCKET`].
pub const TABLE: &str = "gopcast";
/// See [`BUCKET`].
pub const FUNCTION: &str = "gopcast-gateway";
/// The region that local clients name.
pub const REGION: &str = "us-east-1";
/// Access key of the embedded AWS: the one that users of emulators try first. Not a secret, the endpoints are on loopback.
pub const ACCESS_KEY: &str = "test";
/// Secret key of the embedded AWS; as little a secret as [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "test";
/// Reconnect window of a new live in seconds: a phone that changes networks or an encoder that is restarted is back in half of that.
pub const WINDOW_DEFAULT: u32 = 60;

/// Time for one try of a call to the embedded AWS. The gateway's own bound is below it.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// Tries of a call: the embedded AWS is there or it is not.
const MAX_ATTEMPTS: u32 = 3;

/// A bucket and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3 {
    /// `http://…`; none in AWS, where the SDK knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Its name.
    pub bucket: String,
}

/// A table and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DynamoDb {
    /// `http://…`; none in AWS, where the SDK knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Its name.
    pub table: String,
}

/// A function and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lambda {
    /// `http://…`; none in AWS, where the SDK knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Its name.
    pub function: String,
}

/// A process of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// `ingest-edge`, `gateway-fn` or `encoder-task`.
    pub role: String,
    /// Its id.
    pub id: String,
    /// Its process id.
    pub pid: u32,
}

/// What the other commands need of a running stack, and what its successor needs of one that crashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// Process id of `gopcast up`; none of a stack in AWS.
    pub pid: Option<u32>,
    /// Where publishers connect over TLS.
    pub rtmps: String,
    /// Where publishers connect without.
    pub rtmp: Option<String>,
    /// Where viewers connect.
    pub http: String,
    /// The certificate authority that the edge's certificate is from, if the system does not know it.
    pub ca: Option<String>,
    /// The bucket.
    pub s3: S3,
    /// The table.
    pub dynamodb: DynamoDb,
    /// The gateway function.
    pub lambda: Lambda,
    /// Ladder of new lives.
    pub ladder: media::ladder::Profile,
    /// The processes now; those of this machine.
    pub processes: Vec<Process>,
    /// The operator's page.
    #[serde(default)]
    pub operator: Option<String>,
    /// The region of a stack in AWS; none of a local one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// The clients of a running stack.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Its table.
    pub table: Table,
    /// Its bucket.
    pub bucket: Bucket,
    /// A plain S3 client, for what [`Bucket`] does not ask.
    pub s3: aws_sdk_s3::Client,
    /// Its gateway function.
    pub gateway: Gateway,
}

impl Stack {
    /// The stack that a command is for: the one named by `--stack`, else the one running with the data directory. With it the
    /// directory that has its stream keys.
    ///
    /// # Errors
    /// When nothing is known of the name; [`NotRunning`] if none is running here.
    pub fn of(args: &crate::args::StackArgs) -> anyhow::Result<(DataDir, Self)> {
        match &args.stack {
            Some(stack) => crate::remote::find(stack),
            None => Self::find(args.data()),
        }
    }

    /// Finds the running stack of a data directory.
    ///
    /// # Errors
    /// [`NotRunning`] if none is running there.
    pub fn find(data: &Path) -> anyhow::Result<(DataDir, Self)> {
        let dir = DataDir::at(data);
        let not_running = || NotRunning { data: data.to_owned() };
        if !dir.is_locked() {
            return Err(not_running().into());
        }
        // Locked without a file: it is still starting.
        let text = read_optional(&dir.file(FILE))?.ok_or_else(not_running)?;
        let stack = serde_json::from_str(&text)
            .map_err(|error| anyhow::anyhow!("{} can't be read: {error}", dir.file(FILE).display()))?;
        Ok((dir, stack))
    }

    /// Writes `stack.json`.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, dir: &DataDir) -> anyhow::Result<()> {
        dir.write_private(FILE, &serde_json::to_vec_pretty(self)?)
    }

    /// The clients of this stack.
    pub async fn clients(&self) -> Clients {
        let s3 = self.config(self.s3.endpoint.as_deref()).await;
        Clients {
            table: Table::new(&self.config(self.dynamodb.endpoint.as_deref()).await, &self.dynamodb.table),
            bucket: Bucket::new(&s3, &self.s3.bucket),
            // An endpoint given as an address is always spoken to in path style.
            s3: aws_sdk_s3::Client::new(&s3),
            gateway: Gateway::new(&self.config(self.lambda.endpoint.as_deref()).await, &self.lambda.function),
        }
    }

    async fn config(&self, endpoint: Option<&str>) -> SdkConfig {
        match (endpoint, &self.region) {
            (Some(endpoint), None) => local(endpoint).await,
            (endpoint, region) => in_aws(endpoint, region.as_deref()).await,
        }
    }

    /// The page where a live is watched.
    #[must_use]
    pub fn watch_url(&self, live: &media::id::LiveId) -> String {
        format!("{}/watch/{live}", self.http)
    }

    /// The stable manifest of a live.
    #[must_use]
    pub fn mpd_url(&self, live: &media::id::LiveId) -> String {
        format!("{}/{}", self.http, media::names::live_manifest(live))
    }
}

/// Client configuration for AWS: the SDK's own chain of credentials and settings, in the stack's region.
async fn in_aws(endpoint: Option<&str>, region: Option<&str>) -> SdkConfig {
    let mut config = service::aws::load().await.into_builder();
    if let Some(region) = region {
        config = config.region(Region::new(region.to_owned()));
    }
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint);
    }
    config.build()
}

/// Client configuration for one endpoint of the embedded AWS. Nothing is taken from the user's own AWS settings.
async fn local(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "local stack"))
        .endpoint_url(endpoint)
        .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
        .load()
        .await
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn stack() -> Stack {
        Stack {
            pid: Some(1),
            rtmps: "rtmps://127.0.0.1:1943/live".to_owned(),
            rtmp: None,
            http: "http://127.0.0.1:8080".to_owned(),
            ca: Some("/d/ca.pem".to_owned()),
            s3: S3 { endpoint: Some("http://127.0.0.1:1".to_owned()), bucket: BUCKET.to_owned() },
            dynamodb: DynamoDb { endpoint: Some("http://127.0.0.1:2".to_owned()), table: TABLE.to_owned() },
            lambda: Lambda { endpoint: Some("http://127.0.0.1:3".to_owned()), function: FUNCTION.to_owned() },
            ladder: media::ladder::Profile::P480,
            processes: Vec::new(),
            operator: None,
            region: None,
        }
    }

    #[test]
    fn a_stack_is_found_only_while_it_runs() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = DataDir::create(tmp.path()).unwrap();
        stack().write(&dir).unwrap();
        let error = Stack::find(tmp.path()).unwrap_err();
        assert_eq!(crate::exit::of(&error), crate::exit::Exit::NotRunning);
        let lock = dir.lock().unwrap();
        assert_eq!(Stack::find(tmp.path()).unwrap().1, stack());
        drop(lock);
        assert!(Stack::find(&tmp.path().join("nowhere")).is_err());
    }

    #[test]
    fn addresses() {
        let live = "shoes".parse().unwrap();
        assert_eq!(stack().watch_url(&live), "http://127.0.0.1:8080/watch/shoes");
        assert_eq!(stack().mpd_url(&live), "http://127.0.0.1:8080/live/shoes/manifest.mpd");
    }
}
