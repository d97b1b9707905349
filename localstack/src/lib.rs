//! The local stack: what gopcast uses of AWS, embedded in one process on loopback, and a stand-in for its CDN.
//!
//! [`LocalAws::start`] brings up S3, DynamoDB, Lambda (Invoke and Runtime APIs) and the CDN stand-in, each on a
//! listener of its own, so that the product's programs run against them with the same SDK calls as in AWS.
//!
//! Invariants: everything but the CDN listens on loopback only; all state lies below one data directory, which one
//! stack at a time may hold; after [`LocalAws::shutdown`] returns, nothing listens and every acknowledged write is on
//! disk.

pub mod cdn;
pub mod clock;
mod dynamodb;
mod error;
mod external;
mod http_server;
mod lambda;
pub mod s3;
mod stall;

use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cdn::Cdn;
use clock::{SharedClock, SystemClock};
use dynamodb::DynamoDb;
pub use error::Error;
use http_server::{Limits, Server, listen};
use lambda::Lambda;
pub use lambda::{Worker, WorkerSpawner};
use s3::{Store, StoreError};

/// Held for as long as a stack runs, so that two cannot write the same files.
const LOCK_FILE: &str = "lock";

/// How the stack is set up. A port of 0 lets the system choose one.
#[derive(Clone)]
pub struct Config {
    /// Everything that lasts lies below it; made when absent.
    pub data_dir: PathBuf,
    /// The bucket; made when absent.
    pub bucket: String,
    /// The DynamoDB table; made when absent. Three characters or more.
    pub table: String,
    /// The Lambda function's name.
    pub function: String,
    /// The access key that S3 takes.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// The region in names and answers.
    pub region: String,
    /// Where viewers connect.
    pub http_addr: SocketAddr,
    /// An S3 that runs elsewhere on this machine and is used instead of the embedded one.
    pub s3_at: Option<SocketAddr>,
    /// A DynamoDB that runs elsewhere on this machine and is used instead of the embedded one.
    pub dynamodb_at: Option<SocketAddr>,
    /// How long after it has expired an item of the embedded DynamoDB is removed at the latest.
    pub expiry: Duration,
    /// The port of S3.
    pub s3_port: u16,
    /// The port of DynamoDB.
    pub dynamodb_port: u16,
    /// The port of Lambda's Invoke API.
    pub lambda_port: u16,
    /// The port of Lambda's Runtime API.
    pub runtime_port: u16,
    /// Invocations, hence function processes, at a time. At least one.
    pub max_concurrency: usize,
    /// How long an invocation may run.
    pub function_timeout: Duration,
    /// The most that the CDN stand-in keeps in memory.
    pub cdn_cache_bytes: usize,
}

impl Config {
    /// The product's local set-up below `data_dir`: every port chosen by the system, the CDN on loopback.
    #[must_use]
    pub fn new(data_dir: PathBuf, access_key: String, secret_key: String) -> Self {
        Self {
            data_dir,
            bucket: "gopcast".to_owned(),
            table: "gopcast".to_owned(),
            function: "gopcast-gateway".to_owned(),
            access_key,
            secret_key,
            region: "us-east-1".to_owned(),
            http_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            s3_at: None,
            dynamodb_at: None,
            // An operator who looks at the table should not be misled by old heartbeats.
            expiry: Duration::from_secs(10),
            s3_port: 0,
            dynamodb_port: 0,
            lambda_port: 0,
            runtime_port: 0,
            // As many as a workstation can start without noticing.
            max_concurrency: 8,
            // The gateway answers within a second; Lambda's own default is three.
            function_timeout: Duration::from_secs(15),
            // Some 60 s of a full ladder.
            cdn_cache_bytes: 256 * 1024 * 1024,
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the key pair.
        f.debug_struct("Config")
            .field("data_dir", &self.data_dir)
            .field("bucket", &self.bucket)
            .field("table", &self.table)
            .field("function", &self.function)
            .field("region", &self.region)
            .field("http_addr", &self.http_addr)
            .field("s3_at", &self.s3_at)
            .field("dynamodb_at", &self.dynamodb_at)
            .finish_non_exhaustive()
    }
}

/// Where the parts of a running stack listen; S3 and DynamoDB may be elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// S3.
    pub s3: SocketAddr,
    /// DynamoDB.
    pub dynamodb: SocketAddr,
    /// Lambda's Invoke API.
    pub lambda: SocketAddr,
    /// Lambda's Runtime API; workers get theirs from [`Worker::environment`].
    pub runtime: SocketAddr,
    /// The CDN stand-in.
    pub cdn: SocketAddr,
}

/// A running stack.
#[derive(Debug)]
pub struct LocalAws {
    cdn: Cdn,
    lambda: Lambda,
    /// `None` when one elsewhere is used.
    dynamodb: Option<DynamoDb>,
    /// `None` when one elsewhere is used.
    s3: Option<Server>,
    addresses: Addresses,
    region: String,
    _lock: File,
}

