//! The HTTP fault proxy: stands before one service for one process, passes requests on unchanged, and does to them what [`Faults`] say
//! at that moment.
//!
//! Invariants: a request is passed on with the very head and body that came (signatures hold), or not at all; a fault is what the real
//! service or network would show: its own error document, a TCP reset, silence.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context as Task, Poll},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, header, uri::Uri};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use super::faults::{Dice, Fate, Faults};

/// Headers of one connection only (RFC 9110, 7.6.1), and those that the proxy's own client writes anew.
const HOP_BY_HOP: [HeaderName; 5] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::EXPECT, header::UPGRADE, header::TE];

/// What a proxy stands before: says what an error looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// 503 SlowDown.
    S3,
    /// 400 ProvisionedThroughputExceededException or ThrottlingException.
    DynamoDb,
    /// 429 TooManyRequestsException or 500 ServiceException.
    Lambda,
    /// 503 without a word.
    Encoder,
}

/// What a proxy has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Passed on and answered.
    pub passed: u64,
    /// Answered with an error.
    pub errors: u64,
    /// Reset.
    pub resets: u64,
    /// Passed on, reply lost.
    pub lost_replies: u64,
    /// Held by a black hole, for a while or for good.
    pub held: u64,
}

impl std::ops::Add for Counts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            errors: self.errors + other.errors,
            resets: self.resets + other.resets,
            lost_replies: self.lost_replies + other.lost_replies,
            held: self.held + other.held,
        }
    }
}

#[derive(Debug)]
struct Shared {
    before: Before,
    upstream: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    faults: watch::Sender<Faults>,
    dice: Mutex<Dice>,
    counts: [AtomicU64; 5],
}

/// A running proxy. Dropping it closes its listener and resets what is open.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy on loopback before `upstream`. `name` and `seed` decide whom its faults hit.
    ///
    /// # Errors
    /// When it can't listen.
    pub fn start(
        runtime: &Handle,
        before: Before,
        upstream: SocketAddr,
        seed: u64,
        name: &str,
    ) -> Result<Self> {
        let _entered = runtime.enter();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a proxy's listener")?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let shared = Arc::new(Shared {
            before,
            upstream,
            client: Client::builder(TokioExecutor::new()).build(connector),
            faults: watch::Sender::new(Faults::NONE),
            dice: Mutex::new(Dice::new(seed, name)),
            counts: Default::default(),
        });
        let serving = runtime.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://…`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what it does, from this moment on.
    pub fn set(&self, faults: Faults) {
        self.shared.faults.send_replace(faults);
    }

    /// What it has done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let [passed, errors, resets, lost_replies, held] =
            [0, 1, 2, 3, 4].map(|at: usize| self.shared.counts[at].load(Ordering::Relaxed));
        Counts { passed, errors, resets, lost_replies, held }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The task owns the listener and, through its set, every connection.
        self.serving.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A client that is gone already.
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let cut = Arc::new(AtomicBool::new(false));
    let io = TokioIo::new(Line { stream, cut: Arc::clone(&cut) });
    let service = service_fn(move |request| {
        let (shared, cut) = (Arc::clone(&shared), Arc::clone(&cut));
        async move {
            let answer = shared.answer(request).await;
            if answer.is_none() {
                cut.store(true, Ordering::Relaxed);
            }
            answer.ok_or(io::Error::from(io::ErrorKind::ConnectionReset))
        }
    });
    // An error is a client that left, or our own reset.
    let _ = http1::Builder::new().serve_connection(io, service).await;
}

impl Shared {
    /// The answer to a request; `None` to reset its connection.
    async fn answer(&self, request: Request<Incoming>) -> Option<Response<Full<Bytes>>> {
        self.open().await;
        let faults = *self.faults.borrow();
        let (fate, delay) = {
            let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
            (dice.fate(&faults), dice.delay(&faults))
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match fate {
            Fate::Reset => {
                self.count(2);
                None
            }
            Fate::Error => {
                // Read to its end, as a server does that wants to keep the connection.
                request.into_body().collect().await.ok()?;
                self.count(1);
                Some(self.error())
            }
            Fate::Pass | Fate::LoseReply => {
                let answer = self.pass(request).await;
                self.open().await;
                if fate == Fate::LoseReply {
                    self.count(3);
                    return None;
                }
                self.count(0);
                answer
            }
        }
    }

    /// Returns when no black hole is here.
    async fn open(&self) {
        let mut faults = self.faults.subscribe();
        if faults.borrow_and_update().black_hole {
            self.count(4);
            // The sender lives as long as this does.
            let _ = faults.wait_for(|faults| !faults.black_hole).await;
        }
    }

    async fn pass(&self, request: Request<Incoming>) -> Option<Response<Full<Bytes>>> {
        let (mut head, body) = request.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = format!("http://{}{path}", self.upstream).parse::<Uri>().ok()?;
        strip(&mut head.headers);
        let reply = self.client.request(Request::from_parts(head, Full::new(body))).await.ok()?;
        let (mut head, body) = reply.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        strip(&mut head.headers);
        Some(Response::from_parts(head, Full::new(body)))
    }

    fn count(&self, what: usize) {
        self.counts[what].fetch_add(1, Ordering::Relaxed);
    }

    fn error(&self) -> Response<Full<Bytes>> {
        let odd = self.counts[1].load(Ordering::Relaxed) % 2 == 1;
        let json = |status: StatusCode, code: &str, namespace: &str| {
            let body = format!(r#"{{"__type":"{namespace}{code}","message":"Rate exceeded"}}"#);
            (status, "application/x-amz-json-1.0", Some(code.to_owned()), body)
        };
        let dynamodb = "com.amazonaws.dynamodb.v20120810#";
        let (status, content_type, code, body) = match self.before {
            Before::S3 => (
                StatusCode::SERVICE_UNAVAILABLE,
                "application/xml",
                None,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code><Message>Please reduce your request \
                 rate.</Message><RequestId>CHAOS</RequestId><HostId>chaos</HostId></Error>"
                    .to_owned(),
            ),
            Before::DynamoDb if odd => {
                json(StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException", dynamodb)
            }
            Before::DynamoDb => json(StatusCode::BAD_REQUEST, "ThrottlingException", dynamodb),
            Before::Lambda if odd => json(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", ""),
            Before::Lambda => json(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", ""),
            Before::Encoder => (StatusCode::SERVICE_UNAVAILABLE, "text/plain", None, String::new()),
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
        if let Some(code) = code.and_then(|code| code.parse().ok()) {
            headers.insert("x-amzn-errortype", code);
        }
        response
    }
}

fn strip(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// A connection that can be ended by a TCP reset: set `cut`, then drop it.
struct Line {
    stream: TcpStream,
    cut: Arc<AtomicBool>,
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.cut.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(task, to)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Task<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(task, from)
    }
    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}

#[cfg(test)]
mod tests;
