//! The gateway function, seen by its callers: one Lambda invocation per request, the reply parsed or the reason why not.
//!
//! [`Invoke`] is the seam, carried out by Lambda ([`Gateway::new`]).

use std::{fmt, sync::Arc};

use aws_config::SdkConfig;
use aws_sdk_lambda::{Client, error::ProvideErrorMetadata, primitives::Blob};
use media::wire::GatewayRequest;
use serde::de::DeserializeOwned;

use crate::{BoxFuture, aws::is_transient};

/// Why a request got no reply.
#[derive(Debug, thiserror::Error)]
#[error("invoking the gateway failed: {message}")]
pub struct GatewayError {
    /// What Lambda, the function or the way to it said.
    pub message: String,
    /// Whether the same request may succeed later.
    pub transient: bool,
}

/// A function, as it is invoked: payload in, payload out.
pub trait Invoke: fmt::Debug + Send + Sync {
    /// Invokes it and waits for its reply.
    fn invoke(&self, payload: Vec<u8>) -> BoxFuture<Result<Vec<u8>, GatewayError>>;
}

/// The gateway function.
#[derive(Debug, Clone)]
pub struct Gateway(Arc<dyn Invoke>);

impl Gateway {
    /// The Lambda function of this name (`GOPCAST_GATEWAY_FUNCTION`).
    #[must_use]
    pub fn new(config: &SdkConfig, function: impl Into<String>) -> Self {
        Self::on(Arc::new(Lambda { client: Client::new(config), function: function.into() }))
    }

    /// A gateway that is invoked in any way.
    #[must_use]
    pub fn on(function: Arc<dyn Invoke>) -> Self {
        Self(function)
    }

    /// Sends a request and waits for its reply (`RequestResponse`).
    ///
    /// # Errors
    /// When there is no reply, or none of type `R`.
    pub async fn ask<R: DeserializeOwned>(&self, request: &GatewayRequest) -> Result<R, GatewayError> {
        let bug = |error: serde_json::Error| GatewayError { message: error.to_string(), transient: false };
        let reply = self.0.invoke(serde_json::to_vec(request).map_err(bug)?).await?;
        serde_json::from_slice(&reply).map_err(bug)
    }
}

/// The seam carried out by Lambda.
#[derive(Debug)]
struct Lambda {
    client: Client,
    function: String,
}

impl Invoke for Lambda {
    fn invoke(&self, payload: Vec<u8>) -> BoxFuture<Result<Vec<u8>, GatewayError>> {
        let call = self.client.invoke().function_name(&self.function).payload(Blob::new(payload));
        Box::pin(async move {
            let reply = call.send().await.map_err(|error| {
                let status = error.raw_response().map(|r| r.status().as_u16());
                GatewayError {
                    transient: is_transient(&error, error.code(), status),
                    message: aws_smithy_types::error::display::DisplayErrorContext(&error).to_string(),
                }
            })?;
            let payload = reply.payload.map(Blob::into_inner).unwrap_or_default();
            match reply.function_error {
                None => Ok(payload),
                Some(kind) => {
                    // The function failed or timed out: another invocation may not.
                    let text = String::from_utf8_lossy(&payload).chars().take(500).collect::<String>();
                    let message = format!("function error {kind}: {text}");
                    Err(GatewayError { message, transient: true })
                }
            }
        })
    }
}
