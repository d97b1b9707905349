//! What one encoder does for one broadcast, decided: which chunk is next, when its row may be committed, when the broadcast is over.
//! Pure: inputs and the time go in, effects come out; `actor` carries them out.
//!
//! Invariants:
//! - chunks are started, and committed, in the order of their positions, each once;
//! - within a publish no position is passed over while its chunk may still come: a hole is only crossed once the publish is *final*
//!   (a later publish exists, or the broadcast is ending) and the bucket has been listed since;
//! - `Finish` comes once, after every stored chunk is committed.

use std::collections::{BTreeSet, VecDeque};

use media::{
    id::{ChunkPos, ChunkSeq, PublishNo},
    time::WallTime,
    wire::CloseReason,
};

/// Chunks in work at once: one being encoded, its neighbours being fetched and stored; more when catching up. Bounds memory.
pub const PIPELINE: usize = 4;
/// A publish that is not closed but has been silent for this long counts as lost: the longest GOP (10 s) and time for retries.
pub const SILENCE_MICROS: i64 = 15_000_000;
/// A notice this far ahead of what is known is answered by listing the bucket instead of taking every number on trust.
const TRUST_AHEAD: u32 = 256;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// This chunk is stored, and so are all before it in its publish.
    Chunk(ChunkPos),
    /// A publish is over.
    Closed {
        /// Which.
        publish: PublishNo,
        /// Why.
        reason: CloseReason,
    },
    /// The broadcast is ending: by the operator, or because the table says so.
    End,
    /// What the bucket holds after the last started position, in order. Answers [`Effect::List`].
    Listed(Vec<ChunkPos>),
    /// A started chunk is transcoded and its segments are stored (or it can't be, and will be committed as such).
    Done(ChunkPos),
    /// The row of this chunk is committed. Answers [`Effect::Commit`].
    Committed(ChunkPos),
    /// This encoder is shutting down: what is started is finished, nothing more is started, unless the broadcast is ending anyway.
    Drain,
    /// [`Effect::Expire`] took place: the broadcast is ending.
    Expired,
    /// [`Effect::Expire`] was refused: this later publish has come.
    Extended(PublishNo),
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// List the bucket after this position.
    List(Option<ChunkPos>),
    /// Fetch, transcode and store this chunk.
    Start(ChunkPos),
    /// Commit this chunk's row. The next comes only after [`Input::Committed`].
    Commit(ChunkPos),
    /// The window has passed, or the broadcaster has stopped: end the broadcast if this still is its latest publish.
    Expire(PublishNo),
    /// Everything stored is committed and the broadcast is ending: make it final.
    Finish,
}

/// How far a listing that was asked for makes publishes final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Final {
    /// All publishes below this one.
    Below(u32),
    /// All.
    Everything,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    OnAir,
    Expiring,
    Ending,
    Finished,
}

/// The state of one broadcast on this encoder.
#[derive(Debug)]
pub struct Core {
    window_micros: i64,
    /// The last position started, or committed by whoever had the binding before.
    last: Option<ChunkPos>,
    /// Stored, not started.
    pending: BTreeSet<ChunkPos>,
    /// Started, not committed; in order, with whether it is done.
    running: VecDeque<(ChunkPos, bool)>,
    committing: bool,
    /// Latest publish heard of.
    highest: PublishNo,
    wanted: Final,
    listing: Option<Final>,
    listed: Option<Final>,
    phase: Phase,
    heard: WallTime,
    lost: Option<WallTime>,
    expire_now: bool,
    draining: bool,
}

impl Core {
    /// Takes a broadcast up where the ledger's cursor stands. `publish` is the latest one that the table knows.
    #[must_use]
    pub fn new(now: WallTime, cursor: Option<ChunkPos>, publish: PublishNo, window_seconds: u32) -> Self {
        Self {
            window_micros: i64::from(window_seconds) * 1_000_000,
            last: cursor,
            pending: BTreeSet::new(),
            running: VecDeque::new(),
            committing: false,
            highest: publish,
            wanted: Final::Below(publish.get()),
            listing: None,
            listed: None,
            phase: Phase::OnAir,
            heard: now,
            lost: None,
            expire_now: false,
            draining: false,
        }
    }

