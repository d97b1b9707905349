//! The supervisor: keeps processes running, as ECS does for the edge and the encoders and Lambda for the gateway. What dies is told and
//! started again at its [`Pace`].

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use localstack::{Worker, WorkerSpawner};
use serde_json::json;
use service::clock::Clock;
use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    child::{self, Ended, Spec},
    event::{self, Event},
    guard::Guard,
    hub::Hub,
    log_file::LogFile,
    pace::Pace,
};
use crate::{stack::Process, watch::Endpoint};

/// The roles.
pub(crate) const EDGE: &str = "ingest-edge";
/// See [`EDGE`].
pub(crate) const GATEWAY: &str = "gateway-fn";
/// See [`EDGE`].
pub(crate) const ENCODER: &str = "encoder-task";

/// Processes that are stopped together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Group {
    /// Asks all of them to end and waits until they have. Bounded by [`child::STOP_GRACE`].
    pub(crate) async fn drain(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The supervisor. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Supervisor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hub: Arc<Hub>,
    logs: PathBuf,
    restart: bool,
    kill_now: CancellationToken,
    guard: Arc<Guard>,
    /// While starting, a process that ends is a failure and not started again.
    starting: AtomicBool,
    failure: watch::Sender<Option<String>>,
    processes: watch::Sender<BTreeMap<(&'static str, String), u32>>,
    /// Where processes serve their metrics.
    ops: Mutex<BTreeMap<String, Endpoint>>,
}

impl Supervisor {
    /// A supervisor whose processes log into `logs` and are killed when `kill_now` is cancelled.
    #[must_use]
    pub(crate) fn new(
        hub: Arc<Hub>,
        logs: PathBuf,
        restart: bool,
        kill_now: CancellationToken,
        guard: Arc<Guard>,
    ) -> Self {
        Self(Arc::new(Inner {
            hub,
            logs,
            restart,
            kill_now,
            guard,
            starting: AtomicBool::new(true),
            failure: watch::Sender::new(None),
            processes: watch::Sender::new(BTreeMap::new()),
            ops: Mutex::default(),
        }))
    }

    /// The stack is ready: from here on, what dies is started again.
    pub(crate) fn started(&self) {
        self.0.starting.store(false, Ordering::Relaxed);
    }

    /// Returns when a process has ended although the stack was not ready, with what to say of it.
    pub(crate) async fn failed(&self) -> String {
        let mut failure = self.0.failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(text) => text.clone().unwrap_or_default(),
            // Can't be: the sender is ours.
            Err(_) => std::future::pending().await,
        }
    }

    /// The processes that are running.
    #[must_use]
    pub(crate) fn processes(&self) -> Vec<Process> {
        let running = self.0.processes.borrow();
        let process = |((role, id), pid): (&(&'static str, String), &u32)| Process {
            role: (*role).to_owned(),
            id: id.clone(),
            pid: *pid,
        };
        // The way of the data: edge, gateway, encoders.
        let order = [EDGE, GATEWAY, ENCODER];
        order
            .iter()
            .flat_map(|role| running.iter().filter(move |((r, _), _)| r == role).map(process))
            .collect()
    }

    /// Told when the processes have changed.
    #[must_use]
    pub(crate) fn changes(&self) -> watch::Receiver<BTreeMap<(&'static str, String), u32>> {
        self.0.processes.subscribe()
    }

    /// Keeps one process of `role` running until its group is drained. `make` gives the id and the command of each life.
    pub(crate) fn keep(
        &self,
        group: &Group,
        role: &'static str,
        make: impl Fn() -> (String, Spec) + Send + 'static,
    ) {
        let (this, stop) = (self.clone(), group.stop.clone());
        group.tasks.spawn(async move {
            let mut pace = Pace::default();
            loop {
                let (id, spec) = make();
                let born = Instant::now();
                let ended = this.life(role, &id, &spec, &stop).await;
                let over = stop.is_cancelled()
                    || this.0.kill_now.is_cancelled()
                    || this.0.starting.load(Ordering::Relaxed);
                if over || !this.0.restart {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(pace.next(born.elapsed(), ended.failed, Clock::default().chance())) => {}
                    () = stop.cancelled() => return,
                    () = this.0.kill_now.cancelled() => return,
                }
            }
        });
    }

    /// Runs a process once.
    pub(crate) async fn life(
        &self,
        role: &'static str,
        id: &str,
        spec: &Spec,
        stop: &CancellationToken,
    ) -> LifeEnd {
        let log = LogFile::open(self.0.logs.join(format!("{role}-{id}.log")));
        let (this, own_id) = (self.clone(), id.to_owned());
        let on_line = move |line: &str| {
            if let Some(event) = Event::in_log_line(line) {
                this.note_ops(role, &own_id, &event);
                this.0.hub.event(event);
            }
        };
        let started = match child::start(spec, &log, on_line) {
            Ok(started) => started,
            Err(error) => {
                let text = format!("{role} can't be started from {}: {error}", spec.program.display());
                tracing::error!(
                    role,
                    id,
                    error = &error as &dyn std::error::Error,
                    "process can't be started"
                );
                self.fail(&text);
                return LifeEnd { reason: error.to_string(), failed: true };
            }
        };
        let (pid, key) = (started.pid(), (role, id.to_owned()));
        self.0.guard.watch(pid);
        self.0.processes.send_modify(|running| {
            running.insert(key.clone(), pid);
        });
        tracing::info!(role, id, pid, "process started");
        if !self.0.starting.load(Ordering::Relaxed) {
            self.tell(event::PROCESS_STARTED, role, id, pid, None);
        }
        let ended = started.ended(stop, &self.0.kill_now).await;
        self.0.guard.forget(pid);
        self.ops().remove(id);
        self.0.processes.send_modify(|running| {
            running.remove(&key);
        });
        tracing::info!(role, id, pid, code = ended.code, signal = ended.signal, "process ended");
        if !stop.is_cancelled() && self.0.starting.load(Ordering::Relaxed) {
            let path = self.0.logs.join(format!("{role}-{id}.log"));
            let tail = ended.tail.join("\n  ");
            self.fail(&format!(
                "{role} ended while starting ({ended}). Its last words ({}):\n  {tail}",
                path.display()
            ));
        }
        self.tell(event::PROCESS_EXITED, role, id, pid, Some(&ended));
        LifeEnd { reason: ended.to_string(), failed: ended.has_failed() }
    }

    /// Where the processes that are running serve their metrics.
    #[must_use]
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        self.ops().values().cloned().collect()
    }

    fn note_ops(&self, role: &str, id: &str, event: &Event) {
        let address = if event.event == event::LISTENING { event.text("ops") } else { None };
        if let Some(address) = address.and_then(|address| address.parse().ok()) {
            let endpoint = Endpoint { is_edge: role == EDGE, id: id.to_owned(), address };
            self.ops().insert(id.to_owned(), endpoint);
        }
    }

    fn ops(&self) -> MutexGuard<'_, BTreeMap<String, Endpoint>> {
        self.0.ops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, text: &str) {
        if self.0.starting.load(Ordering::Relaxed) {
            self.0.failure.send_if_modified(|failure| {
                let first = failure.is_none();
                failure.get_or_insert_with(|| text.to_owned());
                first
            });
        }
    }

    fn tell(&self, name: &str, role: &'static str, id: &str, pid: u32, ended: Option<&Ended>) {
        let mut fields = vec![("role", json!(role)), ("id", json!(id)), ("pid", json!(pid))];
        if let Some(ended) = ended {
            fields.extend([("code", json!(ended.code)), ("signal", json!(ended.signal))]);
        }
        self.0.hub.event(Event::new(name, service::clock::now().rfc3339(), fields));
    }
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct LifeEnd {
    /// For a log.
    pub(crate) reason: String,
    /// By itself, and not because it was asked to or killed.
    pub(crate) failed: bool,
}

