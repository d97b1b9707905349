//! SIGTERM to the edge that a publisher is on: it finishes the GOP, tells the publisher to reconnect, and the show goes on through
//! another edge.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use tests::{
    browser::Player,
    chaos::{
        cluster::{Cluster, Setup},
        report::{pick, scenario},
        show::Show,
    },
    source::{Format, Source},
};

/// How long the publisher stays away.
const AWAY: Duration = Duration::from_secs(1);
/// From SIGTERM to a publisher on air again: the rest of its GOP, the flush, and ffmpeg's start.
const BACK_WITHIN: Duration = Duration::from_secs(20);
/// Latency is back within this.
const LEVEL_WITHIN: Duration = Duration::from_secs(10);
/// A GOP and a second.
const STALL_MAX: f64 = 3.0;
/// Most pictures that may be missing: the GOP that begins while the publisher is told, the time away and the wait for the next GOP.
const MISSING_MAX: u32 = 3 * 60;

#[test]
fn a_draining_edge_sends_its_publishers_elsewhere() -> Result<()> {
    scenario("edge SIGTERM", |report| {
        let source = Source::lasting(Format { seconds: 120, mark: 5, ..Format::default() })?;
        let cluster = Cluster::start(Setup { edges: 2, ..Setup::default() })?;
        let mut show = Show::start(&cluster, &source, &[1, 2], Some(AWAY))?;
        let audience = show.watch(pick(&[], &Player::ALL), 30);
        show.progress(2, LEVEL_WITHIN)?;
        show.harm(|cluster| {
            cluster.keeper().signal("edge-1", Signal::SIGTERM)?;
            cluster.event("publish-started", &[], 2, BACK_WITHIN)
        })?;
        report.fault("SIGTERM to the publisher's edge");
        let told = show.broadcaster.logs().first().cloned().unwrap_or_default();
        anyhow::ensure!(told.contains("draining"), "the publisher was told\n{told}");
        show.progress(2, BACK_WITHIN)?;
        let level = show.level(report, LEVEL_WITHIN);
        let audience = audience.check(report, STALL_MAX);
        let over = show.end()?;
        over.check(report)?;
        let holes = over.stored.holes();
        anyhow::ensure!(
            holes.len() <= 1
                && holes.iter().all(|(before, after)| after.saturating_sub(*before) <= MISSING_MAX),
            "the stored pictures have holes {holes:?}"
        );
        over.judge(level.and(audience))
    })
}
