//! An edge, and a publisher on it. The queue, the calls and their retries are the edge's own; what is done here is what its connection
//! does around them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ingest_edge::{
    backend::{Aws, Backend, persist},
    upload::{Budget, Identity, Notice, Notices, Queue},
};
use media::{
    chunk::{Chunk, Header, VideoCodec, VideoTrack},
    id::{ChunkPos, ChunkSeq, KeyHash},
    time::{Ticks, VIDEO_TIMESCALE, WallTime, rescale},
    wire::{Close, CloseReason, CloseReply, GatewayRequest, Open, OpenReply, Opened, Start, StartReply},
};
use service::{backoff::Backoff, bucket::Bucket, clock::Clock, gateway::Gateway};
use tokio::time::Instant;

use crate::{
    process::Process,
    seam::{
        call::{Cloud, Function},
        objects,
    },
};

/// The times that the real connection takes: see `ingest_edge::connection`.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
const START_TIMEOUT: Duration = Duration::from_secs(20);
const FLUSH_GRACE: Duration = Duration::from_secs(45);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);
/// H.264 Main 1280×720.
const AVC_CONFIG: &str =
    "0164001fffe1001a6764001facd9405005bb0110000003001000000303c0f183196001000468ef8fcbfdf8f800";
/// Bytes that all publishes of an edge may hold.
const BUDGET: usize = 1 << 20;

/// An edge.
pub(crate) struct Edge {
    pub(crate) process: Arc<Process>,
    backend: Arc<Aws>,
    budget: Arc<Budget>,
}

/// What a publisher does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// How many GOPs it sends.
    pub(crate) gops: u64,
    /// The shortest and the longest, in milliseconds.
    pub(crate) gop_ms: (u64, u64),
    /// How it goes.
    pub(crate) end: CloseReason,
}

/// How a publish ended, as far as the publisher can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// As it was meant to.
    Planned,
    /// It was refused or stopped.
    Stopped,
}

impl Edge {
    /// A new edge.
    pub(crate) fn start(cloud: &Arc<Cloud>, name: String) -> Arc<Self> {
        let process = Process::new(&cloud.world, name);
        let bucket = Bucket::on(Arc::new(objects::Remote(Arc::clone(&process))));
        let function = Function { process: Arc::clone(&process), cloud: Arc::downgrade(cloud) };
        let clock = process.clock();
        let backend = Arc::new(Aws { bucket, gateway: Gateway::on(Arc::new(function)), clock });
        Arc::new(Self { process, backend, budget: Budget::new(BUDGET) })
    }

    fn clock(&self) -> &Clock {
        self.backend.clock()
    }

    /// One publish, from its connection to its end. Never returns if the edge dies.
    pub(crate) async fn publish(self: Arc<Self>, connection: String, key_hash: KeyHash, plan: Plan) -> Left {
        let left = self.try_publish(connection, key_hash, plan).await;
        self.process.ready().await;
        left
    }

