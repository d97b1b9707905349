//! `bench-ingest`: what a publisher costs the edge, beside what it costs nginx-rtmp (and SRS, where it is installed).
//!
//! The same load against each, in alternating runs: so many connections that publish the same GOPs in real time, plain or with TLS. Taken are
//! the server's processor time and memory while it runs, and how long after a GOP's last byte its PUT is sent. See `docs/BENCHMARKS.md`.

mod pattern;
mod publisher;
mod server;
mod sink;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use bench::{
    report::{Table, publish as report, verdict},
    stats::{median, median_ratio, quantile},
};
use clap::Parser;
use media::id::StreamKey;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use crate::{
    pattern::Pattern,
    publisher::{Load, publish},
    server::{Kind, Server, Setup, certificate},
    sink::{Sink, Times},
};

/// What a publisher costs.
#[derive(Parser)]
struct Args {
    /// Seconds that are measured in each run.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Runs of each server and load.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Publishers of 600 kbit/s.
    #[arg(long, default_value_t = 200)]
    slow: usize,
    /// Publishers of 4 Mbit/s.
    #[arg(long, default_value_t = 40)]
    fast: usize,
    /// Only with or without TLS.
    #[arg(long)]
    tls: Option<bool>,
    /// Only the edge.
    #[arg(long)]
    edge_only: bool,
    /// The edge's program.
    #[arg(long, default_value = "target/release/ingest-edge")]
    edge: PathBuf,
    /// Where the report goes.
    #[arg(long, default_value = "target/bench")]
    report: PathBuf,
}

/// One load.
#[derive(Debug, Clone, Copy, Serialize)]
struct Case {
    kbits: usize,
    publishers: usize,
    tls: bool,
}

/// What came of one run.
#[derive(Debug, Clone, Serialize)]
struct Run {
    server: &'static str,
    /// Processor seconds for each 10⁹ bits taken in.
    cpu_per_gbit: f64,
    /// Publishers that one core would carry.
    publishers_per_core: f64,
    /// KiB for each connection.
    kib_per_connection: f64,
    /// From a GOP's last byte to its PUT, in ms.
    put_p50_ms: Option<f64>,
    put_p99_ms: Option<f64>,
    /// How much of the load was really sent.
    sent_share: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir()?;
    let der = certificate(dir.path())?;
    let mut kinds = vec![Kind::Edge];
    if !args.edge_only {
        let has = |name: &str| {
            std::env::var_os("PATH")
                .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).exists()))
        };
        kinds.extend(
            [(Kind::Nginx, "nginx"), (Kind::Srs, "srs")]
                .into_iter()
                .filter(|(_, name)| has(name))
                .map(|(kind, _)| kind),
        );
    }
    let mut cases = Vec::new();
    for (kbits, publishers) in [(600, args.slow), (4000, args.fast)] {
        let tls = [false, true].into_iter().filter(|tls| args.tls.is_none_or(|only| only == *tls));
        cases.extend(tls.map(|tls| Case { kbits, publishers, tls }).filter(|case| case.publishers > 0));
    }
    let mut results: Vec<(Case, Vec<Run>)> = Vec::new();
    for case in cases {
        let mut runs = Vec::new();
        for turn in 0..args.runs {
            // Each is first as often as last.
            let mut order: Vec<Kind> =
                kinds.iter().copied().filter(|kind| !(case.tls && *kind == Kind::Srs)).collect();
            if turn % 2 == 1 {
                order.reverse();
            }
            for kind in order {
                let run = run(&args, dir.path(), &der, kind, case)
                    .await
                    .with_context(|| format!("{} at {case:?}", kind.name()))?;
                eprintln!("{case:?} {run:?}");
                runs.push(run);
            }
        }
        results.push((case, runs));
    }
    let tables = [table(&results)];
    report(&args.report, "ingest", &tables, &results)
}

