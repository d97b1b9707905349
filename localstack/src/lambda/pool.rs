//! Which runtime process runs which invocation. Pure: events and time go in, [`Effect`]s come out.
//!
//! Invariants: a worker runs at most one invocation at a time, as a Lambda execution environment does; invocations
//! running or waiting for a worker never exceed `concurrency`, nor do workers; every invocation that was accepted
//! ends in exactly one [`Effect::Finish`], at the latest when its time is over; whatever waits has a deadline
//! that [`Pool::next_deadline`] knows.
//!
//! Times are measured from the pool's start.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long a process may take until it asks for its first invocation; Lambda's own limit of the init phase
/// (Developer Guide, "Understanding the Lambda execution environment lifecycle").
pub(crate) const INIT_TIME_MAX: Duration = Duration::from_secs(10);

/// Asynchronous invocations kept until a worker is free. Lambda keeps them for hours; here further ones get 429.
pub(crate) const BACKLOG_MAX: usize = 1000;

/// Names a worker: one runtime process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(u64);

impl WorkerId {
    /// As it is spelled in a worker's Runtime API address.
    pub(crate) fn spell(self) -> String {
        self.0.to_string()
    }

    /// Reads [`WorkerId::spell`].
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// Names an invocation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestId(pub(crate) String);

/// Whether the caller waits for the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Refused when there is no place.
    Sync,
    /// Kept until there is a place.
    Event,
}

/// The limit of concurrency, or of the backlog, is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Throttled;

/// How an invocation ended without an answer of the function's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It ran for longer than the function's time-out.
    TimedOut,
    /// No worker was ready in time.
    InitTimedOut,
    /// Its worker's process ended; the reason is the supervisor's.
    Exited(String),
    /// Its worker asked for the next invocation without answering this one.
    Unanswered,
}

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Have this worker's process started.
    Start(WorkerId),
    /// Hand the invocation to the worker, which is polling.
    Deliver { worker: WorkerId, request: RequestId, deadline: Duration },
    /// The invocation ended; `Ok` when the function answered.
    Finish { request: RequestId, result: Result<(), Failure> },
    /// Have this worker's process killed.
    Kill(WorkerId),
}

/// What bounds the pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Invocations at a time (Lambda's reserved concurrency).
    pub(crate) concurrency: usize,
    /// From delivery to the answer.
    pub(crate) timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Its process was asked for and has not polled yet; or, `warm`, it has answered or lost its connection and not polled again.
    Awaited { until: Duration, warm: bool },
    /// It is polling.
    Idle,
    /// It runs an invocation.
    Busy { request: RequestId, deadline: Duration },
}

#[derive(Debug)]
struct Waiting {
    request: RequestId,
    until: Duration,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Pool {
    limits: Limits,
    workers: BTreeMap<WorkerId, State>,
    waiting: VecDeque<Waiting>,
    backlog: VecDeque<RequestId>,
    next_worker: u64,
}

impl Pool {
    pub(crate) fn new(limits: Limits) -> Self {
        let (workers, waiting, backlog) = (BTreeMap::new(), VecDeque::new(), VecDeque::new());
        Self { limits, workers, waiting, backlog, next_worker: 1 }
    }

    /// Accepts an invocation.
    pub(crate) fn invoke(
        &mut self,
        now: Duration,
        request: RequestId,
        mode: Mode,
    ) -> Result<Vec<Effect>, Throttled> {
        let free = self.active() < self.limits.concurrency;
        match mode {
            Mode::Sync if !free => return Err(Throttled),
            Mode::Event if !free && self.backlog.len() >= BACKLOG_MAX => return Err(Throttled),
            Mode::Event if !free => self.backlog.push_back(request),
            Mode::Sync | Mode::Event => {
                self.waiting.push_back(Waiting { request, until: now + INIT_TIME_MAX });
            }
        }
        Ok(self.settle(now, Vec::new()))
    }

    /// The worker polls for an invocation. `None` when there is no such worker (any more).
    pub(crate) fn polled(&mut self, now: Duration, worker: WorkerId) -> Option<Vec<Effect>> {
        let state = self.workers.get_mut(&worker)?;
        let mut effects = Vec::new();
        if let State::Busy { request, .. } = std::mem::replace(state, State::Idle) {
            effects.push(Effect::Finish { request, result: Err(Failure::Unanswered) });
        }
        Some(self.settle(now, effects))
    }

