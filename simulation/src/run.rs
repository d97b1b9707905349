//! One run: a world from a seed, its shows and faults, its settling, its verdict.

use std::{
    cell::RefCell,
    sync::{Arc, Once},
    time::Duration,
};

use media::{
    id::{LiveId, StreamKey},
    ladder::Profile,
};
use service::table::{Live, Table};
use tokio::time::Instant;

use crate::{
    actor::director::{Director, Scenario},
    check::Invariant,
    mutation::Mutation,
    process::{EPOCH, Process},
    seam::{call::Cloud, store},
    weather::Weather,
    world::{Violation, World},
};

/// Longest that the shows of a run may take, simulated: five publishes of a dozen GOPs with their gaps, however much they are held up.
const SHOWS_MAX: Duration = Duration::from_secs(900);
/// Longest that it may take until all is quiet after the last fault, simulated: a reconnect window, an encoder's patience with a silent
/// publisher, and three sweeps.
const SETTLE_MAX: Duration = Duration::from_secs(300);
/// Longest that something may still be on its way, simulated: a call given up after 10 s that takes effect 8 s later.
const STRAGGLERS: Duration = Duration::from_secs(20);
/// How often it is looked whether all is quiet, simulated.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Lives of a thousand whose shows have the source as a rung.
const SOURCE_RUNGS: u64 = 250;

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What did not hold.
    pub violation: Option<Violation>,
    /// Stands for the whole history.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    /// Chunks committed.
    pub commits: u64,
    /// Pieces of holes filled.
    pub fills: u64,
    /// Chunks of which rungs were left out to keep up.
    pub shed: u64,
    /// Broadcasts moved to another encoder.
    pub rebinds: u64,
    /// Broadcasts made.
    pub broadcasts: u64,
    /// How much time was simulated.
    pub simulated: Duration,
    /// The history, if it was asked for.
    pub lines: Vec<String>,
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps what a task panics with for the run on its thread.
fn watch_panics() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANIC.with_borrow_mut(|panic| {
                panic.get_or_insert(info.to_string());
            });
            before(info);
        }));
    });
}

/// Plays the world of a seed on this thread.
///
/// # Errors
/// When the runtime can't be made.
pub fn run(seed: u64, mutation: Option<Mutation>, lines: bool) -> std::io::Result<Report> {
    watch_panics();
    PANIC.take();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let mut report = runtime.block_on(play(seed, mutation, lines));
    drop(runtime);
    if let Some(panic) = PANIC.take() {
        let violation = Violation { invariant: Invariant::NoPanic, what: panic, at: report.simulated };
        report.violation.get_or_insert(violation);
    }
    Ok(report)
}

async fn play(seed: u64, mutation: Option<Mutation>, lines: bool) -> Report {
    let world = World::new(seed, mutation, lines);
    let scenario = Scenario::thrown(&world);
    world.note("director", "scenario", "", || format!("{scenario:?}"));
    let cloud = Cloud::new(Arc::clone(&world), usize::try_from(scenario.gateways).unwrap_or(1));
    world.state().checks.full_ladders = scenario.slowness > 0;
    let lives = lives(&world, scenario).await;
    let director = Director::start(&cloud, scenario, lives);
    // Every encoder's first heartbeat.
    tokio::time::sleep(Duration::from_secs(1)).await;
    {
        let mut state = world.state();
        let weather = Weather::thrown(&mut state.dice);
        state.weather = weather;
    }
    let sweep = tokio::spawn(Arc::clone(&director).sweep());
    let torment = tokio::spawn(Arc::clone(&director).torment());
    tokio::select! {
        biased;
        () = world.violated() => {}
        () = async {
            let shows = Arc::clone(&director).shows();
            if tokio::time::timeout(SHOWS_MAX, shows).await.is_err() {
                world.violate(Invariant::EverythingEnds, "the shows take for ever");
            }
            torment.abort();
            director.calm();
            settle(&world, &director).await;
        } => {}
    }
    sweep.abort();
    cloud.clear();
    let simulated = world.now();
    let mut state = world.state();
    Report {
        seed,
        violation: state.violation.clone(),
        hash: state.trace.hash(),
        events: state.trace.events(),
        commits: state.checks.commits,
        fills: state.checks.fills,
        shed: state.checks.shed,
        rebinds: state.checks.rebinds,
        broadcasts: u64::try_from(state.checks.shows.len()).unwrap_or(u64::MAX),
        simulated,
        lines: state.trace.take_lines(),
    }
}

/// The lives, made before anything goes wrong.
async fn lives(world: &Arc<World>, scenario: Scenario) -> Vec<(LiveId, media::id::KeyHash)> {
    let process = Process::new(world, "setup".to_owned());
    let table = Table::on(Arc::new(store::Remote(process)));
    let mut lives = Vec::new();
    for number in 0..scenario.lives {
        let Ok(live) = format!("live-{number}").parse::<LiveId>() else { continue };
        let [byte, ..] = number.to_le_bytes();
        let key_hash = StreamKey::generate([byte; StreamKey::GENERATED_BYTES]).hash();
        let row = Live {
            live: live.clone(),
            title: String::new(),
            key_hash: key_hash.clone(),
            profile: if scenario.slowness > 0 { Profile::P720 } else { Profile::P360 },
            source_rung: world.derived(("source rung", number)).permille(SOURCE_RUNGS),
            window_seconds: u32::try_from(scenario.window_seconds).unwrap_or(0),
            limits: media::limits::Limits::default(),
            slate: None,
            disabled: false,
            current: None,
            created: EPOCH,
        };
        match table.create_live(&row).await {
            Ok(()) => lives.push((live, key_hash)),
            Err(error) => world.violate(Invariant::NoPanic, error.to_string()),
        }
    }
    lives
}

/// Waits until all is quiet, and looks at what is there.
async fn settle(world: &Arc<World>, director: &Director) {
    tokio::time::sleep(STRAGGLERS).await;
    let until = Instant::now() + SETTLE_MAX;
    while Instant::now() < until {
        let quiet = {
            let state = world.state();
            state.checks.quiet(&state.rows)
        };
        if quiet && director.sessions() == 0 {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let sessions = director.sessions();
    let found = {
        let state = world.state();
        state.checks.ended(&state.rows, &state.objects, &director.alive())
    };
    world.judge(found);
    if sessions > 0 {
        world.violate(Invariant::NothingLeft, format!("{sessions} sessions are left"));
    }
}
