//! The function's program between a Runtime API and an event bus, both on loopback: what CloudWatch Logs sends arrives as signed calls of
//! `PutEvents`. The bus checks signatures by a computation of its own.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

use std::{
    collections::VecDeque,
    io::Write as _,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{
    net::TcpListener,
    sync::{Mutex as AsyncMutex, mpsc},
};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const BUS: &str = "arn:aws:events:eu-west-1:123456789012:event-bus/shows";

/// What the bus answers to calls: by default that all is taken.
type Answers = Arc<Mutex<VecDeque<(u16, Value)>>>;

struct Bed {
    child: Child,
    invoke: mpsc::Sender<Value>,
    done: mpsc::Receiver<(String, Value)>,
    calls: mpsc::Receiver<Value>,
    answers: Answers,
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone)]
struct Runtime {
    next: Arc<AsyncMutex<mpsc::Receiver<Value>>>,
    done: mpsc::Sender<(String, Value)>,
}

async fn next(State(runtime): State<Runtime>) -> Response {
    let Some(payload) = runtime.next.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let mut response = payload.to_string().into_response();
    for (name, value) in [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", (now + 30_000).to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:1:function:events".to_owned()),
    ] {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
    }
    response
}

async fn said(
    State(runtime): State<Runtime>,
    Path((_, what)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    runtime.done.send((what, serde_json::from_slice(&body).unwrap())).await.unwrap();
    StatusCode::ACCEPTED
}

#[derive(Clone)]
struct Bus {
    calls: mpsc::Sender<Value>,
    answers: Answers,
}

async fn put_events(State(bus): State<Bus>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let problem = unsigned(&uri, &headers, &body);
    let call: Value = serde_json::from_slice(&body).unwrap();
    let count = call["Entries"].as_array().unwrap().len();
    bus.calls.send(call).await.unwrap();
    if let Some(problem) = problem {
        return (StatusCode::FORBIDDEN, problem).into_response();
    }
    let taken: Vec<_> = (0..count).map(|n| json!({ "EventId": n.to_string() })).collect();
    let answer = bus.answers.lock().unwrap().pop_front();
    let (status, answer) = answer.unwrap_or((200, json!({ "FailedEntryCount": 0, "Entries": taken })));
    (StatusCode::from_u16(status).unwrap(), answer.to_string()).into_response()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// What is wrong with a request's signature, computed as
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html> says.
fn unsigned(uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text("x-amz-target") != "AWSEvents.PutEvents" || text("content-type") != "application/x-amz-json-1.1" {
        return Some(format!("not a call of PutEvents: {headers:?}"));
    }
    let authorization = text("authorization");
    let part = |name: &str| {
        let from = authorization.split(&format!("{name}=")).nth(1).unwrap_or_default();
        from.split(',').next().unwrap_or_default().to_owned()
    };
    let (names, date) = (part("SignedHeaders"), text("x-amz-date"));
    for name in ["host", "x-amz-date", "x-amz-target", "x-amz-security-token"] {
        if !names.split(';').any(|signed| signed == name) {
            return Some(format!("{name} is not signed"));
        }
    }
    let canonical: String = names.split(';').map(|name| format!("{name}:{}\n", text(name).trim())).collect();
    let request =
        format!("POST\n{}\n\n{canonical}\n{names}\n{}", uri.path(), hex::encode(Sha256::digest(body)));
    let scope = format!("{}/eu-west-1/events/aws4_request", date.get(..8)?);
    if part("Credential") != format!("AKIDEXAMPLE/{scope}") {
        return Some(format!("another scope: {authorization}"));
    }
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(request)));
    let key = scope.split('/').fold(format!("AWS4{SECRET}").into_bytes(), |key, part| hmac(&key, part));
    let wanted = hex::encode(hmac(&key, &to_sign));
    (part("Signature") != wanted).then(|| format!("the signature is not {wanted}"))
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    at
}

