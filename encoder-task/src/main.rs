//! `encoder-task`: serves until SIGTERM, then drains. `encoder-task measure` prints what this machine can transcode.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use encoder_task::{
    config::Config,
    heartbeat, http,
    manager::Manager,
    retry::Health,
    session::{
        Deps, Workshop,
        transcoder::{CHUNKS_AT_ONCE, Ffmpeg},
    },
    transcode,
};
use service::{
    aws,
    bucket::Bucket,
    clock::Clock,
    config::Env,
    drain, event,
    gateway::Gateway,
    table::{Encoder, Table},
    telemetry,
};
use tokio_util::sync::CancellationToken;

/// How long a draining encoder may take for the chunks in hand, and to hand its broadcasts over. ECS's `stopTimeout` must be longer.
const DRAIN_GRACE: Duration = Duration::from_secs(25);
/// Frame rate that a ladder is recommended for.
const MEASURE_FPS: u32 = 30;

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        None => serve(),
        Some("measure") => measure(),
        Some(other) => anyhow::bail!("unknown argument {other}: run without one to serve, or with `measure`"),
    }
}

/// Prints capacity and the ladder that this machine holds live, as JSON.
fn measure() -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let capacity = transcode::measure(cores)?;
    let preset = transcode::Preset::Ultrafast;
    let ladder = transcode::highest_profile(&capacity, MEASURE_FPS, preset);
    let report = serde_json::json!({
        "pixels_per_second": { "veryfast": capacity.veryfast, "superfast": capacity.superfast, "ultrafast": capacity.ultrafast },
        "ladder": ladder.name(),
    });
    println!("{report}");
    Ok(())
}

fn serve() -> Result<()> {
    let mut env = Env::process();
    telemetry::init(&mut env, "encoder-task");
    let config = Config::read(env)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(config))
}

async fn run(config: Config) -> Result<()> {
    let stop = drain::on_signal()?;
    let sdk = aws::load().await;
    let table = Table::new(&sdk, &config.shared.table);
    let bucket = Bucket::new(&sdk, &config.shared.bucket);
    let threads = config.threads;
    let capacity = tokio::task::spawn_blocking(move || transcode::measure(threads)).await??;
    let clock = Clock::default();
    let workshop = Workshop {
        bucket,
        health: Arc::new(Health::new(clock.clone())),
        transcoder: Arc::new(Ffmpeg::new(capacity, threads, CHUNKS_AT_ONCE)),
    };
    let gateway = Gateway::new(&sdk, &config.gateway);
    let manager = Manager::new(Deps {
        table: table.clone(),
        gateway,
        clock: clock.clone(),
        workshop,
        me: config.id.clone(),
    });
    tokio::spawn(Arc::clone(&manager).watch_health());

    let listener = tokio::net::TcpListener::bind(config.http).await.with_context(|| {
        format!("can't listen on {}: set GOPCAST_HTTP_ADDR to a free address", config.http)
    })?;
    let listening = listener.local_addr()?;
    let me = Encoder {
        id: config.id.clone(),
        address: config.advertised(listening).to_string(),
        capacity: capacity.veryfast,
        draining: false,
        seen: clock.now(),
        bound: 0,
    };
    // Told before the first heartbeat could bring a notice, so that the log reads in order.
    event!("listening", encoder = %me.id, address = %me.address, pixels_per_second = me.capacity);
    let down = CancellationToken::new();
    let heart = tokio::spawn(heartbeat::run(table, me, Arc::clone(&manager), clock, down.clone()));
    let server = tokio::spawn({
        let (routes, down) = (http::routes(Arc::clone(&manager), config.secret.clone()), down.clone());
        async move { axum::serve(listener, routes).with_graceful_shutdown(down.cancelled_owned()).await }
    });

    stop.cancelled().await;
    manager.drain();
    drain::within(DRAIN_GRACE, "broadcasts handed over", manager.emptied()).await;
    down.cancel();
    heart.await?;
    server.await??;
    tracing::info!("stopped");
    Ok(())
}
