//! What callers are told when a function fails, byte for byte as Lambda says it. Pure.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::pool::{Failure, RequestId};
use super::state::Outcome;

/// The outcome of an invocation that its function did not answer.
pub(super) fn failure(request: &RequestId, failure: &Failure, timeout: Duration) -> Outcome {
    let id = &request.0;
    let (kind, text) = match failure {
        Failure::TimedOut => {
            ("Sandbox.Timedout", format!("Task timed out after {:.2} seconds", timeout.as_secs_f64()))
        }
        Failure::InitTimedOut => {
            let seconds = super::pool::INIT_TIME_MAX.as_secs_f64();
            ("Sandbox.Timedout", format!("Task timed out after {seconds:.2} seconds"))
        }
        Failure::Exited(reason) => ("Runtime.ExitError", format!("Runtime exited with error: {reason}")),
        Failure::Unanswered => ("Runtime.ExitError", "Runtime exited without providing a reason".to_owned()),
    };
    failed(kind, &format!("RequestId: {id} Error: {text}"))
}

/// The outcome of an invocation whose response is more than Lambda carries.
pub(super) fn too_large(bytes: usize, limit: usize) -> Outcome {
    let text = format!(
        "Response payload size ({bytes} bytes) exceeded maximum allowed payload size ({limit} bytes)."
    );
    failed("Function.ResponseSizeTooLarge", &text)
}

fn failed(kind: &str, message: &str) -> Outcome {
    Outcome::Failed(Bytes::from(json!({ "errorType": kind, "errorMessage": message }).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_lambdas() {
        let id = RequestId("r-1".into());
        let Outcome::Failed(body) = failure(&id, &Failure::TimedOut, Duration::from_secs(3)) else {
            panic!("not a failure")
        };
        assert_eq!(
            body,
            r#"{"errorMessage":"RequestId: r-1 Error: Task timed out after 3.00 seconds","errorType":"Sandbox.Timedout"}"#
        );
        let exit = Failure::Exited("signal: killed".into());
        let Outcome::Failed(body) = failure(&id, &exit, Duration::from_secs(3)) else {
            panic!("not a failure")
        };
        assert!(body.ends_with(br#""errorType":"Runtime.ExitError"}"#));
    }
}
