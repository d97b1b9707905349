//! The S3 operations that the product and its operators use, over [`Store`]. Everything else answers 501.
//!
//! Invariant: a request's body is read to its end before any condition is judged, so a refusal never leaves unread
//! bytes on a connection that is kept alive.

use std::sync::Arc;

use base64::Engine as _;
use s3s::checksum::ChecksumHasher;
use s3s::dto::{
    Bucket, BucketLocationConstraint, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource,
    CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput, DeleteObjectInput,
    DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag, GetBucketLocationInput,
    GetBucketLocationOutput, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListObjectsInput,
    ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, MetadataDirective, PutObjectInput,
    PutObjectOutput,
};
use s3s::{S3, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::body::{self, blocking};
use super::convert::{
    claimed, conditions, entries, hasher, head_range, judge_reading, page_size, size, timestamp,
    user_metadata,
};
use super::list::{After, Page, Query};
use super::object::{Conditions, Headers, Meta};
use super::store::{Opened, Store};
use crate::clock::SharedClock;

/// Objects one `DeleteObjects` takes (API reference, `DeleteObjects`).
const DELETE_MAX: usize = 1000;

pub(super) struct Api {
    store: Arc<Store>,
    clock: SharedClock,
}

impl Api {
    pub(super) fn new(store: Arc<Store>, clock: SharedClock) -> Self {
        Self { store, clock }
    }

    async fn open(&self, bucket: &str, key: &str) -> S3Result<Opened> {
        let (store, bucket, key) = (Arc::clone(&self.store), bucket.to_owned(), key.to_owned());
        blocking(move || store.read(&bucket, &key)).await
    }

    async fn delete(&self, bucket: &str, key: &str, conditions: Conditions) -> S3Result<()> {
        let (store, bucket, key) = (Arc::clone(&self.store), bucket.to_owned(), key.to_owned());
        blocking(move || store.delete(&bucket, &key, &conditions)).await
    }

    async fn list(&self, bucket: String, query: Query) -> S3Result<Page> {
        let store = Arc::clone(&self.store);
        blocking(move || store.list(&bucket, &query)).await
    }

    /// Stores a received body; `meta` lacks what only the body tells.
    async fn commit(
        &self,
        received: body::Received,
        bucket: String,
        key: String,
        mut meta: Meta,
        conditions: Conditions,
    ) -> S3Result<Meta> {
        meta.size = received.size;
        meta.etag = received.md5;
        meta.modified_ms = self.clock.now().as_millisecond();
        let store = Arc::clone(&self.store);
        blocking(move || {
            store.commit(received.upload, &bucket, &key, &meta, &conditions)?;
            Ok(meta)
        })
        .await
    }
}

#[async_trait::async_trait]
impl S3 for Api {
    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let (store, bucket) = (Arc::clone(&self.store), req.input.bucket);
        let location = Some(format!("/{bucket}"));
        blocking(move || store.create_bucket(&bucket)).await?;
        Ok(S3Response::new(CreateBucketOutput { location }))
    }

    async fn delete_bucket(
        &self,
        req: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let store = Arc::clone(&self.store);
        blocking(move || store.delete_bucket(&req.input.bucket)).await?;
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        if !self.store.has_bucket(&req.input.bucket) {
            return Err(s3_error!(NoSuchBucket));
        }
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        if !self.store.has_bucket(&req.input.bucket) {
            return Err(s3_error!(NoSuchBucket));
        }
        let location_constraint = req.region.map(|r| BucketLocationConstraint::from(r.as_str().to_owned()));
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let names = self.store.bucket_names();
        let buckets =
            names.into_iter().map(|name| Bucket { name: Some(name), ..Default::default() }).collect();
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets), ..Default::default() }))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let mut input = req.input;
        let body = input.body.take().ok_or_else(|| s3_error!(IncompleteBody))?;
        let received = body::receive(Arc::clone(&self.store), body, hasher(&input)).await?;

        if let Some(claim) = &input.content_md5 {
            let digest = hex::decode(&received.md5).map_err(|error| s3_error!(error, InternalError))?;
            if *claim != base64::engine::general_purpose::STANDARD.encode(&digest) {
                return Err(s3_error!(BadDigest, "Content-MD5 is not that of the body"));
            }
        }
        let checksums = claimed(&input, req.trailing_headers);
        for (algorithm, claim) in &checksums {
            match received.checksums.get(algorithm) {
                Some(sum) if sum == claim => {}
                Some(_) => {
                    return Err(s3_error!(BadDigest, "the {algorithm} checksum is not that of the body"));
                }
                None => {
                    return Err(s3_error!(NotImplemented, "the checksum algorithm {algorithm} is not known"));
                }
            }
        }
        let conditions = conditions(input.if_match, input.if_none_match.as_ref())?;
        let meta = Meta {
            headers: Headers {
                cache_control: input.cache_control,
                content_disposition: input.content_disposition,
                content_encoding: input.content_encoding.filter(|e| e != "aws-chunked"),
                content_language: input.content_language,
                content_type: input.content_type,
            },
            user: input.metadata.unwrap_or_default().into_iter().collect(),
            checksums,
            ..Meta::default()
        };
        let meta = self.commit(received, input.bucket, input.key, meta, conditions).await?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(meta.etag)),
            checksum_crc32: meta.checksums.get("crc32").cloned(),
            checksum_crc32c: meta.checksums.get("crc32c").cloned(),
            checksum_crc64nvme: meta.checksums.get("crc64nvme").cloned(),
            checksum_sha1: meta.checksums.get("sha1").cloned(),
            checksum_sha256: meta.checksums.get("sha256").cloned(),
            ..Default::default()
        }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        let opened = self.open(&input.bucket, &input.key).await?;
        let meta = opened.meta.clone();
        judge_reading(
            &meta,
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
            input.if_modified_since.as_ref(),
            input.if_unmodified_since.as_ref(),
        )?;
        let mut output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: meta.headers.cache_control.clone(),
            content_disposition: meta.headers.content_disposition.clone(),
            content_encoding: meta.headers.content_encoding.clone(),
            content_language: meta.headers.content_language.clone(),
            content_type: meta.headers.content_type.clone(),
            e_tag: Some(ETag::Strong(meta.etag.clone())),
            last_modified: Some(timestamp(meta.modified_ms)?),
            metadata: user_metadata(&meta),
            ..Default::default()
        };
        let range = match &input.range {
            None => 0..meta.size,
            Some(range) => {
                let range = range.check(meta.size)?;
                let last = range.end.saturating_sub(1);
                output.content_range = Some(format!("bytes {}-{last}/{}", range.start, meta.size));
                range
            }
        };
        if input.checksum_mode.is_some() && input.range.is_none() {
            output.checksum_crc32 = meta.checksums.get("crc32").cloned();
            output.checksum_crc32c = meta.checksums.get("crc32c").cloned();
            output.checksum_crc64nvme = meta.checksums.get("crc64nvme").cloned();
            output.checksum_sha1 = meta.checksums.get("sha1").cloned();
            output.checksum_sha256 = meta.checksums.get("sha256").cloned();
        }
        output.content_length = Some(size(range.end.saturating_sub(range.start))?);
        output.body = Some(body::send(opened, range));
        Ok(S3Response::new(output))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        let meta = self.open(&input.bucket, &input.key).await?.meta;
        judge_reading(
            &meta,
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
            input.if_modified_since.as_ref(),
            input.if_unmodified_since.as_ref(),
        )?;
        let (length, content_range) = head_range(input.range.as_ref(), meta.size)?;
        let output = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(size(length)?),
            content_range,
            e_tag: Some(ETag::Strong(meta.etag.clone())),
            last_modified: Some(timestamp(meta.modified_ms)?),
            metadata: user_metadata(&meta),
            cache_control: meta.headers.cache_control,
            content_disposition: meta.headers.content_disposition,
            content_encoding: meta.headers.content_encoding,
            content_language: meta.headers.content_language,
            content_type: meta.headers.content_type,
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = req.input;
        let CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
            return Err(s3_error!(NotImplemented, "only a bucket can be the source of a copy"));
        };
        let source = self.open(bucket, key).await?;
        let mut meta = source.meta.clone();
        let replace =
            input.metadata_directive.as_ref().is_some_and(|d| d.as_str() == MetadataDirective::REPLACE);
        if replace {
            meta.user = input.metadata.unwrap_or_default().into_iter().collect();
            meta.headers = Headers {
                cache_control: input.cache_control,
                content_disposition: input.content_disposition,
                content_encoding: input.content_encoding,
                content_language: input.content_language,
                content_type: input.content_type,
            };
        }
        let all = 0..source.meta.size;
        let received =
            body::receive(Arc::clone(&self.store), body::send(source, all), ChecksumHasher::default())
                .await?;
        let meta = self.commit(received, input.bucket, input.key, meta, Conditions::default()).await?;
        let result = CopyObjectResult {
            e_tag: Some(ETag::Strong(meta.etag)),
            last_modified: Some(timestamp(meta.modified_ms)?),
            ..Default::default()
        };
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() }))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = req.input;
        let conditions = conditions(input.if_match, None)?;
        self.delete(&input.bucket, &input.key, conditions).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = req.input;
        if input.delete.objects.len() > DELETE_MAX {
            return Err(s3_error!(MalformedXML, "at most {DELETE_MAX} objects can be deleted at once"));
        }
        let mut output = DeleteObjectsOutput::default();
        for object in input.delete.objects {
            match self.delete(&input.bucket, &object.key, Conditions::default()).await {
                Ok(()) if input.delete.quiet == Some(true) => {}
                Ok(()) => {
                    let deleted = DeletedObject { key: Some(object.key), ..Default::default() };
                    output.deleted.get_or_insert_default().push(deleted);
                }
                Err(error) if *error.code() == S3ErrorCode::NoSuchBucket => return Err(error),
                Err(error) => output.errors.get_or_insert_default().push(s3s::dto::Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: error.message().map(str::to_owned),
                    version_id: None,
                }),
            }
        }
        Ok(S3Response::new(output))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let after = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) => After::from_token(token).ok_or_else(|| {
                s3_error!(InvalidArgument, "the continuation token is none of this store's")
            })?,
            (None, Some(key)) => After::Key(key.clone()),
            (None, None) => After::Nothing,
        };
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            after,
            max: page_size(input.max_keys)?,
        };
        let page = self.list(input.bucket.clone(), query).await?;
        let count = page.objects.len() + page.common_prefixes.len();
        let next = page.next.as_ref().and_then(After::to_token);
        let (contents, common_prefixes) = entries(page)?;
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(input.prefix.unwrap_or_default()),
            delimiter: input.delimiter,
            max_keys: Some(input.max_keys.unwrap_or(1000)),
            key_count: i32::try_from(count).ok(),
            is_truncated: Some(next.is_some()),
            continuation_token: input.continuation_token,
            next_continuation_token: next,
            start_after: input.start_after,
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            ..Default::default()
        }))
    }

    async fn list_objects(
        &self,
        req: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = req.input;
        let delimiter = input.delimiter.clone();
        // The first version's marker is a plain key, or the common prefix that ended the page.
        let after = match (input.marker.clone(), delimiter.as_deref()) {
            (None, _) => After::Nothing,
            (Some(marker), Some(d)) if !d.is_empty() && marker.ends_with(d) => After::Prefix(marker),
            (Some(marker), _) => After::Key(marker),
        };
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter,
            after,
            max: page_size(input.max_keys)?,
        };
        let page = self.list(input.bucket.clone(), query).await?;
        let next_marker = match &page.next {
            Some(After::Key(last) | After::Prefix(last)) => Some(last.clone()),
            Some(After::Nothing) | None => None,
        };
        let (contents, common_prefixes) = entries(page)?;
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(input.prefix.unwrap_or_default()),
            delimiter,
            max_keys: Some(input.max_keys.unwrap_or(1000)),
            is_truncated: Some(next_marker.is_some()),
            marker: Some(input.marker.unwrap_or_default()),
            next_marker,
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            ..Default::default()
        }))
    }
}
