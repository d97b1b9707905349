//! The end of a process: SIGTERM or SIGINT starts a drain, once; a grace period bounds it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Cancelled when the process has been asked to stop.
///
/// # Errors
/// When the signal handlers can't be installed.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let drain = token.clone();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "draining");
        drain.cancel();
    });
    Ok(token)
}

/// Waits for `work` at most `grace`; says so in the log if it overran. True when it ended by itself.
pub async fn within(grace: Duration, what: &'static str, work: impl Future<Output = ()>) -> bool {
    let ended = tokio::time::timeout(grace, work).await.is_ok();
    if !ended {
        tracing::warn!(
            what,
            grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            "drain overran its grace"
        );
    }
    ended
}
