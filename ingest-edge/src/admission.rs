//! How many connections may be open: in all, and from one address. Whoever has shown a valid key keeps its place; the others only wait in
//! theirs, and where there is none left a newcomer takes that of whoever has waited longest: so nobody keeps publishers out by holding
//! connections open and saying nothing.
//!
//! Invariants: every [`Slot`] given out is counted until it is dropped or displaced; no slot is displaced that is settled; and no address
//! takes more places of others than leaves them as many waiting as it has itself.
//!
//! An IPv6 address counts as its /64, which is what one customer is given at the least: there are more addresses in it than could be counted.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// The connections of one address.
#[derive(Debug, Default)]
struct Here {
    open: usize,
    /// Those of them that are not settled, in the order in which they came.
    waiting: BTreeMap<u64, CancellationToken>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    /// Numbers the connections.
    came: u64,
    by_address: HashMap<IpAddr, Here>,
}

/// The count of open connections and its bounds.
#[derive(Debug)]
pub struct Admission {
    max: usize,
    per_address_max: usize,
    open: Mutex<Open>,
}

/// Why a connection is not taken: nobody waits whose place it could have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The process has as many as it takes.
    #[error("too many connections")]
    All,
    /// The address has as many as one may have.
    #[error("too many connections from one address")]
    Address,
}

impl Full {
    /// Which bound, for metrics.
    #[must_use]
    pub fn bound(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Address => "address",
        }
    }
}

/// The right to one open connection.
#[derive(Debug)]
pub struct Slot {
    admission: Arc<Admission>,
    address: IpAddr,
    number: u64,
    displaced: CancellationToken,
}

