//! What a scenario reports: one row, appended whatever came of it, and the table of all rows.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{browser::Playback, stack::binaries};

/// Says which form of the scenarios is run.
const FORM_VAR: &str = "GOPCAST_CHAOS";
const HEAD: &str = "| scenario | form | faults | frames stored | frames replayed | worst stall | live latency before, worst | commit p50/max before | during | after | seconds | verdict |\n\
    | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";

/// Whether the acceptance's own numbers are run, rather than the short form.
#[must_use]
pub fn full() -> bool {
    std::env::var(FORM_VAR).is_ok_and(|form| form == "full")
}

/// `short` in the short form, `full` in the full one.
pub fn pick<T>(short: T, in_full: T) -> T {
    if full() { in_full } else { short }
}

/// Half and the largest of some latencies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many there are.
    pub count: usize,
    /// The median.
    pub p50: Duration,
    /// The largest.
    pub max: Duration,
}

impl Latency {
    /// Of these.
    #[must_use]
    pub fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let max = all.last().copied().unwrap_or_default();
        Self { count: all.len(), p50: all.get(all.len() / 2).copied().unwrap_or_default(), max }
    }

    fn text(&self) -> String {
        if self.count == 0 {
            return "-".to_owned();
        }
        format!("{}/{} ms ({})", self.p50.as_millis(), self.max.as_millis(), self.count)
    }
}

/// The row of one scenario.
#[derive(Debug, Default)]
pub struct Report {
    /// What was done to it.
    pub faults: Vec<String>,
    /// Pictures that the edges stored.
    pub stored: usize,
    /// Pictures that the replay shows.
    pub replayed: usize,
    /// Worst stop of each player.
    pub stalls: Vec<String>,
    /// How far behind the live timeline was before the faults and at its worst, and when it was as before again.
    pub level: String,
    /// From a chunk's last byte at the edge to its ledger row: before the first fault, while faults were on, and after the last.
    pub commits: [Latency; 3],
}

impl Report {
    /// Notes a fault.
    pub fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }

    /// Notes what a player did.
    pub fn player(&mut self, name: &str, playback: &Playback) {
        self.stalls.push(format!("{name} {:.2} s", playback.worst_stall()));
    }
}

/// Runs a scenario and appends its row to `target/chaos/`, whatever comes of it.
///
/// # Errors
/// What the scenario found.
pub fn scenario(name: &str, run: impl FnOnce(&mut Report) -> Result<()>) -> Result<()> {
    let (started, mut report) = (Instant::now(), Report::default());
    let outcome = run(&mut report);
    let verdict = match &outcome {
        Ok(()) => "held".to_owned(),
        Err(error) => format!("FAILED: {}", format!("{error:#}").lines().next().unwrap_or_default()),
    };
    let stalls = if report.stalls.is_empty() { "-".to_owned() } else { report.stalls.join(", ") };
    let [before, during, after] = report.commits.map(|latency| latency.text());
    let cells = [
        name.to_owned(),
        pick("short", "full").to_owned(),
        report.faults.join("; "),
        report.stored.to_string(),
        report.replayed.to_string(),
        stalls,
        report.level.clone(),
        before,
        during,
        after,
        started.elapsed().as_secs().to_string(),
        verdict,
    ];
    let row = cells.map(|cell| cell.replace('|', "/")).join(" | ");
    eprintln!("{row}");
    append(&format!("| {row} |\n"))?;
    outcome
}

fn append(row: &str) -> Result<()> {
    let file = folder()?.join("summary.md");
    // A file that is there has its head; scenarios run one after the other.
    let head = if file.exists() { "" } else { HEAD };
    let mut file = fs::OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(format!("{head}{row}").as_bytes())?;
    Ok(())
}

/// Where rows, and the logs of scenarios that failed, are kept: beside the binaries' own folder.
///
/// # Errors
/// When it can't be made.
pub fn folder() -> Result<PathBuf> {
    let binaries = binaries()?;
    let folder = binaries.parent().unwrap_or(&binaries).join("chaos");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
