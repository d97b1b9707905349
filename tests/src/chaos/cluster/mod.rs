//! The real binaries as separate processes, each with fault proxies of its own before everything that it reaches: S3 and DynamoDB of
//! each encoder and its own listener, DynamoDB of the gateway function, S3 and Lambda of each edge. The embedded AWS runs in the
//! harness and survives whatever a scenario kills.

mod start;

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use localstack::LocalAws;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{
    faults::Faults,
    gateways::{Gateways, Spawner},
    keeper::Keeper,
    programs::{KEY, Programs, certificate},
    proxy::{Counts, Proxy},
    wire::Wire,
};
use crate::{
    aws::{Aws, Item},
    emulator::Emulator,
    http, poll,
    stack::Event,
};

/// The function's name in the embedded AWS, as `gopcast up` has it.
const FUNCTION: &str = "gopcast-gateway";
/// The live that every scenario publishes to.
pub const LIVE: &str = "shop";

/// What a cluster is made of.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Encoders; at least one.
    pub encoders: u32,
    /// Edges; at least one.
    pub edges: u32,
    /// The ladder.
    pub ladder: &'static str,
    /// Reconnect window in seconds.
    pub window: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self { encoders: 2, edges: 1, ladder: "360p", window: 60 }
    }
}

/// The proxies of one process.
#[derive(Debug)]
struct Proxies {
    owner: String,
    s3: Option<Proxy>,
    dynamodb: Option<Proxy>,
    lambda: Option<Proxy>,
}

/// One of a process's ways out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To S3.
    S3,
    /// To DynamoDB.
    DynamoDb,
    /// To Lambda.
    Lambda,
}

impl Proxies {
    fn way(&self, way: Way) -> Option<&Proxy> {
        match way {
            Way::S3 => self.s3.as_ref(),
            Way::DynamoDb => self.dynamodb.as_ref(),
            Way::Lambda => self.lambda.as_ref(),
        }
    }
}

/// A running cluster.
pub struct Cluster {
    // Dropped in this order: processes before what they reach.
    keeper: Arc<Keeper>,
    gateways: Arc<Gateways>,
    wires: Vec<Wire>,
    proxies: Vec<Proxies>,
    local: Option<LocalAws>,
    runtime: Runtime,
    /// Clients of the embedded AWS, past all proxies.
    pub aws: Aws,
    /// A client for media, past all proxies.
    pub http: http::Client,
    /// `http://…` of the CDN stand-in.
    pub cdn: String,
    lambda: SocketAddr,
    key: String,
    /// Of the bucket and of the table.
    name: String,
    data: PathBuf,
    _lock: File,
    _temporary: TempDir,
}

impl Cluster {
    /// Starts everything and waits until each process serves.
    ///
    /// # Errors
    /// When something does not.
    pub fn start(setup: Setup) -> Result<Self> {
        let temporary = TempDir::with_prefix("gopcast-chaos-")?;
        let data = temporary.path().to_owned();
        // What `gopcast` commands believe a running stack by.
        let lock = File::create(data.join("lock"))?;
        lock.try_lock().context("locking the data directory")?;
        let programs = Programs::copy(&data)?;
        certificate(&data)?;

        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let keeper = Arc::new(Keeper::default());
        let gateways = Arc::new(Gateways::new(Arc::clone(&keeper)));
        let emulator = Emulator::find()?;
        let name = emulator.names(&data);
        let config = localstack::Config {
            bucket: name.clone(),
            table: name.clone(),
            s3_at: emulator.s3,
            dynamodb_at: emulator.dynamodb,
            ..localstack::Config::new(data.join("aws"), KEY.to_owned(), KEY.to_owned())
        };
        let spawner = Arc::new(Spawner(Arc::clone(&gateways)));
        let local = runtime.block_on(LocalAws::start(config, spawner))?;
        let at = local.addresses();
        let mut cluster = Self {
            keeper,
            gateways,
            wires: Vec::new(),
            proxies: Vec::new(),
            aws: Aws::at(&format!("http://{}", at.s3), &format!("http://{}", at.dynamodb), &name, &name)?,
            http: http::Client::default(),
            cdn: format!("http://{}", at.cdn),
            lambda: at.lambda,
            local: Some(local),
            runtime,
            key: String::new(),
            name,
            data,
            _lock: lock,
            _temporary: temporary,
        };
        cluster.describe(setup.ladder)?;
        cluster.start_gateway(&programs)?;
        for number in 1..=setup.encoders {
            cluster.start_encoder(&programs, number)?;
        }
        for number in 1..=setup.edges {
            cluster.start_edge(&programs, number)?;
        }
        cluster.key = cluster.create_live(setup)?;
        cluster.wait_ready(setup)?;
        Ok(cluster)
    }

    /// Names of the encoders whose life now has registered itself.
    ///
    /// # Errors
    /// When the table can't be read.
    pub fn encoders(&self) -> Result<Vec<String>> {
        let rows = self.aws.rows("ENCODERS", "")?;
        let ids: Vec<String> = rows.iter().filter_map(|row| crate::aws::text(row, "sk").ok()).collect();
        let running = self.keeper.running();
        Ok(running.into_iter().filter(|(_, id)| ids.contains(id)).map(|(name, _)| name).collect())
    }

