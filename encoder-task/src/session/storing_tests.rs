//! Whole jobs over a bucket in memory and a transcoder that does as it is told. Whoever would wait for ever stops at [`PATIENCE`] of simulated time.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use media::{
    chunk::{Chunk, Header, VideoCodec, VideoTrack},
    id::{ChunkSeq, PublishNo},
    ladder::{Ladder, Profile},
    ledger::{Init, Track},
    limits::Limits,
    time::{VIDEO_TIMESCALE, WallTime},
    verdict::{Code, Verdict},
};
use service::{
    BoxFuture as Boxed,
    bucket::{Bucket, Object as Read, Objects, Write},
    clock::Clock,
    table::{Broadcast, State},
};
use tokio::sync::watch;

use super::*;
use crate::{
    retry::Health,
    session::{
        Turn,
        job::Product,
        transcoder::{Early, Made, Still, Transcoder},
        turn::Shedding,
    },
    transcode::Jpeg,
};

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(60);
const POS: ChunkPos = ChunkPos { publish: PublishNo::FIRST, seq: ChunkSeq(3) };
/// Media time of the chunk's start.
const TIME: u64 = 90_000;

type Kept = BTreeMap<String, (Bytes, Option<String>)>;

/// A bucket in memory, whose changes can be waited for.
#[derive(Debug, Clone)]
struct Memory(watch::Sender<Kept>);

impl Memory {
    fn new() -> Self {
        Self(watch::Sender::new(Kept::new()))
    }

    fn keep(&self, key: &str, bytes: &Bytes, origin: Option<&str>) {
        self.0.send_modify(|kept| {
            kept.insert(key.to_owned(), (bytes.clone(), origin.map(str::to_owned)));
        });
    }

    async fn holds(&self, key: &str) {
        let mut kept = self.0.subscribe();
        kept.wait_for(|kept| kept.contains_key(key)).await.unwrap();
    }

    /// What is under a key, as text.
    fn text(&self, key: &str) -> Option<String> {
        self.0.borrow().get(key).map(|(bytes, _)| String::from_utf8(bytes.to_vec()).unwrap())
    }
}

impl Objects for Memory {
    fn put(&self, write: Write) -> Boxed<Result<Put, BucketError>> {
        let this = self.clone();
        Box::pin(async move {
            // As over a network, it is not done at once.
            tokio::task::yield_now().await;
            assert_eq!(write.condition, Condition::Absent);
            if this.0.borrow().contains_key(&write.key) {
                return Ok(Put::Conflict);
            }
            let origin = write.meta.iter().find(|(name, _)| *name == META_SOURCE);
            this.keep(&write.key, &write.bytes, origin.map(|(_, origin)| origin.as_str()));
            Ok(Put::Stored(String::new()))
        })
    }

    fn get(&self, key: String) -> Boxed<Result<Option<Read>, BucketError>> {
        let found = self.0.borrow().get(&key).cloned();
        Box::pin(async move {
            let read =
                |(bytes, source)| Read { bytes, etag: String::new(), epoch: None, broadcast: None, source };
            Ok(found.map(read))
        })
    }

    fn head(&self, _: String) -> Boxed<Result<Option<u64>, BucketError>> {
        unreachable!("no job asks for it")
    }

    fn list(&self, _: String, _: Option<String>, _: usize) -> Boxed<Result<Vec<String>, BucketError>> {
        unreachable!("no job asks for it")
    }

    fn delete(&self, _: String) -> Boxed<Result<(), BucketError>> {
        unreachable!("no job asks for it")
    }
}

type Script = dyn Fn(Early) -> Boxed<Result<Made, String>> + Send + Sync;

/// Transcodes as it is told.
struct Scripted(Box<Script>);

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

impl Transcoder for Scripted {
    fn transcode(&self, _: Chunk, ladder: Ladder, _: Turn, early: Early) -> Boxed<Result<Made, String>> {
        assert_eq!(ladder, Ladder { profile: Profile::P720, source: true }, "the broadcast's");
        (self.0)(early)
    }

    fn still(&self, _: Chunk, _: Profile, _: Option<Bytes>) -> Boxed<Result<Arc<dyn Still>, String>> {
        unreachable!("no job asks for it")
    }

    fn poster(&self, _: Chunk) -> Boxed<Result<Option<Bytes>, String>> {
        unreachable!("no job asks for it")
    }
}

