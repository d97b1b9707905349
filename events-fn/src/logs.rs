//! What CloudWatch Logs invokes a function with: lines of one log stream as JSON, compressed, in base64
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html>). Pure.

use std::io::Read as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};

/// Most bytes of lines in one invocation: forty times what an asynchronous invocation carries (1 MB, base64), which is more than JSON lines are
/// ever compressed by.
const LINES_BYTES_MAX: u64 = 32 << 20;

/// The event of the invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// Its one part.
    pub awslogs: Data,
}

/// See [`Invocation`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// gzip in base64.
    pub data: String,
}

/// The lines of an invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lines {
    /// `DATA_MESSAGE`, or `CONTROL_MESSAGE` when CloudWatch only asks whether we are there.
    pub message_type: String,
    /// The lines, in their order.
    pub log_events: Vec<Line>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When CloudWatch got it: milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// The line.
    pub message: String,
}

/// An invocation that can't be read. Trying again would not help, but it is never to be passed over in silence.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// Not base64.
    #[error("awslogs.data is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// Not gzip.
    #[error("awslogs.data can't be decompressed: {0}")]
    Gzip(#[from] std::io::Error),
    /// Not what CloudWatch Logs sends, or larger than it sends.
    #[error("awslogs.data is not lines of CloudWatch Logs: {0}")]
    Json(#[from] serde_json::Error),
}

/// The lines of an invocation; none of a control message.
///
/// # Errors
/// See [`LogsError`].
pub fn read(invocation: &Invocation) -> Result<Vec<Line>, LogsError> {
    let compressed = BASE64_STANDARD.decode(&invocation.awslogs.data)?;
    let mut text = Vec::new();
    GzDecoder::new(compressed.as_slice()).take(LINES_BYTES_MAX).read_to_end(&mut text)?;
    let lines: Lines = serde_json::from_slice(&text)?;
    Ok(if lines.message_type == "DATA_MESSAGE" { lines.log_events } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn invocation(text: &[u8]) -> Invocation {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text).unwrap();
        Invocation { awslogs: Data { data: BASE64_STANDARD.encode(gzip.finish().unwrap()) } }
    }

    #[test]
    fn lines_come_out() {
        let sent = r#"{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/gopcast/edge","logStream":"s","subscriptionFilters":["events"],"logEvents":[{"id":"1","timestamp":1510109208016,"message":"a"},{"id":"2","timestamp":1510109208017,"message":"{}"}]}"#;
        let lines = read(&invocation(sent.as_bytes())).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], Line { timestamp: 1_510_109_208_016, message: "a".to_owned() });
    }

    #[test]
    fn the_example_of_cloudwatch_s_documentation_is_read() {
        // https://docs.aws.amazon.com/lambda/latest/dg/services-cloudwatchlogs.html
        let data = "H4sIAAAAAAAAAHWPwQqCQBCGX0Xm7EFtK+smZBEUgXoLCdMhFtKV3akI8d0bLYmibvPPN3wz00CJxmQnTO41whwWQRIctmEcB6sQbFC3CjW3XW8kxpOpP+OC22d1Wml1qZkQGtoMsScxaczKN3plG8zlaHIta5KqWsozoTYw3/djzwhpLwivWFGHGpAFe7DL68JlBUk+l7KSN7tCOEJ4M3/qOI49vMHj+zCKdlFqLaU2ZHV2a4Ct/an0/ivdX8oYc1UVX860fQDQiMdxRQEAAA==";
        let lines = read(&Invocation { awslogs: Data { data: data.to_owned() } }).unwrap();
        assert_eq!(lines[0].message, "[ERROR] First test message");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn a_control_message_has_none() {
        let sent = r#"{"messageType":"CONTROL_MESSAGE","logEvents":[{"id":"","timestamp":1,"message":"CWL CONTROL MESSAGE: Checking health of destination"}]}"#;
        assert_eq!(read(&invocation(sent.as_bytes())).unwrap(), []);
    }

    #[test]
    fn what_is_damaged_is_an_error() {
        let data = |data: &str| Invocation { awslogs: Data { data: data.to_owned() } };
        assert!(matches!(read(&data("%")), Err(LogsError::Base64(_))));
        assert!(matches!(read(&data("AAAA")), Err(LogsError::Gzip(_))));
        assert!(matches!(read(&invocation(b"[]")), Err(LogsError::Json(_))));
        // More than is taken is cut off, and then no JSON.
        let bomb = vec![b' '; usize::try_from(LINES_BYTES_MAX).unwrap() + 1];
        assert!(matches!(read(&invocation(&bomb)), Err(LogsError::Json(_))));
    }
}
