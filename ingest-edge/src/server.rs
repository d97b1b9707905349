//! The listeners: accept, admit, shake hands, serve each connection in a task of its own; and the drain at the end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use service::{
    clock::Clock,
    drain,
    metrics::defs::{CONNECTIONS, CONNECTIONS_REFUSED, HANDSHAKES_FAILED},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use crate::{
    admission::{Admission, Slot},
    backend::Backend,
    connection::{self, Connection, FLUSH_GRACE, LEAVE_MAX, Shared},
    revocation,
    tls::Certificate,
};

/// Wait after a failed accept (out of file descriptors): closing connections give some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time for all publishes to end when the process is asked to stop. The process ends as soon as they have, which takes seconds while all is
/// well; the rest is for an outage of S3 or the gateway meanwhile, and as long as Fargate allows (a `stopTimeout` of 120 s, less what the
/// process itself takes): what is not stored by then is lost.
pub const DRAIN_GRACE: Duration = Duration::from_secs(110);
/// What `close` is left with of [`DRAIN_GRACE`] when all else took as long as it may.
const CLOSE_SHARE: Duration = Duration::from_secs(30);
const _: () = assert!(
    LEAVE_MAX.as_secs() + FLUSH_GRACE.as_secs() + CLOSE_SHARE.as_secs() <= DRAIN_GRACE.as_secs(),
    "a publish may take longer to end than the process waits"
);

/// The edge, listening.
pub struct Server<B> {
    shared: Arc<Shared<B>>,
    admission: Arc<Admission>,
    certificate: Arc<Certificate>,
    tls_timeout: Duration,
    connections: TaskTracker,
}

impl<B: Backend> Server<B> {
    /// A server that serves connections with `shared`. A TLS handshake may take `tls_timeout`.
    #[must_use]
    pub fn new(
        shared: Shared<B>,
        admission: Arc<Admission>,
        certificate: Certificate,
        tls_timeout: Duration,
    ) -> Self {
        Self {
            shared: Arc::new(shared),
            admission,
            certificate: Arc::new(certificate),
            tls_timeout,
            connections: TaskTracker::new(),
        }
    }

    /// Serves until `stop`, then lets every publisher finish.
    pub async fn run(self, rtmps: TcpListener, rtmp: Option<TcpListener>, stop: CancellationToken) {
        let plain = async {
            match rtmp {
                Some(listener) => self.accept(listener, false, &stop).await,
                None => stop.cancelled().await,
            }
        };
        let serve = async {
            tokio::join!(self.accept(rtmps, true, &stop), plain);
            self.shared.drain.cancel();
            drain::within(DRAIN_GRACE, "publishes finished", async {
                self.connections.close();
                self.connections.wait().await;
                self.shared.tasks.close();
                self.shared.tasks.wait().await;
            })
            .await;
        };
        // The watch never ends by itself.
        let watch = revocation::watch(Arc::clone(&self.shared.backend), Arc::clone(&self.shared.on_air));
        tokio::select! {
            () = serve => {}
            () = watch => {}
        }
    }

    async fn accept(&self, listener: TcpListener, secure: bool, stop: &CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((socket, peer)) => match self.admission.admit(peer.ip()) {
                    Ok(slot) => self.serve(socket, peer, slot, secure),
                    Err(full) => {
                        CONNECTIONS_REFUSED.inc(full.bound());
                        tracing::warn!(peer = %peer, reason = %full, "connection turned away");
                    }
                },
                Err(error) => {
                    tracing::error!(error = %error, "accepting failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, socket: TcpStream, peer: SocketAddr, slot: Slot, secure: bool) {
        let id = connection_name(self.shared.backend.clock());
        let span = tracing::info_span!("connection", connection = id);
        let (shared, tls_timeout) = (Arc::clone(&self.shared), self.tls_timeout);
        let acceptor = secure.then(|| self.certificate.acceptor());
        let task = async move {
            let _open = CONNECTIONS.hold(1.0);
            // Answers are small and awaited.
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(error = %error, "no TCP_NODELAY");
            }
            let Some(acceptor) = acceptor else {
                return Connection::new(socket, peer, shared, slot).run().await;
            };
            let displaced = slot.displaced();
            let accepted = tokio::select! {
                () = displaced.cancelled() => return connection::displaced(peer),
                accepted = tokio::time::timeout(tls_timeout, acceptor.accept(socket)) => accepted,
            };
            match accepted {
                Ok(Ok(stream)) => Connection::new(stream, peer, shared, slot).run().await,
                // Gone without a word: a load balancer that looks whether the port is open.
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    tracing::debug!(peer = %peer, "closed before the tls handshake");
                }
                Ok(Err(error)) => {
                    HANDSHAKES_FAILED.inc("tls");
                    tracing::info!(peer = %peer, error = %error, "tls handshake failed");
                }
                Err(_) => {
                    HANDSHAKES_FAILED.inc("tls");
                    tracing::info!(peer = %peer, "tls handshake took too long");
                }
            }
        };
        self.connections.spawn(task.instrument(span));
    }
}

/// What the lines of one connection have in common in the log.
fn connection_name(clock: &Clock) -> String {
    clock.random_bytes::<6>().iter().map(|byte| format!("{byte:02x}")).collect()
}
