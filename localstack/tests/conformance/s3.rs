//! What is relied on in S3: conditional writes, entity tags, whole reads, listings (Amazon S3 User Guide, "Conditional requests"; API reference).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;

use super::{Check, Outcome, common, want};

/// Racing writers of one key; more than any backend has workers.
const RACERS: usize = 24;
/// Races of each kind: a backend that checks first and writes then loses one in a few.
const RACES: usize = 8;

/// A bucket of this run's own.
#[derive(Clone)]
pub(crate) struct Bucket {
    client: Client,
    name: String,
}

impl Bucket {
    pub(crate) async fn new(at: SocketAddr) -> Self {
        let config = common::s3_at(at).config().to_builder().force_path_style(true).build();
        let client = Client::from_conf(config);
        let name = format!("conformance-{}", uuid::Uuid::new_v4());
        client.create_bucket().bucket(&name).send().await.expect("the bucket is made");
        Self { client, name }
    }

    fn put(
        &self,
        key: &str,
        body: Vec<u8>,
    ) -> aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder {
        self.client.put_object().bucket(&self.name).key(key).body(ByteStream::from(body))
    }

    fn get(&self, key: &str) -> aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder {
        self.client.get_object().bucket(&self.name).key(key)
    }

    async fn stored(&self, key: &str, body: &[u8]) -> Result<String, String> {
        let put = self.put(key, body.to_vec()).send().await.map_err(|e| said(&e))?;
        put.e_tag.ok_or_else(|| "no ETag".to_owned())
    }

    async fn body(&self, key: &str) -> Result<Vec<u8>, String> {
        let got = self.get(key).send().await.map_err(|e| said(&e))?;
        Ok(got.body.collect().await.map_err(|e| e.to_string())?.to_vec())
    }
}

fn status<E>(error: &SdkError<E>) -> u16 {
    error.raw_response().map_or(0, |reply| reply.status().as_u16())
}

fn said<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
    format!("{} {}", status(error), error.code().unwrap_or("without a code"))
}

pub(crate) const CHECKS: &[Check<Bucket>] = &[
    Check { name: "of-racing-creations-one-wins", ask: |b| Box::pin(creations(b)) },
    Check { name: "of-racing-swaps-one-wins", ask: |b| Box::pin(swaps(b)) },
    Check { name: "create-only-refuses-what-is-there", ask: |b| Box::pin(create_only(b)) },
    Check { name: "if-match-of-nothing-is-404", ask: |b| Box::pin(if_match_of_nothing(b)) },
    Check { name: "if-match-of-another-is-412", ask: |b| Box::pin(if_match_of_another(b)) },
    Check { name: "unchanged-is-304", ask: |b| Box::pin(unchanged(b)) },
    Check { name: "missing-is-404", ask: |b| Box::pin(missing(b)) },
    Check { name: "reads-see-one-version-whole", ask: |b| Box::pin(whole_reads(b)) },
    Check { name: "headers-and-metadata-are-kept", ask: |b| Box::pin(headers(b)) },
    Check { name: "ranges-are-served", ask: |b| Box::pin(ranges(b)) },
    Check { name: "listings-page-in-order", ask: |b| Box::pin(listings(b)) },
    Check { name: "a-listing-sees-every-write-before-it", ask: |b| Box::pin(listing_after_write(b)) },
    Check { name: "deletes-are-idempotent", ask: |b| Box::pin(deletes(b)) },
    Check { name: "a-chunk-of-9-mb-comes-back", ask: |b| Box::pin(large(b)) },
    Check { name: "a-wrong-checksum-is-refused", ask: |b| Box::pin(wrong_checksum(b)) },
];

async fn creations(bucket: Bucket) -> Outcome {
    for race in 0..RACES {
        let key = format!("race/create/{race}");
        let racers: Vec<_> = (0..RACERS)
            .map(|n| {
                tokio::spawn(
                    bucket.put(&key, format!("writer {n:02}").into_bytes()).if_none_match("*").send(),
                )
            })
            .collect();
        let mut won = Vec::new();
        for (n, racer) in racers.into_iter().enumerate() {
            match racer.await.unwrap() {
                Ok(_) => won.push(n),
                // 409: two met (User Guide, "How to prevent object overwrites with conditional writes").
                Err(error) => want!(matches!(status(&error), 412 | 409), "a loser got {}", said(&error)),
            }
        }
        want!(won.len() == 1, "{} of {RACERS} won", won.len());
        let body = bucket.body(&key).await?;
        want!(body == format!("writer {:02}", won[0]).into_bytes(), "the winner's body is not there");
    }
    Ok(())
}

