//! The bucket: the few things gopcast asks of S3. Writes are create-only or compare-and-swap, never blind.
//!
//! [`Objects`] is the seam: what is asked, as data; carried out by S3 ([`Bucket::new`]).

use std::{fmt, sync::Arc};

use aws_config::SdkConfig;
use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::{Client, error::ProvideErrorMetadata, error::SdkError, primitives::ByteStream};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeTransmitInterceptorContextMut, dyn_dispatch_hint},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;

use crate::{BoxFuture, aws::is_transient};

/// Metadata key under which a manifest says which epoch wrote it.
pub const META_EPOCH: &str = "gopcast-epoch";
/// Metadata key under which a manifest says which broadcast it shows.
pub const META_BROADCAST: &str = "gopcast-broadcast";
/// Metadata key under which a media segment says what it was made from: another chunk's segment of the same name is not one's own.
pub const META_SOURCE: &str = "gopcast-source";
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
    /// What it was made from, by its metadata.
    pub source: Option<String>,
}

/// How an object is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// A picture that never changes: a tile of a storyboard, the poster of a broadcast that is over.
    pub const PICTURE: Self =
        Self { content_type: "image/jpeg", cache_control: "public, max-age=31536000, immutable" };
    /// The poster of a live. It changes twice a minute while on air; who sees one that is half as old as that sees nothing old.
    pub const POSTER: Self = Self { content_type: "image/jpeg", cache_control: "max-age=15" };
    /// A manifest. It changes with every GOP, so it is kept for a second and never served stale: `docs/decisions/0007`.
    pub const MANIFEST: Self = Self { content_type: "application/dash+xml", cache_control: "max-age=1" };
    /// An HLS playlist (RFC 8216, 4): kept as a manifest is.
    pub const PLAYLIST: Self =
        Self { content_type: "application/vnd.apple.mpegurl", cache_control: "max-age=1" };
    /// A slate's image: private.
    pub const SLATE: Self = Self { content_type: "application/octet-stream", cache_control: "no-store" };
    /// A page's data.
    pub const INDEX: Self = Self { content_type: "application/json", cache_control: "max-age=1" };
}

/// The condition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Only if there is no such object (`If-None-Match: *`).
    Absent,
    /// Only over the object with this entity tag (`If-Match`).
    Matches(String),
    /// Always. Only for data that is derived whole from the table, where the last writer is as right as any.
    Always,
}

/// What is written.
#[derive(Debug, Clone)]
pub struct Body {
    /// All of it.
    pub bytes: Bytes,
    /// Its SHA-256, if it is known already: it is not computed again then to sign the request.
    pub sha256: Option<[u8; 32]>,
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, sha256: None }
    }
}

/// A write of one object.
#[derive(Debug, Clone)]
pub struct Write {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// Their SHA-256, if it is known.
    pub sha256: Option<[u8; 32]>,
    /// How it is stored.
    pub kind: Kind,
    /// Under which condition.
    pub condition: Condition,
    /// `x-amz-meta-*`.
    pub meta: Vec<(&'static str, String)>,
}

/// A bucket, as it is asked.
pub trait Objects: fmt::Debug + Send + Sync {
    /// Writes an object.
    fn put(&self, write: Write) -> BoxFuture<Result<Put, BucketError>>;
    /// Reads an object; `None` if there is none.
    fn get(&self, key: String) -> BoxFuture<Result<Option<Object>, BucketError>>;
    /// The size of an object; `None` if there is none.
    fn head(&self, key: String) -> BoxFuture<Result<Option<u64>, BucketError>>;
    /// The keys under a prefix after a key, in order; at most so many.
    fn list(
        &self,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<Result<Vec<String>, BucketError>>;
    /// Removes an object, if there is one.
    fn delete(&self, key: String) -> BoxFuture<Result<(), BucketError>>;
}

/// The bucket.
#[derive(Debug, Clone)]
pub struct Bucket(Arc<dyn Objects>);

impl Bucket {
    /// The S3 bucket of this name.
    #[must_use]
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        // Emulators are reached by address, where a bucket can't be a host name.
        let s3 = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(std::env::var_os("AWS_ENDPOINT_URL_S3").is_some());
        Self::on(Arc::new(S3 { client: Client::from_conf(s3.build()), name: name.into() }))
    }

    /// A bucket on any store.
    #[must_use]
    pub fn on(objects: Arc<dyn Objects>) -> Self {
        Self(objects)
    }

    /// Writes an object under a condition. `meta` becomes `x-amz-meta-*`.
    ///
    /// # Errors
    /// When S3 could not be asked, or refused for another reason than the condition.
    pub async fn put(
        &self,
        key: &str,
        body: impl Into<Body>,
        kind: Kind,
        condition: Condition,
        meta: &[(&'static str, String)],
    ) -> Result<Put, BucketError> {
        let Body { bytes, sha256 } = body.into();
        let (key, meta) = (key.to_owned(), meta.to_vec());
        self.0.put(Write { key, bytes, sha256, kind, condition, meta }).await
    }

    /// Reads an object; `None` if there is none.
    ///
    /// # Errors
    /// When S3 could not be asked or the object could not be read whole.
    pub async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        self.0.get(key.to_owned()).await
    }

    /// The size of an object; `None` if there is none.
    ///
    /// # Errors
    /// When S3 could not be asked.
    pub async fn head(&self, key: &str) -> Result<Option<u64>, BucketError> {
        self.0.head(key.to_owned()).await
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
        self.0.list(prefix.to_owned(), after.map(str::to_owned), limit).await
    }

    /// Removes an object; no error if there is none.
    ///
    /// # Errors
    /// When S3 could not be asked.
    pub async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.0.delete(key.to_owned()).await
    }
}

/// Has a request signed with its body's SHA-256, in hexadecimal digits, as it is known.
#[derive(Debug)]
struct Hashed(String);

#[dyn_dispatch_hint]
impl Intercept for Hashed {
    fn name(&self) -> &'static str {
        "Hashed"
    }

