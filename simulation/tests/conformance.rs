//! The models against the embedded services: the same operations, as production has them, with the same outcomes and the same state
//! afterwards.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use bytes::Bytes;
use localstack::{Config, LocalAws, Worker, WorkerSpawner};
use media::{
    id::{BroadcastId, ChunkPos, ChunkSeq, EncoderId, Epoch, LiveId, PublishNo, StreamKey},
    ladder::Profile,
    ledger::{Fill, Init, Naming, Object as Hash, Row, Shown, Track},
    time::WallTime,
    wire::CloseReason,
};
use service::{
    BoxFuture,
    bucket::{Body, Bucket, BucketError, Condition, Kind, Object, Objects, Put, Write as ObjectWrite},
    table::{
        Binding, Broadcast, Closed, Encoder, Floor, Live, State, Table, TableError,
        store::{Item, Key, Query, Store, Write},
    },
};
use sha2::{Digest, Sha256};
use simulation::{
    dice::Dice,
    model::{
        bucket::Objects as ModelObjects,
        table::{Refusal, Rows},
    },
};

/// Operations of a test: some seconds of the embedded services.
const OPERATIONS: usize = 1_200;
const ACCESS: &str = "simulation-access";
const SECRET: &str = "simulation-secret";

struct NoWorkers;

impl WorkerSpawner for NoWorkers {
    fn spawn(&self, worker: Worker) {
        worker.exited("there are no processes in this test");
    }
}

async fn stack(dir: &std::path::Path) -> LocalAws {
    let config = Config::new(dir.to_owned(), ACCESS.to_owned(), SECRET.to_owned());
    // The model's items never expire; these have, since 1970.
    let config = Config { expiry: Duration::from_secs(3600), ..config };
    LocalAws::start(config, Arc::new(NoWorkers)).await.unwrap()
}

fn sdk(address: std::net::SocketAddr) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            ACCESS, SECRET, None, None, "test",
        )))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(format!("http://{address}"))
        .build()
}

/// The model without a network.
#[derive(Debug, Clone, Default)]
struct Model(Arc<Mutex<(Rows, ModelObjects)>>);

impl Store for Model {
    fn get(&self, key: Key) -> BoxFuture<Result<Option<Item>, TableError>> {
        let found = self.0.lock().unwrap().0.get(&key).cloned();
        Box::pin(async move { Ok(found) })
    }
    fn query(&self, query: Query) -> BoxFuture<Result<Vec<Item>, TableError>> {
        let found = self.0.lock().unwrap().0.query(&query);
        Box::pin(async move { Ok(found) })
    }
    fn write(&self, operation: &'static str, writes: Vec<Write>) -> BoxFuture<Result<(), TableError>> {
        let done = self.0.lock().unwrap().0.write(&writes);
        Box::pin(async move {
            done.map(drop).map_err(|refusal| match refusal {
                Refusal::Condition => TableError::Conflict(operation),
                Refusal::Invalid => {
                    TableError::Call { operation, message: "invalid".to_owned(), transient: false }
                }
            })
        })
    }
}

