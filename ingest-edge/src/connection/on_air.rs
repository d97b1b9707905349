//! Who is on air through this process, by broadcast: a later publisher of a key stops an earlier one at once, without a word from the
//! gateway (which stops one that came through another edge, at its next chunk), and begins when all that the earlier one sent is stored. So
//! a publisher that returns, as most later ones are, loses nothing of what it had sent, not even through an outage of the bucket:
//! encoders look for an earlier publish's chunks when they hear of the later one's first. Nor does it cover any of it: media time may have
//! been ahead of the clock, and it begins no earlier than that ended.
//!
//! It is also where a publish is found whose rights have been revoked.
//!
//! Invariants: a [`Seat`] is listed until it is dropped, which is when its publish stores nothing any more; of the seats of a broadcast
//! all but the one with the highest number are superseded, in whatever order they came.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use media::{
    id::{BroadcastId, PublishNo},
    time::Ticks,
    verdict::{Code, Verdict},
    wire::Revocation,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::revocation::{self, Rights};

/// Publishes that have ended whose end is remembered: media time is ahead of the clock by seconds at most, in which far fewer end.
const ENDED_MAX: usize = 1024;

#[derive(Debug, Default)]
struct Seats {
    taken: BTreeMap<BroadcastId, BTreeMap<PublishNo, Place>>,
    /// Where those that have been given up lately ended; the oldest first.
    ended: VecDeque<(BroadcastId, Ticks)>,
}

/// What is known of a publish that is listed.
#[derive(Debug, Clone)]
pub(super) struct Place {
    rights: Arc<Rights>,
    superseded: CancellationToken,
    /// Cancelled when there is a reason.
    revoked: CancellationToken,
    reason: Arc<OnceLock<Verdict>>,
    stored: CancellationToken,
    /// Where its chunks end so far, in ticks of presentation time; 0 before the first.
    end: Arc<AtomicI64>,
}

impl Place {
    fn new(rights: Rights) -> Self {
        Self {
            rights: Arc::new(rights),
            superseded: CancellationToken::new(),
            revoked: CancellationToken::new(),
            reason: Arc::default(),
            stored: CancellationToken::new(),
            end: Arc::default(),
        }
    }

    /// Waits until a later publish has come. May be dropped and called again.
    pub(super) async fn superseded(&self) -> Verdict {
        self.superseded.cancelled().await;
        Verdict::new(
            Code::Superseded,
            "Another publisher with the same stream key has taken over. Stop one of the two, or give each its own live.",
        )
    }

    /// Waits until its rights are revoked. May be dropped and called again.
    pub(super) async fn revoked(&self) -> Verdict {
        self.revoked.cancelled().await;
        match self.reason.get() {
            Some(verdict) => verdict.clone(),
            // It is set before.
            None => std::future::pending().await,
        }
    }
}

/// All publishes on air.
#[derive(Debug, Default)]
pub struct OnAir {
    seats: Mutex<Seats>,
    /// Somebody has come.
    came: Notify,
}

/// One publish on air.
#[derive(Debug)]
pub(super) struct Seat {
    on_air: Arc<OnAir>,
    broadcast: BroadcastId,
    publish: PublishNo,
    place: Place,
    /// Those before it that were listed when it came.
    before: Vec<Place>,
    /// Where those that had ended before it came did.
    ended: Ticks,
}

impl OnAir {
    /// Lists a publish and supersedes those before it.
    pub(super) fn sit(self: &Arc<Self>, rights: Rights, publish: PublishNo) -> Seat {
        let place = Place::new(rights);
        let broadcast = &place.rights.broadcast.clone();
        let mut seats = self.seats();
        let ended = seats.ended.iter().filter(|(other, _)| other == broadcast).map(|(_, end)| *end).max();
        let here = seats.taken.entry(broadcast.clone()).or_default();
        here.insert(publish, place.clone());
        // The answers to two `open`s may arrive in the other order: then it is the newcomer that has been overtaken.
        for earlier in here.values().rev().skip(1) {
            earlier.superseded.cancel();
        }
        let before = here.range(..publish).map(|(_, earlier)| earlier.clone()).collect();
        drop(seats);
        self.came.notify_one();
        let (broadcast, ended) = (broadcast.clone(), ended.unwrap_or(0));
        Seat { on_air: Arc::clone(self), broadcast, publish, place, before, ended }
    }

    /// Waits until there is a publish. One at a time may.
    pub(crate) async fn somebody(&self) {
        while self.seats().taken.is_empty() {
            self.came.notified().await;
        }
    }

