//! Telling the bound encoder what happened, and binding another when it can't be told.
//!
//! Invariant: whoever is told last holds the binding, at an epoch that grew by one at each move. A wrong suspicion is harmless: the
//! encoder that was left can't commit any more, and the new one goes on after the last ledger row.

use std::time::Duration;

use media::{
    id::{BroadcastId, EncoderId, Epoch, LiveId},
    verdict::Verdict,
    wire::{EncoderEvent, EncoderRequest},
};
use service::{
    event,
    metrics::defs::{NOTICE_TIME, NOTICES_FAILED, REBINDS},
    table::{Binding, TableError},
};
use tokio::time::Instant;

use super::{Failure, Gateway, HopError, TRIES_BACKOFF, Tries, routes::Route};
use crate::decide::{
    Heard, Reaction, RebindReason,
    tell::{is_failure, react},
};

/// Time for an answer, connection included. An encoder answers when it has noted the event, from memory and before any transcoding: in
/// some milliseconds, and within half of this while it still reads the ledger of what it has just been bound to. A hung one costs each
/// of its broadcasts this wait at the next chunk, and the viewers with it, so there is no room for patience; a wrong suspicion is
/// harmless.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// The same for the first word to an encoder that this event has bound: it reads two rows first, and when the table is slow for all,
/// moving on to the next would only make that one read them, too.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(2);

/// What came of telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// An encoder has taken charge. Verdicts found since the last notice.
    Accepted(Vec<Verdict>),
    /// The broadcast is over, or bound to nobody any more.
    Over,
    /// No encoder could take it now: why.
    Nobody(&'static str),
}

/// One event on its way to whoever is bound to its broadcast, and what became of it so far.
#[derive(Debug)]
pub(super) struct Telling {
    request: EncoderRequest,
    tries: Tries,
    /// Encoders that failed during this event.
    excluded: Vec<EncoderId>,
    /// The last binding that can't be used, and why.
    failed: Option<(Epoch, RebindReason)>,
    /// The last binding that its own encoder took for another's.
    stale: Option<Epoch>,
    /// The binding that this event has made last.
    made: Option<Epoch>,
    /// How often the broadcast was moved.
    pub(super) moved: u32,
}

impl Telling {
    pub(super) fn new(live: &LiveId, broadcast: &BroadcastId, what: EncoderEvent) -> Self {
        let (live, broadcast) = (live.clone(), broadcast.clone());
        Self {
            request: EncoderRequest { live, broadcast, epoch: Epoch::FIRST, what },
            tries: Tries::of("tell"),
            excluded: Vec::new(),
            failed: None,
            stale: None,
            made: None,
            moved: 0,
        }
    }

    /// Whoever has the broadcast under this epoch is not to be asked.
    pub(super) fn without(mut self, epoch: Epoch, reason: RebindReason) -> Self {
        self.failed = Some((epoch, reason));
        self
    }
}

impl Gateway {
    /// Tells the encoder that `broadcast` is bound to, or the next one that can be bound.
    pub(super) async fn tell(
        &self,
        live: &LiveId,
        broadcast: &BroadcastId,
        what: EncoderEvent,
    ) -> Result<Told, Failure> {
        self.carry(&mut Telling::new(live, broadcast, what)).await
    }

    /// Brings an event to an encoder. Every race that was lost, and every call to the table that failed for now, leads back to a fresh
    /// look at the binding.
    pub(super) async fn carry(&self, telling: &mut Telling) -> Result<Told, Failure> {
        loop {
            match self.try_carry(telling).await {
                Ok(Some(told)) => return Ok(told),
                Ok(None) if telling.tries.again() => {}
                Ok(None) => return Ok(Told::Nobody("no encoder answered in time")),
                Err(error) => telling.tries.after(error, &self.clock).await?,
            }
        }
    }

