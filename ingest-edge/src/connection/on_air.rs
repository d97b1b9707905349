//! Who is on air through this process, by broadcast: a later publisher of a key stops an earlier one at once, without a word from the
//! gateway (which stops one that came through another edge, at its next chunk).
//!
//! Invariants: a [`Seat`] is listed until it is dropped, so there are at most as many as connections; of the seats of a broadcast all but
//! the one with the highest number are superseded, in whatever order they came.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use media::{
    id::{BroadcastId, PublishNo},
    verdict::{Code, Verdict},
};
use tokio_util::sync::CancellationToken;

type Seats = BTreeMap<BroadcastId, BTreeMap<PublishNo, CancellationToken>>;

/// All publishes on air.
#[derive(Debug, Default)]
pub struct OnAir(Mutex<Seats>);

/// One publish on air.
#[derive(Debug)]
pub(super) struct Seat {
    on_air: Arc<OnAir>,
    broadcast: BroadcastId,
    publish: PublishNo,
    superseded: CancellationToken,
}

impl OnAir {
    /// Lists a publish and supersedes those before it.
    pub(super) fn sit(self: &Arc<Self>, broadcast: &BroadcastId, publish: PublishNo) -> Seat {
        let superseded = CancellationToken::new();
        let mut seats = self.seats();
        let here = seats.entry(broadcast.clone()).or_default();
        here.insert(publish, superseded.clone());
        // The answers to two `open`s may arrive in the other order: then it is the newcomer that has been overtaken.
        for (_, earlier) in here.iter().rev().skip(1) {
            earlier.cancel();
        }
        drop(seats);
        Seat { on_air: Arc::clone(self), broadcast: broadcast.clone(), publish, superseded }
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Waits until a later publish has come. May be dropped and called again.
    pub(super) async fn superseded(&self) -> Verdict {
        self.superseded.cancelled().await;
        Verdict::new(
            Code::Superseded,
            "Another publisher with the same stream key has taken over. Stop one of the two, or give each its own live.",
        )
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.on_air.seats();
        if let Some(here) = seats.get_mut(&self.broadcast) {
            here.remove(&self.publish);
            if here.is_empty() {
                seats.remove(&self.broadcast);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u32) -> PublishNo {
        PublishNo::new(n).unwrap()
    }

    #[test]
    fn only_the_latest_of_a_broadcast_stays() {
        let on_air = Arc::new(OnAir::default());
        let (one, other) = (BroadcastId::new(1, [0; 10]), BroadcastId::new(2, [0; 10]));
        let stopped = |seat: &Seat| seat.superseded.is_cancelled();
        let first = on_air.sit(&one, number(1));
        let elsewhere = on_air.sit(&other, number(1));
        let third = on_air.sit(&one, number(3));
        let late = on_air.sit(&one, number(2));
        assert_eq!([&first, &late, &third, &elsewhere].map(stopped), [true, true, false, false]);
        drop((first, late));
        let fourth = on_air.sit(&one, number(4));
        assert_eq!([&third, &fourth, &elsewhere].map(stopped), [true, false, false]);
        drop((third, fourth, elsewhere));
        assert!(on_air.seats().is_empty());
    }
}
