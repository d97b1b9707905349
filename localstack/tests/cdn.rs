//! The CDN stand-in over HTTP: first with an origin that counts and can be held, then before the embedded S3.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use common::{BUCKET, Http};
use futures_util::future::BoxFuture;
use http::Method;
use jiff::Timestamp;
use localstack::cdn::{Cdn, Fetched, Object, Origin, Rules};
use localstack::clock::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const START_MS: i64 = 1_700_000_000_000;

/// A clock that the test moves.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// An origin with one object, which counts its fetches and answers only while the gate is open.
struct Gated {
    object: Mutex<Option<Object>>,
    fetches: AtomicUsize,
    revalidations: AtomicUsize,
    begun: watch::Sender<usize>,
    gate: watch::Sender<bool>,
}

impl Origin for Gated {
    fn fetch<'a>(&'a self, _key: &'a str, known: Option<&'a str>) -> BoxFuture<'a, Fetched> {
        Box::pin(async move {
            self.fetches.fetch_add(1, Ordering::SeqCst);
            self.begun.send_modify(|n| *n += 1);
            self.gate.subscribe().wait_for(|open| *open).await.unwrap();
            match self.object.lock().unwrap().clone() {
                Some(object) if known == Some(object.etag.as_str()) => {
                    self.revalidations.fetch_add(1, Ordering::SeqCst);
                    Fetched::NotModified
                }
                Some(object) => Fetched::Object(object),
                None => Fetched::Missing,
            }
        })
    }
}

struct Bed {
    cdn: Cdn,
    http: Http,
    origin: Arc<Gated>,
    clock: Arc<Hand>,
}

