//! What is relied on in DynamoDB: conditional writes, transactions with their reasons, queries in order and by page, time to live
//! (Amazon DynamoDB Developer Guide; API reference).

use std::collections::HashMap;
use std::net::SocketAddr;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, Put, ReturnValue,
    ScalarAttributeType, TableStatus, TimeToLiveSpecification, TimeToLiveStatus, TransactWriteItem, Update,
};

use super::{Check, Outcome, common, want};

/// Racing writers of one row.
const RACERS: usize = 24;
/// Races of each kind.
const RACES: usize = 8;

/// A table of this run's own.
#[derive(Clone)]
pub(crate) struct Table {
    client: Client,
    name: String,
}

fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn n(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn key(pk: &str, sk: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([("pk".to_owned(), s(pk)), ("sk".to_owned(), s(sk))])
}

fn said<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
    format!("{} ({})", error.code().unwrap_or("an error without a code"), error.message().unwrap_or(""))
}

impl Table {
    pub(crate) async fn new(at: SocketAddr) -> Self {
        let client = common::dynamodb_at(at);
        let name = format!("conformance-{}", uuid::Uuid::new_v4());
        let mut make = client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
        for (attribute, role) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
            make = make
                .key_schema(
                    KeySchemaElement::builder().attribute_name(attribute).key_type(role).build().unwrap(),
                )
                .attribute_definitions(
                    AttributeDefinition::builder()
                        .attribute_name(attribute)
                        .attribute_type(ScalarAttributeType::S)
                        .build()
                        .unwrap(),
                );
        }
        make.send().await.expect("the table is made");
        loop {
            let described =
                client.describe_table().table_name(&name).send().await.expect("the table is described");
            if described.table.unwrap().table_status == Some(TableStatus::Active) {
                return Self { client, name };
            }
            tokio::task::yield_now().await;
        }
    }

    async fn put(&self, pk: &str, sk: &str, epoch: i64) -> Outcome {
        let put =
            self.client.put_item().table_name(&self.name).set_item(Some(key(pk, sk))).item("epoch", n(epoch));
        put.send().await.map(|_| ()).map_err(|e| said(&e))
    }

    async fn epoch(&self, pk: &str, sk: &str) -> Result<Option<i64>, String> {
        let get =
            self.client.get_item().table_name(&self.name).set_key(Some(key(pk, sk))).consistent_read(true);
        let got = get.send().await.map_err(|e| said(&e))?;
        Ok(got.item.and_then(|i| i.get("epoch")?.as_n().ok()?.parse().ok()))
    }

    /// The commit of a row: the binding's epoch is still this, and moves the cursor; the row is not there.
    fn commit(&self, pk: &str, epoch: i64, row: &str) -> Vec<TransactWriteItem> {
        let cursor = Update::builder()
            .table_name(&self.name)
            .set_key(Some(key(pk, "BINDING")))
            .update_expression("SET #c = :c")
            .condition_expression("epoch = :e")
            .expression_attribute_names("#c", "cursor")
            .expression_attribute_values(":c", s(row))
            .expression_attribute_values(":e", n(epoch))
            .build()
            .unwrap();
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(key(pk, row)))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .unwrap();
        vec![
            TransactWriteItem::builder().update(cursor).build(),
            TransactWriteItem::builder().put(put).build(),
        ]
    }

    /// Commits; the reasons when it was cancelled.
    async fn committed(
        &self,
        items: Vec<TransactWriteItem>,
        token: Option<&str>,
    ) -> Result<Vec<String>, String> {
        let call = self.client.transact_write_items().set_transact_items(Some(items));
        match call.set_client_request_token(token.map(str::to_owned)).send().await {
            Ok(_) => Ok(Vec::new()),
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => Ok(cancelled
                    .cancellation_reasons()
                    .iter()
                    .map(|r| r.code().unwrap_or_default().to_owned())
                    .collect()),
                _ => Err(said(&error)),
            },
        }
    }
}

