//! The shell round [`Pool`]: it keeps the channels to callers and workers, and does what the pool says.
//!
//! Invariants: the lock is never held across an await or a call of the spawner; `polls` holds a channel for exactly
//! the workers that are idle; `pending` holds an entry for exactly the invocations accepted and not ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pool::{Effect, Failure, Limits, Mode, Pool, RequestId, Throttled, WorkerId};
use super::worker::{Worker, WorkerSpawner};
use super::{Function, answer};
use crate::clock::SharedClock;

/// An invocation as its worker is told of it.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) request: RequestId,
    pub(super) payload: Bytes,
    /// As it came in `X-Amz-Client-Context`, decoded.
    pub(super) client_context: Option<String>,
    pub(super) trace: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub(super) deadline_ms: i64,
}

/// How an invocation ended, as its caller is told.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// What the function returned.
    Returned(Bytes),
    /// What the caller gets with `X-Amz-Function-Error: Unhandled`.
    Failed(Bytes),
}

/// What an invocation brings.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) payload: Bytes,
    pub(super) client_context: Option<String>,
    pub(super) trace: Option<String>,
}

struct Pending {
    event: Option<Event>,
    /// Set by the worker's answer, before the pool says that the invocation ended.
    outcome: Option<Outcome>,
    done: oneshot::Sender<Outcome>,
}

struct Inner {
    pool: Pool,
    polls: HashMap<WorkerId, oneshot::Sender<Delivery>>,
    workers: HashMap<WorkerId, CancellationToken>,
    pending: HashMap<RequestId, Pending>,
    stopped: bool,
}

/// See the module's documentation.
pub(super) struct State {
    inner: Mutex<Inner>,
    /// Wakes the timer when deadlines may have changed.
    changed: Notify,
    /// Processes not yet reported to have ended.
    alive: watch::Sender<usize>,
    spawner: Arc<dyn WorkerSpawner>,
    clock: SharedClock,
    started: Instant,
    function: Function,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("function", &self.function).finish_non_exhaustive()
    }
}

impl State {
    pub(super) fn new(
        function: Function,
        limits: Limits,
        spawner: Arc<dyn WorkerSpawner>,
        clock: SharedClock,
    ) -> Self {
        let inner = Inner {
            pool: Pool::new(limits),
            polls: HashMap::new(),
            workers: HashMap::new(),
            pending: HashMap::new(),
            stopped: false,
        };
        Self {
            inner: Mutex::new(inner),
            changed: Notify::new(),
            alive: watch::Sender::new(0),
            spawner,
            clock,
            started: Instant::now(),
            function,
        }
    }