    /// Takes an input in. Drain [`Core::poll`] afterwards.
    pub fn handle(&mut self, now: WallTime, input: Input) {
        match input {
            Input::Chunk(pos) => self.chunk(now, pos),
            Input::Closed { publish, reason } => self.closed(now, publish, reason),
            Input::End | Input::Expired => self.end(),
            Input::Drain => self.draining = true,
            Input::Extended(publish) => {
                if self.phase == Phase::Expiring {
                    self.phase = Phase::OnAir;
                }
                self.heard = now;
                self.later_publish(publish);
            }
            Input::Listed(found) => {
                self.pending.extend(found.into_iter().filter(|pos| Some(*pos) > self.last));
                if let Some(goal) = self.listing.take() {
                    self.listed = self.listed.max(Some(goal));
                }
            }
            Input::Done(pos) => {
                if let Some(job) = self.running.iter_mut().find(|(p, _)| *p == pos) {
                    job.1 = true;
                }
            }
            Input::Committed(pos) => {
                if self.running.front().is_some_and(|(p, _)| *p == pos) {
                    self.running.pop_front();
                }
                self.committing = false;
            }
        }
    }

    /// The next thing to do, if there is one.
    pub fn poll(&mut self, now: WallTime) -> Option<Effect> {
        if self.listing.is_none() && self.listed < Some(self.wanted) {
            self.listing = Some(self.wanted);
            return Some(Effect::List(self.last));
        }
        if let Some(pos) = self.startable() {
            self.pending.remove(&pos);
            self.last = Some(pos);
            self.running.push_back((pos, false));
            return Some(Effect::Start(pos));
        }
        if let (false, Some((pos, true))) = (self.committing, self.running.front().copied()) {
            self.committing = true;
            return Some(Effect::Commit(pos));
        }
        if self.phase == Phase::OnAir
            && !self.draining
            && (self.expire_now || self.deadline().is_some_and(|at| now >= at))
        {
            self.phase = Phase::Expiring;
            self.expire_now = false;
            return Some(Effect::Expire(self.highest));
        }
        let whole =
            self.pending.is_empty() && self.running.is_empty() && self.listed == Some(Final::Everything);
        if self.phase == Phase::Ending && whole {
            self.phase = Phase::Finished;
            return Some(Effect::Finish);
        }
        None
    }

    /// When [`Core::poll`] must be called even if nothing happens.
    #[must_use]
    pub fn deadline(&self) -> Option<WallTime> {
        (self.phase == Phase::OnAir && !self.draining).then(|| match self.lost {
            Some(lost) => lost.plus_micros(self.window_micros),
            None => self.heard.plus_micros(SILENCE_MICROS.saturating_add(self.window_micros)),
        })
    }

