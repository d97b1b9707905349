//! How many connections may be open: in all, and from one address. Invariant: every [`Slot`] given out is counted until it is dropped.
//!
//! An IPv6 address counts as its /64, which is what one customer is given at the least: there are more addresses in it than could be counted.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The count of open connections and its bounds.
#[derive(Debug)]
pub struct Admission {
    max: usize,
    per_address_max: usize,
    open: Mutex<Open>,
}

/// Why a connection is not taken.
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
}

impl Admission {
    /// Bounds on connections in all and per address.
    #[must_use]
    pub fn new(max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self { max, per_address_max, open: Mutex::default() })
    }

    /// Admits one more connection from `address`.
    ///
    /// # Errors
    /// When a bound is reached.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Slot, Full> {
        let address = counted(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= self.max {
            return Err(Full::All);
        }
        let here = open.by_address.entry(address).or_default();
        if *here >= self.per_address_max {
            return Err(Full::Address);
        }
        *here += 1;
        open.all += 1;
        Ok(Slot { admission: Arc::clone(self), address })
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
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all = open.all.saturating_sub(1);
        if let Some(here) = open.by_address.get_mut(&self.address) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_counts_as_one_and_a_mapped_address_as_itself() {
        let admission = Admission::new(9, 1);
        let admit = |address: &str| admission.admit(address.parse().unwrap());
        let _slots = [
            admit("2001:db8::1").unwrap(),
            admit("2001:db8:0:1::1").unwrap(),
            admit("::ffff:192.0.2.1").unwrap(),
        ];
        for taken in ["2001:db8::ffff:1", "2001:db8:0:1:9::", "192.0.2.1"] {
            assert_eq!(admit(taken).unwrap_err(), Full::Address, "{taken}");
        }
    }

    #[test]
    fn slots_are_counted_and_given_back() {
        let admission = Admission::new(3, 2);
        let (a, b): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = admission.admit(a).unwrap();
        let _second = admission.admit(a).unwrap();
        assert_eq!(admission.admit(a).unwrap_err(), Full::Address);
        let _third = admission.admit(b).unwrap();
        assert_eq!(admission.admit(b).unwrap_err(), Full::All);
        drop(first);
        let _again = admission.admit(a).unwrap();
        assert_eq!(admission.open.lock().unwrap().by_address.len(), 2);
    }
}