async fn run(
    args: &Args,
    dir: &std::path::Path,
    der: &rustls_pki_types::CertificateDer<'static>,
    kind: Kind,
    case: Case,
) -> Result<Run> {
    let keys: Vec<String> = (0..case.publishers).map(|n| format!("sk_bench-{n:020}")).collect();
    let times = Arc::new(Times::default());
    let hashes = keys.iter().enumerate().map(|(n, key)| Ok((key.parse::<StreamKey>()?.hash(), n)));
    let sink = Sink { keys: hashes.collect::<Result<HashMap<_, _>>>()?, times: Arc::clone(&times) };
    let setup = Setup { dir: dir.to_owned(), edge: args.edge.clone(), sink: sink.serve().await? };
    let server = Server::start(kind, &setup)?;
    let empty = server.spent()?;

    let mut roots = RootCertStore::empty();
    roots.add(der.clone())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let client = TlsConnector::from(Arc::new(client.with_root_certificates(roots).with_no_client_auth()));
    let pattern = Arc::new(Pattern::new(case.kbits * 1000));
    let load = Load {
        address: if case.tls { server.tls } else { server.plain },
        tls: case.tls.then_some(client),
        pattern: Arc::clone(&pattern),
        sent: Arc::new(AtomicU64::new(0)),
        times: Arc::clone(&times),
    };
    let (accepted, mut entered) = tokio::sync::mpsc::channel(case.publishers);
    let mut publishers = tokio::task::JoinSet::new();
    for (n, key) in keys.into_iter().enumerate() {
        publishers.spawn(publish(load.clone(), n, key, accepted.clone()));
        // Not all handshakes at once.
        if n % 16 == 15 {
            sleep(Duration::from_millis(10)).await;
        }
    }
    drop(accepted);
    for _ in 0..case.publishers {
        tokio::select! {
            Some(()) = entered.recv() => {}
            Some(ended) = publishers.join_next() => ended?.context("a publisher could not begin")?,
        }
    }
    // Until all are in their second round: buffers have their sizes, connections to the sink are open.
    sleep(Duration::from_millis(2 * pattern::LENGTH_MS)).await;
    let (from, bytes) = (server.spent()?, load.sent.load(Ordering::Relaxed));
    let began = tokio::time::Instant::now();
    let mut memory = from.memory;
    while began.elapsed() < Duration::from_secs(args.seconds) {
        sleep(Duration::from_millis(500)).await;
        memory = memory.max(server.spent()?.memory);
        if let Some(ended) = publishers.try_join_next() {
            ended?.context("a publisher was interrupted")?;
        }
    }
    let (until, wall) = (server.spent()?, began.elapsed().as_secs_f64());
    let bytes = load.sent.load(Ordering::Relaxed) - bytes;
    publishers.shutdown().await;
    let (cpu, count) = (until.cpu - from.cpu, f64::from(u32::try_from(case.publishers)?));
    let bits = f64::from(u32::try_from(bytes >> 10)?) * 8192.0;
    let taken = times.taken_ms();
    let due = f64::from(u32::try_from(pattern.len())?) * 8.0 * 1000.0
        / f64::from(u32::try_from(pattern::LENGTH_MS)?);
    Ok(Run {
        server: kind.name(),
        cpu_per_gbit: cpu / (bits / 1e9),
        publishers_per_core: count * wall / cpu,
        kib_per_connection: (memory - empty.memory) / count / 1024.0,
        put_p50_ms: quantile(&taken, 0.5),
        put_p99_ms: quantile(&taken, 0.99),
        sent_share: bits / wall / count / due,
    })
}

fn table(results: &[(Case, Vec<Run>)]) -> Table {
    let mut table = Table::new(
        "Ingest: medians, and the median of each pair's ratio",
        &[
            "load",
            "server",
            "CPU s/Gbit",
            "to nginx-rtmp",
            "goal",
            "publishers/core",
            "KiB/connection",
            "PUT p50/p99 ms",
            "load sent",
        ],
    );
    for (case, runs) in results {
        let of = |server: &str, value: fn(&Run) -> f64| -> Vec<f64> {
            runs.iter().filter(|run| run.server == server).map(value).collect()
        };
        for kind in [Kind::Edge, Kind::Nginx, Kind::Srs] {
            let name = kind.name();
            let middle = |value: fn(&Run) -> f64| median(&of(name, value));
            let Some(cpu) = middle(|run| run.cpu_per_gbit) else { continue };
            let pairs: Vec<(f64, f64)> = of(name, |run| run.cpu_per_gbit)
                .into_iter()
                .zip(of("nginx-rtmp", |run| run.cpu_per_gbit))
                .collect();
            let ratio = median_ratio(&pairs).filter(|_| kind != Kind::Nginx);
            let most = if case.tls { 1.3 } else { 1.0 };
            let goal = ratio
                .filter(|_| kind == Kind::Edge)
                .map(|ratio| format!("≤ {most}: {}", verdict(ratio <= most)));
            let show = |value: Option<f64>, digits: usize| {
                value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
            };
            let puts: Vec<(f64, f64)> = runs
                .iter()
                .filter(|run| run.server == name)
                .filter_map(|run| Some((run.put_p50_ms?, run.put_p99_ms?)))
                .collect();
            let put =
                |pick: fn(&(f64, f64)) -> f64| show(median(&puts.iter().map(pick).collect::<Vec<_>>()), 1);
            table.row([
                format!("{} × {} kbit/s{}", case.publishers, case.kbits, if case.tls { ", TLS" } else { "" }),
                name.to_owned(),
                format!("{cpu:.2}"),
                show(ratio, 2),
                goal.unwrap_or("–".to_owned()),
                show(middle(|run| run.publishers_per_core), 0),
                show(middle(|run| run.kib_per_connection), 0),
                format!("{} / {}", put(|p| p.0), put(|p| p.1)),
                show(middle(|run| run.sent_share), 3),
            ]);
        }
    }
    table
}