pub(crate) const CHECKS: &[Check<Table>] = &[
    Check { name: "of-racing-puts-one-wins", ask: |t| Box::pin(racing_puts(t)) },
    Check { name: "of-racing-updates-one-wins", ask: |t| Box::pin(racing_updates(t)) },
    Check { name: "of-racing-transactions-one-wins", ask: |t| Box::pin(racing_transactions(t)) },
    Check { name: "a-cancelled-transaction-says-why", ask: |t| Box::pin(reasons(t)) },
    Check { name: "a-transaction-is-all-or-nothing", ask: |t| Box::pin(all_or_nothing(t)) },
    Check { name: "a-transaction-again-with-its-token-is-one", ask: |t| Box::pin(token(t)) },
    Check { name: "a-condition-that-fails-says-so", ask: |t| Box::pin(condition(t)) },
    Check { name: "an-update-returns-what-is-new", ask: |t| Box::pin(returns(t)) },
    Check { name: "queries-are-in-order-and-page", ask: |t| Box::pin(queries(t)) },
    Check { name: "a-query-ends-at-1-mb-and-goes-on", ask: |t| Box::pin(large_query(t)) },
    Check { name: "consistent-reads-see-every-write-before", ask: |t| Box::pin(consistent(t)) },
    Check { name: "time-to-live-is-enabled-once", ask: |t| Box::pin(time_to_live(t)) },
    Check { name: "an-item-above-400-kb-is-refused", ask: |t| Box::pin(too_large(t)) },
    Check { name: "an-empty-key-is-refused", ask: |t| Box::pin(empty_key(t)) },
    Check { name: "a-table-that-is-not-there-is-said-so", ask: |t| Box::pin(no_table(t)) },
];

async fn racing_puts(table: Table) -> Outcome {
    for race in 0..RACES {
        let racers: Vec<_> = (0..RACERS)
            .map(|_| {
                let put = table
                    .client
                    .put_item()
                    .table_name(&table.name)
                    .set_item(Some(key(&format!("RACE#{race}"), "META")));
                tokio::spawn(put.condition_expression("attribute_not_exists(pk)").send())
            })
            .collect();
        let mut won = 0;
        for racer in racers {
            match racer.await.unwrap() {
                Ok(_) => won += 1,
                Err(error) => want!(
                    error.code() == Some("ConditionalCheckFailedException"),
                    "a loser got {}",
                    said(&error)
                ),
            }
        }
        want!(won == 1, "{won} of {RACERS} won");
    }
    Ok(())
}

async fn racing_updates(table: Table) -> Outcome {
    table.put("UPDATE", "BINDING", 0).await?;
    for race in 0..RACES {
        let epoch = i64::try_from(race).unwrap();
        let racers: Vec<_> = (0..RACERS)
            .map(|_| {
                let update = table
                    .client
                    .update_item()
                    .table_name(&table.name)
                    .set_key(Some(key("UPDATE", "BINDING")));
                let update = update.update_expression("SET epoch = :n").condition_expression("epoch = :e");
                let update = update.expression_attribute_values(":n", n(epoch + 1));
                tokio::spawn(update.expression_attribute_values(":e", n(epoch)).send())
            })
            .collect();
        let mut won = 0;
        for racer in racers {
            match racer.await.unwrap() {
                Ok(_) => won += 1,
                Err(error) => want!(
                    error.code() == Some("ConditionalCheckFailedException"),
                    "a loser got {}",
                    said(&error)
                ),
            }
        }
        want!(won == 1, "{won} of {RACERS} won");
    }
    Ok(())
}