    /// What was in hand when the drain began is committed: the next encoder goes on from there.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.draining && self.running.is_empty() && self.phase == Phase::OnAir
    }

    /// No more publishes are taken.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending | Phase::Finished)
    }

    /// Latest publish heard of.
    #[must_use]
    pub fn publish(&self) -> PublishNo {
        self.highest
    }

    fn chunk(&mut self, now: WallTime, pos: ChunkPos) {
        if pos.publish < self.highest {
            // A ghost's. What it stored before it was superseded has been, or will be, listed.
            return;
        }
        self.heard = now;
        if pos.publish > self.highest {
            self.later_publish(pos.publish);
        } else if self.phase == Phase::OnAir {
            // A chunk after its publish was thought lost: the notice was late.
            self.lost = None;
        }
        let first = match self.last {
            Some(last) if last.publish == pos.publish => last.seq.next().0,
            Some(last) if last.publish > pos.publish => return,
            _ => 0,
        };
        if pos.seq.0 < first {
            return;
        }
        if pos.seq.0 - first > TRUST_AHEAD {
            self.listed = None;
            return;
        }
        self.pending
            .extend((first..=pos.seq.0).map(|seq| ChunkPos { publish: pos.publish, seq: ChunkSeq(seq) }));
    }

    fn closed(&mut self, now: WallTime, publish: PublishNo, reason: CloseReason) {
        if publish < self.highest || self.phase != Phase::OnAir {
            return;
        }
        if publish > self.highest {
            self.later_publish(publish);
        }
        self.heard = now;
        match reason {
            CloseReason::Unpublished => self.expire_now = true,
            CloseReason::Lost | CloseReason::Stopped => self.lost = Some(now),
        }
    }

    fn later_publish(&mut self, publish: PublishNo) {
        if publish > self.highest {
            self.highest = publish;
            self.lost = None;
            self.expire_now = false;
            self.wanted = self.wanted.max(Final::Below(publish.get()));
        }
    }

    fn end(&mut self) {
        if !self.is_ending() {
            self.phase = Phase::Ending;
            self.wanted = Final::Everything;
        }
    }

    /// Whether everything that `publish` will ever store is known.
    fn is_final(&self, publish: PublishNo) -> bool {
        match self.listed {
            None => false,
            Some(Final::Everything) => true,
            Some(Final::Below(bound)) => publish.get() < bound,
        }
    }

    fn startable(&self) -> Option<ChunkPos> {
        if self.running.len() >= PIPELINE || (self.draining && !self.is_ending()) {
            return None;
        }
        let next = self.pending.first().copied()?;
        let no_hole = match self.last {
            Some(last) if last.publish == next.publish => next.seq == last.seq.next(),
            // The publish before must be final before the next begins; and so must any between.
            Some(last) => {
                next.seq == ChunkSeq::FIRST && self.is_final(last.publish) && self.between_final(next.publish)
            }
            None => next.seq == ChunkSeq::FIRST && self.between_final(next.publish),
        };
        (no_hole || self.is_final(next.publish)).then_some(next)
    }

    fn between_final(&self, publish: PublishNo) -> bool {
        PublishNo::new(publish.get() - 1).is_none_or(|before| self.is_final(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pos(publish: u32, seq: u32) -> ChunkPos {
        ChunkPos { publish: PublishNo::new(publish).unwrap(), seq: ChunkSeq(seq) }
    }
    fn at(seconds: i64) -> WallTime {
        WallTime(seconds * 1_000_000)
    }
    fn drain(core: &mut Core, now: WallTime) -> Vec<Effect> {
        std::iter::from_fn(|| core.poll(now)).collect()
    }
    /// Runs every effect at once against a bucket; returns what was committed, and whether `Finish` came.
    fn settle(
        core: &mut Core,
        now: WallTime,
        bucket: &BTreeSet<ChunkPos>,
        committed: &mut Vec<ChunkPos>,
    ) -> bool {
        let mut finished = false;
        while let Some(effect) = core.poll(now) {
            match effect {
                Effect::List(after) => {
                    let found = bucket.iter().copied().filter(|p| Some(*p) > after).collect();
                    core.handle(now, Input::Listed(found));
                }
                Effect::Start(pos) => core.handle(now, Input::Done(pos)),
                Effect::Commit(pos) => {
                    committed.push(pos);
                    core.handle(now, Input::Committed(pos));
                }
                Effect::Expire(_) => core.handle(now, Input::Expired),
                Effect::Finish => {
                    assert!(!finished, "finished twice");
                    finished = true;
                }
            }
        }
        finished
    }

    #[test]
    fn steady_state_starts_and_commits_in_order() {
        let mut core = Core::new(at(0), None, PublishNo::FIRST, 60);
        assert_eq!(drain(&mut core, at(0)), [Effect::List(None)]);
        core.handle(at(0), Input::Listed(vec![]));
        core.handle(at(1), Input::Chunk(pos(1, 0)));
        core.handle(at(1), Input::Chunk(pos(1, 1)));
        assert_eq!(drain(&mut core, at(1)), [Effect::Start(pos(1, 0)), Effect::Start(pos(1, 1))]);
        core.handle(at(2), Input::Done(pos(1, 1)));
        assert_eq!(drain(&mut core, at(2)), [], "the second is not committed before the first");
        core.handle(at(2), Input::Done(pos(1, 0)));
        assert_eq!(drain(&mut core, at(2)), [Effect::Commit(pos(1, 0))]);
        core.handle(at(2), Input::Committed(pos(1, 0)));
        assert_eq!(drain(&mut core, at(2)), [Effect::Commit(pos(1, 1))]);
    }

    #[test]
    fn a_duplicate_or_late_notice_starts_nothing_twice() {
        let mut core = Core::new(at(0), Some(pos(1, 4)), PublishNo::FIRST, 60);
        let bucket = BTreeSet::from([pos(1, 4), pos(1, 5), pos(1, 6)]);
        let mut done = vec![];
        core.handle(at(1), Input::Chunk(pos(1, 6)));
        core.handle(at(1), Input::Chunk(pos(1, 5)));
        settle(&mut core, at(1), &bucket, &mut done);
        core.handle(at(2), Input::Chunk(pos(1, 6)));
        core.handle(at(2), Input::Chunk(pos(1, 2)));
        settle(&mut core, at(2), &bucket, &mut done);
        assert_eq!(done, [pos(1, 5), pos(1, 6)]);
    }

    #[test]
    fn a_hole_waits_until_its_publish_is_final() {
        let mut core = Core::new(at(0), None, PublishNo::FIRST, 60);
        let mut bucket = BTreeSet::from([pos(1, 0), pos(1, 2)]);
        let mut done = vec![];
        assert!(!settle(&mut core, at(0), &bucket, &mut done));
        assert_eq!(done, [pos(1, 0)]);
        bucket.insert(pos(2, 0));
        core.handle(at(1), Input::Chunk(pos(2, 0)));
        assert!(!settle(&mut core, at(1), &bucket, &mut done));
        assert_eq!(done, [pos(1, 0), pos(1, 2), pos(2, 0)], "what was stored is kept, the hole is crossed");
    }

    #[test]
    fn a_broadcaster_who_stops_ends_the_broadcast_with_everything_in_it() {
        let mut core = Core::new(at(0), None, PublishNo::FIRST, 60);
        let bucket = BTreeSet::from([pos(1, 0), pos(1, 1)]);
        let mut done = vec![];
        core.handle(at(1), Input::Closed { publish: PublishNo::FIRST, reason: CloseReason::Unpublished });
        assert!(settle(&mut core, at(1), &bucket, &mut done));
        assert_eq!(done, [pos(1, 0), pos(1, 1)]);
        assert_eq!(core.deadline(), None);
    }

    #[test]
    fn a_lost_publisher_has_its_window_and_a_silent_one_a_little_more() {
        let mut core = Core::new(at(0), None, PublishNo::FIRST, 60);
        let (bucket, mut done) = (BTreeSet::new(), vec![]);
        settle(&mut core, at(0), &bucket, &mut done);
        assert_eq!(core.deadline(), Some(at(75)));
        core.handle(at(10), Input::Closed { publish: PublishNo::FIRST, reason: CloseReason::Lost });
        assert_eq!(core.deadline(), Some(at(70)));
        assert!(!settle(&mut core, at(69), &bucket, &mut done));
        core.handle(at(69), Input::Chunk(pos(2, 0)));
        assert_eq!(core.deadline(), Some(at(144)), "its return stops the clock");
        assert!(settle(&mut core, at(144), &BTreeSet::from([pos(2, 0)]), &mut done));
        assert_eq!(done, [pos(2, 0)]);
    }

    #[test]
    fn an_expiry_that_meets_a_new_publish_is_taken_back() {
        let mut core = Core::new(at(0), None, PublishNo::FIRST, 0);
        core.handle(at(0), Input::Listed(vec![]));
        drain(&mut core, at(0));
        core.handle(at(0), Input::Listed(vec![]));
        core.handle(at(1), Input::Closed { publish: PublishNo::FIRST, reason: CloseReason::Lost });
        assert_eq!(drain(&mut core, at(1)), [Effect::Expire(PublishNo::FIRST)]);
        core.handle(at(1), Input::Extended(PublishNo::new(2).unwrap()));
        assert_eq!(drain(&mut core, at(2)), [Effect::List(None)]);
        assert!(!core.is_ending());
        assert_eq!(core.deadline(), Some(at(16)));
    }

    #[test]
    fn a_drain_finishes_what_is_started_and_starts_nothing() {
        let mut core = Core::new(at(0), None, PublishNo::FIRST, 60);
        drain(&mut core, at(0));
        core.handle(at(0), Input::Listed(vec![]));
        core.handle(at(1), Input::Chunk(pos(1, 0)));
        assert_eq!(drain(&mut core, at(1)), [Effect::Start(pos(1, 0))]);
        core.handle(at(1), Input::Drain);
        core.handle(at(1), Input::Chunk(pos(1, 1)));
        assert_eq!(drain(&mut core, at(1)), []);
        assert!(!core.is_drained());
        core.handle(at(2), Input::Done(pos(1, 0)));
        assert_eq!(drain(&mut core, at(2)), [Effect::Commit(pos(1, 0))]);
        core.handle(at(2), Input::Committed(pos(1, 0)));
        assert!(core.is_drained());
        assert_eq!(core.deadline(), None);
    }

    #[test]
    fn a_ghost_changes_nothing() {
        let mut core = Core::new(at(0), None, PublishNo::new(2).unwrap(), 60);
        let (bucket, mut done) = (BTreeSet::from([pos(1, 0), pos(2, 0)]), vec![]);
        settle(&mut core, at(0), &bucket, &mut done);
        core.handle(at(1), Input::Chunk(pos(1, 9)));
        core.handle(at(1), Input::Closed { publish: PublishNo::FIRST, reason: CloseReason::Unpublished });
        assert!(!settle(&mut core, at(1), &bucket, &mut done));
        assert_eq!(done, [pos(1, 0), pos(2, 0)]);
    }

    proptest::proptest! {
        /// Whatever order notices come in, and whichever are lost: once the broadcast ends, every stored chunk is committed once, in order.
        #[test]
        fn every_stored_chunk_once_and_in_order(
            stored in proptest::collection::btree_set((1u32..4, 0u32..12), 0..24),
            notices in proptest::collection::vec((1u32..4, 0u32..12), 0..40),
            cut in 0usize..40,
        ) {
            let bucket: BTreeSet<ChunkPos> = stored.iter().map(|(p, s)| pos(*p, *s)).collect();
            // A notice is only ever sent for a chunk that is stored with all before it.
            let truthful = |p: u32, s: u32| (0..=s).all(|s| stored.contains(&(p, s)));
            let mut core = Core::new(at(0), None, PublishNo::FIRST, 60);
            let mut done = vec![];
            for (n, (p, s)) in notices.into_iter().enumerate() {
                if truthful(p, s) {
                    core.handle(at(1), Input::Chunk(pos(p, s)));
                }
                if n == cut {
                    core.handle(at(1), Input::End);
                }
                settle(&mut core, at(1), &bucket, &mut done);
            }
            core.handle(at(2), Input::End);
            settle(&mut core, at(2), &bucket, &mut done);
            proptest::prop_assert_eq!(done, bucket.into_iter().collect::<Vec<_>>());
        }
    }
}
