//! Where the CDN gets objects: the seam [`Origin`], and the embedded S3 behind it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::s3::{self, Store, StoreError};

/// The largest object that is served: a GOP of ten seconds at 200 Mbit/s. Objects pass through memory whole.
const OBJECT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// An object as viewers get it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    /// The body.
    pub body: Bytes,
    /// The entity tag, without quotes.
    pub etag: String,
    /// When it was written, milliseconds since the Unix epoch.
    pub modified_ms: i64,
    /// `Content-Type`
    pub content_type: Option<String>,
    /// `Content-Encoding`
    pub content_encoding: Option<String>,
    /// `Cache-Control`
    pub cache_control: Option<String>,
}

/// What the origin answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The object.
    Object(Object),
    /// The object still has the tag that the CDN knows.
    NotModified,
    /// There is no such object.
    Missing,
    /// The origin cannot tell.
    Failed,
}

/// Where the CDN gets objects.
pub trait Origin: Send + Sync + 'static {
    /// Fetches `key`; [`Fetched::NotModified`] only when it has the tag `known`.
    fn fetch<'a>(&'a self, key: &'a str, known: Option<&'a str>) -> BoxFuture<'a, Fetched>;
}

/// A bucket of the embedded S3.
#[derive(Debug)]
pub struct Bucket {
    store: Arc<Store>,
    name: String,
}

impl Bucket {
    /// The bucket `name` of `store`.
    #[must_use]
    pub fn new(store: Arc<Store>, name: String) -> Self {
        Self { store, name }
    }
}

impl Origin for Bucket {
    fn fetch<'a>(&'a self, key: &'a str, known: Option<&'a str>) -> BoxFuture<'a, Fetched> {
        let (store, name) = (Arc::clone(&self.store), self.name.clone());
        let (key, known) = (key.to_owned(), known.map(str::to_owned));
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || {
                let whole = s3::read_whole(&store, &name, &key, known.as_deref(), OBJECT_BYTES_MAX);
                (whole, key, known)
            });
            match read.await {
                Ok((Ok(Some(whole)), _, known)) if known.as_ref() == Some(&whole.meta.etag) => {
                    Fetched::NotModified
                }
                Ok((Ok(Some(whole)), ..)) => Fetched::Object(Object {
                    body: whole.body,
                    etag: whole.meta.etag,
                    modified_ms: whole.meta.modified_ms,
                    content_type: whole.meta.headers.content_type,
                    content_encoding: whole.meta.headers.content_encoding,
                    cache_control: whole.meta.headers.cache_control,
                }),
                Ok((Err(StoreError::NoSuchKey | StoreError::NoSuchBucket(_) | StoreError::BadName), ..)) => {
                    Fetched::Missing
                }
                Ok((Ok(None), key, _)) => {
                    tracing::warn!(key, "object is too large to be served");
                    Fetched::Failed
                }
                Ok((Err(error), key, _)) => {
                    tracing::warn!(key, error = &error as &dyn std::error::Error, "origin failed");
                    Fetched::Failed
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "origin failed");
                    Fetched::Failed
                }
            }
        })
    }
}
