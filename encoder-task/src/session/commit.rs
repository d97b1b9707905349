//! Putting a chunk into the ledger.

use media::{
    id::{BroadcastId, ChunkPos},
    ledger::{Init, Row},
};
use service::{
    metrics::defs::{CHUNKS_LOST, STAGE_COMMIT},
    table::{Binding, TableError},
};
use tokio::time::Instant;

use super::{
    claim::Deps,
    decide::{Refused, commit_refused},
    job::Product,
    publisher::View,
};

/// What came of a commit.
pub(super) enum Committed {
    /// It is in the ledger. The binding as it is now.
    Done(Box<(Row, Product)>, Binding),
    /// The timeline has changed: it is to be decided anew.
    Again(Box<Product>, Binding),
    /// It has no place in the ledger; the log says why.
    Skipped(Option<Binding>),
    /// Somebody else has the broadcast.
    Fenced,
    /// Nothing of it was committed, and trying again would not help.
    Failed(TableError),
}

/// Commits `product` under `binding`.
pub(super) async fn commit(
    deps: &Deps,
    id: &BroadcastId,
    binding: &Binding,
    view: &View,
    product: Product,
    late: bool,
) -> Committed {
    let began = Instant::now();
    let committed = try_commit(deps, id, binding, view, product, late).await;
    STAGE_COMMIT.observe_time(began.elapsed());
    match committed {
        Ok(committed) => committed,
        Err(error) => Committed::Failed(error),
    }
}

async fn try_commit(
    deps: &Deps,
    id: &BroadcastId,
    binding: &Binding,
    view: &View,
    product: Product,
    late: bool,
) -> Result<Committed, TableError> {
    let health = &deps.workshop.health;
    note_inits(deps, id, view, product.inits.clone()).await?;
    let row = Row {
        pos: product.pos,
        epoch: binding.epoch,
        start: product.place.start,
        end: product.place.end,
        discontinuity: product.discontinuity,
        late,
        naming: product.naming,
        source: product.source.clone(),
        segments: product.segments.clone(),
        tile: product.tile.clone(),
        verdict: if product.segments.is_empty() { product.verdicts.first().cloned() } else { None },
        committed: deps.clock.now(),
    };
    match health.insist("commit", || deps.table.commit(id, binding, &row)).await {
        Ok(binding) => return Ok(Committed::Done(Box::new((row, product)), binding)),
        Err(TableError::Conflict(_)) => {}
        Err(error) => return Err(error),
    }
    let found = health.insist("binding", || deps.table.binding(id)).await?;
    let there = health.insist("row", || deps.table.is_committed(id, &row)).await?;
    Ok(match commit_refused(binding, found, &row, there) {
        Refused::Fenced => Committed::Fenced,
        Refused::Done(binding) => Committed::Done(Box::new((row, product)), binding),
        Refused::Again(binding) => Committed::Again(Box::new(product), binding),
        Refused::Taken(binding) => {
            lost(id, product.pos, "its place on the timeline is taken");
            Committed::Skipped(Some(binding))
        }
    })
}

/// Notes initialization segments in the table and in `view`: once per format, not per chunk.
pub(super) async fn note_inits(
    deps: &Deps,
    id: &BroadcastId,
    view: &View,
    inits: Vec<Init>,
) -> Result<(), TableError> {
    for init in inits {
        if !view.knows(&init) {
            deps.workshop.health.insist("note init", || deps.table.note_init(id, &init)).await?;
            view.lock().inits.push(init);
        }
    }
    Ok(())
}

/// A chunk that can have no row: the show goes on without it, and `verify` will say so.
pub(super) fn lost(id: &BroadcastId, pos: ChunkPos, why: &str) {
    CHUNKS_LOST.inc();
    tracing::error!(broadcast = %id, publish = pos.publish.get(), seq = pos.seq.0, why, "chunk lost");
}
