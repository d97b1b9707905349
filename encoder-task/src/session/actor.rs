//! The shell around `core`: one task per broadcast that carries its effects out. It ends when the broadcast is over or somebody else has it.

use std::{collections::HashMap, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use media::{
    cue::Cue,
    id::{ChunkPos, ChunkSeq, PublishNo},
    ledger::AUDIO_RUNG,
    names,
    time::{WallTime, media_origin},
    verdict::{Code, Verdict},
    wire::{EncoderEvent, EncoderReply},
};
use service::{
    event,
    metrics::defs::{CHUNKS_COMMITTED, RUNGS_SHED},
    table::{Binding, Broadcast, Ledger, State, TableError},
};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::Instrument;

use super::{
    claim::Deps,
    commit::{self, Committed, commit},
    core::{Core, Effect, Input, Piece, Seen},
    decide::{Ownership, bounds, ownership},
    fill::{Filled, Filler, Follows},
    finish::{FinishError, chain, finish, write_indexes},
    job::{JobError, Product},
    judge::{Judge, Said},
    latency::Latencies,
    notes::{Note, Notes},
    poster::{self, Posters},
    publisher::{PublishError, Publisher, View},
    turn::Shedding,
};

/// Notices waiting for a session: they come once per GOP; more means that the session hangs, and the sender should find out.
const INBOX: usize = 32;
/// Warnings kept for the broadcaster until the next notice takes them along; more of the same tell nothing new.
const WARNINGS_MAX: usize = 16;
/// Most stored chunks of a broadcast: 24 hours of 1 s GOPs, twice over. All are listed at once, some 15 MB.
const LIST_MAX: usize = 172_800;

/// What the operator is told while rungs are left out.
const LADDER_REDUCED: &str = "The encoder can't keep up with the whole ladder: its largest rungs are left out. Give the live a smaller ladder, or the encoders more cores.";

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

    /// Answers a notice.
    fn notice(&mut self, what: &EncoderEvent) -> EncoderReply {
        let now = self.deps.clock.now();
        let mut verdicts = Vec::new();
        match *what {
            EncoderEvent::Chunk(pos) => {
                if pos.publish < self.core.publish() {
                    let told = Verdict::new(
                        Code::Superseded,
                        "another publisher of the same stream key has taken over",
                    );
                    return EncoderReply::Accepted { verdicts: vec![told] };
                }
                if self.core.is_ending() {
                    return EncoderReply::Over;
                }
                self.core.handle(now, Input::Chunk(pos));
                verdicts.append(&mut self.warnings);
                verdicts.extend(
                    self.fatal.iter().filter(|(publish, _)| *publish == pos.publish).map(|(_, v)| v.clone()),
                );
            }
            EncoderEvent::Close { publish, chunks, reason } => {
                if let Some(last) = chunks.checked_sub(1) {
                    self.core.handle(now, Input::Chunk(ChunkPos { publish, seq: ChunkSeq(last) }));
                }
                self.core.handle(now, Input::Closed { publish, reason });
            }
            EncoderEvent::End => self.core.handle(now, Input::End),
            // A notice of timed events may have been lost.
            EncoderEvent::Cues | EncoderEvent::Check => self.cued = true,
        }
        EncoderReply::Accepted { verdicts }
    }

    /// Reads the timed events if there may be new ones.
    fn read_cues(&mut self) -> Option<BoxFuture<'static, Outcome>> {
        if self.reading_cues || !std::mem::take(&mut self.cued) {
            return None;
        }
        self.reading_cues = true;
        let (deps, id) = (self.deps.clone(), self.meta.broadcast.clone());
        let read = async move {
            let cues = || deps.table.cues(&id);
            Outcome::Cued(deps.workshop.health.insist("cues", cues).await)
        };
        Some(read.boxed())
    }

    /// Sets the publisher to work if there is something for it.
    fn publish(&mut self, draining: &watch::Receiver<bool>) -> Option<BoxFuture<'static, Outcome>> {
        if self.unsure || !(self.finishing || (self.dirty && !self.closing)) {
            return None;
        }
        // The last poster is that of the whole show.
        if self.finishing && !self.posters.is_idle() {
            return None;
        }
        let mut publisher = self.publisher.take()?;
        if std::mem::take(&mut self.finishing) {
            let (deps, meta, binding) = (self.deps.clone(), self.meta.clone(), self.binding.clone());
            let work = finish(deps, meta, binding, self.view.clone(), publisher, draining.clone());
            return Some(work.map(Outcome::Finished).boxed());
        }
        self.dirty = false;
        let chunks = std::mem::take(&mut self.unlisted);
        let (latencies, view, clock) = (self.unmeasured.take(), self.view.clone(), self.deps.clock.clone());
        let work = async move {
            let result = latencies.listed_by(publisher.publish()).await;
            if result.is_ok() {
                latencies.note(publisher.availability_start(), &view.lock(), clock.now());
            }
            Outcome::Published(publisher, chunks, result)
        };
        Some(work.boxed())
    }

    fn perform(&mut self, effect: Effect) -> Option<BoxFuture<'static, Outcome>> {
        let deps = self.deps.clone();
        let id = self.meta.broadcast.clone();
        Some(match effect {
            Effect::List(after) => list(deps, id, after).map(Outcome::Listed).boxed(),
            Effect::Look => look(deps, self.meta.clone(), self.binding.clone(), self.core.last()).boxed(),
            Effect::Start(pos) => {
                let (meta, shedding, span) = (self.meta.clone(), self.shedding.clone(), self.span(pos));
                async move { Outcome::Done(pos, deps.workshop.run(&meta, pos, &shedding).await) }
                    .instrument(span)
                    .boxed()
            }
            Effect::Commit { pos, late } => {
                let product = self.products.remove(&pos);
                let span = self.span(pos);
                let (binding, view) = (self.binding.clone(), self.view.clone());
                async move {
                    Outcome::Committed(
                        pos,
                        match product {
                            Some(product) => commit(&deps, &id, &binding, &view, product, late).await,
                            None => Committed::Skipped(None),
                        },
                    )
                }
                .instrument(span)
                .boxed()
            }
            Effect::Fill(piece) => {
                // One fill at a time: the core asks for the next when this one is done.
                let Some(mut filler) = self.filler.take() else {
                    // Still away, making the last fill good.
                    self.postponed = Some(piece);
                    return None;
                };
                let (meta, binding, view) = (self.meta.clone(), self.binding.clone(), self.view.clone());
                let follows = self.after(piece);
                async move {
                    let filled = filler.fill(&deps, &meta, &binding, &view, piece, follows).await;
                    Outcome::Filled(filler, piece, filled)
                }
                .boxed()
            }
            Effect::Expire(publish) => async move {
                let expire = || deps.table.expire(&id, publish);
                Outcome::Expired(deps.workshop.health.insist("expire", expire).await)
            }
            .boxed(),
            Effect::Finish => {
                self.finishing = true;
                return None;
            }
        })
    }

    /// The ids that a chunk is followed by through the logs of all services.
    fn span(&self, pos: ChunkPos) -> tracing::Span {
        let (meta, epoch) = (&self.meta, self.binding.epoch.0);
        tracing::info_span!("chunk", live = %meta.live, broadcast = %meta.broadcast, publish = pos.publish.get(), seq = pos.seq.0, epoch)
    }

    /// What is to follow a piece.
    fn after(&self, piece: Piece) -> Follows {
        let next = self.products.values().find(|product| product.place.start == piece.place.end);
        let sound = next.and_then(|next| {
            let sound = next.segments.iter().find(|segment| segment.rung == AUDIO_RUNG)?;
            let init = next.inits.iter().find(|init| init.rung == AUDIO_RUNG)?;
            Some(i64::try_from(sound.time).ok()? - media_origin(init.timescale))
        });
        match sound {
            Some(from) => Follows::Sound(from),
            None if self.binding.floor.is_some_and(|floor| floor.at == piece.place.end) => Follows::Publish,
            None => Follows::Unknown,
        }
    }

    /// Sees to it that the last fill of the ledger is stored.
    fn make_good(&mut self) -> Option<BoxFuture<'static, Outcome>> {
        let fill = self.view.lock().fills.last().cloned()?;
        let mut filler = self.filler.take()?;
        let (deps, meta, view) = (self.deps.clone(), self.meta.clone(), self.view.clone());
        let binding = self.binding.clone();
        let work = async move {
            let stored = filler.make_good(&deps, &meta, &binding, &view, &fill).await;
            Outcome::MadeGood(filler, stored)
        };
        Some(work.boxed())
    }

    async fn absorb(&mut self, outcome: Outcome, work: &mut Work) -> Result<(), End> {
        let now = self.deps.clock.now();
        match outcome {
            Outcome::Listed(Ok(found)) => self.core.handle(now, Input::Listed(found)),
            Outcome::Looked(Ok(Looked::Mine(seen, binding))) => {
                self.binding = binding;
                self.core.handle(now, Input::Looked(seen));
            }
            Outcome::Looked(Ok(Looked::Over)) => return Err(End::Over),
            Outcome::Looked(Ok(Looked::Stale)) => return Err(End::Fenced),
            Outcome::Listed(Err(error)) | Outcome::Looked(Err(error)) => return Err(End::Failed(error)),
            Outcome::Done(pos, Ok(product)) => {
                self.found(&product);
                let place = product.place;
                self.products.insert(pos, product);
                self.core.handle(now, Input::Done(pos, Some(place)));
            }
            Outcome::Done(_, Err(JobError::Bucket(error))) => return Err(End::Failed(chain(&error))),
            Outcome::Done(pos, Err(error)) => {
                // Its place is unknown, so it can have no row.
                commit::lost(&self.meta.broadcast, pos, &error.to_string());
                self.core.handle(now, Input::Done(pos, None));
            }
            Outcome::Committed(pos, committed) => self.committed(pos, committed)?,
            Outcome::Filled(filler, piece, filled) => {
                self.filler = Some(filler);
                self.filled(piece, filled)?;
            }
            Outcome::MadeGood(filler, stored) => {
                self.filler = Some(filler);
                self.unsure = false;
                if !stored {
                    // A hole, then: nothing that is not there is named.
                    self.view.lock().fills.pop();
                }
                if let Some(piece) = self.postponed.take() {
                    work.extend(self.perform(Effect::Fill(piece)));
                }
            }
            Outcome::Expired(result) => self.expired(result).await?,
            Outcome::Cued(cues) => {
                self.reading_cues = false;
                let cues = cues.map_err(|error| End::Failed(chain(&error)))?;
                let mut ledger = self.view.lock();
                if ledger.cues != cues {
                    ledger.cues = cues;
                    self.dirty = true;
                }
            }
            Outcome::Published(publisher, chunks, result) => {
                self.publisher = Some(publisher);
                if result.is_ok() {
                    chunks.iter().for_each(|chunk| chunk.listed(&self.meta, now));
                }
                match result {
                    Ok(()) => self.listed = true,
                    Err(PublishError::Fenced) => return Err(End::Fenced),
                    Err(error) => return Err(End::Failed(chain(&error))),
                }
            }
            Outcome::Finished(Ok(())) => return Err(End::Over),
            Outcome::Finished(Err(error)) if error.is_fence() => return Err(End::Fenced),
            Outcome::Finished(Err(error)) => return Err(End::Failed(chain(&error))),
            Outcome::Announced => {}
            Outcome::Noted(()) => self.notes.done(),
            Outcome::Postered(posters) => self.posters.done(posters),
        }
        Ok(())
    }

    /// Logs what was found in a chunk. What ends the publish does so at once, whenever the chunk's turn comes.
    fn found(&mut self, product: &Product) {
        for verdict in &product.verdicts {
            tracing::warn!(live = %self.meta.live, broadcast = %self.meta.broadcast, publish = product.pos.publish.get(), seq = product.pos.seq.0,
                code = verdict.code.as_str(), message = %verdict.message, "verdict");
            if verdict.code.is_fatal() {
                self.stop(product.pos.publish, verdict);
            }
        }
    }

    /// The publish must stop.
    fn stop(&mut self, publish: PublishNo, verdict: &Verdict) {
        let again =
            self.fatal.as_ref().is_some_and(|(of, known)| *of == publish && known.code == verdict.code);
        if !again {
            self.notes.push(Note::began(publish, verdict.clone(), self.deps.clock.now()));
            self.fatal = Some((publish, verdict.clone()));
        }
    }

    /// Says what a committed chunk shows of the stream: to the broadcaster with the next notice's answer, to the operator in the table.
    fn judge(&mut self, product: &Product) {
        let (publish, now) = (product.pos.publish, self.deps.clock.now());
        let mut found = product.verdicts.clone();
        if product.left_out > 0 {
            found.push(Verdict::new(Code::LadderReduced, LADDER_REDUCED));
        }
        for said in self.judge.chunk(&product.facts, &found, &self.meta.limits) {
            match said {
                Said::Raised(verdict) if verdict.code.is_fatal() => self.stop(publish, &verdict),
                Said::Raised(verdict) => {
                    self.notes.push(Note::began(publish, verdict.clone(), now));
                    if !verdict.code.is_operators() && self.warnings.len() < WARNINGS_MAX {
                        self.warnings.push(verdict);
                    }
                }
                Said::Cleared(code) => {
                    event!("warning-cleared", live = %self.meta.live, broadcast = %self.meta.broadcast, publish = publish.get(), code = code.as_str());
                    self.warnings.retain(|warning| warning.code != code);
                    self.notes.push(Note::ended(code, now));
                }
            }
        }
    }

    fn committed(&mut self, pos: ChunkPos, committed: Committed) -> Result<(), End> {
        let now = self.deps.clock.now();
        match committed {
            Committed::Done(done, binding) => {
                let (row, product) = *done;
                self.binding = binding;
                CHUNKS_COMMITTED.inc();
                RUNGS_SHED.add(u64::try_from(product.left_out).unwrap_or(u64::MAX));
                tracing::info!(live = %self.meta.live, broadcast = %self.meta.broadcast, publish = pos.publish.get(), seq = pos.seq.0, epoch = row.epoch.0,
                    start = row.start, end = row.end, late = row.late, segments = row.segments.len(), transcode_ms = product.transcode_ms,
                    left_out = product.left_out,
                    since_received_ms = row.committed.micros_since(product.received) / 1000, "chunk committed");
                if row.late {
                    event!("chunk-late", live = %self.meta.live, broadcast = %self.meta.broadcast, publish = pos.publish.get(), seq = pos.seq.0);
                }
                self.judge(&product);
                let shown = (!row.late).then_some(product.place);
                if let Some(place) = shown {
                    self.unmeasured.add(place, product.received);
                }
                {
                    let mut ledger = self.view.lock();
                    if row.late { ledger.late.push(row) } else { ledger.rows.push(row) }
                }
                self.dirty = true;
                let (received, encoded, transcode_ms) =
                    (product.received, product.encoded, product.transcode_ms);
                self.unlisted.push(Unlisted { pos, received, encoded, transcode_ms });
                self.core.handle(now, Input::Committed(pos, shown));
            }
            Committed::Again(product, binding) => {
                self.products.insert(pos, *product);
                self.core.handle(now, Input::Refused(bounds(&binding)));
                self.binding = binding;
            }
            Committed::Skipped(binding) => {
                self.binding = binding.unwrap_or_else(|| self.binding.clone());
                self.core.handle(now, Input::Committed(pos, None));
            }
            Committed::Fenced => return Err(End::Fenced),
            Committed::Failed(error) => return Err(End::Failed(chain(&error))),
        }
        Ok(())
    }

    fn filled(&mut self, piece: Piece, filled: Filled) -> Result<(), End> {
        let now = self.deps.clock.now();
        match filled {
            Filled::Done(fill, binding) => {
                self.binding = binding;
                event!("hole-filled", live = %self.meta.live, broadcast = %self.meta.broadcast, start = fill.start, end = fill.end, shown = ?fill.shown);
                self.view.lock().fills.push(fill);
                self.dirty = true;
                self.core.handle(now, Input::Filled(piece));
            }
            Filled::Again(binding) => {
                self.core.handle(now, Input::FillRefused(bounds(&binding)));
                self.binding = binding;
            }
            Filled::Unfillable => self.core.handle(now, Input::Unfillable),
            Filled::Fenced => return Err(End::Fenced),
            Filled::Failed(error) => return Err(End::Failed(error)),
        }
        Ok(())
    }

    async fn expired(&mut self, result: Result<(), TableError>) -> Result<(), End> {
        match result {
            Ok(()) => self.core.handle(self.deps.clock.now(), Input::Expired),
            Err(TableError::Conflict(_)) => {
                let read = || self.deps.table.broadcast(&self.meta.broadcast);
                let meta = self.deps.workshop.health.insist("broadcast", read).await;
                let now = self.deps.clock.now();
                match meta.map_err(|error| End::Failed(chain(&error)))? {
                    Some(meta) if meta.state == State::Live => {
                        self.core.handle(now, Input::Extended(meta.publish));
                    }
                    Some(meta) if meta.state == State::Ending => self.core.handle(now, Input::Expired),
                    _ => return Err(End::Over),
                }
            }
            Err(error) => return Err(End::Failed(chain(&error))),
        }
        Ok(())
    }

    /// Sees to it that there is a poster of what is on air.
    fn poster(&mut self) -> Option<BoxFuture<'static, Outcome>> {
        if self.closing || self.core.is_ending() {
            return None;
        }
        let next = self.posters.next(&self.deps, &self.meta, self.binding.epoch, &self.view);
        next.map(|next| next.map(Outcome::Postered).boxed())
    }

    /// Tells the pages that the broadcast is on air, once: when its manifests are there, and its poster, or nobody is making one.
    fn announce(&mut self) -> Option<BoxFuture<'static, Outcome>> {
        if self.announced || !self.listed || !self.posters.is_idle() {
            return None;
        }
        self.announced = true;
        let (deps, live) = (self.deps.clone(), self.meta.live.clone());
        let work = async move {
            write_indexes(&deps, &live).await;
            Outcome::Announced
        };
        Some(work.boxed())
    }
}

