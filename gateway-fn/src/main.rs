//! The function's process: configuration, clients made once, then one event after the other from the Lambda Runtime API.
//!
//! Environment: `GOPCAST_TABLE`, `GOPCAST_HOP_SECRET`, `GOPCAST_LOG`, `GOPCAST_METRICS_*`, `AWS_*` (as Lambda sets them).

use std::{
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

use anyhow::Context;
use gateway_fn::handle::Gateway;
use lambda_runtime::{LambdaEvent, service_fn};
use service::{
    args::Program,
    aws, clock,
    config::{ConfigError, Env, Secret, hop_secret, runtime_api},
    metrics::{
        Role,
        emf::{self, Exporter},
    },
    table::Table,
};

const PROGRAM: Program = Program {
    name: "gateway-fn",
    about: "The Lambda function between the edges and the encoders.",
    commands: &[],
};

/// What the function needs to know.
struct Config {
    table: String,
    secret: Secret,
    metrics: emf::Config,
}

impl Config {
    fn read(mut env: Env) -> Result<Self, ConfigError> {
        let config = Self {
            table: env.required("GOPCAST_TABLE", "the name of the DynamoDB table", String::new()),
            secret: hop_secret(&mut env),
            metrics: emf::Config::read(&mut env),
        };
        runtime_api(&mut env);
        env.finish()?;
        Ok(config)
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let config = match PROGRAM.settings(Config::read, |_| None::<String>) {
        Ok(config) => config.context("the gateway function can't start")?,
        Err(code) => return Ok(code),
    };
    // One event at a time per process, as Lambda has it: one thread starts fastest.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(config))?;
    Ok(ExitCode::SUCCESS)
}

async fn run(config: Config) -> anyhow::Result<()> {
    let Config { table, secret, metrics } = config;
    let gateway = Gateway::new(Table::new(&aws::load().await, table), secret);
    let exporter = (!metrics.every.is_zero()).then(|| Mutex::new(Exporter::new(Role::Gateway, &metrics)));
    let (gateway, exporter) = (&gateway, exporter.as_ref());
    lambda_runtime::run(service_fn(async |event: LambdaEvent<serde_json::Value>| {
        let reply = gateway.handle(event.payload).await;
        // Before the reply: after it the process may be frozen, for ever.
        if let Some(exporter) = exporter {
            exporter.lock().unwrap_or_else(PoisonError::into_inner).write(clock::now());
        }
        reply
    }))
    .await
    .map_err(|error| anyhow::anyhow!(error))
    .context("the Lambda runtime failed")
}
