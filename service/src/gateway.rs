//! The gateway function, seen by its callers: one Lambda invocation per request, the reply parsed or the reason why not.

use aws_config::SdkConfig;
use aws_sdk_lambda::{Client, error::ProvideErrorMetadata, primitives::Blob};
use media::wire::GatewayRequest;
use serde::de::DeserializeOwned;

use crate::aws::is_transient;

/// Why a request got no reply.
#[derive(Debug, thiserror::Error)]
#[error("invoking the gateway failed: {message}")]
pub struct GatewayError {
    /// What Lambda, the function or the way to it said.
    pub message: String,
    /// Whether the same request may succeed later.
    pub transient: bool,
}

/// A client of the gateway function.
#[derive(Debug, Clone)]
pub struct Gateway {
    client: Client,
    function: String,
}

impl Gateway {
    /// A client for the function of this name (`GOPCAST_GATEWAY_FUNCTION`).
    #[must_use]
    pub fn new(config: &SdkConfig, function: impl Into<String>) -> Self {
        Self { client: Client::new(config), function: function.into() }
    }

    /// Sends a request and waits for its reply (`RequestResponse`).
    ///
    /// # Errors
    /// When there is no reply, or none of type `R`.
    pub async fn ask<R: DeserializeOwned>(&self, request: &GatewayRequest) -> Result<R, GatewayError> {
        let bug = |error: serde_json::Error| GatewayError { message: error.to_string(), transient: false };
        let payload = Blob::new(serde_json::to_vec(request).map_err(bug)?);
        let reply =
            self.client.invoke().function_name(&self.function).payload(payload).send().await.map_err(
                |error| {
                    let status = error.raw_response().map(|r| r.status().as_u16());
                    GatewayError {
                        transient: is_transient(&error, error.code(), status),
                        message: aws_smithy_types::error::display::DisplayErrorContext(&error).to_string(),
                    }
                },
            )?;
        let payload = reply.payload.map(Blob::into_inner).unwrap_or_default();
        if let Some(kind) = reply.function_error {
            // The function failed or timed out: another invocation may not.
            let text = String::from_utf8_lossy(&payload).chars().take(500).collect::<String>();
            return Err(GatewayError { message: format!("function error {kind}: {text}"), transient: true });
        }
        serde_json::from_slice(&payload).map_err(bug)
    }
}
