//! Bodies between the network and the store: receiving with digests, sending in pieces.
//!
//! Invariants: at most one piece of a body is in memory at a time; disk and digests run on blocking threads.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{S3Error, S3ErrorCode};

use super::store::{Opened, Store, StoreError, Upload};

/// Bytes read or written on one trip to a blocking thread: large enough that the trip costs nothing beside it.
const PIECE_BYTES: usize = 1024 * 1024;

/// The largest body of a single PUT (S3 User Guide, "Uploading objects").
const BODY_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// A body received in full.
pub(super) struct Received {
    pub(super) upload: Upload,
    pub(super) size: u64,
    /// In hex.
    pub(super) md5: String,
    /// Base64 by algorithm.
    pub(super) checksums: BTreeMap<String, String>,
}

struct Receiving {
    upload: Upload,
    size: u64,
    md5: Md5,
    checksums: ChecksumHasher,
}

impl Receiving {
    fn take(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.md5.update(piece);
        self.checksums.update(piece);
        self.upload.write(piece)
    }
}

/// Runs `work` on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, S3Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(S3Error::from),
        Err(error) => Err(S3Error::with_source(S3ErrorCode::InternalError, Box::new(error))),
    }
}

/// Receives `body` into the store, computing the digests asked for.
pub(super) async fn receive(
    store: std::sync::Arc<Store>,
    mut body: StreamingBlob,
    checksums: ChecksumHasher,
) -> Result<Received, S3Error> {
    let upload = blocking(move || store.upload()).await?;
    let mut receiving = Receiving { upload, size: 0, md5: Md5::new(), checksums };
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut pending = 0_usize;
    loop {
        let chunk = body.next().await.transpose().map_err(unreadable)?;
        let ended = chunk.is_none();
        if let Some(chunk) = chunk {
            pending += chunk.len();
            receiving.size += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            if receiving.size > BODY_BYTES_MAX {
                return Err(S3Error::new(S3ErrorCode::EntityTooLarge));
            }
            pieces.push(chunk);
        }
        if pending >= PIECE_BYTES || (ended && pending > 0) {
            let batch = std::mem::take(&mut pieces);
            pending = 0;
            receiving = blocking(move || {
                batch.iter().try_for_each(|piece| receiving.take(piece))?;
                Ok(receiving)
            })
            .await?;
        }
        if ended {
            let Receiving { upload, size, md5, checksums } = receiving;
            let checksums = by_algorithm(checksums.finalize());
            return Ok(Received { upload, size, md5: hex::encode(md5.finalize()), checksums });
        }
    }
}

/// A body that broke off or whose signature is wrong keeps the code that found it.
fn unreadable(error: s3s::StdError) -> S3Error {
    match error.downcast::<S3Error>() {
        Ok(error) => *error,
        Err(error) => S3Error::with_source(S3ErrorCode::IncompleteBody, error),
    }
}

/// The digests that are present, named as in [`super::object::Meta::checksums`].
pub(super) fn by_algorithm(sums: Checksum) -> BTreeMap<String, String> {
    let named = [
        ("crc32", sums.checksum_crc32),
        ("crc32c", sums.checksum_crc32c),
        ("crc64nvme", sums.checksum_crc64nvme),
        ("sha1", sums.checksum_sha1),
        ("sha256", sums.checksum_sha256),
    ];
    named.into_iter().filter_map(|(name, sum)| Some((name.to_owned(), sum?))).collect()
}

/// The bytes of `opened` in `range`, read as the reader takes them.
pub(super) fn send(opened: Opened, range: std::ops::Range<u64>) -> StreamingBlob {
    StreamingBlob::wrap(pieces(opened, range))
}

fn pieces(
    opened: Opened,
    range: std::ops::Range<u64>,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + Sync + 'static {
    futures_util::stream::unfold((opened, range), |(opened, range)| async move {
        let left = range.end.saturating_sub(range.start);
        if left == 0 {
            return None;
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let reader = opened.clone();
        let read = tokio::task::spawn_blocking(move || reader.read(range.start, length)).await;
        match read {
            Ok(Ok(bytes)) => {
                let next = range.start + u64::try_from(length).unwrap_or(u64::MAX);
                Some((Ok(Bytes::from(bytes)), (opened, next..range.end)))
            }
            Ok(Err(error)) => Some((Err(std::io::Error::other(error)), (opened, 0..0))),
            Err(error) => Some((Err(std::io::Error::other(error)), (opened, 0..0))),
        }
    })
}
