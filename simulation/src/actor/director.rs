//! Throws the dice for everything that is not gopcast: publishers that come, go and return, the operator, and whatever kills, stops and
//! cuts off processes.
//!
//! Invariant: what is thrown depends on the dice alone, and all of it is over in bounded simulated time.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use media::{
    id::{KeyHash, LiveId},
    wire::{CloseReason, End, EndReply, GatewayRequest, SweepReply},
};
use service::gateway::Gateway;
use tokio::task::JoinHandle;

use super::{
    edge::{Edge, Plan},
    encoder,
};
use crate::{
    mutation::Mutation,
    process::{Process, Status},
    seam::call::{Cloud, Function, Station},
    weather::{Service, Weather},
    world::World,
};

/// Time between sweeps: EventBridge's rate in production.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Longest that a process stands still or is cut off, in milliseconds.
const OUTAGE_MS: (u64, u64) = (300, 20_000);
/// How long after its death a process is replaced, in milliseconds.
const REPLACED_MS: (u64, u64) = (200, 8_000);

/// What a run is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) encoders: u64,
    pub(crate) edges: u64,
    pub(crate) gateways: u64,
    pub(crate) lives: u64,
    pub(crate) window_seconds: u64,
    /// Publishes per live.
    publishes: u64,
    /// Mean time between faults, in milliseconds; 0 for none.
    fault_every: u64,
    /// Which faults there are, a bit each.
    faults: u64,
    /// Chances of another publisher coming while one is on air, in thousandths.
    rivals: u64,
    /// How much longer a whole ladder takes an encoder than it lasts, in percent; 0: a ladder has one rung, and its time is thrown.
    pub(crate) slowness: u64,
}

impl Scenario {
    /// Throws one.
    pub(crate) fn thrown(world: &World) -> Self {
        let one_of = |choices: &[u64]| choices.get(world.index(choices.len())).copied().unwrap_or(0);
        Self {
            encoders: world.between(2, 4),
            edges: world.between(1, 2),
            gateways: world.between(1, 3),
            lives: one_of(&[1, 1, 1, 2]),
            window_seconds: one_of(&[0, 2, 5, 5, 12, 30]),
            publishes: world.between(1, 4),
            fault_every: one_of(&[0, 12_000, 6_000, 3_000, 1_500]),
            faults: world.between(1, (1 << FAULTS.len()) - 1),
            rivals: one_of(&[0, 0, 150, 400]),
            // By dice of its own: nothing else of a seed's world depends on it.
            slowness: match world.derived("slowness").below(12) {
                0 => 150,
                1 => 300,
                _ => 0,
            },
        }
    }
}

/// What may happen to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    KillEncoder,
    PauseEncoder,
    DrainEncoder,
    KillEdge,
    PauseEdge,
    KillGateway,
    PauseGateway,
    CutOff,
    OperatorEnds,
    WeatherChanges,
}

const FAULTS: &[Fault] = &[
    Fault::KillEncoder,
    Fault::PauseEncoder,
    Fault::DrainEncoder,
    Fault::KillEdge,
    Fault::PauseEdge,
    Fault::KillGateway,
    Fault::PauseGateway,
    Fault::CutOff,
    Fault::OperatorEnds,
    Fault::WeatherChanges,
];

/// Who is there.
#[derive(Default)]
struct Cast {
    encoders: Vec<Arc<Station>>,
    edges: Vec<Arc<Edge>>,
    started: u64,
    connections: u64,
    publishes: Vec<(Arc<Edge>, JoinHandle<()>)>,
}

/// Runs the world.
pub(crate) struct Director {
    cloud: Arc<Cloud>,
    pub(crate) scenario: Scenario,
    operator: Gateway,
    cast: Mutex<Cast>,
    lives: Vec<(LiveId, KeyHash)>,
}

impl Director {
    /// Brings everybody up.
    pub(crate) fn start(cloud: &Arc<Cloud>, scenario: Scenario, lives: Vec<(LiveId, KeyHash)>) -> Arc<Self> {
        let process = Process::new(&cloud.world, "operator".to_owned());
        let operator = Gateway::on(Arc::new(Function { process, cloud: Arc::downgrade(cloud) }));
        let this = Self { cloud: Arc::clone(cloud), scenario, operator, cast: Mutex::default(), lives };
        for _ in 0..scenario.encoders {
            this.start_encoder(None);
        }
        for _ in 0..scenario.edges {
            this.start_edge();
        }
        Arc::new(this)
    }

