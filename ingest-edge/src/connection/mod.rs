//! One publisher's connection: moves bytes between its socket and the [`Session`], media to its [`Publish`], and decisions back.
//!
//! Invariants: one task per connection; it never waits for anything but the select in [`Connection::run`] and bounded writes; it does
//! not read while the publish behind it can't take more. A key is never logged, only the first digits of its hash.

pub mod pacing;
mod publish;

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use media::{
    id::{KeyHash, StreamKey},
    verdict::{Code, Verdict},
    wire::{CloseReason, OpenReply},
};
use service::{clock, event};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::publish::{Happened, Publish, close_unused, open, sentence, status_code};
use crate::{
    backend::Backend,
    rtmp::{self, CLOSE_LINGER, EndReason, Event, Output, PublishRequest, Session, StatusLevel},
    upload::Budget,
};

/// Most bytes read at once: what comes out of one step of the session is bounded by it.
const READ_MAX: usize = 64 << 10;
/// Time for the peer to take what we say: all of it fits its receive window.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a publish is told that time passes.
const TICK: Duration = Duration::from_millis(250);
/// Digits of a key's hash that are logged: enough to find the key, nothing to guess it by.
const HASH_DIGITS: usize = 8;

/// What all connections share.
pub struct Shared<B> {
    /// The world behind the edge.
    pub backend: Arc<B>,
    /// What may wait to be stored.
    pub budget: Arc<Budget>,
    /// What sessions need to know.
    pub session: rtmp::Config,
    /// Cancelled when the edge shuts down.
    pub drain: CancellationToken,
    /// Publishes that are being finished.
    pub tasks: TaskTracker,
}

type Opening = Pin<Box<dyn Future<Output = Result<OpenReply, Verdict>> + Send>>;

