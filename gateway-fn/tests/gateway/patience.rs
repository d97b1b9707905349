//! How long the gateway waits, and for whom: on tokio's paused clock, so with a table in memory and encoders that are functions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use gateway_fn::handle::{Failure, Gateway, Hop, HopError, Reply};
use media::{
    id::EncoderId,
    ladder::Profile,
    time::WallTime,
    wire::{ChunkReply, EncoderReply, EncoderRequest, GatewayRequest, Opened, SweepReply},
};
use serde_json::json;
use service::{
    BoxFuture,
    clock::{Clock, Source},
    table::{
        Encoder, Live, PK, SK, Table, TableError,
        store::{Action, Change, Condition, Item, Key, Query, Store, Value, Write},
    },
};
use tokio::time::Instant;

use super::common::{WINDOW_SECONDS, accepted, chunk, key, on_air, send};

/// A table in memory.
#[derive(Debug, Default)]
struct Memory(Mutex<BTreeMap<Key, Item>>);

fn holds(item: Option<&Item>, condition: &Condition) -> bool {
    let value = |name: &str| item.and_then(|item| item.get(name));
    match condition {
        Condition::Is(name, wanted) => value(name) == Some(wanted),
        Condition::IsNot(name, other) => value(name).is_some_and(|value| value != other),
        Condition::Present(name) => value(name).is_some(),
        Condition::Absent(name) => value(name).is_none(),
        Condition::AbsentOr(name, wanted) => value(name).is_none_or(|value| value == wanted),
    }
}

fn change(item: &mut Item, change: Change) {
    match change {
        Change::Set(name, value) => drop(item.insert(name.to_owned(), value)),
        Change::SetIfAbsent(name, value) => drop(item.entry(name.to_owned()).or_insert(value)),
        Change::Remove(name) => drop(item.remove(name)),
        Change::Add(name, by) => {
            let value = item.entry(name.to_owned()).or_insert(Value::Number(0));
            let Value::Number(number) = value else { panic!("{name} is no number") };
            *number += i128::from(by);
        }
    }
}

impl Store for Memory {
    fn get(&self, key: Key) -> BoxFuture<Result<Option<Item>, TableError>> {
        let item = self.0.lock().unwrap().get(&key).cloned();
        Box::pin(async move { Ok(item) })
    }

    fn query(&self, query: Query) -> BoxFuture<Result<Vec<Item>, TableError>> {
        let rows = self.0.lock().unwrap();
        let found = rows.iter().filter(|(key, _)| key.pk == query.pk && key.sk.starts_with(&query.prefix));
        let mut items: Vec<_> = found.map(|(_, item)| item.clone()).collect();
        if query.backwards {
            items.reverse();
        }
        items.truncate(query.limit);
        Box::pin(async move { Ok(items) })
    }

    fn write(&self, operation: &'static str, writes: Vec<Write>) -> BoxFuture<Result<(), TableError>> {
        let mut rows = self.0.lock().unwrap();
        let stand = |write: &Write| write.conditions.iter().all(|c| holds(rows.get(&write.key), c));
        let stand = writes.iter().all(stand);
        if stand {
            for Write { key, action, .. } in writes {
                let keys = [(PK, key.pk.clone()), (SK, key.sk.clone())];
                let keys = keys.map(|(name, value)| (name.to_owned(), Value::Text(value)));
                match action {
                    Action::Delete => drop(rows.remove(&key)),
                    Action::Put(attributes) => {
                        let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value));
                        rows.insert(key, attributes.chain(keys).collect());
                    }
                    Action::Update(changes) => {
                        let item = rows.entry(key).or_insert_with(|| keys.into_iter().collect());
                        changes.into_iter().for_each(|one| change(item, one));
                    }
                }
            }
        }
        Box::pin(async move { if stand { Ok(()) } else { Err(TableError::Conflict(operation)) } })
    }
}

/// Encoders whose addresses are their names. Those that hang take every request and never answer.
#[derive(Debug, Default)]
struct Hung(Arc<Mutex<BTreeSet<String>>>);

impl Hop for Hung {
    fn post(&self, address: &str, _: &EncoderRequest) -> BoxFuture<Result<EncoderReply, HopError>> {
        let hangs = self.0.lock().unwrap().contains(address);
        Box::pin(async move {
            if hangs {
                return std::future::pending().await;
            }
            Ok(EncoderReply::Accepted { verdicts: vec![] })
        })
    }
}

/// A second of the world for a second of tokio's, and dice of a kind.
#[derive(Debug)]
struct Paused(Instant, Mutex<u8>);

impl Source for Paused {
    fn now(&self) -> WallTime {
        let micros = i64::try_from(self.0.elapsed().as_micros()).unwrap();
        WallTime(1_700_000_000_000_000 + micros)
    }
    fn fill(&self, bytes: &mut [u8]) {
        let mut next = self.1.lock().unwrap();
        for byte in bytes {
            *next = next.wrapping_mul(141).wrapping_add(3);
            *byte = *next;
        }
    }
}

struct World {
    table: Table,
    clock: Clock,
    hung: Arc<Mutex<BTreeSet<String>>>,
    gateway: Gateway,
}

impl World {
    /// With encoders of these names.
    async fn of(encoders: &[&str]) -> Self {
        let table = Table::on(Arc::new(Memory::default()));
        let clock = Clock::on(Arc::new(Paused(Instant::now(), Mutex::new(1))));
        let hop = Hung::default();
        let hung = hop.0.clone();
        let world =
            Self { gateway: Gateway::on(table.clone(), Arc::new(hop), clock.clone()), table, clock, hung };
        world.heartbeats(encoders).await;
        world
    }

