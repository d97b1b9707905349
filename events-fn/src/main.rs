//! The function's process: configuration, clients made once, then one invocation after the other from the Lambda Runtime API.
//!
//! Environment: `GOPCAST_EVENT_BUS`, `GOPCAST_STACK`, `GOPCAST_LOG`, `AWS_*` (as Lambda sets them; `AWS_ENDPOINT_URL_EVENTBRIDGE` or
//! `AWS_ENDPOINT_URL` for an emulator).

use std::process::ExitCode;

use anyhow::Context;
use events_fn::{forward::Forwarder, logs::Invocation};
use lambda_runtime::{LambdaEvent, service_fn};
use service::{
    args::Program,
    aws,
    bus::{BusArn, EventBus},
    clock::Clock,
    config::{ConfigError, Env, runtime_api},
};

const PROGRAM: Program = Program {
    name: "events-fn",
    about: "The Lambda function that puts the events of the services' logs on an event bus.",
    commands: &[],
};

/// What the function needs to know.
struct Config {
    /// `None` until it is reported that it is missing.
    bus: Option<BusArn>,
    stack: String,
    endpoint: Option<String>,
}

impl Config {
    fn read(mut env: Env) -> Result<Self, ConfigError> {
        let bus = env.optional("GOPCAST_EVENT_BUS");
        if bus.is_none() {
            env.problem("GOPCAST_EVENT_BUS must be the ARN of the event bus");
        }
        let config = Self {
            bus,
            stack: env.required("GOPCAST_STACK", "the stack's name, which is in every event", String::new()),
            endpoint: env
                .optional("AWS_ENDPOINT_URL_EVENTBRIDGE")
                .or_else(|| env.optional("AWS_ENDPOINT_URL")),
        };
        runtime_api(&mut env);
        env.finish()?;
        Ok(config)
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let config = match PROGRAM.settings(Config::read, |_| None::<String>) {
        Ok(config) => config.context("the events function can't start")?,
        Err(code) => return Ok(code),
    };
    // One invocation at a time per process, as Lambda has it: one thread starts fastest.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(config))?;
    Ok(ExitCode::SUCCESS)
}

async fn run(config: Config) -> anyhow::Result<()> {
    let bus = config.bus.context("there is no bus")?;
    let bus = EventBus::new(&aws::load().await, bus, config.endpoint);
    let forwarder = Forwarder::new(bus, config.stack, Clock::default());
    let forwarder = &forwarder;
    lambda_runtime::run(service_fn(async |invocation: LambdaEvent<Invocation>| {
        let events = forwarder.forward(&invocation.payload).await.map_err(lambda_runtime::Error::from)?;
        Ok::<_, lambda_runtime::Error>(serde_json::json!({ "events": events }))
    }))
    .await
    .map_err(|error| anyhow::anyhow!(error))
    .context("the Lambda runtime failed")
}
