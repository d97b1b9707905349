//! The queue over a backend that fails in every way that matters, in virtual time.

use std::{
    collections::BTreeMap,
    sync::{Mutex, atomic::AtomicUsize},
};

use bytes::Bytes;
use media::{
    chunk::{AudioCodec, AudioTrack, Encoded, Header},
    time::WallTime,
    wire::OpenReply,
};
use serde::de::DeserializeOwned;
use service::clock::Clock;

use super::*;
use crate::backend::CallError;

/// What a call does instead of succeeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Fails; nothing happened.
    Fails,
    /// It happened, but the reply was lost.
    ReplyLost,
    /// Takes long.
    Slow,
}

#[derive(Default)]
struct Faulty {
    clock: Clock,
    /// The faults of the next calls; then all is well.
    puts: Mutex<Vec<Option<Fault>>>,
    asks: Mutex<Vec<Option<Fault>>>,
    /// For ever, before anything else.
    down: std::sync::atomic::AtomicBool,
    refuse: Mutex<Option<Verdict>>,
    retries: AtomicUsize,
    stored: Mutex<BTreeMap<String, Bytes>>,
    overwritten: AtomicUsize,
    told: Mutex<Vec<u32>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

fn failed() -> CallError {
    CallError { message: "503 Slow Down".to_owned(), transient: true }
}

impl Backend for Faulty {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn put(&self, key: &str, chunk: Encoded) -> Result<(), CallError> {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        let fault = self.puts.lock().unwrap().pop().flatten();
        let wait = if fault == Some(Fault::Slow) { 5_000 } else { 20 };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        if fault == Some(Fault::Fails) || self.down.load(Ordering::SeqCst) {
            return Err(failed());
        }
        // Create-only, as the bucket is: who comes second changes nothing.
        let mut stored = self.stored.lock().unwrap();
        if let Some(before) = stored.get(key) {
            self.overwritten.fetch_add(usize::from(*before != chunk.bytes), Ordering::SeqCst);
        } else {
            stored.insert(key.to_owned(), chunk.bytes);
        }
        if fault == Some(Fault::ReplyLost) { Err(failed()) } else { Ok(()) }
    }