fn broadcast() -> Broadcast {
    Broadcast {
        broadcast: BroadcastId::new(1, [0; 10]),
        live: "demo".parse().unwrap(),
        state: State::Live,
        publish: PublishNo::FIRST,
        connection: String::new(),
        earlier: vec![],
        filler: false,
        profile: Profile::P720,
        source_rung: true,
        window_seconds: 60,
        limits: Limits::default(),
        opened: WallTime(0),
        availability_start: None,
        closed: None,
        ended: None,
    }
}

fn chunk(of: &Broadcast) -> Bytes {
    let video = VideoTrack {
        codec: VideoCodec::Avc,
        config: vec![1, 66, 0, 30],
        width: 1280,
        height: 720,
        frame_rate: None,
        start: 0,
        end: 90_000,
        pts: vec![0],
        dts: vec![0],
        sizes: vec![1],
    };
    let header = Header {
        live: of.live.clone(),
        broadcast: of.broadcast.clone(),
        pos: POS,
        received: WallTime(0),
        discontinuity: false,
        transit: None,
        video: Some(video),
        audio: None,
    };
    Chunk { header, payload: Bytes::from_static(b"x") }.encode().unwrap()
}

/// A rung's segment, by an encoder of this name.
fn rung(rung: &str, by: &str) -> Packaged {
    let track = Track::Video { width: 2, height: 2, sar: (1, 1), frame_rate: None };
    let (init_bytes, bytes) = (Bytes::from_static(b"init"), Bytes::from(format!("{rung} by {by}")));
    let (rung, config) = (rung.to_owned(), "c0".to_owned());
    let object = describe(&bytes);
    Packaged {
        init: Init {
            rung: rung.clone(),
            config: config.clone(),
            codecs: String::new(),
            timescale: VIDEO_TIMESCALE,
            bandwidth: 1,
            track,
            object: describe(&init_bytes),
        },
        init_bytes,
        segment: Segment { rung, config, time: TIME, duration: 90_000, object },
        segment_bytes: bytes,
    }
}

fn made(by: &str) -> Made {
    let packaged = ["720p", "480p", "360p", "audio"].map(|name| rung(name, by)).to_vec();
    let jpeg = Jpeg { bytes: Bytes::from(format!("tile by {by}")), width: 2, height: 2, contrast: 9 };
    let tile = Some(TimedTile { time: TIME, jpeg });
    Made { packaged, tile, verdicts: Vec::new(), transcode_ms: 0, left_out: 0 }
}

/// The key of a rung's segment.
fn key(name: &str, naming: Naming) -> String {
    let of = broadcast();
    if name == "tiles" {
        return names::tile(&of.live, &of.broadcast, TIME, naming);
    }
    names::segment(&of.live, &of.broadcast, name, TIME, naming)
}

fn workshop(memory: &Memory, script: Box<Script>) -> Workshop {
    let health = Arc::new(Health::default());
    Workshop { bucket: Bucket::on(Arc::new(memory.clone())), health, transcoder: Arc::new(Scripted(script)) }
}

/// Runs the job of a chunk.
async fn job(
    memory: &Memory,
    script: impl Fn(Early) -> Boxed<Result<Made, String>> + Send + Sync + 'static,
) -> Result<Product, JobError> {
    let of = broadcast();
    memory.keep(&names::chunk(&of.broadcast, POS), &chunk(&of), None);
    let shedding = Shedding::new(Clock::default(), of.live.clone(), of.broadcast.clone());
    let workshop = workshop(memory, Box::new(script));
    let run = workshop.run(&of, POS, &shedding);
    tokio::time::timeout(PATIENCE, run).await.expect("what is handed on is stored meanwhile")
}

/// Checks that the product's segments are these, and stored as they are said to be.
fn check(memory: &Memory, product: &Product, naming: Naming, by: &str) {
    assert_eq!(product.naming, naming);
    let rungs: Vec<&str> = product.segments.iter().map(|segment| segment.rung.as_str()).collect();
    assert_eq!(rungs, ["720p", "480p", "360p", "audio"], "largest first, the sound last");
    for segment in &product.segments {
        let text = memory.text(&key(&segment.rung, naming)).unwrap();
        assert_eq!(text, format!("{} by {by}", segment.rung));
        assert_eq!(segment.object, describe(&Bytes::from(text)));
    }
    let tile = memory.text(&key("tiles", naming)).unwrap();
    assert_eq!(tile, format!("tile by {by}"));
    assert_eq!(product.tile.as_ref().unwrap().object, describe(&Bytes::from(tile)));
}