impl LocalAws {
    /// Brings everything up; on return every part accepts connections, and bucket and table exist.
    ///
    /// # Errors
    /// When an address is taken, or the data directory is in use or cannot be used; the text says what to change.
    pub async fn start(config: Config, spawner: Arc<dyn WorkerSpawner>) -> Result<Self, Error> {
        let clock: SharedClock = Arc::new(SystemClock);
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let cdn = listen("the CDN stand-in", "http_addr", config.http_addr).await?;
        let invoke = listen("the embedded Lambda", "lambda_port", local(config.lambda_port)).await?;
        let runtime_local = local(config.runtime_port);
        let runtime = listen("the Lambda Runtime API", "runtime_port", runtime_local).await?;
        let runtime_api = runtime.local_addr().map_err(|source| Error::Listen {
            part: "the Lambda Runtime API",
            address: runtime_local,
            setting: "runtime_port",
            source,
        })?;

        let lock = lock(&config.data_dir)?;
        let caller = external::Caller {
            access_key: &config.access_key,
            secret_key: &config.secret_key,
            region: &config.region,
        };
        let (s3, s3_at, origin): (_, _, Arc<dyn cdn::Origin>) = match config.s3_at {
            Some(address) => {
                let bucket = external::Bucket::ensure(address, &config.bucket, caller).await?;
                (None, address, Arc::new(bucket))
            }
            None => {
                let listener = listen("the embedded S3", "s3_port", local(config.s3_port)).await?;
                let store = open_store(&config).await?;
                let service = s3::service(
                    Arc::clone(&store),
                    Arc::clone(&clock),
                    &config.access_key,
                    &config.secret_key,
                );
                let server = Server::start("s3", listener, Limits::PROGRAMS, service)?;
                let address = server.address();
                (Some(server), address, Arc::new(cdn::Bucket::new(store, config.bucket.clone())))
            }
        };
        let (dynamodb, dynamodb_at) = match config.dynamodb_at {
            Some(address) => {
                external::ensure_table(address, &config.table, caller).await?;
                (None, address)
            }
            None => {
                let listener =
                    listen("the embedded DynamoDB", "dynamodb_port", local(config.dynamodb_port)).await?;
                let server =
                    DynamoDb::start(&config.data_dir, &config.table, listener, config.expiry).await?;
                let address = server.address();
                (Some(server), address)
            }
        };
        let function = lambda::Function {
            name: config.function,
            region: config.region.clone(),
            timeout: config.function_timeout,
            runtime_api,
        };
        let concurrency = config.max_concurrency.max(1);
        let lambda = Lambda::start(function, concurrency, invoke, runtime, spawner, Arc::clone(&clock))?;
        let cdn = Cdn::start(cdn, cdn::Rules::load()?, origin, clock, config.cdn_cache_bytes)?;
        let addresses = Addresses {
            s3: s3_at,
            dynamodb: dynamodb_at,
            lambda: lambda.invoke_address(),
            runtime: lambda.runtime_address(),
            cdn: cdn.address(),
        };
        tracing::info!(?addresses, "local stack is up");
        Ok(Self { cdn, lambda, dynamodb, s3, addresses, region: config.region, _lock: lock })
    }

    /// Where the parts listen.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The variables by which any AWS SDK or the `aws` command finds this stack: endpoints and region. The key pair
    /// (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`) is the caller's, who gave it.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let url = |address: SocketAddr| format!("http://{address}");
        vec![
            ("AWS_ENDPOINT_URL_S3", url(self.addresses.s3)),
            ("AWS_ENDPOINT_URL_DYNAMODB", url(self.addresses.dynamodb)),
            ("AWS_ENDPOINT_URL_LAMBDA", url(self.addresses.lambda)),
            ("AWS_REGION", self.region.clone()),
            ("AWS_DEFAULT_REGION", self.region.clone()),
        ]
    }

    /// Ends everything in order: viewers first, then the function's processes, then what they write to. Bounded in
    /// time, whatever peers do.
    pub async fn shutdown(self) {
        self.cdn.shutdown().await;
        self.lambda.shutdown().await;
        if let Some(dynamodb) = self.dynamodb {
            dynamodb.shutdown().await;
        }
        if let Some(s3) = self.s3 {
            s3.shutdown().await;
        }
    }
}

fn lock(data_dir: &Path) -> Result<File, Error> {
    let failed = |source| Error::DataDir { path: data_dir.to_owned(), source };
    std::fs::create_dir_all(data_dir).map_err(failed)?;
    let file = File::create(data_dir.join(LOCK_FILE)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::DataDirInUse { path: data_dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Opens the embedded S3's store and makes the bucket when it is absent.
async fn open_store(config: &Config) -> Result<Arc<Store>, Error> {
    let (root, bucket) = (config.data_dir.join("s3"), config.bucket.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let store = Store::open(&root)?;
        match store.create_bucket(&bucket) {
            Ok(()) | Err(StoreError::BucketExists(_)) => Ok(store),
            Err(error) => Err(error),
        }
    });
    let failed =
        |error| Error::DataDir { path: config.data_dir.clone(), source: std::io::Error::other(error) };
    Ok(Arc::new(opened.await.map_err(failed)??))
}
