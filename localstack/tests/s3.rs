//! The embedded S3 through the real SDK: conditional writes, reads under overwrites, listings, metadata.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, Delete, ObjectIdentifier};
use common::{BUCKET, start};

/// Racing writers, as many as the product could ever have on one key.
const RACERS: usize = 50;

fn status<E>(error: &SdkError<E>) -> u16 {
    error.raw_response().expect("an answer").status().as_u16()
}

async fn put(client: &Client, key: &str, body: Vec<u8>) -> String {
    let output = client.put_object().bucket(BUCKET).key(key).body(body.into()).send().await.unwrap();
    output.e_tag.unwrap()
}

async fn body(client: &Client, key: &str) -> Vec<u8> {
    let output = client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
    output.body.collect().await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_creates_one_wins() {
    let (_dir, stack) = common::start().await;
    let client = common::s3(&stack);
    for round in 0..5 {
        let key = format!("live/race-{round}");
        let racers: Vec<_> = (0..RACERS)
            .map(|racer| {
                let (client, key) = (client.clone(), key.clone());
                tokio::spawn(async move {
                    let body = ByteStream::from(vec![u8::try_from(racer).unwrap(); 10_000]);
                    client.put_object().bucket(BUCKET).key(key).if_none_match("*").body(body).send().await
                })
            })
            .collect();
        let mut winners = Vec::new();
        for (racer, task) in racers.into_iter().enumerate() {
            match task.await.unwrap() {
                Ok(_) => winners.push(racer),
                Err(error) => {
                    assert_eq!(status(&error), 412);
                    assert_eq!(error.code(), Some("PreconditionFailed"));
                }
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(usize::from(body(&client, &key).await[0]), winners[0]);
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_swaps_one_wins() {
    let (_dir, stack) = start().await;
    let client = common::s3(&stack);
    for round in 0..5 {
        let key = format!("live/swap-{round}");
        let etag = put(&client, &key, b"before".to_vec()).await;
        let racers: Vec<_> = (0..RACERS)
            .map(|racer| {
                let (client, key, etag) = (client.clone(), key.clone(), etag.clone());
                tokio::spawn(async move {
                    let body = ByteStream::from(format!("after {racer}").into_bytes());
                    client.put_object().bucket(BUCKET).key(key).if_match(etag).body(body).send().await
                })
            })
            .collect();
        let mut won = 0;
        for task in racers {
            match task.await.unwrap() {
                Ok(_) => won += 1,
                Err(error) => assert_eq!(status(&error), 412),
            }
        }
        assert_eq!(won, 1);
    }
    let missing = client.put_object().bucket(BUCKET).key("live/none").if_match("\"x\"").body(vec![1].into());
    let error = missing.send().await.unwrap_err();
    assert_eq!((status(&error), error.code()), (404, Some("NoSuchKey")));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_during_overwrites_see_one_version_whole() {
    let (_dir, stack) = start().await;
    let client = common::s3(&stack);
    let versions = |n: u8| vec![n; 200_000 + usize::from(n) * 1000];
    put(&client, "live/m", versions(0)).await;
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (client, done) = (client.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut reads = 0;
                while !done.load(Ordering::Relaxed) {
                    let head = client.head_object().bucket(BUCKET).key("live/m").send().await.unwrap();
                    assert!(head.content_length.unwrap() >= 200_000);
                    let body = body(&client, "live/m").await;
                    assert_eq!(body, vec![body[0]; 200_000 + usize::from(body[0]) * 1000]);
                    reads += 1;
                }
                reads
            })
        })
        .collect();
    for n in 1..=100 {
        put(&client, "live/m", versions(n)).await;
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    stack.shutdown().await;
}

#[tokio::test]
async fn metadata_and_validators() {
    let (_dir, stack) = start().await;
    let client = common::s3(&stack);
    let put = client
        .put_object()
        .bucket(BUCKET)
        .key("vod/x/init.mp4")
        .content_type("video/mp4")
        .cache_control("public, max-age=31536000, immutable")
        .metadata("epoch", "7")
        .body(ByteStream::from_static(b"0123456789"))
        .send()
        .await
        .unwrap();
    let etag = put.e_tag.unwrap();
    assert_eq!(etag, "\"781e5e245d69b566979b86e28d23f2c7\"");

    let head = client.head_object().bucket(BUCKET).key("vod/x/init.mp4").send().await.unwrap();
    assert_eq!(head.content_type(), Some("video/mp4"));
    assert_eq!(head.cache_control(), Some("public, max-age=31536000, immutable"));
    assert_eq!(head.content_length(), Some(10));
    assert_eq!(head.metadata().unwrap()["epoch"], "7");
    assert_eq!(head.e_tag(), Some(etag.as_str()));

    let get = || client.get_object().bucket(BUCKET).key("vod/x/init.mp4");
    let part = get().range("bytes=2-4").send().await.unwrap();
    assert_eq!(part.content_range(), Some("bytes 2-4/10"));
    assert_eq!(part.body.collect().await.unwrap().to_vec(), b"234");
    let tail = get().range("bytes=-3").send().await.unwrap();
    assert_eq!(tail.body.collect().await.unwrap().to_vec(), b"789");
    assert_eq!(status(&get().range("bytes=10-").send().await.unwrap_err()), 416);
    let unchanged = get().if_none_match(&etag).send().await.unwrap_err();
    assert_eq!(status(&unchanged), 304);
    assert_eq!(unchanged.raw_response().unwrap().headers().get("etag"), Some(etag.as_str()));
    assert_eq!(status(&get().if_match("\"other\"").send().await.unwrap_err()), 412);
    let head_if = client.head_object().bucket(BUCKET).key("vod/x/init.mp4").if_none_match(&etag);
    assert_eq!(status(&head_if.send().await.unwrap_err()), 304);
    assert_eq!(get().if_match(&etag).send().await.unwrap().content_length(), Some(10));

    let missing = client.get_object().bucket(BUCKET).key("vod/none").send().await.unwrap_err();
    assert_eq!((status(&missing), missing.code()), (404, Some("NoSuchKey")));
    let missing = client.head_object().bucket(BUCKET).key("vod/none").send().await.unwrap_err();
    assert!(missing.into_service_error().is_not_found());
    stack.shutdown().await;
}

#[tokio::test]
async fn bodies_of_every_size_and_checksum() {
    let (_dir, stack) = start().await;
    let client = common::s3(&stack);
    for size in [0, 1, 1024 * 1024, 1024 * 1024 + 1, 9_000_000] {
        let sent: Vec<u8> = (0..size).map(|i: usize| u8::try_from(i % 251).unwrap()).collect();
        put(&client, "ingest/x", sent.clone()).await;
        assert!(body(&client, "ingest/x").await == sent, "{size} bytes");
    }
    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ] {
        let request = client.put_object().bucket(BUCKET).key("ingest/y").checksum_algorithm(algorithm);
        request.body(ByteStream::from_static(b"checked")).send().await.unwrap();
        assert_eq!(body(&client, "ingest/y").await, b"checked");
    }
    let wrong = client.put_object().bucket(BUCKET).key("ingest/z").checksum_crc32("AAAAAA==");
    let error = wrong.body(ByteStream::from_static(b"checked")).send().await.unwrap_err();
    assert_eq!((status(&error), error.code()), (400, Some("BadDigest")));
    let absent = client.head_object().bucket(BUCKET).key("ingest/z").send().await.unwrap_err();
    assert_eq!(status(&absent), 404);
    stack.shutdown().await;
}

#[tokio::test]
async fn a_body_streamed_from_a_file_arrives() {
    let (dir, stack) = start().await;
    let client = common::s3(&stack);
    let path = dir.path().join("chunk");
    let sent = vec![7; 300_000];
    std::fs::write(&path, &sent).unwrap();
    let stream = ByteStream::from_path(&path).await.unwrap();
    client.put_object().bucket(BUCKET).key("ingest/file").body(stream).send().await.unwrap();
    assert!(body(&client, "ingest/file").await == sent);
    stack.shutdown().await;
}

#[tokio::test]
async fn listings_page_and_deletes_delete() {
    let (_dir, stack) = start().await;
    let client = common::s3(&stack);
    let keys: Vec<String> = (0..25).map(|n| format!("ingest/b/{:06}/{n:08}.gop", n / 10)).collect();
    for key in &keys {
        put(&client, key, vec![1]).await;
    }
    let mut found = Vec::new();
    let mut pages =
        client.list_objects_v2().bucket(BUCKET).prefix("ingest/").into_paginator().page_size(10).send();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        sizes.push(page.contents().len());
        found.extend(page.contents().iter().map(|o| o.key().unwrap().to_owned()));
    }
    assert_eq!((found, sizes), (keys.clone(), vec![10, 10, 5]));

    let after = client.list_objects_v2().bucket(BUCKET).prefix("ingest/").start_after(&keys[20]);
    assert_eq!(after.send().await.unwrap().key_count(), Some(4));
    let folders =
        client.list_objects_v2().bucket(BUCKET).prefix("ingest/b/").delimiter("/").send().await.unwrap();
    let prefixes: Vec<_> = folders.common_prefixes().iter().map(|p| p.prefix().unwrap()).collect();
    assert_eq!(prefixes, ["ingest/b/000000/", "ingest/b/000001/", "ingest/b/000002/"]);
    assert!(folders.contents().is_empty());

    client.delete_object().bucket(BUCKET).key(&keys[0]).send().await.unwrap();
    client.delete_object().bucket(BUCKET).key("never was").send().await.unwrap();
    let objects = keys[1..].iter().map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(objects.collect())).build().unwrap();
    let deleted = client.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (24, 0));
    let empty = client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    assert_eq!((empty.key_count(), empty.is_truncated()), (Some(0), Some(false)));
    stack.shutdown().await;
}

