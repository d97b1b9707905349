//! Why the stack could not start. Errors of single requests are answers of their protocols and live there.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::s3::StoreError;

/// Why the stack could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be listened on.
    #[error(
        "{part} cannot listen on {address}: stop what uses it, or change the {setting} (port 0 lets the system choose)"
    )]
    Listen {
        /// The part of the stack that wanted it.
        part: &'static str,
        /// The address it wanted.
        address: SocketAddr,
        /// The name of the configuration field.
        setting: &'static str,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The data directory cannot be used.
    #[error("the data directory {} cannot be used: make it writable, or change `data_dir`", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Another stack has the data directory.
    #[error("the data directory {} is in use by another local stack: stop that one, or change `data_dir`", path.display())]
    DataDirInUse {
        /// The directory.
        path: PathBuf,
    },
    /// The embedded S3 cannot open its store, or make the bucket.
    #[error("the embedded S3 cannot start")]
    S3(#[from] StoreError),
    /// The embedded DynamoDB cannot open its file, or make the table.
    #[error("the embedded DynamoDB cannot {doing}: {reason}")]
    DynamoDb {
        /// What it was doing.
        doing: &'static str,
        /// What it says, which names no secret.
        reason: String,
    },
    /// An S3 or DynamoDB elsewhere on this machine cannot be used.
    #[error("the {part} at {address} cannot {doing}: {reason}")]
    External {
        /// `S3` or `DynamoDB`.
        part: &'static str,
        /// Where it was asked.
        address: SocketAddr,
        /// What it was asked for.
        doing: &'static str,
        /// What it, or the way to it, says.
        reason: String,
    },
    /// The CDN's rules are wrong.
    #[error("the CDN rules (infra/data/cdn.json) cannot be used: {0}")]
    Rules(String),
}
