//! One publisher's connection: moves bytes between its socket and the [`Session`], media to its [`Publish`], and decisions back.
//!
//! Invariants: one task per connection; it never waits for anything but the select in [`Connection::run`] and bounded writes; it does
//! not read while the publish behind it can't take more. A key is never logged, only the first digits of its hash.

mod ends;
mod on_air;
pub mod pacing;
mod publish;

use std::{
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use media::{
    id::{KeyHash, StreamKey},
    verdict::{Code, Verdict},
    wire::{CloseReason, OpenReply},
};
use service::{
    clock::Clock,
    event,
    metrics::defs::{BYTES_IN, CONNECTIONS_DISPLACED, REFUSED},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, MissedTickBehavior, error::Elapsed},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    on_air::OnAir,
    publish::{FLUSH_GRACE, LEAVE_MAX},
};
use self::{
    pacing::Meter,
    publish::{Happened, Publish, close_unused, draining, open},
};
use crate::{
    admission::Slot,
    backend::Backend,
    revocation::Rights,
    rtmp::{self, CLOSE_LINGER, EndReason, Event, Output, PublishRequest, Session},
    upload::Budget,
};

/// Most bytes read at once: what comes out of one step of the session is bounded by it.
const READ_MAX: usize = 64 << 10;
/// Time for the peer to take what we say: all of it fits its receive window.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a publish is told that time passes.
const TICK: Duration = Duration::from_millis(250);
/// Reads in a row, after a deadline has come, before it is acted on. What has arrived is read first, for after a stall of this machine the
/// peer's silence may only seem so; but not more than the largest message, which would have ended the silence.
const LATE_READS_MAX: u32 = 256;
/// Digits of a key's hash that are logged: enough to find the key, nothing to guess it by.
const HASH_DIGITS: usize = 8;

/// What all connections share.
pub struct Shared<B> {
    /// The world behind the edge.
    pub backend: Arc<B>,
    /// What may wait to be stored.
    pub budget: Arc<Budget>,
    /// Who is on air.
    pub on_air: Arc<OnAir>,
    /// What sessions need to know.
    pub session: rtmp::Config,
    /// Bytes a second that one connection is read at, at most.
    pub read_max: u32,
    /// Cancelled when the edge shuts down.
    pub drain: CancellationToken,
    /// Publishes that are being finished.
    pub tasks: TaskTracker,
}

type Opening = Pin<Box<dyn Future<Output = Result<OpenReply, Verdict>> + Send>>;

/// What is going on on the connection.
enum Show<B> {
    Nothing,
    Opening { reply: Opening, hash: Option<KeyHash>, filler: bool, connection: String },
    OnAir(Box<Publish<B>>),
}

/// What a step brought.
enum Step {
    /// Input, or its end.
    Read(std::io::Result<usize>),
    Deadline,
    Decided(Result<OpenReply, Verdict>),
    Happened(Happened),
    Drain,
    Tick,
    /// A pause is over, or due for another look.
    Look,
}

