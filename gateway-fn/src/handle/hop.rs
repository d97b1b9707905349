//! The private hop: one signed POST to an encoder, bounded in time and size, over connections that are kept.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header::CONTENT_TYPE, uri::Scheme};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use media::wire::{ENCODER_PATH, EncoderReply, EncoderRequest};
use service::{BoxFuture, clock::Clock, config::Secret, sign};

/// Time to open a connection inside the network: a host that is there answers in a millisecond, one that has vanished never does.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);
/// Tries on the same encoder when a connection breaks: a kept connection may have died while the function was frozen.
const CONNECTION_TRIES: u32 = 2;
/// Connections kept per encoder: one process handles one event at a time, and an end may run beside an open.
const IDLE_PER_ENCODER: usize = 2;
/// How long an unused connection is kept: several GOPs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer read, in bytes: some verdicts of a sentence each.
const ANSWER_MAX: usize = 64 * 1024;

/// The way to the encoders.
pub trait Hop: fmt::Debug + Send + Sync {
    /// Tells the encoder at `address` (`host:port`), and waits for its answer. Whoever calls bounds the time.
    fn post(&self, address: &str, request: &EncoderRequest) -> BoxFuture<Result<EncoderReply, HopError>>;
}

/// Why an encoder did not answer.
#[derive(Debug, thiserror::Error)]
pub enum HopError {
    /// Nothing that can be connected to.
    #[error("the encoder's address can't be used")]
    Address(#[from] http::Error),
    /// A bug.
    #[error("the request can't be spelled")]
    Spelling(#[source] serde_json::Error),
    /// It is there and does not answer, or its host is gone.
    #[error("no answer in time")]
    Silent,
    /// Refused, reset or cut off.
    #[error("the connection failed")]
    Connection(#[from] Error),
    /// Not an encoder, or not the same secret.
    #[error("status {0}")]
    Status(StatusCode),
    /// The reply broke off.
    #[error("the answer was cut off or too long: {0}")]
    Body(String),
    /// Not an encoder of this version.
    #[error("the answer can't be read")]
    Answer(#[source] serde_json::Error),
}

/// The client of all encoders.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    secret: Secret,
    clock: Clock,
}

impl Http {
    pub(super) fn new(secret: Secret, clock: Clock) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_ENCODER)
            .build(connector);
        Self { client, secret, clock }
    }

    async fn try_post(&self, address: &str, request: &EncoderRequest) -> Result<EncoderReply, HopError> {
        let uri =
            Uri::builder().scheme(Scheme::HTTP).authority(address).path_and_query(ENCODER_PATH).build()?;
        let body = serde_json::to_vec(request).map_err(HopError::Spelling)?;
        let signature = sign::sign(&self.secret, self.clock.now(), ENCODER_PATH, &body);
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header(CONTENT_TYPE, "application/json")
            .header(sign::HEADER, signature)
            .body(Full::new(Bytes::from(body)))?;
        let reply = self.client.request(request).await?;
        if reply.status() != StatusCode::OK {
            return Err(HopError::Status(reply.status()));
        }
        let body = Limited::new(reply.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|error| HopError::Body(error.to_string()))?.to_bytes();
        serde_json::from_slice(&body).map_err(HopError::Answer)
    }
}

impl Hop for Http {
    fn post(&self, address: &str, request: &EncoderRequest) -> BoxFuture<Result<EncoderReply, HopError>> {
        let (this, address, request) = (self.clone(), address.to_owned(), request.clone());
        Box::pin(async move {
            let mut tries = 0;
            loop {
                tries += 1;
                match this.try_post(&address, &request).await {
                    // Telling twice is harmless; a refused connection stays refused.
                    Err(HopError::Connection(error)) if !error.is_connect() && tries < CONNECTION_TRIES => {}
                    result => return result,
                }
            }
        })
    }
}