impl Bed {
    async fn new(object: Option<Object>) -> Self {
        let origin = Arc::new(Gated {
            object: Mutex::new(object),
            fetches: AtomicUsize::new(0),
            revalidations: AtomicUsize::new(0),
            begun: watch::Sender::new(0),
            gate: watch::Sender::new(true),
        });
        let clock = Arc::new(Hand(AtomicI64::new(START_MS)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = Arc::clone(&origin) as Arc<dyn Origin>;
        let time = Arc::clone(&clock) as Arc<dyn Clock>;
        let cdn = Cdn::start(listener, Rules::load().unwrap(), source, time, 1024 * 1024).unwrap();
        let http = Http::new(cdn.address());
        Self { cdn, http, origin, clock }
    }

    fn fetches(&self) -> usize {
        self.origin.fetches.load(Ordering::SeqCst)
    }

    fn pass(&self, ms: i64) {
        self.clock.0.fetch_add(ms, Ordering::SeqCst);
    }
}

fn manifest(body: &'static str, cache_control: &str) -> Object {
    Object {
        body: Bytes::from_static(body.as_bytes()),
        etag: format!("tag-{body}"),
        modified_ms: START_MS,
        content_type: Some("application/dash+xml".to_owned()),
        cache_control: Some(cache_control.to_owned()),
        ..Object::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_cold_requests_are_one_fetch() {
    let bed = Bed::new(Some(manifest("a", "max-age=1"))).await;
    bed.origin.gate.send_replace(false);
    let viewers: Vec<_> = (0..200)
        .map(|_| {
            let http = bed.http.clone();
            tokio::spawn(async move { http.get("/live/demo/manifest.mpd").await })
        })
        .collect();
    bed.origin.begun.subscribe().wait_for(|n| *n > 0).await.unwrap();
    bed.origin.gate.send_replace(true);
    for viewer in viewers {
        let answer = viewer.await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (200, b"a".as_ref()));
    }
    assert_eq!(bed.fetches(), 1);
    bed.cdn.shutdown().await;
}

#[tokio::test]
async fn an_entry_lives_as_long_as_the_origin_says() {
    let bed = Bed::new(Some(manifest("a", "max-age=1"))).await;
    let get = || bed.http.get("/live/demo/manifest.mpd");
    let first = get().await;
    assert_eq!((first.header("x-cache"), first.header("age")), ("Miss from gopcast-cdn", "0"));
    assert_eq!(first.header("cache-control"), "max-age=1");
    bed.pass(999);
    assert_eq!(get().await.header("x-cache"), "Hit from gopcast-cdn");
    assert_eq!(bed.fetches(), 1);

    bed.pass(1);
    assert_eq!(get().await.header("x-cache"), "RefreshHit from gopcast-cdn");
    assert_eq!((bed.fetches(), bed.origin.revalidations.load(Ordering::SeqCst)), (2, 1));
    *bed.origin.object.lock().unwrap() = Some(manifest("b", "max-age=1"));
    assert_eq!(get().await.body, "a");
    bed.pass(1000);
    let newer = get().await;
    assert_eq!((newer.body.as_ref(), newer.header("x-cache")), (b"b".as_ref(), "Miss from gopcast-cdn"));

    let immutable = Bed::new(Some(manifest("s", "public, max-age=31536000, immutable"))).await;
    immutable.http.get("/vod/demo/b/720p/0.m4s").await;
    immutable.pass(86_400_000);
    let hit = immutable.http.get("/vod/demo/b/720p/0.m4s?session=2").await;
    assert_eq!((hit.header("x-cache"), hit.header("age")), ("Hit from gopcast-cdn", "86400"));
    assert_eq!(immutable.fetches(), 1);
    immutable.cdn.shutdown().await;
    bed.cdn.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_manifest_is_served_while_one_request_revalidates() {
    let bed = Bed::new(Some(manifest("a", "max-age=1, stale-while-revalidate=4"))).await;
    let get = || bed.http.get("/live/demo/manifest.mpd");
    get().await;
    *bed.origin.object.lock().unwrap() = Some(manifest("b", "max-age=1, stale-while-revalidate=4"));
    bed.pass(2000);
    bed.origin.gate.send_replace(false);
    for _ in 0..10 {
        let stale = get().await;
        assert_eq!((stale.body.as_ref(), stale.header("age")), (b"a".as_ref(), "2"));
    }
    bed.origin.begun.subscribe().wait_for(|n| *n == 2).await.unwrap();
    assert_eq!(bed.fetches(), 2);

    // Beyond the window a request waits, here for the fetch that is under way.
    bed.pass(3000);
    let (http, path) = (bed.http.clone(), "/live/demo/manifest.mpd");
    let waiting = tokio::spawn(async move { http.get(path).await });
    bed.origin.gate.send_replace(true);
    assert_eq!(waiting.await.unwrap().body, "b");
    bed.cdn.shutdown().await;
}

#[tokio::test]
async fn what_is_missing_is_404_and_forgotten_within_a_second() {
    let bed = Bed::new(None).await;
    let get = || bed.http.get("/vod/demo/b/720p/0.m4s");
    let early = get().await;
    assert_eq!((early.status.as_u16(), early.header("x-cache")), (404, "Error from gopcast-cdn"));
    assert_eq!(early.header("access-control-allow-origin"), "*");
    *bed.origin.object.lock().unwrap() = Some(manifest("s", "max-age=60"));
    bed.pass(999);
    assert_eq!(get().await.status, 404);
    assert_eq!(bed.fetches(), 1);
    bed.pass(1);
    assert_eq!(get().await.status, 200);
    bed.cdn.shutdown().await;
}

#[tokio::test]
async fn methods_and_preflight() {
    let bed = Bed::new(Some(manifest("0123456789", "max-age=60"))).await;
    let path = "/vod/demo/b/720p/0.m4s";
    let head = bed.http.send(Method::HEAD, path, &[]).await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.body.len()), (200, "10", 0));
    assert!(head.headers.contains_key("date"));
    let preflight = [("origin", "https://shop.example"), ("access-control-request-method", "GET")];
    let options = bed.http.send(Method::OPTIONS, path, &preflight).await;
    assert_eq!(options.status, 204);
    assert_eq!(options.header("access-control-allow-origin"), "*");
    assert_eq!(options.header("access-control-allow-methods"), "GET, HEAD, OPTIONS");
    assert!(options.header("access-control-allow-headers").contains("Range"));
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::TRACE] {
        let refused = bed.http.send(method, path, &[]).await;
        assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, "GET, HEAD, OPTIONS"));
    }
    let part =
        bed.http.send(Method::GET, path, &[("range", "bytes=2-4"), ("origin", "https://shop.example")]).await;
    assert_eq!((part.status.as_u16(), part.body.as_ref()), (206, b"234".as_ref()));
    assert_eq!(part.header("content-range"), "bytes 2-4/10");
    for exposed in ["Date", "Age", "ETag", "Content-Length", "Content-Range"] {
        assert!(part.header("access-control-expose-headers").contains(exposed), "{exposed}");
    }
    let beyond = bed.http.send(Method::GET, path, &[("range", "bytes=10-")]).await;
    assert_eq!((beyond.status.as_u16(), beyond.header("content-range")), (416, "bytes */10"));
    let known = bed.http.send(Method::GET, path, &[("if-none-match", "\"tag-0123456789\"")]).await;
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
    assert_eq!(known.header("etag"), "\"tag-0123456789\"");
    bed.cdn.shutdown().await;
}

