//! The CDN's rules, read from `infra/data/cdn.json`, and what they make of a path. Pure.
//!
//! Invariants: a path that is routed to an object starts with one of the allowed prefixes after decoding and
//! rewriting, and has no empty, `.` or `..` segment; every path has a behaviour (the last pattern is `*`).

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use crate::Error;

/// The file that Terraform reads too.
const RULES: &str = include_str!("../../../infra/data/cdn.json");

/// The longest key S3 takes, in bytes.
const KEY_BYTES_MAX: usize = 1024;

/// The rules. The fields are the file's; times are seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// For the file's readers.
    #[serde(rename = "about")]
    _about: String,
    /// Prefixes of the keys that viewers may read.
    pub origin_prefixes: Vec<String>,
    /// Methods that are served; others get 405.
    pub allowed_methods: Vec<String>,
    /// The longest path and query.
    pub uri_bytes_max: usize,
    /// How long an error is kept.
    pub error_ttl: u32,
    /// Status codes that are kept for `error_ttl`.
    pub cached_errors: Vec<u16>,
    /// Paths that stand for objects with other names.
    pub rewrites: Vec<Rewrite>,
    /// Paths that are answered without the origin.
    pub functions: Vec<Function>,
    /// Caching by path; the first match counts.
    pub behaviors: Vec<Behavior>,
    /// Response-header policies by name.
    pub headers: BTreeMap<String, Policy>,
    /// Content types by file name extension, for whoever uploads.
    pub content_types: BTreeMap<String, String>,
}

/// A path that stands for another; `{name}` is any one segment.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// The viewer's path.
    pub from: String,
    /// The object's path.
    pub to: String,
}

/// A path answered by a function.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// The viewer's path.
    pub path: String,
    /// What answers.
    pub function: FunctionKind,
    /// The name of its response-header policy.
    pub headers: String,
}

/// What a function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FunctionKind {
    /// The time of day in UTC, ISO 8601 with milliseconds, never cached (DASH `urn:mpeg:dash:utc:http-iso:2014`).
    UtcTime,
}

/// Caching of the paths that match.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behavior {
    /// CloudFront's path pattern.
    pub pattern: String,
    /// Bounds of the time to live.
    pub ttl: Ttl,
    /// The name of its response-header policy.
    pub headers: String,
}

/// Bounds of a time to live (CloudFront Developer Guide, "Manage how long content stays in the cache").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ttl {
    /// At least this, whatever the origin says.
    pub min: u32,
    /// When the origin says nothing.
    pub default: u32,
    /// At most this, whatever the origin says.
    pub max: u32,
}

/// Headers that responses get.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Cross-origin sharing.
    pub cors: Cors,
    /// Further headers.
    pub set: BTreeMap<String, String>,
}

/// Cross-origin sharing (Fetch standard, "CORS protocol").
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// `Access-Control-Allow-Origin`
    pub allow_origin: String,
    /// `Access-Control-Allow-Methods`
    pub allow_methods: Vec<String>,
    /// `Access-Control-Allow-Headers`
    pub allow_headers: Vec<String>,
    /// `Access-Control-Expose-Headers`
    pub expose_headers: Vec<String>,
    /// `Access-Control-Max-Age`
    pub max_age: u32,
}

