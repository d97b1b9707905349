//! The harness's supervisor: keeps processes running as ECS does in production, and lets a scenario kill, freeze and stop them.
//!
//! Invariants: what dies is started again [`RESTART_AFTER`] later, unless it was told to stay down; each life's output is kept; nothing
//! outlives the keeper, frozen or not.

use std::{
    process::Command,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::proxy::Proxy;
use crate::process::{Lines, Process};

/// Between the end of a process and its next start: a container's restart on a warm host, shortened.
pub const RESTART_AFTER: Duration = Duration::from_millis(300);
/// How often it is looked whether a process has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How one more life of a process is started.
pub struct Start {
    /// Its id in this life.
    pub id: String,
    /// The command.
    pub command: Command,
    /// The proxy before its own listener; closed when it ends.
    pub door: Option<Proxy>,
}

type Make = Box<dyn FnMut(u32) -> Result<Start> + Send>;

struct Life {
    id: String,
    process: Process,
    door: Option<Proxy>,
}

struct Kept {
    name: String,
    make: Make,
    lives: u32,
    life: Option<Life>,
    ended: Instant,
    wanted: bool,
}

#[derive(Default)]
struct State {
    kept: Vec<Kept>,
    logs: Vec<Log>,
    /// Starts that failed: faults of the harness.
    failures: Vec<String>,
}

/// The output of one life.
#[derive(Debug, Clone)]
pub struct Log {
    /// The process's name in the scenario.
    pub name: String,
    /// Its id in that life.
    pub id: String,
    /// Standard output.
    pub out: Lines,
    /// Standard error.
    pub err: Lines,
}

/// The supervisor.
pub struct Keeper {
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    watching: Option<JoinHandle<()>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Keeper {
    fn default() -> Self {
        let (state, stop) = (Arc::<Mutex<State>>::default(), Arc::new(AtomicBool::new(false)));
        let (watched, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        let watching = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                lock(&watched).look();
                thread::sleep(LOOK_EVERY);
            }
        });
        Self { state, stop, watching: Some(watching) }
    }
}

impl State {
    fn look(&mut self) {
        for at in 0..self.kept.len() {
            let kept = &mut self.kept[at];
            if let Some(life) = &mut kept.life {
                if !life.process.is_running().unwrap_or(false) {
                    kept.life = None;
                    kept.ended = Instant::now();
                }
            } else if kept.wanted
                && kept.ended.elapsed() >= RESTART_AFTER
                && let Err(error) = self.start(at)
            {
                self.failures.push(format!("{error:#}"));
            }
        }
    }

    fn start(&mut self, at: usize) -> Result<()> {
        let kept = &mut self.kept[at];
        kept.lives += 1;
        // However this ends, the next try is not at once.
        kept.ended = Instant::now();
        let Start { id, mut command, door } = (kept.make)(kept.lives)?;
        let process = Process::start(&id, &mut command)?;
        let (out, err) = (process.out.clone(), process.err.clone());
        self.logs.push(Log { name: kept.name.clone(), id: id.clone(), out, err });
        kept.life = Some(Life { id, process, door });
        Ok(())
    }

    fn find(&mut self, name: &str) -> Result<&mut Kept> {
        self.kept.iter_mut().find(|k| k.name == name).with_context(|| format!("no process {name}"))
    }
}

impl Keeper {
    /// Starts a process and keeps it running.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn keep(&self, name: &str, make: impl FnMut(u32) -> Result<Start> + Send + 'static) -> Result<()> {
        let mut state = lock(&self.state);
        let (name, ended) = (name.to_owned(), Instant::now());
        state.kept.push(Kept { name, make: Box::new(make), lives: 0, life: None, ended, wanted: true });
        let at = state.kept.len() - 1;
        state.start(at)
    }

    /// Notes the output of a process that somebody else keeps.
    pub fn note(&self, log: Log) {
        lock(&self.state).logs.push(log);
    }

    /// Sends a signal to the life that `name` has now.
    ///
    /// # Errors
    /// When it has none.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        let mut state = lock(&self.state);
        let life = state.find(name)?.life.as_ref().with_context(|| format!("{name} is not running"))?;
        life.process.signal(signal)
    }

    /// Kills a process; with `stays_down` it is not started again until [`Keeper::bring_back`].
    ///
    /// # Errors
    /// When there is no such process.
    pub fn kill(&self, name: &str, stays_down: bool) -> Result<()> {
        let mut state = lock(&self.state);
        let kept = state.find(name)?;
        kept.wanted = !stays_down;
        if let Some(life) = &kept.life {
            life.process.signal(Signal::SIGKILL)?;
        }
        Ok(())
    }

    /// Asks a process to end (SIGTERM); it is not started again until [`Keeper::bring_back`].
    ///
    /// # Errors
    /// When it is not running.
    pub fn retire(&self, name: &str) -> Result<()> {
        lock(&self.state).find(name)?.wanted = false;
        self.signal(name, Signal::SIGTERM)
    }

    /// Starts again what was told to stay down.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn bring_back(&self, name: &str) -> Result<()> {
        lock(&self.state).find(name)?.wanted = true;
        Ok(())
    }

    /// Name of the process whose life now has this id.
    #[must_use]
    pub fn name_of(&self, id: &str) -> Option<String> {
        let state = lock(&self.state);
        let found = state.kept.iter().find(|k| k.life.as_ref().is_some_and(|life| life.id == id));
        found.map(|k| k.name.clone())
    }

    /// Names and ids of the lives now.
    #[must_use]
    pub fn running(&self) -> Vec<(String, String)> {
        let state = lock(&self.state);
        state.kept.iter().filter_map(|k| Some((k.name.clone(), k.life.as_ref()?.id.clone()))).collect()
    }

    /// Does something with the proxy before a process's own listener.
    ///
    /// # Errors
    /// When the process is down or has none.
    pub fn door<T>(&self, name: &str, act: impl FnOnce(&Proxy) -> T) -> Result<T> {
        let mut state = lock(&self.state);
        let door = state.find(name)?.life.as_ref().and_then(|life| life.door.as_ref());
        door.map(act).with_context(|| format!("{name} has no door"))
    }

    /// The output of every life so far.
    #[must_use]
    pub fn logs(&self) -> Vec<Log> {
        lock(&self.state).logs.clone()
    }

    /// Starts that failed.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        lock(&self.state).failures.clone()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(watching) = self.watching.take() {
            let _ = watching.join();
        }
        // Each process is killed as it is dropped.
        lock(&self.state).kept.clear();
    }
}
