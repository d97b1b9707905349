//! From chunk to "stored and told": one queue per publish.
//!
//! Invariants: chunks are written create-only, several at once, and told strictly in the order of their numbers, each only when it and all
//! before it are stored. Failures are repeated with growing, jittered waits. What waits is bounded in chunks and bytes, per publish
//! and for the process ([`Backlog::full`]); the connection stops reading then, so that the publisher's own congestion control acts.
//! Once the publish is known to be stopped (superseded, ended, refused) no write begins any more; those under way are waited for, so that
//! what is stored is known and told with the `close`. That telling fails does not keep a chunk from being stored; and a publish whose
//! successor waits in this process for it stores all it has, untold.
//! Everything runs in one task, in an order that only its inputs decide.

mod backlog;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesOrdered};
use media::{
    chunk::Chunk,
    id::{BroadcastId, ChunkPos, ChunkSeq, LiveId, PublishNo},
    names,
    time::VIDEO_TIMESCALE,
    verdict::{Code, Verdict},
    wire::{ChunkReply, ChunkStored, GatewayRequest},
};
use service::{
    backoff::Backoff,
    metrics::defs::{BACKLOG_AGE, CHUNK_LENGTH, CHUNK_PUT, CHUNK_SIZE, CHUNK_TELL, CHUNKS_STORED},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub use self::backlog::{Backlog, Budget, PROCESS_BYTES_MAX};
use crate::backend::{Backend, millis, persist, unavailable};

/// Writes of one publish at once: enough to fill a long round trip, too few to starve the others.
pub const PUTS_AT_ONCE: usize = 3;
/// Most chunks handed over and not yet taken: what one read of the socket may yield beyond a full backlog, and the backlog itself.
const HANDOVER_MAX: usize = backlog::CHUNKS_MAX * 2;
/// Largest payload that is encoded in place: copying and hashing so much takes less than a hop to another thread and back. What is larger
/// takes milliseconds, which the threads that serve sockets do not have.
const ENCODE_INLINE_MAX: usize = 64 << 10;
/// Time for the writes that are under way when a publish is stopped: a few tries of each.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long a publish that is superseded by the gateway's word goes on storing before it stops, in case that its successor came through
/// this process: the answer to its `open` is then on its way.
const SUCCESSOR_WAIT: Duration = Duration::from_millis(250);
/// Warnings kept for the broadcaster between two looks; more say nothing new.
const WARNINGS_MAX: usize = 16;

/// Which publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The live.
    pub live: LiveId,
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// The publish.
    pub publish: PublishNo,
}

/// How far a queue has come.
#[derive(Debug, Default)]
struct Progress {
    stored: AtomicU32,
    told: AtomicU32,
}

/// What became of a publish's chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// `0..stored` are in the bucket.
    pub stored: u32,
    /// `0..told` are in an encoder's charge.
    pub told: u32,
    /// Why no more.
    pub end: End,
}

/// How a queue's work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Everything that was handed over is stored and told.
    Complete,
    /// A later publish waits in this process for what is stored: nobody needs to be told.
    Overtaken,
    /// The gateway said that the publish must stop, for this: nothing more of it is wanted.
    Stopped(Code),
    /// Storing or telling was given up, or was not done in time.
    Unfinished,
}

impl Outcome {
    /// Whether of `cut` chunks any is missing that is wanted. None is once the gateway has said stop: what a publisher sends last may be
    /// judged when it has gone, or has been stopped for something else, already.
    #[must_use]
    pub fn lost(&self, cut: u32) -> bool {
        match self.end {
            End::Complete | End::Overtaken => self.stored < cut,
            End::Stopped(_) => false,
            End::Unfinished => true,
        }
    }
}

/// A chunk that is to be stored, and since when.
type Waiting = (Box<Chunk>, Instant);

