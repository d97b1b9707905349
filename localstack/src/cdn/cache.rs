//! The shared cache: many viewers, one request to the origin.
//!
//! Invariants: at most one fetch of a key is under way; a fetch goes on when the viewer who caused it leaves; between
//! the end of a fetch and its entry's presence nobody can start another (both happen under one lock); an entry is
//! used no longer than its [`Lifetime`] allows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::Shared;
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::freshness::{self, Lifetime};
use super::lru::Lru;
use super::origin::{Fetched, Object, Origin};
use super::rules::Ttl;
use crate::clock::SharedClock;

/// What a fetch brought.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Object(Arc<Object>),
    Missing,
    Failed,
}

/// A fetch's result and how long it may be used.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) content: Content,
    stored: Timestamp,
    lifetime: Lifetime,
}

/// How a request was served, as `X-Cache` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Hit,
    Miss,
    /// The origin was asked and had nothing newer.
    RefreshHit,
}

/// What a request gets.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) content: Content,
    pub(crate) source: Source,
    /// Whole seconds since the origin was asked.
    pub(crate) age: u32,
}

#[derive(Debug, Clone)]
struct Outcome {
    entry: Arc<Entry>,
    refreshed: bool,
}

type Fetch = Shared<oneshot::Receiver<Outcome>>;

#[derive(Debug)]
struct Inner {
    entries: Lru<Arc<Entry>>,
    fetches: HashMap<String, Fetch>,
}

/// See the module's documentation.
pub(crate) struct Cache {
    inner: Mutex<Inner>,
    origin: Arc<dyn Origin>,
    clock: SharedClock,
    /// Kept in seconds: what is missing, and what the origin failed to tell.
    error_ttls: ErrorTtls,
}

/// How long errors are kept, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorTtls {
    /// 404
    pub(crate) missing: u32,
    /// 502
    pub(crate) failed: u32,
}

enum Found {
    Fresh(Arc<Entry>),
    Stale(Arc<Entry>),
    Nothing(Option<Arc<Entry>>),
}

impl Cache {
    pub(crate) fn new(
        origin: Arc<dyn Origin>,
        clock: SharedClock,
        bytes_max: usize,
        error_ttls: ErrorTtls,
    ) -> Self {
        let inner = Inner { entries: Lru::new(bytes_max), fetches: HashMap::new() };
        Self { inner: Mutex::new(inner), origin, clock, error_ttls }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves `key` from the cache or the origin.
    pub(crate) async fn get(self: &Arc<Self>, key: &str, ttl: Ttl) -> Served {
        let now = self.clock.now();
        let fetch = {
            let mut inner = self.lock();
            match find(&mut inner, key, now) {
                Found::Fresh(entry) => return served(&entry, Source::Hit, now),
                Found::Stale(entry) => {
                    // It runs on its own; this request does not wait for it.
                    drop(self.fetch(&mut inner, key, ttl, Some(&entry)));
                    return served(&entry, Source::Hit, now);
                }
                Found::Nothing(old) => self.fetch(&mut inner, key, ttl, old.as_ref()),
            }
        };
        match fetch.await {
            Ok(Outcome { entry, refreshed }) => {
                let source = if refreshed { Source::RefreshHit } else { Source::Miss };
                served(&entry, source, self.clock.now())
            }
            // The fetch's task died; its guard has made place for the next one.
            Err(_) => Served { content: Content::Failed, source: Source::Miss, age: 0 },
        }
    }

    /// Joins the fetch of `key`, starting it when there is none.
    fn fetch(self: &Arc<Self>, inner: &mut Inner, key: &str, ttl: Ttl, old: Option<&Arc<Entry>>) -> Fetch {
        if let Some(fetch) = inner.fetches.get(key) {
            return fetch.clone();
        }
        let (sender, receiver) = oneshot::channel();
        let fetch = receiver.shared();
        inner.fetches.insert(key.to_owned(), fetch.clone());
        let old = old.and_then(|entry| match &entry.content {
            Content::Object(object) => Some(Arc::clone(object)),
            Content::Missing | Content::Failed => None,
        });
        let mut guard = FetchGuard { cache: Arc::clone(self), key: key.to_owned(), finished: false };
        tokio::spawn(async move {
            let known = old.as_ref().map(|object| object.etag.as_str());
            let fetched = guard.cache.origin.fetch(&guard.key, known).await;
            let outcome = guard.cache.judge(fetched, old, ttl);
            guard.finish(&outcome);
            // Nobody waits for a revalidation in the background.
            drop(sender.send(outcome));
        });
        fetch
    }

    fn judge(&self, fetched: Fetched, old: Option<Arc<Object>>, ttl: Ttl) -> Outcome {
        let error = |fresh| Lifetime { fresh, stale_while_revalidate: 0 };
        let of = |object: &Object| freshness::lifetime(object.cache_control.as_deref(), ttl);
        let (content, lifetime, refreshed) = match (fetched, old) {
            (Fetched::Object(object), _) => {
                let lifetime = of(&object);
                (Content::Object(Arc::new(object)), lifetime, false)
            }
            (Fetched::NotModified, Some(object)) => {
                let lifetime = of(&object);
                (Content::Object(object), lifetime, true)
            }
            (Fetched::Missing, _) => (Content::Missing, error(self.error_ttls.missing), false),
            (Fetched::Failed | Fetched::NotModified, _) => {
                (Content::Failed, error(self.error_ttls.failed), false)
            }
        };
        let entry = Arc::new(Entry { content, stored: self.clock.now(), lifetime });
        Outcome { entry, refreshed }
    }
}

/// Ends a fetch: at the latest when its task is dropped.
struct FetchGuard {
    cache: Arc<Cache>,
    key: String,
    finished: bool,
}

impl FetchGuard {
    fn finish(&mut self, outcome: &Outcome) {
        let entry = &outcome.entry;
        let body_bytes = match &entry.content {
            Content::Object(object) => object.body.len(),
            Content::Missing | Content::Failed => 0,
        };
        let mut inner = self.cache.lock();
        if entry.lifetime.fresh == 0 && entry.lifetime.stale_while_revalidate == 0 {
            inner.entries.remove(&self.key);
        } else {
            inner.entries.insert(&self.key, Arc::clone(entry), body_bytes);
        }
        inner.fetches.remove(&self.key);
        self.finished = true;
    }
}

impl Drop for FetchGuard {
    fn drop(&mut self) {
        // After `finish` the place may be a newer fetch's, which has not ended.
        if !self.finished {
            self.cache.lock().fetches.remove(&self.key);
        }
    }
}

fn find(inner: &mut Inner, key: &str, now: Timestamp) -> Found {
    let Some(entry) = inner.entries.get(key) else { return Found::Nothing(None) };
    let age = age_ms(entry, now);
    let fresh = i64::from(entry.lifetime.fresh).saturating_mul(1000);
    let stale = fresh.saturating_add(i64::from(entry.lifetime.stale_while_revalidate).saturating_mul(1000));
    let entry = Arc::clone(entry);
    if age < fresh {
        Found::Fresh(entry)
    } else if age < stale {
        Found::Stale(entry)
    } else {
        Found::Nothing(Some(entry))
    }
}

/// Never negative, though the clock may be set back.
fn age_ms(entry: &Entry, now: Timestamp) -> i64 {
    now.as_millisecond().saturating_sub(entry.stored.as_millisecond()).max(0)
}

fn served(entry: &Entry, source: Source, now: Timestamp) -> Served {
    let age = u32::try_from(age_ms(entry, now) / 1000).unwrap_or(u32::MAX);
    Served { content: entry.content.clone(), source, age }
}
