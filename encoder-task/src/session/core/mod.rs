//! What one encoder does for one broadcast, decided: which chunk is next, when its row may be committed, when the broadcast is over.
//! Pure: inputs and the time go in, effects come out; `actor` carries them out.
//!
//! Invariants:
//! - chunks are started, and committed, in the order of their positions, each once;
//! - within a publish no position is passed over while its chunk may still come: a hole is only crossed once the publish is *final*
//!   (a later publish exists, or the broadcast is ending) and the bucket has been listed since;
//! - a chunk is shown live if its place on the timeline is free, else only the replay has it; holes are filled before what follows them;
//! - `Finish` comes once, after every stored chunk is committed, those of superseded publishes included.

pub mod line;

use std::collections::{BTreeSet, VecDeque};

use line::Next;
pub use line::{Line, Piece, Place};
use media::{
    id::{ChunkPos, ChunkSeq, PublishNo},
    time::{Ticks, WallTime},
    wire::CloseReason,
};
use service::table::{Closed, Floor};

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
    /// A started chunk is transcoded and its segments are stored (or it can't be, and will be committed as such). `None`: it can't be
    /// read, so that it has no place.
    Done(ChunkPos, Option<Place>),
    /// The row of this chunk is committed, or it has none. Answers [`Effect::Commit`].
    Committed(ChunkPos, Option<Place>),
    /// The row of this chunk was not committed, because the timeline has changed: as it is now. Answers [`Effect::Commit`].
    Refused(Bounds),
    /// The piece is committed and stored. Answers [`Effect::Fill`].
    Filled(Piece),
    /// The piece was not committed, because the timeline has changed: as it is now. Answers [`Effect::Fill`].
    FillRefused(Bounds),
    /// The hole can't be filled: it stays. Answers [`Effect::Fill`].
    Unfillable,
    /// What table and bucket say. Answers [`Effect::Look`].
    Looked(Box<Seen>),
    /// This encoder is shutting down: what is started is finished, nothing more is started, unless the broadcast is ending anyway.
    Drain,
    /// [`Effect::Expire`] took place: the broadcast is ending.
    Expired,
    /// [`Effect::Expire`] was refused: this later publish has come.
    Extended(PublishNo),
}

/// What others may have changed about the live timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Where it ends.
    pub end: Option<Ticks>,
    /// Where the latest publish begins.
    pub floor: Option<Floor>,
}

/// What a look has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The latest publish.
    pub publish: PublishNo,
    /// How the latest closed publish ended.
    pub closed: Option<Closed>,
    /// The broadcast is ending.
    pub ending: bool,
    /// When presentation time 0 was.
    pub origin: Option<WallTime>,
    /// The timeline's.
    pub bounds: Bounds,
    /// What the bucket holds after the last started position.
    pub found: Vec<ChunkPos>,
}