impl Objects for Model {
    fn put(&self, write: ObjectWrite) -> BoxFuture<Result<Put, BucketError>> {
        let put = self.0.lock().unwrap().1.put(&write).0;
        Box::pin(async move { Ok(put) })
    }
    fn get(&self, key: String) -> BoxFuture<Result<Option<Object>, BucketError>> {
        let found = self.0.lock().unwrap().1.get(&key).map(|stored| stored.read());
        Box::pin(async move { Ok(found) })
    }
    fn head(&self, key: String) -> BoxFuture<Result<Option<u64>, BucketError>> {
        let found = self.0.lock().unwrap().1.get(&key).map(|stored| stored.bytes.len() as u64);
        Box::pin(async move { Ok(found) })
    }
    fn list(
        &self,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<Result<Vec<String>, BucketError>> {
        let found = self.0.lock().unwrap().1.list(&prefix, after.as_deref(), limit);
        Box::pin(async move { Ok(found) })
    }
    fn delete(&self, key: String) -> BoxFuture<Result<(), BucketError>> {
        self.0.lock().unwrap().1.delete(&key);
        Box::pin(async move { Ok(()) })
    }
}

/// What an outcome is, whoever words it.
fn worded<T: Debug>(outcome: Result<T, TableError>) -> String {
    match outcome {
        Ok(value) => format!("{value:?}"),
        Err(TableError::Conflict(operation)) => format!("conflict: {operation}"),
        Err(TableError::Call { operation, transient, .. }) => format!("refused: {operation} {transient}"),
        Err(error) => format!("{error}"),
    }
}

/// One operation with everything that it needs, so that both tables get the same.
struct Throw {
    kind: u64,
    live: usize,
    broadcast: usize,
    encoder: usize,
    number: u32,
    ticks: i64,
    flag: bool,
}

impl Throw {
    fn new(dice: &mut Dice) -> Self {
        Self {
            kind: dice.below(18),
            live: dice.index(2),
            broadcast: dice.index(3),
            encoder: dice.index(3),
            number: u32::try_from(dice.between(1, 3)).unwrap(),
            ticks: i64::try_from(dice.below(6)).unwrap() * 90_000,
            flag: dice.permille(500),
        }
    }
}

fn live_id(n: usize) -> LiveId {
    format!("live-{n}").parse().unwrap()
}

fn key_hash(n: u8) -> media::id::KeyHash {
    StreamKey::generate([n; StreamKey::GENERATED_BYTES]).hash()
}

fn encoder(throw: &Throw, bound: i64) -> Encoder {
    Encoder {
        id: format!("encoder-{}", throw.encoder).parse::<EncoderId>().unwrap(),
        address: "10.0.0.1:80".to_owned(),
        capacity: 1_000_000,
        draining: throw.flag,
        seen: WallTime(1_000_000 * i64::from(throw.number)),
        bound,
    }
}

/// Carries one throw out on a table and words what came of it. What is not thrown is read first, as production does.
async fn carry_out(table: &Table, throw: &Throw) -> String {
    let live = live_id(throw.live);
    let broadcast = BroadcastId::new(1_000 + throw.broadcast as u64, [7; 10]);
    let publish = PublishNo::new(throw.number).unwrap();
    let meta = Broadcast {
        broadcast: broadcast.clone(),
        live: live.clone(),
        state: State::Live,
        publish: PublishNo::FIRST,
        connection: format!("connection-{}", throw.number),
        earlier: vec![],
        filler: throw.flag,
        profile: Profile::P360,
        source_rung: throw.flag,
        window_seconds: 60,
        limits: media::limits::Limits::default(),
        opened: WallTime(5),
        availability_start: None,
        closed: None,
        ended: None,
    };
    // As the table has it, or, half the time, as somebody remembers it wrongly.
    let remembered = Binding {
        encoder: encoder(throw, 0).id,
        epoch: Epoch(u64::from(throw.number)),
        cursor: None,
        live_end: None,
        floor: None,
    };
    let binding = match table.binding(&broadcast).await.unwrap() {
        Some(binding) if throw.flag => binding,
        _ => remembered,
    };
    let row = Row {
        pos: ChunkPos { publish, seq: ChunkSeq(throw.number) },
        epoch: binding.epoch,
        start: throw.ticks,
        end: throw.ticks + 90_000,
        discontinuity: false,
        late: throw.number == 3,
        naming: Naming::Plain,
        source: Hash { bytes: 1, sha256: "00".to_owned() },
        segments: vec![],
        tile: None,
        verdict: None,
        committed: WallTime(9),
    };
    match throw.kind {
        0 | 1 => {
            let row = Live {
                live,
                title: format!("A live {}", throw.number),
                key_hash: key_hash(u8::try_from(throw.live).unwrap()),
                profile: Profile::P360,
                source_rung: throw.flag,
                window_seconds: throw.number,
                limits: media::limits::Limits::default(),
                slate: throw.flag.then(|| "slate".to_owned()),
                disabled: false,
                current: None,
                created: WallTime(1),
            };
            worded(if throw.kind == 0 { table.create_live(&row).await } else { table.set_live(&row).await })
        }
        2 => match table.live(&live).await.unwrap() {
            Some(found) => {
                let new = key_hash(u8::try_from(throw.number).unwrap());
                let rotated = worded(table.rotate_key(&found, &new, WallTime(throw.ticks)).await);
                let set = worded(table.set_disabled(&live, throw.flag, WallTime(throw.ticks)).await);
                format!("{rotated} {set}")
            }
            None => "no live".to_owned(),
        },
        3 => worded(table.heartbeat(&encoder(throw, 0)).await),
        4 => worded(table.forget_encoder(&encoder(throw, 0).id).await),
        5 | 6 => {
            let current = table.live(&live).await.unwrap().and_then(|live| live.current);
            let seen = table.encoder(&encoder(throw, 0).id).await.unwrap();
            let on = seen.filter(|_| throw.flag).unwrap_or_else(|| encoder(throw, 1));
            worded(table.create_broadcast(&meta, current.as_ref(), &on).await)
        }
        7 => {
            let seen = table.broadcast(&broadcast).await.unwrap().filter(|_| throw.flag).unwrap_or(meta);
            worded(table.next_publish(&seen, "connection-x", throw.flag).await)
        }
        8 => worded(table.fix_availability_start(&broadcast, WallTime(throw.ticks)).await),
        9 => {
            let floor = Floor { publish, at: throw.ticks };
            worded(table.set_floor(&broadcast, &binding, floor).await)
        }
        10 => {
            let reason = if throw.flag { CloseReason::Lost } else { CloseReason::Unpublished };
            let closed = Closed { publish, chunks: throw.number, reason, at: WallTime(throw.ticks) };
            worded(table.note_closed(&broadcast, closed).await)
        }
        11 if throw.number == 1 => worded(table.begin_ending(&broadcast, WallTime(throw.ticks)).await),
        11 => worded(table.expire(&broadcast, publish).await),
        12 => {
            let seen = table.encoder(&encoder(throw, 0).id).await.unwrap();
            let on = seen.filter(|_| throw.flag).unwrap_or_else(|| encoder(throw, 0));
            worded(table.rebind(&broadcast, &binding, &on).await)
        }
        13 | 14 => worded(table.commit(&broadcast, &binding, &row).await),
        15 => {
            let fill = Fill {
                epoch: binding.epoch,
                start: throw.ticks,
                end: throw.ticks + 90_000,
                shown: Shown::Held,
                naming: Naming::Fill,
                segments: vec![],
                committed: WallTime(3),
            };
            worded(table.commit_fill(&broadcast, &binding, &fill).await)
        }
        16 => {
            let init = Init {
                rung: "360p".to_owned(),
                config: format!("{}", throw.number),
                codecs: String::new(),
                timescale: 1,
                bandwidth: 1,
                track: Track::Audio { sample_rate: 48_000, channels: 2 },
                object: Hash { bytes: 1, sha256: "00".to_owned() },
            };
            worded(table.note_init(&broadcast, &init).await)
        }
        _ if throw.number == 1 => {
            worded(table.end_broadcast(&meta, &binding, WallTime(7), 90_000, throw.flag).await)
        }
        _ => "nothing".to_owned(),
    }
}

/// All that can be read of a table.
async fn everything(table: &Table) -> String {
    let mut out = format!("{:?}", table.lives().await.unwrap());
    out += &format!("{:?} {:?}", table.encoders().await.unwrap(), table.on_air().await.unwrap());
    for live in 0..2 {
        out += &format!("{:?}", table.broadcasts_of(&live_id(live), 100).await.unwrap());
    }
    for broadcast in 0..3 {
        let id = BroadcastId::new(1_000 + broadcast, [7; 10]);
        let (meta, binding) = (table.broadcast(&id).await.unwrap(), table.binding(&id).await.unwrap());
        let (ledger, last) = (table.ledger(&id).await.unwrap(), table.last_commit(&id).await.unwrap());
        out += &format!("{meta:?} {binding:?} {ledger:?} {last:?}");
    }
    out
}

#[tokio::test]
async fn the_table_is_as_dynamodb() {
    let dir = tempfile::tempdir().unwrap();
    let stack = stack(dir.path()).await;
    let real = Table::new(&sdk(stack.addresses().dynamodb), "gopcast");
    let model = Table::on(Arc::new(Model::default()));
    let mut dice = Dice::new(1);
    let (mut done, mut refused) = (0, 0);
    for number in 0..OPERATIONS {
        let throw = Throw::new(&mut dice);
        let (expected, found) = (carry_out(&real, &throw).await, carry_out(&model, &throw).await);
        assert_eq!(found, expected, "operation {number} of kind {}", throw.kind);
        if expected.starts_with("conflict") {
            refused += 1
        } else {
            done += 1
        }
        if number % 100 == 0 {
            assert_eq!(everything(&model).await, everything(&real).await, "after operation {number}");
        }
    }
    assert_eq!(everything(&model).await, everything(&real).await);
    // Neither all nor nothing is refused, or the test would say little.
    assert!(done > OPERATIONS / 10 && refused > OPERATIONS / 10, "{done} done, {refused} refused");
    stack.shutdown().await;
}

#[tokio::test]
async fn the_bucket_is_as_s3() {
    let dir = tempfile::tempdir().unwrap();
    let stack = stack(dir.path()).await;
    let real = Bucket::new(&sdk(stack.addresses().s3), "gopcast");
    let model = Bucket::on(Arc::new(Model::default()));
    let keys: Vec<String> = ["a/1", "a/2", "a/10", "a", "b/1"].map(str::to_owned).to_vec();
    // Entity tags are each service's own: the last ones seen of each, by key.
    let mut tags: Vec<(String, String)> = vec![(String::new(), String::new()); keys.len()];
    let mut dice = Dice::new(2);
    for number in 0..OPERATIONS {
        let at = dice.index(keys.len());
        let key = &keys[at];
        match dice.below(6) {
            0..=2 => {
                let bytes = Bytes::from(format!("{}", dice.below(3)));
                let meta = [("gopcast-epoch", dice.below(9).to_string())];
                let how = dice.below(3);
                let condition = |tag: &str| match how {
                    0 => Condition::Absent,
                    1 if !tag.is_empty() => Condition::Matches(tag.to_owned()),
                    1 => Condition::Absent,
                    _ => Condition::Always,
                };
                let one = real
                    .put(key, bytes.clone(), Kind::MANIFEST, condition(&tags[at].0), &meta)
                    .await
                    .unwrap();
                let two = model.put(key, bytes, Kind::MANIFEST, condition(&tags[at].1), &meta).await.unwrap();
                match (one, two) {
                    (Put::Stored(one), Put::Stored(two)) if dice.permille(600) => tags[at] = (one, two),
                    (Put::Stored(_), Put::Stored(_)) | (Put::Conflict, Put::Conflict) => {}
                    (one, two) => panic!("operation {number}: {one:?} and {two:?}"),
                }
            }
            3 => {
                let known = |object: Option<Object>| object.map(|object| (object.bytes, object.epoch));
                let (one, two) = (real.get(key).await.unwrap(), model.get(key).await.unwrap());
                assert_eq!(known(one), known(two), "operation {number}");
                assert_eq!(real.head(key).await.unwrap(), model.head(key).await.unwrap());
            }
            4 => {
                let after = dice.permille(500).then_some(key.as_str());
                let limit = usize::try_from(dice.between(1, 4)).unwrap();
                let (one, two) = (real.list("a/", after, limit).await, model.list("a/", after, limit).await);
                assert_eq!(one.unwrap(), two.unwrap(), "operation {number}");
            }
            _ => {
                real.delete(key).await.unwrap();
                model.delete(key).await.unwrap();
            }
        }
    }
    stack.shutdown().await;
}

#[tokio::test]
async fn a_write_is_signed_with_the_hash_that_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let stack = stack(dir.path()).await;
    let bucket = Bucket::new(&sdk(stack.addresses().s3), "gopcast");
    let bytes = Bytes::from_static(b"hashed while it was put together");
    let put = |key: &'static str, sha256: [u8; 32]| {
        let body = Body { bytes: bytes.clone(), sha256: Some(sha256) };
        bucket.put(key, body, Kind::CHUNK, Condition::Absent, &[])
    };
    assert!(matches!(put("right", Sha256::digest(&bytes).into()).await, Ok(Put::Stored(_))));
    assert_eq!(bucket.get("right").await.unwrap().unwrap().bytes, bytes);
    // Were it computed again, this one would be stored.
    assert!(put("wrong", [0; 32]).await.is_err());
    assert!(bucket.get("wrong").await.unwrap().is_none());
    stack.shutdown().await;
}
