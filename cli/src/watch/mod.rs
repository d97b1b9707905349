//! What an operator watches: one [`Snapshot`] of a stack, made from its table and, where they can be reached, from the metrics of its edges
//! and encoders. `gopcast top` prints it, the operator's page draws it.
//!
//! Invariant: only reading. What can't be reached is left out of the snapshot and named in `unreachable`.

mod columns;
mod scrape;
mod screen;
pub mod top;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

use futures_util::{StreamExt as _, future::join_all, stream};
use media::{
    id::{BroadcastId, LiveId},
    time::{Ticks, WallTime},
};
use serde::{Deserialize, Serialize};
use service::table::{Broadcast, Encoder, Live, State, Table, TableError};

use crate::warnings::Told;

use self::scrape::Scrape;

/// Broadcasts that are read at once.
const READS_AT_ONCE: usize = 16;
/// An encoder that has not said anything for longer is gone: a few heartbeats (`encoder_task::heartbeat::EVERY`).
const SILENT_AFTER_SECONDS: f64 = 8.0;

/// A stack at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When (RFC 3339).
    pub time: String,
    /// Every live, those on air first.
    pub lives: Vec<LiveSeen>,
    /// Every encoder that has a row.
    pub encoders: Vec<EncoderSeen>,
    /// Every edge that can be asked.
    pub edges: Vec<EdgeSeen>,
    /// Processes whose metrics can't be had, and why.
    pub unreachable: BTreeMap<String, String>,
}

/// A live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveSeen {
    /// Its name.
    pub live: LiveId,
    /// Its name for people.
    pub title: String,
    /// `on air`, `waiting` (its publisher is away), `ending` or `off air`.
    pub state: String,
    /// Its publisher is a placeholder.
    pub filler: bool,
    /// The broadcast that is on air.
    pub broadcast: Option<BroadcastId>,
    /// Since when it is (RFC 3339).
    pub since: Option<String>,
    /// The latest publish.
    pub publish: Option<u32>,
    /// The ladder.
    pub ladder: String,
    /// The encoder that serves it.
    pub encoder: Option<String>,
    /// The binding's epoch: one more for each encoder that it had.
    pub epoch: Option<u64>,
    /// From the last chunk's first picture at the edge until its row was committed, in seconds: no viewer can be nearer.
    pub latency_seconds: Option<f64>,
    /// How far the live timeline's end is behind now, in seconds. Grows while nothing is committed.
    pub behind_seconds: Option<f64>,
    /// What its broadcaster was told in this broadcast: what is so still, then what is over, the latest first.
    #[serde(default)]
    pub warnings: Vec<Told>,
}

/// An encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncoderSeen {
    /// Its id.
    pub id: String,
    /// `ready`, `draining` or `silent`.
    pub state: String,
    /// What it can transcode, in millions of pixels a second.
    pub capacity_megapixels: f64,
    /// How many broadcasts are bound to it.
    pub bound: i64,
    /// How long ago it wrote its row, in seconds.
    pub seen_seconds: f64,
    /// Share of its places for chunks that are at work.
    pub load: Option<f64>,
    /// Chunks that wait for a place.
    pub waiting: Option<f64>,
    /// Seconds of transcoding for each second of pictures, lately.
    pub transcode_ratio: Option<f64>,
    /// Rungs that it leaves out to keep up, a second, lately.
    #[serde(default)]
    pub rungs_shed: Option<f64>,
    /// How far behind the edge viewers are, lately, in seconds.
    pub glass_to_glass_seconds: Option<f64>,
}

/// An edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeSeen {
    /// Its id.
    pub id: String,
    /// Open connections.
    pub connections: f64,
    /// Publishers on air.
    pub publishers: f64,
    /// What publishers send, in Mbit/s, lately.
    pub megabits: Option<f64>,
    /// Chunks in memory that are not stored yet.
    pub backlog_chunks: f64,
    /// Their size in MB.
    pub backlog_megabytes: f64,
    /// Time to store a chunk, lately, in seconds.
    pub put_seconds: Option<f64>,
    /// Calls that were made again so far.
    pub retries: f64,
}

/// Where the metrics of a process are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// It is an edge; else it is an encoder.
    pub is_edge: bool,
    /// The process's id.
    pub id: String,
    /// `GOPCAST_OPS_ADDR` there.
    pub address: SocketAddr,
}

/// Watches a stack: remembers the last look, so that rates can be told.
#[derive(Debug)]
pub struct Watcher {
    table: Table,
    last: HashMap<String, Scrape>,
}