/// Starts the gateway function's processes when the embedded Lambda wants one.
#[derive(Debug)]
pub(crate) struct GatewaySpawner {
    supervisor: Supervisor,
    group: Group,
    /// All but what Lambda sets itself. Given once the embedded AWS is up: nobody can invoke the function before.
    spec: Mutex<Option<Spec>>,
    count: AtomicU32,
    died: tokio::sync::Notify,
    /// Whether the last one that died had failed.
    failed: AtomicBool,
}

impl GatewaySpawner {
    /// A spawner whose processes belong to `group`.
    #[must_use]
    pub(crate) fn new(supervisor: Supervisor, group: Group) -> Self {
        let died = tokio::sync::Notify::new();
        let (count, failed) = (AtomicU32::new(0), AtomicBool::new(false));
        Self { supervisor, group, spec: Mutex::new(None), count, died, failed }
    }

    /// Says what to start.
    pub(crate) fn set_spec(&self, spec: Spec) {
        *self.spec.lock().unwrap_or_else(PoisonError::into_inner) = Some(spec);
    }

    /// Returns when a process of the function has died, and whether it had failed.
    pub(crate) async fn died(&self) -> bool {
        self.died.notified().await;
        self.failed.load(Ordering::Relaxed)
    }
}

/// A spawner that can be given to the embedded Lambda and kept.
#[derive(Debug, Clone)]
pub(crate) struct SharedSpawner(pub(crate) Arc<GatewaySpawner>);

