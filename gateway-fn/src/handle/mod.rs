//! The thin shell: reads what the decision needs, decides, writes under the condition of what was read, tells the encoder.
//!
//! Invariants: a write that lost a race is never repeated blindly: the table is read and decided on anew; every loop is bounded in
//! tries and in time, so that the caller's time-out of 10 s is not what ends it. What the gateway cannot do now becomes a function
//! error or a `retry` reply, and the caller sends the event again.

mod cue;
mod end;
mod hop;
mod open;
mod publish;
mod routes;
mod suspects;
mod sweep;
mod tell;

use std::{sync::Arc, time::Duration};

pub use hop::{Hop, HopError};
use lambda_runtime::Diagnostic;
use media::{
    id::{BroadcastId, EncoderId},
    wire::{
        ChunkReply, ChunkStored, CloseReply, CueReply, EndReply, GatewayRequest, Handover, HandoverReply,
        OpenReply, RevokedReply, StartReply, SweepReply,
    },
};
use routes::Routes;
use serde::Serialize;
use service::{
    backoff::Backoff,
    clock::Clock,
    config::Secret,
    metrics::defs::{EVENT_TIME, INVOCATIONS, UNANSWERED},
    table::{Encoder, Table, TableError},
};
use suspects::Suspects;
use tokio::time::Instant;
use tracing::Instrument;

use crate::ring;

/// Most tries of one event. Each lost race means that somebody else's write was done, so that even a burst of opens on few encoders
/// gets through.
const TRIES_MAX: u32 = 24;
/// After this long no further try is begun: with the last try's own time-out it stays under the callers' 10 s.
const TRIES_BUDGET: Duration = Duration::from_secs(6);
/// Longest time for an event whatever it waits for, a table that does not answer included: the callers wait 10 s, and a reply after that
/// would only keep the process from the next event. A sweep has its own, longer one.
const EVENT_BUDGET: Duration = Duration::from_secs(9);
/// Waits between tries: a conditional write takes some milliseconds.
const TRIES_BACKOFF: Backoff = Backoff { first: Duration::from_millis(10), max: Duration::from_millis(250) };
/// Shortest connection name, in bytes.
const CONNECTION_MIN: usize = 8;
/// Longest connection name, in bytes: it is stored.
const CONNECTION_MAX: usize = 64;

/// Why an event got no reply. All but [`Failure::Invalid`] may succeed when the same event is sent again.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It is not an event.
    #[error("the event can't be read: {0}")]
    Invalid(String),
    /// The table could not be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Others kept writing first.
    #[error("{what} lost {tries} races, the last: {last}")]
    Contended {
        /// Which event.
        what: &'static str,
        /// How often.
        tries: u32,
        /// What the last write said.
        last: TableError,
    },
    /// What it waited for did not come.
    #[error("no reply in {} s", .0.as_secs())]
    Slow(Duration),
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        let error_type = match failure {
            Failure::Invalid(_) => "InvalidEvent",
            Failure::Table(_) => "Table",
            Failure::Contended { .. } => "Contended",
            Failure::Slow(_) => "Slow",
        };
        Self { error_type: error_type.to_owned(), error_message: failure.to_string() }
    }
}

/// A reply to any event, spelled as the event's own reply type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// To `open`.
    Open(OpenReply),
    /// To `start`.
    Start(StartReply),
    /// To `chunk`.
    Chunk(ChunkReply),
    /// To `close`.
    Close(CloseReply),
    /// To `end`.
    End(EndReply),
    /// To `cue`.
    Cue(CueReply),
    /// To `handover`.
    Handover(HandoverReply),
    /// To `sweep`.
    Sweep(SweepReply),
    /// To `revoked`.
    Revoked(RevokedReply),
}

/// The gateway of one process: its clients and what it remembers between invocations.
#[derive(Debug)]
pub struct Gateway {
    table: Table,
    hop: Arc<dyn Hop>,
    clock: Clock,
    routes: Routes,
    suspects: Suspects,
}

