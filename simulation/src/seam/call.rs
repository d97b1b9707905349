//! What processes ask of each other: anybody the gateway function ([`Function`]), the gateway the encoders ([`Way`]).
//!
//! The function runs in instances of one event at a time, started on demand, kept warm, and killed by chance or when they take too long.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use encoder_task::manager::Manager;
use gateway_fn::handle::{Gateway, Hop, HopError};
use media::wire::{EncoderReply, EncoderRequest};
use service::{
    BoxFuture,
    gateway::{GatewayError, Invoke},
    table::Table,
};
use tokio_util::sync::CancellationToken;

use super::{Trouble, Twice, request, store};
use crate::{
    process::{Process, Status},
    weather::Service,
    world::World,
};

/// Lambda kills an invocation that takes longer: as it is configured.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(15);

/// An encoder task.
pub(crate) struct Station {
    pub(crate) process: Arc<Process>,
    pub(crate) manager: Arc<Manager>,
    pub(crate) address: String,
    /// Ends its heartbeat.
    pub(crate) down: CancellationToken,
}

/// A process of the gateway function.
struct Instance {
    process: Arc<Process>,
    gateway: Arc<Gateway>,
    busy: bool,
}

/// All processes that can be called.
pub(crate) struct Cloud {
    pub(crate) world: Arc<World>,
    instances: Mutex<Vec<Instance>>,
    started: Mutex<u32>,
    instances_max: usize,
    encoders: Mutex<BTreeMap<String, Arc<Station>>>,
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cloud")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cloud {
    /// Nobody yet; at most so many instances of the function at once.
    pub(crate) fn new(world: Arc<World>, instances_max: usize) -> Arc<Self> {
        Arc::new(Self {
            world,
            instances: Mutex::default(),
            started: Mutex::default(),
            instances_max,
            encoders: Mutex::default(),
        })
    }

    /// An encoder answers at its address from now on, instead of who did before.
    pub(crate) fn register(&self, station: Arc<Station>) {
        lock(&self.encoders).insert(station.address.clone(), station);
    }

    fn station(&self, address: &str) -> Option<Arc<Station>> {
        lock(&self.encoders).get(address).cloned()
    }

    /// The function's instances.
    pub(crate) fn gateways(&self) -> Vec<Arc<Process>> {
        lock(&self.instances).iter().map(|instance| Arc::clone(&instance.process)).collect()
    }

    /// Lets go of everybody, so that what refers to each other in a circle is freed.
    pub(crate) fn clear(&self) {
        lock(&self.instances).clear();
        lock(&self.encoders).clear();
    }

    /// An idle instance, or a new one; `None` when all are busy.
    fn instance(self: &Arc<Self>, payload: &[u8]) -> Option<(Arc<Process>, Arc<Gateway>)> {
        let mut instances = lock(&self.instances);
        instances.retain(|instance| !instance.process.is_dead());
        let idle: Vec<usize> =
            (0..instances.len()).filter(|at| instances.get(*at).is_some_and(|i| !i.busy)).collect();
        let mut dice = self.world.derived((payload, self.world.now()));
        // Lambda does not say which; a cold start may come even when one is idle.
        let fresh = idle.is_empty() || (instances.len() < self.instances_max && dice.permille(50));
        if fresh {
            if instances.len() >= self.instances_max {
                return None;
            }
            let number = {
                let mut started = lock(&self.started);
                *started += 1;
                *started
            };
            let process = Process::new(&self.world, format!("gateway-{number}"));
            let table = Table::on(Arc::new(store::Remote(Arc::clone(&process))));
            let way = Way { process: Arc::clone(&process), cloud: Arc::downgrade(self) };
            let gateway = Arc::new(Gateway::on(table, Arc::new(way), process.clock()));
            let taken = (Arc::clone(&process), Arc::clone(&gateway));
            instances.push(Instance { process, gateway, busy: true });
            return Some(taken);
        }
        let at = idle.get(dice.index(idle.len())).copied()?;
        let instance = instances.get_mut(at)?;
        instance.busy = true;
        Some((Arc::clone(&instance.process), Arc::clone(&instance.gateway)))
    }

    fn release(&self, process: &Arc<Process>) {
        for instance in lock(&self.instances).iter_mut().filter(|i| Arc::ptr_eq(&i.process, process)) {
            instance.busy = false;
        }
    }