    pub(super) fn function(&self) -> &Function {
        &self.function
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Accepts an invocation; its outcome comes through the channel.
    pub(super) fn invoke(
        self: &Arc<Self>,
        request: RequestId,
        mode: Mode,
        event: Event,
    ) -> Result<oneshot::Receiver<Outcome>, Throttled> {
        let (done, outcome) = oneshot::channel();
        let mut inner = self.lock();
        if inner.stopped {
            return Err(Throttled);
        }
        let effects = inner.pool.invoke(self.now(), request.clone(), mode)?;
        inner.pending.insert(request, Pending { event: Some(event), outcome: None, done });
        self.act(inner, effects);
        Ok(outcome)
    }

    /// Registers a worker's poll; what it is to run comes through the channel. `None`: the worker is not known.
    pub(super) fn poll(self: &Arc<Self>, worker: WorkerId) -> Option<oneshot::Receiver<Delivery>> {
        let (sender, delivery) = oneshot::channel();
        let mut inner = self.lock();
        let effects = inner.pool.polled(self.now(), worker)?;
        inner.polls.insert(worker, sender);
        self.act(inner, effects);
        Some(delivery)
    }

    /// A poll ended without a delivery because its connection broke.
    pub(super) fn poll_broke(self: &Arc<Self>, worker: WorkerId) {
        let mut inner = self.lock();
        // The worker may be polling anew on another connection.
        if inner.polls.get(&worker).is_some_and(oneshot::Sender::is_closed) {
            inner.polls.remove(&worker);
            let now = self.now();
            inner.pool.poll_broke(now, worker);
            self.act(inner, Vec::new());
        }
    }

    /// A delivery was made, but the poll's connection broke before it was sent.
    pub(super) fn undelivered(self: &Arc<Self>, worker: WorkerId, delivery: Delivery) {
        let mut inner = self.lock();
        let now = self.now();
        let effects = take_back(&mut inner, now, worker, delivery);
        self.act(inner, effects);
    }

    /// Takes a worker's answer. `false`: that is not what it is running.
    pub(super) fn answer(self: &Arc<Self>, worker: WorkerId, request: &RequestId, outcome: Outcome) -> bool {
        let mut inner = self.lock();
        let now = self.now();
        let Some(effects) = inner.pool.answered(now, worker, request) else { return false };
        if let Some(pending) = inner.pending.get_mut(request) {
            pending.outcome = Some(outcome);
        }
        self.act(inner, effects);
        true
    }

    pub(super) fn worker_exited(self: &Arc<Self>, worker: WorkerId, reason: &str) {
        let mut inner = self.lock();
        inner.polls.remove(&worker);
        inner.workers.remove(&worker);
        let now = self.now();
        let effects = inner.pool.exited(now, worker, reason);
        self.act(inner, effects);
        self.alive.send_modify(|alive| *alive = alive.saturating_sub(1));
    }

    /// The worker said itself that it cannot start: its process is killed, and `reason` is what its end says.
    pub(super) fn init_failed(self: &Arc<Self>, worker: WorkerId, reason: &str) {
        let mut inner = self.lock();
        let now = self.now();
        let mut effects = inner.pool.exited(now, worker, reason);
        effects.push(Effect::Kill(worker));
        self.act(inner, effects);
    }

    /// Does what the pool says, and lets go of the lock before the spawner is called.
    fn act(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>, effects: Vec<Effect>) {
        let mut starts = Vec::new();
        let mut left: std::collections::VecDeque<Effect> = effects.into();
        while let Some(effect) = left.pop_front() {
            match effect {
                // While stopping, what still waits is not to be served any more.
                Effect::Start(_) if inner.stopped => {}
                Effect::Start(worker) => {
                    let stop = CancellationToken::new();
                    inner.workers.insert(worker, stop.clone());
                    starts.push((worker, stop));
                }
                Effect::Kill(worker) => {
                    inner.polls.remove(&worker);
                    if let Some(stop) = inner.workers.remove(&worker) {
                        stop.cancel();
                    }
                }
                Effect::Deliver { worker, request, deadline } => {
                    if let Err(more) = self.deliver(&mut inner, worker, &request, deadline) {
                        left.extend(more);
                    }
                }
                Effect::Finish { request, result } => self.finish(&mut inner, &request, result),
            }
        }
        drop(inner);
        self.changed.notify_one();
        for (worker, stop) in starts {
            self.alive.send_modify(|alive| *alive += 1);
            self.spawner.spawn(Worker::new(worker, self.function.environment(worker), stop, self));
        }
    }

    /// `Err` holds the effects of finding the worker's poll gone.
    fn deliver(
        &self,
        inner: &mut Inner,
        worker: WorkerId,
        request: &RequestId,
        deadline: Duration,
    ) -> Result<(), Vec<Effect>> {
        let Some(event) = inner.pending.get_mut(request).and_then(|p| p.event.take()) else { return Ok(()) };
        let now = self.now();
        let left = i64::try_from(deadline.saturating_sub(now).as_millis()).unwrap_or(i64::MAX);
        let delivery = Delivery {
            request: request.clone(),
            payload: event.payload,
            client_context: event.client_context,
            trace: event.trace,
            deadline_ms: self.clock.now().as_millisecond().saturating_add(left),
        };
        match inner.polls.remove(&worker).map(|poll| poll.send(delivery)) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(delivery)) => Err(take_back(inner, now, worker, delivery)),
        }
    }

    fn finish(&self, inner: &mut Inner, request: &RequestId, result: Result<(), Failure>) {
        let Some(pending) = inner.pending.remove(request) else { return };
        let outcome = match (result, pending.outcome) {
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => answer::failure(request, &Failure::Unanswered, self.function.timeout),
            (Err(failure), _) => {
                tracing::warn!(request = request.0, ?failure, "function did not answer");
                answer::failure(request, &failure, self.function.timeout)
            }
        };
        // The caller of an asynchronous invocation, or one that hung up, no longer listens.
        drop(pending.done.send(outcome));
    }

    /// Calls the pool at its deadlines until `stop`.
    pub(super) async fn keep_time(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let next = self.lock().pool.next_deadline();
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep_until(self.started + next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {
                    let mut inner = self.lock();
                    let effects = inner.pool.tick(self.now());
                    self.act(inner, effects);
                }
                () = self.changed.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Refuses further invocations, fails those in hand and has every process killed. Polls are left open: a runtime takes any answer
    /// for an invocation, and would die of this one with an error in its log before it is killed.
    pub(super) fn stop(&self) {
        let mut inner = self.lock();
        inner.stopped = true;
        inner.pending.clear();
        for (_, stop) in inner.workers.drain() {
            stop.cancel();
        }
    }

    /// Ends the polls of processes that were not killed.
    pub(super) fn end_polls(&self) {
        self.lock().polls.clear();
    }

    /// Returns when every process has ended.
    pub(super) async fn all_ended(&self) {
        let mut alive = self.alive.subscribe();
        // The sender lives as long as `self`.
        drop(alive.wait_for(|alive| *alive == 0).await);
    }
}

/// Puts an undelivered event back for another worker.
fn take_back(inner: &mut Inner, now: Duration, worker: WorkerId, delivery: Delivery) -> Vec<Effect> {
    let Delivery { request, payload, client_context, trace, .. } = delivery;
    if let Some(pending) = inner.pending.get_mut(&request) {
        pending.event = Some(Event { payload, client_context, trace });
    }
    inner.pool.undelivered(now, worker)
}