#[tokio::test]
async fn a_placeholder_key_pair_is_taken() {
    let (_dir, stack) = start().await;
    let pair = aws_sdk_s3::config::Credentials::new("placeholder", "placeholder", None, None, "test");
    let config = common::s3(&stack).config().to_builder().credentials_provider(pair).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    client.put_object().bucket(BUCKET).key("live/x").body(vec![1].into()).send().await.unwrap();
    let read = client.get_object().bucket(BUCKET).key("live/x").send().await.unwrap();
    assert_eq!(read.body.collect().await.unwrap().into_bytes().as_ref(), [1]);
    stack.shutdown().await;
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let (_dir, stack) = start().await;
    let client = common::s3(&stack);
    let wrong = client
        .config()
        .to_builder()
        .credentials_provider(aws_sdk_s3::config::Credentials::new(
            common::ACCESS_KEY,
            "wrong",
            None,
            None,
            "test",
        ))
        .build();
    let wrong = aws_sdk_s3::Client::from_conf(wrong);
    let error =
        wrong.put_object().bucket(BUCKET).key("live/x").body(vec![1].into()).send().await.unwrap_err();
    assert_eq!((status(&error), error.code()), (403, Some("SignatureDoesNotMatch")));
    let anonymous = common::Http::new(stack.addresses().s3).get("/gopcast/live/x").await;
    assert_eq!(anonymous.status, 403);
    stack.shutdown().await;
}

#[tokio::test]
async fn objects_and_buckets_outlive_the_stack() {
    let (dir, stack) = start().await;
    let client = common::s3(&stack);
    put(&client, "vod/a/b", b"kept".to_vec()).await;
    client.create_bucket().bucket("second").send().await.unwrap();
    stack.shutdown().await;

    let stack = localstack::LocalAws::start(common::config(&dir), Arc::new(common::NoWorkers)).await.unwrap();
    let client = common::s3(&stack);
    assert_eq!(body(&client, "vod/a/b").await, b"kept");
    client.head_bucket().bucket("second").send().await.unwrap();
    assert_eq!(status(&client.head_bucket().bucket("third").send().await.unwrap_err()), 404);
    client.delete_bucket().bucket("second").send().await.unwrap();
    stack.shutdown().await;
}
