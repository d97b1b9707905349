//! Which broadcasts this encoder serves: finds, makes and replaces sessions, and answers for those it does not have.
//!
//! Invariant: at most one session per broadcast, that of the highest epoch heard of.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use media::{
    id::{BroadcastId, Epoch, LiveId},
    wire::{EncoderReply, EncoderRequest, GatewayRequest, Handover, HandoverReply},
};
use service::{
    backoff::Backoff,
    event,
    metrics::defs::{BROADCASTS, FENCED, SESSIONS_FAILED},
};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tracing::Instrument;

use crate::session::{self, Claim, Claimed, Deps, End, Message, Session, Workshop};

/// Broadcasts on one encoder at once: far above what its capacity holds, so that only a runaway caller meets it.
const SESSIONS_MAX: usize = 256;
/// How long a session may take to answer a notice before the gateway is told to look elsewhere. It answers from memory; the gateway itself
/// waits for a second, so a session that is still reading its ledger must be answered for well before that.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// Times a failing broadcast is taken up before a notice has to ask for it again.
const REVIVALS: u32 = 5;
/// Time for the gateway to find a broadcast another encoder: it may try several.
const HANDOVER_WITHIN: Duration = Duration::from_secs(8);
/// Times the gateway is asked; the next notice or the sweep moves the broadcast as well, only later.
const HANDOVER_TRIES: u32 = 3;
/// Wait before the gateway is asked again for broadcasts that nobody could take: each asking moves them about in vain.
const HANDOVER_AGAIN: Duration = Duration::from_secs(5);
/// What is asked for to see whether S3 answers: no such object is ever stored, and being told so is an answer.
const PROBED: &str = "vod/probe";
/// How often it is looked whether this encoder ails: far shorter than it takes to be sure of it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

struct Entry {
    live: LiveId,
    epoch: Epoch,
    inbox: mpsc::Sender<Message>,
    /// The session is reading the ledger and does not answer yet.
    loading: Arc<AtomicBool>,
}

/// The sessions of this process.
pub struct Manager {
    deps: Deps,
    sessions: Mutex<BTreeMap<BroadcastId, Entry>>,
    draining: watch::Sender<bool>,
    count: watch::Sender<usize>,
}

impl Manager {
    /// A manager without sessions.
    #[must_use]
    pub fn new(deps: Deps) -> Arc<Self> {
        let (draining, count) = (watch::Sender::new(false), watch::Sender::new(0));
        Arc::new(Self { deps, sessions: Mutex::default(), draining, count })
    }

    /// Answers a notice of the gateway.
    pub async fn notice(self: &Arc<Self>, request: EncoderRequest) -> EncoderReply {
        if *self.draining.borrow() || self.is_ailing() {
            return EncoderReply::Draining;
        }
        let (inbox, loading) = match self.session(&request).await {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        let (answer, answered) = oneshot::channel();
        if inbox.try_send((request.what, answer)).is_err() {
            // Full or just ended: the gateway asks again, or elsewhere.
            return EncoderReply::Stale;
        }
        match tokio::time::timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => EncoderReply::Stale,
            // The notice is in the inbox and will be heard once the ledger of a long show is read.
            Err(_) if loading.load(Ordering::Acquire) => EncoderReply::Accepted { verdicts: Vec::new() },
            Err(_) => EncoderReply::Draining,
        }
    }

    /// The session that a notice is for, made if it is this encoder's to make.
    async fn session(
        self: &Arc<Self>,
        request: &EncoderRequest,
    ) -> Result<(mpsc::Sender<Message>, Arc<AtomicBool>), EncoderReply> {
        // The lock is held while claiming (two reads), so that two notices do not claim the same broadcast twice.
        let mut sessions = self.sessions.lock().await;
        if let Some(entry) = sessions.get(&request.broadcast) {
            if request.epoch < entry.epoch {
                return Err(EncoderReply::Stale);
            }
            if request.epoch == entry.epoch && !entry.inbox.is_closed() {
                return Ok((entry.inbox.clone(), Arc::clone(&entry.loading)));
            }
        }
        if sessions.len() >= SESSIONS_MAX {
            return Err(EncoderReply::Draining);
        }
        let claim = match session::claim(&self.deps, &request.broadcast, request.epoch).await {
            Ok(Claimed::Mine(claim)) => claim,
            Ok(Claimed::Stale) => return Err(EncoderReply::Stale),
            Ok(Claimed::Over) => return Err(EncoderReply::Over),
            Err(error) => {
                tracing::warn!(broadcast = %request.broadcast, %error, "broadcast could not be taken up");
                return Err(EncoderReply::Draining);
            }
        };
        let (inbox, messages) = Session::inbox();
        let loading = Arc::new(AtomicBool::new(true));
        // An older session's inbox closes with its entry: it ends.
        let live = request.live.clone();
        let entry = Entry { live, epoch: request.epoch, inbox: inbox.clone(), loading: Arc::clone(&loading) };
        sessions.insert(request.broadcast.clone(), entry);
        self.counted(sessions.len());
        let manager = Arc::clone(self);
        // The ids that all lines about this broadcast have in common.
        let span = tracing::info_span!("session", live = %request.live, broadcast = %request.broadcast, epoch = request.epoch.0);
        let (broadcast, epoch, flag) = (request.broadcast.clone(), request.epoch, Arc::clone(&loading));
        let served = async move {
            manager.serve(claim, messages, &flag, &broadcast, epoch).await;
            manager.forget(&broadcast, epoch).await;
        };
        tokio::spawn(served.instrument(span));
        Ok((inbox, loading))
    }

