//! What viewers are given of the ledger: manifests with the timed events, posters, and the pages' indexes.
//!
//! Invariants: nothing is published while the last fill may not be stored, nor anything but the final manifests once those may be there; the
//! pages' indexes are written when there are manifests to name.

use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::watch;

use super::{Outcome, Session};
use crate::session::finish::{finish, write_indexes};

impl Session {
    /// Reads the timed events if there may be new ones.
    pub(super) fn read_cues(&mut self) -> Option<BoxFuture<'static, Outcome>> {
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
    pub(super) fn publish(
        &mut self,
        draining: &watch::Receiver<bool>,
    ) -> Option<BoxFuture<'static, Outcome>> {
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

    /// Sees to it that there is a poster of what is on air.
    pub(super) fn poster(&mut self) -> Option<BoxFuture<'static, Outcome>> {
        if self.closing || self.core.is_ending() {
            return None;
        }
        let next = self.posters.next(&self.deps, &self.meta, self.binding.epoch, &self.view);
        next.map(|next| next.map(Outcome::Postered).boxed())
    }

    /// Tells the pages that the broadcast is on air, once: when its manifests are there, and its poster, or nobody is making one.
    pub(super) fn announce(&mut self) -> Option<BoxFuture<'static, Outcome>> {
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