/// What the bucket holds after a position.
async fn list(
    deps: Deps,
    id: media::id::BroadcastId,
    after: Option<ChunkPos>,
) -> Result<Vec<ChunkPos>, String> {
    let (prefix, after) = (names::ingest_prefix(&id), after.map(|pos| names::chunk(&id, pos)));
    let list = || deps.workshop.bucket.list(&prefix, after.as_deref(), LIST_MAX);
    let keys = deps.workshop.health.patiently("list chunks", list).await.map_err(|error| chain(&error))?;
    Ok(keys.iter().filter_map(|key| names::parse_chunk(&id, key)).collect())
}

/// What table and bucket say.
async fn look(deps: Deps, meta: Broadcast, mine: Binding, last: Option<ChunkPos>) -> Outcome {
    let looked = async {
        let (health, table, id) = (&deps.workshop.health, &deps.table, &meta.broadcast);
        let failed = |error: TableError| chain(&error);
        let now = health.insist("broadcast", || table.broadcast(id)).await.map_err(failed)?;
        let binding = health.insist("binding", || table.binding(id)).await.map_err(failed)?;
        let owner = ownership(now.as_ref(), binding.as_ref(), mine.epoch, &mine.encoder);
        let (Ownership::Mine, Some(now), Some(binding)) = (&owner, now, binding) else {
            return Ok(if owner == Ownership::Over { Looked::Over } else { Looked::Stale });
        };
        // After the rows: what a publish stored before it was closed is found.
        let found = list(deps.clone(), id.clone(), last).await?;
        let seen = Seen {
            publish: now.publish,
            closed: now.closed,
            ending: now.state == State::Ending,
            origin: now.availability_start,
            bounds: bounds(&binding),
            found,
        };
        Ok(Looked::Mine(Box::new(seen), binding))
    };
    Outcome::Looked(looked.await)
}
