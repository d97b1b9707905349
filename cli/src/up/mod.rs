//! `gopcast up`: the whole pipeline on one machine. Starts the embedded AWS in this process and the services' programs beside it,
//! supervises them, and takes all of it down in order.
//!
//! Order of the start: what others need first; encoders and edge side by side. Order of the end: the edge takes nothing new and
//! finishes what it has, what is on air is ended, then the encoders, the gateway and the embedded AWS go.

mod certificate;
mod child;
pub(crate) mod demo;
mod event;
pub mod guard;
mod hub;
pub(crate) mod ladder;
pub(crate) mod lives;
mod log_file;
mod operator;
mod pace;
pub(crate) mod pages;
mod panel;
pub(crate) mod programs;
mod signals;
mod start;
mod supervisor;
mod sweep;

use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use localstack::LocalAws;
use service::clock::Clock;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use self::{
    guard::Guard,
    hub::Hub,
    log_file::LogFile,
    pace::Pace,
    signals::Asked,
    start::Running,
    supervisor::{GatewaySpawner, Group, Supervisor},
};
use crate::{args::UpArgs, data_dir::DataDir, exit::Exit, progress::Progress, stack};

/// How long the replays of what was on air may take to be finished when the stack stops.
const END_GRACE: Duration = Duration::from_secs(10);
/// How long killed processes may take to be collected after the second Ctrl-C.
const KILL_GRACE: Duration = Duration::from_secs(2);
/// Info, but not the AWS SDK's own chatter.
const LOG_FILTER: &str = "info,aws_config=warn,aws_smithy_runtime=warn,hyper_util=warn";

/// The parts of a stack, as far as they have to be taken down.
#[derive(Debug)]
struct Parts {
    dir: DataDir,
    hub: Arc<Hub>,
    guard: Arc<Guard>,
    supervisor: Supervisor,
    spawner: Arc<GatewaySpawner>,
    edge: Group,
    encoders: Group,
    gateway: Group,
    /// The demo and the sweep.
    background: (CancellationToken, TaskTracker),
    progress: Progress,
}

/// Runs a stack until it is asked to stop.
///
/// # Errors
/// When it can't be started.
pub async fn run(args: UpArgs) -> anyhow::Result<Exit> {
    let dir = DataDir::create(&args.data)?;
    let _lock = dir.lock()?;
    let logs = dir.file("log");
    std::fs::create_dir_all(&logs)?;
    log_file::prune(&logs);
    log_to(&LogFile::open(logs.join("gopcast.log")));
    let programs = programs::find()?;
    let progress = Progress::new(args.json);
    let leftovers = guard::end_leftovers(&dir, &programs)?;
    if leftovers > 0 {
        progress.step(&format!("ended {leftovers} processes that an earlier stack had left behind"));
    }

    let asked = signals::listen()?;
    let hub = Arc::new(Hub::new(args.json));
    let guard = Arc::new(Guard::start());
    let (restart, kill_now) = (!args.no_restart, asked.kill_now.clone());
    let supervisor = Supervisor::new(Arc::clone(&hub), logs, restart, kill_now, Arc::clone(&guard));
    let gateway = Group::default();
    let parts = Parts {
        dir,
        hub,
        guard,
        spawner: Arc::new(GatewaySpawner::new(supervisor.clone(), gateway.clone())),
        supervisor,
        edge: Group::default(),
        encoders: Group::default(),
        gateway,
        background: (CancellationToken::new(), TaskTracker::new()),
        progress,
    };

    let mut aws = None;
    let started = tokio::select! {
        () = asked.stop.cancelled() => Ok(None),
        why = parts.supervisor.failed() => Err(anyhow!(why)),
        running = start::start(&parts, &args, &programs, &mut aws) => running.map(Some),
    };
    let (running, failure) = match started {
        Ok(Some(mut running)) => {
            watch(&parts, &mut running, restart, &asked).await;
            (Some(running), None)
        }
        Ok(None) => (None, None),
        Err(error) => (None, Some(error)),
    };
    let exit = tokio::select! {
        () = take_down(&parts, running, aws) => Exit::Done,
        () = asked.kill_now.cancelled() => {
            let collected = async { tokio::join!(parts.edge.drain(), parts.encoders.drain(), parts.gateway.drain()) };
            let _ = tokio::time::timeout(KILL_GRACE, collected).await;
            Exit::Killed
        }
    };
    parts.hub.finish();
    match failure {
        Some(error) => Err(error),
        None => Ok(exit),
    }
}

/// From ready until asked to stop: keeps `stack.json` true and the gateway warm.
async fn watch(parts: &Parts, running: &mut Running, restart: bool, asked: &Asked) {
    let mut changes = parts.supervisor.changes();
    let (mut pace, mut since) = (Pace::default(), Instant::now());
    loop {
        tokio::select! {
            () = asked.stop.cancelled() => return,
            // An error means that the supervisor is gone; it is ours.
            Ok(()) = changes.changed() => {
                changes.mark_unchanged();
                running.stack.processes = parts.supervisor.processes();
                if let Err(error) = running.stack.write(&parts.dir) {
                    tracing::warn!(error = format!("{error:#}"), "stack.json is behind");
                }
            }
            failed = parts.spawner.died(), if restart => {
                let wait = pace.next(since.elapsed(), failed, Clock::default().chance());
                since = Instant::now();
                let (clients, stop) = (running.clients.clone(), asked.stop.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = stop.cancelled() => return,
                    }
                    if let Err(error) = start::warm_gateway(&clients).await {
                        tracing::warn!(error = format!("{error:#}"), "the gateway did not come back yet");
                    }
                });
            }
        }
    }
}

/// Takes everything down in order.
async fn take_down(parts: &Parts, running: Option<Running>, aws: Option<LocalAws>) {
    if running.is_some() {
        parts.progress.step("stopping (Ctrl-C again stops at once)");
    }
    parts.background.0.cancel();
    parts.background.1.close();
    parts.background.1.wait().await;
    parts.edge.drain().await;
    if let Some(running) = &running {
        match tokio::time::timeout(END_GRACE, lives::end_all(&running.clients)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(ended)) => parts.progress.step(&format!("{ended} on air ended; the replays are kept")),
            Ok(Err(error)) => {
                tracing::warn!(error = format!("{error:#}"), "what was on air could not be ended");
                parts
                    .progress
                    .step("what was on air could not be ended; it goes on when its publisher returns");
            }
            Err(_) => parts
                .progress
                .step("what was on air takes long to end; it goes on when its publisher returns"),
        }
    }
    parts.encoders.drain().await;
    if let Some(aws) = aws {
        aws.shutdown().await;
    }
    parts.gateway.drain().await;
    if let Err(error) = std::fs::remove_file(parts.dir.file(stack::FILE)) {
        tracing::debug!(error = &error as &dyn std::error::Error, "no stack.json to remove");
    }
    if running.is_some() {
        parts.progress.step("stopped");
    }
}

/// The supervisor's own log, and that of the embedded AWS.
fn log_to(log: &LogFile) {
    let filter = std::env::var(service::telemetry::LOG_VAR).unwrap_or_else(|_| LOG_FILTER.to_owned());
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(LOG_FILTER));
    let log = log.clone();
    let json = fmt::layer().json().flatten_event(true).with_writer(move || log.clone());
    // Tests run several in one process; the first keeps the subscriber.
    let _ = tracing_subscriber::registry().with(filter).with(json).try_init();
}
