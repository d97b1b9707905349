//! Ctrl-C and SIGTERM: the first starts the drain, the second ends everything at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the signals have asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// To stop in order.
    pub(crate) stop: CancellationToken,
    /// To stop at once.
    pub(crate) kill_now: CancellationToken,
}

/// Listens for the signals from now on.
///
/// # Errors
/// When the handlers can't be installed.
pub(crate) fn listen() -> std::io::Result<Asked> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // A terminal that is closed.
    let mut hup = signal(SignalKind::hangup())?;
    let asked = Asked::default();
    let tell = asked.clone();
    tokio::spawn(async move {
        for token in [tell.stop, tell.kill_now] {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
                _ = hup.recv() => {}
            }
            token.cancel();
        }
    });
    Ok(asked)
}
