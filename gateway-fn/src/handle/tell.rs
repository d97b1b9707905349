//! Telling the bound encoder what happened, and binding another when it can't be told.
//!
//! Invariant: whoever is told last holds the binding, at an epoch that grew by one at each move. A wrong suspicion is harmless: the
//! encoder that was left can't commit any more, and the new one goes on after the last ledger row.

use std::time::Instant;

use media::{
    id::{BroadcastId, EncoderId, Epoch, LiveId},
    verdict::Verdict,
    wire::{EncoderEvent, EncoderRequest},
};
use service::{
    clock, event,
    table::{Binding, TableError},
};

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

impl Gateway {
    /// Tells the encoder that `broadcast` is bound to, or the next one that can be bound.
    pub(super) async fn tell(
        &self,
        live: &LiveId,
        broadcast: &BroadcastId,
        what: EncoderEvent,
    ) -> Result<Told, Failure> {
        let mut request =
            EncoderRequest { live: live.clone(), broadcast: broadcast.clone(), epoch: Epoch::FIRST, what };
        let mut tries = Tries::of("tell");
        // Encoders that failed during this event, and why the last binding can't be used.
        let (mut excluded, mut failed, mut stale) = (Vec::new(), None, None);
        loop {
            let Some(route) = self.route(broadcast).await? else { return Ok(Told::Over) };
            request.epoch = route.binding.epoch;
            let reaction = match failed {
                // The binding that failed still stands, because the move to another lost a race: do not ask again.
                Some((epoch, reason)) if epoch == request.epoch => Reaction::Rebind(reason),
                _ => react(self.ask(&route, &request).await, stale == Some(request.epoch)),
            };
            match reaction {
                Reaction::Accepted(verdicts) => return Ok(Told::Accepted(verdicts)),
                Reaction::Over => {
                    self.routes.forget(broadcast);
                    return Ok(Told::Over);
                }
                Reaction::LookAgain => {
                    self.routes.forget(broadcast);
                    stale = Some(request.epoch);
                    // It may only be too busy, or have read the table just before the binding came.
                    TRIES_BACKOFF.sleep(1).await;
                }
                Reaction::Rebind(reason) => {
                    self.routes.forget(broadcast);
                    failed = Some((request.epoch, reason));
                    if !excluded.contains(&route.binding.encoder) {
                        excluded.push(route.binding.encoder.clone());
                    }
                    match self.rebind(live, broadcast, &route.binding, &excluded, reason).await {
                        Ok(true) => {}
                        Ok(false) => return Ok(Told::Nobody("no other encoder is alive")),
                        Err(error) => {
                            tries.after(error).await?;
                            continue;
                        }
                    }
                }
            }
            if !tries.again() {
                return Ok(Told::Nobody("no encoder answered in time"));
            }
        }
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

    /// Moves a broadcast to the next encoder on the ring; false when there is none but the `excluded`.
    async fn rebind(
        &self,
        live: &LiveId,
        broadcast: &BroadcastId,
        seen: &Binding,
        excluded: &[EncoderId],
        reason: RebindReason,
    ) -> Result<bool, TableError> {
        let encoders = self.table.encoders().await?;
        let mut ring = Ring::new(&encoders, clock::now(), excluded);
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
