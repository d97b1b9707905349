//! The function's process: configuration, clients made once, then one event after the other from the Lambda Runtime API.
//!
//! Environment: `GOPCAST_TABLE`, `GOPCAST_HOP_SECRET`, `GOPCAST_LOG`, `AWS_*` (as Lambda sets them).

use anyhow::Context;
use gateway_fn::handle::Gateway;
use lambda_runtime::{LambdaEvent, service_fn};
use service::{
    aws,
    config::{Env, hop_secret},
    table::Table,
    telemetry,
};

/// One event at a time per process, as Lambda has it: one thread starts fastest.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut env = Env::process();
    telemetry::init(&mut env, "gateway-fn");
    let table: String = env.required("GOPCAST_TABLE", "the name of the DynamoDB table", String::new());
    let secret = hop_secret(&mut env);
    // The runtime panics without these; here they are reported with the rest.
    let _: String = env.required("AWS_LAMBDA_RUNTIME_API", "the address of the Runtime API", String::new());
    let _: String = env.required("AWS_LAMBDA_FUNCTION_NAME", "the function's name", String::new());
    let _: String = env.required("AWS_LAMBDA_FUNCTION_VERSION", "the function's version", String::new());
    let _: i32 = env.required("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "the function's memory in MB", 0);
    env.finish().context("the gateway function can't start")?;

    let gateway = Gateway::new(Table::new(&aws::load().await, table), secret);
    let gateway = &gateway;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<serde_json::Value>| {
        gateway.handle(event.payload).await
    }))
    .await
    .map_err(|error| anyhow::anyhow!(error))
    .context("the Lambda runtime failed")
}
