//! `simulation --seeds N [--from S] [--jobs N]`: plays seeds until one fails. `simulation --seed S --trace`: plays one, and prints what
//! happened.

use std::{
    io::Write,
    process::ExitCode,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Parser;
use simulation::{
    mutation::Mutation,
    run::{Report, run},
};

/// Plays gopcast's protocol in deterministic simulation.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds to play
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many at once [default: one per core]
    #[arg(long)]
    jobs: Option<usize>,
    /// Play this seed alone
    #[arg(long, conflicts_with_all = ["seeds", "from", "jobs"])]
    seed: Option<u64>,
    /// Print everything that happens; only with --seed
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Build this fault into the protocol
    #[arg(long)]
    mutation: Option<Mutation>,
    /// Print the production code's log too; only with --seed
    #[arg(long, requires = "seed")]
    log: bool,
    /// Go on after a failure, and count
    #[arg(long)]
    keep_going: bool,
}

/// What all runs came to.
#[derive(Debug, Default)]
struct Totals {
    runs: AtomicU64,
    failures: AtomicU64,
    events: AtomicU64,
    commits: AtomicU64,
    fills: AtomicU64,
    shed: AtomicU64,
    rebinds: AtomicU64,
    broadcasts: AtomicU64,
    simulated_ms: AtomicU64,
}

impl Totals {
    fn add(&self, report: &Report) {
        let add = |to: &AtomicU64, n| {
            to.fetch_add(n, Ordering::Relaxed);
        };
        add(&self.runs, 1);
        add(&self.failures, u64::from(report.violation.is_some()));
        add(&self.events, report.events);
        add(&self.commits, report.commits);
        add(&self.fills, report.fills);
        add(&self.shed, report.shed);
        add(&self.rebinds, report.rebinds);
        add(&self.broadcasts, report.broadcasts);
        add(&self.simulated_ms, u64::try_from(report.simulated.as_millis()).unwrap_or(u64::MAX));
    }
}

fn describe(report: &Report, mutation: Option<Mutation>) -> String {
    let Some(violation) = &report.violation else {
        return format!("seed {}: all promises held", report.seed);
    };
    let mutation = mutation.map(|mutation| format!(" --mutation {}", mutation.name())).unwrap_or_default();
    format!(
        "seed {} after {:.3} s: {}: {}\n  replay it with: cargo run -p simulation --release -- --seed {}{mutation} --trace",
        report.seed,
        violation.at.as_secs_f64(),
        violation.invariant.name(),
        violation.what,
        report.seed,
    )
}

fn main() -> ExitCode {
    match play() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody is left to tell if this can't be written.
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all promises held.
fn play() -> Result<bool> {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout().lock();
    if let Some(seed) = arguments.seed {
        if arguments.log {
            let filter = tracing_subscriber::EnvFilter::from_default_env();
            tracing_subscriber::fmt()
                .with_env_filter(filter)
                .without_time()
                .with_writer(std::io::stdout)
                .init();
            // What is logged comes between the lines below only if nothing is held back.
            drop(out);
            out = std::io::stdout().lock();
        }
        let report = run(seed, arguments.mutation, arguments.trace)?;
        for line in &report.lines {
            writeln!(out, "{line}")?;
        }
        writeln!(
            out,
            "history {:016x}, {} events, {} commits, {} fills, {} moves",
            report.hash, report.events, report.commits, report.fills, report.rebinds
        )?;
        writeln!(out, "{}", describe(&report, arguments.mutation))?;
        return Ok(report.violation.is_none());
    }
    drop(out);
    many(&arguments)
}

fn many(arguments: &Arguments) -> Result<bool> {
    let (next, stop, totals) = (AtomicU64::new(arguments.from), AtomicBool::new(false), Totals::default());
    let end = arguments.from.saturating_add(arguments.seeds);
    let jobs =
        arguments.jobs.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
    let began = Instant::now();
    let work = || -> std::io::Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let report = run(seed, arguments.mutation, false)?;
            totals.add(&report);
            if report.violation.is_some() {
                writeln!(std::io::stdout().lock(), "{}", describe(&report, arguments.mutation))?;
                stop.store(!arguments.keep_going, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let progress = scope.spawn(|| progress(&totals, &next, end, &stop));
        for worker in workers {
            worker.join().map_err(|_| anyhow::anyhow!("a worker has died"))??;
        }
        stop.store(true, Ordering::Relaxed);
        progress.thread().unpark();
        Ok::<_, anyhow::Error>(())
    })?;
    let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
    writeln!(
        std::io::stdout().lock(),
        "{} seeds in {:.1} s ({} h simulated): {} broadcasts, {} commits, {} of them shed, {} fills, {} moves, {} events; {} failed",
        get(&totals.runs),
        began.elapsed().as_secs_f64(),
        get(&totals.simulated_ms) / 3_600_000,
        get(&totals.broadcasts),
        get(&totals.commits),
        get(&totals.shed),
        get(&totals.fills),
        get(&totals.rebinds),
        get(&totals.events),
        get(&totals.failures),
    )?;
    Ok(get(&totals.failures) == 0)
}

/// Says now and then how far it is, on standard error.
fn progress(totals: &Totals, next: &AtomicU64, end: u64, stop: &AtomicBool) {
    let mut said = Instant::now();
    while !stop.load(Ordering::Relaxed) && next.load(Ordering::Relaxed) < end {
        std::thread::park_timeout(Duration::from_secs(1));
        if said.elapsed() >= Duration::from_secs(30) {
            said = Instant::now();
            let _ = writeln!(std::io::stderr(), "{} seeds played", totals.runs.load(Ordering::Relaxed));
        }
    }
}