async fn swaps(bucket: Bucket) -> Outcome {
    let mut tag = bucket.stored("race/swap", b"first").await?;
    for race in 0..RACES {
        let racers: Vec<_> = (0..RACERS)
            .map(|n| {
                tokio::spawn(
                    bucket.put("race/swap", format!("{race} {n}").into_bytes()).if_match(&tag).send(),
                )
            })
            .collect();
        let mut won = Vec::new();
        for racer in racers {
            match racer.await.unwrap() {
                Ok(put) => won.push(put.e_tag.unwrap_or_default()),
                Err(error) => want!(matches!(status(&error), 412 | 409), "a loser got {}", said(&error)),
            }
        }
        want!(won.len() == 1, "{} of {RACERS} won", won.len());
        tag = won.remove(0);
    }
    Ok(())
}

async fn create_only(bucket: Bucket) -> Outcome {
    bucket.stored("once", b"first").await?;
    let again = bucket.put("once", b"second".to_vec()).if_none_match("*").send().await;
    let error = again.err().ok_or("it was taken")?;
    want!((status(&error), error.code()) == (412, Some("PreconditionFailed")), "{}", said(&error));
    want!(bucket.body("once").await? == b"first", "the body has changed");
    Ok(())
}

async fn if_match_of_nothing(bucket: Bucket) -> Outcome {
    let put =
        bucket.put("never", b"x".to_vec()).if_match("\"d41d8cd98f00b204e9800998ecf8427e\"").send().await;
    let error = put.err().ok_or("it was taken")?;
    want!((status(&error), error.code()) == (404, Some("NoSuchKey")), "{}", said(&error));
    Ok(())
}

async fn if_match_of_another(bucket: Bucket) -> Outcome {
    bucket.stored("swapped", b"first").await?;
    let put =
        bucket.put("swapped", b"x".to_vec()).if_match("\"d41d8cd98f00b204e9800998ecf8427e\"").send().await;
    let error = put.err().ok_or("it was taken")?;
    want!((status(&error), error.code()) == (412, Some("PreconditionFailed")), "{}", said(&error));
    Ok(())
}

async fn unchanged(bucket: Bucket) -> Outcome {
    let tag = bucket.stored("tagged", b"x").await?;
    want!(tag.starts_with('"') && tag.ends_with('"'), "the ETag {tag} is not quoted");
    let got = bucket.get("tagged").if_none_match(&tag).send().await;
    let error = got.err().ok_or("the body came")?;
    want!(status(&error) == 304, "{}", said(&error));
    want!(
        bucket.get("tagged").if_match(&tag).send().await.is_ok(),
        "If-Match of the object itself is refused"
    );
    let other =
        bucket.get("tagged").if_match("\"x\"").send().await.err().ok_or("If-Match of another is taken")?;
    want!(status(&other) == 412, "If-Match of another: {}", said(&other));
    Ok(())
}

async fn missing(bucket: Bucket) -> Outcome {
    let error = bucket.get("nowhere").send().await.err().ok_or("something came")?;
    want!((status(&error), error.code()) == (404, Some("NoSuchKey")), "GET: {}", said(&error));
    let head = bucket.client.head_object().bucket(&bucket.name).key("nowhere").send().await;
    let error = head.err().ok_or("HEAD finds something")?;
    want!(status(&error) == 404, "HEAD: {}", said(&error));
    Ok(())
}

async fn whole_reads(bucket: Bucket) -> Outcome {
    let version = |n: u8| vec![n; 100_000 + usize::from(n) * 997];
    bucket.stored("live/m", &version(0)).await?;
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (bucket, done) = (bucket.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let body = bucket.body("live/m").await?;
                    let first = *body.first().ok_or("an empty body")?;
                    want!(
                        body.len() == 100_000 + usize::from(first) * 997,
                        "{} bytes of version {first}",
                        body.len()
                    );
                    want!(body.iter().all(|b| *b == first), "two versions in one body");
                }
                Outcome::Ok(())
            })
        })
        .collect();
    for n in 1..=60 {
        bucket.stored("live/m", &version(n)).await?;
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap()?;
    }
    Ok(())
}