impl Gateway {
    /// A gateway on this table, that signs what it tells encoders with `secret`.
    #[must_use]
    pub fn new(table: Table, secret: Secret) -> Self {
        let clock = Clock::default();
        Self::on(table, Arc::new(hop::Http::new(secret, clock.clone())), clock)
    }

    /// A gateway that reaches its encoders in any way.
    #[must_use]
    pub fn on(table: Table, hop: Arc<dyn Hop>, clock: Clock) -> Self {
        Self { table, hop, clock, routes: Routes::default(), suspects: Suspects::default() }
    }

    /// Handles one event as it came from Lambda.
    ///
    /// # Errors
    /// When there is no reply: the payload is not an event, or the table could not be asked.
    pub async fn handle(&self, payload: serde_json::Value) -> Result<Reply, Failure> {
        let request: GatewayRequest =
            serde_json::from_value(payload).map_err(|error| Failure::Invalid(error.to_string()))?;
        let budget = match request {
            GatewayRequest::Sweep => sweep::SWEEP_MAX,
            _ => EVENT_BUDGET,
        };
        async {
            let began = Instant::now();
            // To give up in the middle is to lose a reply: the same event sent again finds what was done.
            let reply = tokio::time::timeout(budget, self.answer(&request)).await;
            let reply = reply.unwrap_or(Err(Failure::Slow(budget)));
            count(&request, &reply);
            EVENT_TIME.observe_time(began.elapsed());
            if let Err(error) = &reply {
                tracing::warn!(error = error as &dyn std::error::Error, "event failed");
            }
            reply
        }
        .instrument(span(&request))
        .await
    }

    async fn answer(&self, request: &GatewayRequest) -> Result<Reply, Failure> {
        match request {
            GatewayRequest::Open(open) => self.open(open).await.map(Reply::Open),
            GatewayRequest::Start(start) => self.start(start).await.map(Reply::Start),
            GatewayRequest::Chunk(chunk) => self.chunk(chunk).await.map(Reply::Chunk),
            GatewayRequest::Close(close) => self.close(close).await.map(Reply::Close),
            GatewayRequest::End(end) => self.end(end).await.map(Reply::End),
            GatewayRequest::Cue(cue) => self.cue(cue).await.map(Reply::Cue),
            GatewayRequest::Handover(handover) => self.handover(handover).await.map(Reply::Handover),
            GatewayRequest::Sweep => self.sweep().await.map(Reply::Sweep),
            GatewayRequest::Revoked => self.revoked().await.map(Reply::Revoked),
        }
    }

    /// Answers a `revoked`. Asked again within a second, it is not tried again.
    async fn revoked(&self) -> Result<RevokedReply, Failure> {
        Ok(RevokedReply { revocations: self.table.revocations(self.clock.now()).await? })
    }

    /// Does `step`, which reads the table, decides and writes at most once, until it neither loses a race nor meets a failure that may
    /// pass. Each time from the reading on: a write that took effect while its reply was lost comes back as a lost race, too, and the
    /// fresh reading shows it as done.
    async fn decided<T, F>(&self, what: &'static str, step: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, TableError>>,
    {
        let mut tries = Tries::of(what);
        loop {
            match step().await {
                Ok(done) => return Ok(done),
                Err(error) => tries.after(error, &self.clock).await?,
            }
        }
    }

    /// The encoder of `encoders` that a broadcast is to be placed on.
    fn place<'a>(
        &self,
        encoders: &'a [Encoder],
        broadcast: &BroadcastId,
        excluded: &[EncoderId],
    ) -> Option<&'a Encoder> {
        let suspects = self.suspects.at(Instant::now());
        ring::place(encoders, self.clock.now(), broadcast, excluded, &suspects)
    }
}

