//! Between the protocol's types and ours: errors, conditions, digests, dates, pages. Pure.

use s3s::checksum::ChecksumHasher;
use s3s::dto::{CommonPrefix, ETag, ETagCondition, Object, PutObjectInput, Range, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders, s3_error};

use super::body;
use super::list::Page;
use super::object::{Conditions, Expected, Meta};
use super::store::StoreError;

/// Entries on a page of a listing, at most and by default (API reference, `ListObjectsV2`).
const LIST_MAX: usize = 1000;

impl From<StoreError> for S3Error {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::NoSuchBucket(_) => S3ErrorCode::NoSuchBucket,
            StoreError::BucketExists(_) => S3ErrorCode::BucketAlreadyOwnedByYou,
            StoreError::BucketNotEmpty(_) => S3ErrorCode::BucketNotEmpty,
            StoreError::NoSuchKey => S3ErrorCode::NoSuchKey,
            StoreError::PreconditionFailed => S3ErrorCode::PreconditionFailed,
            StoreError::BadName => S3ErrorCode::KeyTooLongError,
            StoreError::Damaged(_) | StoreError::Io { .. } => {
                tracing::error!(error = &error as &dyn std::error::Error, "object store failed");
                S3ErrorCode::InternalError
            }
        };
        let message = error.to_string();
        let mut error = S3Error::with_source(code, Box::new(error));
        error.set_message(message);
        error
    }
}

/// The conditions of a write. S3 knows no `If-None-Match` but `*` there.
pub(super) fn conditions(
    if_match: Option<ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<Conditions> {
    let matches = if_match.map(|condition| match condition {
        ETagCondition::Any => Expected::Any,
        ETagCondition::ETag(tag) => Expected::Tag(tag.into_value()),
    });
    match if_none_match {
        None => Ok(Conditions { absent: false, matches }),
        Some(ETagCondition::Any) => Ok(Conditions { absent: true, matches }),
        Some(ETagCondition::ETag(_)) => {
            Err(s3_error!(NotImplemented, "If-None-Match takes only * on a write"))
        }
    }
}

/// The 304 of a read whose condition says that the reader has this version. `s3s` makes it from an error only.
fn not_modified(meta: &Meta) -> S3Error {
    let mut headers = http::HeaderMap::new();
    let named = [
        (http::header::ETAG, Some(format!("\"{}\"", meta.etag))),
        (http::header::CACHE_CONTROL, meta.headers.cache_control.clone()),
    ];
    for (name, value) in named {
        if let Some(Ok(value)) = value.map(http::HeaderValue::try_from) {
            headers.insert(name, value);
        }
    }
    let mut error = S3Error::new(S3ErrorCode::NotModified);
    error.set_headers(headers);
    error
}

/// `Ok` when the body is to be sent.
pub(super) fn judge_reading(
    meta: &Meta,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
    if_modified_since: Option<&Timestamp>,
    if_unmodified_since: Option<&Timestamp>,
) -> S3Result<()> {
    let tag = ETag::Strong(meta.etag.clone());
    // HTTP dates have whole seconds (RFC 9110, section 13.1.3).
    let modified = timestamp(meta.modified_ms.div_euclid(1000) * 1000)?;
    match if_match {
        Some(ETagCondition::ETag(wanted)) if !wanted.strong_cmp(&tag) => {
            return Err(s3_error!(PreconditionFailed));
        }
        None if if_unmodified_since.is_some_and(|since| modified > *since) => {
            return Err(s3_error!(PreconditionFailed));
        }
        _ => {}
    }
    let unchanged = match if_none_match {
        Some(ETagCondition::Any) => true,
        Some(ETagCondition::ETag(known)) => known.weak_cmp(&tag),
        None => if_modified_since.is_some_and(|since| modified <= *since),
    };
    if unchanged { Err(not_modified(meta)) } else { Ok(()) }
}

pub(super) fn timestamp(ms: i64) -> S3Result<Timestamp> {
    let ms = u64::try_from(ms).map_err(|error| s3_error!(error, InternalError))?;
    Ok(Timestamp::from(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(ms)))
}

pub(super) fn size(bytes: u64) -> S3Result<i64> {
    i64::try_from(bytes).map_err(|error| s3_error!(error, InternalError))
}

pub(super) fn user_metadata(meta: &Meta) -> Option<s3s::dto::Metadata> {
    (!meta.user.is_empty()).then(|| meta.user.clone().into_iter().collect())
}

/// Which digests to compute while the body passes.
pub(super) fn hasher(input: &PutObjectInput) -> ChecksumHasher {
    let asked = |name: &str| input.checksum_algorithm.as_ref().is_some_and(|a| a.as_str() == name);
    ChecksumHasher {
        crc32: (asked("CRC32") || input.checksum_crc32.is_some()).then(Default::default),
        crc32c: (asked("CRC32C") || input.checksum_crc32c.is_some()).then(Default::default),
        sha1: (asked("SHA1") || input.checksum_sha1.is_some()).then(Default::default),
        sha256: (asked("SHA256") || input.checksum_sha256.is_some()).then(Default::default),
        crc64nvme: (asked("CRC64NVME") || input.checksum_crc64nvme.is_some()).then(Default::default),
    }
}

/// The digests that the writer claims, from headers and trailer.
pub(super) fn claimed(
    input: &PutObjectInput,
    trailers: Option<TrailingHeaders>,
) -> std::collections::BTreeMap<String, String> {
    let mut claimed = body::by_algorithm(s3s::dto::Checksum {
        checksum_crc32: input.checksum_crc32.clone(),
        checksum_crc32c: input.checksum_crc32c.clone(),
        checksum_crc64nvme: input.checksum_crc64nvme.clone(),
        checksum_sha1: input.checksum_sha1.clone(),
        checksum_sha256: input.checksum_sha256.clone(),
        ..Default::default()
    });
    for (name, value) in trailers.and_then(|t| t.take()).iter().flatten() {
        let algorithm = name.as_str().strip_prefix("x-amz-checksum-");
        if let (Some(algorithm), Ok(value)) = (algorithm, value.to_str()) {
            claimed.insert(algorithm.to_owned(), value.to_owned());
        }
    }
    claimed
}

pub(super) fn head_range(range: Option<&Range>, total: u64) -> S3Result<(u64, Option<String>)> {
    let Some(range) = range else { return Ok((total, None)) };
    let range = range.check(total)?;
    let last = range.end.saturating_sub(1);
    Ok((range.end.saturating_sub(range.start), Some(format!("bytes {}-{last}/{total}", range.start))))
}

pub(super) fn page_size(max_keys: Option<i32>) -> S3Result<usize> {
    match max_keys.map(usize::try_from) {
        None => Ok(LIST_MAX),
        Some(Ok(max)) => Ok(max.min(LIST_MAX)),
        Some(Err(_)) => Err(s3_error!(InvalidArgument, "max-keys must not be negative")),
    }
}

pub(super) fn entries(page: Page) -> S3Result<(Vec<Object>, Vec<CommonPrefix>)> {
    let objects = page.objects.into_iter().map(|(key, listed)| {
        Ok(Object {
            key: Some(key),
            size: Some(size(listed.size)?),
            e_tag: Some(ETag::Strong(listed.etag)),
            last_modified: Some(timestamp(listed.modified_ms)?),
            ..Default::default()
        })
    });
    let prefixes = page.common_prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) });
    Ok((objects.collect::<S3Result<_>>()?, prefixes.collect()))
}
