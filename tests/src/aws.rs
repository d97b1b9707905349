//! The embedded AWS, reached by the ordinary SDK clients as any outsider reaches it.

use std::{collections::HashMap, future::Future};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::{config::Credentials, primitives::ByteStream};

use crate::stack::{Ready, Stack};

/// The keys that every emulator takes.
const KEY: &str = "test";
const REGION: &str = "us-east-1";

/// The clients of one stack.
pub struct Aws {
    runtime: tokio::runtime::Runtime,
    s3: aws_sdk_s3::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    bucket: String,
    table: String,
}

/// A row: its attributes by name.
pub type Item = HashMap<String, AttributeValue>;

async fn config(endpoint: &str) -> SdkConfig {
    // Nothing is taken from the AWS settings of whoever runs the test.
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(Credentials::new(KEY, KEY, None, None, "test"))
        .load()
        .await
}

impl Aws {
    /// Clients for this stack.
    ///
    /// # Errors
    /// When no runtime can be had.
    pub fn new(stack: &Stack) -> Result<Self> {
        let Ready { s3, dynamodb, .. } = &stack.ready;
        Self::at(&s3.endpoint, &dynamodb.endpoint, &s3.bucket, &dynamodb.table)
    }

    /// Clients for these endpoints.
    ///
    /// # Errors
    /// When no runtime can be had.
    pub fn at(s3: &str, dynamodb: &str, bucket: &str, table: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (for_s3, for_dynamodb) = runtime.block_on(async { (config(s3).await, config(dynamodb).await) });
        let path_style = aws_sdk_s3::config::Builder::from(&for_s3).force_path_style(true);
        Ok(Self {
            runtime,
            s3: aws_sdk_s3::Client::from_conf(path_style.build()),
            dynamodb: aws_sdk_dynamodb::Client::new(&for_dynamodb),
            bucket: bucket.to_owned(),
            table: table.to_owned(),
        })
    }

    fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }

    /// The keys under a prefix, in order.
    ///
    /// # Errors
    /// When S3 refuses.
    pub fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let pages = self.s3.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        let pages = self.wait(pages.collect::<Result<Vec<_>, _>>()).context("listing the bucket")?;
        Ok(pages.into_iter().flat_map(|p| p.contents.unwrap_or_default()).filter_map(|o| o.key).collect())
    }

    /// The bytes of an object.
    ///
    /// # Errors
    /// When S3 refuses.
    pub fn object(&self, key: &str) -> Result<Vec<u8>> {
        self.wait(async {
            let reply = self.s3.get_object().bucket(&self.bucket).key(key).send().await?;
            Ok(reply.body.collect().await?.to_vec())
        })
    }

    /// Stores an object, over whatever is there.
    ///
    /// # Errors
    /// When S3 refuses.
    pub fn put_object(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        let put = self.s3.put_object().bucket(&self.bucket).key(key).body(ByteStream::from(bytes));
        self.wait(put.send()).with_context(|| format!("putting {key}"))?;
        Ok(())
    }

    /// Removes an object.
    ///
    /// # Errors
    /// When S3 refuses.
    pub fn delete_object(&self, key: &str) -> Result<()> {
        let delete = self.s3.delete_object().bucket(&self.bucket).key(key);
        self.wait(delete.send()).with_context(|| format!("deleting {key}"))?;
        Ok(())
    }

    /// The rows of a partition whose sort key starts with `prefix`, in order; with an empty one all of them.
    ///
    /// # Errors
    /// When DynamoDB refuses.
    pub fn rows(&self, pk: &str, prefix: &str) -> Result<Vec<Item>> {
        let query = self
            .dynamodb
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()));
        // DynamoDB refuses an empty string as a key's value, and that is what it takes a prefix for.
        let query = if prefix.is_empty() {
            query.key_condition_expression("pk = :pk")
        } else {
            query
                .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
                .expression_attribute_values(":sk", AttributeValue::S(prefix.to_owned()))
        };
        let pages = query.into_paginator().items().send();
        self.wait(pages.collect::<Result<Vec<_>, _>>()).context("querying the table")
    }

    /// Writes a row, over whatever is there.
    ///
    /// # Errors
    /// When DynamoDB refuses.
    pub fn put_row(&self, item: Item) -> Result<()> {
        let put = self.dynamodb.put_item().table_name(&self.table).set_item(Some(item));
        self.wait(put.send()).context("putting a row")?;
        Ok(())
    }

    /// Removes a row.
    ///
    /// # Errors
    /// When DynamoDB refuses.
    pub fn delete_row(&self, item: &Item) -> Result<()> {
        let key =
            ["pk", "sk"].iter().filter_map(|k| Some(((*k).to_owned(), item.get(*k)?.clone()))).collect();
        let delete = self.dynamodb.delete_item().table_name(&self.table).set_key(Some(key));
        self.wait(delete.send()).context("deleting a row")?;
        Ok(())
    }

    /// The id of the encoder that serves a broadcast.
    ///
    /// # Errors
    /// When there is no binding.
    pub fn encoder_of(&self, broadcast: &str) -> Result<String> {
        let rows = self.rows(&format!("BCAST#{broadcast}"), "BINDING")?;
        text(rows.first().context("no binding")?, "encoder")
    }
}

/// A text attribute of a row.
///
/// # Errors
/// When there is none.
pub fn text(item: &Item, name: &str) -> Result<String> {
    let value = item.get(name).and_then(|v| v.as_s().ok());
    value.cloned().with_context(|| format!("the row has no text {name}"))
}