impl Watcher {
    /// Of the stack with this table.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self { table, last: HashMap::new() }
    }

    /// Looks.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn look(&mut self, endpoints: &[Endpoint], now: WallTime) -> Result<Snapshot, TableError> {
        let (lives, encoders, scraped) = tokio::join!(
            self.lives(now),
            self.table.encoders(),
            join_all(endpoints.iter().map(scrape::fetch))
        );
        let mut snapshot = Snapshot { time: now.rfc3339(), lives: lives?, ..Snapshot::default() };
        let (mut scrapes, mut edges) = (HashMap::new(), Vec::new());
        for (endpoint, scraped) in endpoints.iter().zip(scraped) {
            match scraped {
                Ok(scrape) => {
                    if endpoint.is_edge {
                        edges.push(edge(&endpoint.id, &scrape, self.last.get(&endpoint.id)));
                    }
                    scrapes.insert(endpoint.id.clone(), scrape);
                }
                Err(error) => {
                    snapshot.unreachable.insert(endpoint.id.clone(), error.to_string());
                }
            }
        }
        snapshot.edges = edges;
        snapshot.encoders = encoders?
            .iter()
            .map(|row| {
                let id = row.id.as_str();
                encoder(row, now, scrapes.get(id), self.last.get(id))
            })
            .collect();
        self.last = scrapes;
        Ok(snapshot)
    }

    async fn lives(&self, now: WallTime) -> Result<Vec<LiveSeen>, TableError> {
        let all = self.table.lives().await?;
        let mut seen: Vec<LiveSeen> = stream::iter(all)
            .map(|live| self.live(live, now))
            .buffered(READS_AT_ONCE)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<_, _>>()?;
        seen.sort_by_key(|live| live.broadcast.is_none());
        Ok(seen)
    }

    async fn live(&self, live: Live, now: WallTime) -> Result<LiveSeen, TableError> {
        let current = match &live.current {
            Some(id) => self.table.broadcast(id).await?,
            None => None,
        };
        let mut seen = LiveSeen {
            live: live.live,
            title: live.title,
            state: "off air".to_owned(),
            filler: false,
            broadcast: None,
            since: None,
            publish: None,
            ladder: live.profile.name().to_owned(),
            encoder: None,
            epoch: None,
            latency_seconds: None,
            behind_seconds: None,
            warnings: Vec::new(),
        };
        let Some(broadcast) = current.filter(|broadcast| broadcast.state != State::Ended) else {
            return Ok(seen);
        };
        let (binding, row, warnings) = tokio::try_join!(
            self.table.binding(&broadcast.broadcast),
            self.table.last_row(&broadcast.broadcast),
            self.table.warnings(&broadcast.broadcast)
        )?;
        seen.warnings = warnings.into_iter().map(Told::from).collect();
        seen.warnings.sort_by_key(|told| !told.active);
        seen.state = state(&broadcast).to_owned();
        seen.filler = broadcast.filler;
        seen.since = Some(broadcast.availability_start.unwrap_or(broadcast.opened).rfc3339());
        seen.publish = Some(broadcast.publish.get());
        seen.ladder = broadcast.profile.name().to_owned();
        if let Some(start) = broadcast.availability_start {
            let since =
                |at: WallTime, ticks: Ticks| seconds(at.micros_since(start)) - ticks as f64 / 90_000.0;
            seen.latency_seconds = row.map(|row| since(row.committed, row.start));
            seen.behind_seconds =
                binding.as_ref().and_then(|binding| binding.live_end).map(|end| since(now, end));
        }
        if let Some(binding) = binding {
            seen.epoch = Some(binding.epoch.0);
            seen.encoder = Some(binding.encoder.to_string());
        }
        seen.broadcast = Some(broadcast.broadcast);
        Ok(seen)
    }
}

/// Where `gopcast up` answers, from its page's URL.
fn operator_endpoint(url: &str) -> Option<Endpoint> {
    let address = url.strip_prefix("http://")?.split('/').next()?.parse().ok()?;
    Some(Endpoint { is_edge: false, id: "gopcast up".to_owned(), address })
}

/// Where a broadcast that is not over stands, for people.
fn state(broadcast: &Broadcast) -> &'static str {
    let away = broadcast.closed.is_some_and(|closed| closed.publish == broadcast.publish);
    match broadcast.state {
        State::Live if away => "waiting",
        State::Live => "on air",
        State::Ending | State::Ended => "ending",
    }
}

fn encoder(row: &Encoder, now: WallTime, scrape: Option<&Scrape>, last: Option<&Scrape>) -> EncoderSeen {
    let seen_seconds = seconds(now.micros_since(row.seen)).max(0.0);
    let state = match row.draining {
        _ if seen_seconds > SILENT_AFTER_SECONDS => "silent",
        true => "draining",
        false => "ready",
    };
    let lately = |name: &str| scrape.and_then(|scrape| scrape.mean_since(last, name));
    EncoderSeen {
        id: row.id.to_string(),
        state: state.to_owned(),
        capacity_megapixels: row.capacity as f64 / 1e6,
        bound: row.bound,
        seen_seconds,
        load: scrape.map(|scrape| scrape.value("gopcast_load")),
        waiting: scrape.map(|scrape| scrape.value("gopcast_chunks_waiting")),
        transcode_ratio: lately("gopcast_transcode_ratio"),
        rungs_shed: scrape
            .zip(last)
            .map(|(scrape, last)| scrape.rate_since(last, "gopcast_rungs_shed_total")),
        glass_to_glass_seconds: lately("gopcast_glass_to_glass_seconds"),
    }
}

fn edge(id: &str, scrape: &Scrape, last: Option<&Scrape>) -> EdgeSeen {
    EdgeSeen {
        id: id.to_owned(),
        connections: scrape.value("gopcast_connections"),
        publishers: scrape.value("gopcast_publishers"),
        megabits: last.map(|last| scrape.rate_since(last, "gopcast_received_bytes_total") * 8.0 / 1e6),
        backlog_chunks: scrape.value("gopcast_backlog_chunks"),
        backlog_megabytes: scrape.value("gopcast_backlog_bytes") / 1e6,
        put_seconds: scrape.mean_since(last, "gopcast_chunk_put_seconds"),
        retries: scrape.total("gopcast_calls_retried_total"),
    }
}

/// Of microseconds; a show is far shorter than 2⁵³ of them.
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}
