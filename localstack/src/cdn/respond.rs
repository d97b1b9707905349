//! From what the cache served to an HTTP response: validators, ranges, and the policies' headers. Pure.

use std::str::FromStr;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, AGE, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};

use super::cache::{Content, Served, Source};
use super::origin::Object;
use super::range::{self, Part};
use super::rules::Rules;

/// What viewers get.
pub(crate) type Reply = Response<Full<Bytes>>;

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// Answers a GET or HEAD with what the cache served.
pub(crate) fn object(rules: &Rules, policy: &str, request: &HeaderMap, served: &Served) -> Reply {
    let object = match &served.content {
        Content::Object(object) => object,
        Content::Missing => return error(rules, policy, StatusCode::NOT_FOUND, served.age),
        Content::Failed => return error(rules, policy, StatusCode::BAD_GATEWAY, served.age),
    };
    let tag = format!("\"{}\"", object.etag);
    let mut reply = match answer(request, object, &tag) {
        Answer::NotModified => empty(StatusCode::NOT_MODIFIED),
        Answer::Part(Part::Whole) => full(StatusCode::OK, object.body.clone()),
        Answer::Part(Part::Bytes(bytes)) => {
            let total = object.body.len();
            let (first, last) = (bytes.start, bytes.end.saturating_sub(1));
            let mut reply = full(StatusCode::PARTIAL_CONTENT, object.body.slice(bytes));
            set(reply.headers_mut(), CONTENT_RANGE, &format!("bytes {first}-{last}/{total}"));
            reply
        }
        Answer::Part(Part::Unsatisfiable) => {
            let mut reply = error(rules, policy, StatusCode::RANGE_NOT_SATISFIABLE, served.age);
            set(reply.headers_mut(), CONTENT_RANGE, &format!("bytes */{}", object.body.len()));
            return reply;
        }
    };
    let headers = reply.headers_mut();
    let named = [
        (CONTENT_TYPE, object.content_type.as_deref()),
        (CONTENT_ENCODING, object.content_encoding.as_deref()),
        (CACHE_CONTROL, object.cache_control.as_deref()),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            set(headers, name, value);
        }
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(AGE, HeaderValue::from(served.age));
    set(headers, ETAG, &tag);
    if let Some(date) = http_date(object.modified_ms) {
        set(headers, LAST_MODIFIED, &date);
    }
    headers.insert(
        X_CACHE,
        HeaderValue::from_static(match served.source {
            Source::Hit => "Hit from gopcast-cdn",
            Source::Miss => "Miss from gopcast-cdn",
            Source::RefreshHit => "RefreshHit from gopcast-cdn",
        }),
    );
    apply(rules, policy, headers);
    reply
}

