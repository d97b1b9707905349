//! The HTTP client: plain, blocking, bounded. Every status is an answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Longest that one request may take: the largest object is a few megabytes over loopback, the longest call of the gateway function
/// ends with Lambda's own time limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest body read.
const BODY_MAX: u64 = 64 << 20;

/// A reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// How long it took.
    pub took: Duration,
}

impl Reply {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// A client that keeps its connections.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
}

impl Default for Client {
    fn default() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST_TIMEOUT))
            .build();
        Self { agent: config.into() }
    }
}

impl Client {
    /// Asks for `url`.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&self, url: &str) -> Result<Reply> {
        self.get_with(url, &[])
    }

    /// Asks for `url` with these headers.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get_with(&self, url: &str, headers: &[(&str, &str)]) -> Result<Reply> {
        let started = Instant::now();
        let mut request = self.agent.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let reply = request.call().with_context(|| format!("GET {url}"))?;
        Self::read(reply, started)
    }

    /// Sends `body` to `url`.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn post(&self, url: &str, body: &[u8]) -> Result<Reply> {
        let started = Instant::now();
        let reply = self.agent.post(url).send(body).with_context(|| format!("POST {url}"))?;
        Self::read(reply, started)
    }

    fn read(mut reply: ureq::http::Response<ureq::Body>, started: Instant) -> Result<Reply> {
        let headers = reply
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let body =
            reply.body_mut().with_config().limit(BODY_MAX).read_to_vec().context("reading the body")?;
        Ok(Reply { status: reply.status().as_u16(), headers, body, took: started.elapsed() })
    }

    /// The body of `url`, which must be there.
    ///
    /// # Errors
    /// When the answer is anything but 200.
    pub fn body(&self, url: &str) -> Result<Vec<u8>> {
        let reply = self.get(url)?;
        anyhow::ensure!(reply.status == 200, "GET {url}: {}", reply.status);
        Ok(reply.body)
    }
}

/// Resolves `reference` against the absolute URL `base` (RFC 3986, 5.2, as far as manifests use it).
#[must_use]
pub fn resolve(base: &str, reference: &str) -> String {
    if reference.contains("://") {
        return reference.to_owned();
    }
    let (scheme, rest) = base.split_once("://").unwrap_or(("http", base));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.split(['?', '#']).next().unwrap_or("");
    let mut parts: Vec<&str> =
        if reference.starts_with('/') { Vec::new() } else { path.split('/').collect() };
    parts.pop();
    let reference = reference.trim_start_matches('/');
    for part in reference.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("{scheme}://{host}/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_resolve() {
        let base = "http://h:1/live/demo/manifest.mpd?x=1";
        for (reference, url) in [
            ("a.mp4", "http://h:1/live/demo/a.mp4"),
            ("720p/1.m4s", "http://h:1/live/demo/720p/1.m4s"),
            ("../../vod/demo/b/", "http://h:1/vod/demo/b/"),
            ("/vod/x", "http://h:1/vod/x"),
            ("http://other/x", "http://other/x"),
        ] {
            assert_eq!(resolve(base, reference), url);
        }
        assert_eq!(resolve("http://h:1/vod/demo/b/", "720p/1.m4s"), "http://h:1/vod/demo/b/720p/1.m4s");
    }
}
