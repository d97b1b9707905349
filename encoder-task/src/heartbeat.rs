//! The encoder's row in the table: written at start, every few seconds, at once when it begins to drain, and taken away at the end.

use std::{sync::Arc, time::Duration};

use service::{
    clock::Clock,
    table::{Encoder, Table},
};
use tokio_util::sync::CancellationToken;

use crate::manager::Manager;

/// Time between heartbeats. The gateway counts an encoder out after about three.
pub const EVERY: Duration = Duration::from_secs(2);

/// Writes heartbeats until `stop`, then takes the row away.
pub async fn run(
    table: Table,
    mut me: Encoder,
    manager: Arc<Manager>,
    clock: Clock,
    stop: CancellationToken,
) {
    let mut draining = manager.draining();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
            _ = draining.changed() => {}
        }
        me.draining = *draining.borrow_and_update();
        me.seen = clock.now();
        if let Err(error) = table.heartbeat(&me).await {
            tracing::warn!(%error, "heartbeat could not be written");
        }
    }
    if let Err(error) = table.forget_encoder(&me.id).await {
        tracing::warn!(%error, "this encoder's row could not be taken away; it expires by itself");
    }
}