#[tokio::test]
async fn the_time_is_exact_and_never_kept() {
    let bed = Bed::new(None).await;
    bed.pass(7);
    let time = bed.http.get("/time").await;
    assert_eq!((time.status.as_u16(), time.body.as_ref()), (200, b"2023-11-14T22:13:20.007Z".as_ref()));
    assert_eq!(
        (time.header("cache-control"), time.header("content-type")),
        ("no-store", "text/plain; charset=utf-8")
    );
    assert_eq!(bed.fetches(), 0);
    bed.cdn.shutdown().await;
}

#[tokio::test]
async fn oversized_and_hostile_requests_are_refused() {
    let bed = Bed::new(Some(manifest("a", "max-age=60"))).await;
    assert_eq!(bed.http.get(&format!("/live/{}", "a".repeat(9000))).await.status, 414);
    let big = "x".repeat(40 * 1024);
    assert_eq!(bed.http.send(Method::GET, "/live/a", &[("x-large", &big)]).await.status, 431);
    assert_eq!(bed.http.get("/live/%zz").await.status, 400);
    for path in ["/live/../ingest/x", "/live/%2e%2e/ingest/x", "/ingest/x", "/live//x", "/%69ngest/x", "/"] {
        let status = raw_status(&bed, path).await;
        let expected = if path == "/" { 200 } else { 404 };
        assert_eq!(status, expected, "{path}");
    }
    assert_eq!(bed.fetches(), 1, "only the page came to the origin");
    bed.cdn.shutdown().await;
}

/// Sends `path` as it is, which a client library would tidy up.
async fn raw_status(bed: &Bed, path: &str) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = TcpStream::connect(bed.cdn.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: cdn\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn before_the_embedded_s3() {
    let (_dir, stack) = common::start().await;
    let client = common::s3(&stack);
    let http = Http::new(stack.addresses().cdn);
    let rules = Rules::load().unwrap();
    for (key, cache) in [
        ("player/index.html", "max-age=60"),
        ("player/watch.html", "max-age=60"),
        ("live/demo/manifest.mpd", "max-age=1, stale-while-revalidate=2"),
        ("vod/demo/b/720p/0.m4s", "public, max-age=31536000, immutable"),
        ("ingest/b/000001/00000000.gop", "max-age=60"),
    ] {
        let put = client.put_object().bucket(BUCKET).key(key).content_type(rules.content_type(key));
        put.cache_control(cache).body(ByteStream::from(key.as_bytes().to_vec())).send().await.unwrap();
    }
    for (path, key) in [
        ("/", "player/index.html"),
        ("/watch/demo", "player/watch.html"),
        ("/watch/demo/0190", "player/watch.html"),
        ("/live/demo/manifest.mpd", "live/demo/manifest.mpd"),
        ("/vod/demo/b/720p/0.m4s", "vod/demo/b/720p/0.m4s"),
    ] {
        let answer = http.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (200, key.as_bytes()), "{path}");
        assert_eq!(answer.header("content-type"), rules.content_type(key));
        assert!(answer.header("etag").starts_with('"'));
    }
    let page = http.get("/").await;
    assert!(page.header("content-security-policy").contains("media-src 'self' blob:"));
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("referrer-policy"), "strict-origin-when-cross-origin");
    for path in
        ["/ingest/b/000001/00000000.gop", "/favicon.ico", "/live/none/manifest.mpd", "/gopcast/live/x"]
    {
        assert_eq!(http.get(path).await.status, 404, "{path}");
    }
    stack.shutdown().await;
}
