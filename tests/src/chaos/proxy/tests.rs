//! The proxy does what it says, seen by an ordinary client before it and a counting server behind it.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::mpsc,
    thread,
    time::Duration,
};

use super::*;

/// Longest wait for what must come.
const WAIT: Duration = Duration::from_secs(5);
/// How long nothing is waited for where nothing may come.
const SILENCE: Duration = Duration::from_millis(300);

struct Bench {
    proxy: Proxy,
    requests: Arc<AtomicU64>,
    _runtime: tokio::runtime::Runtime,
}

fn bench(before: Before) -> Bench {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let requests = Arc::<AtomicU64>::default();
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let upstream = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let counted = Arc::clone(&requests);
    runtime.spawn(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            let service = service_fn(move |request: Request<Incoming>| {
                counted.fetch_add(1, Ordering::SeqCst);
                async move {
                    let host = request.headers()[header::HOST].to_str().unwrap().to_owned();
                    let body = request.into_body().collect().await?.to_bytes();
                    let said = format!("{host} {}", String::from_utf8_lossy(&body));
                    Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from(said))))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let proxy = Proxy::start(runtime.handle(), before, upstream, 1, "bench").unwrap();
    Bench { proxy, requests, _runtime: runtime }
}

impl Bench {
    fn send(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.proxy.address()).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        stream
            .write_all(
                b"POST /x HTTP/1.1\r\nhost: signed\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi",
            )
            .unwrap();
        stream
    }

    fn ask(&self) -> std::io::Result<String> {
        let mut text = String::new();
        self.send().read_to_string(&mut text)?;
        Ok(text)
    }

    fn reached(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

#[test]
fn requests_pass_unchanged() {
    let bench = bench(Before::S3);
    let said = bench.ask().unwrap();
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("signed hi"), "{said}");
    assert_eq!((bench.reached(), bench.proxy.counts().passed), (1, 1));
}

#[test]
fn errors_are_the_services_own_and_do_not_reach_it() {
    for (before, says) in [
        (Before::S3, &["503", "SlowDown"][..]),
        (Before::DynamoDb, &["400", "x-amzn-errortype", "com.amazonaws.dynamodb.v20120810#"]),
        (Before::Lambda, &["x-amzn-errortype"]),
        (Before::Encoder, &["503"]),
    ] {
        let bench = bench(before);
        bench.proxy.set(Faults::errors(100));
        for _ in 0..2 {
            let said = bench.ask().unwrap();
            assert!(says.iter().all(|part| said.contains(part)), "{before:?}: {said}");
        }
        assert_eq!((bench.reached(), bench.proxy.counts().errors), (0, 2));
    }
}

#[test]
fn a_lost_reply_took_effect_and_a_reset_did_not() {
    let bench = bench(Before::DynamoDb);
    bench.proxy.set(Faults::lost_replies(100));
    assert_eq!(bench.ask().unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!((bench.reached(), bench.proxy.counts().lost_replies), (1, 1));
    bench.proxy.set(Faults { resets: 100, ..Faults::NONE });
    assert_eq!(bench.ask().unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!((bench.reached(), bench.proxy.counts().resets), (1, 1));
}

#[test]
fn a_black_hole_is_silent_and_lets_go_what_still_waits() {
    let bench = bench(Before::S3);
    bench.proxy.set(Faults::BLACK_HOLE);
    let mut stream = bench.send();
    let (sender, answer) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        sender.send(text).unwrap();
    });
    assert!(answer.recv_timeout(SILENCE).is_err(), "something came out of a black hole");
    assert_eq!((bench.reached(), bench.proxy.counts().held), (0, 1));
    bench.proxy.set(Faults::NONE);
    assert!(answer.recv_timeout(WAIT).unwrap().ends_with("signed hi"));
    reader.join().unwrap();
}
