//! The shell around `core`: one task per broadcast that carries its effects out. It ends when the broadcast is over or somebody else has it.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use media::{
    id::{BroadcastId, ChunkPos, EncoderId, Epoch},
    ledger::{Cursor, Row},
    names,
    verdict::{Code, Verdict},
    wire::{EncoderEvent, EncoderReply},
};
use service::{
    clock, event, index,
    table::{Binding, Broadcast, State, Table, TableError},
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    core::{Core, Effect, Input},
    job::{JobError, Product, Workshop},
    publisher::{PublishError, Publisher, SharedView, View},
};

/// Notices waiting for a session: they come once per GOP; more means that the session hangs, and the sender should find out.
const INBOX: usize = 32;
/// Warnings kept for the broadcaster until the next notice takes them along; more of the same tell nothing new.
const WARNINGS_MAX: usize = 16;
/// Stored chunks listed at once when taking over: an hour of 1 s GOPs. More come with the next listing.
const LIST_MAX: usize = 3600;

/// What a session works with.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The table.
    pub table: Table,
    /// Where chunks become segments.
    pub workshop: Workshop,
    /// This encoder.
    pub me: EncoderId,
}

/// A notice from the gateway, and where its answer goes.
pub type Message = (EncoderEvent, oneshot::Sender<EncoderReply>);

/// Whose a broadcast is.
pub enum Claimed {
    /// It is this encoder's under this epoch.
    Mine(Box<Claim>),
    /// Its binding says otherwise.
    Stale,
    /// It is over.
    Over,
}

/// A broadcast that is this encoder's to take up.
pub struct Claim {
    deps: Deps,
    meta: Broadcast,
    binding: Binding,
}

/// Looks whether a broadcast is bound to this encoder under `epoch`. Quick: the gateway waits.
///
/// # Errors
/// When the table could not be read.
pub async fn claim(deps: &Deps, broadcast: &BroadcastId, epoch: Epoch) -> Result<Claimed, TableError> {
    let (meta, binding) = tokio::try_join!(deps.table.broadcast(broadcast), deps.table.binding(broadcast))?;
    let Some(meta) = meta.filter(|meta| meta.state != State::Ended) else { return Ok(Claimed::Over) };
    let Some(binding) = binding.filter(|b| b.epoch == epoch && b.encoder == deps.me) else {
        return Ok(Claimed::Stale);
    };
    Ok(Claimed::Mine(Box::new(Claim { deps: deps.clone(), meta, binding })))
}

impl Claim {
    /// Reads what is committed. Takes as long as the show was.
    ///
    /// # Errors
    /// When the ledger is damaged.
    pub async fn take_up(self) -> Result<Box<Session>, TableError> {
        let Self { deps, meta, binding } = self;
        let (health, id) = (&deps.workshop.health, &meta.broadcast);
        let rows = health.insist("ledger", || deps.table.ledger(id)).await?;
        let inits = health.insist("inits", || deps.table.inits(id)).await?;
        let now = clock::now();
        let mut core = Core::new(now, binding.cursor.map(|c| c.pos), meta.publish, meta.window_seconds);
        match (meta.state, meta.closed) {
            (State::Live, Some(closed)) if closed.publish == meta.publish => {
                core.handle(closed.at, Input::Closed { publish: closed.publish, reason: closed.reason });
            }
            (State::Live, _) => {}
            (State::Ending | State::Ended, _) => core.handle(now, Input::End),
        }
        tracing::info!(live = %meta.live, broadcast = %id, epoch = binding.epoch.0, rows = rows.len(), "broadcast taken up");
        Ok(Box::new(Session {
            view: Arc::new(std::sync::Mutex::new(View { rows, inits })),
            deps,
            meta,
            binding,
            core,
            products: HashMap::new(),
            warnings: Vec::new(),
            fatal: None,
            announced: false,
            finishing: false,
        }))
    }
}

/// One broadcast on this encoder.
pub struct Session {
    deps: Deps,
    meta: Broadcast,
    binding: Binding,
    core: Core,
    view: SharedView,
    /// Done, waiting for their turn to be committed. At most [`super::PIPELINE`].
    products: HashMap<ChunkPos, Option<Product>>,
    warnings: Vec<Verdict>,
    /// Why the latest publish must stop.
    fatal: Option<(media::id::PublishNo, Verdict)>,
    /// The pages' indexes say that it is on air.
    announced: bool,
    /// All is committed: the publisher is to make the manifests final.
    finishing: bool,
}