#[tokio::test(start_paused = true)]
async fn each_output_is_stored_while_others_are_made() {
    let memory = Memory::new();
    let bucket = memory.clone();
    let product = job(&memory, move |early| {
        let bucket = bucket.clone();
        Box::pin(async move {
            let made = made("me");
            early.hand(Output::Tile(made.tile.clone().unwrap()));
            bucket.holds(&key("tiles", Naming::Plain)).await;
            // The next one is held back until the one before is in the bucket; the sound is not handed on at all.
            for rung in made.packaged[..3].iter().rev() {
                early.hand(Output::Segment(rung.clone()));
                bucket.holds(&key(&rung.segment.rung, Naming::Plain)).await;
            }
            assert_eq!(bucket.text(&key("audio", Naming::Plain)), None);
            Ok(made)
        })
    });
    check(&memory, &product.await.unwrap(), Naming::Plain, "me");
}

#[tokio::test(start_paused = true)]
async fn a_taken_name_renames_what_was_stored_before_it_was_found() {
    let memory = Memory::new();
    let others = Bytes::from_static(b"another's");
    memory.keep(&key("480p", Naming::Plain), &others, Some("2-7"));
    let bucket = memory.clone();
    let product = job(&memory, move |early| {
        let bucket = bucket.clone();
        Box::pin(async move {
            let made = made("me");
            for rung in made.packaged.iter().rev() {
                early.hand(Output::Segment(rung.clone()));
            }
            bucket.holds(&key("360p", Naming::Plain)).await;
            Ok(made)
        })
    });
    check(&memory, &product.await.unwrap(), Naming::Publish(PublishNo::FIRST), "me");
    assert_eq!(memory.text(&key("480p", Naming::Plain)).as_deref(), Some("another's"));
}

#[tokio::test(start_paused = true)]
async fn what_was_stored_of_a_failure_is_in_no_row_and_the_next_one_takes_it() {
    let (verdict, none) = (Verdict::new(Code::VideoCorrupt, "damaged"), "nothing is made of it");
    for failure in [Err("the thread died".to_owned()), Ok(verdict)] {
        let memory = Memory::new();
        let (bucket, outcome) = (memory.clone(), failure.clone());
        let product = job(&memory, move |early| {
            let (bucket, outcome) = (bucket.clone(), outcome.clone());
            Box::pin(async move {
                early.hand(Output::Segment(rung("360p", "the first")));
                bucket.holds(&key("360p", Naming::Plain)).await;
                outcome.map(|verdict| Made::nothing(vec![verdict]))
            })
        });
        match (product.await, failure) {
            (Ok(product), Ok(verdict)) => {
                assert!(product.segments.is_empty() && product.inits.is_empty(), "{none}");
                assert_eq!(product.verdicts, [verdict]);
            }
            (Err(JobError::Crashed(why)), Err(expected)) => assert_eq!(why, expected),
            (product, _) => panic!("{product:?}"),
        }
        // Another encoder, whose bytes differ.
        let product = job(&memory, |_| Box::pin(async { Ok(made("the second")) })).await.unwrap();
        assert_eq!(product.naming, Naming::Plain);
        let of = |name: &str| product.segments.iter().find(|s| s.rung == name).unwrap().object.clone();
        assert_eq!(of("360p"), rung("360p", "the first").segment.object, "what is there is taken");
        assert_eq!(of("480p"), rung("480p", "the second").segment.object);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fill_stores_all_but_the_segment_whose_name_is_taken() {
    let memory = Memory::new();
    memory.keep(&key("720p", Naming::Plain), &Bytes::from_static(b"a chunk's"), Some("2-7"));
    let workshop = workshop(&memory, Box::new(|_| unreachable!("nothing is transcoded")));
    let of = broadcast();
    let target = Target { workshop: &workshop, live: &of.live, broadcast: &of.broadcast, origin: FILL };
    target.put_fill(Naming::Plain, &["720p", "480p", "360p"].map(|name| rung(name, "fill"))).await.unwrap();
    let text = |name: &str| memory.text(&key(name, Naming::Plain));
    assert_eq!(text("720p").as_deref(), Some("a chunk's"));
    assert_eq!(text("480p").as_deref(), Some("480p by fill"));
    assert_eq!(text("360p").as_deref(), Some("360p by fill"));
}