/// A connection being served.
pub struct Connection<S, B> {
    io: S,
    peer: SocketAddr,
    shared: Arc<Shared<B>>,
    session: Session,
    start: Instant,
    show: Show<B>,
    meter: Meter,
    slot: Slot,
    draining: bool,
    /// The peer takes nothing more, and nothing more is written: a write has failed.
    deaf: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send, B: Backend> Connection<S, B> {
    /// A connection that was just accepted.
    pub fn new(io: S, peer: SocketAddr, shared: Arc<Shared<B>>, slot: Slot) -> Self {
        let session = Session::new(shared.session.clone(), shared.backend.clock().random_bytes());
        let meter = Meter::new(shared.read_max);
        let (start, show) = (Instant::now(), Show::Nothing);
        Self { io, peer, shared, session, start, show, meter, slot, draining: false, deaf: false }
    }

    /// Serves the connection to its end, or until its place is a newcomer's, whatever it waits for then. Whoever is on air keeps its place.
    pub async fn run(mut self) {
        let lost = self.slot.displaced();
        tokio::select! {
            biased;
            () = lost.cancelled() => displaced(self.peer),
            () = self.serve() => {}
        }
        // Gone without a word: the broadcast waits for the publisher's return.
        self.end_show(CloseReason::Lost);
    }

    /// May be dropped wherever it waits.
    async fn serve(&mut self) {
        let mut buffer = vec![0; READ_MAX];
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Made once, as what a publish waits for is: this task is woken for every message, nearly always to read it, and making what it waits
        // for besides anew each time took some 7 % of the edge's time (docs/INGEST-BENCHMARK.md).
        let mut stopping = pin!(self.shared.drain.clone().cancelled_owned());
        let mut alarm = pin!(tokio::time::sleep_until(self.start));
        let mut paused = false;
        let mut late_reads = 0;
        loop {
            let deadline = match self.drain_session().await {
                Ok(Some(deadline)) => self.start + deadline,
                Ok(None) => {
                    // Before the last words: the broadcast should not wait for them.
                    self.end_show(CloseReason::Lost);
                    break self.linger(&mut buffer).await;
                }
                Err(error) => {
                    tracing::debug!(error = %error, "the peer takes nothing");
                    break;
                }
            };
            let pause = match &self.show {
                Show::OnAir(publish) => publish.pause(),
                Show::Nothing | Show::Opening { .. } => None,
            };
            if paused && pause.is_none() {
                self.session.resume_input(self.start.elapsed());
            }
            paused = pause.is_some();
            // Deadlines go on meanwhile: it is the peer's doing.
            let slow = self.meter.wait(self.start.elapsed());
            let read = pause.is_none() && slow.is_none() && self.session.wants_input();
            // Deadlines mostly move on. An alarm for an earlier one stays: the session does nothing then, and it is set anew.
            if deadline < alarm.deadline() || alarm.is_elapsed() {
                alarm.as_mut().reset(deadline);
            }
            let Self { io, show, draining, .. } = &mut *self;
            let step = tokio::select! {
                biased;
                () = &mut stopping, if !*draining => Step::Drain,
                step = next(show) => step,
                _ = tick.tick() => Step::Tick,
                () = after(pause) => Step::Look,
                () = after(slow) => Step::Look,
                read = io.read(&mut buffer), if read && late_reads < LATE_READS_MAX => Step::Read(read),
                () = &mut alarm, if !paused => Step::Deadline,
            };
            late_reads = match step {
                Step::Read(_) if Instant::now() >= deadline => late_reads + 1,
                Step::Read(_) | Step::Deadline => 0,
                _ => late_reads,
            };
            match step {
                Step::Read(Ok(length)) if length > 0 => {
                    self.meter.took(self.start.elapsed(), length);
                    BYTES_IN.add(length as u64);
                    if let Err(error) = self.session.handle_input(self.start.elapsed(), &buffer[..length]) {
                        self.failed(&error);
                    }
                }
                Step::Read(_) => break,
                Step::Deadline => {
                    if let Err(error) = self.session.handle_timeout(self.start.elapsed()) {
                        self.failed(&error);
                    }
                }
                Step::Decided(reply) => self.decided(reply),
                Step::Happened(happened) => self.happened(happened),
                Step::Drain => self.drain(),
                Step::Tick => self.media(Publish::tick),
                Step::Look => {}
            }
        }
    }

    /// Sends and handles what the session has put out; the next deadline since the connection's start, or `None` when it is over.
    ///
    /// # Errors
    /// When the peer does not take what is written. One that has gone is no error here: its last words, a goodbye among them, may still
    /// have to be read.
    async fn drain_session(&mut self) -> Result<Option<Duration>, Elapsed> {
        loop {
            match self.session.poll_output() {
                Output::Transmit(_) if self.deaf => {}
                Output::Transmit(bytes) => {
                    let write = async {
                        self.io.write_all(&bytes).await?;
                        self.io.flush().await
                    };
                    if let Err(error) = tokio::time::timeout(WRITE_TIMEOUT, write).await? {
                        tracing::debug!(error = %error, "writing failed: reading what is left");
                        self.deaf = true;
                    }
                }
                Output::Event(event) => self.event(event),
                Output::Close => return Ok(None),
                Output::Timeout(deadline) => return Ok(Some(deadline)),
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Connected { client } => tracing::info!(client, "connected"),
            Event::PublishRequested(request) => self.requested(&request),
            Event::Metadata(metadata) => {
                tracing::info!(
                    encoder = metadata.encoder,
                    width = metadata.width,
                    height = metadata.height,
                    framerate = metadata.framerate,
                    video_kbps = metadata.videodatarate,
                    "metadata"
                );
                if let Show::OnAir(publish) = &mut self.show {
                    publish.metadata(metadata.framerate);
                }
            }
            Event::Video { timestamp, payload } => {
                let now = self.clock().now();
                self.media(|publish| publish.video(now, timestamp, &payload));
            }
            Event::Audio { timestamp, payload } => {
                let now = self.clock().now();
                self.media(|publish| publish.audio(now, timestamp, &payload));
            }
            Event::PublishEnded { reason: EndReason::Unpublished } => self.end_show(CloseReason::Unpublished),
            Event::PublishEnded { reason: EndReason::Undecided } => {
                REFUSED.inc(Code::Unavailable.as_str());
                event!("publish-refused", code = Code::Unavailable.as_str(), peer = %self.peer);
                self.end_show(CloseReason::Lost);
            }
            Event::Refused { reason } => {
                REFUSED.inc(reason.as_str());
                event!("publish-refused", code = reason.as_str(), peer = %self.peer);
            }
            Event::Ignored { message_type, reason } => {
                tracing::debug!(message_type, reason, "message skipped");
            }
        }
    }

    fn requested(&mut self, request: &PublishRequest) {
        if self.draining {
            return self.refuse(&draining(), None);
        }
        let hash = request.key.reveal().parse::<StreamKey>().ok().map(|key| key.hash());
        let filler = request.parameters.reveal("filler") == Some("1");
        let connection = connection_id(self.clock());
        let reply =
            Box::pin(open(Arc::clone(&self.shared.backend), connection.clone(), hash.clone(), filler));
        self.show = Show::Opening { reply, hash, filler, connection };
    }

    fn decided(&mut self, reply: Result<OpenReply, Verdict>) {
        let Show::Opening { hash, filler, connection, .. } = std::mem::replace(&mut self.show, Show::Nothing)
        else {
            return;
        };
        match reply {
            Ok(OpenReply::Opened(opened)) => {
                let Shared { backend, budget, on_air, .. } = &*self.shared;
                // Nothing is opened without a key.
                let Some(hash) = hash else { return };
                let rights = Rights {
                    live: opened.live.clone(),
                    broadcast: opened.broadcast.clone(),
                    key_hash: hash.clone(),
                };
                if !self.slot.settle() {
                    return self.spawn(close_unused(Arc::clone(backend), opened, CloseReason::Lost));
                }
                let seat = on_air.sit(rights, opened.publish);
                let publish = Publish::new(Arc::clone(backend), opened, budget, seat);
                let opened = publish.opened();
                event!(
                    "publish-started",
                    live = %opened.live,
                    broadcast = %opened.broadcast,
                    publish = opened.publish.get(),
                    filler,
                    publish_connection = connection,
                    key = digits(&hash),
                    peer = %self.peer,
                );
                self.show = Show::OnAir(Box::new(publish));
                if self.session.accept_publish(self.start.elapsed()).is_err() {
                    self.end_show(CloseReason::Unpublished);
                }
            }
            Ok(OpenReply::Refused(verdict)) | Err(verdict) => self.refuse(&verdict, hash.as_ref()),
        }
    }

    fn clock(&self) -> &Clock {
        self.shared.backend.clock()
    }

    /// Lets the peer read our last words before the socket goes.
    async fn linger(&mut self, buffer: &mut [u8]) {
        let discard = async {
            if self.io.shutdown().await.is_ok() {
                while self.io.read(buffer).await.is_ok_and(|length| length > 0) {}
            }
        };
        if tokio::time::timeout(CLOSE_LINGER, discard).await.is_err() {
            tracing::debug!("the peer did not close");
        }
    }
}

/// Waits for what is going on to say something. May be dropped and called again.
async fn next<B: Backend>(show: &mut Show<B>) -> Step {
    match show {
        Show::Nothing => std::future::pending().await,
        Show::Opening { reply, .. } => Step::Decided(reply.await),
        Show::OnAir(publish) => Step::Happened(publish.happened().await),
    }
}

/// Waits so long; for ever without.
async fn after(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// Notes that a connection has lost its place to a newcomer.
pub(crate) fn displaced(peer: SocketAddr) {
    CONNECTIONS_DISPLACED.inc();
    tracing::info!(%peer, "connection closed: a newcomer needs its place");
}

fn digits(hash: &KeyHash) -> &str {
    hash.as_str().get(..HASH_DIGITS).unwrap_or_default()
}

/// A name for one publish's opening: the same in every retry, never the same twice.
fn connection_id(clock: &Clock) -> String {
    clock.random_bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
