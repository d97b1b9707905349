//! One publish on a connection: from the gateway's yes to its `close`.
//!
//! Invariant: every publish that was opened is closed at the gateway, whatever ends it, with the number of chunks that are in the bucket.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{BoxStream, SelectAll, unfold},
};
use media::{
    chunk::Header,
    flv,
    id::KeyHash,
    ingest::{self, Assembler, Output},
    time::{Ticks, VIDEO_TIMESCALE, WallTime, rescale},
    verdict::{Code, Verdict},
    wire::{Close, CloseReason, CloseReply, GatewayRequest, Open, OpenReply, Opened, Start, StartReply},
};
use service::{
    backoff::Backoff,
    event,
    metrics::{Held, defs::PUBLISHERS},
};
use tokio::time::Instant;

use super::{
    on_air::{Place, Seat},
    pacing,
};
use crate::{
    backend::{Backend, millis, persist, unavailable},
    upload::{Budget, End, Identity, Notice, Notices, Outcome, Queue},
};

/// Time for `open` with its retries: under the session's own bound on a decision.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
/// Refusals of a publish leave at whole multiples of this after it was asked for: longer than a warm gateway takes to look a key up,
/// whether it finds one or not, and no wait that a broadcaster would notice. It also slows down whoever tries keys.
pub(super) const REFUSAL_STEP: Duration = Duration::from_millis(500);
/// Time for `start` with its retries: an outage of a minute. Meanwhile GOPs wait in memory, and beyond a few the socket is not read.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(70);
/// Time to store and tell what is left when a publish ends: an outage of a minute, and less than the silence after which the broadcast would be
/// ended without it (the default window of 60 s and 15 s).
pub const FLUSH_GRACE: Duration = Duration::from_secs(70);
/// Time for `close` with its retries. If it never arrives, the broadcast's own silence ends it, which takes no longer by default.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a publisher is held back because nothing can be stored, before it is told to come back: an outage of a minute, and the wait
/// before the try that finds it over.
pub(super) const STALL_MAX: Duration = Duration::from_secs(90);
/// How long a publish goes on for its GOP's end when the edge shuts down: the longest that is not warned of, and a second.
pub const LEAVE_MAX: Duration = Duration::from_secs(5);

/// What is heard from elsewhere while pictures come. Among several streams each is looked at only when it has been woken, and so is this one
/// alone: the task that waits for it is woken for every message of the publisher.
type News = SelectAll<BoxStream<'static, Happened>>;

type Starting = Pin<Box<dyn Future<Output = Result<StartReply, Verdict>> + Send>>;

/// A publish that is on air.
pub(super) struct Publish<B> {
    backend: Arc<B>,
    opened: Opened,
    assembler: Assembler,
    queue: Queue,
    news: News,
    starting: Option<Starting>,
    /// When the first picture or sound arrived.
    began: Option<Instant>,
    /// Since when the backlog has been full.
    stalled: Option<Instant>,
    /// There was a picture.
    pictures: bool,
    /// Since when it has been asked to leave at its GOP's end.
    leaving: Option<Instant>,
    /// Its place in the list that a later publisher looks it up in.
    seat: Seat,
    _counted: Held,
}

/// Something the connection should act on.
#[derive(Debug)]
pub(super) enum Happened {
    /// Nothing but that reading may go on.
    Progress,
    /// The broadcaster should know.
    Warning(Verdict),
    /// The publish must stop.
    Stop(Verdict),
    /// The publish must stop, and what has come is stored: a later one waits for it, or its rights ended here and not before.
    Overtaken(Verdict),
}

/// Asks the gateway whether a key may publish. `None` is a text that can be no key, which is not asked about, and refused no sooner than
/// one that might be: how long a refusal takes tells nothing about the key.
///
/// # Errors
/// [`Code::Unavailable`] when there is no answer in time.
pub(super) async fn open<B: Backend>(
    backend: Arc<B>,
    connection: String,
    key_hash: Option<KeyHash>,
    filler: bool,
) -> Result<OpenReply, Verdict> {
    let asked = Instant::now();
    let reply = match key_hash {
        Some(key_hash) => ask_open(backend, connection, key_hash, filler).await,
        None => {
            let message = "The stream key is not one of ours; copy it again from where you got it.";
            Ok(OpenReply::Refused(Verdict::new(Code::UnknownKey, message)))
        }
    };
    if !matches!(reply, Ok(OpenReply::Opened(_))) {
        tokio::time::sleep_until(asked + refusal_leaves(asked.elapsed())).await;
    }
    reply
}

