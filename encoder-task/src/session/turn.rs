//! A chunk's turn to be worked at: the shell around `shed`, shared by a session and the jobs of its chunks.
//!
//! What is left out is decided when the work begins, not when the chunk is fetched: until then others may have taken long.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use media::id::{BroadcastId, ChunkPos, LiveId};
use service::{clock::Clock, event};

use super::shed::{Change, Decision, Job, Shed};

/// What one broadcast leaves out to keep up.
#[derive(Debug, Clone)]
pub(super) struct Shedding {
    shed: Arc<Mutex<Shed>>,
    clock: Clock,
    live: LiveId,
    broadcast: BroadcastId,
}

impl Shedding {
    /// Nothing yet.
    pub(super) fn new(clock: Clock, live: LiveId, broadcast: BroadcastId) -> Self {
        Self { shed: Arc::default(), clock, live, broadcast }
    }

    /// Never held across an await.
    fn lock(&self) -> MutexGuard<'_, Shed> {
        self.shed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many stored chunks of the broadcast are not transcoded.
    pub(super) fn waiting(&self, chunks: usize) {
        self.lock().waiting(chunks);
    }

    /// A chunk is read and waits to be worked at.
    pub(super) fn turn(&self, pos: ChunkPos) -> Turn {
        self.lock().ready(self.clock.now(), pos);
        Turn { of: self.clone(), pos }
    }
}

/// One chunk's turn. Over when it is dropped.
#[derive(Debug)]
pub struct Turn {
    of: Shedding,
    pos: ChunkPos,
}

impl Turn {
    /// The work begins: how many of the chunk's largest rungs are left out. To be asked once.
    #[must_use]
    pub fn begin(&self, job: &Job) -> usize {
        let Shedding { clock, live, broadcast, .. } = &self.of;
        let Decision { left_out, change } = self.of.lock().begin(clock.now(), self.pos, job);
        let (publish, seq) = (self.pos.publish.get(), self.pos.seq.0);
        let largest = job.rungs.get(left_out).map_or("", |rung| rung.name.as_str());
        match change {
            Some(Change::Shed { behind }) => {
                let behind_ms = behind.as_millis();
                event!("rungs-shed", %live, %broadcast, publish, seq, left_out, largest, behind_ms);
            }
            Some(Change::Restored) => {
                event!("rungs-restored", %live, %broadcast, publish, seq, left_out, largest);
            }
            None => {}
        }
        left_out
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.of.lock().end(self.of.clock.now(), self.pos);
    }
}