/// Answers with an error that may be kept for as long as the rules say.
pub(crate) fn error(rules: &Rules, policy: &str, status: StatusCode, age: u32) -> Reply {
    let text = format!("{}\n", status.canonical_reason().unwrap_or("Error"));
    let mut reply = full(status, Bytes::from(text));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(AGE, HeaderValue::from(age));
    set(headers, CACHE_CONTROL, &format!("max-age={}", rules.error_ttl));
    headers.insert(X_CACHE, HeaderValue::from_static("Error from gopcast-cdn"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        set(headers, ALLOW, &rules.allowed_methods.join(", "));
    }
    apply(rules, policy, headers);
    reply
}

/// Answers OPTIONS, a CORS preflight or not.
pub(crate) fn options(rules: &Rules, policy: &str) -> Reply {
    let mut reply = empty(StatusCode::NO_CONTENT);
    let headers = reply.headers_mut();
    set(headers, ALLOW, &rules.allowed_methods.join(", "));
    apply(rules, policy, headers);
    if let Some(policy) = rules.headers.get(policy) {
        headers.insert("access-control-max-age", HeaderValue::from(policy.cors.max_age));
        set_str(headers, "access-control-allow-methods", &policy.cors.allow_methods.join(", "));
        set_str(headers, "access-control-allow-headers", &policy.cors.allow_headers.join(", "));
    }
    reply
}

/// Answers `/time`.
pub(crate) fn utc_time(rules: &Rules, policy: &str, now: Timestamp) -> Reply {
    let mut reply = full(StatusCode::OK, Bytes::from(now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CACHE, HeaderValue::from_static("FunctionGeneratedResponse from gopcast-cdn"));
    apply(rules, policy, headers);
    reply
}

/// Whether the rules serve this method.
pub(crate) fn is_allowed(rules: &Rules, method: &Method) -> bool {
    rules.allowed_methods.iter().any(|allowed| allowed == method.as_str())
}

enum Answer {
    NotModified,
    Part(Part),
}

/// RFC 9110, section 13.2.2: `If-None-Match` before `If-Modified-Since`, then `Range` if `If-Range` allows.
fn answer(request: &HeaderMap, object: &Object, tag: &str) -> Answer {
    let text = |name: &HeaderName| request.get(name).and_then(|value| value.to_str().ok());
    let unchanged = match (text(&IF_NONE_MATCH), text(&IF_MODIFIED_SINCE)) {
        (Some(known), _) => {
            known.trim() == "*" || known.split(',').any(|k| k.trim().trim_start_matches("W/") == tag)
        }
        (None, Some(since)) => {
            seconds_of(since).is_some_and(|since| object.modified_ms.div_euclid(1000) <= since)
        }
        (None, None) => false,
    };
    if unchanged {
        return Answer::NotModified;
    }
    let wanted = match text(&IF_RANGE) {
        Some(condition) => {
            let same_date = seconds_of(condition) == Some(object.modified_ms.div_euclid(1000));
            (condition.trim() == tag || same_date).then(|| text(&RANGE)).flatten()
        }
        None => text(&RANGE),
    };
    Answer::Part(range::part(wanted, object.body.len()))
}

fn seconds_of(date: &str) -> Option<i64> {
    DateTimeParser::new().parse_timestamp(date.trim()).ok().map(Timestamp::as_second)
}

fn http_date(ms: i64) -> Option<String> {
    let timestamp = Timestamp::from_millisecond(ms).ok()?;
    DateTimePrinter::new().timestamp_to_rfc9110_string(&timestamp).ok()
}

fn full(status: StatusCode, body: Bytes) -> Reply {
    let length = body.len();
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    reply
}

fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    reply
}

fn apply(rules: &Rules, policy: &str, headers: &mut HeaderMap) {
    let Some(policy) = rules.headers.get(policy) else { return };
    set_str(headers, "access-control-allow-origin", &policy.cors.allow_origin);
    set_str(headers, "access-control-expose-headers", &policy.cors.expose_headers.join(", "));
    for (name, value) in &policy.set {
        if let Ok(name) = HeaderName::from_str(name) {
            set(headers, name, value);
        }
    }
}

fn set_str(headers: &mut HeaderMap, name: &'static str, value: &str) {
    set(headers, HeaderName::from_static(name), value);
}

/// What came from a writer and is no header value is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn rules() -> Rules {
        Rules::load().unwrap()
    }

    fn served() -> Served {
        let object = Object {
            body: Bytes::from_static(b"0123456789"),
            etag: "tag".into(),
            modified_ms: 1_700_000_000_900,
            content_type: Some("video/mp4".into()),
            ..Object::default()
        };
        Served { content: Content::Object(Arc::new(object)), source: Source::Hit, age: 7 }
    }

    fn ask(headers: &[(HeaderName, &str)]) -> Reply {
        let headers = headers.iter().map(|(n, v)| (n.clone(), HeaderValue::from_str(v).unwrap())).collect();
        object(&rules(), "media", &headers, &served())
    }

    #[test]
    fn validators() {
        for (headers, status) in [
            (vec![], 200),
            (vec![(IF_NONE_MATCH, "\"tag\"")], 304),
            (vec![(IF_NONE_MATCH, "\"other\", W/\"tag\"")], 304),
            (vec![(IF_NONE_MATCH, "*")], 304),
            (vec![(IF_NONE_MATCH, "\"other\""), (IF_MODIFIED_SINCE, "Tue, 14 Nov 2023 22:13:20 GMT")], 200),
            (vec![(IF_MODIFIED_SINCE, "Tue, 14 Nov 2023 22:13:20 GMT")], 304),
            (vec![(IF_MODIFIED_SINCE, "Tue, 14 Nov 2023 22:13:19 GMT")], 200),
            (vec![(IF_MODIFIED_SINCE, "yesterday")], 200),
            (vec![(RANGE, "bytes=2-4")], 206),
            (vec![(RANGE, "bytes=2-4"), (IF_RANGE, "\"tag\"")], 206),
            (vec![(RANGE, "bytes=2-4"), (IF_RANGE, "\"other\"")], 200),
            (vec![(RANGE, "bytes=20-")], 416),
        ] {
            assert_eq!(ask(&headers).status(), status, "{headers:?}");
        }
    }

    #[test]
    fn headers_of_a_hit() {
        let reply = ask(&[(RANGE, "bytes=2-4")]);
        for (name, value) in [
            ("accept-ranges", "bytes"),
            ("access-control-allow-origin", "*"),
            ("age", "7"),
            ("content-length", "3"),
            ("content-range", "bytes 2-4/10"),
            ("content-type", "video/mp4"),
            ("etag", "\"tag\""),
            ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT"),
            ("x-cache", "Hit from gopcast-cdn"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(reply.headers()[name], value, "{name}");
        }
    }

    #[test]
    fn time_has_milliseconds() {
        use http_body_util::BodyExt;
        let reply = utc_time(&rules(), "media", Timestamp::from_millisecond(1_700_000_000_007).unwrap());
        assert_eq!(reply.headers()["cache-control"], "no-store");
        let body = futures_util::FutureExt::now_or_never(reply.into_body().collect()).unwrap().unwrap();
        assert_eq!(body.to_bytes(), "2023-11-14T22:13:20.007Z");
    }
}
