//! The embedded DynamoDB through the real SDK: the product's table, its transaction, races, persistence.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Put, TimeToLiveStatus, TransactWriteItem};
use common::{TABLE, start};

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

async fn set_epoch(client: &Client, epoch: u32) {
    client
        .put_item()
        .table_name(TABLE)
        .item("pk", text("BCAST#b"))
        .item("sk", text("BINDING"))
        .item("epoch", AttributeValue::N(epoch.to_string()))
        .send()
        .await
        .unwrap();
}

/// The commit of a ledger row: the epoch is still mine, and the row is not there.
fn commit(epoch: u32) -> Vec<TransactWriteItem> {
    let check = ConditionCheck::builder()
        .table_name(TABLE)
        .key("pk", text("BCAST#b"))
        .key("sk", text("BINDING"))
        .condition_expression("epoch = :e")
        .expression_attribute_values(":e", AttributeValue::N(epoch.to_string()))
        .build()
        .unwrap();
    let row = HashMap::from([("pk".to_owned(), text("BCAST#b")), ("sk".to_owned(), text("GOP#0"))]);
    let put = Put::builder()
        .table_name(TABLE)
        .set_item(Some(row))
        .condition_expression("attribute_not_exists(pk)")
        .build()
        .unwrap();
    vec![
        TransactWriteItem::builder().condition_check(check).build(),
        TransactWriteItem::builder().put(put).build(),
    ]
}

async fn reasons(client: &Client, epoch: u32) -> Vec<String> {
    let sent = client.transact_write_items().set_transact_items(Some(commit(epoch))).send().await;
    let Err(error) = sent else { return Vec::new() };
    match error.into_service_error() {
        aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
            cancelled,
        ) => cancelled.cancellation_reasons().iter().map(|r| r.code().unwrap_or_default().to_owned()).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_ledger_transaction_is_fenced_and_idempotent() {
    let (_dir, stack) = start().await;
    let client = common::dynamodb(&stack);
    set_epoch(&client, 7).await;
    assert_eq!(reasons(&client, 6).await, ["ConditionalCheckFailed", "None"]);
    assert_eq!(reasons(&client, 7).await, Vec::<String>::new());
    assert_eq!(reasons(&client, 7).await, ["None", "ConditionalCheckFailed"]);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_puts_one_wins() {
    let (_dir, stack) = start().await;
    let client = common::dynamodb(&stack);
    let racers: Vec<_> = (0..50)
        .map(|_| {
            let put = client
                .put_item()
                .table_name(TABLE)
                .item("pk", text("BCAST#race"))
                .item("sk", text("META"))
                .condition_expression("attribute_not_exists(pk)");
            tokio::spawn(put.send())
        })
        .collect();
    let mut won = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert_eq!(error.code(), Some("ConditionalCheckFailedException")),
        }
    }
    assert_eq!(won, 1);
    stack.shutdown().await;
}

#[tokio::test]
async fn the_table_is_ours_and_items_outlive_the_stack() {
    let (dir, stack) = start().await;
    let client = common::dynamodb(&stack);
    let ttl = client.describe_time_to_live().table_name(TABLE).send().await.unwrap();
    let ttl = ttl.time_to_live_description.unwrap();
    assert_eq!(ttl.time_to_live_status(), Some(&TimeToLiveStatus::Enabled));
    assert_eq!(ttl.attribute_name(), Some("ttl"));
    set_epoch(&client, 3).await;
    stack.shutdown().await;

    let stack = localstack::LocalAws::start(common::config(&dir), Arc::new(common::NoWorkers)).await.unwrap();
    let client = common::dynamodb(&stack);
    let found = client
        .query()
        .table_name(TABLE)
        .key_condition_expression("pk = :p AND begins_with(sk, :s)")
        .expression_attribute_values(":p", text("BCAST#b"))
        .expression_attribute_values(":s", text("BIND"))
        .consistent_read(true)
        .send()
        .await
        .unwrap();
    assert_eq!(found.items()[0]["epoch"], AttributeValue::N("3".to_owned()));
    stack.shutdown().await;
}
