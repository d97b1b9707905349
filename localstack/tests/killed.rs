//! What was acknowledged is there after a kill -9 of the process that the stack is in. This test binary starts itself again as that process.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use common::{BUCKET, NoWorkers, TABLE, config_at};
use localstack::LocalAws;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Tells a process of this binary that it is the stack, and where its data is.
const DATA: &str = "LOCALSTACK_TEST_DATA";
/// Writers at a time.
const WRITERS: usize = 8;
/// Writes that are acknowledged before the kill.
const WRITES: usize = 400;

/// In the test's own process it does nothing; in the other one it is the stack, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stack_process() {
    let Ok(data) = std::env::var(DATA) else { return };
    let stack = LocalAws::start(config_at(data.as_ref()), Arc::new(NoWorkers)).await.unwrap();
    println!("stack {} {}", stack.addresses().s3, stack.addresses().dynamodb);
    std::future::pending::<()>().await;
}

fn row(key: &str) -> AttributeValue {
    AttributeValue::S(key.to_owned())
}

/// Writes an object and a row under `key`. True when both were acknowledged.
async fn write(s3: &aws_sdk_s3::Client, dynamodb: &aws_sdk_dynamodb::Client, key: &str) -> bool {
    let put = s3.put_object().bucket(BUCKET).key(key).if_none_match("*").body(body(key).into());
    if put.send().await.is_err() {
        return false;
    }
    let put = dynamodb.put_item().table_name(TABLE).item("pk", row(key)).item("sk", row("META"));
    put.condition_expression("attribute_not_exists(pk)").send().await.is_ok()
}

/// Some kilobytes that differ from key to key.
fn body(key: &str) -> Vec<u8> {
    key.repeat(1000).into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stack_process", "--nocapture"])
        .env(DATA, dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (s3, dynamodb) = loop {
        let line = lines.next_line().await.unwrap().expect("the stack says where it is");
        if let Some((_, addresses)) = line.split_once("stack ") {
            let (s3, dynamodb) = addresses.split_once(' ').unwrap();
            let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
            break (common::s3_at(parse(s3)), common::dynamodb_at(parse(dynamodb)));
        }
    };

    let (acknowledged, mut told) = tokio::sync::mpsc::unbounded_channel();
    for writer in 0..WRITERS {
        let (s3, dynamodb, acknowledged) = (s3.clone(), dynamodb.clone(), acknowledged.clone());
        tokio::spawn(async move {
            // Until the stack is gone.
            for number in 0.. {
                let key = format!("ingest/{writer}/{number}");
                if !write(&s3, &dynamodb, &key).await || acknowledged.send(key).is_err() {
                    return;
                }
            }
        });
    }
    drop(acknowledged);
    let mut keys = Vec::new();
    while keys.len() < WRITES {
        keys.push(told.recv().await.expect("the stack takes writes"));
    }
    // In mid-write of eight writers.
    child.start_kill().unwrap();
    child.wait().await.unwrap();
    while let Some(key) = told.recv().await {
        keys.push(key);
    }

    let started = LocalAws::start(config_at(dir.path()), Arc::new(NoWorkers));
    let stack = tokio::time::timeout(Duration::from_secs(30), started).await.unwrap().unwrap();
    let (s3, dynamodb) = (common::s3(&stack), common::dynamodb(&stack));
    for key in &keys {
        let object = s3.get_object().bucket(BUCKET).key(key).send().await.unwrap();
        assert_eq!(object.body.collect().await.unwrap().to_vec(), body(key), "{key}");
        let get = dynamodb.get_item().table_name(TABLE).key("pk", row(key)).key("sk", row("META"));
        assert!(get.send().await.unwrap().item.is_some(), "{key}");
        assert!(!write(&s3, &dynamodb, key).await, "{key} was written twice");
    }
    stack.shutdown().await;
}