    /// Cuts the publishes that one of the revocations is of.
    pub(crate) fn revoke(&self, revocations: &[Revocation]) {
        if revocations.is_empty() {
            return;
        }
        for place in self.seats().taken.values().flat_map(BTreeMap::values) {
            if let Some(verdict) = revocation::verdict(&place.rights, revocations) {
                // The first reason stands.
                place.reason.get_or_init(|| verdict);
                place.revoked.cancel();
            }
        }
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Where it is heard that the publish must stop.
    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }

    /// Cancelled when a later publish has come.
    pub(super) fn successor(&self) -> CancellationToken {
        self.place.superseded.clone()
    }

    /// Those before it: each is cancelled when it stores nothing any more, which takes at most the time a publish has to end.
    pub(super) fn before(&self) -> Vec<CancellationToken> {
        self.before.iter().map(|earlier| earlier.stored.clone()).collect()
    }

    /// Where those before it end, in ticks of presentation time, once they store nothing any more.
    pub(super) fn begins_at(&self) -> Ticks {
        let ends = self.before.iter().map(|earlier| earlier.end.load(Ordering::Acquire));
        ends.fold(self.ended, Ticks::max)
    }

    /// The publish's chunks reach so far, in ticks of presentation time.
    pub(super) fn reaches(&self, end: Ticks) {
        self.place.end.fetch_max(end, Ordering::AcqRel);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.place.stored.cancel();
        let mut seats = self.on_air.seats();
        if let Some(here) = seats.taken.get_mut(&self.broadcast) {
            here.remove(&self.publish);
            if here.is_empty() {
                seats.taken.remove(&self.broadcast);
            }
        }
        let end = self.place.end.load(Ordering::Acquire);
        if end > 0 {
            if seats.ended.len() >= ENDED_MAX {
                seats.ended.pop_front();
            }
            seats.ended.push_back((self.broadcast.clone(), end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u32) -> PublishNo {
        PublishNo::new(n).unwrap()
    }

    fn rights(broadcast: &BroadcastId) -> Rights {
        let key_hash = "key-of-shop".parse::<media::id::StreamKey>().unwrap().hash();
        Rights { live: "shop".parse().unwrap(), broadcast: broadcast.clone(), key_hash }
    }

    #[tokio::test]
    async fn whoever_is_revoked_hears_the_first_reason() {
        let on_air = Arc::new(OnAir::default());
        let (one, other) = (BroadcastId::new(1, [0; 10]), BroadcastId::new(2, [0; 10]));
        let (first, second) = (on_air.sit(rights(&one), number(1)), on_air.sit(rights(&other), number(1)));
        on_air.somebody().await;
        on_air.revoke(&[Revocation::Broadcast { broadcast: one }]);
        on_air.revoke(&[Revocation::Live { live: "shop".parse().unwrap() }]);
        assert_eq!(first.place.revoked().await.code, Code::Ended);
        assert_eq!(second.place.revoked().await.code, Code::LiveDisabled);
    }

    #[test]
    fn only_the_latest_of_a_broadcast_stays() {
        let on_air = Arc::new(OnAir::default());
        let (one, other) = (BroadcastId::new(1, [0; 10]), BroadcastId::new(2, [0; 10]));
        let stopped = |seat: &Seat| seat.place.superseded.is_cancelled();
        let free = |seat: &Seat| seat.before().iter().all(CancellationToken::is_cancelled);
        let first = on_air.sit(rights(&one), number(1));
        let elsewhere = on_air.sit(rights(&other), number(1));
        let third = on_air.sit(rights(&one), number(3));
        let late = on_air.sit(rights(&one), number(2));
        assert_eq!([&first, &late, &third, &elsewhere].map(stopped), [true, true, false, false]);
        assert!(free(&first) && !free(&third) && !free(&late) && free(&elsewhere));
        first.reaches(90_000);
        drop(first);
        assert!(free(&third) && free(&late));
        assert_eq!([&third, &late, &elsewhere].map(Seat::begins_at), [90_000, 90_000, 0]);
        drop(late);
        let fourth = on_air.sit(rights(&one), number(4));
        assert_eq!([&third, &fourth, &elsewhere].map(stopped), [true, false, false]);
        drop((third, fourth, elsewhere));
        assert!(on_air.seats().taken.is_empty());
        assert_eq!(on_air.sit(rights(&one), number(5)).begins_at(), 90_000, "remembered");
        assert_eq!(on_air.sit(rights(&other), number(2)).begins_at(), 0);
    }
}
