//! Taking a broadcast up: whose it is, and what is committed of it.

use std::{collections::BTreeSet, time::Duration};

use media::{
    id::{BroadcastId, ChunkPos, EncoderId, Epoch},
    time::WallTime,
    wire::CloseReason,
};
use service::{
    clock::Clock,
    gateway::Gateway,
    table::{Binding, Broadcast, Ledger, State, Table, TableError},
};

use super::{
    actor::Session,
    core::{Core, Input, Line, Place, Start},
    decide::{Ownership, ownership},
    job::Workshop,
    judge::Judge,
};

/// How long is waited for what the encoder before said of the stream: a read takes some milliseconds, and no viewer waits for this one.
const WARNINGS_PATIENCE: Duration = Duration::from_millis(300);

/// What a session works with.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The table.
    pub table: Table,
    /// The gateway, which finds a broadcast another encoder.
    pub gateway: Gateway,
    /// Time and dice.
    pub clock: Clock,
    /// Where chunks become segments.
    pub workshop: Workshop,
    /// This encoder.
    pub me: EncoderId,
}

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
    let owner = ownership(meta.as_ref(), binding.as_ref(), epoch, &deps.me);
    Ok(match (owner, meta, binding) {
        (Ownership::Mine, Some(meta), Some(binding)) => {
            Claimed::Mine(Box::new(Claim { deps: deps.clone(), meta, binding }))
        }
        (Ownership::Over, ..) => Claimed::Over,
        _ => Claimed::Stale,
    })
}

impl Claim {
    /// Of which live.
    #[must_use]
    pub fn live(&self) -> &media::id::LiveId {
        &self.meta.live
    }

    /// Reads what is committed. Takes as long as the show was. `None` when the broadcast has been given to somebody else meanwhile: what
    /// was read may be more than this epoch was ever to know, and must not be published.
    ///
    /// # Errors
    /// When the ledger is damaged.
    pub async fn take_up(self) -> Result<Option<Box<Session>>, TableError> {
        let Self { deps, meta, binding } = self;
        let id = &meta.broadcast;
        let ledger = deps.workshop.health.patiently("ledger", || deps.table.ledger(id)).await?;
        let (found, said) = tokio::join!(
            deps.workshop.health.insist("binding", || deps.table.binding(id)),
            tokio::time::timeout(WARNINGS_PATIENCE, deps.table.warnings(id)),
        );
        let found = found?;
        // What can't be known is said again.
        let said = said.ok().and_then(Result::ok).unwrap_or_default();
        let judge = Judge::resume(
            said.iter()
                .filter(|warning| warning.active && warning.publish == meta.publish)
                .map(|w| w.verdict.code),
        );
        if found.is_none_or(|found| found.epoch != binding.epoch) {
            return Ok(None);
        }
        let now = deps.clock.now();
        let mut core = Core::new(
            now,
            Start {
                cursor: binding.cursor.map(|cursor| cursor.pos),
                committed: positions(&ledger),
                line: line(now, &meta, &binding, &ledger),
                publish: meta.publish,
                window_seconds: meta.window_seconds,
            },
        );
        match (meta.state, meta.closed) {
            (State::Live, Some(closed)) if closed.publish == meta.publish => {
                core.handle(closed.at, Input::Closed { publish: closed.publish, reason: closed.reason });
            }
            (State::Live, _) => {}
            (State::Ending | State::Ended, _) => core.handle(now, Input::End),
        }
        tracing::info!(live = %meta.live, broadcast = %id, epoch = binding.epoch.0, rows = ledger.rows.len(),
            late = ledger.late.len(), fills = ledger.fills.len(),
            closed = meta.closed.map(|closed| closed.reason == CloseReason::Unpublished), "broadcast taken up");
        Ok(Some(Box::new(Session::new(deps, meta, binding, core, ledger, judge))))
    }
}

fn positions(ledger: &Ledger) -> BTreeSet<ChunkPos> {
    ledger.rows.iter().chain(&ledger.late).map(|row| row.pos).collect()
}

/// The live timeline as the ledger and the binding have it.
fn line(now: WallTime, meta: &Broadcast, binding: &Binding, ledger: &Ledger) -> Line {
    let mut line = Line::new(meta.availability_start, now, binding.floor);
    for row in &ledger.rows {
        line.show(Place { start: row.start, end: row.end });
    }
    line.end = binding.live_end.max(line.end);
    line
}