/// What a path means.
#[derive(Debug)]
pub(crate) enum Route<'a> {
    /// An object in the bucket.
    Object { key: String, ttl: Ttl, policy: &'a str },
    /// A function.
    Function { kind: FunctionKind, policy: &'a str },
    /// Nothing that viewers may know of.
    Nothing,
    /// The path is not one: its escapes are wrong.
    Malformed,
}

impl Rules {
    /// The product's rules.
    ///
    /// # Errors
    /// When the file is not what this program understands; a test proves that the committed one is.
    pub fn load() -> Result<Self, Error> {
        Self::parse(RULES)
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let rules: Self = serde_json::from_str(text).map_err(|error| Error::Rules(error.to_string()))?;
        let wrong = |text: String| Err(Error::Rules(text));
        if rules.behaviors.last().is_none_or(|last| last.pattern != "*") {
            return wrong("the last behaviour's pattern must be *".into());
        }
        let used =
            rules.behaviors.iter().map(|b| &b.headers).chain(rules.functions.iter().map(|f| &f.headers));
        if let Some(missing) = used.into_iter().find(|name| !rules.headers.contains_key(*name)) {
            return wrong(format!("there is no header policy named {missing}"));
        }
        if let Some(bad) = rules.behaviors.iter().find(|b| b.ttl.min > b.ttl.max) {
            return wrong(format!("the ttl of {} has min above max", bad.pattern));
        }
        for policy in rules.headers.values() {
            for (name, value) in &policy.set {
                if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err() {
                    return wrong(format!("{name} is not a header"));
                }
            }
        }
        Ok(rules)
    }

    /// The content type of a file with this name, by its extension.
    #[must_use]
    pub fn content_type(&self, name: &str) -> &str {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        self.content_types.get(extension).map_or("application/octet-stream", String::as_str)
    }

    /// Whether a response with this status is kept for [`Rules::error_ttl`].
    pub(crate) fn keeps_error(&self, status: http::StatusCode) -> bool {
        self.cached_errors.contains(&status.as_u16())
    }

    /// What a request's (still encoded) path means.
    pub(crate) fn route(&self, encoded: &str) -> Route<'_> {
        let Some(path) = decode(encoded) else { return Route::Malformed };
        if let Some(function) = self.functions.iter().find(|f| f.path == path) {
            return Route::Function { kind: function.function, policy: &function.headers };
        }
        let path = match self.rewrites.iter().find(|r| is_rewritten(&r.from, &path)) {
            Some(rewrite) => rewrite.to.as_str(),
            None => path.as_str(),
        };
        let key = path.strip_prefix('/').unwrap_or_default();
        let in_reach =
            self.origin_prefixes.iter().any(|p| key.len() > p.len() && key.starts_with(p.as_str()));
        if !in_reach || !is_plain(key) {
            return Route::Nothing;
        }
        match self.behaviors.iter().find(|b| matches(b.pattern.as_bytes(), path.as_bytes())) {
            Some(found) => Route::Object { key: key.to_owned(), ttl: found.ttl, policy: &found.headers },
            None => Route::Nothing,
        }
    }

    /// The policy for what has no behaviour of its own.
    pub(crate) fn default_policy(&self) -> &str {
        self.behaviors.last().map_or("", |b| &b.headers)
    }
}

/// Percent-decodes a path; `None` when an escape is cut short, or the result is not UTF-8 or holds control characters.
fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let path = String::from_utf8(bytes).ok()?;
    (path.starts_with('/') && !path.chars().any(char::is_control)).then_some(path)
}

/// Whether every segment is a name, and the whole fits a key.
fn is_plain(key: &str) -> bool {
    key.len() <= KEY_BYTES_MAX && !key.contains('\\') && key.split('/').all(|s| !matches!(s, "" | "." | ".."))
}

fn is_rewritten(from: &str, path: &str) -> bool {
    let (mut from, mut path) = (from.split('/'), path.split('/'));
    loop {
        match (from.next(), path.next()) {
            (None, None) => return true,
            (Some(f), Some(p)) if f == p => {}
            (Some(f), Some(p)) if f.starts_with('{') && f.ends_with('}') && !p.is_empty() => {}
            _ => return false,
        }
    }
}

