//! What the tests stand on: a real DynamoDB (embedded, over the wire), and encoders that are real HTTP servers on loopback with
//! scripted answers.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use axum::{
    Router,
    body::Bytes,
    extract::State as Axum,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
    routing::post,
};
use dynoxide::{
    Database,
    actions::create_table::CreateTableRequest,
    types::{AttributeDefinition, KeySchemaElement, KeyType, ScalarAttributeType},
};
use gateway_fn::handle::{Gateway, Reply};
use media::{
    id::{ChunkPos, ChunkSeq, EncoderId, LiveId, StreamKey},
    ladder::Profile,
    time::WallTime,
    wire::{
        ChunkReply, ChunkStored, Close, CloseReason, ENCODER_PATH, EncoderEvent, EncoderReply,
        EncoderRequest, GatewayRequest, Open, OpenReply, Opened, Start,
    },
};
use service::{
    clock,
    config::Secret,
    sign,
    table::{Encoder, Live, Table},
};

pub(crate) const TABLE: &str = "gopcast";
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The reconnect window of every live here.
pub(crate) const WINDOW_SECONDS: u32 = 30;

/// A table of its own, and gateways on it.
pub(crate) struct Stack {
    pub(crate) table: Table,
    pub(crate) endpoint: String,
}

impl Stack {
    pub(crate) async fn start() -> Self {
        let database = Database::memory().unwrap();
        let key = |name: &str, key_type| KeySchemaElement { attribute_name: name.to_owned(), key_type };
        let text = |name: &str| AttributeDefinition {
            attribute_name: name.to_owned(),
            attribute_type: ScalarAttributeType::S,
        };
        let request = CreateTableRequest {
            table_name: TABLE.to_owned(),
            key_schema: vec![key("pk", KeyType::HASH), key("sk", KeyType::RANGE)],
            attribute_definitions: vec![text("pk"), text("sk")],
            billing_mode: Some("PAY_PER_REQUEST".to_owned()),
            ..CreateTableRequest::default()
        };
        database.create_table(request).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
        Self { table: Table::new(&config(&endpoint), TABLE), endpoint }
    }

    /// A gateway with nothing in its memory, as a fresh process has it.
    pub(crate) fn gateway(&self) -> Gateway {
        Gateway::new(self.table.clone(), Secret::new(SECRET))
    }

    /// A live with its key `key-of-{name}`.
    pub(crate) async fn live(&self, name: &str) -> LiveId {
        let live = Live {
            live: name.parse().unwrap(),
            title: name.to_owned(),
            key_hash: key(name).hash(),
            profile: Profile::P360,
            source_rung: false,
            window_seconds: WINDOW_SECONDS,
            limits: media::limits::Limits::default(),
            slate: None,
            disabled: false,
            current: None,
            created: clock::now(),
        };
        self.table.create_live(&live).await.unwrap();
        live.live
    }

    /// A heartbeat as an encoder at `address` writes it. From an hour ahead, so that it stays fresh however slow the machine is.
    pub(crate) async fn heartbeat(&self, name: &str, address: &str, draining: bool) -> Encoder {
        let encoder = Encoder {
            id: name.parse().unwrap(),
            address: address.to_owned(),
            capacity: 60_000_000,
            draining,
            seen: clock::now().plus_micros(3_600_000_000),
            bound: 0,
        };
        self.table.heartbeat(&encoder).await.unwrap();
        encoder
    }

    /// An encoder that answers, registered.
    pub(crate) async fn encoder(&self, name: &str) -> FakeEncoder {
        let encoder = FakeEncoder::start(name);
        self.heartbeat(name, &encoder.address(), false).await;
        encoder
    }

    pub(crate) async fn bound(&self, name: &str) -> i64 {
        self.table.encoder(&name.parse().unwrap()).await.unwrap().unwrap().bound
    }
}

pub(crate) fn config(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("a", "b", None, None, "test")))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(endpoint)
        .build()
}

pub(crate) fn key(live: &str) -> StreamKey {
    format!("key-of-{live}").parse().unwrap()
}

/// Sends an event the way Lambda does, as JSON.
pub(crate) async fn send(gateway: &Gateway, request: GatewayRequest) -> Reply {
    gateway.handle(serde_json::to_value(request).unwrap()).await.unwrap()
}

pub(crate) async fn open(gateway: &Gateway, live: &str, connection: &str, filler: bool) -> OpenReply {
    let open = Open { connection: connection.to_owned(), key_hash: key(live).hash(), filler };
    match send(gateway, GatewayRequest::Open(open)).await {
        Reply::Open(reply) => reply,
        other => panic!("{other:?}"),
    }
}

/// Opens, and must be let in.
pub(crate) async fn on_air(gateway: &Gateway, live: &str, connection: &str) -> Opened {
    match open(gateway, live, connection, false).await {
        OpenReply::Opened(opened) => opened,
        OpenReply::Refused(verdict) => panic!("{verdict:?}"),
    }
}

