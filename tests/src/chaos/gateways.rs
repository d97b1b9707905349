//! The processes of the gateway function, started when the embedded Lambda asks for one.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use localstack::{Worker, WorkerSpawner};
use nix::sys::signal::Signal;

use super::{
    keeper::{Keeper, Log},
    programs::{Env, program_with},
};
use crate::process::Process;

/// How often a process is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The processes of the gateway function.
pub(super) struct Gateways {
    keeper: Arc<Keeper>,
    /// Program and variables; given once the proxies are there.
    pub(super) spec: OnceLock<(PathBuf, Env)>,
    running: Mutex<Vec<u32>>,
    count: Mutex<u32>,
    down: AtomicBool,
}

impl Gateways {
    /// None yet; their output goes to `keeper`.
    pub(super) fn new(keeper: Arc<Keeper>) -> Self {
        Self {
            keeper,
            spec: OnceLock::new(),
            running: Mutex::default(),
            count: Mutex::default(),
            down: AtomicBool::new(false),
        }
    }

    /// Keeps the function from running at all, or lets it again.
    pub(super) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
        if down {
            self.kill();
        }
    }

    /// Kills every process; how many there were.
    pub(super) fn kill(&self) -> usize {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        running.iter().filter(|pid| crate::process::signal_pid(**pid, Signal::SIGKILL).is_ok()).count()
    }

    /// Runs one process to its end; gives why it ended.
    fn run(&self, worker: &Worker) -> Result<String> {
        anyhow::ensure!(!self.down.load(Ordering::Relaxed), "the scenario keeps it down");
        let (program, env) = self.spec.get().context("the cluster is still starting")?;
        let id = {
            let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
            *count += 1;
            format!("gateway-life-{count}")
        };
        let mut command = program_with(program, env);
        command.envs(worker.environment().iter().map(|(name, value)| (name, value)));
        let mut process = Process::start(&id, &mut command)?;
        let (out, err) = (process.out.clone(), process.err.clone());
        self.keeper.note(Log { name: "gateway".to_owned(), id, out, err });
        let pid = process.id();
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
        while process.is_running()? && !worker.stop().is_cancelled() {
            thread::sleep(LOOK_EVERY);
        }
        self.running.lock().unwrap_or_else(PoisonError::into_inner).retain(|p| *p != pid);
        drop(process);
        Ok("killed or ended".to_owned())
    }
}

/// What the embedded Lambda asks for processes.
pub(super) struct Spawner(pub(super) Arc<Gateways>);

impl WorkerSpawner for Spawner {
    fn spawn(&self, worker: Worker) {
        let gateways = Arc::clone(&self.0);
        thread::spawn(move || {
            let reason = gateways.run(&worker).unwrap_or_else(|error| format!("{error:#}"));
            worker.exited(&reason);
        });
    }
}