/// When a refusal leaves that was decided `after` the wish to publish: at the end of the [`REFUSAL_STEP`] it falls in.
fn refusal_leaves(after: Duration) -> Duration {
    let steps = after.as_millis() / REFUSAL_STEP.as_millis() + 1;
    REFUSAL_STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
}

async fn ask_open<B: Backend>(
    backend: Arc<B>,
    connection: String,
    key_hash: KeyHash,
    filler: bool,
) -> Result<OpenReply, Verdict> {
    let request = GatewayRequest::Open(Open { connection, key_hash, filler });
    let until = Some(Instant::now() + OPEN_TIMEOUT);
    let reply = persist("opening a publish", until, backend.clock(), || backend.ask(&request)).await;
    reply.map_err(|_| unavailable("gopcast could not check the stream key."))
}

/// Closes a publish that was opened and then not wanted.
pub(super) async fn close_unused<B: Backend>(backend: Arc<B>, opened: Opened, reason: CloseReason) {
    close(&*backend, &opened, 0, reason).await;
}

impl<B: Backend> Publish<B> {
    /// Begins a publish that the gateway has opened.
    pub(super) fn new(backend: Arc<B>, opened: Opened, budget: &Arc<Budget>, seat: Seat) -> Self {
        let (live, broadcast, publish) = (opened.live.clone(), opened.broadcast.clone(), opened.publish);
        let identity = Identity { live: live.clone(), broadcast: broadcast.clone(), publish };
        let (queue, notices) = Queue::start_before(Arc::clone(&backend), identity, budget, seat.successor());
        let assembler = Assembler::new(ingest::Publish { live, broadcast, publish });
        Self {
            backend,
            opened,
            assembler,
            queue,
            news: news(seat.place(), notices),
            starting: None,
            began: None,
            stalled: None,
            pictures: false,
            leaving: None,
            seat,
            _counted: PUBLISHERS.hold(1.0),
        }
    }

    /// What the gateway gave.
    pub(super) fn opened(&self) -> &Opened {
        &self.opened
    }

    /// A video message.
    pub(super) fn video(&mut self, arrival: WallTime, timestamp: u32, body: &Bytes) -> Result<(), Verdict> {
        if let Ok(flv::Video::Picture { keyframe, .. }) = flv::video(body) {
            // The GOP before it is whole.
            if keyframe && self.leaving.is_some() {
                return Err(draining());
            }
            self.pictures = true;
        }
        self.assembler.video(arrival, timestamp, body)?;
        self.drain()
    }

    /// An audio message.
    pub(super) fn audio(&mut self, arrival: WallTime, timestamp: u32, body: &Bytes) -> Result<(), Verdict> {
        self.assembler.audio(arrival, timestamp, body)?;
        self.drain()
    }

    /// The declared frame rate.
    pub(super) fn metadata(&mut self, frame_rate: Option<f64>) {
        self.assembler.metadata(frame_rate);
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self) -> Result<(), Verdict> {
        self.assembler.tick(self.backend.clock().now())?;
        if self.leaving.is_some_and(|since| since.elapsed() >= LEAVE_MAX) {
            return Err(draining());
        }
        if self.queue.full() {
            let since = *self.stalled.get_or_insert_with(Instant::now);
            if since.elapsed() >= STALL_MAX {
                return Err(unavailable("The stream could not be stored for more than a minute."));
            }
        } else {
            self.stalled = None;
        }
        self.drain()
    }

