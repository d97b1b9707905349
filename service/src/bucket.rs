//! The bucket: the few things gopcast asks of S3. Writes are create-only or compare-and-swap, never blind.

use aws_config::SdkConfig;
use aws_sdk_s3::{Client, error::ProvideErrorMetadata, error::SdkError, primitives::ByteStream};
use bytes::Bytes;

use crate::aws::is_transient;

/// Metadata key under which a manifest says which epoch wrote it.
pub const META_EPOCH: &str = "gopcast-epoch";
/// Metadata key under which a manifest says which broadcast it shows.
pub const META_BROADCAST: &str = "gopcast-broadcast";
/// Most keys asked for in one listing: S3's own maximum.
const LIST_PAGE: i32 = 1000;

/// What came of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// Stored; the new entity tag.
    Stored(String),
    /// The condition does not hold: somebody else has written.
    Conflict,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[error("s3 {operation} of {key} failed: {message}")]
pub struct BucketError {
    /// Which call.
    pub operation: &'static str,
    /// Which object or prefix.
    pub key: String,
    /// What S3 or the way to it said.
    pub message: String,
    /// Whether the same call may succeed later.
    pub transient: bool,
}

/// An object as read.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its entity tag, for a later compare-and-swap.
    pub etag: String,
    /// The epoch in its metadata, if it has one.
    pub epoch: Option<u64>,
    /// The broadcast in its metadata, if it has one.
    pub broadcast: Option<String>,
}

/// How an object is stored.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Cache-Control`.
    pub cache_control: &'static str,
}

impl Kind {
    /// A stored chunk: private, never cached.
    pub const CHUNK: Self = Self { content_type: "application/octet-stream", cache_control: "no-store" };
    /// An initialization or media segment of pictures.
    pub const VIDEO_SEGMENT: Self =
        Self { content_type: "video/mp4", cache_control: "public, max-age=31536000, immutable" };
    /// An initialization or media segment of sound.
    pub const AUDIO_SEGMENT: Self =
        Self { content_type: "audio/mp4", cache_control: "public, max-age=31536000, immutable" };
    /// A manifest. It changes with every GOP, so it is kept for a second and never served stale: `docs/decisions/0007`.
    pub const MANIFEST: Self = Self { content_type: "application/dash+xml", cache_control: "max-age=1" };
    /// A page's data.
    pub const INDEX: Self = Self { content_type: "application/json", cache_control: "max-age=1" };
}

/// The condition of a write.
#[derive(Debug, Clone, Copy)]
pub enum Condition<'a> {
    /// Only if there is no such object (`If-None-Match: *`).
    Absent,
    /// Only over the object with this entity tag (`If-Match`).
    Matches(&'a str),
    /// Always. Only for data that is derived whole from the table, where the last writer is as right as any.
    Always,
}

/// A bucket, and the client to reach it.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    name: String,
}

impl Bucket {
    /// A client for bucket `name`.
    #[must_use]
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        // Emulators are reached by address, where a bucket can't be a host name.
        let s3 = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(std::env::var_os("AWS_ENDPOINT_URL_S3").is_some());
        Self { client: Client::from_conf(s3.build()), name: name.into() }
    }

    /// Writes an object under a condition. `meta` becomes `x-amz-meta-*`.
    ///
    /// # Errors
    /// When S3 could not be asked, or refused for another reason than the condition.
    pub async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        kind: Kind,
        condition: Condition<'_>,
        meta: &[(&str, String)],
    ) -> Result<Put, BucketError> {
        let mut call = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .content_type(kind.content_type)
            .cache_control(kind.cache_control)
            .body(ByteStream::from(bytes));
        for (name, value) in meta {
            call = call.metadata(*name, value);
        }
        call = match condition {
            Condition::Absent => call.if_none_match("*"),
            Condition::Matches(etag) => call.if_match(etag),
            Condition::Always => call,
        };
        match call.send().await {
            Ok(reply) => Ok(Put::Stored(reply.e_tag.unwrap_or_default())),
            Err(error) => {
                // 409 is S3's answer when two conditional writes of one key meet; 404 when the object to replace is gone.
                let status = error.raw_response().map(|r| r.status().as_u16());
                match (condition, status) {
                    (Condition::Absent | Condition::Matches(_), Some(412))
                    | (Condition::Matches(_), Some(404)) => Ok(Put::Conflict),
                    (_, Some(409)) => Err(BucketError { transient: true, ..fail("put", key, &error) }),
                    _ => Err(fail("put", key, &error)),
                }
            }
        }
    }

    /// Reads an object; `None` if there is none.
    ///
    /// # Errors
    /// When S3 could not be asked or the object could not be read whole.
    pub async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        let reply = match self.client.get_object().bucket(&self.name).key(key).send().await {
            Ok(reply) => reply,
            Err(error) => {
                let missing = error.raw_response().is_some_and(|r| r.status().as_u16() == 404);
                return if missing { Ok(None) } else { Err(fail("get", key, &error)) };
            }
        };
        let meta = |name: &str| reply.metadata.as_ref().and_then(|m| m.get(name)).cloned();
        let (epoch, broadcast) = (meta(META_EPOCH).and_then(|e| e.parse().ok()), meta(META_BROADCAST));
        let etag = reply.e_tag.unwrap_or_default();
        let bytes = reply.body.collect().await.map_err(|error| BucketError {
            operation: "get",
            key: key.to_owned(),
            message: error.to_string(),
            transient: true,
        })?;
        Ok(Some(Object { bytes: bytes.into_bytes(), etag, epoch, broadcast }))
    }

    /// The size of an object; `None` if there is none.
    ///
    /// # Errors
    /// When S3 could not be asked.
    pub async fn head(&self, key: &str) -> Result<Option<u64>, BucketError> {
        match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(reply) => Ok(Some(reply.content_length.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))),
            Err(error) if error.raw_response().is_some_and(|r| r.status().as_u16() == 404) => Ok(None),
            Err(error) => Err(fail("head", key, &error)),
        }
    }

    /// The keys under `prefix` after `after` (or from the start), in order; at most `limit`.
    ///
    /// # Errors
    /// When S3 could not be asked.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, BucketError> {
        let mut keys = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let reply = self
                .client
                .list_objects_v2()
                .bucket(&self.name)
                .prefix(prefix)
                .set_start_after(after.map(str::to_owned))
                .set_continuation_token(token.take())
                .max_keys(LIST_PAGE)
                .send()
                .await
                .map_err(|error| fail("list", prefix, &error))?;
            keys.extend(reply.contents.unwrap_or_default().into_iter().filter_map(|o| o.key));
            token = reply.next_continuation_token;
            if keys.len() >= limit || token.is_none() {
                keys.truncate(limit);
                return Ok(keys);
            }
        }
    }

    /// Removes an object; no error if there is none.
    ///
    /// # Errors
    /// When S3 could not be asked.
    pub async fn delete(&self, key: &str) -> Result<(), BucketError> {
        let sent = self.client.delete_object().bucket(&self.name).key(key).send().await;
        sent.map(|_| ()).map_err(|error| fail("delete", key, &error))
    }
}

fn fail<E>(operation: &'static str, key: &str, error: &SdkError<E>) -> BucketError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let status = error.raw_response().map(|r| r.status().as_u16());
    BucketError {
        operation,
        key: key.to_owned(),
        message: aws_smithy_types::error::display::DisplayErrorContext(error).to_string(),
        transient: is_transient(error, error.code(), status),
    }
}
