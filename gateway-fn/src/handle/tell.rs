//! Telling the bound encoder what happened, and binding another when it can't be told.
//!
//! Invariant: whoever is told last holds the binding, at an epoch that grew by one at each move. A wrong suspicion is harmless: the
//! encoder that was left can't commit any more, and the new one goes on after the last ledger row.

use media::{
    id::{BroadcastId, EncoderId, Epoch, LiveId},
    verdict::Verdict,
    wire::{EncoderEvent, EncoderRequest},
};
use service::{
    event,
    table::{Binding, TableError},
};
use tokio::time::Instant;

use super::{Failure, Gateway, TRIES_BACKOFF, Tries, routes::Route};
use crate::{
    decide::{Heard, Reaction, RebindReason, tell::react},
    ring::Ring,
};

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
            _ => react(self.ask(&route, &telling.request).await, telling.stale == Some(epoch)),
        };
        if !matches!(reaction, Reaction::Accepted(_)) {
            self.routes.forget(&telling.request.broadcast);
        }
        match reaction {
            Reaction::Accepted(verdicts) => return Ok(Some(Told::Accepted(verdicts))),
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
                if !self.rebind(telling, &route.binding, reason).await? {
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
    async fn ask(&self, route: &Route, request: &EncoderRequest) -> Heard {
        let Some(address) = &route.address else { return Heard::Gone };
        match self.hop.post(address, request).await {
            Ok(reply) => Heard::Reply(reply),
            Err(error) => {
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

    /// Moves a broadcast to the next encoder on the ring; false when there is none but those that failed.
    async fn rebind(
        &self,
        telling: &Telling,
        seen: &Binding,
        reason: RebindReason,
    ) -> Result<bool, TableError> {
        let (live, broadcast) = (&telling.request.live, &telling.request.broadcast);
        let encoders = self.table.encoders().await?;
        let mut ring = Ring::new(&encoders, self.clock.now(), &telling.excluded);
        let Some(encoder) = ring.place(broadcast) else {
            tracing::warn!(%broadcast, encoder = %seen.encoder, reason = reason.as_str(), "no other encoder is alive");
            return Ok(false);
        };
        let binding = self.table.rebind(broadcast, seen, encoder).await?;
        event!(
            "rebound",
            %live,
            %broadcast,
            from = %seen.encoder,
            to = %binding.encoder,
            epoch = binding.epoch.0,
            reason = reason.as_str()
        );
        let route = Route { binding, address: Some(encoder.address.clone()) };
        self.routes.note(broadcast, route, Instant::now());
        Ok(true)
    }
}
