//! A bucket and a gateway in memory that can be down and slow, in virtual time; and the edge's connections before them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use media::{
    chunk::{Chunk, Encoded},
    id::{BroadcastId, ChunkPos, PublishNo},
    names,
    time::{Ticks, WallTime},
    verdict::{Code, Verdict},
    wire::{
        ChunkReply, Close, CloseReply, GatewayRequest, OpenReply, Opened, Revocation, RevokedReply,
        StartReply,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use service::clock::{Clock, Source};
use tokio::{io::DuplexStream, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admission::{Admission, Full},
    backend::{Backend, CallError},
    connection::{Connection, Shared},
    revocation,
    rtmp::{self, Limits},
    upload::{Budget, PROCESS_BYTES_MAX},
};

/// What a call takes when all is well.
const CALL_TAKES: Duration = Duration::from_millis(20);
/// How fast a connection is read.
pub(super) const READ_MAX_BYTES_PER_SECOND: u32 = 1_000_000;
/// What a publisher's socket holds: little, so that it feels at once that it is not read.
const SOCKET_BYTES: usize = 4 << 10;

/// Virtual time as wall-clock time.
#[derive(Debug)]
struct Virtual(Instant);

impl Source for Virtual {
    fn now(&self) -> WallTime {
        WallTime(1_700_000_000_000_000 + i64::try_from(self.0.elapsed().as_micros()).unwrap())
    }
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) bucket_down: bool,
    pub(super) gateway_down: bool,
    /// What a write takes beyond other calls.
    pub(super) write_takes: Duration,
    pub(super) resume_at: Option<Ticks>,
    /// The latest publish's number.
    pub(super) publishes: u32,
    availability_start: Option<WallTime>,
    stored: BTreeMap<String, Bytes>,
    /// When each write of a chunk began for the first time, since the start.
    pub(super) begun: BTreeMap<String, Duration>,
    pub(super) most_writing: usize,
    writing: usize,
    pub(super) told: Vec<ChunkPos>,
    /// What is answered to who tells of a chunk.
    pub(super) warnings: Vec<Verdict>,
    pub(super) revocations: Vec<Revocation>,
    pub(super) asked_revoked: u32,
    /// `open` is refused after so long.
    pub(super) refuse_after: Option<Duration>,
    /// `open` panics: a bug.
    pub(super) bug: bool,
    pub(super) closes: Vec<(Duration, Close)>,
}

pub(super) struct World {
    clock: Clock,
    began: Instant,
    state: Mutex<State>,
}

fn reply<T: Serialize, R: DeserializeOwned>(reply: T) -> R {
    serde_json::from_value(serde_json::to_value(reply).unwrap()).unwrap()
}

pub(super) fn broadcast() -> BroadcastId {
    BroadcastId::new(1_700_000_000_001, [0; 10])
}

fn down() -> CallError {
    CallError { message: "503 Slow Down".to_owned(), transient: true }
}

impl World {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The chunks of a publish that are stored, in order.
    pub(super) fn chunks(&self, publish: u32) -> Vec<Chunk> {
        let prefix = names::publish_prefix(&broadcast(), PublishNo::new(publish).unwrap());
        let state = self.state();
        let of_it = state.stored.iter().filter(|(key, _)| key.starts_with(&prefix));
        of_it.map(|(_, bytes)| Chunk::decode(bytes).unwrap()).collect()
    }

    /// Pictures of a publish that are stored; what is stored is numbered without a hole.
    pub(super) fn pictures(&self, publish: u32) -> usize {
        let chunks = self.chunks(publish);
        for (n, chunk) in chunks.iter().enumerate() {
            assert_eq!(usize::try_from(chunk.header.pos.seq.0).unwrap(), n);
        }
        chunks.iter().filter_map(|chunk| chunk.header.video.as_ref()).map(|video| video.sizes.len()).sum()
    }
}

impl Backend for World {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn put(&self, key: &str, chunk: Encoded) -> Result<(), CallError> {
        let takes = {
            let mut state = self.state();
            state.begun.entry(key.to_owned()).or_insert(self.began.elapsed());
            state.writing += 1;
            state.most_writing = state.most_writing.max(state.writing);
            CALL_TAKES + state.write_takes
        };
        tokio::time::sleep(takes).await;
        let mut state = self.state();
        state.writing -= 1;
        if state.bucket_down {
            return Err(down());
        }
        let before = state.stored.insert(key.to_owned(), chunk.bytes);
        assert!(before.is_none(), "{key} was stored twice");
        Ok(())
    }