    /// Asks once, and moves the broadcast if that is what the answer means; `None` when whoever is bound now is to be asked.
    async fn try_carry(&self, telling: &mut Telling) -> Result<Option<Told>, TableError> {
        let Some(route) = self.route(&telling.request.broadcast).await? else { return Ok(Some(Told::Over)) };
        let epoch = route.binding.epoch;
        telling.request.epoch = epoch;
        let reaction = match telling.failed {
            // The binding that failed still stands, because the move to another lost a race: do not ask again.
            Some((failed, reason)) if failed == epoch => Reaction::Rebind(reason),
            _ => {
                let patience = if telling.made == Some(epoch) { CLAIM_TIMEOUT } else { ANSWER_TIMEOUT };
                react(self.ask(&route, &telling.request, patience).await, telling.stale == Some(epoch))
            }
        };
        if !matches!(reaction, Reaction::Accepted(_)) {
            self.routes.forget(&telling.request.broadcast);
        }
        match reaction {
            Reaction::Accepted(verdicts) => {
                tracing::info!(encoder = %route.binding.encoder, epoch = epoch.0, "encoder told");
                return Ok(Some(Told::Accepted(verdicts)));
            }
            Reaction::Over => return Ok(Some(Told::Over)),
            Reaction::LookAgain => {
                telling.stale = Some(epoch);
                // It may only be too busy, or have read the table just before the binding came.
                TRIES_BACKOFF.sleep(1, &self.clock).await;
            }
            Reaction::Rebind(reason) => {
                telling.failed = Some((epoch, reason));
                if !telling.excluded.contains(&route.binding.encoder) {
                    telling.excluded.push(route.binding.encoder.clone());
                }
                if is_failure(reason) {
                    self.suspects.note(&route.binding.encoder, Instant::now());
                }
                telling.made = self.rebind(telling, &route.binding, reason).await?;
                if telling.made.is_none() {
                    return Ok(Some(Told::Nobody("no other encoder is alive")));
                }
                telling.moved += 1;
            }
        }
        Ok(None)
    }

    /// The route of a broadcast, remembered or read; `None` when it has no binding.
    async fn route(&self, broadcast: &BroadcastId) -> Result<Option<Route>, TableError> {
        if let Some(route) = self.routes.get(broadcast, Instant::now()) {
            return Ok(Some(route));
        }
        let Some(binding) = self.table.binding(broadcast).await? else { return Ok(None) };
        let encoder = self.table.encoder(&binding.encoder).await?;
        let route = Route { binding, address: encoder.map(|encoder| encoder.address) };
        self.routes.note(broadcast, route.clone(), Instant::now());
        Ok(Some(route))
    }

    /// Asks the encoder of a route. Its heartbeat's age does not matter: as long as it answers, the binding stands.
    async fn ask(&self, route: &Route, request: &EncoderRequest, patience: Duration) -> Heard {
        let Some(address) = &route.address else { return Heard::Gone };
        let began = Instant::now();
        let answer = tokio::time::timeout(patience, self.hop.post(address, request)).await;
        NOTICE_TIME.observe_time(began.elapsed());
        match answer.unwrap_or(Err(HopError::Silent)) {
            Ok(reply) => {
                self.suspects.clear(&route.binding.encoder);
                Heard::Reply(reply)
            }
            Err(error) => {
                NOTICES_FAILED.inc();
                tracing::warn!(
                    broadcast = %request.broadcast,
                    encoder = %route.binding.encoder,
                    address,
                    error = &error as &dyn std::error::Error,
                    "encoder did not answer"
                );
                Heard::Nothing
            }
        }
    }

    /// Moves a broadcast to the next encoder on the ring; the new epoch, or `None` when there is nobody but those that failed.
    async fn rebind(
        &self,
        telling: &Telling,
        seen: &Binding,
        reason: RebindReason,
    ) -> Result<Option<Epoch>, TableError> {
        let (live, broadcast) = (&telling.request.live, &telling.request.broadcast);
        let encoders = self.table.encoders().await?;
        let Some(encoder) = self.place(&encoders, broadcast, &telling.excluded) else {
            tracing::warn!(%broadcast, encoder = %seen.encoder, reason = reason.as_str(), "no other encoder is alive");
            return Ok(None);
        };
        let binding = self.table.rebind(broadcast, seen, encoder).await?;
        let epoch = binding.epoch;
        REBINDS.inc(reason.as_str());
        event!(
            "rebound",
            %live,
            %broadcast,
            from = %seen.encoder,
            to = %binding.encoder,
            epoch = epoch.0,
            reason = reason.as_str()
        );
        let route = Route { binding, address: Some(encoder.address.clone()) };
        self.routes.note(broadcast, route, Instant::now());
        Ok(Some(epoch))
    }
}