/// Notes in the metrics what came of an event.
fn count(request: &GatewayRequest, reply: &Result<Reply, Failure>) {
    INVOCATIONS.inc(name(request));
    match reply {
        Err(_) => UNANSWERED.inc("failed"),
        Ok(
            Reply::Chunk(ChunkReply::Retry { .. })
            | Reply::Close(CloseReply::Retry { .. })
            | Reply::End(EndReply::Retry { .. })
            | Reply::Cue(CueReply::Retry { .. })
            | Reply::Handover(HandoverReply::Retry { .. }),
        ) => UNANSWERED.inc("retry"),
        Ok(_) => {}
    }
}

/// The event as it is spelled on the wire.
fn name(request: &GatewayRequest) -> &'static str {
    match request {
        GatewayRequest::Open(_) => "open",
        GatewayRequest::Start(_) => "start",
        GatewayRequest::Chunk(_) => "chunk",
        GatewayRequest::Close(_) => "close",
        GatewayRequest::End(_) => "end",
        GatewayRequest::Cue(_) => "cue",
        GatewayRequest::Handover(_) => "handover",
        GatewayRequest::Sweep => "sweep",
        GatewayRequest::Revoked => "revoked",
    }
}

/// The ids that all lines about an event have in common: a chunk is followed by them through the logs of all services.
fn span(request: &GatewayRequest) -> tracing::Span {
    match request {
        GatewayRequest::Open(open) => tracing::info_span!("open", connection = open.connection),
        GatewayRequest::Start(start) => {
            tracing::info_span!("start", broadcast = %start.broadcast, publish = start.publish.get())
        }
        GatewayRequest::Chunk(ChunkStored { live, broadcast, pos }) => {
            tracing::info_span!("chunk", %live, %broadcast, publish = pos.publish.get(), seq = pos.seq.0)
        }
        GatewayRequest::Close(close) => {
            tracing::info_span!("close", live = %close.live, broadcast = %close.broadcast, publish = close.publish.get())
        }
        GatewayRequest::End(end) => tracing::info_span!("end", live = %end.live),
        GatewayRequest::Cue(cue) => tracing::info_span!("cue", live = %cue.live),
        GatewayRequest::Handover(Handover { live, broadcast, epoch }) => {
            tracing::info_span!("handover", %live, %broadcast, epoch = epoch.0)
        }
        GatewayRequest::Sweep => tracing::info_span!("sweep"),
        GatewayRequest::Revoked => tracing::info_span!("revoked"),
    }
}

/// The bound on the tries of one event.
#[derive(Debug)]
struct Tries {
    what: &'static str,
    made: u32,
    since: Instant,
}

impl Tries {
    fn of(what: &'static str) -> Self {
        Self { what, made: 0, since: Instant::now() }
    }

    /// Counts a try; false when there must be no other.
    fn again(&mut self) -> bool {
        self.made += 1;
        self.made < TRIES_MAX && self.since.elapsed() < TRIES_BUDGET
    }

    /// After a failed read or write: waits, and returns when it is worth reading the table again.
    async fn after(&mut self, error: TableError, clock: &Clock) -> Result<(), Failure> {
        // Two transactions on one item may cancel each other: that is transient, and the same to us as a lost race.
        if !error.is_conflict() && !error.is_transient() {
            return Err(error.into());
        }
        if !self.again() {
            return Err(Failure::Contended { what: self.what, tries: self.made, last: error });
        }
        TRIES_BACKOFF.sleep(self.made, clock).await;
        Ok(())
    }
}

/// Checks a connection's name.
fn check_connection(connection: &str) -> Result<(), Failure> {
    let fits = (CONNECTION_MIN..=CONNECTION_MAX).contains(&connection.len())
        && connection.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if fits {
        return Ok(());
    }
    Err(Failure::Invalid(format!(
        "a connection is {CONNECTION_MIN} to {CONNECTION_MAX} of the characters a-z, A-Z, 0-9 and '-'"
    )))
}
