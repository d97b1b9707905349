//! The encoder's row in the table: written at start, every few seconds, at once when it begins to drain, and taken away at the end.

use std::{sync::Arc, time::Duration};

use service::{
    clock::Clock,
    metrics::defs::{HEARTBEATS_FAILED, LOAD, STAGE_TRANSCODE, UNREADY},
    table::{Encoder, Table},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{manager::Manager, session::transcoder::CHUNKS_AT_ONCE};

/// Time between heartbeats. The gateway counts an encoder out after about three.
pub const EVERY: Duration = Duration::from_secs(2);

/// A heartbeat that takes longer is given up for the next, which says what is so then.
const WITHIN: Duration = Duration::from_secs(4);

/// Keeps [`LOAD`]: how much of the time since the last look was spent at transcoding.
struct Load {
    places: usize,
    /// Seconds of transcoding so far.
    busy: f64,
    at: Instant,
}

impl Load {
    fn look(&mut self) {
        let (busy, at) = (STAGE_TRANSCODE.get().sum, Instant::now());
        let seconds = (at - self.at).as_secs_f64();
        if seconds > 0.0 {
            LOAD.set((busy - self.busy) / (seconds * self.places as f64));
        }
        (self.busy, self.at) = (busy, at);
    }
}

/// Writes heartbeats until `stop`, then takes the row away.
pub async fn run(
    table: Table,
    mut me: Encoder,
    manager: Arc<Manager>,
    clock: Clock,
    stop: CancellationToken,
) {
    let mut draining = manager.draining();
    let mut load = Load { places: CHUNKS_AT_ONCE, busy: 0.0, at: Instant::now() };
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
            _ = draining.changed() => {}
        }
        let leaving = *draining.borrow_and_update();
        // Nobody should be placed where the storage is out of reach.
        me.draining = leaving || manager.is_ailing();
        UNREADY.set(if me.draining { 1.0 } else { 0.0 });
        load.look();
        me.seen = clock.now();
        match tokio::time::timeout(WITHIN, table.heartbeat(&me)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                HEARTBEATS_FAILED.inc();
                tracing::warn!(%error, "heartbeat could not be written");
            }
            Err(_) => {
                HEARTBEATS_FAILED.inc();
                tracing::warn!("heartbeat could not be written in time");
            }
        }
    }
    if let Err(error) = table.forget_encoder(&me.id).await {
        tracing::warn!(%error, "this encoder's row could not be taken away; it expires by itself");
    }
}
