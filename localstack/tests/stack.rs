//! Bringing the whole up and down: errors that say what to change, one holder of the data, nothing left listening.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::sync::Arc;

use common::{NoWorkers, config, start};
use localstack::LocalAws;
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn a_taken_address_is_named_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir);
    config.http_addr = taken.local_addr().unwrap();
    let error = LocalAws::start(config, Arc::new(NoWorkers)).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&taken.local_addr().unwrap().to_string()), "{text}");
    assert!(text.contains("http_addr"), "{text}");
}

#[tokio::test]
async fn the_data_directory_has_one_holder() {
    let (dir, stack) = start().await;
    let error = LocalAws::start(config(&dir), Arc::new(NoWorkers)).await.unwrap_err();
    assert!(error.to_string().contains("in use by another local stack"), "{error}");
    stack.shutdown().await;
    LocalAws::start(config(&dir), Arc::new(NoWorkers)).await.unwrap().shutdown().await;
}

#[tokio::test]
async fn after_the_end_nothing_listens() {
    let (_dir, stack) = start().await;
    let all = stack.addresses();
    let all = [all.s3, all.dynamodb, all.lambda, all.runtime, all.cdn];
    for address in all {
        assert!(address.ip().is_loopback());
        TcpStream::connect(address).await.unwrap();
    }
    stack.shutdown().await;
    for address in all {
        assert!(TcpStream::connect(address).await.is_err(), "{address} still listens");
    }
}

#[test]
fn the_secret_is_not_in_debug() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("{:?}", config(&dir));
    assert!(!text.contains(common::SECRET_KEY) && !text.contains(common::ACCESS_KEY), "{text}");
}