/// Where a broadcast is taken up.
#[derive(Debug, Clone)]
pub struct Start {
    /// Position of the ledger's cursor.
    pub cursor: Option<ChunkPos>,
    /// Everything that is committed.
    pub committed: BTreeSet<ChunkPos>,
    /// The live timeline.
    pub line: Line,
    /// The latest publish that the table knows.
    pub publish: PublishNo,
    /// The reconnect window.
    pub window_seconds: u32,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// List the bucket after this position.
    List(Option<ChunkPos>),
    /// Fetch, transcode and store this chunk.
    Start(ChunkPos),
    /// Commit this chunk's row. The next comes only after [`Input::Committed`] or [`Input::Refused`].
    Commit {
        /// Which.
        pos: ChunkPos,
        /// The live timeline has passed its place.
        late: bool,
    },
    /// Commit and store this piece of a hole.
    Fill(Piece),
    /// Read what the table and the bucket say.
    Look,
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
    /// The last position started, or committed by whoever had the binding before; not counting strays.
    last: Option<ChunkPos>,
    /// Everything committed.
    committed: BTreeSet<ChunkPos>,
    /// Chunks may be stored that are not after `last`: of superseded publishes, or in holes that were crossed.
    strays: bool,
    line: Line,
    filling: bool,
    /// A hole that begins there can't be filled.
    unfillable: Option<Ticks>,
    /// Since when a look is under way.
    looking: Option<WallTime>,
    looked: Option<WallTime>,
    /// Stored, not started.
    pending: BTreeSet<ChunkPos>,
    /// Started, not committed; in order, with its place once it is done.
    running: VecDeque<(ChunkPos, Option<Option<Place>>)>,
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
    /// Takes a broadcast up.
    #[must_use]
    pub fn new(now: WallTime, start: Start) -> Self {
        let Start { cursor, committed, line, publish, window_seconds } = start;
        Self {
            window_micros: i64::from(window_seconds) * 1_000_000,
            last: cursor,
            strays: publish > PublishNo::FIRST || holes(&committed),
            committed,
            line,
            filling: false,
            unfillable: None,
            looking: None,
            looked: None,
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
                self.found(found);
                if let Some(goal) = self.listing.take() {
                    self.listed = self.listed.max(Some(goal));
                }
            }
            Input::Done(pos, place) => {
                if let Some(job) = self.running.iter_mut().find(|(p, _)| *p == pos) {
                    job.1 = Some(place);
                }
            }
            Input::Committed(pos, shown) => {
                if self.running.front().is_some_and(|(p, _)| *p == pos) {
                    self.running.pop_front();
                }
                self.committing = false;
                self.committed.insert(pos);
                if let Some(place) = shown {
                    self.line.show(place);
                }
            }
            Input::Refused(bounds) => {
                self.committing = false;
                self.bound(now, bounds);
            }
            Input::Filled(piece) => {
                self.filling = false;
                self.line.end = self.line.end.max(Some(piece.place.end));
            }
            Input::FillRefused(bounds) => {
                self.filling = false;
                // Something has come: see what.
                self.looked = None;
                self.bound(now, bounds);
            }
            Input::Unfillable => {
                self.filling = false;
                self.unfillable = self.line.end;
            }
            Input::Looked(seen) => self.seen(now, *seen),
        }
    }

    fn bound(&mut self, now: WallTime, bounds: Bounds) {
        self.line.end = self.line.end.max(bounds.end);
        if let Some(floor) = bounds.floor {
            self.line.starts(now, floor);
            self.heard_of(now, floor.publish);
        }
    }

    /// A later publish is known of: its publisher is back, though nothing of it may be stored yet.
    fn heard_of(&mut self, now: WallTime, publish: PublishNo) {
        if publish > self.highest {
            self.heard = now;
        }
        self.later_publish(publish);
    }

    /// Takes in what the bucket holds. What is before `last` and not committed was stored out of turn: it comes into the replay at the end.
    fn found(&mut self, found: Vec<ChunkPos>) {
        let everything = self.listing == Some(Final::Everything);
        let new = found.into_iter().filter(|pos| {
            let known =
                self.committed.contains(pos) || self.running.iter().any(|(running, _)| running == pos);
            !known && (everything || Some(*pos) > self.last)
        });
        self.pending.extend(new);
    }

    fn seen(&mut self, now: WallTime, seen: Seen) {
        // What it found is no newer than that.
        self.looked = self.looking.take().or(Some(now));
        self.line.origin = self.line.origin.or(seen.origin);
        self.bound(now, seen.bounds);
        self.heard_of(now, seen.publish);
        self.pending.extend(seen.found.into_iter().filter(|pos| Some(*pos) > self.last));
        if seen.ending {
            self.end();
        } else if let Some(closed) = seen.closed
            && closed.publish == self.highest
            && self.lost.is_none()
            && !self.expire_now
        {
            self.closed(closed.at, closed.publish, closed.reason);
        }
    }

    /// The next thing to do, if there is one.
    pub fn poll(&mut self, now: WallTime) -> Option<Effect> {
        if self.listing.is_none() && self.listed < Some(self.wanted) {
            self.listing = Some(self.wanted);
            let whole = self.strays && self.wanted == Final::Everything;
            return Some(Effect::List(if whole { None } else { self.last }));
        }
        if let Some(pos) = self.startable() {
            self.pending.remove(&pos);
            let follows =
                self.last.is_none_or(|last| pos.publish > last.publish || pos.seq == last.seq.next());
            self.strays |= !follows;
            self.last = self.last.max(Some(pos));
            self.running.push_back((pos, None));
            return Some(Effect::Start(pos));
        }
        if let (false, false, Some((pos, Some(place)))) =
            (self.committing, self.filling, self.running.front().copied())
        {
            return Some(self.commit(pos, place));
        }
        if self.phase == Phase::OnAir
            && !self.draining
            && (self.expire_now || self.deadline().is_some_and(|at| now >= at))
        {
            self.phase = Phase::Expiring;
            self.expire_now = false;
            return Some(Effect::Expire(self.highest));
        }
        if let Some((due, fill)) = self.hole(now).filter(|(due, _)| now >= *due) {
            match fill {
                Some((piece, fresh)) if !fresh || self.looked >= Some(due) => {
                    self.filling = true;
                    return Some(Effect::Fill(piece));
                }
                _ => {
                    self.looking = Some(now);
                    return Some(Effect::Look);
                }
            }
        }
        let whole = self.pending.is_empty()
            && self.running.is_empty()
            && !self.filling
            && self.listed == Some(Final::Everything);
        if self.phase == Phase::Ending && whole {
            self.phase = Phase::Finished;
            return Some(Effect::Finish);
        }
        None
    }

    /// When [`Core::poll`] must be called even if nothing happens.
    #[must_use]
    pub fn wake(&self, now: WallTime) -> Option<WallTime> {
        let hole = self.hole(now).map(|(due, _)| due);
        self.deadline().into_iter().chain(hole).min()
    }

    /// When the broadcast ends if nothing happens.
    fn deadline(&self) -> Option<WallTime> {
        (self.phase == Phase::OnAir && !self.draining).then(|| match self.lost {
            Some(lost) => lost.plus_micros(self.window_micros),
            None => self.heard.plus_micros(SILENCE_MICROS.saturating_add(self.window_micros)),
        })
    }

    /// What was in hand when the drain began is committed: the next encoder goes on from there.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.draining && self.running.is_empty() && !self.filling && self.phase == Phase::OnAir
    }

    /// Stored chunks of which nothing is made yet, as far as they are known of.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pending.len() + self.running.iter().filter(|(_, place)| place.is_none()).count()
    }

    /// No more publishes are taken.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending | Phase::Finished)
    }

    /// The last position started.
    #[must_use]
    pub fn last(&self) -> Option<ChunkPos> {
        self.last
    }

    /// Latest publish heard of.
    #[must_use]
    pub fn publish(&self) -> PublishNo {
        self.highest
    }

    /// What becomes of the first in line, which is done.
    fn commit(&mut self, pos: ChunkPos, place: Option<Place>) -> Effect {
        let stray = self.committed.last().is_some_and(|last| *last > pos);
        let shown = place.filter(|place| !stray && self.line.shows(pos, *place));
        if let (Some(place), Phase::OnAir | Phase::Expiring) = (shown, self.phase)
            && self.unfillable != self.line.end
            && let Some(piece) = self.line.before(place)
        {
            self.filling = true;
            return Effect::Fill(piece);
        }
        self.committing = true;
        Effect::Commit { pos, late: shown.is_none() }
    }

    /// What is to be done about a hole while nothing is in hand, and when: to look, or to fill a piece, the latter perhaps only after a
    /// fresh look.
    fn hole(&self, now: WallTime) -> Option<(WallTime, Option<(Piece, bool)>)> {
        let busy = !self.pending.is_empty()
            || !self.running.is_empty()
            || self.filling
            || self.looking.is_some()
            || self.listing.is_some();
        if busy || self.draining || self.phase != Phase::OnAir || self.expire_now {
            return None;
        }
        let fillable = self.unfillable.is_none() || self.unfillable != self.line.end;
        match self.line.next(now, self.highest, self.is_gone(), self.looked)? {
            Next::Look(due) => Some((due, None)),
            Next::Fill(due, piece) => fillable.then_some((due, Some((piece, true)))),
            Next::FillNow(piece) => fillable.then_some((now, Some((piece, false)))),
        }
    }

    /// Whether nothing more comes of the latest publish for now: it is lost, or it has not begun.
    fn is_gone(&self) -> bool {
        let begun = self.line.floor.is_some_and(|floor| floor.publish >= self.highest)
            || self.last.is_some_and(|last| last.publish >= self.highest);
        self.lost.is_some() || !begun
    }

    fn chunk(&mut self, now: WallTime, pos: ChunkPos) {
        if self.phase == Phase::Finished {
            // The manifests are being made final: too late for it.
            return;
        }
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
            self.strays = true;
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
        // A stray: nothing waits for it.
        if Some(next) < self.last {
            return Some(next);
        }
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

/// Whether positions are missing within a publish.
fn holes(committed: &BTreeSet<ChunkPos>) -> bool {
    let mut before: Option<ChunkPos> = None;
    committed.iter().any(|pos| {
        let follows = match before.replace(*pos) {
            Some(before) if before.publish == pos.publish => pos.seq == before.seq.next(),
            _ => pos.seq == ChunkSeq::FIRST,
        };
        !follows
    })
}

#[cfg(test)]
mod tests;
