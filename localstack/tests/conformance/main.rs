//! What gopcast relies on in S3 and DynamoDB, asked of whatever answers: the embedded ones, LocalStack, moto. One list of checks, each
//! written to what AWS documents; where a backend differs, `differences.rs` must say so, and `localstack/README.md` shows it.
//!
//! Without anything set, the embedded AWS is asked. `make conformance` asks all three, by these variables:
//!
//! - `GOPCAST_CONFORMANCE`: the backend's name in `differences.rs`
//! - `GOPCAST_CONFORMANCE_S3`, `GOPCAST_CONFORMANCE_DYNAMODB`: `IP:PORT`
//!
//! Lambda is not in it: neither LocalStack (without Docker) nor moto runs a function. `tests/lambda.rs` checks ours against what AWS documents.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

#[path = "../common/mod.rs"]
mod common;
mod differences;
mod dynamodb;
mod s3;

use std::fmt::Write as _;
use std::net::SocketAddr;

use differences::{DIFFERENCES, When};
use futures_util::future::BoxFuture;
use localstack::LocalAws;
use tempfile::TempDir;

/// Says which backend is asked.
const BACKEND: &str = "GOPCAST_CONFORMANCE";

/// What came of a check: nothing, or how the answer differs from AWS's.
type Outcome = Result<(), String>;

/// A check.
struct Check<C> {
    /// Its name: a promise.
    name: &'static str,
    /// Asks.
    ask: fn(C) -> BoxFuture<'static, Outcome>,
}

/// Fails a check with what was seen.
macro_rules! want {
    ($holds:expr, $($seen:tt)*) => {
        if !$holds {
            return Err(format!($($seen)*));
        }
    };
}
pub(crate) use want;

/// Who is asked.
struct Backend {
    name: String,
    s3: SocketAddr,
    dynamodb: SocketAddr,
    /// The embedded AWS, if it is that.
    _embedded: Option<(TempDir, LocalAws)>,
}

impl Backend {
    async fn find() -> Self {
        let given = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        match given(BACKEND) {
            Some(name) => {
                let at = |what: &str| {
                    let variable = format!("{BACKEND}_{what}");
                    given(&variable).unwrap_or_else(|| panic!("{variable} is not set")).parse().unwrap()
                };
                Self { name, s3: at("S3"), dynamodb: at("DYNAMODB"), _embedded: None }
            }
            None => {
                let embedded = common::start().await;
                let at = embedded.1.addresses();
                Self {
                    name: "embedded".to_owned(),
                    s3: at.s3,
                    dynamodb: at.dynamodb,
                    _embedded: Some(embedded),
                }
            }
        }
    }

    /// Asks everything of one seam and compares with the differences that are known.
    async fn ask<C: Clone>(&self, seam: &str, client: &C, checks: &[Check<C>]) {
        let (mut wrong, mut differs) = (String::new(), 0);
        for check in checks {
            let outcome = (check.ask)(client.clone()).await;
            let known = DIFFERENCES.iter().find(|d| d.backend == self.name && d.check == check.name);
            match (outcome, known) {
                (Ok(()), None | Some(differences::Difference { when: When::Sometimes, .. })) => {}
                (Ok(()), Some(_)) => {
                    writeln!(wrong, "{}: as AWS; differences.rs says otherwise", check.name).unwrap()
                }
                (Err(seen), None) => writeln!(wrong, "{}: {seen}", check.name).unwrap(),
                (Err(seen), Some(known)) => {
                    differs += 1;
                    eprintln!(
                        "{} {seam}: {} differs, as known ({}): {seen}",
                        self.name, check.name, known.what
                    );
                }
            }
        }
        eprintln!("{} {seam}: {} checks, {differs} differ from AWS as known", self.name, checks.len());
        assert!(wrong.is_empty(), "{} {seam}:\n{wrong}", self.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_is_as_gopcast_relies_on() {
    let backend = Backend::find().await;
    let bucket = s3::Bucket::new(backend.s3).await;
    backend.ask("S3", &bucket, s3::CHECKS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dynamodb_is_as_gopcast_relies_on() {
    let backend = Backend::find().await;
    let table = dynamodb::Table::new(backend.dynamodb).await;
    backend.ask("DynamoDB", &table, dynamodb::CHECKS).await;
}

#[test]
fn every_known_difference_is_of_a_check_and_in_the_readme() {
    let checks: Vec<&str> =
        s3::CHECKS.iter().map(|c| c.name).chain(dynamodb::CHECKS.iter().map(|c| c.name)).collect();
    let readme = include_str!("../../README.md");
    for known in DIFFERENCES {
        assert!(checks.contains(&known.check), "{} is no check", known.check);
        let row = format!("| {} | `{}` | {} |", known.backend, known.check, known.what);
        assert!(readme.contains(&row), "localstack/README.md lacks: {row}");
    }
    let rows = readme.lines().filter(|l| {
        l.starts_with("| moto | `") || l.starts_with("| localstack | `") || l.starts_with("| embedded | `")
    });
    assert_eq!(
        rows.count(),
        DIFFERENCES.len(),
        "localstack/README.md has rows that are not in differences.rs"
    );
}
