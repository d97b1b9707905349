//! `encoder-task`: serves until SIGTERM, then drains. `encoder-task measure` prints what this machine can transcode.

use std::{process::ExitCode, sync::Arc, time::Duration};

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
    args::{self, Program, Wanted},
    aws,
    bucket::Bucket,
    clock::Clock,
    config::Env,
    drain, event,
    gateway::Gateway,
    metrics::{Role, defs::CAPACITY, emf},
    ops::Ops,
    table::{Encoder, Table},
    telemetry,
};
use tokio_util::sync::CancellationToken;

/// How long a draining encoder may take for the chunks in hand, and to hand its broadcasts over. ECS's `stopTimeout` must be longer.
const DRAIN_GRACE: Duration = Duration::from_secs(25);
/// Frame rate that a ladder is recommended for.
const MEASURE_FPS: u32 = 30;

const PROGRAM: Program = Program {
    name: "encoder-task",
    about: "Transcodes stored GOPs and commits the result.",
    commands: &[(
        "measure",
        "print what this machine can transcode, and the ladder that it holds live, as JSON",
    )],
};

fn main() -> Result<ExitCode> {
    match PROGRAM.wanted() {
        Ok(Wanted::Serve) => serve()?,
        Ok(Wanted::Command(_)) => measure()?,
        Ok(_) => {
            let mut env = Env::process();
            telemetry::check(&mut env);
            return Ok(args::check_config(env, Config::read, |_| None::<String>));
        }
        Err(code) => return Ok(code),
    }
    Ok(ExitCode::SUCCESS)
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
    // Pixels a second are far below 2⁵³.
    CAPACITY.set(capacity.veryfast as f64);
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
    let (down, asked) = (CancellationToken::new(), Arc::clone(&manager));
    let ops = Ops::new(Role::Encoder, move || asked.unready()).listen(config.ops, down.clone()).await?;
    // Told before the first heartbeat could bring a notice, so that the log reads in order.
    event!("listening", encoder = %me.id, address = %me.address, pixels_per_second = me.capacity, ops = ops.map(|address| address.to_string()));
    let metrics = tokio::spawn(emf::run(Role::Encoder, config.metrics, clock.clone(), down.clone()));
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
    metrics.await?;
    server.await??;
    tracing::info!("stopped");
    Ok(())
}