    /// One invocation.
    async fn invoke(self: Arc<Self>, payload: Vec<u8>) -> Result<Vec<u8>, GatewayError> {
        let error = |message: &str, transient| GatewayError { message: message.to_owned(), transient };
        let Some((process, gateway)) = self.instance(&payload) else {
            return Err(error("429 too many requests", true));
        };
        let bug = |what: serde_json::Error| error(&what.to_string(), false);
        let event: serde_json::Value = serde_json::from_slice(&payload).map_err(bug)?;
        let what = event.get("event").and_then(|event| event.as_str()).unwrap_or_default().to_owned();
        self.world.note(process.name(), "invoked", &what, || event.to_string());
        let handled = tokio::select! {
            biased;
            () = process.died() => Err(error("the instance has died", true)),
            handled = gateway.handle(event) => handled.map_err(|failure| error(&failure.to_string(), true)),
            () = tokio::time::sleep(FUNCTION_TIMEOUT) => {
                process.set(Status::Dead);
                Err(error("the invocation took too long", true))
            }
        };
        self.release(&process);
        let reply = handled.and_then(|reply| serde_json::to_vec(&reply).map_err(bug));
        self.world.note(process.name(), "replied", &what, || match &reply {
            Ok(reply) => String::from_utf8_lossy(reply).into_owned(),
            Err(error) => error.to_string(),
        });
        reply
    }
}

/// The gateway function, as one process invokes it.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) process: Arc<Process>,
    pub(crate) cloud: Weak<Cloud>,
}

impl Invoke for Function {
    fn invoke(&self, payload: Vec<u8>) -> BoxFuture<Result<Vec<u8>, GatewayError>> {
        let this = self.clone();
        Box::pin(async move {
            let cloud = this.cloud.clone();
            let subject = String::from_utf8_lossy(&payload).into_owned();
            let effect = move || {
                let (cloud, payload) = (cloud.upgrade(), payload.clone());
                async move {
                    match cloud {
                        Some(cloud) => cloud.invoke(payload).await,
                        // The world ends.
                        None => std::future::pending().await,
                    }
                }
            };
            let reply = request(this.process, Service::Gateway, &subject, Twice::Again, effect).await;
            reply.unwrap_or_else(|trouble| {
                let message = match trouble {
                    Trouble::Silence => "no answer in time",
                    Trouble::Refused => "429 too many requests",
                };
                Err(GatewayError { message: message.to_owned(), transient: true })
            })
        })
    }
}

/// The way from one instance of the gateway to the encoders.
#[derive(Debug, Clone)]
struct Way {
    process: Arc<Process>,
    cloud: Weak<Cloud>,
}

impl Hop for Way {
    fn post(&self, address: &str, what: &EncoderRequest) -> BoxFuture<Result<EncoderReply, HopError>> {
        let (this, address, what) = (self.clone(), address.to_owned(), what.clone());
        Box::pin(async move {
            let cloud = this.cloud.clone();
            let subject = format!("{address} {} {:?}", what.broadcast, what.what);
            let effect = move || {
                let station = cloud.upgrade().and_then(|cloud| cloud.station(&address));
                let what = what.clone();
                async move { answer(station, what).await }
            };
            // A late delivery or a second one is what a kept connection that stalls looks like.
            match request(this.process, Service::Encoder, &subject, Twice::Again, effect).await {
                Ok(Some(reply)) => Ok(reply),
                Ok(None) | Err(_) => Err(HopError::Silent),
            }
        })
    }
}

/// What an encoder says; `None` when nobody is there.
async fn answer(station: Option<Arc<Station>>, what: EncoderRequest) -> Option<EncoderReply> {
    let station = station.filter(|station| !station.process.is_dead())?;
    station.process.ready().await;
    if station.process.is_cut(Service::Encoder) {
        return std::future::pending().await;
    }
    let (process, manager) = (Arc::clone(&station.process), Arc::clone(&station.manager));
    let (broadcast, epoch, event) = (what.broadcast.to_string(), what.epoch.0, what.what.clone());
    let reply = tokio::spawn(async move { manager.notice(what).await }).await.ok()?;
    process
        .world()
        .note(process.name(), "answered", &broadcast, || format!("epoch {epoch} {event:?}: {reply:?}"));
    process.ready().await;
    Some(reply)
}