    async fn ask<R: DeserializeOwned + Send>(&self, request: &GatewayRequest) -> Result<R, CallError> {
        let fault = self.asks.lock().unwrap().pop().flatten();
        let wait = if fault == Some(Fault::Slow) { 3_000 } else { 10 };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        if fault == Some(Fault::Fails) {
            return Err(failed());
        }
        let GatewayRequest::Chunk(told) = request else { panic!("{request:?}") };
        let key = names::chunk(&told.broadcast, told.pos);
        assert!(self.stored.lock().unwrap().contains_key(&key), "told of {key} before it was stored");
        let reply = if let Some(verdict) = self.refuse.lock().unwrap().clone() {
            ChunkReply::Stop(verdict)
        } else if self.retries.load(Ordering::SeqCst) > 0 {
            self.retries.fetch_sub(1, Ordering::SeqCst);
            ChunkReply::Retry { reason: "no encoder".to_owned() }
        } else {
            self.told.lock().unwrap().push(told.pos.seq.0);
            let warning = Verdict::new(Code::GopLong, "long");
            ChunkReply::Accepted { warnings: if told.pos.seq.0 == 0 { vec![warning] } else { Vec::new() } }
        };
        if fault == Some(Fault::ReplyLost) {
            return Err(failed());
        }
        Ok(serde_json::from_value(serde_json::to_value(reply).unwrap()).unwrap())
    }
}

fn identity() -> Identity {
    let broadcast = BroadcastId::new(1_700_000_000_001, [0; 10]);
    Identity { live: "demo".parse().unwrap(), broadcast, publish: PublishNo::FIRST }
}

fn chunk(seq: u32) -> Box<Chunk> {
    let identity = identity();
    let audio = AudioTrack {
        codec: AudioCodec::Aac,
        config: vec![0x12, 0x10],
        sample_rate: 44_100,
        channels: 2,
        lead: 0,
        start: i64::from(seq) * 1024,
        end: i64::from(seq) * 1024 + 1024,
        durations: vec![1024],
        sizes: vec![1000],
    };
    Box::new(Chunk {
        header: Header {
            live: identity.live,
            broadcast: identity.broadcast,
            pos: ChunkPos { publish: identity.publish, seq: ChunkSeq(seq) },
            received: WallTime(0),
            discontinuity: false,
            transit: None,
            video: None,
            audio: Some(audio),
        },
        payload: Bytes::from(vec![7; 1000]),
    })
}

fn start(backend: &Arc<Faulty>) -> (Queue, Notices) {
    Queue::start(Arc::clone(backend), identity(), &Budget::new(usize::MAX))
}

fn check_all(backend: &Faulty, count: u32) {
    assert_eq!(backend.stored.lock().unwrap().len(), usize::try_from(count).unwrap());
    assert_eq!(backend.overwritten.load(Ordering::SeqCst), 0);
    let mut told = backend.told.lock().unwrap().clone();
    // A reply that was lost makes the same be told again, never an earlier one.
    assert!(told.is_sorted(), "{told:?}");
    told.dedup();
    assert_eq!(told, (0..count).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn chunks_are_stored_several_at_once_and_told_in_order() {
    let backend = Arc::new(Faulty::default());
    let (queue, mut notices) = start(&backend);
    for seq in 0..20 {
        queue.push(chunk(seq)).unwrap();
    }
    assert_eq!(notices.next().await, Notice::Room);
    while notices.next().await == Notice::Room && backend.told.lock().unwrap().is_empty() {}
    let outcome = queue.finish(Duration::from_secs(60)).await;
    assert_eq!(outcome, Outcome { stored: 20, told: 20, end: End::Complete });
    check_all(&backend, 20);
    assert_eq!(backend.most_at_once.load(Ordering::SeqCst), PUTS_AT_ONCE);
    let bytes = backend.stored.lock().unwrap().values().next().cloned().unwrap();
    assert_eq!(Chunk::decode(&bytes).as_ref(), Ok(&*chunk(0)));
}

#[tokio::test(start_paused = true)]
async fn failures_lost_replies_and_slowness_lose_nothing() {
    use Fault::{Fails, ReplyLost, Slow};
    let backend = Arc::new(Faulty::default());
    let faults =
        [Some(Fails), Some(ReplyLost), Some(Slow), None, Some(ReplyLost), Some(Slow), Some(Fails), None];
    *backend.puts.lock().unwrap() = faults.repeat(5);
    *backend.asks.lock().unwrap() = faults.repeat(3);
    backend.retries.store(4, Ordering::SeqCst);
    let (queue, _) = start(&backend);
    for seq in 0..20 {
        queue.push(chunk(seq)).unwrap();
    }
    let outcome = queue.finish(Duration::from_secs(600)).await;
    assert_eq!(outcome, Outcome { stored: 20, told: 20, end: End::Complete });
    check_all(&backend, 20);
}

#[tokio::test(start_paused = true)]
async fn a_full_backlog_says_so_and_gets_room_again() {
    let backend = Arc::new(Faulty::default());
    backend.down.store(true, Ordering::SeqCst);
    let (queue, mut notices) = start(&backend);
    let mut pushed = 0;
    while !queue.full() {
        queue.push(chunk(pushed)).unwrap();
        pushed += 1;
    }
    assert_eq!(usize::try_from(pushed).unwrap(), backlog::CHUNKS_MAX);
    backend.down.store(false, Ordering::SeqCst);
    assert_eq!(notices.next().await, Notice::Room);
    assert!(!queue.full());
    assert_eq!(queue.finish(Duration::from_secs(60)).await.end, End::Complete);
    check_all(&backend, pushed);
}

#[tokio::test(start_paused = true)]
async fn what_is_pushed_beyond_reason_is_refused() {
    let backend = Arc::new(Faulty::default());
    backend.down.store(true, Ordering::SeqCst);
    let (queue, _) = start(&backend);
    let refused = (0..).map(|seq| queue.push(chunk(seq))).find_map(Result::err).unwrap();
    assert_eq!(refused.code, Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_never_comes_back_is_given_up_at_the_end() {
    let backend = Arc::new(Faulty::default());
    let (queue, _) = start(&backend);
    queue.push(chunk(0)).unwrap();
    let told = async {
        while backend.told.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    told.await;
    backend.down.store(true, Ordering::SeqCst);
    queue.push(chunk(1)).unwrap();
    let outcome = queue.finish(Duration::from_secs(30)).await;
    assert_eq!(outcome, Outcome { stored: 1, told: 1, end: End::Unfinished });
    assert!(outcome.lost(2));
}

#[tokio::test(start_paused = true)]
async fn a_stop_reaches_the_connection_and_warnings_do_too() {
    let backend = Arc::new(Faulty::default());
    let (queue, mut notices) = start(&backend);
    queue.push(chunk(0)).unwrap();
    let warned = loop {
        match notices.next().await {
            Notice::Room => {}
            notice => break notice,
        }
    };
    assert_eq!(warned, Notice::Warning(Verdict::new(Code::GopLong, "long")));
    let verdict = Verdict::new(Code::Superseded, "Another publisher took over.");
    *backend.refuse.lock().unwrap() = Some(verdict.clone());
    queue.push(chunk(1)).unwrap();
    let stopped = loop {
        match notices.next().await {
            Notice::Room => {}
            notice => break notice,
        }
    };
    assert_eq!(stopped, Notice::Stop(verdict));
    let outcome = queue.finish(Duration::from_secs(30)).await;
    assert_eq!(outcome, Outcome { stored: 2, told: 1, end: End::Stopped(Code::Superseded) });
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_when_its_publisher_has_gone_is_not_lost() {
    let backend = Arc::new(Faulty::default());
    *backend.refuse.lock().unwrap() = Some(Verdict::new(Code::GopTooLong, "long"));
    let (queue, _) = start(&backend);
    queue.push(chunk(0)).unwrap();
    let outcome = queue.finish(Duration::from_secs(30)).await;
    assert_eq!(outcome, Outcome { stored: 1, told: 0, end: End::Stopped(Code::GopTooLong) });
    assert!(!outcome.lost(1));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_overtaken_here_stores_all_and_tells_nobody() {
    let (backend, successor) = (Arc::new(Faulty::default()), CancellationToken::new());
    let budget = Budget::new(usize::MAX);
    let (queue, _) = Queue::start_before(Arc::clone(&backend), identity(), &budget, successor.clone());
    successor.cancel();
    (0..5).for_each(|seq| queue.push(chunk(seq)).unwrap());
    let outcome = queue.finish(Duration::from_secs(30)).await;
    assert_eq!(outcome, Outcome { stored: 5, told: 0, end: End::Overtaken });
    assert!(!outcome.lost(5) && outcome.lost(6));
}

#[test]
fn replies_of_one_event_are_not_taken_for_anothers() {
    let open = serde_json::to_value(OpenReply::Refused(Verdict::new(Code::UnknownKey, "no"))).unwrap();
    assert!(serde_json::from_value::<ChunkReply>(open).is_err());
}
