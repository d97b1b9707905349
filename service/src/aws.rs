//! The AWS clients, made alike in every process: configuration from the standard `AWS_*` variables, TLS by rustls with ring, bounded
//! time-outs. Whether an endpoint is AWS or an emulator is configuration (`AWS_ENDPOINT_URL_*`) and nothing else.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_smithy_http_client::tls;

/// Time to open a connection within a region.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for one try of a call, reply read: a chunk of 64 MB at 10 MB/s.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// Tries inside the SDK; callers that may wait longer retry by their own rule on top.
const MAX_ATTEMPTS: u32 = 3;
/// First wait between the SDK's tries.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);
/// Longest wait between the SDK's tries.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// Loads the shared configuration of all clients.
pub async fn load() -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(MAX_ATTEMPTS)
                .with_initial_backoff(INITIAL_BACKOFF)
                .with_max_backoff(MAX_BACKOFF),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build(),
        )
        .load()
        .await
}

/// Whether a failed call may succeed when tried again later: no answer, throttling or the service's own fault.
pub(crate) fn is_transient<E, R>(
    error: &aws_smithy_runtime_api::client::result::SdkError<E, R>,
    code: Option<&str>,
    status: Option<u16>,
) -> bool {
    use aws_smithy_runtime_api::client::result::SdkError;
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(_) => {
            status.is_some_and(|status| status >= 500 || status == 429)
                || code.is_some_and(|code| {
                    code.contains("Throttl")
                        || code.contains("SlowDown")
                        || code == "RequestTimeout"
                        || code == "TooManyRequestsException"
                        || code == "ProvisionedThroughputExceededException"
                        || code == "TransactionInProgressException"
                        || code == "TransactionConflictException"
                })
        }
        _ => false,
    }
}
