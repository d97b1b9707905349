//! The shell around `core`: one task per broadcast that carries its effects out. It ends when the broadcast is over or somebody else has it.
//!
//! Here is what a session has in hand, and its loop. `perform` starts what the core wants done, `absorb` tells the core what came of it;
//! `broadcaster` answers the gateway's notices and says what is wrong with the stream, `viewers` keeps what viewers see at the ledger's heels.
//!
//! Invariants: a future owns what it works with, never the session; the publisher does one thing at a time, and so does the filler: each is
//! here or inside a future.

mod absorb;
mod broadcaster;
mod perform;
mod viewers;

use std::{collections::HashMap, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use media::{
    cue::Cue,
    id::{ChunkPos, PublishNo},
    time::WallTime,
    verdict::Verdict,
    wire::{EncoderEvent, EncoderReply},
};
use service::table::{Binding, Broadcast, Ledger, State, TableError};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    claim::Deps,
    commit::Committed,
    core::{Core, Input, Piece, Seen},
    fill::{Filled, Filler},
    finish::FinishError,
    job::{JobError, Product},
    judge::Judge,
    latency::Latencies,
    notes::Notes,
    poster::{self, Posters},
    publisher::{PublishError, Publisher, View},
    turn::Shedding,
};

/// Notices waiting for a session: they come once per GOP; more means that the session hangs, and the sender should find out.
const INBOX: usize = 32;

/// A notice from the gateway, and where its answer goes.
pub type Message = (EncoderEvent, oneshot::Sender<EncoderReply>);

/// One broadcast on this encoder.
pub struct Session {
    deps: Deps,
    meta: Broadcast,
    binding: Binding,
    core: Core,
    view: View,
    /// Done, waiting for their turn to be committed. At most [`super::PIPELINE`].
    products: HashMap<ChunkPos, Product>,
    warnings: Vec<Verdict>,
    judge: Judge,
    shedding: Shedding,
    notes: Notes,
    posters: poster::Schedule,
    /// Why the latest publish must stop.
    fatal: Option<(PublishNo, Verdict)>,
    /// The pages' indexes are to say that it is on air, once there is a poster.
    listed: bool,
    /// They say so.
    announced: bool,
    /// All is committed: the publisher is to make the manifests final.
    finishing: bool,
    /// What the manifests do not show yet.
    dirty: bool,
    /// The chunks among that, and among what the publisher is writing.
    unlisted: Vec<Unlisted>,
    /// How late those are.
    unmeasured: Latencies,
    /// Its manifests may be final already: nothing but the final ones is written.
    closing: bool,
    /// There are timed events that have not been read.
    cued: bool,
    /// They are being read.
    reading_cues: bool,
    /// The last fill may not be stored: nothing is published before it is.
    unsure: bool,
    /// Here when idle, and inside a future while it works.
    publisher: Option<Box<Publisher>>,
    /// The same.
    filler: Option<Box<Filler>>,
    /// To be filled when the filler is back.
    postponed: Option<Piece>,
}

/// A committed chunk that no manifest names yet.
struct Unlisted {
    pos: ChunkPos,
    received: WallTime,
    encoded: WallTime,
    transcode_ms: u64,
}

impl Unlisted {
    /// The manifests that name it are stored.
    fn listed(&self, of: &Broadcast, now: WallTime) {
        tracing::info!(live = %of.live, broadcast = %of.broadcast, publish = self.pos.publish.get(), seq = self.pos.seq.0,
            transcode_ms = self.transcode_ms, since_encoded_ms = now.micros_since(self.encoded) / 1000,
            since_received_ms = now.micros_since(self.received) / 1000, "chunk listed");
    }
}

/// What an effect came to.
enum Outcome {
    Listed(Result<Vec<ChunkPos>, String>),
    Looked(Result<Looked, String>),
    Done(ChunkPos, Result<Product, JobError>),
    Committed(ChunkPos, Committed),
    Filled(Box<Filler>, Piece, Filled),
    MadeGood(Box<Filler>, bool),
    Expired(Result<(), TableError>),
    Cued(Result<Vec<Cue>, TableError>),
    Published(Box<Publisher>, Vec<Unlisted>, Result<(), PublishError>),
    Finished(Result<(), FinishError>),
    Announced,
    Noted(()),
    Postered(Box<Posters>),
}