    fn cast(&self) -> MutexGuard<'_, Cast> {
        self.cast.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn world(&self) -> &Arc<World> {
        &self.cloud.world
    }

    fn number(&self) -> u64 {
        let mut cast = self.cast();
        cast.started += 1;
        cast.started
    }

    /// A new encoder, at an address of its own or a dead one's.
    fn start_encoder(&self, address: Option<String>) {
        let number = self.number();
        let address = address.unwrap_or_else(|| format!("10.0.0.{number}:80"));
        let station =
            encoder::start(&self.cloud, format!("encoder-{number}"), address, self.scenario.slowness);
        self.cast().encoders.push(station);
    }

    fn start_edge(&self) {
        let edge = Edge::start(&self.cloud, format!("edge-{}", self.number()));
        self.cast().edges.push(edge);
    }

    fn encoders(&self) -> Vec<Arc<Station>> {
        let mut cast = self.cast();
        cast.encoders.retain(|station| !station.process.is_dead());
        cast.encoders.clone()
    }

    fn edges(&self) -> Vec<Arc<Edge>> {
        let mut cast = self.cast();
        cast.edges.retain(|edge| !edge.process.is_dead());
        cast.edges.clone()
    }

    /// The names of the encoders that live.
    pub(crate) fn alive(&self) -> Vec<String> {
        self.encoders().iter().map(|station| station.process.name().to_owned()).collect()
    }

    /// Broadcasts being worked on.
    pub(crate) fn sessions(&self) -> usize {
        self.encoders().iter().map(|station| station.manager.count()).sum()
    }

    /// One of several, by dice.
    fn pick<T: Clone>(&self, among: &[T]) -> Option<T> {
        if among.is_empty() {
            return None;
        }
        among.get(self.world().index(among.len())).cloned()
    }

