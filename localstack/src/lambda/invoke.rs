//! The Invoke API (API reference, `Invoke`): `POST /2015-03-31/functions/{name}/invocations`.
//!
//! Invariant: a request's body is read to its end before any answer, as far as [`DRAIN_BYTES_MAX`], so a refusal
//! reaches a caller who is still sending. Signatures are not checked: the listener is on loopback.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::response::Response;
use axum::routing::post;
use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::json;

use super::pool::{Mode, RequestId};
use super::state::{Event, Outcome, State};

/// The largest payload of a synchronous invocation, and of its response (Developer Guide, "Lambda quotas").
pub(super) const SYNC_BYTES_MAX: usize = 6 * 1024 * 1024;

/// The largest payload of an asynchronous invocation (same place).
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// What is read, and thrown away, of a payload that is too large, before the connection is given up.
const DRAIN_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new().route("/2015-03-31/functions/{name}/invocations", post(invoke)).with_state(state)
}

enum Asked {
    RequestResponse,
    Event,
    DryRun,
}

async fn invoke(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let asked = match headers.get("x-amz-invocation-type").map(HeaderValue::as_bytes) {
        None | Some(b"RequestResponse") => Asked::RequestResponse,
        Some(b"Event") => Asked::Event,
        Some(b"DryRun") => Asked::DryRun,
        Some(_) => {
            let text = "InvocationType must be one of RequestResponse, Event, DryRun";
            return refusal(StatusCode::BAD_REQUEST, "InvalidParameterValueException", text, None);
        }
    };
    let limit = if matches!(asked, Asked::Event) { EVENT_BYTES_MAX } else { SYNC_BYTES_MAX };
    let payload = match read(body, limit).await {
        Ok(payload) => payload,
        Err(Unread::Broken) => {
            let text = "The request body could not be read.";
            return refusal(StatusCode::BAD_REQUEST, "InvalidRequestContentException", text, None);
        }
        Err(Unread::TooLarge(bytes)) => {
            let kind = if matches!(asked, Asked::Event) { "Event" } else { "RequestResponse" };
            let text = format!(
                "{bytes} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
            );
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", &text, None);
        }
    };
    let function = state.function();
    if !function.is_named(&name) {
        let text = format!("Function not found: {}", function.arn_of(&name));
        return refusal(StatusCode::NOT_FOUND, "ResourceNotFoundException", &text, None);
    }
    let payload = if payload.is_empty() { Bytes::from_static(b"{}") } else { payload };
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&payload) {
        let text = format!("Could not parse request body into json: {error}");
        return refusal(StatusCode::BAD_REQUEST, "InvalidRequestContentException", &text, None);
    }
    let mode = match asked {
        Asked::DryRun => return plain(StatusCode::NO_CONTENT, &request_id()),
        Asked::RequestResponse => Mode::Sync,
        Asked::Event => Mode::Event,
    };
    let request = request_id();
    let event = Event { payload, client_context: client_context(&headers), trace: trace(&headers) };
    // Dropping the receiver does not end the invocation: as on Lambda, it runs on when its caller hangs up.
    let Ok(outcome) = state.invoke(request.clone(), mode, event) else {
        let reason = Some("ReservedFunctionConcurrentInvocationLimitExceeded");
        return refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", "Rate Exceeded.", reason);
    };
    if mode == Mode::Event {
        return plain(StatusCode::ACCEPTED, &request);
    }
    match outcome.await {
        Ok(Outcome::Returned(body)) => returned(&request, body, false),
        Ok(Outcome::Failed(body)) => returned(&request, body, true),
        Err(_) => {
            let text = "The local stack is stopping.";
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", text, None)
        }
    }
}

fn request_id() -> RequestId {
    RequestId(uuid::Uuid::new_v4().to_string())
}

fn client_context(headers: &HeaderMap) -> Option<String> {
    let coded = headers.get("x-amz-client-context")?.as_bytes();
    let bytes = base64::engine::general_purpose::STANDARD.decode(coded).ok()?;
    // It travels on as a header, which takes no line breaks.
    String::from_utf8(bytes).ok().filter(|text| HeaderValue::from_str(text).is_ok())
}

fn trace(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("x-amzn-trace-id")?.to_str().ok()?.to_owned())
}

enum Unread {
    TooLarge(usize),
    Broken,
}

async fn read(mut body: Body, limit: usize) -> Result<Bytes, Unread> {
    let (mut kept, mut total) = (BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        total = total.saturating_add(data.len());
        if total > DRAIN_BYTES_MAX {
            break;
        }
        if total <= limit {
            kept.extend_from_slice(&data);
        }
    }
    if total > limit { Err(Unread::TooLarge(total)) } else { Ok(kept.freeze()) }
}

fn plain(status: StatusCode, request: &RequestId) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    label(&mut response, &request.0);
    response
}

fn returned(request: &RequestId, body: Bytes, failed: bool) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-amz-executed-version", HeaderValue::from_static("$LATEST"));
    if failed {
        headers.insert("x-amz-function-error", HeaderValue::from_static("Unhandled"));
    }
    label(&mut response, &request.0);
    response
}

fn refusal(status: StatusCode, kind: &'static str, message: &str, reason: Option<&str>) -> Response {
    let fault = if status.is_server_error() { "Service" } else { "User" };
    // ResourceNotFoundException spells the field with a capital, its siblings do not: both are sent.
    let mut body = json!({ "Type": fault, "message": message, "Message": message });
    if let (Some(reason), Some(fields)) = (reason, body.as_object_mut()) {
        fields.insert("Reason".to_owned(), reason.into());
    }
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-amzn-errortype", HeaderValue::from_static(kind));
    label(&mut response, &request_id().0);
    response
}

fn label(response: &mut Response, request: &str) {
    if let Ok(value) = HeaderValue::from_str(request) {
        response.headers_mut().insert("x-amzn-requestid", value);
    }
}
