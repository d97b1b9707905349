//! An encoder task: the production manager, sessions and heartbeat, on this world's seams.

use std::{sync::Arc, time::Duration};

use encoder_task::{
    heartbeat,
    manager::Manager,
    retry::Health,
    session::{Deps, Workshop},
};
use service::{
    bucket::Bucket,
    clock::Clock,
    gateway::Gateway,
    table::{Encoder, Table},
};
use tokio_util::sync::CancellationToken;

use super::pictures::Pictures;
use crate::{
    process::{Process, Status},
    seam::{
        call::{Cloud, Function, Station},
        objects, store,
    },
};

/// How long a draining encoder waits for its broadcasts to be taken over: as the real one does.
const DRAIN_GRACE: Duration = Duration::from_secs(25);
/// Pixels per second: a small machine's, so that the ring has few points.
const CAPACITY: u64 = 10_000_000;

/// Starts an encoder of this name at an address; `slowness`: see [`Pictures::new`].
pub(crate) fn start(cloud: &Arc<Cloud>, name: String, address: String, slowness: u64) -> Arc<Station> {
    let process = Process::new(&cloud.world, name);
    let table = Table::on(Arc::new(store::Remote(Arc::clone(&process))));
    let bucket = Bucket::on(Arc::new(objects::Remote(Arc::clone(&process))));
    let function = Function { process: Arc::clone(&process), cloud: Arc::downgrade(cloud) };
    let clock: Clock = process.clock();
    let Ok(me) = process.name().parse() else { unreachable!("names are made here") };
    let workshop = Workshop {
        bucket,
        health: Arc::new(Health::new(clock.clone())),
        transcoder: Arc::new(Pictures::new(Arc::clone(&process), slowness)),
    };
    let deps = Deps {
        table: table.clone(),
        gateway: Gateway::on(Arc::new(function)),
        clock: clock.clone(),
        workshop,
        me,
    };
    let id = deps.me.clone();
    let manager = Manager::new(deps);
    while_alive(&process, Arc::clone(&manager).watch_health());
    let down = CancellationToken::new();
    let row = Encoder {
        id,
        address: address.clone(),
        capacity: CAPACITY,
        draining: false,
        seen: clock.now(),
        bound: 0,
    };
    while_alive(&process, heartbeat::run(table, row, Arc::clone(&manager), clock, down.clone()));
    let station = Arc::new(Station { process, manager, address, down });
    cloud.register(Arc::clone(&station));
    cloud.world.note(station.process.name(), "started", &station.address, String::new);
    station
}

/// Runs what a process does for ever. The dead could do it without an effect; this saves the simulation the work.
fn while_alive(process: &Arc<Process>, work: impl Future<Output = ()> + Send + 'static) {
    let process = Arc::clone(process);
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = process.died() => {}
            () = work => {}
        }
    });
}

/// Shuts an encoder down as SIGTERM does.
pub(crate) async fn drain(station: Arc<Station>) {
    let Station { process, manager, down, .. } = &*station;
    process.ready().await;
    process.world().note(process.name(), "drains", "", String::new);
    manager.drain();
    let _ = tokio::time::timeout(DRAIN_GRACE, manager.emptied()).await;
    down.cancel();
    // The heartbeat takes the row away, if it can.
    tokio::time::sleep(Duration::from_millis(500)).await;
    process.ready().await;
    process.set(Status::Dead);
}
