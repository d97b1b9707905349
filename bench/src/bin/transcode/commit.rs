//! From "encoded" and from "stored" to "the manifest lists it": a show on the local stack, and what the encoder's log says of each chunk.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use bench::{
    report::{Table, verdict},
    stats::quantile,
};
use serde::Serialize;
use serde_json::Value;
use tests::{
    publisher::Publisher,
    source::{Format, Source},
    stack::{Options, Stack},
};

/// From the end of the encode to the manifest's being stored, 95 of 100 chunks, in ms.
const OVERHEAD_GOAL_MS: f64 = 150.0;
const LIVE: &str = "bench";
/// Seconds of the show: 40 GOPs, and a few more for the start, which is left out.
const SECONDS: u64 = 44;
/// Chunks at the start that are left out: connections are opened, initialization segments noted.
const WARM_UP: usize = 2;
const END_WITHIN: Duration = Duration::from_secs(60);

/// What was measured, in ms.
#[derive(Debug, Serialize)]
pub(crate) struct Commits {
    chunks: usize,
    encoded_to_listed: Percentiles,
    received_to_listed: Percentiles,
    transcode: Percentiles,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    p50: f64,
    p95: f64,
    max: f64,
}

/// Plays a show of 1 s GOPs, 640×360 and one rung: what is measured is everything but the encode.
pub(crate) fn measure(_folder: &Path) -> Result<Commits> {
    let source = Source::new(Format { seconds: SECONDS, gop: 30, ..Format::default() })?;
    let stack = Options::lives([LIVE]).ladder("360p").start()?;
    let from = stack.now();
    let mut publisher = Publisher::ffmpeg(&source, &stack.publish_url(LIVE)?)?;
    stack.event(from, "publish-started", &[("live", LIVE)], END_WITHIN)?;
    publisher.finish()?;
    stack.event(from, "broadcast-ended", &[("live", LIVE)], END_WITHIN)?;
    let commits = read(&stack)?;
    stack.stop()?;
    Ok(commits)
}

fn read(stack: &Stack) -> Result<Commits> {
    let log = stack.log()?;
    let listed: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| field(line, "message").and_then(Value::as_str) == Some("chunk listed"))
        .collect();
    ensure!(listed.len() > WARM_UP, "the log says of {} chunks that they are listed", listed.len());
    let listed = listed.get(WARM_UP..).unwrap_or_default();
    let all = |name: &str| -> Result<Percentiles> {
        let values: Option<Vec<f64>> =
            listed.iter().map(|line| field(line, name).and_then(Value::as_f64)).collect();
        let values = values.with_context(|| format!("a log line has no {name}"))?;
        let at = |share| quantile(&values, share).context("no chunk");
        Ok(Percentiles { p50: at(0.5)?, p95: at(0.95)?, max: at(1.0)? })
    };
    Ok(Commits {
        chunks: listed.len(),
        encoded_to_listed: all("since_encoded_ms")?,
        received_to_listed: all("since_received_ms")?,
        transcode: all("transcode_ms")?,
    })
}

/// A field of a log line: at its top, or among its `fields`.
fn field<'a>(line: &'a Value, name: &str) -> Option<&'a Value> {
    line.get(name).or_else(|| line.get("fields")?.get(name))
}

pub(crate) fn table(commits: &Commits) -> Table {
    let title = format!("On the local stack, 360p, 1 s GOPs, {} chunks, in ms", commits.chunks);
    let mut table = Table::new(&title, &["from, to", "p50", "p95", "most", "goal for p95"]);
    let mut row = |name: &str, of: &Percentiles, goal: String| {
        let cell = |value: f64| format!("{value:.0}");
        table.row([name.to_owned(), cell(of.p50), cell(of.p95), cell(of.max), goal]);
    };
    let overhead = &commits.encoded_to_listed;
    let goal = format!("≤ {OVERHEAD_GOAL_MS:.0}: {}", verdict(overhead.p95 <= OVERHEAD_GOAL_MS));
    row("encoded → the manifests list it", overhead, goal);
    row("last byte at the edge → the manifests list it", &commits.received_to_listed, String::new());
    row("of that, transcoding", &commits.transcode, String::new());
    table
}
