//! The seam to DynamoDB: what gopcast asks of a table, as data. A write is a key, an action and the conditions it stands under, so that
//! whoever carries it out (DynamoDB, or a model of it) sees the whole fence.
//!
//! Invariants: a list of writes takes place whole or not at all; all reads are consistent.

use std::{collections::BTreeMap, fmt};

use super::TableError;
use crate::BoxFuture;

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `S`.
    Text(String),
    /// `N`; gopcast only keeps whole numbers.
    Number(i128),
    /// `BOOL`.
    Flag(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
macro_rules! number {
    ($($kind:ty),*) => { $(impl From<$kind> for Value {
        fn from(number: $kind) -> Self {
            Self::Number(i128::from(number))
        }
    })* };
}
number!(u32, u64, i64);

/// A row's attributes, its keys among them.
pub type Item = BTreeMap<String, Value>;

/// Which row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

impl Key {
    /// A row's key.
    pub fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }
}

/// What must hold of a row as it is before the write. Attributes of a row that is not there are absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The attribute has this value.
    Is(&'static str, Value),
    /// The attribute is there and has another value.
    IsNot(&'static str, Value),
    /// The attribute is there.
    Present(&'static str),
    /// The attribute is not there.
    Absent(&'static str),
    /// The attribute is not there, or has this value.
    AbsentOr(&'static str, Value),
}

impl Condition {
    /// The attribute is as it was seen.
    #[must_use]
    pub fn seen(name: &'static str, value: Option<Value>) -> Self {
        match value {
            Some(value) => Self::Is(name, value),
            None => Self::Absent(name),
        }
    }
}

/// What is done to a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The row becomes this (and its keys).
    Put(Vec<(&'static str, Value)>),
    /// Attributes change; the row is made if there is none.
    Update(Vec<Change>),
    /// The row goes.
    Delete,
}

/// One attribute's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It becomes this.
    Set(&'static str, Value),
    /// It becomes this if it is not there.
    SetIfAbsent(&'static str, Value),
    /// It grows by this; from 0 if it is not there.
    Add(&'static str, i64),
    /// It goes.
    Remove(&'static str),
}

/// A write of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which row.
    pub key: Key,
    /// What happens to it.
    pub action: Action,
    /// All must hold.
    pub conditions: Vec<Condition>,
}

impl Write {
    /// A row is put.
    #[must_use]
    pub fn put(key: Key, attributes: Vec<(&'static str, Value)>) -> Self {
        Self { key, action: Action::Put(attributes), conditions: Vec::new() }
    }
    /// A row is put if there is none.
    #[must_use]
    pub fn create(key: Key, attributes: Vec<(&'static str, Value)>) -> Self {
        Self { key, action: Action::Put(attributes), conditions: vec![Condition::Absent(super::PK)] }
    }
    /// A row's attributes change.
    #[must_use]
    pub fn update(key: Key, changes: Vec<Change>) -> Self {
        Self { key, action: Action::Update(changes), conditions: Vec::new() }
    }
    /// A row goes.
    #[must_use]
    pub fn delete(key: Key) -> Self {
        Self { key, action: Action::Delete, conditions: Vec::new() }
    }
    /// Under one more condition.
    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }
}

/// Rows of one partition, in the order of their sort keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Which partition.
    pub pk: String,
    /// Sort keys that start so.
    pub prefix: String,
    /// From the last backwards.
    pub backwards: bool,
    /// At most so many.
    pub limit: usize,
}

/// A table.
pub trait Store: fmt::Debug + Send + Sync {
    /// One row.
    fn get(&self, key: Key) -> BoxFuture<Result<Option<Item>, TableError>>;
    /// Some rows.
    fn query(&self, query: Query) -> BoxFuture<Result<Vec<Item>, TableError>>;
    /// Writes, all or none. `operation` is what errors call it.
    fn write(&self, operation: &'static str, writes: Vec<Write>) -> BoxFuture<Result<(), TableError>>;
}
