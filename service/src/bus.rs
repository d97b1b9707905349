//! The event bus (EventBridge), seen by who puts events on it.
//!
//! One operation of the service is used, `PutEvents`, so it is called without the service's own client: JSON over HTTPS, signed (SigV4) and
//! carried by what the other clients bring. Entries that the service did not take, and only those, are tried again.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, UNIX_EPOCH},
};

use aws_config::SdkConfig;
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials as _, SharedCredentialsProvider},
};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::{
    client::{http::HttpConnector as _, orchestrator::HttpRequest},
    http::HttpError,
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use media::time::WallTime;
use serde::{Deserialize, Serialize};

use crate::{backoff::Backoff, clock::Clock};

/// Entries that one call takes.
pub const ENTRIES_MAX: usize = 10;
/// Bytes of all entries of one call, as the service counts them ([`Entry::bytes`]); less than this.
pub const BYTES_MAX: usize = 256 * 1024;
/// What the service counts for an entry's time.
const TIME_BYTES: usize = 14;
/// Tries of a call: what fails for longer than these (some seconds) is left to whoever gave us the events, who keeps them.
const TRIES_MAX: u32 = 4;
/// Time for one try, its reply read.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);
/// Waits between the tries.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(1) };
/// The service's name in signatures.
const SERVICE: &str = "events";
/// What is called.
const TARGET: &str = "AWSEvents.PutEvents";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
/// Failures that another try may not meet, as the service spells them.
const PASSING: [&str; 3] = ["ThrottlingException", "InternalFailure", "InternalException"];

/// A bus by its ARN, which says in which region it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusArn {
    arn: String,
    region: String,
    endpoint: String,
}

/// The text is no ARN of an event bus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not arn:aws:events:REGION:ACCOUNT:event-bus/NAME")]
pub struct NoBusArn;

impl FromStr for BusArn {
    type Err = NoBusArn;

    fn from_str(arn: &str) -> Result<Self, NoBusArn> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", partition, SERVICE, region, account, bus] = parts[..] else { return Err(NoBusArn) };
        let is_name =
            |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let is_bus = bus.strip_prefix("event-bus/").is_some_and(|name| !name.is_empty());
        if region.is_empty() || account.is_empty() || !is_name(region) || !is_bus {
            return Err(NoBusArn);
        }
        let domain = match partition {
            "aws-cn" => "amazonaws.com.cn",
            _ => "amazonaws.com",
        };
        let endpoint = format!("https://{SERVICE}.{region}.{domain}/");
        Ok(Self { arn: arn.to_owned(), region: region.to_owned(), endpoint })
    }
}

impl fmt::Display for BusArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

/// An event for the bus.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
    /// When it happened, in seconds since the Unix epoch.
    pub time: f64,
    /// Who says so.
    pub source: &'static str,
    /// What kind of event it is.
    pub detail_type: String,
    /// The event itself: a JSON object.
    pub detail: String,
}

impl Entry {
    /// Its size as the service counts it
    /// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html>).
    #[must_use]
    pub fn bytes(&self) -> usize {
        TIME_BYTES + self.source.len() + self.detail_type.len() + self.detail.len()
    }
}

/// Why events are not on the bus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{left} events are not on the bus: {why}")]
pub struct BusError {
    /// How many of those that were to be put.
    pub left: usize,
    /// What the service or the way to it said last.
    pub why: String,
}

/// An event bus.
#[derive(Debug)]
pub struct EventBus {
    bus: BusArn,
    endpoint: String,
    credentials: Option<SharedCredentialsProvider>,
    http: Connector,
}

impl EventBus {
    /// The bus, called at `endpoint` if that is given (an emulator), else at its region's.
    #[must_use]
    pub fn new(config: &SdkConfig, bus: BusArn, endpoint: Option<String>) -> Self {
        let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        Self {
            endpoint: endpoint.unwrap_or_else(|| bus.endpoint.clone()),
            bus,
            credentials: config.credentials_provider(),
            http: Connector::builder().tls_provider(tls).build(),
        }
    }

