//! The seam carried out by DynamoDB: writes become condition and update expressions, replies become rows.

use std::{collections::HashMap, fmt::Write as _};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    error::{BuildError, ProvideErrorMetadata, SdkError},
    types::{AttributeValue, Delete, Put, TransactWriteItem, Update},
};

use super::{
    PK, SK, TableError,
    store::{Action, Change, Condition, Item, Key, Query, Store, Value, Write},
};
use crate::{BoxFuture, aws::is_transient};

/// The table, and the client to reach it.
#[derive(Debug, Clone)]
pub(super) struct Dynamo {
    client: Client,
    name: String,
}

impl Dynamo {
    pub(super) fn new(config: &SdkConfig, name: String) -> Self {
        Self { client: Client::new(config), name }
    }

    async fn write_one(self, operation: &'static str, write: Write) -> Result<(), TableError> {
        let Write { key, action, conditions } = write;
        let mut said = Expression::default();
        let condition = said.conditions(&conditions);
        match action {
            Action::Put(attributes) => {
                let call = self.client.put_item().table_name(self.name).set_item(Some(row(&key, attributes)));
                let call =
                    call.set_condition_expression(condition).set_expression_attribute_names(said.names());
                let call = call.set_expression_attribute_values(said.values());
                call.send().await.map(|_| ()).map_err(|error| fail(operation, &error))
            }
            Action::Update(changes) => {
                let change = said.changes(&changes);
                let call = self.client.update_item().table_name(self.name).set_key(Some(spell_key(&key)));
                let call = call.update_expression(change).set_condition_expression(condition);
                let call = call.set_expression_attribute_names(said.names());
                let call = call.set_expression_attribute_values(said.values());
                call.send().await.map(|_| ()).map_err(|error| fail(operation, &error))
            }
            Action::Delete => {
                let call = self.client.delete_item().table_name(self.name).set_key(Some(spell_key(&key)));
                let call =
                    call.set_condition_expression(condition).set_expression_attribute_names(said.names());
                let call = call.set_expression_attribute_values(said.values());
                call.send().await.map(|_| ()).map_err(|error| fail(operation, &error))
            }
        }
    }

    fn item(&self, write: Write) -> Result<TransactWriteItem, BuildError> {
        let Write { key, action, conditions } = write;
        let mut said = Expression::default();
        let condition = said.conditions(&conditions);
        let item = TransactWriteItem::builder();
        Ok(match action {
            Action::Put(attributes) => {
                let put = Put::builder().table_name(&self.name).set_item(Some(row(&key, attributes)));
                let put =
                    put.set_condition_expression(condition).set_expression_attribute_names(said.names());
                item.put(put.set_expression_attribute_values(said.values()).build()?)
            }
            Action::Update(changes) => {
                let change = said.changes(&changes);
                let update = Update::builder().table_name(&self.name).set_key(Some(spell_key(&key)));
                let update = update.update_expression(change).set_condition_expression(condition);
                let update = update.set_expression_attribute_names(said.names());
                item.update(update.set_expression_attribute_values(said.values()).build()?)
            }
            Action::Delete => {
                let delete = Delete::builder().table_name(&self.name).set_key(Some(spell_key(&key)));
                let delete = delete.set_condition_expression(condition);
                let delete = delete.set_expression_attribute_names(said.names());
                item.delete(delete.set_expression_attribute_values(said.values()).build()?)
            }
        }
        .build())
    }
}

impl Store for Dynamo {
    fn get(&self, key: Key) -> BoxFuture<Result<Option<Item>, TableError>> {
        let call = self.client.get_item().table_name(&self.name).consistent_read(true);
        Box::pin(async move {
            let reply = call.set_key(Some(spell_key(&key))).send().await.map_err(|e| fail("get", &e))?;
            Ok(reply.item.map(read))
        })
    }

    fn query(&self, query: Query) -> BoxFuture<Result<Vec<Item>, TableError>> {
        let this = self.clone();
        Box::pin(async move {
            let Query { pk, prefix, backwards, limit } = query;
            let (mut rows, mut from) = (Vec::new(), None);
            // DynamoDB counts in i32; a page of 1 MB comes first anyway.
            let page = i32::try_from(limit).ok();
            loop {
                let mut call = this.client.query().table_name(&this.name).consistent_read(true);
                call = call.scan_index_forward(!backwards).set_limit(page);
                call = call.expression_attribute_names("#pk", PK);
                call = call.expression_attribute_values(":pk", AttributeValue::S(pk.clone()));
                call = if prefix.is_empty() {
                    call.key_condition_expression("#pk = :pk")
                } else {
                    call.key_condition_expression("#pk = :pk AND begins_with(#sk, :prefix)")
                        .expression_attribute_names("#sk", SK)
                        .expression_attribute_values(":prefix", AttributeValue::S(prefix.clone()))
                };
                let reply = call.set_exclusive_start_key(from.take()).send().await;
                let reply = reply.map_err(|e| fail("query", &e))?;
                rows.extend(reply.items.unwrap_or_default().into_iter().map(read));
                from = reply.last_evaluated_key.filter(|key| !key.is_empty());
                if from.is_none() || rows.len() >= limit {
                    rows.truncate(limit);
                    return Ok(rows);
                }
            }
        })
    }