    /// The worker stopped polling without having been given anything: its connection broke. It may poll again.
    pub(crate) fn poll_broke(&mut self, now: Duration, worker: WorkerId) {
        if let Some(state @ State::Idle) = self.workers.get_mut(&worker) {
            *state = State::Awaited { until: now + INIT_TIME_MAX, warm: true };
        }
    }

    /// A delivery found the worker's poll gone: the invocation goes to another.
    pub(crate) fn undelivered(&mut self, now: Duration, worker: WorkerId) -> Vec<Effect> {
        let Some(State::Busy { request, .. }) = self.workers.remove(&worker) else { return Vec::new() };
        self.waiting.push_front(Waiting { request, until: now + INIT_TIME_MAX });
        self.settle(now, vec![Effect::Kill(worker)])
    }

    /// The worker answered `request`, by a result or an error. `None` when that is not what it is running.
    pub(crate) fn answered(
        &mut self,
        now: Duration,
        worker: WorkerId,
        request: &RequestId,
    ) -> Option<Vec<Effect>> {
        let state = self.workers.get_mut(&worker)?;
        match state {
            State::Busy { request: running, .. } if running == request => {
                *state = State::Awaited { until: now + INIT_TIME_MAX, warm: true };
                let finished = Effect::Finish { request: request.clone(), result: Ok(()) };
                Some(self.settle(now, vec![finished]))
            }
            _ => None,
        }
    }

    /// The worker's process ended, for a reason fit for the caller's eyes.
    pub(crate) fn exited(&mut self, now: Duration, worker: WorkerId, reason: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        match self.workers.remove(&worker) {
            Some(State::Busy { request, .. }) => {
                effects.push(Effect::Finish { request, result: Err(Failure::Exited(reason.to_owned())) });
            }
            // It was started to serve an invocation that waits: that one fails, or a function that cannot start would
            // be started for ever. One that had been serving is merely replaced.
            Some(State::Awaited { warm: false, .. }) if self.waiting.len() > self.awaited() => {
                if let Some(Waiting { request, .. }) = self.waiting.pop_front() {
                    effects.push(Effect::Finish { request, result: Err(Failure::Exited(reason.to_owned())) });
                }
            }
            Some(State::Awaited { .. } | State::Idle) | None => {}
        }
        self.settle(now, effects)
    }

    /// Acts on every deadline that has passed.
    pub(crate) fn tick(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.waiting.retain(|waiting| {
            let over = waiting.until <= now;
            if over {
                let request = waiting.request.clone();
                effects.push(Effect::Finish { request, result: Err(Failure::InitTimedOut) });
            }
            !over
        });
        self.workers.retain(|worker, state| match state {
            State::Busy { request, deadline } if *deadline <= now => {
                effects.push(Effect::Finish { request: request.clone(), result: Err(Failure::TimedOut) });
                effects.push(Effect::Kill(*worker));
                false
            }
            State::Awaited { until, .. } if *until <= now => {
                effects.push(Effect::Kill(*worker));
                false
            }
            _ => true,
        });
        self.settle(now, effects)
    }