    /// Runs a session to its end, taking the broadcast up again when it fails.
    async fn serve(
        &self,
        mut claim: Box<Claim>,
        mut inbox: mpsc::Receiver<Message>,
        loading: &AtomicBool,
        broadcast: &BroadcastId,
        epoch: Epoch,
    ) {
        let live = claim.live().clone();
        for revival in 1..=REVIVALS {
            let taken = claim.take_up().await;
            loading.store(false, Ordering::Release);
            let end = match taken {
                Ok(None) => End::Fenced,
                Ok(Some(session)) => session.run(&mut inbox, self.draining()).await,
                Err(error) => End::Failed(error.to_string()),
            };
            match end {
                End::Over => return tracing::info!(%broadcast, epoch = epoch.0, "broadcast over"),
                End::Drained => {
                    self.hand_over(&live, broadcast, epoch, "draining", HANDOVER_TRIES).await;
                    return;
                }
                End::Fenced => {
                    FENCED.inc();
                    return tracing::info!(%broadcast, epoch = epoch.0, "broadcast given up");
                }
                End::Failed(reason) => {
                    SESSIONS_FAILED.inc();
                    tracing::error!(%broadcast, epoch = epoch.0, revival, %reason, "broadcast failed")
                }
            }
            Backoff::REGIONAL.sleep(revival, &self.deps.clock).await;
            match session::claim(&self.deps, broadcast, epoch).await {
                Ok(Claimed::Mine(again)) => claim = again,
                _ => return,
            }
        }
    }

    async fn forget(&self, broadcast: &BroadcastId, epoch: Epoch) {
        let mut sessions = self.sessions.lock().await;
        if sessions.get(broadcast).is_some_and(|entry| entry.epoch == epoch) {
            sessions.remove(broadcast);
        }
        self.counted(sessions.len());
    }

    fn counted(&self, sessions: usize) {
        BROADCASTS.set(sessions as f64);
        self.count.send_replace(sessions);
    }

    /// Has the gateway bind a broadcast to another encoder, which goes on from the ledger at once.
    async fn hand_over(
        &self,
        live: &LiveId,
        broadcast: &BroadcastId,
        epoch: Epoch,
        why: &'static str,
        tries: u32,
    ) -> bool {
        let request =
            GatewayRequest::Handover(Handover { live: live.clone(), broadcast: broadcast.clone(), epoch });
        for attempt in 1..=tries {
            let asked = self.deps.gateway.ask::<HandoverReply>(&request);
            let failed = match tokio::time::timeout(HANDOVER_WITHIN, asked).await {
                Ok(Ok(HandoverReply::Moved | HandoverReply::Over)) => {
                    event!("handed-over", %live, %broadcast, epoch = epoch.0, why);
                    return true;
                }
                Ok(Ok(HandoverReply::Retry { reason })) => reason,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            tracing::warn!(%live, %broadcast, epoch = epoch.0, attempt, failed, "broadcast not handed over");
            Backoff::REGIONAL.sleep(attempt, &self.deps.clock).await;
        }
        false
    }

    /// Gives all broadcasts away when the storage is out of reach from here. Runs until dropped.
    pub async fn watch_health(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if !self.is_ailing() {
                continue;
            }
            let held: Vec<_> = {
                let sessions = self.sessions.lock().await;
                sessions.iter().map(|(id, entry)| (entry.live.clone(), id.clone(), entry.epoch)).collect()
            };
            if held.is_empty() {
                // The calls that failed went with the sessions that made them: with nobody left to ask again, nothing would ever tell that
                // the storage is back. DynamoDB needs no such question, since an encoder that can't write its heartbeat is not asked.
                let Workshop { bucket, health, .. } = &self.deps.workshop;
                let _ = health.insist("probe", || bucket.head(PROBED)).await;
                continue;
            }
            let mut all = true;
            for (live, broadcast, epoch) in held {
                if !self.is_ailing() {
                    break;
                }
                if self.hand_over(&live, &broadcast, epoch, "storage out of reach", 1).await {
                    // Its inbox closes: the session ends.
                    self.forget(&broadcast, epoch).await;
                } else {
                    all = false;
                }
            }
            if !all {
                // Nobody else can take them, so they are best left here for a while: the storage may come back for all.
                tokio::time::sleep(HANDOVER_AGAIN).await;
            }
        }
    }

    /// Refuses notices from here on, finishes what is in hand, and has the gateway bind others, whose commits fence the sessions here.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Whether [`Manager::drain`] was called, as a watch.
    #[must_use]
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Waits until no session is left.
    pub async fn emptied(&self) {
        // The sender lives as long as `self`.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Whether the storage is out of reach from here.
    #[must_use]
    pub fn is_ailing(&self) -> bool {
        self.deps.workshop.health.is_ailing()
    }

    /// Why nothing should be placed here, if so.
    #[must_use]
    pub fn unready(&self) -> Option<&'static str> {
        if *self.draining.borrow() {
            Some("draining")
        } else if self.is_ailing() {
            Some("storage out of reach")
        } else {
            None
        }
    }

    /// How many broadcasts are served.
    #[must_use]
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }
}