    fn write(&self, operation: &'static str, mut writes: Vec<Write>) -> BoxFuture<Result<(), TableError>> {
        let this = self.clone();
        Box::pin(async move {
            if writes.len() == 1
                && let Some(write) = writes.pop()
            {
                return this.write_one(operation, write).await;
            }
            let items = writes.into_iter().map(|write| this.item(write)).collect::<Result<Vec<_>, _>>();
            let items = items.map_err(|error| TableError::Call {
                operation,
                message: error.to_string(),
                transient: false,
            })?;
            let sent = this.client.transact_write_items().set_transact_items(Some(items)).send().await;
            sent.map(|_| ()).map_err(|error| fail(operation, &error))
        })
    }
}

/// Expressions of one write, and what their placeholders stand for. Every name is a placeholder: some are reserved words.
#[derive(Debug, Default)]
struct Expression {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Expression {
    fn name(&mut self, name: &str) -> String {
        let placeholder = format!("#{name}");
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    fn value(&mut self, value: &Value) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), spell(value));
        placeholder
    }

    /// `None` when there is no condition.
    fn conditions(&mut self, conditions: &[Condition]) -> Option<String> {
        let parts: Vec<_> = conditions
            .iter()
            .map(|condition| match condition {
                Condition::Is(name, value) => format!("{} = {}", self.name(name), self.value(value)),
                Condition::IsNot(name, value) => {
                    let (name, value) = (self.name(name), self.value(value));
                    format!("(attribute_exists({name}) AND {name} <> {value})")
                }
                Condition::Present(name) => format!("attribute_exists({})", self.name(name)),
                Condition::Absent(name) => format!("attribute_not_exists({})", self.name(name)),
                Condition::AbsentOr(name, value) => {
                    let (name, value) = (self.name(name), self.value(value));
                    format!("(attribute_not_exists({name}) OR {name} = {value})")
                }
            })
            .collect();
        (!parts.is_empty()).then(|| parts.join(" AND "))
    }

    fn changes(&mut self, changes: &[Change]) -> String {
        let (mut set, mut add, mut remove) = (Vec::new(), Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Set(name, value) => set.push(format!("{} = {}", self.name(name), self.value(value))),
                Change::SetIfAbsent(name, value) => {
                    let (name, value) = (self.name(name), self.value(value));
                    set.push(format!("{name} = if_not_exists({name}, {value})"));
                }
                Change::Add(name, by) => {
                    add.push(format!("{} {}", self.name(name), self.value(&Value::from(*by))));
                }
                Change::Remove(name) => remove.push(self.name(name)),
            }
        }
        let mut text = String::new();
        for (verb, parts) in [("SET", set), ("ADD", add), ("REMOVE", remove)] {
            if !parts.is_empty() {
                // Writing to a string can't fail.
                let _ = write!(text, "{verb} {} ", parts.join(", "));
            }
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn names(&mut self) -> Option<HashMap<String, String>> {
        (!self.names.is_empty()).then(|| std::mem::take(&mut self.names))
    }

    fn values(&mut self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then(|| std::mem::take(&mut self.values))
    }
}

fn spell(value: &Value) -> AttributeValue {
    match value {
        Value::Text(text) => AttributeValue::S(text.clone()),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::Flag(flag) => AttributeValue::Bool(*flag),
    }
}

fn spell_key(key: &Key) -> HashMap<String, AttributeValue> {
    HashMap::from([
        (PK.to_owned(), AttributeValue::S(key.pk.clone())),
        (SK.to_owned(), AttributeValue::S(key.sk.clone())),
    ])
}

fn row(key: &Key, attributes: Vec<(&'static str, Value)>) -> HashMap<String, AttributeValue> {
    let mut row = spell_key(key);
    row.extend(attributes.into_iter().map(|(name, value)| (name.to_owned(), spell(&value))));
    row
}

/// A row as it came. Attributes of other kinds are none of ours.
fn read(item: HashMap<String, AttributeValue>) -> Item {
    let value = |value: AttributeValue| match value {
        AttributeValue::S(text) => Some(Value::Text(text)),
        AttributeValue::N(number) => Some(number.parse().map_or(Value::Text(number), Value::Number)),
        AttributeValue::Bool(flag) => Some(Value::Flag(flag)),
        _ => None,
    };
    item.into_iter().filter_map(|(name, v)| Some((name, value(v)?))).collect()
}

/// Turns an SDK error into ours. A cancelled transaction is a conflict if a condition failed, transient if it met another writer.
fn fail<E>(operation: &'static str, error: &SdkError<E>) -> TableError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error.code();
    let message = aws_smithy_types::error::display::DisplayErrorContext(error).to_string();
    if code == Some("ConditionalCheckFailedException") {
        return TableError::Conflict(operation);
    }
    if code == Some("TransactionCanceledException") {
        // The message lists the reasons: "[ConditionalCheckFailed, None]".
        if message.contains("ConditionalCheckFailed") {
            return TableError::Conflict(operation);
        }
        let passing = ["TransactionConflict", "Throttl", "ProvisionedThroughputExceeded"];
        let transient = passing.iter().any(|reason| message.contains(reason));
        return TableError::Call { operation, message, transient };
    }
    let status = error.raw_response().map(|r| r.status().as_u16());
    TableError::Call { operation, transient: is_transient(error, code, status), message }
}