/// The queue of one publish, seen by its connection.
#[derive(Debug)]
pub struct Queue {
    chunks: mpsc::Sender<Waiting>,
    backlog: Arc<Backlog>,
    stop: watch::Receiver<Option<Verdict>>,
    halt: CancellationToken,
    progress: Arc<Progress>,
    task: JoinHandle<End>,
}

/// What a queue has to say to its connection.
#[derive(Debug)]
pub struct Notices {
    stop: watch::Receiver<Option<Verdict>>,
    warnings: mpsc::Receiver<Verdict>,
    backlog: Arc<Backlog>,
}

/// Something the connection should act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The publish must stop.
    Stop(Verdict),
    /// The broadcaster should know.
    Warning(Verdict),
    /// The backlog has got shorter.
    Room,
}

impl Queue {
    /// A queue for one publish; its work runs in a task of its own.
    pub fn start<B: Backend>(backend: Arc<B>, identity: Identity, budget: &Arc<Budget>) -> (Self, Notices) {
        Self::start_before(backend, identity, budget, CancellationToken::new())
    }

    /// As [`Queue::start`]; `successor` is cancelled when a later publish has come that waits until this one has stored what it has.
    pub fn start_before<B: Backend>(
        backend: Arc<B>,
        identity: Identity,
        budget: &Arc<Budget>,
        successor: CancellationToken,
    ) -> (Self, Notices) {
        let (chunks, incoming) = mpsc::channel(HANDOVER_MAX);
        let (stopping, stop) = watch::channel(None);
        let (warn, warnings) = mpsc::channel(WARNINGS_MAX);
        let (backlog, progress) = (Backlog::new(budget), Arc::new(Progress::default()));
        let halt = CancellationToken::new();
        let worker = Worker {
            backend,
            identity,
            backlog: Arc::clone(&backlog),
            progress: Arc::clone(&progress),
            stop: stopping,
            halt: halt.clone(),
            successor,
            warn,
        };
        let task = tokio::spawn(worker.run(incoming).in_current_span());
        let notices = Notices { stop: stop.clone(), warnings, backlog: Arc::clone(&backlog) };
        (Self { chunks, backlog, stop, halt, progress, task }, notices)
    }

    /// Whether no more should be read from the publisher for now.
    #[must_use]
    pub fn full(&self) -> bool {
        self.backlog.full()
    }

    /// Takes a chunk in charge.
    ///
    /// # Errors
    /// When far more than a full backlog was handed over, or the queue has stopped: then with the reason.
    pub fn push(&self, chunk: Box<Chunk>) -> Result<(), Verdict> {
        let bytes = chunk.payload.len();
        self.backlog.add(bytes);
        self.chunks.try_send((chunk, Instant::now())).map_err(|_| {
            self.backlog.remove(bytes);
            let stopped = self.stop.borrow().clone();
            stopped.unwrap_or_else(|| unavailable("The stream can't be stored fast enough."))
        })
    }

    /// No more chunks come: stores and tells what there is, for at most `grace`.
    pub async fn finish(self, grace: Duration) -> Outcome {
        let Self { chunks, progress, task, .. } = self;
        drop(chunks);
        let abort = task.abort_handle();
        let end = match tokio::time::timeout(grace, task).await {
            Ok(Ok(end)) => end,
            _ => End::Unfinished,
        };
        abort.abort();
        let count = |n: &AtomicU32| n.load(Ordering::Acquire);
        Outcome { stored: count(&progress.stored), told: count(&progress.told), end }
    }

    /// The publish is stopped: begins no more writes and waits, for a bounded time, for those under way.
    pub async fn halt(self) -> Outcome {
        self.halt.cancel();
        self.finish(STOP_GRACE).await
    }
}

