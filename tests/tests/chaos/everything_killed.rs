//! Everything but the embedded AWS is killed at once. Started again, and with the publisher back, the broadcast goes on; without the
//! publisher's return, `sweep` ends it. The replay is whole either way.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use tests::{
    chaos::{
        cluster::{Cluster, Setup},
        report::{Report, scenario},
        show::{Show, hold},
    },
    source::{Format, Source},
};

/// How long everything is down.
const DOWN: Duration = Duration::from_secs(4);
/// From the restart to a publisher on air.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// Reconnect window of the show that nobody returns to: the shortest that still is longer than [`DOWN`].
const WINDOW: u32 = 8;
/// How often the schedule calls `sweep`: each minute in production, shortened here.
const SWEEP_EVERY: Duration = Duration::from_secs(2);
/// From the restart to the end by sweep: the window, the sweep's own patience with silent encoders, and the backlog.
const SWEPT_WITHIN: Duration = Duration::from_secs(60);
/// Segments that are there before the fault.
const ROWS_BEFORE: usize = 3;

const PROCESSES: [&str; 3] = ["edge-1", "encoder-1", "encoder-2"];

fn kill_everything(cluster: &Cluster) -> Result<()> {
    cluster.gateways_down(true);
    for name in PROCESSES {
        cluster.keeper().kill(name, true)?;
    }
    hold(DOWN);
    cluster.gateways_down(false);
    PROCESSES.iter().try_for_each(|name| cluster.keeper().bring_back(name))
}

fn source() -> Result<Source> {
    Source::lasting(Format { seconds: 90, mark: 5, ..Format::default() })
}

#[test]
fn the_show_goes_on_when_everything_comes_back() -> Result<()> {
    scenario("all but AWS kill -9, publisher returns", |report| {
        let source = source()?;
        let cluster = Cluster::start(Setup::default())?;
        let mut show = Show::start(&cluster, &source, &[1], Some(Duration::from_secs(1)))?;
        show.progress(ROWS_BEFORE, BACK_WITHIN)?;
        show.harm(|cluster| {
            kill_everything(cluster)?;
            cluster.event("publish-started", &[("broadcast", &show_of(cluster)?)], 2, BACK_WITHIN)
        })?;
        report.fault("kill -9 of everything but the embedded AWS, back after 4 s");
        show.progress(ROWS_BEFORE, BACK_WITHIN)?;
        show.end()?.check(report)
    })
}

/// The broadcast of the first publish.
fn show_of(cluster: &Cluster) -> Result<String> {
    Ok(cluster.event("publish-started", &[], 1, BACK_WITHIN)?.text("broadcast"))
}

#[test]
fn sweep_ends_what_nobody_returns_to() -> Result<()> {
    scenario("all but AWS kill -9, nobody returns", swept)
}

fn swept(report: &mut Report) -> Result<()> {
    let source = source()?;
    let cluster = Cluster::start(Setup { window: WINDOW, ..Setup::default() })?;
    let mut show = Show::start(&cluster, &source, &[1], None)?;
    show.progress(ROWS_BEFORE, BACK_WITHIN)?;
    show.harm(kill_everything)?;
    report.fault("kill -9 of everything but the embedded AWS, back after 4 s without the publisher");
    let mut last: Option<Instant> = None;
    let over = show.abandon(SWEPT_WITHIN, |cluster| {
        if last.is_none_or(|last| last.elapsed() >= SWEEP_EVERY) {
            last = Some(Instant::now());
            cluster.invoke(&json!({ "event": "sweep" }))?;
        }
        Ok(())
    })?;
    over.check(report)
}