    fn modify_before_signing(
        &self,
        _context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(PayloadSigningOverride::Precomputed(self.0.clone()));
        Ok(())
    }
}

/// The seam carried out by S3.
#[derive(Debug, Clone)]
struct S3 {
    client: Client,
    name: String,
}

impl S3 {
    async fn put(self, write: Write) -> Result<Put, BucketError> {
        let Write { key, bytes, sha256, kind, condition, meta } = write;
        let mut call = self
            .client
            .put_object()
            .bucket(self.name)
            .key(&key)
            .content_type(kind.content_type)
            .cache_control(kind.cache_control)
            .body(ByteStream::from(bytes));
        for (name, value) in meta {
            call = call.metadata(name, value);
        }
        call = match &condition {
            Condition::Absent => call.if_none_match("*"),
            Condition::Matches(etag) => call.if_match(etag),
            Condition::Always => call,
        };
        let sent = match sha256 {
            // S3 checks it twice, as the request's checksum and as part of its signature; nothing else is computed over the bytes.
            Some(sha256) => {
                let call = call.checksum_sha256(STANDARD.encode(sha256));
                call.customize().interceptor(Hashed(hex::encode(sha256))).send().await
            }
            None => call.send().await,
        };
        match sent {
            Ok(reply) => Ok(Put::Stored(reply.e_tag.unwrap_or_default())),
            Err(error) => {
                // 409 is S3's answer when two conditional writes of one key meet; 404 when the object to replace is gone.
                let status = error.raw_response().map(|r| r.status().as_u16());
                match (condition, status) {
                    (Condition::Absent | Condition::Matches(_), Some(412))
                    | (Condition::Matches(_), Some(404)) => Ok(Put::Conflict),
                    (_, Some(409)) => Err(BucketError { transient: true, ..fail("put", &key, &error) }),
                    _ => Err(fail("put", &key, &error)),
                }
            }
        }
    }

    async fn get(self, key: String) -> Result<Option<Object>, BucketError> {
        let reply = match self.client.get_object().bucket(self.name).key(&key).send().await {
            Ok(reply) => reply,
            Err(error) => {
                let missing = error.raw_response().is_some_and(|r| r.status().as_u16() == 404);
                return if missing { Ok(None) } else { Err(fail("get", &key, &error)) };
            }
        };
        let meta = |name: &str| reply.metadata.as_ref().and_then(|m| m.get(name)).cloned();
        let (epoch, broadcast) = (meta(META_EPOCH).and_then(|e| e.parse().ok()), meta(META_BROADCAST));
        let source = meta(META_SOURCE);
        let etag = reply.e_tag.unwrap_or_default();
        let bytes = reply.body.collect().await.map_err(|error| BucketError {
            operation: "get",
            key,
            message: error.to_string(),
            transient: true,
        })?;
        Ok(Some(Object { bytes: bytes.into_bytes(), etag, epoch, broadcast, source }))
    }

    async fn list(
        self,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<String>, BucketError> {
        let (mut keys, mut token) = (Vec::new(), None);
        loop {
            let call = self.client.list_objects_v2().bucket(&self.name).prefix(&prefix).max_keys(LIST_PAGE);
            let call = call.set_start_after(after.clone()).set_continuation_token(token.take());
            let reply = call.send().await.map_err(|error| fail("list", &prefix, &error))?;
            keys.extend(reply.contents.unwrap_or_default().into_iter().filter_map(|o| o.key));
            token = reply.next_continuation_token;
            if keys.len() >= limit || token.is_none() {
                keys.truncate(limit);
                return Ok(keys);
            }
        }
    }
}

impl Objects for S3 {
    fn put(&self, write: Write) -> BoxFuture<Result<Put, BucketError>> {
        Box::pin(self.clone().put(write))
    }

    fn get(&self, key: String) -> BoxFuture<Result<Option<Object>, BucketError>> {
        Box::pin(self.clone().get(key))
    }

    fn head(&self, key: String) -> BoxFuture<Result<Option<u64>, BucketError>> {
        let call = self.client.head_object().bucket(&self.name).key(&key);
        Box::pin(async move {
            match call.send().await {
                Ok(reply) => Ok(Some(reply.content_length.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))),
                Err(error) if error.raw_response().is_some_and(|r| r.status().as_u16() == 404) => Ok(None),
                Err(error) => Err(fail("head", &key, &error)),
            }
        })
    }

    fn list(
        &self,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<Result<Vec<String>, BucketError>> {
        Box::pin(self.clone().list(prefix, after, limit))
    }

    fn delete(&self, key: String) -> BoxFuture<Result<(), BucketError>> {
        let call = self.client.delete_object().bucket(&self.name).key(&key);
        Box::pin(async move { call.send().await.map(|_| ()).map_err(|error| fail("delete", &key, &error)) })
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