pub(crate) fn start(opened: &Opened, at: i64) -> GatewayRequest {
    GatewayRequest::Start(Start {
        broadcast: opened.broadcast.clone(),
        publish: opened.publish,
        first_frame: WallTime(at),
    })
}

pub(crate) fn pos(opened: &Opened, seq: u32) -> ChunkPos {
    ChunkPos { publish: opened.publish, seq: ChunkSeq(seq) }
}

pub(crate) async fn chunk(gateway: &Gateway, opened: &Opened, seq: u32) -> ChunkReply {
    let stored =
        ChunkStored { live: opened.live.clone(), broadcast: opened.broadcast.clone(), pos: pos(opened, seq) };
    match send(gateway, GatewayRequest::Chunk(stored)).await {
        Reply::Chunk(reply) => reply,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn accepted() -> ChunkReply {
    ChunkReply::Accepted { warnings: vec![] }
}

/// A live on air on the first of these two encoders; the second stands by.
pub(crate) async fn bound(stack: &Stack) -> (Gateway, Opened, FakeEncoder, FakeEncoder) {
    stack.live("demo").await;
    let encoders = (stack.encoder("one").await, stack.encoder("two").await);
    let gateway = stack.gateway();
    let opened = on_air(&gateway, "demo", "connection-1").await;
    let binding = stack.table.binding(&opened.broadcast).await.unwrap().unwrap();
    let (first, second) = if binding.encoder == encoders.0.id { encoders } else { (encoders.1, encoders.0) };
    (gateway, opened, first, second)
}

/// The broadcast is bound to `encoder` at `epoch`, and counted there only.
pub(crate) async fn assert_bound(
    stack: &Stack,
    opened: &Opened,
    encoder: &FakeEncoder,
    other: &FakeEncoder,
    epoch: u64,
) {
    let binding = stack.table.binding(&opened.broadcast).await.unwrap().unwrap();
    assert_eq!((&binding.encoder, binding.epoch.0), (&encoder.id, epoch));
    assert_eq!(stack.bound(encoder.id.as_str()).await, 1);
    assert_eq!(stack.bound(other.id.as_str()).await, 0);
}

pub(crate) fn close(opened: &Opened, chunks: u32, reason: CloseReason) -> GatewayRequest {
    GatewayRequest::Close(Close {
        live: opened.live.clone(),
        broadcast: opened.broadcast.clone(),
        publish: opened.publish,
        chunks,
        reason,
    })
}

/// How an encoder answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Reply(EncoderReply),
    Status(u16),
    Garbage,
    /// Never.
    Silence,
}

#[derive(Clone)]
struct Shared {
    script: Arc<Mutex<VecDeque<Answer>>>,
    heard: Arc<Mutex<Vec<EncoderRequest>>>,
}

/// An encoder: a real HTTP server that checks signatures, answers by its script (then: accepted) and remembers what it heard.
pub(crate) struct FakeEncoder {
    pub(crate) id: EncoderId,
    address: SocketAddr,
    shared: Shared,
    runtime: Option<tokio::runtime::Runtime>,
}

impl FakeEncoder {
    pub(crate) fn start(name: &str) -> Self {
        let shared = Shared { script: Arc::default(), heard: Arc::default() };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route(ENCODER_PATH, post(answer)).with_state(shared.clone());
        // A runtime of its own, so that its death takes every connection with it.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        Self { id: name.parse().unwrap(), address, shared, runtime: Some(runtime) }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn then(&self, answer: Answer) {
        self.shared.script.lock().unwrap().push_back(answer);
    }

    /// What it heard since last asked, with the epoch as a number.
    pub(crate) fn heard(&self) -> Vec<(u64, EncoderEvent)> {
        let heard = std::mem::take(&mut *self.shared.heard.lock().unwrap());
        heard.into_iter().map(|request| (request.epoch.0, request.what)).collect()
    }

    /// Ends it at once, its connections with it.
    pub(crate) async fn kill(&mut self) {
        let runtime = self.runtime.take().unwrap();
        let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(10)));
        ended.await.unwrap();
    }
}

impl Drop for FakeEncoder {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(Axum(shared): Axum<Shared>, headers: HeaderMap, body: Bytes) -> axum::response::Response {
    let header = headers.get(sign::HEADER).and_then(|value| value.to_str().ok());
    if sign::verify(&Secret::new(SECRET), clock::now(), ENCODER_PATH, &body, header).is_err() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    shared.heard.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
    let scripted = shared.script.lock().unwrap().pop_front();
    match scripted.unwrap_or(Answer::Reply(EncoderReply::Accepted { verdicts: vec![] })) {
        Answer::Reply(reply) => axum::Json(reply).into_response(),
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::Garbage => "<html>".into_response(),
        Answer::Silence => std::future::pending().await,
    }
}