    async fn ask<R: DeserializeOwned + Send>(&self, request: &GatewayRequest) -> Result<R, CallError> {
        let refuse_after = self.state().refuse_after.filter(|_| matches!(request, GatewayRequest::Open(_)));
        tokio::time::sleep(refuse_after.unwrap_or(CALL_TAKES)).await;
        if refuse_after.is_some() {
            let verdict = Verdict::new(Code::UnknownKey, "No.");
            return Ok(reply(OpenReply::Refused(verdict)));
        }
        assert!(!(self.state().bug && matches!(request, GatewayRequest::Open(_))), "a bug");
        let mut state = self.state();
        if state.gateway_down {
            return Err(down());
        }
        Ok(match request {
            GatewayRequest::Open(_) => {
                state.publishes += 1;
                reply(OpenReply::Opened(Opened {
                    live: "shop".parse().unwrap(),
                    broadcast: broadcast(),
                    publish: PublishNo::new(state.publishes).unwrap(),
                    availability_start: state.availability_start,
                }))
            }
            GatewayRequest::Start(start) => {
                let availability_start = *state.availability_start.get_or_insert(start.first_frame);
                reply(StartReply::Started { availability_start, resume_at: state.resume_at })
            }
            GatewayRequest::Chunk(chunk) => {
                assert!(state.stored.contains_key(&names::chunk(&chunk.broadcast, chunk.pos)));
                if chunk.pos.publish.get() < state.publishes {
                    return Ok(reply(ChunkReply::Stop(Verdict::new(Code::Superseded, "Another one."))));
                }
                state.told.push(chunk.pos);
                reply(ChunkReply::Accepted { warnings: state.warnings.clone() })
            }
            GatewayRequest::Close(close) => {
                let at = self.began.elapsed();
                state.closes.push((at, close.clone()));
                reply(CloseReply::Closed)
            }
            GatewayRequest::Revoked => {
                state.asked_revoked += 1;
                reply(RevokedReply { revocations: state.revocations.clone() })
            }
            GatewayRequest::End(_)
            | GatewayRequest::Cue(_)
            | GatewayRequest::Handover(_)
            | GatewayRequest::Sweep => {
                panic!("not an edge's: {request:?}")
            }
        })
    }
}

/// An edge without its listeners.
pub(super) struct Edge {
    pub(super) world: Arc<World>,
    pub(super) drain: CancellationToken,
    connections: TaskTracker,
    tasks: TaskTracker,
    shared: Arc<Shared<World>>,
    admission: Arc<Admission>,
}

/// Connections that an edge takes from one address.
pub(super) const PER_ADDRESS: usize = 4;

impl Edge {
    pub(super) fn new() -> Self {
        let began = Instant::now();
        let clock = Clock::on(Arc::new(Virtual(began)));
        let world = Arc::new(World { clock, began, state: Mutex::default() });
        let (drain, tasks) = (CancellationToken::new(), TaskTracker::new());
        let shared = Shared {
            backend: Arc::clone(&world),
            budget: Budget::new(PROCESS_BYTES_MAX),
            on_air: Arc::default(),
            session: rtmp::Config {
                public_url: "rtmps://localhost/live".to_owned(),
                limits: Limits::default(),
            },
            read_max: READ_MAX_BYTES_PER_SECOND,
            drain: drain.clone(),
            tasks: tasks.clone(),
        };
        let admission = Admission::new(usize::MAX, PER_ADDRESS);
        Self { world, drain, connections: TaskTracker::new(), tasks, shared: Arc::new(shared), admission }
    }

    /// A connection: the client's end.
    pub(super) fn accept(&self) -> DuplexStream {
        self.try_accept().unwrap()
    }

    /// A connection, if there is a place for it.
    pub(super) fn try_accept(&self) -> Result<DuplexStream, Full> {
        let peer: SocketAddr = "192.0.2.1:50000".parse().unwrap();
        let slot = self.admission.admit(peer.ip())?;
        let (client, server) = tokio::io::duplex(SOCKET_BYTES);
        let connection = Connection::new(server, peer, Arc::clone(&self.shared), slot);
        self.connections.spawn(connection.run());
        Ok(client)
    }

    /// Lets it ask what has been revoked.
    pub(super) fn watch(&self) {
        tokio::spawn(revocation::watch(Arc::clone(&self.world), Arc::clone(&self.shared.on_air)));
    }

    /// Waits until every connection has ended and every publish is finished.
    pub(super) async fn finished(&self) {
        for tracker in [&self.connections, &self.tasks] {
            tracker.close();
            tracker.wait().await;
        }
    }
}
