//! The start of a stack, from nothing to ready.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use localstack::LocalAws;
use media::{
    id::LiveId,
    wire::{End, EndReply, GatewayRequest},
};
use service::clock;

use super::{
    Parts, certificate,
    demo::{Demo, find_program},
    hub::Listening,
    ladder, lives, operator, pages, panel,
    programs::{self, Programs, check_free, reachable},
    supervisor::{EDGE, ENCODER, SharedSpawner},
    sweep,
};
use crate::{
    args::UpArgs,
    stack::{ACCESS_KEY, Clients, DynamoDb, FUNCTION, Lambda, REGION, S3, SECRET_KEY, Stack},
};

/// Longest start: on a slow machine that also compiles, encoders take this long to measure themselves.
const START_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether the encoders have registered.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// A live that is made when none is named.
const LIVE_DEFAULT: &str = "demo";

/// A stack that is ready.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) stack: Stack,
    pub(super) clients: Clients,
}

/// Starts everything, and returns when the stack is ready and says so. What has been started is in `parts` and `aws`, also when
/// this fails or is given up.
pub(super) async fn start(
    parts: &Parts,
    args: &UpArgs,
    dir: &Path,
    aws: &mut Option<LocalAws>,
) -> anyhow::Result<Running> {
    let ready = async {
        check_free("--rtmps", args.rtmps)?;
        if let Some(rtmp) = args.rtmp {
            check_free("--rtmp", rtmp)?;
        }
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        certificate::ensure(&parts.dir, today, host.as_deref())?;

        parts.progress.step("starting the embedded AWS");
        let embedded = start_aws(parts, args).await?;
        let programs = Programs::new(dir, &parts.dir, &embedded, &args.names)?;
        let mut stack = describe(parts, args, &embedded);
        *aws = Some(embedded);
        stack.write(&parts.dir)?;
        let clients = stack.clients().await;
        start_services(parts, args, &programs, &clients, &mut stack).await?;
        announce(parts, args, &clients, &mut stack).await?;
        Ok(Running { stack, clients })
    };
    match tokio::time::timeout(START_MAX, ready).await {
        Ok(ready) => ready,
        Err(_) => Err(anyhow!(
            "the stack was not ready after {} s; the logs in {} say what each process waits for",
            START_MAX.as_secs(),
            parts.dir.file("log").display()
        )),
    }
}

async fn start_aws(parts: &Parts, args: &UpArgs) -> anyhow::Result<LocalAws> {
    let config = localstack::Config {
        bucket: args.names.clone(),
        table: args.names.clone(),
        function: FUNCTION.to_owned(),
        region: REGION.to_owned(),
        http_addr: args.http,
        s3_at: args.s3_at,
        dynamodb_at: args.dynamodb_at,
        ..localstack::Config::new(parts.dir.file("aws"), ACCESS_KEY.to_owned(), SECRET_KEY.to_owned())
    };
    let spawner = SharedSpawner(Arc::clone(&parts.spawner));
    LocalAws::start(config, Arc::new(spawner)).await.map_err(|error| match error {
        localstack::Error::Listen { address, source, .. } if address == args.http => {
            anyhow::Error::new(source).context(programs::in_use("--http", address))
        }
        error => anyhow::Error::new(error).context("starting the embedded AWS"),
    })
}

/// What is known of the stack before its services are up.
fn describe(parts: &Parts, args: &UpArgs, aws: &LocalAws) -> Stack {
    let at = aws.addresses();
    let url = |address: SocketAddr| format!("http://{address}");
    Stack {
        pid: Some(std::process::id()),
        rtmps: rtmp_url("rtmps", &args.rtmps.to_string()),
        rtmp: args.rtmp.map(|address| rtmp_url("rtmp", &address.to_string())),
        http: url(reachable(at.cdn)),
        ca: Some(parts.dir.file(certificate::CA).display().to_string()),
        s3: S3 { endpoint: Some(url(at.s3)), bucket: args.names.clone() },
        dynamodb: DynamoDb { endpoint: Some(url(at.dynamodb)), table: args.names.clone() },
        lambda: Lambda { endpoint: Some(url(at.lambda)), function: FUNCTION.to_owned() },
        ladder: args.ladder.unwrap_or_else(|| ladder::by_cores(ladder::cpus())),
        processes: Vec::new(),
        operator: None,
        region: None,
    }
}