    async fn heartbeats(&self, encoders: &[&str]) {
        for name in encoders {
            let encoder = Encoder {
                id: name.parse().unwrap(),
                address: (*name).to_owned(),
                capacity: 60_000_000,
                draining: false,
                seen: self.clock.now(),
                bound: 0,
            };
            self.table.heartbeat(&encoder).await.unwrap();
        }
    }

    fn hang(&self, encoder: &str) {
        self.hung.lock().unwrap().insert(encoder.to_owned());
    }

    async fn on_air(&self, name: &str) -> Opened {
        let live = Live {
            live: name.parse().unwrap(),
            title: name.to_owned(),
            key_hash: key(name).hash(),
            profile: Profile::P360,
            source_rung: false,
            window_seconds: WINDOW_SECONDS,
            limits: media::limits::Limits::default(),
            slate: None,
            disabled: false,
            current: None,
            created: self.clock.now(),
        };
        self.table.create_live(&live).await.unwrap();
        on_air(&self.gateway, name, "connection-1").await
    }

    async fn encoder_of(&self, opened: &Opened) -> EncoderId {
        self.table.binding(&opened.broadcast).await.unwrap().unwrap().encoder
    }
}

#[tokio::test(start_paused = true)]
async fn a_hung_encoder_costs_a_second_once_and_is_given_nothing_while_it_is_suspected() {
    let all = ["one", "two", "three", "four"];
    let world = World::of(&all).await;
    let opened = world.on_air("demo").await;
    let hung = world.encoder_of(&opened).await;
    world.hang(hung.as_str());
    let asked = Instant::now();
    assert_eq!(chunk(&world.gateway, &opened, 0).await, accepted());
    assert_eq!(asked.elapsed(), Duration::from_secs(1));
    assert_eq!(chunk(&world.gateway, &opened, 1).await, accepted());
    assert_eq!(asked.elapsed(), Duration::from_secs(1));

    // Its last heartbeat is still believed.
    let place = |from: u32| {
        let world = &world;
        async move {
            let mut placed = BTreeSet::new();
            for n in from..from + 24 {
                placed.insert(world.encoder_of(&world.on_air(&format!("live-{n}")).await).await);
            }
            placed
        }
    };
    let placed = place(0).await;
    assert_eq!((placed.len(), placed.contains(&hung)), (3, false));
    tokio::time::advance(Duration::from_secs(10)).await;
    world.heartbeats(&all).await;
    assert!(place(24).await.contains(&hung), "it may have woken up");
}

#[tokio::test(start_paused = true)]
async fn when_all_hang_the_caller_is_told_before_it_gives_up() {
    let world = World::of(&["one", "two", "three", "four", "five", "six", "seven", "eight"]).await;
    let opened = world.on_air("demo").await;
    for name in ["one", "two", "three", "four", "five", "six", "seven", "eight"] {
        world.hang(name);
    }
    let asked = Instant::now();
    let reply = chunk(&world.gateway, &opened, 0).await;
    assert!(matches!(reply, ChunkReply::Retry { .. }), "{reply:?}");
    assert!(asked.elapsed() < Duration::from_secs(9), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_is_done_in_time_whoever_hangs() {
    let all = ["one", "two", "three"];
    let world = World::of(&all).await;
    for n in 0..300 {
        world.on_air(&format!("live-{n}")).await;
        world.heartbeats(&all).await;
    }
    world.hang("one");
    let asked = Instant::now();
    // Those of the hung encoder go to the others, thirty-two at once a second.
    let served = SweepReply { found: 300, served: 300, over: 0, left: 0 };
    assert_eq!(send(&world.gateway, GatewayRequest::Sweep).await, Reply::Sweep(served));
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());

    all.iter().for_each(|name| world.hang(name));
    world.heartbeats(&all).await;
    let asked = Instant::now();
    let none = SweepReply { found: 300, served: 0, over: 0, left: 300 };
    assert_eq!(send(&world.gateway, GatewayRequest::Sweep).await, Reply::Sweep(none));
    assert!(asked.elapsed() <= Duration::from_secs(11), "{:?}", asked.elapsed());
}

/// A table that never answers.
#[derive(Debug)]
struct Hanging;

impl Store for Hanging {
    fn get(&self, _: Key) -> BoxFuture<Result<Option<Item>, TableError>> {
        Box::pin(std::future::pending())
    }
    fn query(&self, _: Query) -> BoxFuture<Result<Vec<Item>, TableError>> {
        Box::pin(std::future::pending())
    }
    fn write(&self, _: &'static str, _: Vec<Write>) -> BoxFuture<Result<(), TableError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_hangs_does_not_keep_the_function_until_it_is_killed() {
    let clock = Clock::on(Arc::new(Paused(Instant::now(), Mutex::new(1))));
    let gateway = Gateway::on(Table::on(Arc::new(Hanging)), Arc::new(Hung::default()), clock);
    for (event, seconds) in [(json!({"event": "end", "live": "demo"}), 9), (json!({"event": "sweep"}), 13)] {
        let asked = Instant::now();
        assert!(matches!(gateway.handle(event).await, Err(Failure::Slow(_))));
        assert_eq!(asked.elapsed(), Duration::from_secs(seconds));
    }
}