async fn headers(bucket: Bucket) -> Outcome {
    let put = bucket.put("kept", b"0123456789".to_vec());
    let put = put.content_type("video/mp4").cache_control("public, max-age=31536000, immutable");
    put.metadata("gopcast-epoch", "7").send().await.map_err(|e| said(&e))?;
    let got = bucket.get("kept").send().await.map_err(|e| said(&e))?;
    want!(got.content_type() == Some("video/mp4"), "Content-Type {:?}", got.content_type());
    want!(
        got.cache_control() == Some("public, max-age=31536000, immutable"),
        "Cache-Control {:?}",
        got.cache_control()
    );
    want!(
        got.metadata().and_then(|m| m.get("gopcast-epoch")).is_some_and(|v| v == "7"),
        "metadata {:?}",
        got.metadata()
    );
    let head =
        bucket.client.head_object().bucket(&bucket.name).key("kept").send().await.map_err(|e| said(&e))?;
    want!(head.content_length() == Some(10), "HEAD: {:?} bytes", head.content_length());
    want!(head.e_tag() == got.e_tag(), "HEAD: another ETag");
    Ok(())
}

async fn ranges(bucket: Bucket) -> Outcome {
    bucket.stored("ranged", b"0123456789").await?;
    let part = bucket.get("ranged").range("bytes=2-4").send().await.map_err(|e| said(&e))?;
    want!(part.content_range() == Some("bytes 2-4/10"), "Content-Range {:?}", part.content_range());
    let bytes = part.body.collect().await.map_err(|e| e.to_string())?.to_vec();
    want!(bytes == b"234", "{bytes:?}");
    let beyond = bucket
        .get("ranged")
        .range("bytes=10-")
        .send()
        .await
        .err()
        .ok_or("a range beyond the end is served")?;
    want!(status(&beyond) == 416, "{}", said(&beyond));
    Ok(())
}

async fn listings(bucket: Bucket) -> Outcome {
    let keys: Vec<String> = (0..12).map(|n| format!("list/b/{:06}/{n:08}.gop", n / 5)).collect();
    for key in keys.iter().rev() {
        bucket.stored(key, b"x").await?;
    }
    let pages = bucket
        .client
        .list_objects_v2()
        .bucket(&bucket.name)
        .prefix("list/")
        .into_paginator()
        .page_size(5)
        .send();
    let pages: Vec<_> = pages.collect::<Result<_, _>>().await.map_err(|e| said(&e))?;
    let found: Vec<_> =
        pages.iter().flat_map(|p| p.contents()).map(|o| o.key().unwrap_or_default().to_owned()).collect();
    want!(found == keys, "{found:?}");
    want!(pages.len() == 3, "{} pages", pages.len());
    let after = bucket.client.list_objects_v2().bucket(&bucket.name).prefix("list/").start_after(&keys[8]);
    let after = after.send().await.map_err(|e| said(&e))?;
    let found: Vec<_> = after.contents().iter().map(|o| o.key().unwrap_or_default().to_owned()).collect();
    want!(found == keys[9..], "after {}: {found:?}", keys[8]);
    Ok(())
}

async fn listing_after_write(bucket: Bucket) -> Outcome {
    for n in 0..20 {
        let key = format!("seen/{n:02}");
        bucket.stored(&key, b"x").await?;
        let listed = bucket
            .client
            .list_objects_v2()
            .bucket(&bucket.name)
            .prefix("seen/")
            .send()
            .await
            .map_err(|e| said(&e))?;
        want!(listed.contents().iter().any(|o| o.key() == Some(&key)), "{key} is not listed");
    }
    Ok(())
}

async fn deletes(bucket: Bucket) -> Outcome {
    bucket.stored("gone", b"x").await?;
    for _ in 0..2 {
        bucket.client.delete_object().bucket(&bucket.name).key("gone").send().await.map_err(|e| said(&e))?;
    }
    want!(bucket.get("gone").send().await.is_err(), "it is still there");
    // What is deleted may be created again.
    bucket
        .put("gone", b"y".to_vec())
        .if_none_match("*")
        .send()
        .await
        .map_err(|e| format!("created again: {}", said(&e)))?;
    Ok(())
}

async fn large(bucket: Bucket) -> Outcome {
    let sent: Vec<u8> = (0..9_000_000usize).map(|i| u8::try_from(i % 251).unwrap()).collect();
    bucket.stored("ingest/large", &sent).await?;
    want!(bucket.body("ingest/large").await? == sent, "another body");
    Ok(())
}

async fn wrong_checksum(bucket: Bucket) -> Outcome {
    let put = bucket.put("damaged", b"checked".to_vec()).checksum_crc32("AAAAAA==").send().await;
    let error = put.err().ok_or("it was taken")?;
    want!((status(&error), error.code()) == (400, Some("BadDigest")), "{}", said(&error));
    Ok(())
}