impl Admission {
    /// Bounds on connections in all and per address.
    #[must_use]
    pub fn new(max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self { max, per_address_max, open: Mutex::default() })
    }

    /// Admits one more connection from `address`, if need be in the place of one that waits.
    ///
    /// # Errors
    /// When a bound is reached, and nobody waits who could be displaced.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Slot, Full> {
        let address = counted(address);
        let mut open = self.open();
        if open.by_address.get(&address).is_some_and(|here| here.open >= self.per_address_max) {
            open.displace(address).ok_or(Full::Address)?;
        } else if open.all >= self.max {
            open.most_waiting(address).and_then(|most| open.displace(most)).ok_or(Full::All)?;
        }
        let (number, displaced) = (open.came, CancellationToken::new());
        open.came += 1;
        open.all += 1;
        let here = open.by_address.entry(address).or_default();
        here.open += 1;
        here.waiting.insert(number, displaced.clone());
        Ok(Slot { admission: Arc::clone(self), address, number, displaced })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// The address with the most connections that wait, if a newcomer from `address` has a better claim to a place than the oldest of them.
    fn most_waiting(&self, address: IpAddr) -> Option<IpAddr> {
        let own = self.by_address.get(&address).map_or(0, |here| here.waiting.len());
        let most = self.by_address.iter().max_by_key(|(_, here)| here.waiting.len());
        let (other, waiting) = most.map(|(other, here)| (*other, here.waiting.len()))?;
        if waiting >= own + 2 { Some(other) } else { (own > 0).then_some(address) }
    }

    /// Takes the place of the connection from `address` that has waited longest.
    fn displace(&mut self, address: IpAddr) -> Option<()> {
        let (_, displaced) = self.by_address.get_mut(&address)?.waiting.pop_first()?;
        displaced.cancel();
        self.leaves(address);
        Some(())
    }

    fn leaves(&mut self, address: IpAddr) {
        self.all = self.all.saturating_sub(1);
        if let Some(here) = self.by_address.get_mut(&address) {
            here.open = here.open.saturating_sub(1);
            if here.open == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl Slot {
    /// Cancelled when a newcomer has taken the place: the connection is to be closed at once.
    #[must_use]
    pub fn displaced(&self) -> CancellationToken {
        self.displaced.clone()
    }

    /// The connection has shown a valid key: it keeps its place from here on. False when that is gone already.
    #[must_use]
    pub fn settle(&self) -> bool {
        self.waits_no_more(&mut self.admission.open())
    }

    /// Whether it still has its place. Asked under the lock, as that is taken.
    fn waits_no_more(&self, open: &mut Open) -> bool {
        if let Some(here) = open.by_address.get_mut(&self.address) {
            here.waiting.remove(&self.number);
        }
        !self.displaced.is_cancelled()
    }
}

/// What an address is counted as.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.admission.open();
        if self.waits_no_more(&mut open) {
            open.leaves(self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(admission: &Arc<Admission>, address: &str) -> Result<Slot, Full> {
        admission.admit(address.parse().unwrap())
    }

    fn settled(admission: &Arc<Admission>, address: &str) -> Slot {
        let slot = admit(admission, address).unwrap();
        assert!(slot.settle());
        slot
    }

    fn displaced(slots: &[Slot]) -> Vec<bool> {
        slots.iter().map(|slot| slot.displaced.is_cancelled()).collect()
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_a_mapped_address_as_itself() {
        let admission = Admission::new(9, 1);
        let _slots = ["2001:db8::1", "2001:db8:0:1::1", "::ffff:192.0.2.1"]
            .map(|address| settled(&admission, address));
        for taken in ["2001:db8::ffff:1", "2001:db8:0:1:9::", "192.0.2.1"] {
            assert_eq!(admit(&admission, taken).unwrap_err(), Full::Address, "{taken}");
        }
    }

    #[test]
    fn slots_are_counted_and_given_back() {
        let admission = Admission::new(3, 2);
        let (a, b) = ("192.0.2.1", "192.0.2.2");
        let first = settled(&admission, a);
        let _second = settled(&admission, a);
        assert_eq!(admit(&admission, a).unwrap_err(), Full::Address);
        let third = admit(&admission, b).unwrap();
        drop(first);
        let again = settled(&admission, a);
        drop(third);
        let _third = settled(&admission, b);
        assert_eq!(admit(&admission, b).unwrap_err(), Full::All);
        drop(again);
        assert!(admit(&admission, b).is_ok());
        assert_eq!(admission.open().by_address.len(), 2);
    }

    #[test]
    fn who_holds_an_address_s_places_and_says_nothing_makes_room_the_oldest_first() {
        let admission = Admission::new(9, 3);
        let slots = ["192.0.2.1"; 3].map(|address| admit(&admission, address).unwrap());
        assert!(slots[0].settle());
        let newcomer = settled(&admission, "192.0.2.1");
        assert_eq!(displaced(&slots), [false, true, false]);
        assert!(!slots[1].settle(), "too late");
        let _another = settled(&admission, "192.0.2.1");
        assert_eq!(displaced(&slots), [false, true, true]);
        assert_eq!(admit(&admission, "192.0.2.1").unwrap_err(), Full::Address);
        drop(slots);
        drop(newcomer);
        assert_eq!(admission.open().all, 1, "what was displaced is not counted out twice");
    }

    #[test]
    fn who_holds_the_most_places_makes_room_for_others_and_not_they_for_him() {
        let admission = Admission::new(5, 5);
        let crowd: Vec<_> = (0..4).map(|_| admit(&admission, "192.0.2.1").unwrap()).collect();
        let other = [admit(&admission, "192.0.2.2").unwrap()];
        let (second, third) =
            (admit(&admission, "192.0.2.2").unwrap(), admit(&admission, "192.0.2.3").unwrap());
        assert_eq!(displaced(&crowd), [true, true, false, false]);
        // Each as many as the other, or one fewer: those of the same address take turns, a newcomer from elsewhere has its first.
        let _own = admit(&admission, "192.0.2.1").unwrap();
        assert_eq!((displaced(&crowd), displaced(&other)), (vec![true, true, true, false], vec![false]));
        assert!(!second.displaced.is_cancelled() && !third.displaced.is_cancelled());
        assert_eq!(admission.open().all, 5);
    }

    #[test]
    fn nobody_takes_the_only_place_of_another_who_waits() {
        let admission = Admission::new(2, 2);
        let _settled = settled(&admission, "192.0.2.1");
        let waiting = [admit(&admission, "192.0.2.2").unwrap()];
        assert_eq!(admit(&admission, "192.0.2.3").unwrap_err(), Full::All);
        assert_eq!(displaced(&waiting), [false]);
    }
}
