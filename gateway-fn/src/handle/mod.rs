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
        ChunkReply, CloseReply, CueReply, EndReply, GatewayRequest, HandoverReply, OpenReply, RevokedReply,
        StartReply, SweepReply,
    },
};
use routes::Routes;
use serde::Serialize;
use service::{
    backoff::Backoff,
    clock::Clock,
    config::Secret,
    table::{Encoder, Table, TableError},
};
use suspects::Suspects;
use tokio::time::Instant;

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
        // To give up in the middle is to lose a reply: the same event sent again finds what was done.
        let reply = tokio::time::timeout(budget, self.answer(&request)).await;
        let reply = reply.unwrap_or(Err(Failure::Slow(budget)));
        if let Err(error) = &reply {
            tracing::warn!(error = error as &dyn std::error::Error, "event failed");
        }
        reply
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