async fn racing_transactions(table: Table) -> Outcome {
    for race in 0..RACES {
        let pk = format!("TX#{race}");
        table.put(&pk, "BINDING", 1).await?;
        let racers: Vec<_> = (0..RACERS)
            .map(|_| {
                let (table, items) = (table.clone(), table.commit(&pk, 1, "GOP#0"));
                tokio::spawn(async move { table.committed(items, None).await })
            })
            .collect();
        let mut won = 0;
        for racer in racers {
            let reasons = racer.await.unwrap()?;
            if reasons.is_empty() {
                won += 1;
            }
            let fits =
                |r: &String| matches!(r.as_str(), "None" | "ConditionalCheckFailed" | "TransactionConflict");
            want!(reasons.iter().all(fits), "a loser got {reasons:?}");
        }
        want!(won <= 1, "{won} of {RACERS} won");
        // On AWS all may have met; then the row is put by trying again.
        if won == 0 {
            let again = table.committed(table.commit(&pk, 1, "GOP#0"), None).await?;
            want!(again.is_empty(), "tried again: {again:?}");
        }
    }
    Ok(())
}

async fn reasons(table: Table) -> Outcome {
    table.put("WHY", "BINDING", 7).await?;
    let stale = table.committed(table.commit("WHY", 6, "GOP#0"), None).await?;
    want!(stale == ["ConditionalCheckFailed", "None"], "a stale epoch: {stale:?}");
    let first = table.committed(table.commit("WHY", 7, "GOP#0"), None).await?;
    want!(first.is_empty(), "{first:?}");
    let second = table.committed(table.commit("WHY", 7, "GOP#0"), None).await?;
    want!(second == ["None", "ConditionalCheckFailed"], "a row that is there: {second:?}");
    Ok(())
}

async fn all_or_nothing(table: Table) -> Outcome {
    table.put("ALL", "BINDING", 1).await?;
    table.put("ALL", "GOP#0", 1).await?;
    let cancelled = table.committed(table.commit("ALL", 1, "GOP#0"), None).await?;
    want!(!cancelled.is_empty(), "it was taken");
    let get = table
        .client
        .get_item()
        .table_name(&table.name)
        .set_key(Some(key("ALL", "BINDING")))
        .consistent_read(true);
    let got = get.send().await.map_err(|e| said(&e))?;
    want!(got.item.is_some_and(|i| !i.contains_key("cursor")), "the cursor has moved");
    Ok(())
}

async fn token(table: Table) -> Outcome {
    table.put("TOKEN", "BINDING", 1).await?;
    let token = uuid::Uuid::new_v4().to_string();
    for time in ["first", "again"] {
        let reasons = table.committed(table.commit("TOKEN", 1, "GOP#0"), Some(&token)).await?;
        want!(reasons.is_empty(), "{time}: {reasons:?}");
    }
    Ok(())
}

async fn condition(table: Table) -> Outcome {
    table.put("COND", "META", 1).await?;
    let delete = table.client.delete_item().table_name(&table.name).set_key(Some(key("COND", "META")));
    let delete =
        delete.condition_expression("epoch = :e").expression_attribute_values(":e", n(2)).send().await;
    let error = delete.err().ok_or("it was taken")?;
    want!(error.code() == Some("ConditionalCheckFailedException"), "{}", said(&error));
    want!(table.epoch("COND", "META").await? == Some(1), "the row has changed");
    Ok(())
}

async fn returns(table: Table) -> Outcome {
    table.put("NEW", "META", 1).await?;
    let update = table.client.update_item().table_name(&table.name).set_key(Some(key("NEW", "META")));
    let update =
        update.update_expression("SET epoch = epoch + :one REMOVE gone").return_values(ReturnValue::AllNew);
    let new = update.expression_attribute_values(":one", n(1)).send().await.map_err(|e| said(&e))?;
    let epoch = new.attributes.and_then(|a| a.get("epoch").cloned());
    want!(epoch == Some(n(2)), "{epoch:?}");
    Ok(())
}

