//! A simulated process: a name, a clock of its own, and whether it runs, stands still or is dead.
//!
//! Invariants: what a dead process has begun never goes on: no call of its takes effect (but what was on its way when it died may)
//! and none returns. A process that stands still is the same until it goes on.

use std::{collections::BTreeSet, fmt, sync::Arc, sync::Mutex, sync::MutexGuard, sync::PoisonError};

use media::time::WallTime;
use service::clock::{Clock, Source};
use tokio::{sync::Notify, time::Instant};

use crate::{dice::Dice, weather::Service, world::World};

/// Simulated time starts here: 2026-01-01.
pub const EPOCH: WallTime = WallTime(1_767_225_600_000_000);

/// How a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It runs.
    Running,
    /// It stands still (SIGSTOP).
    Paused,
    /// It is gone.
    Dead,
}

/// A process.
pub struct Process {
    name: String,
    status: Mutex<Status>,
    /// Wakes in the order of waiting; a watch channel does not.
    changed: Notify,
    dice: Mutex<Dice>,
    cut: Mutex<BTreeSet<Service>>,
    /// How far its clock is ahead, in microseconds.
    skew: i64,
    /// How much faster its clock runs, in millionths.
    drift: i64,
    world: Arc<World>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Process {
    /// A running process.
    pub(crate) fn new(world: &Arc<World>, name: String) -> Arc<Self> {
        let (skew, drift) = world.skew();
        Arc::new(Self {
            status: Mutex::new(Status::Running),
            changed: Notify::new(),
            dice: Mutex::new(world.derived((&name, "process"))),
            name,
            cut: Mutex::default(),
            skew,
            drift,
            world: Arc::clone(world),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The world that it is in.
    #[must_use]
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Status {
        *lock(&self.status)
    }

    /// Whether it is dead.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.status() == Status::Dead
    }

    /// Kills, stops or continues it. The dead stay dead.
    pub fn set(&self, new: Status) {
        {
            let mut status = lock(&self.status);
            if *status == Status::Dead || *status == new {
                return;
            }
            *status = new;
        }
        self.world.note(&self.name, "process", "", || format!("{new:?}"));
        self.changed.notify_waiters();
    }

    async fn reaches(&self, wanted: Status) {
        loop {
            // Made before the look, so that no change falls between.
            let changed = self.changed.notified();
            if self.status() == wanted {
                return;
            }
            changed.await;
        }
    }

    /// Returns when it runs; never if it is dead.
    pub async fn ready(&self) {
        self.reaches(Status::Running).await;
    }

    /// Returns when it is dead.
    pub async fn died(&self) {
        self.reaches(Status::Dead).await;
    }

    /// Its own dice.
    pub(crate) fn dice(&self) -> MutexGuard<'_, Dice> {
        lock(&self.dice)
    }

    fn cuts(&self) -> MutexGuard<'_, BTreeSet<Service>> {
        lock(&self.cut)
    }

    /// Cuts it off from a service, or joins it again.
    pub fn cut(&self, service: Service, cut: bool) {
        self.world.note(&self.name, if cut { "cut off" } else { "joined" }, "", || format!("{service:?}"));
        if cut {
            self.cuts().insert(service);
        } else {
            self.cuts().remove(&service);
        }
    }

    /// Joins it with everything.
    pub fn join(&self) {
        self.cuts().clear();
    }

    /// Whether it is cut off from a service.
    #[must_use]
    pub fn is_cut(&self, service: Service) -> bool {
        self.cuts().contains(&service)
    }

    /// Its clock and dice.
    #[must_use]
    pub fn clock(self: &Arc<Self>) -> Clock {
        Clock::on(Arc::new(Local(Arc::clone(self))))
    }
}

/// A process's own time.
#[derive(Debug)]
struct Local(Arc<Process>);

impl Source for Local {
    fn now(&self) -> WallTime {
        let Process { world, skew, drift, .. } = &*self.0;
        let passed = Instant::now().saturating_duration_since(world.began()).as_micros();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        EPOCH.plus_micros(passed + passed / 1_000_000 * drift + skew)
    }

    fn fill(&self, bytes: &mut [u8]) {
        let mut dice = self.0.dice();
        for piece in bytes.chunks_mut(8) {
            let random = dice.bits().to_le_bytes();
            piece.copy_from_slice(&random[..piece.len()]);
        }
    }
}