impl Notices {
    /// Waits for something to act on. May be dropped and called again.
    pub async fn next(&mut self) -> Notice {
        tokio::select! {
            biased;
            verdict = stopped(&mut self.stop) => Notice::Stop(verdict),
            Some(warning) = self.warnings.recv() => Notice::Warning(warning),
            () = self.backlog.shrunk() => Notice::Room,
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<Option<Verdict>>) -> Verdict {
    match stop.wait_for(Option::is_some).await.map(|verdict| verdict.clone()) {
        Ok(Some(verdict)) => verdict,
        // The worker has ended without a verdict: it never will give one.
        _ => std::future::pending().await,
    }
}

struct Worker<B> {
    backend: Arc<B>,
    identity: Identity,
    backlog: Arc<Backlog>,
    progress: Arc<Progress>,
    stop: watch::Sender<Option<Verdict>>,
    halt: CancellationToken,
    successor: CancellationToken,
    warn: mpsc::Sender<Verdict>,
}

/// Why telling ended early.
enum Untold {
    /// The gateway says that the publish must stop.
    Stopped(Verdict),
    /// The gateway can't be asked, for a reason that waiting does not mend.
    Failed,
}

impl<B: Backend> Worker<B> {
    async fn run(self, incoming: mpsc::Receiver<Waiting>) -> End {
        let (stored, to_tell) = watch::channel(0);
        let storing = async {
            let result = self.store(incoming, stored).await;
            result.map_err(|verdict| self.stopping(verdict)).is_ok()
        };
        let telling = async {
            let told = tokio::select! {
                biased;
                () = self.halt.cancelled() => return End::Unfinished,
                // The gateway would say no more than that.
                () = self.successor.cancelled() => return End::Overtaken,
                told = self.tell(to_tell) => told,
            };
            match told {
                Ok(()) => End::Complete,
                Err(Untold::Stopped(verdict)) => {
                    let code = verdict.code;
                    self.stopping(verdict);
                    let here = tokio::time::timeout(SUCCESSOR_WAIT, self.successor.cancelled());
                    if code == Code::Superseded && here.await.is_ok() {
                        return End::Overtaken;
                    }
                    self.halt.cancel();
                    End::Stopped(code)
                }
                Err(Untold::Failed) => {
                    self.stopping(unavailable("The stream can't be processed."));
                    End::Unfinished
                }
            }
        };
        match tokio::join!(storing, telling) {
            (true, end) => end,
            (false, _) => End::Unfinished,
        }
    }

    /// The connection is to stop the publish. The first reason stands.
    fn stopping(&self, verdict: Verdict) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(verdict);
            first
        });
    }

    /// Stores what comes in, until no more comes or the publish is stopped; counts what is stored without a hole.
    async fn store(
        &self,
        mut incoming: mpsc::Receiver<Waiting>,
        stored: watch::Sender<u32>,
    ) -> Result<(), Verdict> {
        let mut puts = FuturesOrdered::new();
        let mut more = true;
        while more || !puts.is_empty() {
            tokio::select! {
                biased;
                Some(put) = puts.next(), if !puts.is_empty() => {
                    let bytes = put?;
                    self.backlog.remove(bytes);
                    let count = self.progress.stored.fetch_add(1, Ordering::AcqRel) + 1;
                    stored.send_replace(count);
                }
                () = self.halt.cancelled(), if more => more = false,
                chunk = incoming.recv(), if more && puts.len() < PUTS_AT_ONCE => match chunk {
                    Some((chunk, since)) => {
                        let span = self.span(chunk.header.pos.seq);
                        puts.push_back(self.put(chunk, since).instrument(span));
                    }
                    None => more = false,
                },
            }
        }
        Ok(())
    }

    /// Stores one chunk; returns what it counts in the backlog.
    async fn put(&self, chunk: Box<Chunk>, since: Instant) -> Result<usize, Verdict> {
        let (began, length_us) = (Instant::now(), length_us(&chunk));
        let key = names::chunk(&self.identity.broadcast, chunk.header.pos);
        let bytes = chunk.payload.len();
        let encoded = if bytes <= ENCODE_INLINE_MAX {
            chunk.encode_hashed()
        } else {
            match tokio::task::spawn_blocking(move || chunk.encode_hashed()).await {
                Ok(encoded) => encoded,
                Err(error) => {
                    tracing::error!(key, error = %error, "encoding a chunk failed");
                    return Err(unavailable("The stream could not be cut into chunks."));
                }
            }
        };
        let body = match encoded {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(key, error = %error, "chunk contradicts itself");
                return Err(unavailable("The stream could not be cut into chunks."));
            }
        };
        let stored =
            persist("storing a chunk", None, self.backend.clock(), || self.backend.put(&key, body.clone()));
        if stored.await.is_err() {
            return Err(unavailable("The stream can't be stored."));
        }
        CHUNKS_STORED.inc();
        CHUNK_PUT.observe_time(began.elapsed());
        BACKLOG_AGE.observe_time(since.elapsed());
        CHUNK_SIZE.observe(body.bytes.len() as f64);
        CHUNK_LENGTH.observe(length_us as f64 / 1e6);
        let (length_ms, put_ms) = (length_us / 1000, millis(began.elapsed()));
        tracing::info!(bytes = body.bytes.len(), length_ms, put_ms, "chunk stored");
        Ok(bytes)
    }

    /// The ids that a chunk is followed by through the logs of all services.
    fn span(&self, seq: ChunkSeq) -> tracing::Span {
        let Identity { live, broadcast, publish } = &self.identity;
        tracing::info_span!("chunk", %live, %broadcast, publish = publish.get(), seq = seq.0)
    }

    /// Tells of each stored chunk, in order.
    async fn tell(&self, mut stored: watch::Receiver<u32>) -> Result<(), Untold> {
        let mut next = 0u32;
        loop {
            // An error means that all is stored and counted.
            let more = stored.wait_for(|count| *count > next).await.is_ok();
            let count = *stored.borrow();
            if count <= next && !more {
                return Ok(());
            }
            while next < count {
                let (seq, began) = (ChunkSeq(next), Instant::now());
                self.tell_one(seq).instrument(self.span(seq)).await?;
                CHUNK_TELL.observe_time(began.elapsed());
                next += 1;
                self.progress.told.store(next, Ordering::Release);
            }
        }
    }

    async fn tell_one(&self, seq: ChunkSeq) -> Result<(), Untold> {
        let request = GatewayRequest::Chunk(ChunkStored {
            live: self.identity.live.clone(),
            broadcast: self.identity.broadcast.clone(),
            pos: ChunkPos { publish: self.identity.publish, seq },
        });
        let mut retries = 0u32;
        loop {
            let reply =
                persist("telling of a chunk", None, self.backend.clock(), || self.backend.ask(&request))
                    .await;
            match reply {
                Ok(ChunkReply::Accepted { warnings }) => {
                    for warning in warnings {
                        // A full queue of warnings says enough.
                        let _ = self.warn.try_send(warning);
                    }
                    return Ok(());
                }
                Ok(ChunkReply::Retry { reason }) => {
                    retries += 1;
                    tracing::warn!(seq = seq.0, retries, reason, "no encoder took the chunk, telling again");
                    Backoff::REGIONAL.sleep(retries, self.backend.clock()).await;
                }
                Ok(ChunkReply::Stop(verdict)) => return Err(Untold::Stopped(verdict)),
                Err(_) => return Err(Untold::Failed),
            }
        }
    }
}

/// How long a chunk plays, in microseconds.
fn length_us(chunk: &Chunk) -> i64 {
    let rate = |ticks: i64, rate: u32| ticks.saturating_mul(1_000_000) / i64::from(rate.max(1));
    match (&chunk.header.video, &chunk.header.audio) {
        (Some(video), _) => rate(video.end - video.start, VIDEO_TIMESCALE),
        (None, Some(audio)) => rate(audio.end - audio.start, audio.sample_rate),
        (None, None) => 0,
    }
}

#[cfg(test)]
mod tests;
