//! An edge on free ports with a bucket and a gateway in memory, and publishers to send it something.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use ingest_edge::{
    admission::Admission,
    backend::{Backend, CallError},
    connection::Shared,
    rtmp::{self, Limits},
    server::Server,
    tls::Certificate,
    upload::{Budget, PROCESS_BYTES_MAX},
};
use media::{
    chunk::{Chunk, Encoded},
    id::{BroadcastId, PublishNo, StreamKey},
    names,
    time::WallTime,
    verdict::{Code, Verdict},
    wire::{ChunkReply, Close, CloseReply, GatewayRequest, OpenReply, Opened, RevokedReply, StartReply},
};
use serde::{Serialize, de::DeserializeOwned};
use service::clock::Clock;
use tokio::{net::TcpListener, process::Command, sync::watch, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The one key that may publish.
pub(crate) const KEY: &str = "sk_the-right-key-0123456789";
/// Time for TLS handshakes.
pub(crate) const TLS_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct State {
    publishes: u32,
    availability_start: Option<WallTime>,
    stored: BTreeMap<String, Bytes>,
    told: Vec<u32>,
    closes: Vec<Close>,
    stop: Option<Verdict>,
}

/// Bucket and gateway.
struct Memory {
    clock: Clock,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn broadcast() -> BroadcastId {
    BroadcastId::new(1_700_000_000_001, [0; 10])
}

fn reply<T: Serialize, R: DeserializeOwned>(reply: T) -> R {
    serde_json::from_value(serde_json::to_value(reply).unwrap()).unwrap()
}

impl Backend for Memory {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn put(&self, key: &str, chunk: Encoded) -> Result<(), CallError> {
        let before = self.state().stored.insert(key.to_owned(), chunk.bytes);
        assert!(before.is_none(), "{key} was stored twice");
        self.changed.send_replace(());
        Ok(())
    }

    async fn ask<R: DeserializeOwned + Send>(&self, request: &GatewayRequest) -> Result<R, CallError> {
        let mut state = self.state();
        let answer = match request {
            GatewayRequest::Open(open) if open.key_hash == KEY.parse::<StreamKey>().unwrap().hash() => {
                state.publishes += 1;
                reply(OpenReply::Opened(Opened {
                    live: "shop".parse().unwrap(),
                    broadcast: broadcast(),
                    publish: PublishNo::new(state.publishes).unwrap(),
                    availability_start: state.availability_start,
                }))
            }
            GatewayRequest::Open(_) => {
                reply(OpenReply::Refused(Verdict::new(Code::UnknownKey, "Please check the stream key.")))
            }
            GatewayRequest::Start(start) => {
                let availability_start = *state.availability_start.get_or_insert(start.first_frame);
                reply(StartReply::Started { availability_start, resume_at: None })
            }
            GatewayRequest::Chunk(chunk) => {
                assert!(state.stored.contains_key(&names::chunk(&chunk.broadcast, chunk.pos)));
                state.told.push(chunk.pos.seq.0);
                match &state.stop {
                    Some(verdict) => reply(ChunkReply::Stop(verdict.clone())),
                    None => reply(ChunkReply::Accepted { warnings: Vec::new() }),
                }
            }
            GatewayRequest::Close(close) => {
                state.closes.push(close.clone());
                reply(CloseReply::Closed)
            }
            GatewayRequest::Revoked => reply(RevokedReply::default()),
            GatewayRequest::End(_)
            | GatewayRequest::Cue(_)
            | GatewayRequest::Handover(_)
            | GatewayRequest::Sweep => {
                panic!("not an edge's: {request:?}")
            }
        };
        // Whoever waits for a change looks at the state with the change's own lock held.
        drop(state);
        self.changed.send_replace(());
        Ok(answer)
    }
}

/// What is published.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    pub(crate) rate: &'static str,
    pub(crate) seconds: u32,
    pub(crate) gop: u32,
    /// More arguments; `fast` sends as fast as the edge takes it.
    pub(crate) extra: &'static [&'static str],
}

/// How a publisher ended.
pub(crate) struct Published {
    pub(crate) success: bool,
    pub(crate) log: String,
}

/// A running edge.
pub(crate) struct Edge {
    memory: Arc<Memory>,
    changed: watch::Receiver<()>,
    rtmps: SocketAddr,
    rtmp: SocketAddr,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
    _dir: tempfile::TempDir,
}

