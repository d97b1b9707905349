//! A model of the table: rows in order, writes under conditions, several at once or none.
//!
//! Invariant: [`Rows::write`] changes every row that it names or none.

use std::collections::BTreeMap;

use service::table::{
    PK, SK,
    store::{Action, Change, Condition, Item, Key, Query, Value, Write},
};

/// All rows.
#[derive(Debug, Clone, Default)]
pub struct Rows(BTreeMap<Key, Item>);

/// Why nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A condition does not hold.
    Condition,
    /// DynamoDB does not take such a request: one row twice in a transaction, or a sum with something that is no number.
    Invalid,
}

/// A row that a write has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Which row.
    pub key: Key,
    /// As it was, if it was there.
    pub before: Option<Item>,
    /// As it is, if it is there.
    pub after: Option<Item>,
}

impl Rows {
    /// One row.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Item> {
        self.0.get(key)
    }

    /// All rows of a partition whose sort keys start with `prefix`, in order.
    pub fn of<'a>(
        &'a self,
        pk: &'a str,
        prefix: &'a str,
    ) -> impl DoubleEndedIterator<Item = (&'a Key, &'a Item)> {
        // The last key that starts so is before any that starts with the prefix and the highest character.
        let (from, to) = (Key::new(pk, prefix), Key::new(pk, format!("{prefix}\u{10ffff}")));
        self.0.range(from..to)
    }

    /// All rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Item)> {
        self.0.iter()
    }

    /// Some rows, as DynamoDB answers a query.
    #[must_use]
    pub fn query(&self, query: &Query) -> Vec<Item> {
        let rows = self.of(&query.pk, &query.prefix).map(|(_, item)| item.clone());
        if query.backwards {
            rows.rev().take(query.limit).collect()
        } else {
            rows.take(query.limit).collect()
        }
    }

    /// Carries out all writes or none.
    ///
    /// # Errors
    /// When a condition does not hold, or the request is none.
    pub fn write(&mut self, writes: &[Write]) -> Result<Vec<Changed>, Refusal> {
        let mut changed: Vec<Changed> = Vec::with_capacity(writes.len());
        for write in writes {
            if changed.iter().any(|other| other.key == write.key) {
                return Err(Refusal::Invalid);
            }
            let before = self.0.get(&write.key).cloned();
            if !write.conditions.iter().all(|condition| holds(condition, before.as_ref())) {
                return Err(Refusal::Condition);
            }
            let after = apply(write, before.as_ref())?;
            changed.push(Changed { key: write.key.clone(), before, after });
        }
        for Changed { key, after, .. } in &changed {
            match after {
                Some(item) => drop(self.0.insert(key.clone(), item.clone())),
                None => drop(self.0.remove(key)),
            }
        }
        Ok(changed)
    }
}

/// Whether a condition holds of a row as it is.
fn holds(condition: &Condition, row: Option<&Item>) -> bool {
    let value = |name: &str| row.and_then(|row| row.get(name));
    match condition {
        Condition::Is(name, expected) => value(name) == Some(expected),
        Condition::IsNot(name, other) => value(name).is_some_and(|value| value != other),
        Condition::Present(name) => value(name).is_some(),
        Condition::Absent(name) => value(name).is_none(),
        Condition::AbsentOr(name, expected) => value(name).is_none_or(|value| value == expected),
    }
}

fn keyed(key: &Key) -> Item {
    Item::from([(PK.to_owned(), key.pk.as_str().into()), (SK.to_owned(), key.sk.as_str().into())])
}

/// The row as it will be. Every change sees the row as it was before the write, as in DynamoDB.
fn apply(write: &Write, before: Option<&Item>) -> Result<Option<Item>, Refusal> {
    let changes = match &write.action {
        Action::Delete => return Ok(None),
        Action::Put(attributes) => {
            let mut item = keyed(&write.key);
            item.extend(attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            return Ok(Some(item));
        }
        Action::Update(changes) => changes,
    };
    let mut item = before.cloned().unwrap_or_else(|| keyed(&write.key));
    for change in changes {
        match change {
            Change::Set(name, value) => drop(item.insert((*name).to_owned(), value.clone())),
            Change::SetIfAbsent(name, value) => {
                let old = before.and_then(|before| before.get(*name));
                item.insert((*name).to_owned(), old.unwrap_or(value).clone());
            }
            Change::Add(name, by) => {
                let old = match before.and_then(|before| before.get(*name)) {
                    Some(Value::Number(number)) => *number,
                    Some(_) => return Err(Refusal::Invalid),
                    None => 0,
                };
                item.insert((*name).to_owned(), Value::Number(old + i128::from(*by)));
            }
            Change::Remove(name) => drop(item.remove(*name)),
        }
    }
    Ok(Some(item))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sk: &str) -> Key {
        Key::new("P", sk)
    }

    #[test]
    fn a_transaction_takes_place_whole_or_not() {
        let mut rows = Rows::default();
        let create = |sk| Write::create(key(sk), vec![("n", 1u32.into())]);
        assert!(rows.write(&[create("a"), create("b")]).is_ok());
        assert_eq!(rows.write(&[create("c"), create("a")]), Err(Refusal::Condition));
        assert_eq!(rows.get(&key("c")), None);
        assert_eq!(rows.write(&[create("d"), create("d")]), Err(Refusal::Invalid));
    }

    #[test]
    fn queries_keep_to_their_prefix() {
        let mut rows = Rows::default();
        for sk in ["A", "A#1", "A#2", "B"] {
            rows.write(&[Write::put(key(sk), vec![])]).unwrap();
        }
        let query =
            |backwards, limit| Query { pk: "P".to_owned(), prefix: "A#".to_owned(), backwards, limit };
        let found = |backwards, limit| -> Vec<Value> {
            rows.query(&query(backwards, limit)).iter().map(|row| row["sk"].clone()).collect()
        };
        assert_eq!(found(false, 9), ["A#1".into(), "A#2".into()]);
        assert_eq!(found(true, 1), ["A#2".into()]);
    }
}
