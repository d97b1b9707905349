//! The core's effects, started: each as a future that owns what it needs and comes back as an [`Outcome`]. `Finish` alone is left to
//! `viewers`, where the publisher is.
//!
//! Invariant: one fill at a time, in order; a piece that is wanted while the filler is away waits for it.

use futures_util::{FutureExt, future::BoxFuture};
use media::{id::ChunkPos, ledger::AUDIO_RUNG, names, time::media_origin};
use service::table::{Binding, Broadcast, State, TableError};
use tracing::Instrument;

use super::{Looked, Outcome, Session};
use crate::session::{
    claim::Deps,
    commit::{Committed, commit},
    core::{Effect, Piece, Seen},
    decide::{Ownership, bounds, ownership},
    fill::Follows,
    finish::chain,
};

/// Most stored chunks of a broadcast: 24 hours of 1 s GOPs, twice over. All are listed at once, some 15 MB.
const LIST_MAX: usize = 172_800;

impl Session {
    pub(super) fn perform(&mut self, effect: Effect) -> Option<BoxFuture<'static, Outcome>> {
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
    pub(super) fn make_good(&mut self) -> Option<BoxFuture<'static, Outcome>> {
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
