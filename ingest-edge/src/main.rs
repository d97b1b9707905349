//! `ingest-edge`: listens for publishers until SIGTERM, then lets each finish.
//!
//! Environment: see [`ingest_edge::config::Config::read`], `GOPCAST_LOG` and `AWS_*`.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use ingest_edge::{
    admission::Admission,
    backend::Aws,
    config::Config,
    connection::Shared,
    rtmp,
    server::Server,
    tls::Certificate,
    upload::{Budget, PROCESS_BYTES_MAX},
};
use service::{
    args::Program,
    aws,
    bucket::Bucket,
    clock::Clock,
    drain, event,
    gateway::Gateway,
    metrics::{Role, emf},
    ops::Ops,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const PROGRAM: Program = Program {
    name: "ingest-edge",
    about: "Takes RTMPS publishers in and turns each into closed GOPs in the bucket.",
    commands: &[],
};

fn main() -> Result<ExitCode> {
    let further = |config: &Config| Certificate::load(&config.certificate, &config.key).err();
    let config = match PROGRAM.settings(Config::read, further) {
        Ok(config) => config?,
        Err(code) => return Ok(code),
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(config))?;
    Ok(ExitCode::SUCCESS)
}

async fn run(config: Config) -> Result<()> {
    let stop = drain::on_signal()?;
    let certificate = Certificate::load(&config.certificate, &config.key)
        .context("check GOPCAST_TLS_CERT and GOPCAST_TLS_KEY")?;
    let sdk = aws::load().await;
    let backend = Aws {
        bucket: Bucket::new(&sdk, &config.bucket),
        gateway: Gateway::new(&sdk, &config.function),
        clock: Clock::default(),
    };
    let clock = backend.clock.clone();
    let down = CancellationToken::new();
    let metrics = tokio::spawn(emf::run(Role::Edge, config.metrics, clock, down.clone()));
    let draining = stop.clone();
    let ops = Ops::new(Role::Edge, move || draining.is_cancelled().then_some("draining"));
    let shared = Shared {
        backend: Arc::new(backend),
        budget: Budget::new(PROCESS_BYTES_MAX),
        on_air: Arc::default(),
        session: rtmp::Config { public_url: config.public_url.clone(), limits: config.limits.clone() },
        read_max: config.connection_bytes_per_second_max,
        drain: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };

    let rtmps = listen("GOPCAST_RTMPS_ADDR", config.rtmps).await?;
    let rtmp = match config.rtmp {
        Some(address) => Some(listen("GOPCAST_RTMP_ADDR", address).await?),
        None => None,
    };
    let plain = rtmp.as_ref().map(TcpListener::local_addr).transpose()?;
    let ops = ops.listen(config.ops, down.clone()).await?;
    event!(
        "listening",
        rtmps = %rtmps.local_addr()?,
        rtmp = plain.map(|address| address.to_string()),
        ops = ops.map(|address| address.to_string()),
    );
    let admission = Admission::new(config.connections_max, config.connections_per_address_max);
    Server::new(shared, admission, certificate, config.tls_timeout).run(rtmps, rtmp, stop).await;
    down.cancel();
    metrics.await?;
    tracing::info!("stopped");
    Ok(())
}

async fn listen(variable: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen on {address}: set {variable} to a free address"))
}
