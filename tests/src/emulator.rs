//! An S3 and a DynamoDB that run beside the tests, LocalStack's for one, in place of the embedded ones: the same suite over both.
//!
//! Invariant: each stack has a bucket and a table of its own there, named after its data directory, so that a stack that is started
//! again with the same data finds them.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::SocketAddr,
    path::Path,
};

use anyhow::{Context, Result};

/// Where its S3 is: `IP:PORT`.
const S3_VAR: &str = "E2E_S3_AT";
/// Where its DynamoDB is: `IP:PORT`.
const DYNAMODB_VAR: &str = "E2E_DYNAMODB_AT";

/// What is used instead of the embedded services; nothing unless the environment says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emulator {
    /// Its S3.
    pub s3: Option<SocketAddr>,
    /// Its DynamoDB.
    pub dynamodb: Option<SocketAddr>,
}

impl Emulator {
    /// As the environment says.
    ///
    /// # Errors
    /// When it says something that is no address.
    pub fn find() -> Result<Self> {
        let at = |name: &str| {
            let text = std::env::var(name).ok().filter(|text| !text.is_empty());
            text.map(|text| text.parse().with_context(|| format!("{name} is {text}, not IP:PORT")))
                .transpose()
        };
        Ok(Self { s3: at(S3_VAR)?, dynamodb: at(DYNAMODB_VAR)? })
    }

    /// The name of bucket and table for a data directory.
    #[must_use]
    pub fn names(self, data: &Path) -> String {
        if self.s3.is_none() && self.dynamodb.is_none() {
            return "gopcast".to_owned();
        }
        let mut hasher = DefaultHasher::new();
        data.hash(&mut hasher);
        format!("e2e-{:016x}", hasher.finish())
    }

    /// What `gopcast up` is given for it.
    #[must_use]
    pub fn up_args(self, data: &Path) -> Vec<String> {
        let mut args = Vec::new();
        for (option, at) in [("--s3-at", self.s3), ("--dynamodb-at", self.dynamodb)] {
            args.extend(at.into_iter().flat_map(|at| [option.to_owned(), at.to_string()]));
        }
        if !args.is_empty() {
            args.extend(["--names".to_owned(), self.names(data)]);
        }
        args
    }
}
