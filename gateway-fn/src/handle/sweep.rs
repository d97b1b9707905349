//! `handover` and `sweep`: that every broadcast which has not ended has an encoder that works on it.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use media::{
    id::{BroadcastId, LiveId},
    wire::{EncoderEvent, Handover, HandoverReply, SweepReply},
};
use service::{event, metrics::defs::ON_AIR, table::TableError};
use tokio::time::Instant;

use super::{
    Failure, Gateway,
    tell::{Telling, Told},
};
use crate::decide::{
    HandoverDecision, RebindReason, SweepDecision,
    sweep::{handover, sweep},
};

/// Broadcasts that a sweep looks after at once: each costs a read or two and a POST, and a hung encoder makes its broadcasts wait.
const SWEEP_CONCURRENCY: usize = 32;
/// Time for looking after broadcasts: the function's own time-out (15 s) must not be what ends it, or nobody would know what is left.
const SWEEP_BUDGET: Duration = Duration::from_secs(11);
/// Time for a whole sweep, the reading of the list included.
pub(super) const SWEEP_MAX: Duration = Duration::from_secs(13);

/// What became of one broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Swept {
    Served,
    Over,
    Left,
}

impl Gateway {
    /// Answers a `handover`.
    pub(super) async fn handover(&self, request: &Handover) -> Result<HandoverReply, Failure> {
        // What this process remembers may be older than what the encoder says.
        self.routes.forget(&request.broadcast);
        match self.decided("handover", || self.judge_handover(request)).await? {
            HandoverDecision::Over => return Ok(HandoverReply::Over),
            HandoverDecision::Moved => return Ok(HandoverReply::Moved),
            HandoverDecision::Rebind => {}
        }
        let telling = Telling::new(&request.live, &request.broadcast, EncoderEvent::Check);
        let told = self.carry(&mut telling.without(request.epoch, RebindReason::HandedOver)).await?;
        Ok(match told {
            Told::Accepted(_) => HandoverReply::Moved,
            Told::Over => HandoverReply::Over,
            Told::Nobody(reason) => HandoverReply::Retry { reason: reason.to_owned() },
        })
    }

    async fn judge_handover(&self, request: &Handover) -> Result<HandoverDecision, TableError> {
        let broadcast = self.table.broadcast(&request.broadcast).await?;
        let binding = self.table.binding(&request.broadcast).await?;
        Ok(handover(broadcast.as_ref(), binding.as_ref(), request.epoch))
    }

    /// Answers a `sweep`.
    pub(super) async fn sweep(&self) -> Result<SweepReply, Failure> {
        let deadline = Instant::now() + SWEEP_BUDGET;
        let mut on_air = self.decided("sweep", || self.table.on_air()).await?;
        // A sweep that can't reach all must not leave the same ones each time.
        let first = usize::from(u16::from_le_bytes(self.clock.random_bytes()));
        let first = first.checked_rem(on_air.len()).unwrap_or(0);
        on_air.rotate_left(first);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        ON_AIR.observe(on_air.len() as f64);
        let mut reply = SweepReply { found: count(on_air.len()), ..SweepReply::default() };
        let mut rebound = 0;
        let mut checks = stream::iter(on_air)
            .map(|(broadcast, live)| async move { self.check(&live, &broadcast).await })
            .buffer_unordered(SWEEP_CONCURRENCY);
        while let Ok(Some((swept, moved))) = tokio::time::timeout_at(deadline, checks.next()).await {
            rebound += moved;
            match swept {
                Swept::Served => reply.served += 1,
                Swept::Over => reply.over += 1,
                Swept::Left => {}
            }
        }
        reply.left = reply.found - reply.served - reply.over;
        if rebound > 0 || reply.over > 0 || reply.left > 0 {
            event!(
                "swept",
                found = reply.found,
                served = reply.served,
                rebound,
                over = reply.over,
                left = reply.left
            );
        }
        Ok(reply)
    }

    /// Looks after one broadcast. Also says how often it was moved.
    async fn check(&self, live: &LiveId, broadcast: &BroadcastId) -> (Swept, u32) {
        let mut telling = Telling::new(live, broadcast, EncoderEvent::Check);
        let swept = match self.try_check(broadcast, &mut telling).await {
            Ok(swept) => swept,
            Err(error) => {
                tracing::warn!(%live, %broadcast, error = &error as &dyn std::error::Error, "broadcast not swept");
                Swept::Left
            }
        };
        (swept, telling.moved)
    }

    async fn try_check(&self, broadcast: &BroadcastId, telling: &mut Telling) -> Result<Swept, Failure> {
        let stored = self.decided("sweep", || self.table.broadcast(broadcast)).await?;
        match sweep(stored.as_ref()) {
            SweepDecision::Forget => {
                self.table.forget_on_air(broadcast).await?;
                Ok(Swept::Over)
            }
            SweepDecision::Check => Ok(match self.carry(telling).await? {
                Told::Accepted(_) => Swept::Served,
                Told::Over => Swept::Over,
                Told::Nobody(_) => Swept::Left,
            }),
        }
    }
}