/// CloudFront's patterns: `*` is any run of characters, `?` any one.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on after letting the last star take one byte more.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) => {
                retry = Some((p + 1, t));
                p += 1;
            }
            (Some(b'?'), Some(_)) => (p, t) = (p + 1, t + 1),
            (Some(a), Some(b)) if a == b => (p, t) = (p + 1, t + 1),
            _ => match retry {
                Some((after_star, from)) => {
                    (p, t) = (after_star, from + 1);
                    retry = Some((after_star, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(path: &str) -> Option<String> {
        match Rules::load().unwrap().route(path) {
            Route::Object { key, .. } => Some(key),
            _ => None,
        }
    }

    #[test]
    fn pages_are_rewritten() {
        assert_eq!(key("/").as_deref(), Some("player/index.html"));
        assert_eq!(key("/watch/demo").as_deref(), Some("player/watch.html"));
        assert_eq!(key("/watch/demo/0190").as_deref(), Some("player/watch.html"));
        assert_eq!(key("/watch/"), None);
        assert_eq!(key("/watch/a/b/c"), None);
        assert_eq!(key("/favicon.ico").as_deref(), Some("player/favicon.svg"));
    }

    #[test]
    fn only_the_prefixes_are_in_reach() {
        assert_eq!(key("/live/demo/manifest.mpd").as_deref(), Some("live/demo/manifest.mpd"));
        assert_eq!(key("/vod/a%20b/1.m4s").as_deref(), Some("vod/a b/1.m4s"));
        for path in [
            "/ingest/b/000001/00000000.gop",
            "/live/../ingest/x",
            "/live/%2e%2e/ingest/x",
            "/live/%2E%2E%2Fingest/x",
            "/live//x",
            "/live/./x",
            "/live/..\\ingest",
            "//ingest/x",
            "/live",
            "/live/",
            "/livex/y",
            "/x",
        ] {
            assert_eq!(key(path), None, "{path}");
        }
        for path in ["/live/%", "/live/%g0", "/live/%ff", "/live/%00", "live/x", "/live/%+1"] {
            assert!(matches!(Rules::load().unwrap().route(path), Route::Malformed), "{path}");
        }
    }

    #[test]
    fn the_first_pattern_counts() {
        let rules = Rules::load().unwrap();
        let ttl = |path: &str| match rules.route(path) {
            Route::Object { ttl, policy, .. } => (ttl.default, ttl.max, policy.to_owned()),
            _ => panic!("no object: {path}"),
        };
        assert_eq!(ttl("/live/demo/manifest.mpd"), (1, 60, "media".into()));
        assert_eq!(ttl("/vod/demo/b/720p/0.m4s"), (60, 31_536_000, "media".into()));
        assert_eq!(ttl("/player/app.js"), (60, 31_536_000, "pages".into()));
        assert!(matches!(rules.route("/time"), Route::Function { kind: FunctionKind::UtcTime, .. }));
    }

    /// `infra/check/cdn.py` holds what Terraform makes of the rules to the same file.
    #[test]
    fn every_path_is_what_cloudfront_makes_of_it() {
        let told: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(include_str!("../../../infra/check/cdn-paths.json")).unwrap();
        let rules = Rules::load().unwrap();
        for (path, want) in told {
            let got = match rules.route(&path) {
                Route::Object { key, ttl, policy } => serde_json::json!({
                    "is": "object", "target": format!("/{key}"), "headers": policy,
                    "ttl": { "min": ttl.min, "default": ttl.default, "max": ttl.max },
                }),
                Route::Function { policy, .. } => serde_json::json!({ "is": "function", "headers": policy }),
                Route::Nothing => serde_json::json!({ "is": "nothing" }),
                Route::Malformed => serde_json::json!({ "is": "malformed" }),
            };
            assert_eq!(
                got, want,
                "{path}: after a change of the rules: python3 infra/check/cdn.py --paths infra/data/cdn.json > infra/check/cdn-paths.json"
            );
        }
    }

    #[test]
    fn errors_live_a_second_at_most() {
        assert!(Rules::load().unwrap().error_ttl <= 1);
    }

    #[test]
    fn patterns_are_cloudfronts() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("/live/*.mpd", "/live/a/b.mpd", true),
            ("/live/*.mpd", "/live/a/b.mpd.x", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b", "xaab", true),
            ("*a*b", "xba", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_prefixes(path in "/([a-z./%0-9\\\\]|%2e|%2f|live/|ingest/){0,12}") {
            if let Some(key) = key(&path) {
                prop_assert!(["live/", "vod/", "player/"].iter().any(|p| key.starts_with(p)));
                prop_assert!(!key.split('/').any(|s| s == ".." || s == "." || s.is_empty()));
            }
        }
    }
}
