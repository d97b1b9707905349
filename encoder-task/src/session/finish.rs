//! The end of a broadcast: manifests final, its poster left, rows closed, pages told.

use std::time::Duration;

use media::{id::LiveId, names};
use service::{
    event, index,
    table::{Binding, Broadcast, TableError},
};
use tokio::sync::watch;

use super::{
    claim::Deps,
    poster,
    publisher::{PublishError, Publisher, View},
};

/// How long the stable manifest still shows the live timeline after the end, when that differs from the replay: whoever watches at the
/// live edge is some GOPs behind (17.5 s at 8 s GOPs), and would otherwise be cut off before the end.
const LINGER: Duration = Duration::from_secs(20);

/// Why a broadcast could not be finished.
#[derive(Debug, thiserror::Error)]
pub(super) enum FinishError {
    #[error("its table rows could not be closed")]
    Table(#[from] TableError),
    #[error("its manifests could not be made final")]
    Publish(#[from] PublishError),
}

impl FinishError {
    /// Whether somebody else has the broadcast.
    pub(super) fn is_fence(&self) -> bool {
        matches!(self, Self::Publish(PublishError::Fenced) | Self::Table(TableError::Conflict(_)))
    }
}

/// Makes the manifests final, closes the table rows, tells the pages. Waits for the last viewers unless `draining`.
pub(super) async fn finish(
    deps: Deps,
    mut meta: Broadcast,
    binding: Binding,
    view: View,
    mut publisher: Box<Publisher>,
    mut draining: watch::Receiver<bool>,
) -> Result<(), FinishError> {
    let (chunks, duration) = {
        let ledger = view.lock();
        let rows = || ledger.rows.iter().chain(&ledger.late);
        (rows().count(), rows().map(|row| row.end - row.start).sum::<i64>())
    };
    // The broadcast is ending, and whoever is bound to it after this look knows that: what is final is not overwritten by what is not.
    let found = deps.workshop.health.insist("binding", || deps.table.binding(&meta.broadcast)).await?;
    if found.is_some_and(|found| found.epoch != binding.epoch) {
        return Err(FinishError::Publish(PublishError::Fenced));
    }
    // No more can be put in: all that were are in the replay.
    let cues = deps.workshop.health.insist("cues", || deps.table.cues(&meta.broadcast)).await?;
    view.lock().cues = cues;
    let (mut lingers, mut poster) = (false, false);
    if chunks > 0 {
        let finished;
        (finished, poster) =
            tokio::join!(publisher.finish(), poster::leave(&deps, &meta, binding.epoch, &view));
        lingers = finished?;
        meta.availability_start = publisher.availability_start();
    }
    let end = || deps.table.end_broadcast(&meta, &binding, deps.clock.now(), duration, poster);
    match deps.workshop.health.insist("end broadcast", end).await {
        Err(TableError::Conflict(_)) if deps.is_over(&meta).await? => {
            // Ours all along: only the reply was lost.
        }
        result => result?,
    }
    write_indexes(&deps, &meta.live).await;
    event!("broadcast-ended", live = %meta.live, broadcast = %meta.broadcast, chunks);
    if chunks > 0 {
        event!("replay-ready", live = %meta.live, broadcast = %meta.broadcast, manifest = %names::vod_manifest(&meta.live, &meta.broadcast));
    }
    if lingers {
        tokio::select! {
            biased;
            () = async { drop(draining.wait_for(|draining| *draining).await) } => {}
            () = tokio::time::sleep(LINGER) => {}
        }
        match publisher.settle().await {
            // The live is on air again.
            Ok(()) | Err(PublishError::Fenced) => {}
            Err(error) => {
                tracing::warn!(live = %meta.live, %error, "the stable manifest still shows the live timeline");
            }
        }
    }
    Ok(())
}

impl Deps {
    /// Whether the broadcast has ended, as a lost reply leaves open.
    async fn is_over(&self, meta: &Broadcast) -> Result<bool, TableError> {
        let read = || self.table.broadcast(&meta.broadcast);
        let found = self.workshop.health.insist("broadcast", read).await?;
        Ok(found.is_none_or(|found| found.state == service::table::State::Ended))
    }
}

/// Writes what the pages list. They may be late, the show is not: the next change of any live writes them again.
pub(super) async fn write_indexes(deps: &Deps, live: &LiveId) {
    let bucket = &deps.workshop.bucket;
    let written = async {
        index::publish_live(&deps.table, bucket, live, &deps.clock).await?;
        index::publish_lives(&deps.table, bucket, &deps.clock).await
    };
    if let Err(error) = written.await {
        tracing::warn!(%live, error = %chain(&error), "the pages' indexes could not be written");
    }
}

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
