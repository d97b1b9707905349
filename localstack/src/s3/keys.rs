//! Who may sign requests: the stack's own key pair, and any pair whose secret is its access key (`local`/`local`, `x`/`x`).
//!
//! A signature can only be checked against a secret that is known. The endpoint is on loopback and protects nothing; what the check is
//! for is that a client which signs wrongly is told so, as by AWS. Pairs of equal halves let tools in that carry a placeholder.

use s3s::{
    S3Result,
    auth::{S3Auth, SecretKey},
};

/// The key pairs that are taken.
pub(super) struct Keys {
    access: String,
    secret: String,
}

impl Keys {
    pub(super) fn new(access: &str, secret: &str) -> Self {
        Self { access: access.to_owned(), secret: secret.to_owned() }
    }
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        Ok(if access_key == self.access { self.secret.as_str() } else { access_key }.into())
    }
}