/// What a look finds.
enum Looked {
    Mine(Box<Seen>, Binding),
    Over,
    Stale,
}

/// Why a session ended.
#[derive(Debug)]
pub enum End {
    /// The broadcast is over.
    Over,
    /// Somebody else has it.
    Fenced,
    /// This encoder is shutting down, and nothing of it is in hand any more.
    Drained,
    /// It could not go on; taking the broadcast up anew may help.
    Failed(String),
}

type Work = FuturesUnordered<BoxFuture<'static, Outcome>>;

impl Session {
    pub(super) fn new(
        deps: Deps,
        meta: Broadcast,
        binding: Binding,
        core: Core,
        ledger: Ledger,
        judge: Judge,
    ) -> Self {
        // A takeover starts with what its predecessor committed but may not have published.
        let dirty = !ledger.rows.is_empty();
        let closing = meta.state != State::Live;
        let unsure = !ledger.fills.is_empty();
        let view = View::new(ledger);
        let publisher = Publisher::new(&deps, meta.clone(), binding.epoch, view.clone());
        let shedding = Shedding::new(deps.clock.clone(), meta.live.clone(), meta.broadcast.clone());
        Self {
            deps,
            meta,
            binding,
            core,
            view,
            products: HashMap::new(),
            warnings: Vec::new(),
            judge,
            shedding,
            notes: Notes::default(),
            posters: poster::Schedule::new(),
            fatal: None,
            listed: false,
            announced: false,
            finishing: false,
            dirty,
            unlisted: Vec::new(),
            unmeasured: Latencies::default(),
            closing,
            cued: false,
            reading_cues: false,
            unsure,
            publisher: Some(Box::new(publisher)),
            filler: Some(Box::default()),
            postponed: None,
        }
    }

    /// The sender of a session's notices, and their receiver.
    #[must_use]
    pub fn inbox() -> (mpsc::Sender<Message>, mpsc::Receiver<Message>) {
        mpsc::channel(INBOX)
    }

    /// Runs until the broadcast is over, somebody else has it, or `inbox` is closed.
    pub async fn run(
        mut self,
        inbox: &mut mpsc::Receiver<Message>,
        mut draining: watch::Receiver<bool>,
    ) -> End {
        let mut work = Work::new();
        let mut told = false;
        if self.unsure {
            work.extend(self.make_good());
        }
        loop {
            while let Some(effect) = self.core.poll(self.deps.clock.now()) {
                work.extend(self.perform(effect));
            }
            self.shedding.waiting(self.core.waiting());
            if self.core.is_drained() && self.publisher.is_some() && !self.dirty {
                return End::Drained;
            }
            work.extend(self.read_cues());
            work.extend(self.publish(&draining));
            work.extend(
                self.notes
                    .next(&self.deps, &self.meta.broadcast)
                    .map(|note| note.map(Outcome::Noted).boxed()),
            );
            work.extend(self.poster());
            work.extend(self.announce());
            let now = self.deps.clock.now();
            let until = self.core.wake(now).map(|at| u64::try_from(at.micros_since(now)).unwrap_or(0));
            tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    Some((event, reply)) => {
                        // The gateway may have given up waiting: then it asks again.
                        let _ = reply.send(self.notice(&event));
                    }
                    None => return End::Fenced,
                },
                Some(outcome) = work.next() => {
                    if let Err(end) = self.absorb(outcome, &mut work).await {
                        return end;
                    }
                }
                () = async { drop(draining.wait_for(|draining| *draining).await) }, if !told => {
                    told = true;
                    self.core.handle(self.deps.clock.now(), Input::Drain);
                }
                () = tokio::time::sleep(Duration::from_micros(until.unwrap_or(0))), if until.is_some() => {}
            }
        }
    }
}
