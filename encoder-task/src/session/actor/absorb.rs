//! What came of the work: the core is told, the view and the binding are kept as the table has them, and what can't go on ends the session.
//!
//! Invariant: what a future brings back is in its place before anything else is done with the outcome.

use media::id::ChunkPos;
use service::{
    event,
    metrics::defs::{CHUNKS_COMMITTED, RUNGS_SHED},
    table::{State, TableError},
};

use super::{End, Looked, Outcome, Session, Unlisted, Work};
use crate::session::{
    commit::{self, Committed},
    core::{Effect, Input, Piece},
    decide::bounds,
    fill::Filled,
    finish::chain,
    job::JobError,
    publisher::PublishError,
};

impl Session {
    pub(super) async fn absorb(&mut self, outcome: Outcome, work: &mut Work) -> Result<(), End> {
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
}