    /// Calls the gateway function, past all proxies.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn invoke(&self, event: &Value) -> Result<Value> {
        let url = format!("http://{}/2015-03-31/functions/{FUNCTION}/invocations", self.lambda);
        let reply = self.http.post(&url, event.to_string().as_bytes())?;
        let said = String::from_utf8_lossy(&reply.body);
        let failed = reply.header("x-amz-function-error").is_some();
        anyhow::ensure!(reply.status == 200 && !failed, "{event}: {} {said}", reply.status);
        serde_json::from_slice(&reply.body).with_context(|| format!("{event}: {said}"))
    }

    /// Where a publisher reaches an edge (1, 2…), through its line.
    ///
    /// # Errors
    /// When there is no such edge.
    pub fn publish_url(&self, edge: usize) -> Result<String> {
        let wire = self.wires.get(edge.saturating_sub(1)).with_context(|| format!("no edge {edge}"))?;
        Ok(format!("rtmps://{}/live/{}", wire.address(), self.key))
    }

    /// Resets every publisher's connection.
    pub fn cut_publishers(&self) {
        self.wires.iter().for_each(Wire::cut);
    }

    /// The processes.
    #[must_use]
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Sets the faults on one way of a process: `encoder-1`, `edge-1` or `gateway`.
    ///
    /// # Errors
    /// When there is no such way.
    pub fn fault(&self, owner: &str, way: Way, faults: Faults) -> Result<()> {
        let found = self.proxies.iter().find(|p| p.owner == owner).and_then(|p| p.way(way));
        found.with_context(|| format!("{owner} has no way to {way:?}"))?.set(faults);
        Ok(())
    }

    /// Sets the faults on one way of every process that has it.
    pub fn fault_everywhere(&self, way: Way, faults: Faults) {
        self.proxies.iter().filter_map(|p| p.way(way)).for_each(|proxy| proxy.set(faults));
    }

    /// What the proxies on the ways out have done.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let ways = [Way::S3, Way::DynamoDb, Way::Lambda];
        let all = self.proxies.iter().flat_map(|p| ways.iter().filter_map(|way| p.way(*way)));
        all.map(Proxy::counts).fold(Counts::default(), |sum, counts| sum + counts)
    }

    /// Kills every process of the gateway function; how many there were.
    pub fn kill_gateways(&self) -> usize {
        self.gateways.kill()
    }

    /// Keeps the gateway function from running at all, or lets it again.
    pub fn gateways_down(&self, down: bool) {
        self.gateways.set_down(down);
    }

    /// Every event with this name that any process has written, in the order of their times.
    #[must_use]
    pub fn events(&self, name: &str) -> Vec<Event> {
        let quoted = format!("\"{name}\"");
        let lines = self.keeper.logs().into_iter().flat_map(|log| log.out.all());
        let mut events: Vec<Event> = lines
            .filter(|line| line.contains("\"event\"") && line.contains(&quoted))
            .filter_map(|line| event(&line))
            .filter(|event| event.text("event") == name)
            .collect();
        events.sort_by_key(|event| event.text("time"));
        events
    }

    /// Waits for the `count`-th event with this name and these fields.
    ///
    /// # Errors
    /// When it does not come in time.
    pub fn event(&self, name: &str, fields: &[(&str, &str)], count: usize, limit: Duration) -> Result<Event> {
        poll::until(&format!("event {name} {fields:?} number {count}"), limit, || {
            let fits = |event: &Event| fields.iter().all(|(field, value)| event.text(field) == *value);
            Ok(self.events(name).into_iter().filter(fits).nth(count.saturating_sub(1)))
        })
    }

    /// Rows of a broadcast.
    ///
    /// # Errors
    /// When the table can't be read.
    pub fn rows_of(&self, broadcast: &str, prefix: &str) -> Result<Vec<Item>> {
        self.aws.rows(&format!("BCAST#{broadcast}"), prefix)
    }

    /// Where the data of the embedded AWS is, for `gopcast` commands.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Lines of all processes that tell of a panic.
    #[must_use]
    pub fn panics(&self) -> Vec<String> {
        let logs = self.keeper.logs();
        let lines = logs.iter().flat_map(|log| log.out.all().into_iter().chain(log.err.all()));
        lines.filter(|line| line.contains("panicked")).collect()
    }

    /// The last log lines of each process, for a scenario that failed.
    #[must_use]
    pub fn last_words(&self, lines_each: usize) -> String {
        let mut text = String::new();
        for log in self.keeper.logs() {
            let lines = log.out.all();
            text.push_str(&format!("--- {} ({} lines)\n", log.id, lines.len()));
            text.push_str(&lines[lines.len().saturating_sub(lines_each)..].join("\n"));
            text.push_str(&format!("\n{}\n", log.err.text()));
        }
        text.replace(&self.key, "(key)")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.gateways.kill();
        if let Some(local) = self.local.take() {
            self.runtime.block_on(local.shutdown());
        }
    }
}

/// The event in a log line.
fn event(line: &str) -> Option<Event> {
    let Value::Object(mut log) = serde_json::from_str(line).ok()? else { return None };
    if let Some(Value::Object(span)) = log.remove("span") {
        for (field, value) in span {
            log.entry(field).or_insert(value);
        }
    }
    let time = log.get("timestamp").cloned().unwrap_or_default();
    log.insert("time".to_owned(), time);
    Some(Event(Value::Object(log)))
}
