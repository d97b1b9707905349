//! A map bounded in bytes that forgets what was used longest ago. Pure.
//!
//! Invariant: the weights held add up to no more than the bound.

use std::collections::{BTreeMap, HashMap};

/// What an entry costs beside its body, so that empty entries are bounded too.
const ENTRY_BYTES: usize = 512;

#[derive(Debug)]
struct Slot<T> {
    value: T,
    weight: usize,
    used: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Lru<T> {
    slots: HashMap<String, Slot<T>>,
    by_use: BTreeMap<u64, String>,
    bytes: usize,
    bytes_max: usize,
    uses: u64,
}

impl<T> Lru<T> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { slots: HashMap::new(), by_use: BTreeMap::new(), bytes: 0, bytes_max, uses: 0 }
    }

    pub(crate) fn get(&mut self, key: &str) -> Option<&T> {
        let slot = self.slots.get_mut(key)?;
        if let Some(key) = self.by_use.remove(&slot.used) {
            self.uses += 1;
            slot.used = self.uses;
            self.by_use.insert(self.uses, key);
        }
        Some(&slot.value)
    }

    /// Holds `value`, unless it alone is beyond the bound.
    pub(crate) fn insert(&mut self, key: &str, value: T, body_bytes: usize) {
        self.remove(key);
        let weight = body_bytes.saturating_add(key.len()).saturating_add(ENTRY_BYTES);
        if weight > self.bytes_max {
            return;
        }
        while self.bytes.saturating_add(weight) > self.bytes_max {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.remove(&oldest);
        }
        self.uses += 1;
        self.by_use.insert(self.uses, key.to_owned());
        self.slots.insert(key.to_owned(), Slot { value, weight, used: self.uses });
        self.bytes += weight;
    }

    pub(crate) fn remove(&mut self, key: &str) {
        if let Some(slot) = self.slots.remove(key) {
            self.by_use.remove(&slot.used);
            self.bytes -= slot.weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_unused_goes_first() {
        let mut lru = Lru::new(2 * (ENTRY_BYTES + 11));
        lru.insert("a", 'a', 10);
        lru.insert("b", 'b', 10);
        assert_eq!(lru.get("a"), Some(&'a'));
        lru.insert("c", 'c', 10);
        assert_eq!(lru.get("b"), None);
        assert_eq!(lru.get("a"), Some(&'a'));
        assert_eq!(lru.bytes, 2 * (ENTRY_BYTES + 11));
        lru.insert("d", 'd', 10_000);
        assert_eq!(lru.get("d"), None, "larger than the whole cache");
        assert_eq!(lru.get("a"), Some(&'a'));
    }

    proptest! {
        #[test]
        fn the_books_balance(steps in prop::collection::vec(("[a-f]", 0_usize..3000, any::<bool>()), 0..60)) {
            let mut lru = Lru::new(4000);
            for (key, bytes, read) in steps {
                if read { lru.get(&key); } else { lru.insert(&key, (), bytes); }
                prop_assert!(lru.bytes <= lru.bytes_max);
                prop_assert_eq!(lru.bytes, lru.slots.values().map(|s| s.weight).sum::<usize>());
                prop_assert_eq!(lru.by_use.len(), lru.slots.len());
                for (used, key) in &lru.by_use {
                    prop_assert_eq!(lru.slots[key].used, *used);
                }
            }
        }
    }
}
