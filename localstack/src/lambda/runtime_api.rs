//! The Runtime API (Developer Guide, "Using the Lambda runtime API for custom runtimes"), once for every worker: its
//! paths stand behind `/w/{worker}`, so that a request says whose it is.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State as Shared};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::answer;
use super::invoke::SYNC_BYTES_MAX;
use super::pool::{RequestId, WorkerId};
use super::state::{Delivery, Outcome, State};

/// What is read of a function's response; beyond [`SYNC_BYTES_MAX`] only so that the refusal names its size.
const RESPONSE_READ_MAX: usize = 64 * 1024 * 1024;

/// Characters of a worker's own words about why it cannot start that are passed on to the caller.
const REASON_CHARS_MAX: usize = 500;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/w/{worker}/2018-06-01/runtime/invocation/next", get(next))
        .route("/w/{worker}/2018-06-01/runtime/invocation/{request}/response", post(response))
        .route("/w/{worker}/2018-06-01/runtime/invocation/{request}/error", post(error))
        .route("/w/{worker}/2018-06-01/runtime/init/error", post(init_error))
        .layer(DefaultBodyLimit::max(RESPONSE_READ_MAX))
        .with_state(state)
}

/// Tells the pool when a poll's connection broke: then this is dropped with the handler's future.
struct PollGuard {
    state: Arc<State>,
    worker: WorkerId,
    delivery: Option<tokio::sync::oneshot::Receiver<Delivery>>,
}

impl Drop for PollGuard {
    fn drop(&mut self) {
        let Some(mut delivery) = self.delivery.take() else { return };
        match delivery.try_recv() {
            Ok(delivery) => self.state.undelivered(self.worker, delivery),
            Err(_) => {
                // Closes the channel, by which the state knows this poll from a newer one.
                drop(delivery);
                self.state.poll_broke(self.worker);
            }
        }
    }
}

async fn next(Shared(state): Shared<Arc<State>>, Path(worker): Path<String>) -> Response {
    let Some(worker) = WorkerId::parse(&worker) else { return unknown_worker() };
    let Some(delivery) = state.poll(worker) else { return unknown_worker() };
    let mut guard = PollGuard { state: Arc::clone(&state), worker, delivery: Some(delivery) };
    let delivered = match &mut guard.delivery {
        Some(delivery) => delivery.await,
        None => return unknown_worker(),
    };
    guard.delivery = None;
    match delivered {
        Ok(delivery) => invocation(&state, delivery),
        // The worker was given up, or the stack stops.
        Err(_) => unknown_worker(),
    }
}

fn invocation(state: &State, delivery: Delivery) -> Response {
    let mut response = Response::new(Body::from(delivery.payload));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let fields = [
        ("lambda-runtime-aws-request-id", Some(delivery.request.0)),
        ("lambda-runtime-deadline-ms", Some(delivery.deadline_ms.to_string())),
        ("lambda-runtime-invoked-function-arn", Some(state.function().arn())),
        ("lambda-runtime-trace-id", delivery.trace),
        ("lambda-runtime-client-context", delivery.client_context),
    ];
    for (name, value) in fields {
        if let Some(Ok(value)) = value.map(|v| HeaderValue::from_str(&v)) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

async fn response(
    Shared(state): Shared<Arc<State>>,
    Path((worker, request)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let size = body.len();
    if size > SYNC_BYTES_MAX {
        let taken = answered(&state, &worker, request, answer::too_large(size, SYNC_BYTES_MAX));
        let text = format!("Exceeded maximum allowed payload size ({SYNC_BYTES_MAX} bytes).");
        return if taken {
            reply(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &text)
        } else {
            bad_id()
        };
    }
    if answered(&state, &worker, request, Outcome::Returned(body)) { accepted() } else { bad_id() }
}

async fn error(
    Shared(state): Shared<Arc<State>>,
    Path((worker, request)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // The caller gets what the runtime said, if it is JSON, as on Lambda.
    let body = match serde_json::from_slice::<Value>(&body) {
        Ok(_) if body.len() <= SYNC_BYTES_MAX => body,
        _ => {
            let kind = headers.get("lambda-runtime-function-error-type").and_then(|v| v.to_str().ok());
            let said = json!({ "errorType": kind.unwrap_or("Runtime.Unknown"), "errorMessage": "no readable error" });
            Bytes::from(said.to_string())
        }
    };
    if answered(&state, &worker, request, Outcome::Failed(body)) { accepted() } else { bad_id() }
}

async fn init_error(Shared(state): Shared<Arc<State>>, Path(worker): Path<String>, body: Bytes) -> Response {
    let Some(worker) = WorkerId::parse(&worker) else { return unknown_worker() };
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = said.get("errorMessage").and_then(Value::as_str).unwrap_or("no reason given");
    let text: String = text.chars().take(REASON_CHARS_MAX).collect();
    tracing::warn!(worker = worker.spell(), reason = text, "function failed to start");
    state.init_failed(worker, &text);
    accepted()
}

fn answered(state: &Arc<State>, worker: &str, request: String, outcome: Outcome) -> bool {
    WorkerId::parse(worker).is_some_and(|worker| state.answer(worker, &RequestId(request), outcome))
}

fn accepted() -> Response {
    let mut response = Response::new(Body::from(r#"{"status":"OK"}"#));
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn reply(status: StatusCode, kind: &str, message: &str) -> Response {
    let body = Json(json!({ "errorType": kind, "errorMessage": message }));
    let mut response = axum::response::IntoResponse::into_response(body);
    *response.status_mut() = status;
    response
}

fn bad_id() -> Response {
    reply(StatusCode::BAD_REQUEST, "InvalidRequestID", "This worker does not run that invocation.")
}

fn unknown_worker() -> Response {
    reply(StatusCode::FORBIDDEN, "InvalidWorker", "This worker is not wanted (any more): it should end.")
}
