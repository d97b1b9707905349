//! Serving HTTP/1.1 on one listener: the accept loop that every part of the stack shares, with its limits and its
//! orderly end.
//!
//! Invariants: no more than [`Limits::connections`] are open at once; a peer that sends no complete request head,
//! or takes no byte of a response, for the stated time loses its connection; after [`Server::shutdown`] returns,
//! nothing listens and no connection is served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Error;
use crate::stall::StallGuard;

/// How long requests in flight may go on after a shutdown began.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// After accepting failed (typically: out of file descriptors) trying at once would only spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What a listener allows its peers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections open at once; further ones wait in the kernel's backlog.
    pub(crate) connections: usize,
    /// From the connection's start, or the end of the last response, to the end of a request's head.
    pub(crate) head_time: Duration,
    /// How long a peer may take no byte of a response.
    pub(crate) stall_time: Duration,
    /// Bytes of a request's head; also the read buffer.
    pub(crate) head_bytes: usize,
}

impl Limits {
    /// For programs on the same machine, which pool their connections.
    pub(crate) const PROGRAMS: Self = Self {
        connections: 2048,
        head_time: Duration::from_secs(120),
        stall_time: Duration::from_secs(60),
        // The SDKs' signed heads stay below 4 KB, S3 user metadata takes another 2 KB.
        head_bytes: 64 * 1024,
    };
    /// For viewers, who may be slow, many and malicious.
    pub(crate) const VIEWERS: Self = Self {
        connections: 1024,
        head_time: Duration::from_secs(60),
        stall_time: Duration::from_secs(30),
        // CloudFront takes URLs of 8192 bytes and heads of 32 768 in all (CloudFront quotas).
        head_bytes: 32 * 1024,
    };
}

/// Listens on `address`; `part` and `setting` name it in the error.
pub(crate) async fn listen(
    part: &'static str,
    setting: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { part, address, setting, source })
}

/// A listener being served.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
    part: &'static str,
}

impl Server {
    /// Serves `service` on `listener`.
    pub(crate) fn start<S, B>(
        part: &'static str,
        listener: TcpListener,
        limits: Limits,
        service: S,
    ) -> Result<Self, Error>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        B: hyper::body::Body + Send + 'static,
        B::Data: Buf + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        let address = listener.local_addr().map_err(|source| Error::Listen {
            part,
            address: unspecified,
            setting: "address",
            source,
        })?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(accept(part, listener, limits, service, stop.clone(), tasks.clone()));
        tracing::debug!(part, %address, "listening");
        Ok(Self { address, stop, tasks, part })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets requests in flight finish for a bounded time, and closes what is left.
    pub(crate) async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        tracing::debug!(part = self.part, "stopped");
    }
}

async fn accept<S, B>(
    part: &'static str,
    listener: TcpListener,
    limits: Limits,
    service: S,
    stop: CancellationToken,
    tasks: TaskTracker,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            Some((listener.accept().await, place))
        };
        let (accepted, place) = tokio::select! {
            next = next => match next {
                Some(next) => next,
                None => return,
            },
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(serve(stream, place, limits, service.clone(), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(part, error = &error as &dyn std::error::Error, "accepting failed");
                tokio::select! {
                    () = tokio::time::sleep(ACCEPT_RETRY) => {}
                    () = stop.cancelled() => return,
                }
            }
        }
    }
}

async fn serve<S, B>(
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
    limits: Limits,
    service: S,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // Without it a response's last small segment waits for the peer's delayed acknowledgement, some 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = &error as &dyn std::error::Error, "peer left at once");
        return;
    }
    let io = TokioIo::new(StallGuard::new(stream, limits.stall_time));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(limits.head_bytes)
        .serve_connection(io, service);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(DRAIN_GRACE, connection).await {
                Ok(served) => served,
                Err(_) => {
                    tracing::warn!("request outlived the shutdown, connection closed");
                    return;
                }
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended early");
    }
}