    /// When [`Pool::tick`] is to be called next.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let workers = self.workers.values().filter_map(|state| match state {
            State::Busy { deadline, .. } => Some(*deadline),
            State::Awaited { until, .. } => Some(*until),
            State::Idle => None,
        });
        workers.chain(self.waiting.iter().map(|w| w.until)).min()
    }

    /// Invocations that hold a place.
    fn active(&self) -> usize {
        let busy = self.workers.values().filter(|s| matches!(s, State::Busy { .. })).count();
        busy + self.waiting.len()
    }

    fn awaited(&self) -> usize {
        self.workers.values().filter(|s| matches!(s, State::Awaited { .. })).count()
    }

    /// Fills free places from the backlog, hands waiting invocations to idle workers, and asks for as many further
    /// workers as invocations still wait.
    fn settle(&mut self, now: Duration, mut effects: Vec<Effect>) -> Vec<Effect> {
        while self.active() < self.limits.concurrency {
            let Some(request) = self.backlog.pop_front() else { break };
            self.waiting.push_back(Waiting { request, until: now + INIT_TIME_MAX });
        }
        let deadline = now + self.limits.timeout;
        for (worker, state) in self.workers.iter_mut().filter(|(_, s)| matches!(s, State::Idle)) {
            let Some(Waiting { request, .. }) = self.waiting.pop_front() else { break };
            *state = State::Busy { request: request.clone(), deadline };
            effects.push(Effect::Deliver { worker: *worker, request, deadline });
        }
        while self.awaited() < self.waiting.len() && self.workers.len() < self.limits.concurrency {
            let worker = WorkerId(self.next_worker);
            self.next_worker += 1;
            self.workers.insert(worker, State::Awaited { until: now + INIT_TIME_MAX, warm: false });
            effects.push(Effect::Start(worker));
        }
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const W1: WorkerId = WorkerId(1);
    const LIMITS: Limits = Limits { concurrency: 2, timeout: Duration::from_secs(3) };

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn id(text: &str) -> RequestId {
        RequestId(text.into())
    }

    fn deliver(worker: WorkerId, request: &str, deadline: Duration) -> Effect {
        Effect::Deliver { worker, request: id(request), deadline }
    }

    fn finish(request: &str, result: Result<(), Failure>) -> Effect {
        Effect::Finish { request: id(request), result }
    }

    /// A pool whose first worker runs `a` since `at(100)`.
    fn running() -> Pool {
        let mut pool = Pool::new(LIMITS);
        assert_eq!(pool.invoke(at(0), id("a"), Mode::Sync), Ok(vec![Effect::Start(W1)]));
        assert_eq!(pool.polled(at(100), W1), Some(vec![deliver(W1, "a", at(3100))]));
        pool
    }

    #[test]
    fn a_worker_is_reused() {
        let mut pool = running();
        assert_eq!(pool.answered(at(200), W1, &id("a")), Some(vec![finish("a", Ok(()))]));
        assert_eq!(pool.answered(at(200), W1, &id("a")), None);
        assert_eq!(
            pool.invoke(at(201), id("b"), Mode::Sync),
            Ok(vec![]),
            "the worker will poll again at once"
        );
        assert_eq!(pool.polled(at(202), W1), Some(vec![deliver(W1, "b", at(3202))]));
    }

    #[test]
    fn a_third_at_a_time_is_throttled_and_an_event_waits() {
        let mut pool = running();
        assert_eq!(pool.invoke(at(100), id("b"), Mode::Sync), Ok(vec![Effect::Start(WorkerId(2))]));
        assert_eq!(pool.invoke(at(100), id("c"), Mode::Sync), Err(Throttled));
        assert_eq!(pool.invoke(at(100), id("e"), Mode::Event), Ok(vec![]));
        assert_eq!(pool.answered(at(200), W1, &id("a")), Some(vec![finish("a", Ok(()))]));
        assert_eq!(pool.polled(at(201), W1), Some(vec![deliver(W1, "b", at(3201))]));
        assert_eq!(pool.polled(at(300), WorkerId(2)), Some(vec![deliver(WorkerId(2), "e", at(3300))]));
    }

    #[test]
    fn time_out_kills_the_worker() {
        let mut pool = running();
        assert_eq!(pool.next_deadline(), Some(at(3100)));
        assert_eq!(pool.tick(at(3099)), vec![]);
        assert_eq!(pool.tick(at(3100)), vec![finish("a", Err(Failure::TimedOut)), Effect::Kill(W1)]);
        assert_eq!(pool.polled(at(3101), W1), None);
        assert_eq!(pool.exited(at(3102), W1, "killed"), vec![]);
        assert_eq!(pool.next_deadline(), None);
    }

    #[test]
    fn a_death_fails_what_ran_there() {
        let mut pool = running();
        let died = Err(Failure::Exited("signal: killed".into()));
        assert_eq!(pool.exited(at(150), W1, "signal: killed"), vec![finish("a", died)]);
    }

    #[test]
    fn a_function_that_cannot_start_fails_its_invocation_once() {
        let mut pool = Pool::new(LIMITS);
        pool.invoke(at(0), id("a"), Mode::Sync).unwrap();
        let died = Err(Failure::Exited("exit status: 1".into()));
        assert_eq!(pool.exited(at(5), W1, "exit status: 1"), vec![finish("a", died)]);
        assert_eq!(pool.next_deadline(), None);
    }

    #[test]
    fn an_idle_process_that_is_killed_costs_no_invocation() {
        let mut pool = running();
        pool.answered(at(200), W1, &id("a")).unwrap();
        pool.polled(at(201), W1).unwrap();
        // Its connection breaks first; an invocation comes before its end is known.
        pool.poll_broke(at(300), W1);
        assert_eq!(pool.invoke(at(301), id("b"), Mode::Sync), Ok(vec![]));
        assert_eq!(pool.exited(at(302), W1, "signal: killed"), vec![Effect::Start(WorkerId(2))]);
        assert_eq!(pool.polled(at(400), WorkerId(2)), Some(vec![deliver(WorkerId(2), "b", at(3400))]));
    }

    #[test]
    fn a_process_that_never_polls_is_given_up() {
        let mut pool = Pool::new(LIMITS);
        pool.invoke(at(0), id("a"), Mode::Sync).unwrap();
        let effects = pool.tick(INIT_TIME_MAX);
        assert_eq!(effects, vec![finish("a", Err(Failure::InitTimedOut)), Effect::Kill(W1)]);
    }

    #[test]
    fn an_invocation_that_met_a_broken_poll_goes_to_another_worker() {
        let mut pool = running();
        let effects = pool.undelivered(at(101), W1);
        assert_eq!(effects, vec![Effect::Kill(W1), Effect::Start(WorkerId(2))]);
        assert_eq!(pool.polled(at(200), WorkerId(2)), Some(vec![deliver(WorkerId(2), "a", at(3200))]));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Invoke(Mode),
        Poll(u64),
        Break(u64),
        Answer(u64),
        Exit(u64),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let worker = 1_u64..8;
        prop_oneof![
            prop_oneof![Just(Mode::Sync), Just(Mode::Event)].prop_map(Step::Invoke),
            worker.clone().prop_map(Step::Poll),
            worker.clone().prop_map(Step::Break),
            worker.clone().prop_map(Step::Answer),
            worker.prop_map(Step::Exit),
            (0_u64..12_000).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #[test]
        fn every_accepted_invocation_ends_once(steps in prop::collection::vec(step(), 0..60)) {
            let mut pool = Pool::new(LIMITS);
            let (mut open, mut running) = (BTreeSet::new(), BTreeMap::new());
            let mut now = at(0);
            let end = (0..400).map(|_| Step::Wait(5_000));
            for (number, step) in steps.into_iter().chain(end).enumerate() {
                let effects = match step {
                    Step::Invoke(mode) => {
                        let request = id(&number.to_string());
                        match pool.invoke(now, request.clone(), mode) {
                            Ok(effects) => { open.insert(request); effects }
                            Err(Throttled) => vec![],
                        }
                    }
                    Step::Poll(w) => pool.polled(now, WorkerId(w)).unwrap_or_default(),
                    Step::Break(w) => { pool.poll_broke(now, WorkerId(w)); vec![] }
                    Step::Answer(w) => match running.get(&WorkerId(w)) {
                        Some(request) => pool.answered(now, WorkerId(w), request).unwrap_or_default(),
                        None => vec![],
                    },
                    Step::Exit(w) => pool.exited(now, WorkerId(w), "died"),
                    Step::Wait(ms) => { now += at(ms); pool.tick(now) }
                };
                for effect in effects {
                    match effect {
                        Effect::Deliver { worker, request, deadline } => {
                            prop_assert!(open.contains(&request));
                            prop_assert!(deadline > now);
                            running.insert(worker, request);
                        }
                        Effect::Finish { request, .. } => prop_assert!(open.remove(&request), "ended twice"),
                        Effect::Start(_) | Effect::Kill(_) => {}
                    }
                }
                prop_assert!(pool.active() <= LIMITS.concurrency);
                prop_assert!(pool.workers.len() <= LIMITS.concurrency);
            }
            prop_assert!(open.is_empty(), "never ended: {open:?}");
            prop_assert_eq!(pool.next_deadline(), None);
        }
    }
}