    /// Sweeps as the schedule has it, for ever.
    pub(crate) async fn sweep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            if self.world().mutation() != Some(Mutation::NoSweep) {
                let operator = self.operator.clone();
                tokio::spawn(async move {
                    // What a sweep could not do is the next one's.
                    let _ = operator.ask::<SweepReply>(&GatewayRequest::Sweep).await;
                });
            }
        }
    }

    /// All shows of all lives, until the last publisher has gone.
    pub(crate) async fn shows(self: Arc<Self>) {
        let shows: Vec<_> =
            self.lives.iter().map(|(_, key)| tokio::spawn(Arc::clone(&self).show(key.clone()))).collect();
        for show in shows {
            let _ = show.await;
        }
        let publishes = std::mem::take(&mut self.cast().publishes);
        for (edge, publish) in publishes {
            over(&edge, publish).await;
        }
    }

    /// The publishers of one live.
    async fn show(self: Arc<Self>, key: KeyHash) {
        let world = Arc::clone(self.world());
        for left in (0..self.scenario.publishes).rev() {
            let Some(edge) = self.pick(&self.edges()) else {
                // All edges are down: the publisher tries again.
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            };
            let end = match world.between(0, 9) {
                0..=2 => CloseReason::Unpublished,
                3..=8 if left > 0 => CloseReason::Lost,
                3..=5 => CloseReason::Lost,
                _ => CloseReason::Unpublished,
            };
            let gop = world.between(500, 2_000);
            let plan = Plan { gops: world.between(1, 10), gop_ms: (gop, gop + world.between(0, 1_000)), end };
            let connection = {
                let mut cast = self.cast();
                cast.connections += 1;
                format!("connection-{}", cast.connections)
            };
            let publish = {
                let (edge, key) = (Arc::clone(&edge), key.clone());
                tokio::spawn(async move {
                    edge.publish(connection, key, plan).await;
                })
            };
            if left > 0 && world.permille(self.scenario.rivals) {
                // Somebody else comes while this one is on air, or thought to be.
                let after = if world.permille(500) { world.millis(0, 200) } else { world.millis(0, 6_000) };
                tokio::time::sleep(after).await;
                self.cast().publishes.push((edge, publish));
                continue;
            }
            over(&edge, publish).await;
            let window = self.scenario.window_seconds * 1_000;
            let gap = match world.between(0, 5) {
                0..=1 => world.millis(0, 2_000),
                // Just when it is given up.
                2..=3 => world.millis(window, window + 300),
                _ => world.millis(0, window * 3 / 2 + 500),
            };
            tokio::time::sleep(gap).await;
        }
    }

    /// Faults, for ever.
    pub(crate) async fn torment(self: Arc<Self>) {
        if self.scenario.fault_every == 0 {
            return std::future::pending().await;
        }
        let mut chosen: Vec<Fault> = Vec::new();
        for (bit, fault) in FAULTS.iter().enumerate() {
            if self.scenario.faults >> bit & 1 == 1 {
                chosen.push(*fault);
            }
        }
        loop {
            tokio::time::sleep(self.world().millis(0, self.scenario.fault_every * 2)).await;
            if let Some(fault) = self.pick(&chosen) {
                self.strike(fault);
            }
        }
    }

    fn strike(self: &Arc<Self>, fault: Fault) {
        let world = self.world();
        match fault {
            Fault::KillEncoder => {
                let Some(station) = self.pick(&self.encoders()) else { return };
                station.process.set(Status::Dead);
                let address = world.permille(300).then(|| station.address.clone());
                let (this, after) = (Arc::clone(self), world.millis(REPLACED_MS.0, REPLACED_MS.1));
                later(after, move || this.start_encoder(address));
            }
            Fault::DrainEncoder => {
                let Some(station) = self.pick(&self.encoders()) else { return };
                tokio::spawn(encoder::drain(station));
                let (this, after) = (Arc::clone(self), world.millis(0, 3_000));
                later(after, move || this.start_encoder(None));
            }
            Fault::PauseEncoder => {
                self.pause(self.pick(&self.encoders()).map(|station| Arc::clone(&station.process)))
            }
            Fault::KillEdge => {
                let Some(edge) = self.pick(&self.edges()) else { return };
                edge.process.set(Status::Dead);
                let (this, after) = (Arc::clone(self), world.millis(REPLACED_MS.0, REPLACED_MS.1));
                later(after, move || this.start_edge());
            }
            Fault::PauseEdge => self.pause(self.pick(&self.edges()).map(|edge| Arc::clone(&edge.process))),
            Fault::KillGateway => {
                if let Some(process) = self.pick(&self.cloud.gateways()) {
                    process.set(Status::Dead);
                }
            }
            Fault::PauseGateway => self.pause(self.pick(&self.cloud.gateways())),
            Fault::CutOff => {
                let Some(process) = self.pick(&self.processes()) else { return };
                let Some(service) = self.pick(Service::ALL) else { return };
                process.cut(service, true);
                later(world.millis(OUTAGE_MS.0, OUTAGE_MS.1), move || process.cut(service, false));
            }
            Fault::OperatorEnds => {
                if world.permille(800) {
                    return;
                }
                let Some((live, _)) = self.pick(&self.lives) else { return };
                let operator = self.operator.clone();
                tokio::spawn(async move {
                    // People try again.
                    for _ in 0..5 {
                        let request = GatewayRequest::End(End { live: live.clone() });
                        match operator.ask::<EndReply>(&request).await {
                            Ok(EndReply::Retry { .. }) | Err(_) => {
                                tokio::time::sleep(Duration::from_secs(1)).await
                            }
                            Ok(_) => return,
                        }
                    }
                });
            }
            Fault::WeatherChanges => {
                let mut state = world.state();
                let weather = Weather::thrown(&mut state.dice);
                state.weather = weather;
            }
        }
    }

    fn pause(&self, process: Option<Arc<Process>>) {
        let Some(process) = process else { return };
        process.set(Status::Paused);
        let pause = self.world().millis(OUTAGE_MS.0, OUTAGE_MS.1);
        later(pause, move || process.set(Status::Running));
    }

    fn processes(&self) -> Vec<Arc<Process>> {
        let mut processes = self.cloud.gateways();
        processes.extend(self.encoders().iter().map(|station| Arc::clone(&station.process)));
        processes.extend(self.edges().iter().map(|edge| Arc::clone(&edge.process)));
        processes
    }

    /// All faults end: the network is calm, everybody goes on, and there is an encoder.
    pub(crate) fn calm(&self) {
        self.world().note("director", "calm", "", String::new);
        self.world().state().weather = Weather::CALM;
        for process in self.processes() {
            process.join();
            process.set(Status::Running);
        }
        if self.encoders().is_empty() {
            self.start_encoder(None);
        }
    }
}

/// Waits until a publish is over: by itself, or with its edge.
async fn over(edge: &Edge, publish: JoinHandle<()>) {
    tokio::select! {
        biased;
        _ = publish => {}
        () = edge.process.died() => {}
    }
}

fn later(after: Duration, what: impl FnOnce() + Send + 'static) {
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        what();
    });
}
