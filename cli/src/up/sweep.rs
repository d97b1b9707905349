//! The sweep, as EventBridge schedules it in production: the gateway function is asked at once and then each minute to see to every
//! broadcast that has not ended. The first one takes up what an earlier stack left on air.

use std::time::Duration;

use media::wire::{GatewayRequest, SweepReply};
use service::gateway::Gateway;

/// Time between two sweeps: EventBridge's shortest schedule.
const EVERY: Duration = Duration::from_secs(60);

/// Sweeps until dropped.
pub(super) async fn run(gateway: &Gateway) {
    let mut due = tokio::time::interval(EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        match gateway.ask::<SweepReply>(&GatewayRequest::Sweep).await {
            Ok(SweepReply { found, served, over, left }) if served < found => {
                tracing::info!(found, served, over, left, "swept");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "sweep failed, the next one follows"
                );
            }
        }
    }
}