/// What an effect came to.
enum Outcome {
    Listed(Result<Vec<ChunkPos>, String>),
    Done(ChunkPos, Result<Product, JobError>),
    Committed(ChunkPos, Box<(Row, Product)>, Result<Cursor, TableError>),
    /// The chunk has no place in the ledger; the log says why.
    Skipped(ChunkPos),
    /// Nothing of it was committed, and trying again would not help.
    CommitFailed(TableError),
    Expired(Result<(), TableError>),
    Published(Box<Publisher>, Result<(), PublishError>),
    Finished(Result<(), FinishError>),
    Announced,
}

#[derive(Debug, thiserror::Error)]
enum FinishError {
    #[error("its table rows could not be closed")]
    Table(#[from] TableError),
    #[error("its manifests could not be made final")]
    Publish(#[from] PublishError),
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
        let publisher = Publisher::new(
            self.deps.table.clone(),
            self.deps.workshop.bucket.clone(),
            Arc::clone(&self.deps.workshop.health),
            self.meta.clone(),
            self.binding.epoch,
            Arc::clone(&self.view),
        );
        // The publisher is here when idle, and inside a future while it works.
        let mut idle = Some(Box::new(publisher));
        // A takeover starts with what its predecessor committed but may not have published.
        let mut told = false;
        let mut dirty = !self.lock_view().rows.is_empty();
        loop {
            while let Some(effect) = self.core.poll(clock::now()) {
                work.extend(self.perform(effect));
            }
            if self.core.is_drained() && idle.is_some() && !dirty {
                return End::Drained;
            }
            if let Some(publisher) = idle.take() {
                if self.finishing {
                    self.finishing = false;
                    work.push(self.finish(publisher));
                } else if dirty {
                    dirty = false;
                    work.push(publish(publisher));
                } else {
                    idle = Some(publisher);
                }
            }
            let until = self
                .core
                .deadline()
                .map(|at| Duration::from_micros(u64::try_from(at.micros_since(clock::now())).unwrap_or(0)));
            tokio::select! {
                message = inbox.recv() => match message {
                    Some((event, reply)) => {
                        // The gateway may have given up waiting: then it asks again.
                        let _ = reply.send(self.notice(&event));
                    }
                    None => return End::Fenced,
                },
                Some(outcome) = work.next() => {
                    if let Err(end) = self.absorb(outcome, &mut idle, &mut dirty, &mut work).await {
                        return end;
                    }
                }
                () = async { drop(draining.wait_for(|draining| *draining).await) }, if !told => {
                    told = true;
                    self.core.handle(clock::now(), Input::Drain);
                }
                () = tokio::time::sleep(until.unwrap_or_default()), if until.is_some() => {}
            }
        }
    }

    /// Answers a notice.
    fn notice(&mut self, what: &EncoderEvent) -> EncoderReply {
        let now = clock::now();
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
                    self.core.handle(now, Input::Chunk(ChunkPos { publish, seq: media::id::ChunkSeq(last) }));
                }
                self.core.handle(now, Input::Closed { publish, reason });
            }
            EncoderEvent::End => self.core.handle(now, Input::End),
        }
        EncoderReply::Accepted { verdicts }
    }

    fn perform(&mut self, effect: Effect) -> Option<BoxFuture<'static, Outcome>> {
        let deps = self.deps.clone();
        let id = self.meta.broadcast.clone();
        Some(match effect {
            Effect::List(after) => async move {
                let (prefix, after) = (names::ingest_prefix(&id), after.map(|pos| names::chunk(&id, pos)));
                let list = || deps.workshop.bucket.list(&prefix, after.as_deref(), LIST_MAX);
                let keys = deps.workshop.health.insist("list chunks", list).await;
                Outcome::Listed(match keys {
                    Ok(keys) => Ok(keys.iter().filter_map(|key| names::parse_chunk(&id, key)).collect()),
                    Err(error) => Err(error.to_string()),
                })
            }
            .boxed(),
            Effect::Start(pos) => {
                let (live, profile) = (self.meta.live.clone(), self.meta.profile);
                async move { Outcome::Done(pos, deps.workshop.run(&live, &id, profile, pos).await) }.boxed()
            }
            Effect::Commit(pos) => {
                let product = self.products.remove(&pos).flatten();
                let binding = self.binding.clone();
                let view = Arc::clone(&self.view);
                async move { commit(&deps, &id, &binding, &view, pos, product).await }.boxed()
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

    async fn absorb(
        &mut self,
        outcome: Outcome,
        idle: &mut Option<Box<Publisher>>,
        dirty: &mut bool,
        work: &mut Work,
    ) -> Result<(), End> {
        let now = clock::now();
        match outcome {
            Outcome::Listed(Ok(found)) => self.core.handle(now, Input::Listed(found)),
            Outcome::Listed(Err(error)) => return Err(End::Failed(error)),
            Outcome::Done(pos, Ok(product)) => {
                self.judge(&product);
                self.products.insert(pos, Some(product));
                self.core.handle(now, Input::Done(pos));
            }
            Outcome::Done(pos, Err(error @ (JobError::Unreadable(_) | JobError::Crashed(_)))) => {
                // Its place is unknown, so it can have no row; the show goes on without it, and `verify` will say so.
                tracing::error!(live = %self.meta.live, broadcast = %self.meta.broadcast, publish = pos.publish.get(), seq = pos.seq.0, %error, "chunk lost");
                self.products.insert(pos, None);
                self.core.handle(now, Input::Done(pos));
            }
            Outcome::Done(_, Err(error)) => return Err(End::Failed(error.to_string())),
            Outcome::Committed(pos, row, result) => self.committed(pos, *row, result, dirty).await?,
            Outcome::Skipped(pos) => self.core.handle(now, Input::Committed(pos)),
            Outcome::CommitFailed(error) => return Err(End::Failed(chain(&error))),
            Outcome::Expired(result) => self.expired(result).await?,
            Outcome::Published(publisher, result) => {
                *idle = Some(publisher);
                match result {
                    Ok(()) if !self.announced => {
                        self.announced = true;
                        work.push(self.announce());
                    }
                    Ok(()) => {}
                    Err(PublishError::Fenced) => return Err(End::Fenced),
                    Err(error) => return Err(End::Failed(chain(&error))),
                }
            }
            Outcome::Finished(Ok(())) => return Err(End::Over),
            Outcome::Finished(Err(
                FinishError::Publish(PublishError::Fenced) | FinishError::Table(TableError::Conflict(_)),
            )) => {
                return Err(End::Fenced);
            }
            Outcome::Finished(Err(error)) => return Err(End::Failed(chain(&error))),
            Outcome::Announced => {}
        }
        Ok(())
    }

    /// Keeps what the broadcaster should hear.
    fn judge(&mut self, product: &Product) {
        for verdict in &product.verdicts {
            tracing::warn!(live = %self.meta.live, broadcast = %self.meta.broadcast, publish = product.pos.publish.get(), seq = product.pos.seq.0,
                code = verdict.code.as_str(), message = %verdict.message, "verdict");
            if verdict.code.is_fatal() {
                self.fatal = Some((product.pos.publish, verdict.clone()));
            } else if self.warnings.len() < WARNINGS_MAX && !self.warnings.contains(verdict) {
                self.warnings.push(verdict.clone());
            }
        }
    }

    async fn committed(
        &mut self,
        pos: ChunkPos,
        row: (Row, Product),
        result: Result<Cursor, TableError>,
        dirty: &mut bool,
    ) -> Result<(), End> {
        let (row, product) = row;
        match result {
            Ok(cursor) => self.binding.cursor = Some(cursor),
            Err(TableError::Conflict(_)) => {
                let read = || self.deps.table.binding(&self.meta.broadcast);
                let binding = self
                    .deps
                    .workshop
                    .health
                    .insist("binding", read)
                    .await
                    .map_err(|e| End::Failed(chain(&e)))?;
                let mine =
                    binding.filter(|b| b.epoch == self.binding.epoch && b.encoder == self.binding.encoder);
                let Some(binding) = mine else { return Err(End::Fenced) };
                if binding.cursor.is_none_or(|cursor| cursor.pos != pos) {
                    // The place on the timeline is taken. Dropping this one chunk keeps the show going.
                    tracing::error!(live = %self.meta.live, broadcast = %self.meta.broadcast, publish = pos.publish.get(), seq = pos.seq.0, start = row.start, "chunk lost: its place on the timeline is taken");
                    self.core.handle(clock::now(), Input::Committed(pos));
                    return Ok(());
                }
                // Ours all along: only the reply was lost.
                self.binding = binding;
            }
            Err(error) => return Err(End::Failed(chain(&error))),
        }
        tracing::info!(live = %self.meta.live, broadcast = %self.meta.broadcast, publish = pos.publish.get(), seq = pos.seq.0,
            start = row.start, end = row.end, segments = row.segments.len(), transcode_ms = product.transcode_ms,
            since_received_ms = row.committed.micros_since(product.received) / 1000, "chunk committed");
        {
            let mut view = self.lock_view();
            for init in product.inits {
                if !view.knows(&init) {
                    view.inits.push(init);
                }
            }
            view.rows.push(row);
        }
        *dirty = true;
        self.core.handle(clock::now(), Input::Committed(pos));
        Ok(())
    }

    async fn expired(&mut self, result: Result<(), TableError>) -> Result<(), End> {
        match result {
            Ok(()) => self.core.handle(clock::now(), Input::Expired),
            Err(TableError::Conflict(_)) => {
                let read = || self.deps.table.broadcast(&self.meta.broadcast);
                let meta = self
                    .deps
                    .workshop
                    .health
                    .insist("broadcast", read)
                    .await
                    .map_err(|e| End::Failed(chain(&e)))?;
                match meta {
                    Some(meta) if meta.state == State::Live => {
                        self.core.handle(clock::now(), Input::Extended(meta.publish))
                    }
                    Some(meta) if meta.state == State::Ending => {
                        self.core.handle(clock::now(), Input::Expired)
                    }
                    _ => return Err(End::Over),
                }
            }
            Err(error) => return Err(End::Failed(chain(&error))),
        }
        Ok(())
    }

    /// Tells the pages that the broadcast is on air.
    fn announce(&self) -> BoxFuture<'static, Outcome> {
        let (deps, live) = (self.deps.clone(), self.meta.live.clone());
        async move {
            write_indexes(&deps, &live).await;
            Outcome::Announced
        }
        .boxed()
    }

    /// Makes the manifests final, closes the table rows, tells the pages.
    fn finish(&self, mut publisher: Box<Publisher>) -> BoxFuture<'static, Outcome> {
        let (deps, mut meta, binding) = (self.deps.clone(), self.meta.clone(), self.binding.clone());
        let (rows, duration) = {
            let view = self.lock_view();
            (view.rows.len(), view.rows.iter().map(|row| row.end - row.start).sum::<i64>())
        };
        async move {
            let finish = async {
                if rows > 0 {
                    publisher.publish(true).await?;
                    meta.availability_start = publisher.availability_start();
                }
                let end = || deps.table.end_broadcast(&meta, &binding, clock::now(), duration);
                deps.workshop.health.insist("end broadcast", end).await?;
                Ok::<_, FinishError>(())
            };
            let result = finish.await;
            if result.is_ok() {
                write_indexes(&deps, &meta.live).await;
                event!("broadcast-ended", live = %meta.live, broadcast = %meta.broadcast, chunks = rows);
                if rows > 0 {
                    event!("replay-ready", live = %meta.live, broadcast = %meta.broadcast, manifest = %names::vod_manifest(&meta.live, &meta.broadcast));
                }
            }
            Outcome::Finished(result)
        }
        .boxed()
    }

    fn lock_view(&self) -> std::sync::MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn publish(mut publisher: Box<Publisher>) -> BoxFuture<'static, Outcome> {
    async move {
        let result = publisher.publish(false).await;
        Outcome::Published(publisher, result)
    }
    .boxed()
}

