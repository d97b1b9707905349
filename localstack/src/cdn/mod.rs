//! The CDN stand-in: the viewers' only door, with CloudFront's cache rules.
//!
//! `rules`, `freshness`, `range`, `lru` and `respond` are pure; `cache` and `origin` are the shell. The rules are data
//! (`infra/data/cdn.json`), the same that Terraform gives to CloudFront.
//!
//! Invariants: only keys below the rules' prefixes can be reached; what is not there is 404, never 403; requests
//! carry nothing to the origin but a key.

mod cache;
mod freshness;
mod lru;
mod origin;
mod range;
mod respond;
mod rules;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::TcpListener;

pub use origin::{Bucket, Fetched, Object, Origin};
pub use rules::{Behavior, Cors, Function, FunctionKind, Policy, Rewrite, Rules, Ttl};

use crate::Error;
use crate::clock::SharedClock;
use crate::http_server::{Limits, Server};
use cache::{Cache, ErrorTtls};
use respond::Reply;
use rules::Route;

/// The running CDN stand-in.
#[derive(Debug)]
pub struct Cdn {
    server: Server,
}

struct Door {
    rules: Rules,
    cache: Arc<Cache>,
    clock: SharedClock,
}

impl Cdn {
    /// Serves `origin` on `listener` by `rules`, keeping at most `cache_bytes` in memory.
    ///
    /// # Errors
    /// When the listener has no address.
    pub fn start(
        listener: TcpListener,
        rules: Rules,
        origin: Arc<dyn Origin>,
        clock: SharedClock,
        cache_bytes: usize,
    ) -> Result<Self, Error> {
        let kept = |status: StatusCode| if rules.keeps_error(status) { rules.error_ttl } else { 0 };
        let error_ttls =
            ErrorTtls { missing: kept(StatusCode::NOT_FOUND), failed: kept(StatusCode::BAD_GATEWAY) };
        let cache = Arc::new(Cache::new(origin, Arc::clone(&clock), cache_bytes, error_ttls));
        let door = Arc::new(Door { rules, cache, clock });
        let service = service_fn(move |request: Request<Incoming>| {
            let door = Arc::clone(&door);
            async move { Ok::<_, Infallible>(door.answer(&request).await) }
        });
        Ok(Self { server: Server::start("cdn", listener, Limits::VIEWERS, service)? })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Stops accepting and lets responses under way finish for a bounded time.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

impl Door {
    async fn answer<B>(&self, request: &Request<B>) -> Reply {
        let rules = &self.rules;
        let uri_bytes = request.uri().path_and_query().map_or(0, |p| p.as_str().len());
        if uri_bytes > rules.uri_bytes_max {
            return respond::error(rules, rules.default_policy(), StatusCode::URI_TOO_LONG, 0);
        }
        let route = rules.route(request.uri().path());
        let policy = match &route {
            Route::Object { policy, .. } | Route::Function { policy, .. } => policy,
            Route::Nothing | Route::Malformed => rules.default_policy(),
        };
        if !respond::is_allowed(rules, request.method()) {
            return respond::error(rules, policy, StatusCode::METHOD_NOT_ALLOWED, 0);
        }
        if request.method() == Method::OPTIONS {
            return respond::options(rules, policy);
        }
        match route {
            Route::Object { key, ttl, policy } => {
                let served = self.cache.get(&key, ttl).await;
                respond::object(rules, policy, request.headers(), &served)
            }
            Route::Function { kind: FunctionKind::UtcTime, policy } => {
                respond::utc_time(rules, policy, self.clock.now())
            }
            Route::Nothing => respond::error(rules, policy, StatusCode::NOT_FOUND, 0),
            Route::Malformed => respond::error(rules, policy, StatusCode::BAD_REQUEST, 0),
        }
    }
}