    /// Puts events on the bus: [`ENTRIES_MAX`] and [`BYTES_MAX`] at most.
    ///
    /// # Errors
    /// When some are not on it after all tries, or never will be. The others are.
    pub async fn put(&self, entries: &[Entry], clock: &Clock) -> Result<(), BusError> {
        let mut left: Vec<&Entry> = entries.iter().collect();
        let mut refused = Refused::default();
        for attempt in 1.. {
            let failed = match self.call(&left, clock.now()).await {
                Ok(reply) => refused.take(&mut left, &reply),
                Err(failed) if failed.passing => Some(failed.why),
                Err(failed) => return Err(BusError { left: left.len() + refused.count, why: failed.why }),
            };
            match failed {
                None => break,
                Some(why) if attempt >= TRIES_MAX => {
                    return Err(BusError { left: left.len() + refused.count, why });
                }
                Some(_) => BACKOFF.sleep(attempt, clock).await,
            }
        }
        match refused.why {
            None => Ok(()),
            Some(why) => Err(BusError { left: refused.count, why }),
        }
    }

    async fn call(&self, entries: &[&Entry], now: WallTime) -> Result<Reply, Failed> {
        let body = serde_json::to_vec(&Request {
            entries: entries.iter().map(|entry| Addressed { entry, event_bus_name: &self.bus.arn }).collect(),
        })
        .map_err(Failed::ever)?;
        let credentials = match &self.credentials {
            Some(provider) => provider.provide_credentials().await.map_err(Failed::passing)?,
            None => return Err(Failed::ever("there are no credentials")),
        };
        let request = self.request(body, &credentials, now).map_err(Failed::ever)?;
        let reply = async {
            let reply = self.http.call(request).await.map_err(|error| {
                Failed::passing(aws_smithy_types::error::display::DisplayErrorContext(error))
            })?;
            let status = reply.status().as_u16();
            let body = ByteStream::new(reply.into_body()).collect().await.map_err(Failed::passing)?;
            Ok((status, body.into_bytes()))
        };
        let (status, body) = tokio::time::timeout(TRY_TIMEOUT, reply)
            .await
            .unwrap_or_else(|_| Err(Failed::passing("no answer in time")))?;
        if status == 200 {
            return serde_json::from_slice(&body).map_err(Failed::passing);
        }
        let said = String::from_utf8_lossy(&body).chars().take(500).collect::<String>();
        let passing = status >= 500 || status == 429 || PASSING.iter().any(|code| said.contains(code));
        Err(Failed { passing, why: format!("HTTP {status}: {said}") })
    }

    fn request(
        &self,
        body: Vec<u8>,
        credentials: &Credentials,
        now: WallTime,
    ) -> Result<HttpRequest, Unsigned> {
        let identity = credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.bus.region)
            .name(SERVICE)
            .time(UNIX_EPOCH + Duration::from_millis(now.unix_ms()))
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", TARGET)];
        let signable =
            SignableRequest::new("POST", &self.endpoint, headers.into_iter(), SignableBody::Bytes(&body))?;
        let (signed, _) = sign(signable, &params)?.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST")?;
        request.set_uri(self.endpoint.as_str())?;
        let all = headers.into_iter().chain(signed.headers());
        for (name, value) in all {
            request.headers_mut().try_insert(name.to_owned(), value.to_owned())?;
        }
        Ok(request)
    }
}