/// What is going on on the connection.
enum Show<B> {
    Nothing,
    Opening { reply: Opening, hash: KeyHash, filler: bool, connection: String },
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
    /// The pause is over, or due for another look.
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
    draining: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send, B: Backend> Connection<S, B> {
    /// A connection that was just accepted.
    pub fn new(io: S, peer: SocketAddr, shared: Arc<Shared<B>>) -> Self {
        let session = Session::new(shared.session.clone(), clock::random_bytes());
        Self { io, peer, shared, session, start: Instant::now(), show: Show::Nothing, draining: false }
    }

    /// Serves the connection to its end.
    pub async fn run(mut self) {
        let mut buffer = vec![0; READ_MAX];
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut paused = false;
        loop {
            let deadline = match self.drain_session().await {
                Ok(Some(deadline)) => self.start + deadline,
                Ok(None) => break self.linger(&mut buffer).await,
                Err(error) => {
                    tracing::debug!(error = %error, "writing failed");
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
            let read = pause.is_none() && self.session.wants_input();
            let Self { io, show, shared, draining, .. } = &mut self;
            let step = tokio::select! {
                read = io.read(&mut buffer), if read => Step::Read(read),
                () = tokio::time::sleep_until(deadline), if !paused => Step::Deadline,
                () = tokio::time::sleep(pause.unwrap_or_default()), if paused => Step::Look,
                step = next(show) => step,
                () = shared.drain.cancelled(), if !*draining => Step::Drain,
                _ = tick.tick() => Step::Tick,
            };
            match step {
                Step::Read(Ok(length)) if length > 0 => {
                    if let Err(error) = self.session.handle_input(self.start.elapsed(), &buffer[..length]) {
                        let cause = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::warn!(error = %error, cause, "session failed");
                    }
                }
                Step::Read(_) => break,
                Step::Deadline => {
                    if let Err(error) = self.session.handle_timeout(self.start.elapsed()) {
                        let cause = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::info!(cause, "publisher was silent for too long");
                    }
                }
                Step::Decided(reply) => self.decided(reply),
                Step::Happened(happened) => self.happened(happened),
                Step::Drain => self.drain(),
                Step::Tick => self.media(Publish::tick),
                Step::Look => {}
            }
        }
        // Gone without a word: the broadcast waits for the publisher's return.
        self.end_show(CloseReason::Lost);
    }

    /// Sends and handles what the session has put out; the next deadline since the connection's start, or `None` when it is over.
    async fn drain_session(&mut self) -> std::io::Result<Option<Duration>> {
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => {
                    let write = async {
                        self.io.write_all(&bytes).await?;
                        self.io.flush().await
                    };
                    tokio::time::timeout(WRITE_TIMEOUT, write).await??;
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
                self.media(|publish| publish.video(clock::now(), timestamp, &payload));
            }
            Event::Audio { timestamp, payload } => {
                self.media(|publish| publish.audio(clock::now(), timestamp, &payload));
            }
            Event::PublishEnded { reason: EndReason::Unpublished } => self.end_show(CloseReason::Unpublished),
            Event::PublishEnded { reason: EndReason::Undecided } => {
                event!("publish-refused", code = Code::Unavailable.as_str(), peer = %self.peer);
                self.end_show(CloseReason::Lost);
            }
            Event::Refused { code } => event!("publish-refused", code, peer = %self.peer),
            Event::Ignored { message_type, reason } => {
                tracing::debug!(message_type, reason, "message skipped");
            }
        }
    }

    fn requested(&mut self, request: &PublishRequest) {
        if self.draining {
            let verdict = Verdict::new(Code::Draining, "This server is shutting down; please reconnect.");
            return self.refuse(&verdict, None);
        }
        // A text that can't be a key is not worth a question.
        let Ok(key) = request.key.reveal().parse::<StreamKey>() else {
            let message = "The stream key is not one of ours; copy it again from where you got it.";
            return self.refuse(&Verdict::new(Code::UnknownKey, message), None);
        };
        let (hash, filler) = (key.hash(), request.parameters.reveal("filler") == Some("1"));
        let connection = connection_id();
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
                let publish = Publish::new(Arc::clone(&self.shared.backend), opened, &self.shared.budget);
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
            Ok(OpenReply::Refused(verdict)) | Err(verdict) => self.refuse(&verdict, Some(&hash)),
        }
    }

    fn refuse(&mut self, verdict: &Verdict, hash: Option<&KeyHash>) {
        event!(
            "publish-refused",
            code = verdict.code.as_str(),
            reason = verdict.message,
            key = hash.map(digits),
            peer = %self.peer,
        );
        if self.session.refuse_publish(status_code(verdict.code), &sentence(verdict)).is_err() {
            tracing::debug!("the request was taken back before it was refused");
        }
    }

    /// Does something with the publish on air, and acts on what comes of it.
    fn media(&mut self, act: impl FnOnce(&mut Publish<B>) -> Result<Vec<Verdict>, Verdict>) {
        let Show::OnAir(publish) = &mut self.show else { return };
        match act(publish) {
            Ok(warnings) => warnings.iter().for_each(|warning| self.warn(warning)),
            Err(verdict) => self.stop(&verdict, true),
        }
    }

    fn happened(&mut self, happened: Happened) {
        match happened {
            Happened::Progress => {}
            Happened::Warning(verdict) => self.warn(&verdict),
            Happened::Stop(verdict) => self.stop(&verdict, false),
        }
    }

    fn warn(&mut self, verdict: &Verdict) {
        let Show::OnAir(publish) = &self.show else { return };
        let live = &publish.opened().live;
        event!("publish-warning", live = %live, code = verdict.code.as_str(), reason = verdict.message);
        let told =
            self.session.notify_status(StatusLevel::Warning, "NetStream.Publish.Warning", &sentence(verdict));
        if told.is_err() {
            tracing::debug!("nobody to warn");
        }
    }

    /// Stops the publish for a verdict. `flush`: what came before it is still good.
    fn stop(&mut self, verdict: &Verdict, flush: bool) {
        let Show::OnAir(publish) = std::mem::replace(&mut self.show, Show::Nothing) else { return };
        let opened = publish.opened();
        event!(
            "publish-stopped",
            live = %opened.live,
            broadcast = %opened.broadcast,
            publish = opened.publish.get(),
            code = verdict.code.as_str(),
            reason = verdict.message,
        );
        // Who is told to come back is waited for.
        let reason = match verdict.code {
            Code::Unavailable | Code::NoEncoder => CloseReason::Lost,
            _ => CloseReason::Stopped,
        };
        self.spawn(publish.finish(reason, flush));
        self.close(verdict);
    }

    fn close(&mut self, verdict: &Verdict) {
        let code = status_code(verdict.code);
        if self.session.notify_status(StatusLevel::Error, code, &sentence(verdict)).is_err() {
            tracing::debug!("nobody to tell");
        }
        self.session.close();
    }

    /// The edge shuts down: what there is becomes the last chunk, and the publisher is told to reconnect.
    fn drain(&mut self) {
        self.draining = true;
        let verdict = Verdict::new(Code::Draining, "This server is shutting down; please reconnect.");
        match &self.show {
            Show::OnAir(_) => {
                self.end_show(CloseReason::Lost);
                self.close(&verdict);
            }
            Show::Opening { .. } => {
                self.end_show(CloseReason::Lost);
                self.refuse(&verdict, None);
            }
            Show::Nothing => self.session.close(),
        }
    }

    /// Ends whatever is going on; its end is seen to by a task of its own.
    fn end_show(&mut self, reason: CloseReason) {
        match std::mem::replace(&mut self.show, Show::Nothing) {
            Show::Nothing => {}
            Show::Opening { reply, .. } => {
                let backend = Arc::clone(&self.shared.backend);
                self.spawn(async move {
                    // The gateway may have said yes already; then it must hear that nobody came.
                    if let Ok(OpenReply::Opened(opened)) = reply.await {
                        close_unused(backend, opened, reason).await;
                    }
                });
            }
            Show::OnAir(publish) => self.spawn(publish.finish(reason, true)),
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.tasks.spawn(tracing::Instrument::in_current_span(task));
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

fn digits(hash: &KeyHash) -> &str {
    hash.as_str().get(..HASH_DIGITS).unwrap_or_default()
}

/// A name for one publish's opening: the same in every retry, never the same twice.
fn connection_id() -> String {
    clock::random_bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}
