//! A stack in a temporary directory, and SDK clients pointed at it.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part of this")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use localstack::{Config, LocalAws, Worker, WorkerSpawner};
use tempfile::TempDir;

pub const ACCESS_KEY: &str = "test-access-key";
pub const SECRET_KEY: &str = "test-secret-key";
pub const BUCKET: &str = "gopcast";
pub const TABLE: &str = "gopcast";
pub const FUNCTION: &str = "gopcast-gateway";

/// Starts no process: a worker it is asked for has failed to start.
pub struct NoWorkers;

impl WorkerSpawner for NoWorkers {
    fn spawn(&self, worker: Worker) {
        worker.exited("there are no processes in this test");
    }
}

pub fn config(dir: &TempDir) -> Config {
    config_at(dir.path())
}

pub fn config_at(dir: &Path) -> Config {
    Config::new(dir.to_owned(), ACCESS_KEY.to_owned(), SECRET_KEY.to_owned())
}

pub async fn start() -> (TempDir, LocalAws) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let stack = LocalAws::start(config(&dir), Arc::new(NoWorkers)).await.expect("the stack starts");
    (dir, stack)
}

macro_rules! sdk_config {
    ($sdk:ident, $address:expr) => {
        $sdk::Config::builder()
            .behavior_version($sdk::config::BehaviorVersion::latest())
            .region($sdk::config::Region::new("us-east-1"))
            .credentials_provider($sdk::config::Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test"))
            .endpoint_url(format!("http://{}", $address))
            .retry_config($sdk::config::retry::RetryConfig::disabled())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build()
    };
}

pub fn s3(stack: &LocalAws) -> aws_sdk_s3::Client {
    s3_at(stack.addresses().s3)
}

pub fn s3_at(address: SocketAddr) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::from_conf(sdk_config!(aws_sdk_s3, address))
}

pub fn dynamodb(stack: &LocalAws) -> aws_sdk_dynamodb::Client {
    dynamodb_at(stack.addresses().dynamodb)
}

pub fn dynamodb_at(address: SocketAddr) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::from_conf(sdk_config!(aws_sdk_dynamodb, address))
}

pub fn lambda(stack: &LocalAws) -> aws_sdk_lambda::Client {
    aws_sdk_lambda::Client::from_conf(sdk_config!(aws_sdk_lambda, stack.addresses().lambda))
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text header"))
    }
}

/// A plain HTTP client, for what has no SDK.
#[derive(Clone)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

impl Http {
    pub fn new(address: SocketAddr) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), address }
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request =
            http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::default()).expect("a request");
        let (parts, body) = self.client.request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }
}
