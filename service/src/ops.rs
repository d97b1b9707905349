//! What operators and their tools ask a process: `/metrics` for Prometheus, `/healthz` and `/readyz`. A listener of its own, which is off
//! unless `GOPCAST_OPS_ADDR` is set, so that nothing of it is ever on a public port.
//!
//! Invariants: nothing here changes anything; what is open at once, and for how long, is bounded.

use std::{convert::Infallible, fmt, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Env,
    metrics::{Role, prometheus},
};

/// The variable with the address.
pub const ADDR_VAR: &str = "GOPCAST_OPS_ADDR";
/// Connections at once: a few scrapers and people.
const CONNECTIONS_MAX: usize = 16;
/// Time for a request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// Longest life of a connection: scrapers come again.
const CONNECTION_MAX: Duration = Duration::from_secs(300);
/// Wait after a failed accept (out of file descriptors): closing connections give some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Reads where to listen, if anywhere.
pub fn address(env: &mut Env) -> Option<SocketAddr> {
    env.optional(ADDR_VAR)
}

/// Why a process should not be given work.
pub type Unready = &'static str;

/// What the answers are made of.
#[derive(Clone)]
pub struct Ops {
    role: Role,
    /// Why the process should not be given work, if so.
    unready: Arc<dyn Fn() -> Option<Unready> + Send + Sync>,
}

impl fmt::Debug for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ops").field("role", &self.role).finish_non_exhaustive()
    }
}

impl Ops {
    /// Answers for a process; `unready` says why it should not be given work, and nothing while it should.
    pub fn new(role: Role, unready: impl Fn() -> Option<Unready> + Send + Sync + 'static) -> Self {
        Self { role, unready: Arc::new(unready) }
    }

    /// Listens where `GOPCAST_OPS_ADDR` says, if it is set; serves in a task of its own until `stop`. Where it listens.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub async fn listen(
        self,
        at: Option<SocketAddr>,
        stop: CancellationToken,
    ) -> anyhow::Result<Option<SocketAddr>> {
        let Some(at) = at else { return Ok(None) };
        let listener = TcpListener::bind(at).await.map_err(|error| {
            anyhow::anyhow!("can't listen on {at}: set {ADDR_VAR} to a free address ({error})")
        })?;
        let listening = listener.local_addr()?;
        tokio::spawn(self.serve(listener, stop));
        Ok(Some(listening))
    }

    /// Serves until `stop`.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        serve(listener, stop, move |asked| self.answer(asked.path)).await;
    }

    fn answer(&self, path: &str) -> Answer {
        match path {
            "/metrics" => Answer::ok(prometheus::CONTENT_TYPE, prometheus::expose(self.role)),
            "/healthz" => Answer::ok(JSON, status("ok")),
            "/readyz" => match (self.unready)() {
                None => Answer::ok(JSON, status("ok")),
                Some(why) => {
                    Answer { status: StatusCode::SERVICE_UNAVAILABLE, ..Answer::ok(JSON, status(why)) }
                }
            },
            _ => Answer::not_found("there are /metrics, /healthz and /readyz\n"),
        }
    }
}

/// The content type of JSON.
pub const JSON: &str = "application/json";

/// What is asked: a GET or a HEAD.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The path, without the query.
    pub path: &'a str,
    /// The host that the client believes to talk to.
    pub host: &'a str,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP's status.
    pub status: StatusCode,
    /// Its content type.
    pub content_type: &'static str,
    /// Its content.
    pub body: Bytes,
}

impl Answer {
    /// 200.
    #[must_use]
    pub fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, content_type, body: body.into() }
    }

    /// 404, and what there is instead.
    #[must_use]
    pub fn not_found(says: &'static str) -> Self {
        Self { status: StatusCode::NOT_FOUND, ..Self::ok("text/plain; charset=utf-8", says) }
    }
}

/// Answers every GET on a listener with `answer`, which must not block, until `stop`.
pub async fn serve(
    listener: TcpListener,
    stop: CancellationToken,
    answer: impl Fn(Asked<'_>) -> Answer + Send + Sync + 'static,
) {
    let (slots, answer) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Arc::new(answer));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((socket, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Beyond the bound the socket is closed at once.
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let _slot = slot;
            let service = service_fn(|request: Request<Incoming>| {
                let response = respond(&request, &*answer);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WITHIN)
                .serve_connection(TokioIo::new(socket), service);
            // How a scraper's connection ends is nobody's concern.
            let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
        });
    }
}

fn respond(request: &Request<Incoming>, answer: &impl Fn(Asked<'_>) -> Answer) -> Response<Full<Bytes>> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let answer = match *request.method() {
        Method::GET | Method::HEAD => answer(Asked { path: request.uri().path(), host }),
        _ => Answer::not_found("there is only GET\n"),
    };
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(answer.content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

fn status(word: &str) -> String {
    serde_json::json!({ "status": word }).to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn get(at: SocketAddr, path: &str) -> String {
        let mut socket = tokio::net::TcpStream::connect(at).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn health_readiness_and_metrics_over_http() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (draining, stop) = (CancellationToken::new(), CancellationToken::new());
        let ops = Ops::new(Role::Edge, {
            let draining = draining.clone();
            move || draining.is_cancelled().then_some("draining")
        });
        let served = tokio::spawn(ops.serve(listener, stop.clone()));
        assert!(get(at, "/readyz").await.starts_with("HTTP/1.1 200"));
        draining.cancel();
        let answer = get(at, "/readyz").await;
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.ends_with(r#"{"status":"draining"}"#),
            "{answer}"
        );
        assert!(get(at, "/healthz").await.starts_with("HTTP/1.1 200"), "it lives while it drains");
        let metrics = get(at, "/metrics").await;
        assert!(metrics.contains("text/plain; version=0.0.4"));
        assert!(metrics.contains("\ngopcast_connections 0\n") && !metrics.contains("gopcast_broadcasts"));
        assert!(get(at, "/").await.starts_with("HTTP/1.1 404"));
        stop.cancel();
        served.await.unwrap();
    }
}