impl WorkerSpawner for SharedSpawner {
    fn spawn(&self, worker: Worker) {
        let this = Arc::clone(&self.0);
        let spec = this.spec.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(mut spec) = spec else {
            worker.exited("the stack is still starting");
            return;
        };
        spec.env.extend(worker.environment().iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let id = format!("gateway-{}", this.count.fetch_add(1, Ordering::Relaxed) + 1);
        let tasks = this.group.tasks.clone();
        tasks.spawn(async move {
            let stop = worker.stop().clone();
            let ended = this.supervisor.life(GATEWAY, &id, &spec, &stop).await;
            worker.exited(&ended.reason);
            if !stop.is_cancelled() {
                this.failed.store(ended.failed, Ordering::Relaxed);
                this.died.notify_one();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Spec {
        let args = vec!["-c".to_owned(), script.to_owned()];
        Spec { program: "/bin/sh".into(), args, env: Vec::new(), redact: None }
    }

    fn supervisor(dir: &std::path::Path, restart: bool) -> Supervisor {
        let hub = Arc::new(Hub::new(true));
        Supervisor::new(hub, dir.to_owned(), restart, CancellationToken::new(), Arc::new(Guard::none()))
    }

    #[tokio::test]
    async fn a_process_that_ends_while_starting_is_a_failure_that_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let supervisor = supervisor(dir.path(), true);
        let group = Group::default();
        supervisor.keep(&group, EDGE, || ("edge-1".to_owned(), shell("echo no certificate >&2; exit 4")));
        let text = supervisor.failed().await;
        assert!(text.contains("ingest-edge ended while starting (exit status: 4)"), "{text}");
        assert!(text.contains("no certificate"), "{text}");
        group.drain().await;
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let supervisor = supervisor(dir.path(), true);
        let group = Group::default();
        let spec = Spec { program: "/nowhere/x".into(), ..shell("") };
        supervisor.keep(&group, EDGE, move || ("edge-1".to_owned(), spec.clone()));
        assert!(supervisor.failed().await.contains("/nowhere/x"));
        group.drain().await;
    }

    #[tokio::test]
    async fn what_dies_is_started_again_under_the_id_of_its_next_life_and_drained_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let supervisor = supervisor(dir.path(), true);
        let (group, lives) = (Group::default(), Arc::new(AtomicU32::new(0)));
        let counter = Arc::clone(&lives);
        let mut changes = supervisor.changes();
        supervisor.keep(&group, ENCODER, move || {
            (format!("encoder-{}", counter.fetch_add(1, Ordering::Relaxed)), shell("exec sleep 100"))
        });
        let pid = *changes.wait_for(|p| !p.is_empty()).await.unwrap().values().next().unwrap();
        supervisor.started();
        child::signal(pid, nix::sys::signal::Signal::SIGKILL);
        let second = changes.wait_for(|p| p.keys().any(|(_, id)| id == "encoder-1")).await.unwrap().clone();
        assert_eq!(second.len(), 1);
        assert_eq!(supervisor.processes()[0].id, "encoder-1");
        group.drain().await;
        assert!(supervisor.processes().is_empty());
        assert_eq!(lives.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn without_restart_the_dead_stay_dead() {
        let dir = tempfile::tempdir().unwrap();
        let supervisor = supervisor(dir.path(), false);
        supervisor.started();
        let group = Group::default();
        supervisor.keep(&group, ENCODER, || ("encoder-0".to_owned(), shell("exit 0")));
        group.tasks.close();
        group.tasks.wait().await;
        assert!(supervisor.processes().is_empty());
    }
}
