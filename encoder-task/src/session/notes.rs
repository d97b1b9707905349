//! What is written down of a stream's state for its operator: beside the work on its chunks, one row at a time, and never waited for.
//!
//! A note that can't be written is given up: the broadcaster was told, and the log has it.

use std::collections::VecDeque;

use futures_util::future::BoxFuture;
use media::{
    id::{BroadcastId, PublishNo},
    time::WallTime,
    verdict::{Code, Verdict},
};
use service::{backoff::Backoff, table::TableError};

use super::claim::Deps;

/// Notes that wait: as many as there are codes, twice. More can't wait unless the table has not answered for minutes.
const WAITING_MAX: usize = 64;
/// How often a note is tried to be written: for some seconds.
const TRIES: u32 = 5;

/// Something to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Note {
    /// A state has begun.
    Began { publish: PublishNo, verdict: Verdict, at: WallTime },
    /// A state is over.
    Ended { code: Code, at: WallTime },
}

impl Note {
    pub(super) fn began(publish: PublishNo, verdict: Verdict, at: WallTime) -> Self {
        Self::Began { publish, verdict, at }
    }

    pub(super) fn ended(code: Code, at: WallTime) -> Self {
        Self::Ended { code, at }
    }

    async fn write(self, deps: Deps, broadcast: BroadcastId) {
        let mut tries = 0;
        loop {
            let written = match &self {
                Self::Began { publish, verdict, at } => {
                    deps.table.note_warning(&broadcast, *publish, verdict, *at).await
                }
                Self::Ended { code, at } => deps.table.clear_warning(&broadcast, *code, *at).await,
            };
            match written {
                // Never noted: there is nothing to clear.
                Ok(()) | Err(TableError::Conflict(_)) => return,
                Err(error) if error.is_transient() && tries < TRIES => {
                    tries += 1;
                    Backoff::REGIONAL.sleep(tries, &deps.clock).await;
                }
                Err(error) => {
                    tracing::warn!(%broadcast, %error, "a warning could not be kept");
                    return;
                }
            }
        }
    }
}

/// Notes in their order.
#[derive(Debug, Default)]
pub(super) struct Notes {
    waiting: VecDeque<Note>,
    busy: bool,
}

impl Notes {
    pub(super) fn push(&mut self, note: Note) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(note);
        }
    }

    /// The work of writing the next one, if none is being written.
    pub(super) fn next(&mut self, deps: &Deps, broadcast: &BroadcastId) -> Option<BoxFuture<'static, ()>> {
        if self.busy {
            return None;
        }
        let note = self.waiting.pop_front()?;
        self.busy = true;
        Some(Box::pin(note.write(deps.clone(), broadcast.clone())))
    }

    /// The last one is written, or given up.
    pub(super) fn done(&mut self) {
        self.busy = false;
    }
}