async fn queries(table: Table) -> Outcome {
    let rows: Vec<String> = (0..23).map(|i| format!("GOP#{i:012}")).collect();
    for row in rows.iter().rev() {
        table.put("QUERY", row, 1).await?;
    }
    table.put("QUERY", "META", 1).await?;
    let query = |forward: bool| {
        table
            .client
            .query()
            .table_name(&table.name)
            .consistent_read(true)
            .scan_index_forward(forward)
            .limit(10)
            .key_condition_expression("pk = :p AND begins_with(sk, :s)")
            .expression_attribute_values(":p", s("QUERY"))
            .expression_attribute_values(":s", s("GOP#"))
    };
    let pages =
        query(true).into_paginator().send().collect::<Result<Vec<_>, _>>().await.map_err(|e| said(&e))?;
    let sizes: Vec<_> = pages.iter().map(|page| page.items().len()).collect();
    want!(sizes == [10, 10, 3], "pages of {sizes:?}");
    let found: Vec<_> =
        pages.iter().flat_map(|p| p.items()).map(|i| i["sk"].as_s().cloned().unwrap_or_default()).collect();
    want!(found == rows, "{found:?}");
    let last = query(false).send().await.map_err(|e| said(&e))?;
    want!(
        last.items().first().is_some_and(|i| i["sk"] == s(rows[22].clone())),
        "backwards, another one is first"
    );
    Ok(())
}

async fn large_query(table: Table) -> Outcome {
    let text = "x".repeat(150_000);
    for i in 0..9 {
        let put =
            table.client.put_item().table_name(&table.name).set_item(Some(key("LARGE", &format!("{i}"))));
        put.item("text", s(text.clone())).send().await.map_err(|e| said(&e))?;
    }
    let query = table.client.query().table_name(&table.name).key_condition_expression("pk = :p");
    let query = query.expression_attribute_values(":p", s("LARGE"));
    let first = query.clone().send().await.map_err(|e| said(&e))?;
    want!(
        first.last_evaluated_key().is_some() && first.items().len() < 9,
        "{} items in one page",
        first.items().len()
    );
    let all =
        query.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.map_err(|e| said(&e))?;
    want!(all.len() == 9, "{} items in all", all.len());
    Ok(())
}

async fn consistent(table: Table) -> Outcome {
    for epoch in 0..40 {
        table.put("SEEN", "META", epoch).await?;
        let seen = table.epoch("SEEN", "META").await?;
        want!(seen == Some(epoch), "{seen:?} after {epoch}");
    }
    Ok(())
}

async fn time_to_live(table: Table) -> Outcome {
    let wanted = TimeToLiveSpecification::builder().attribute_name("ttl").enabled(true).build().unwrap();
    let set = || {
        table.client.update_time_to_live().table_name(&table.name).time_to_live_specification(wanted.clone())
    };
    set().send().await.map_err(|e| said(&e))?;
    let found =
        table.client.describe_time_to_live().table_name(&table.name).send().await.map_err(|e| said(&e))?;
    let found = found.time_to_live_description.ok_or("nothing is described")?;
    want!(
        matches!(found.time_to_live_status(), Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)),
        "{found:?}"
    );
    want!(found.attribute_name() == Some("ttl"), "{found:?}");
    let again = set().send().await.err().ok_or("it was enabled twice")?;
    want!(again.code() == Some("ValidationException"), "enabled twice: {}", said(&again));
    Ok(())
}

async fn too_large(table: Table) -> Outcome {
    let put = table.client.put_item().table_name(&table.name).set_item(Some(key("HUGE", "x")));
    let error = put.item("text", s("x".repeat(410_000))).send().await.err().ok_or("it was taken")?;
    want!(error.code() == Some("ValidationException"), "{}", said(&error));
    Ok(())
}

async fn empty_key(table: Table) -> Outcome {
    let put = table.client.put_item().table_name(&table.name).set_item(Some(key("", "x")));
    let error = put.send().await.err().ok_or("it was taken")?;
    want!(error.code() == Some("ValidationException"), "{}", said(&error));
    Ok(())
}

async fn no_table(table: Table) -> Outcome {
    let get =
        table.client.get_item().table_name("conformance-none").set_key(Some(key("a", "b"))).send().await;
    let error = get.err().ok_or("it answered")?;
    want!(error.code() == Some("ResourceNotFoundException"), "{}", said(&error));
    Ok(())
}