fn rtmp_url(scheme: &str, address: &str) -> String {
    let address =
        address.parse::<SocketAddr>().map_or_else(|_| address.to_owned(), |a| reachable(a).to_string());
    format!("{scheme}://{address}/live")
}

/// Edge, gateway and encoders, the lives and the pages: side by side where they do not need each other.
async fn start_services(
    parts: &Parts,
    args: &UpArgs,
    programs: &Programs,
    clients: &Clients,
    stack: &mut Stack,
) -> anyhow::Result<()> {
    // Before anything else runs that would take from what is measured.
    let ladder = match args.ladder {
        Some(ladder) => ladder,
        None => ladder::choose(&parts.dir, &programs.dir.join(ENCODER)).await,
    };
    stack.ladder = ladder;
    parts.progress.step("starting edge, gateway and encoders");
    parts.spawner.set_spec(programs.gateway());
    keep_edge(parts, args, programs);
    let listening = async {
        let mut listening = parts.hub.listening();
        let said = listening.wait_for(Option::is_some).await.context("the edge is gone")?;
        said.clone().context("the edge is gone")
    };
    let lives_and_encoders = async {
        for number in 1..=args.encoders {
            keep_encoder(parts, number, programs);
        }
        let different = lives::ensure(clients, &parts.dir, &names(args), ladder).await?;
        if args.ladder.is_some() {
            for live in different {
                let (name, profile) = (live.live, live.profile);
                parts.progress.step(&format!("{name} was made with the ladder {profile} and keeps it"));
            }
        }
        encoders_ready(parts, clients, usize::from(args.encoders)).await
    };
    let (listening, (), (), ()) = tokio::try_join!(
        listening,
        warm_gateway(clients),
        put_pages(clients, &programs.dir),
        lives_and_encoders
    )?;
    let Listening { rtmps, rtmp } = listening;
    stack.rtmps = rtmp_url("rtmps", &rtmps);
    stack.rtmp = rtmp.map(|rtmp| rtmp_url("rtmp", &rtmp));
    Ok(())
}

fn keep_edge(parts: &Parts, args: &UpArgs, programs: &Programs) {
    let (programs, dir, listening) = (programs.clone(), parts.dir.clone(), parts.hub.listening());
    let (rtmps, rtmp) = (args.rtmps, args.rtmp);
    parts.supervisor.keep(&parts.edge, EDGE, move || {
        let spec = programs.edge(&dir, rtmps, rtmp, listening.borrow().as_ref());
        ("edge-1".to_owned(), spec)
    });
}

fn keep_encoder(parts: &Parts, number: u16, programs: &Programs) {
    let programs = programs.clone();
    parts.supervisor.keep(&parts.encoders, ENCODER, move || {
        // A new name for each life, so that no two processes ever share an epoch.
        let id = format!("encoder-{number}-{}", hex::encode(clock::random_bytes::<2>()));
        let spec = programs.encoder(&id);
        (id, spec)
    });
}

