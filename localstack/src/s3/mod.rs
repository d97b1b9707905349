//! The embedded S3: [`Store`] keeps the objects, `api` speaks the protocol through the `s3s` crate.
//!
//! `names`, `object`, `list` and `convert` are pure; `store` touches the disk; `api` and `body` are the shell between
//! the network and the store. What the store promises stands in `store.rs`.

mod api;
mod body;
mod convert;
mod keys;
mod list;
mod names;
mod object;
mod store;

use std::sync::Arc;

use s3s::service::{S3Service, S3ServiceBuilder};

pub use object::Damage;
pub(crate) use object::Meta;
pub use store::{Store, StoreError};

use crate::clock::SharedClock;

/// The S3 protocol over `store`, for requests signed with this key pair or a placeholder's: see `keys`.
pub(crate) fn service(
    store: Arc<Store>,
    clock: SharedClock,
    access_key: &str,
    secret_key: &str,
) -> S3Service {
    let mut builder = S3ServiceBuilder::new(api::Api::new(store, clock));
    builder.set_auth(keys::Keys::new(access_key, secret_key));
    builder.build()
}

/// What a reader outside this module gets of an object: all of it.
#[derive(Debug, Clone)]
pub(crate) struct Whole {
    pub(crate) meta: Meta,
    pub(crate) body: bytes::Bytes,
}

/// Reads an object whole; `None` when its body is longer than `max_bytes`. Blocks on the disk.
pub(crate) fn read_whole(
    store: &Store,
    bucket: &str,
    key: &str,
    known_etag: Option<&str>,
    max_bytes: u64,
) -> Result<Option<Whole>, StoreError> {
    let opened = store.read(bucket, key)?;
    if opened.meta.size > max_bytes {
        return Ok(None);
    }
    if known_etag == Some(opened.meta.etag.as_str()) {
        return Ok(Some(Whole { meta: opened.meta, body: bytes::Bytes::new() }));
    }
    let Ok(length) = usize::try_from(opened.meta.size) else { return Ok(None) };
    let body = opened.read(0, length)?.into();
    Ok(Some(Whole { meta: opened.meta, body }))
}
