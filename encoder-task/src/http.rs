//! The encoder's HTTP server in the private network: notices from the gateway, signed, and what ECS asks: `/healthz`
//! (does it live, and what does it serve) and `/readyz` (should it be given work).

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use media::wire::{ENCODER_PATH, EncoderRequest};
use service::{clock, config::Secret, sign};

use crate::manager::Manager;

/// Largest notice in bytes: they are a few hundred.
const BODY_MAX: usize = 16 * 1024;

#[derive(Clone)]
struct Context {
    manager: Arc<Manager>,
    secret: Secret,
}

/// The server's routes.
pub fn routes(manager: Arc<Manager>, secret: Secret) -> Router {
    Router::new()
        .route(ENCODER_PATH, post(notice))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(Context { manager, secret })
}

async fn notice(State(context): State<Context>, headers: HeaderMap, body: Bytes) -> Response {
    let signature = headers.get(sign::HEADER).and_then(|value| value.to_str().ok());
    if let Err(error) = sign::verify(&context.secret, clock::now(), ENCODER_PATH, &body, signature) {
        tracing::warn!(%error, "notice refused");
        return (StatusCode::UNAUTHORIZED, error.to_string()).into_response();
    }
    match serde_json::from_slice::<EncoderRequest>(&body) {
        Ok(request) => axum::Json(context.manager.notice(request).await).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("the notice can't be read: {error}")).into_response(),
    }
}

async fn health(State(context): State<Context>) -> Response {
    status(&context, context.manager.draining().borrow().then_some("draining"))
}

async fn ready(State(context): State<Context>) -> Response {
    let unready = context.manager.unready();
    let code = if unready.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, status(&context, unready)).into_response()
}

fn status(context: &Context, word: Option<&str>) -> Response {
    let (word, broadcasts) = (word.unwrap_or("ok"), context.manager.count());
    axum::Json(serde_json::json!({ "status": word, "broadcasts": broadcasts })).into_response()
}