/// Waits until each encoder has registered itself.
async fn encoders_ready(parts: &Parts, clients: &Clients, count: usize) -> anyhow::Result<()> {
    loop {
        let registered = clients.table.encoders().await?;
        let is_registered =
            |id: &str| registered.iter().any(|encoder| encoder.id.as_str() == id && !encoder.draining);
        let ours = parts.supervisor.processes();
        let ready =
            ours.iter().filter(|process| process.role == ENCODER && is_registered(&process.id)).count();
        if ready >= count {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Has one process of the gateway function running, and proves that it answers: it is asked to end a live that is not there.
pub(super) async fn warm_gateway(clients: &Clients) -> anyhow::Result<()> {
    let nobody: LiveId = format!("warm-up-{}", hex::encode(clock::random_bytes::<12>())).parse()?;
    let request = GatewayRequest::End(End { live: nobody });
    let reply: EndReply = clients.gateway.ask(&request).await.context("warming the gateway function up")?;
    if reply == EndReply::NoSuchLive {
        Ok(())
    } else {
        Err(anyhow!("the gateway function answered {reply:?}"))
    }
}

async fn put_pages(clients: &Clients, programs: &Path) -> anyhow::Result<()> {
    if let Some(dir) = pages::find(programs) {
        pages::upload(&clients.bucket, &dir).await.context("putting the web pages into the bucket")?;
    }
    Ok(())
}

fn names(args: &UpArgs) -> Vec<LiveId> {
    if args.lives.is_empty() { LIVE_DEFAULT.parse().into_iter().collect() } else { args.lives.clone() }
}

/// Says that the stack is ready, and starts the demo.
async fn announce(parts: &Parts, args: &UpArgs, clients: &Clients, stack: &mut Stack) -> anyhow::Result<()> {
    let operator = operator::listen(args.operator).await?;
    stack.operator = Some(operator.url());
    let lives = lives::listed(clients, &parts.dir, stack, &names(args)).await?;
    let demo = if args.demo { demo(parts, stack, &lives, &names(args)) } else { None };
    stack.processes = parts.supervisor.processes();
    stack.write(&parts.dir)?;
    parts.supervisor.started();
    let text = if parts.hub.is_json() {
        panel::json(stack, &lives)?
    } else {
        let demo = demo.as_ref().map(|demo| &demo.live);
        let pages = clients.bucket.head("player/index.html").await?.is_some();
        panel::human(stack, &lives, &panel::About { data: parts.dir.root(), demo, pages })
    };
    parts.hub.ready(text);
    let (table, supervisor, hub) = (clients.table.clone(), parts.supervisor.clone(), Arc::clone(&parts.hub));
    let stop = parts.background.0.clone();
    parts.background.1.spawn(operator.serve(table, supervisor, hub, stop));
    let (gateway, stop) = (clients.gateway.clone(), parts.background.0.clone());
    parts.background.1.spawn(async move {
        tokio::select! {
            () = sweep::run(&gateway) => {}
            () = stop.cancelled() => {}
        }
    });
    if let Some(demo) = demo {
        let (dir, guard) = (parts.dir.clone(), Arc::clone(&parts.guard));
        let (taken, stop) = (parts.hub.taken(), parts.background.0.clone());
        parts.background.1.spawn(async move { demo.run(dir, &guard, taken, stop).await });
    }
    Ok(())
}

/// The demo on the live named `demo`, or on the first one. `None`, said why, when it can't be.
fn demo(parts: &Parts, stack: &Stack, lives: &[panel::LiveReady], names: &[LiveId]) -> Option<Demo> {
    let named = |live: &&panel::LiveReady| names.contains(&live.live);
    let is_default = |live: &&panel::LiveReady| live.live.as_str() == LIVE_DEFAULT;
    let live = lives.iter().filter(named).find(is_default).or_else(|| lives.iter().find(named))?;
    let Some(ffmpeg) = find_program("ffmpeg") else {
        parts.progress.step("no demo: ffmpeg is not installed (`make setup` does it)");
        return None;
    };
    let Some(key) = live.key.as_ref().and_then(|key| key.parse().ok()) else {
        parts.progress.step(&format!("no demo: the stream key of {} is not known here", live.live));
        return None;
    };
    Some(Demo::new(ffmpeg, live.live.clone(), &key, &stack.rtmps, stack.ladder))
}