    async fn try_publish(&self, connection: String, key_hash: KeyHash, plan: Plan) -> Left {
        let note = |what: &'static str, detail: String| {
            self.process.world().note(self.process.name(), what, &connection, || detail);
        };
        let request = GatewayRequest::Open(Open { connection: connection.clone(), key_hash, filler: false });
        let until = Some(Instant::now() + OPEN_TIMEOUT);
        let asked = persist("opening a publish", until, self.clock(), || self.backend.ask(&request)).await;
        let opened = match asked {
            Ok(OpenReply::Opened(opened)) => opened,
            Ok(OpenReply::Refused(verdict)) => {
                note("refused", verdict.message);
                return Left::Stopped;
            }
            Err(error) => {
                note("not opened", error.to_string());
                return Left::Stopped;
            }
        };
        note("opened", format!("{} publish {}", opened.broadcast, opened.publish.get()));
        let identity = Identity {
            live: opened.live.clone(),
            broadcast: opened.broadcast.clone(),
            publish: opened.publish,
        };
        let (queue, mut notices) = Queue::start(Arc::clone(&self.backend), identity, &self.budget);
        let stopped = self.send(&opened, &queue, &mut notices, plan).await.is_err();
        let (outcome, reason) = if stopped {
            (queue.halt().await, CloseReason::Stopped)
        } else {
            (queue.finish(FLUSH_GRACE).await, plan.end)
        };
        note("publish over", format!("{outcome:?} {reason:?}"));
        self.close(&opened, outcome.stored, reason).await;
        if stopped { Left::Stopped } else { Left::Planned }
    }

    /// Sends GOPs as time passes; an error when the publish was stopped.
    async fn send(
        &self,
        opened: &Opened,
        queue: &Queue,
        notices: &mut Notices,
        plan: Plan,
    ) -> Result<(), ()> {
        let mut dice = self.process.world().derived((opened.broadcast.as_str(), opened.publish.get()));
        // The connection is up before the first picture comes.
        tokio::time::sleep(dice.millis(0, 300)).await;
        let (began, first_frame) = (Instant::now(), self.clock().now());
        let (broadcast, publish) = (opened.broadcast.clone(), opened.publish);
        let request = GatewayRequest::Start(Start { broadcast, publish, first_frame });
        let until = Some(began + START_TIMEOUT);
        let started = persist("starting a publish", until, self.clock(), || self.backend.ask(&request)).await;
        let Ok(StartReply::Started { availability_start, resume_at }) = started else { return Err(()) };
        let mut at =
            wall_ticks(first_frame.micros_since(availability_start)).max(resume_at.unwrap_or(0)).max(0);
        let mut due = began;
        for seq in 0..plan.gops {
            let mut jump = Duration::ZERO;
            if seq > 0 && dice.permille(15) {
                // The publisher's clock jumps: the timeline is re-anchored.
                jump = dice.millis(300, 1_500);
            }
            let length = dice.millis(plan.gop_ms.0, plan.gop_ms.1);
            due += jump + length;
            loop {
                tokio::select! {
                    biased;
                    notice = notices.next() => if let Notice::Stop(_) = notice { return Err(()) },
                    () = tokio::time::sleep_until(due) => break,
                }
            }
            self.process.ready().await;
            while queue.full() {
                // The publisher is not read; it has its own buffer.
                if let Notice::Stop(_) = notices.next().await {
                    return Err(());
                }
            }
            at += ticks(jump);
            let end = at + ticks(length);
            let seq = ChunkSeq(u32::try_from(seq).unwrap_or(u32::MAX));
            let pos = ChunkPos { publish: opened.publish, seq };
            let chunk = chunk(opened, pos, (at, end), self.clock().now(), !jump.is_zero());
            queue.push(Box::new(chunk)).map_err(|_| ())?;
            at = end;
        }
        Ok(())
    }

    async fn close(&self, opened: &Opened, chunks: u32, reason: CloseReason) {
        let (live, broadcast) = (opened.live.clone(), opened.broadcast.clone());
        let request =
            GatewayRequest::Close(Close { live, broadcast, publish: opened.publish, chunks, reason });
        let until = Instant::now() + CLOSE_TIMEOUT;
        let mut retries = 0u32;
        loop {
            let asked =
                persist("closing a publish", Some(until), self.clock(), || self.backend.ask(&request));
            match asked.await {
                Ok(CloseReply::Retry { .. }) if Instant::now() < until => {
                    retries += 1;
                    Backoff::REGIONAL.sleep(retries, self.clock()).await;
                }
                Ok(CloseReply::Closed | CloseReply::Retry { .. }) | Err(_) => return,
            }
        }
    }
}

fn wall_ticks(micros: i64) -> Ticks {
    rescale(micros, 1_000_000, VIDEO_TIMESCALE)
}

fn ticks(duration: Duration) -> Ticks {
    wall_ticks(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

/// A GOP of two pictures.
fn chunk(
    opened: &Opened,
    pos: ChunkPos,
    (start, end): (Ticks, Ticks),
    received: WallTime,
    discontinuity: bool,
) -> Chunk {
    let middle = start + (end - start) / 2;
    // An IDR picture, and one that refers to it.
    let payload = Bytes::from_static(&[0, 0, 0, 1, 0x65, 0, 0, 0, 1, 0x41]);
    let video = VideoTrack {
        codec: VideoCodec::Avc,
        config: hex::decode(AVC_CONFIG).unwrap_or_default(),
        width: 1280,
        height: 720,
        frame_rate: None,
        start,
        end,
        pts: vec![start, middle],
        dts: vec![start, middle],
        sizes: vec![5, 5],
    };
    let header = Header {
        live: opened.live.clone(),
        broadcast: opened.broadcast.clone(),
        pos,
        received,
        discontinuity,
        transit: None,
        video: Some(video),
        audio: None,
    };
    Chunk { header, payload }
}