impl Bed {
    async fn new() -> Self {
        let (invoke, next_event) = mpsc::channel(1);
        let (say, done) = mpsc::channel(1);
        let runtime = Runtime { next: Arc::new(AsyncMutex::new(next_event)), done: say };
        let runtime = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{what}", post(said))
            .with_state(runtime);
        let (call, calls) = mpsc::channel(100);
        let answers = Answers::default();
        let bus = Router::new()
            .route("/", post(put_events))
            .with_state(Bus { calls: call, answers: Arc::clone(&answers) });
        let child = Command::new(env!("CARGO_BIN_EXE_events-fn"))
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", serve(runtime).await.as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", "events"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", SECRET),
                ("AWS_SESSION_TOKEN", "token"),
                ("AWS_ENDPOINT_URL_EVENTBRIDGE", &format!("http://{}/", serve(bus).await)),
                ("GOPCAST_EVENT_BUS", BUS),
                ("GOPCAST_STACK", "prod"),
            ])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, invoke, done, calls, answers }
    }

    /// Invokes the function with these lines; what it answered.
    async fn lines(&mut self, lines: &[&str]) -> (String, Value) {
        let events: Vec<_> = lines
            .iter()
            .enumerate()
            .map(|(n, line)| json!({ "id": n.to_string(), "timestamp": 1_510_109_208_016_u64, "message": line }))
            .collect();
        let sent = json!({
            "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/prod/edge", "logStream": "s",
            "subscriptionFilters": ["events"], "logEvents": events,
        });
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(sent.to_string().as_bytes()).unwrap();
        let data = BASE64_STANDARD.encode(gzip.finish().unwrap());
        self.invoke.send(json!({ "awslogs": { "data": data } })).await.unwrap();
        self.done.recv().await.unwrap()
    }

    /// The detail types of each call since the last question.
    fn called(&mut self) -> Vec<Vec<String>> {
        let mut called = Vec::new();
        while let Ok(call) = self.calls.try_recv() {
            let entries = call["Entries"].as_array().unwrap().clone();
            called
                .push(entries.iter().map(|entry| entry["DetailType"].as_str().unwrap().to_owned()).collect());
        }
        called
    }
}

const STARTED: &str = r#"{"timestamp":"2026-11-22T18:00:01.5Z","level":"INFO","event":"publish-started","live":"demo","publish":1,"target":"ingest_edge::connection","span":{"connection":"c1","name":"connection"}}"#;
const ENDED: &str = r#"{"timestamp":"2026-11-22T18:00:09.5Z","level":"INFO","event":"publish-ended","live":"demo","publish":1,"target":"ingest_edge::connection"}"#;

#[tokio::test]
async fn events_arrive_signed_in_batches() {
    let mut bed = Bed::new().await;
    let mut lines = vec![STARTED, "START RequestId: 1"];
    lines.extend([ENDED; 11]);
    let answer = bed.lines(&lines).await;
    assert_eq!(answer, ("response".to_owned(), json!({ "events": 12 })));
    let first = bed.calls.recv().await.unwrap();
    let entry = &first["Entries"][0];
    assert_eq!(
        entry,
        &json!({
            "Time": 1_510_109_208.016, "Source": "gopcast", "DetailType": "publish-started", "EventBusName": BUS,
            "Detail": r#"{"event":"publish-started","time":"2026-11-22T18:00:01.5Z","connection":"c1","live":"demo","publish":1,"stack":"prod"}"#,
        })
    );
    assert_eq!(first["Entries"].as_array().unwrap().len(), 10);
    assert_eq!(bed.called(), [["publish-ended"; 2]]);
}

#[tokio::test]
async fn only_what_was_not_taken_is_sent_again() {
    let mut bed = Bed::new().await;
    let throttled = json!({ "FailedEntryCount": 1, "Entries": [{ "EventId": "1" }, { "ErrorCode": "ThrottlingException" }] });
    bed.answers.lock().unwrap().extend([
        (503, json!({})),
        (400, json!({ "__type": "ThrottlingException" })),
        (200, throttled),
    ]);
    let answer = bed.lines(&[STARTED, ENDED]).await;
    assert_eq!(answer, ("response".to_owned(), json!({ "events": 2 })));
    let both = vec!["publish-started".to_owned(), "publish-ended".to_owned()];
    assert_eq!(bed.called(), [both.clone(), both.clone(), both, vec!["publish-ended".to_owned()]]);
}

#[tokio::test]
async fn an_invocation_fails_when_events_are_not_on_the_bus() {
    let mut bed = Bed::new().await;
    // Not allowed: no other try would help, and Lambda's own comes later.
    bed.answers.lock().unwrap().push_back((400, json!({ "__type": "AccessDeniedException" })));
    let (what, answer) = bed.lines(&[STARTED]).await;
    assert_eq!(what, "error");
    assert!(answer.to_string().contains("AccessDeniedException"), "{answer}");
    assert_eq!(bed.called().len(), 1);
    // One entry that is never taken; the other is, and is not sent again.
    let malformed =
        json!({ "FailedEntryCount": 1, "Entries": [{ "ErrorCode": "MalformedDetail" }, { "EventId": "1" }] });
    bed.answers.lock().unwrap().push_back((200, malformed));
    let (what, answer) = bed.lines(&[STARTED, ENDED]).await;
    assert!(
        what == "error" && answer.to_string().contains("1 events are not on the bus: MalformedDetail"),
        "{answer}"
    );
    assert_eq!(bed.called().len(), 1);
    // The same process serves the next one.
    assert_eq!(bed.lines(&["no event"]).await, ("response".to_owned(), json!({ "events": 0 })));
    assert_eq!(bed.called(), Vec::<Vec<String>>::new());
}