impl Edge {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (chain, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&chain, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let (changes, changed) = watch::channel(());
        let memory = Arc::new(Memory { clock: Clock::default(), state: Mutex::default(), changed: changes });
        let shared = Shared {
            backend: Arc::clone(&memory),
            budget: Budget::new(PROCESS_BYTES_MAX),
            on_air: Arc::default(),
            session: rtmp::Config {
                public_url: "rtmps://localhost/live".to_owned(),
                limits: Limits::default(),
            },
            read_max: u32::MAX,
            drain: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let rtmps = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let rtmp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (rtmps_at, rtmp_at) = (rtmps.local_addr().unwrap(), rtmp.local_addr().unwrap());
        let certificate = Certificate::load(&chain, &key).unwrap();
        let server = Server::new(shared, Admission::new(10, 10), certificate, TLS_TIMEOUT);
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.run(rtmps, Some(rtmp), stop.clone()));
        Self {
            memory,
            changed,
            rtmps: rtmps_at,
            rtmp: rtmp_at,
            stop,
            task: Mutex::new(Some(task)),
            _dir: dir,
        }
    }

    /// Where TLS is taken.
    pub(crate) fn rtmps_address(&self) -> SocketAddr {
        self.rtmps
    }

    pub(crate) fn rtmps(&self, key: &str) -> String {
        format!("rtmps://{}/live/{key}", self.rtmps)
    }

    pub(crate) fn rtmp(&self, key: &str) -> String {
        format!("rtmp://{}/live/{key}", self.rtmp)
    }

    /// Publishes with ffmpeg: moving pictures with B-frames, and a tone.
    pub(crate) async fn publish(&self, source: &Source, url: &str) -> Published {
        let fast = source.extra.contains(&"fast");
        let pictures = format!("testsrc2=size=320x180:rate={}", source.rate);
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-nostdin", "-nostats", "-v", "info"]);
        for input in [pictures.as_str(), "sine=frequency=440:sample_rate=44100"] {
            command.args(if fast { &[][..] } else { &["-re"] }).args(["-f", "lavfi", "-i", input]);
        }
        command.args(["-t", &source.seconds.to_string()]);
        command.args(["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-pix_fmt", "yuv420p"]);
        command.args(["-g", &source.gop.to_string(), "-sc_threshold", "0", "-c:a", "aac", "-ac", "2"]);
        command.args(source.extra.iter().filter(|arg| **arg != "fast"));
        command.args(["-f", "flv", url]).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        Published { success: output.status.success(), log }
    }

    async fn until(&self, what: impl Fn(&State) -> bool) {
        let mut changed = self.changed.clone();
        let wait = changed.wait_for(|()| what(&self.memory.state()));
        tokio::time::timeout(PATIENCE, wait).await.expect("in time").unwrap();
    }

    /// Waits for so many stored chunks.
    pub(crate) async fn stored(&self, count: usize) {
        self.until(|state| state.stored.len() >= count).await;
    }

    /// Waits for so many closed publishes.
    pub(crate) async fn closed(&self, count: usize) {
        self.until(|state| state.closes.len() >= count).await;
    }

    pub(crate) fn closes(&self) -> Vec<Close> {
        self.memory.state().closes.clone()
    }

    pub(crate) fn told(&self) -> Vec<u32> {
        self.memory.state().told.clone()
    }

    /// From now on every publish must stop.
    pub(crate) fn stop_publishes(&self, verdict: Verdict) {
        self.memory.state().stop = Some(verdict);
    }

    /// The chunks of a publish, in order.
    pub(crate) fn chunks(&self, publish: u32) -> Vec<Chunk> {
        let prefix = names::publish_prefix(&broadcast(), PublishNo::new(publish).unwrap());
        let state = self.memory.state();
        let of_it = state.stored.iter().filter(|(key, _)| key.starts_with(&prefix));
        of_it.map(|(_, bytes)| Chunk::decode(bytes).unwrap()).collect()
    }

    /// Stops the edge while publishers are on air.
    pub(crate) async fn stop_now(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap().take().unwrap();
        tokio::time::timeout(PATIENCE, task).await.expect("in time").unwrap();
    }

    pub(crate) async fn stop(self) {
        self.stop_now().await;
    }
}
