//! A model of the bucket: objects by key, writes that create only or compare and swap, listings in order.
//!
//! Entity tags follow from the bytes alone, as S3's do: a write of the same bytes leaves the tag as it is.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    hash::{DefaultHasher, Hasher},
    ops::Bound,
};

use bytes::Bytes;
use service::bucket::{Condition, META_BROADCAST, META_EPOCH, META_SOURCE, Object, Put, Write};

/// An object as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its entity tag.
    pub etag: String,
    /// `x-amz-meta-*`.
    pub meta: Vec<(&'static str, String)>,
}

impl Stored {
    fn meta(&self, name: &str) -> Option<&str> {
        self.meta.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// The epoch that its metadata names.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.meta(META_EPOCH).and_then(|epoch| epoch.parse().ok())
    }

    /// The broadcast that its metadata names.
    #[must_use]
    pub fn broadcast(&self) -> Option<&str> {
        self.meta(META_BROADCAST)
    }

    /// As the production code reads it.
    #[must_use]
    pub fn read(&self) -> Object {
        Object {
            bytes: self.bytes.clone(),
            etag: self.etag.clone(),
            epoch: self.epoch(),
            broadcast: self.broadcast().map(str::to_owned),
            source: self.meta(META_SOURCE).map(str::to_owned),
        }
    }
}

/// All objects.
#[derive(Debug, Clone, Default)]
pub struct Objects(BTreeMap<String, Stored>);

impl Objects {
    /// One object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Stored> {
        self.0.get(key)
    }

    /// Writes an object under its condition; returns what was there before a write that took place.
    pub fn put(&mut self, write: &Write) -> (Put, Option<Stored>) {
        let stored =
            Stored { bytes: write.bytes.clone(), etag: etag(&write.bytes), meta: write.meta.clone() };
        let put = Put::Stored(stored.etag.clone());
        match (self.0.entry(write.key.clone()), &write.condition) {
            (Entry::Vacant(free), Condition::Absent | Condition::Always) => {
                free.insert(stored);
                (put, None)
            }
            (Entry::Occupied(mut there), Condition::Always) => (put, Some(there.insert(stored))),
            (Entry::Occupied(mut there), Condition::Matches(etag)) if there.get().etag == *etag => {
                (put, Some(there.insert(stored)))
            }
            (Entry::Vacant(_), Condition::Matches(_))
            | (Entry::Occupied(_), Condition::Absent | Condition::Matches(_)) => (Put::Conflict, None),
        }
    }

    /// Removes an object, if it is there.
    pub fn delete(&mut self, key: &str) -> Option<Stored> {
        self.0.remove(key)
    }

    /// All objects under a prefix, in the order of their keys.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Stored)> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let all = self.0.range::<str, _>(from).map(|(key, stored)| (key.as_str(), stored));
        all.take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// The keys under a prefix after a key, in order; at most so many.
    #[must_use]
    pub fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
        let keys = self.under(prefix).map(|(key, _)| key);
        keys.filter(|key| after.is_none_or(|after| *key > after)).take(limit).map(str::to_owned).collect()
    }
}

/// The entity tag of these bytes.
fn etag(bytes: &Bytes) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("\"{:016x}\"", hasher.finish())
}

#[cfg(test)]
mod tests {
    use service::bucket::Kind;

    use super::*;

    #[test]
    fn writes_keep_to_their_conditions() {
        let mut objects = Objects::default();
        let mut put = |text: &'static str, condition| {
            let bytes = Bytes::from_static(text.as_bytes());
            objects
                .put(&Write {
                    key: "k".to_owned(),
                    bytes,
                    sha256: None,
                    kind: Kind::CHUNK,
                    condition,
                    meta: vec![],
                })
                .0
        };
        assert_eq!(put("a", Condition::Matches("\"x\"".to_owned())), Put::Conflict);
        let Put::Stored(first) = put("a", Condition::Absent) else { panic!() };
        assert_eq!(put("b", Condition::Absent), Put::Conflict);
        let Put::Stored(second) = put("b", Condition::Matches(first.clone())) else { panic!() };
        assert_eq!(put("c", Condition::Matches(first)), Put::Conflict);
        assert_ne!(put("c", Condition::Matches(second)), Put::Conflict);
    }

    #[test]
    fn listings_are_in_order_and_after() {
        let mut objects = Objects::default();
        for key in ["a/2", "a/1", "a/10", "b/1", "a"] {
            let write = Write {
                key: key.to_owned(),
                bytes: Bytes::new(),
                sha256: None,
                kind: Kind::CHUNK,
                condition: Condition::Always,
                meta: vec![],
            };
            objects.put(&write);
        }
        assert_eq!(objects.list("a/", None, 9), ["a/1", "a/10", "a/2"]);
        assert_eq!(objects.list("a/", Some("a/1"), 1), ["a/10"]);
    }
}