async fn commit(
    deps: &Deps,
    id: &BroadcastId,
    binding: &Binding,
    view: &SharedView,
    pos: ChunkPos,
    product: Option<Product>,
) -> Outcome {
    let Some(product) = product else {
        return Outcome::Skipped(pos);
    };
    let health = &deps.workshop.health;
    for init in &product.inits {
        // Once per format, not per chunk.
        if view.lock().unwrap_or_else(PoisonError::into_inner).knows(init) {
            continue;
        }
        if let Err(error) = health.insist("note init", || deps.table.note_init(id, init)).await {
            return Outcome::CommitFailed(error);
        }
    }
    if let Some(cursor) = binding.cursor.filter(|cursor| product.start < cursor.end) {
        // Only a ghost's last GOP, stored while its successor was already on air, can reach into the successor's time.
        tracing::error!(broadcast = %id, publish = pos.publish.get(), seq = pos.seq.0, start = product.start, taken_until = cursor.end,
            "chunk lost: its place on the timeline is taken");
        return Outcome::Skipped(pos);
    }
    let row = Row {
        pos,
        epoch: binding.epoch,
        start: product.start,
        end: product.end,
        discontinuity: product.discontinuity,
        source: product.source.clone(),
        segments: product.segments.clone(),
        verdict: if product.segments.is_empty() { product.verdicts.first().cloned() } else { None },
        committed: clock::now(),
    };
    let result = health.insist("commit", || deps.table.commit(id, binding, &row)).await;
    Outcome::Committed(pos, Box::new((row, product)), result)
}

async fn write_indexes(deps: &Deps, live: &media::id::LiveId) {
    let bucket = &deps.workshop.bucket;
    let written = async {
        index::publish_live(&deps.table, bucket, live).await?;
        index::publish_lives(&deps.table, bucket).await
    };
    if let Err(error) = written.await {
        // The pages are late, the show is not: the next change of any live writes them again.
        tracing::warn!(%live, error = %chain(&error), "the pages' indexes could not be written");
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