    /// The edge shuts down: the GOP that is being sent is the last. Also spreads the publishers' reconnects over their GOPs' ends.
    ///
    /// # Errors
    /// When there is nothing to wait for: no GOP has begun, or what comes is not read.
    pub(super) fn leave(&mut self) -> Result<(), Verdict> {
        if !self.pictures || self.queue.full() || self.assembler.blocked() {
            return Err(draining());
        }
        self.leaving.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// How long not to read from the publisher, if so; it may be looked at again sooner.
    pub(super) fn pause(&self) -> Option<Duration> {
        if self.queue.full() || self.assembler.blocked() {
            return Some(Duration::from_secs(1));
        }
        let passed = self.began?.elapsed();
        pacing::wait(self.assembler.lead_micros(self.backend.clock().now()), passed)
    }

    /// Takes what the assembler has to say: chunks to the queue. What is amiss with the stream is in the chunks, for the encoder to judge.
    fn drain(&mut self) -> Result<(), Verdict> {
        while let Some(output) = self.assembler.poll() {
            match output {
                Output::Start { first_frame } => {
                    self.began = Some(Instant::now());
                    self.starting = Some(self.ask_start(first_frame));
                }
                Output::Chunk(chunk) => {
                    self.seat.reaches(end_of(&chunk.header));
                    self.queue.push(chunk)?;
                }
            }
        }
        Ok(())
    }

    fn ask_start(&self, first_frame: WallTime) -> Starting {
        let backend = Arc::clone(&self.backend);
        let (broadcast, publish) = (self.opened.broadcast.clone(), self.opened.publish);
        let before = self.seat.before();
        Box::pin(async move {
            for earlier in before {
                earlier.cancelled().await;
            }
            let request = GatewayRequest::Start(Start { broadcast, publish, first_frame });
            let until = Some(Instant::now() + START_TIMEOUT);
            let reply = persist("starting a publish", until, backend.clock(), || backend.ask(&request)).await;
            reply.map_err(|_| unavailable("gopcast could not start the broadcast."))
        })
    }

    /// Waits for something to act on. May be dropped and called again.
    pub(super) async fn happened(&mut self) -> Happened {
        tokio::select! {
            biased;
            Some(happened) = self.news.next() => happened,
            started = answered(&mut self.starting) => match self.started(started) {
                Ok(()) => Happened::Progress,
                Err(verdict) => Happened::Stop(verdict),
            },
        }
    }

    fn started(&mut self, reply: Result<StartReply, Verdict>) -> Result<(), Verdict> {
        self.starting = None;
        match reply? {
            StartReply::Started { availability_start, resume_at } => {
                // The gateway knows what is committed; what an earlier publish has stored last may not be yet.
                self.assembler.started(availability_start, resume_at.max(Some(self.seat.begins_at())));
                self.drain()
            }
            StartReply::Stop(verdict) => Err(verdict),
        }
    }

    /// Ends the publish: what there is becomes a chunk, is stored and told, then the gateway is told the end. With `flush` false (the
    /// publish was stopped from behind) nothing more is begun to be stored.
    pub(super) async fn finish(mut self, reason: CloseReason, flush: bool) {
        let until = Instant::now() + FLUSH_GRACE;
        // Nobody listens any more; kept, it would hold the backlog's share until the gateway has heard of the end.
        self.news.clear();
        if flush {
            // Without an answer there is no timeline to put the pictures on.
            if self.starting.is_some() {
                let answer = tokio::time::timeout_at(until, answered(&mut self.starting)).await;
                let answer = answer.unwrap_or_else(|_| Err(unavailable("The broadcast did not start.")));
                if let Err(verdict) = self.started(answer) {
                    tracing::warn!(code = verdict.code.as_str(), "publish ended before it could start");
                }
            }
            self.assembler.finish();
            if let Err(verdict) = self.drain() {
                tracing::warn!(code = verdict.code.as_str(), "the last chunks were not taken");
            }
        }
        let stats = self.assembler.stats();
        let outcome = match flush {
            true => self.queue.finish(until.saturating_duration_since(Instant::now())).await,
            false => self.queue.halt().await,
        };
        drop(self.seat);
        let (Outcome { stored, told, end }, cut) = (outcome, self.assembler.next_seq().0);
        if let End::Stopped(code) = end {
            tracing::info!(stored, told, cut, code = code.as_str(), "no more of the publish is wanted");
        }
        if flush && outcome.lost(cut) {
            tracing::error!(stored, told, cut, "not all chunks were stored and told");
        }
        close(&*self.backend, &self.opened, stored, reason).await;
        let Opened { live, broadcast, publish, .. } = &self.opened;
        event!(
            "publish-ended",
            live = %live,
            broadcast = %broadcast,
            publish = publish.get(),
            chunks = stored,
            reason = reason_name(reason),
            pictures = stats.gop.pictures,
            pictures_left_out = stats.gop.left_out,
            sound_left_out = stats.gop.sound.left_out,
            silence = stats.gop.sound.silent,
            damaged = stats.damaged,
            jumps = stats.jumps,
            duration_ms = self.began.map(|began| millis(began.elapsed())),
        );
    }
}

fn news(place: Place, notices: Notices) -> News {
    let stream = unfold((place, notices), |(place, mut notices)| async move {
        let happened = tokio::select! {
            biased;
            verdict = place.superseded() => Happened::Overtaken(verdict),
            verdict = place.revoked() => match verdict.code {
                // Nothing is added to what the operator has ended, as whoever disables a live does too.
                Code::Ended | Code::LiveDisabled => Happened::Stop(verdict),
                _ => Happened::Overtaken(verdict),
            },
            notice = notices.next() => match notice {
                Notice::Stop(verdict) => Happened::Stop(verdict),
                Notice::Warning(verdict) => Happened::Warning(verdict),
                Notice::Room => Happened::Progress,
            },
        };
        Some((happened, (place, notices)))
    });
    [stream.boxed()].into_iter().collect()
}

/// Where a chunk ends, in ticks of presentation time.
fn end_of(header: &Header) -> Ticks {
    match (&header.video, &header.audio) {
        (Some(video), _) => video.end,
        (None, Some(audio)) => rescale(audio.end, audio.sample_rate, VIDEO_TIMESCALE),
        (None, None) => 0,
    }
}

async fn answered(starting: &mut Option<Starting>) -> Result<StartReply, Verdict> {
    match starting {
        Some(starting) => starting.await,
        None => std::future::pending().await,
    }
}

async fn close<B: Backend>(backend: &B, opened: &Opened, chunks: u32, reason: CloseReason) {
    let (live, broadcast) = (opened.live.clone(), opened.broadcast.clone());
    let request = GatewayRequest::Close(Close { live, broadcast, publish: opened.publish, chunks, reason });
    let until = Instant::now() + CLOSE_TIMEOUT;
    let mut retries = 0u32;
    loop {
        match persist("closing a publish", Some(until), backend.clock(), || backend.ask(&request)).await {
            Ok(CloseReply::Closed) => return,
            Ok(CloseReply::Retry { reason }) if Instant::now() < until => {
                retries += 1;
                tracing::warn!(retries, reason, "no encoder took note of the close, telling again");
                Backoff::REGIONAL.sleep(retries, backend.clock()).await;
            }
            Ok(CloseReply::Retry { reason }) => {
                tracing::error!(reason, "no encoder took note of the close");
                return;
            }
            Err(error) => {
                tracing::error!(error = %error, "the close did not arrive");
                return;
            }
        }
    }
}

fn reason_name(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Unpublished => "unpublished",
        CloseReason::Lost => "lost",
        CloseReason::Stopped => "stopped",
    }
}

/// What a publisher is told when the edge shuts down.
#[must_use]
pub(super) fn draining() -> Verdict {
    Verdict::new(Code::Draining, "This server is shutting down; please reconnect.")
}

/// Whether the publisher is to come back: then its broadcast waits for it.
#[must_use]
pub(super) fn comes_back(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::NoEncoder | Code::Draining)
}

/// The RTMP status code that goes with a verdict. Client libraries for phones go by it: they reconnect after a closed connection, and ask
/// the user after a rejected publish or a bad name. OBS looks at none while it streams and reconnects whenever the socket is closed; ffmpeg
/// prints the sentence and ends.
#[must_use]
pub(super) fn status_code(code: Code) -> &'static str {
    match code {
        Code::UnknownKey | Code::KeyReplaced | Code::LiveDisabled => "NetStream.Publish.BadName",
        code if comes_back(code) => "NetConnection.Connect.Closed",
        _ => "NetStream.Publish.Rejected",
    }
}

/// A verdict as a broadcaster reads it.
#[must_use]
pub(super) fn sentence(verdict: &Verdict) -> String {
    format!("{}: {}", verdict.code.as_str(), verdict.message)
}