/// Why a request could not even be made.
#[derive(Debug, thiserror::Error)]
enum Unsigned {
    #[error("the request can't be signed: {0}")]
    Params(#[from] v4::signing_params::BuildError),
    #[error("the request can't be signed: {0}")]
    Sign(#[from] aws_sigv4::http_request::SigningError),
    #[error("no request to that endpoint: {0}")]
    Http(#[from] HttpError),
}

/// A call without a reply.
#[derive(Debug)]
struct Failed {
    /// Another try may get one.
    passing: bool,
    why: String,
}

impl Failed {
    fn passing(why: impl fmt::Display) -> Self {
        Self { passing: true, why: why.to_string() }
    }

    fn ever(why: impl fmt::Display) -> Self {
        Self { passing: false, why: why.to_string() }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    entries: Vec<Addressed<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Addressed<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    event_bus_name: &'a str,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    failed_entry_count: usize,
    /// In the order of the request's.
    #[serde(default)]
    entries: Vec<Put>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Put {
    error_code: Option<String>,
    #[serde(default)]
    error_message: Option<String>,
}

/// Entries that no other try would get onto the bus.
#[derive(Debug, Default)]
struct Refused {
    count: usize,
    why: Option<String>,
}

impl Refused {
    /// Leaves what is to be tried again, and says why; counts what never will be taken.
    fn take(&mut self, left: &mut Vec<&Entry>, reply: &Reply) -> Option<String> {
        if reply.failed_entry_count == 0 {
            left.clear();
            return None;
        }
        let mut again = None;
        let mut results = reply.entries.iter();
        left.retain(|_| {
            let Some(code) = results.next().and_then(|put| Some((put.error_code.as_deref()?, put))) else {
                return false;
            };
            let (code, put) = code;
            let why = format!("{code}: {}", put.error_message.as_deref().unwrap_or_default());
            let passing = PASSING.contains(&code);
            match passing {
                true => again = Some(why),
                false => {
                    self.count += 1;
                    self.why = Some(why);
                }
            }
            passing
        });
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_says_where_the_bus_is() {
        let bus: BusArn = "arn:aws:events:eu-west-1:123456789012:event-bus/default".parse().unwrap();
        assert_eq!(
            (bus.region.as_str(), bus.endpoint.as_str()),
            ("eu-west-1", "https://events.eu-west-1.amazonaws.com/")
        );
        let china: BusArn = "arn:aws-cn:events:cn-north-1:123456789012:event-bus/a/b".parse().unwrap();
        assert_eq!(china.endpoint, "https://events.cn-north-1.amazonaws.com.cn/");
        assert_eq!(china.to_string(), "arn:aws-cn:events:cn-north-1:123456789012:event-bus/a/b");
        for wrong in [
            "default",
            "arn:aws:events:eu-west-1:123456789012:rule/x",
            "arn:aws:events::123456789012:event-bus/default",
            "arn:aws:events:evil.example/:123456789012:event-bus/default",
            "arn:aws:events:eu-west-1:123456789012:event-bus/",
            "arn:aws:sqs:eu-west-1:123456789012:event-bus/x",
        ] {
            assert_eq!(wrong.parse::<BusArn>(), Err(NoBusArn), "{wrong}");
        }
    }

    fn entry(detail: &str) -> Entry {
        Entry { time: 1.5, source: "gopcast", detail_type: "rebound".to_owned(), detail: detail.to_owned() }
    }

    #[test]
    fn the_size_is_counted_as_the_service_does() {
        assert_eq!(entry("{\"ü\":1}").bytes(), 14 + 7 + 7 + 8);
    }

    #[test]
    fn the_request_to_the_letter() {
        let entry = entry("{}");
        let addressed = vec![Addressed { entry: &entry, event_bus_name: "arn" }];
        assert_eq!(
            serde_json::to_string(&Request { entries: addressed }).unwrap(),
            r#"{"Entries":[{"Time":1.5,"Source":"gopcast","DetailType":"rebound","Detail":"{}","EventBusName":"arn"}]}"#
        );
    }

    #[test]
    fn only_what_failed_in_passing_is_tried_again() {
        let reply = r#"{"FailedEntryCount":2,"Entries":[{"EventId":"1"},{"ErrorCode":"ThrottlingException","ErrorMessage":"slow"},{"ErrorCode":"MalformedDetail"}]}"#;
        let reply: Reply = serde_json::from_str(reply).unwrap();
        let (a, b, c) = (entry("1"), entry("2"), entry("3"));
        let mut left = vec![&a, &b, &c];
        let mut refused = Refused::default();
        assert_eq!(refused.take(&mut left, &reply).as_deref(), Some("ThrottlingException: slow"));
        assert_eq!(left, [&b]);
        assert_eq!((refused.count, refused.why.as_deref()), (1, Some("MalformedDetail: ")));
        let all: Reply =
            serde_json::from_str(r#"{"FailedEntryCount":0,"Entries":[{"EventId":"1"}]}"#).unwrap();
        assert_eq!(refused.take(&mut left, &all), None);
        assert!(left.is_empty());
    }
}
