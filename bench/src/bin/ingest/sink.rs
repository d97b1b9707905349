//! What is behind the edge: an S3 that takes every object and keeps none, and a gateway that says yes to everything. Real HTTP on loopback.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use media::{
    id::{BroadcastId, KeyHash, PublishNo},
    wire::{ChunkReply, CloseReply, GatewayRequest, OpenReply, Opened, RevokedReply, StartReply},
};
use tokio::{net::TcpListener, time::Instant};

/// Of a publisher's GOP: when its last byte was sent, and when its PUT came.
#[derive(Debug, Default, Clone, Copy)]
struct Gop {
    whole: Option<Instant>,
    put: Option<Instant>,
}

/// When GOPs were whole, and when they were sent on.
#[derive(Debug, Default)]
pub(crate) struct Times(Mutex<HashMap<(usize, u32), Gop>>);

impl Times {
    /// GOP `seq` of publisher `n` is whole: the picture that ends it has been sent.
    pub(crate) fn whole(&self, n: usize, seq: u32) {
        self.at(n, seq, |gop| gop.whole = Some(Instant::now()));
    }

    fn put(&self, n: usize, seq: u32) {
        self.at(n, seq, |gop| gop.put = Some(Instant::now()));
    }

    fn at(&self, n: usize, seq: u32, set: impl FnOnce(&mut Gop)) {
        let mut gops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        set(gops.entry((n, seq)).or_default());
    }

    /// How long each took that came, in ms.
    pub(crate) fn taken_ms(&self) -> Vec<f64> {
        let gops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let both = gops.values().filter_map(|gop| Some((gop.whole?, gop.put?)));
        // The PUT may come before the publisher has been told that its write is done.
        both.map(|(whole, put)| put.saturating_duration_since(whole).as_secs_f64() * 1000.0).collect()
    }
}

/// The world behind the edge.
pub(crate) struct Sink {
    /// Which publisher a key is.
    pub(crate) keys: HashMap<KeyHash, usize>,
    /// Filled as objects come.
    pub(crate) times: Arc<Times>,
}

impl Sink {
    /// Serves on a free port of loopback, for ever.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn serve(self) -> Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
        let address = listener.local_addr()?;
        let sink = Arc::new(self);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let sink = Arc::clone(&sink);
                let _ = socket.set_nodelay(true);
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let sink = Arc::clone(&sink);
                        async move { Ok::<_, Infallible>(sink.answer(request).await) }
                    });
                    // An edge that goes away breaks its connections off.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Ok(address)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() == Method::PUT {
            if let Some((n, seq)) = place(request.uri().path()) {
                self.times.put(n, seq);
            }
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.frame().await {}
            let mut response = Response::new(Full::default());
            response.headers_mut().insert("etag", http::HeaderValue::from_static("\"0\""));
            return response;
        }
        let body =
            request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        match self.reply(&body) {
            Ok(reply) => Response::new(Full::from(reply)),
            Err(error) => {
                eprintln!("the gateway was asked something odd: {error:#}");
                let mut response = Response::default();
                *response.status_mut() = http::StatusCode::BAD_REQUEST;
                response
            }
        }
    }

    fn reply(&self, body: &[u8]) -> Result<Vec<u8>> {
        Ok(match serde_json::from_slice(body).context("not a request")? {
            GatewayRequest::Open(open) => {
                let n = *self.keys.get(&open.key_hash).context("an unknown key")?;
                serde_json::to_vec(&OpenReply::Opened(Opened {
                    live: format!("live-{n}").parse()?,
                    broadcast: BroadcastId::new(FIRST_BROADCAST_MS + u64::try_from(n)?, [0; 10]),
                    publish: PublishNo::FIRST,
                    availability_start: None,
                }))?
            }
            GatewayRequest::Start(start) => serde_json::to_vec(&StartReply::Started {
                availability_start: start.first_frame,
                resume_at: None,
            })?,
            GatewayRequest::Chunk(_) => serde_json::to_vec(&ChunkReply::Accepted { warnings: Vec::new() })?,
            GatewayRequest::Revoked => serde_json::to_vec(&RevokedReply::default())?,
            GatewayRequest::Close(_) => serde_json::to_vec(&CloseReply::Closed)?,
            other => anyhow::bail!("not an edge's: {other:?}"),
        })
    }
}

/// Broadcasts are numbered by the time in their ids.
const FIRST_BROADCAST_MS: u64 = 1_700_000_000_000;

/// Which publisher's and which chunk an object is, by `…/ingest/{broadcast}/{publish}/{seq}.gop`.
fn place(path: &str) -> Option<(usize, u32)> {
    let mut parts = path.rsplit('/');
    let seq = parts.next()?.strip_suffix(".gop")?.parse().ok()?;
    let broadcast = parts.nth(1)?.replace('-', "");
    let ms = u64::from_str_radix(broadcast.get(..12)?, 16).ok()?;
    Some((usize::try_from(ms.checked_sub(FIRST_BROADCAST_MS)?).ok()?, seq))
}
