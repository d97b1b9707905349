//! The edge that a publisher is on is killed; the publisher comes back by itself through another one: the same broadcast goes on, and
//! at most the GOP that was still open, and what the publisher was away for, is missing.

use std::time::Duration;

use anyhow::Result;
use tests::{
    browser::Player,
    chaos::{
        cluster::{Cluster, Setup},
        report::{pick, scenario},
        show::{Show, hold},
    },
    source::{Format, Source},
};

/// How long OBS stays away before its first try at another address; the harness's publisher goes on at the next whole GOP.
const AWAY: Duration = Duration::from_secs(1);
/// From the kill to a publisher on air again.
const BACK_WITHIN: Duration = Duration::from_secs(15);
/// Between two kills.
const CALM: Duration = Duration::from_secs(8);
/// Latency is back within this.
const LEVEL_WITHIN: Duration = Duration::from_secs(10);
/// A GOP and a second.
const STALL_MAX: f64 = 3.0;
/// Most pictures that may be missing at each kill: the open GOP, one on its way, the time away and the wait for the next whole GOP,
/// each two seconds at most.
const MISSING_MAX: u32 = 4 * 60;

#[test]
fn publishers_go_on_through_another_edge() -> Result<()> {
    scenario("edge kill -9", |report| {
        let kills: usize = pick(1, 4);
        let seconds = u64::try_from(kills)? * 20 + 20;
        let source = Source::lasting(Format { seconds: seconds + 60, mark: 5, ..Format::default() })?;
        let cluster = Cluster::start(Setup { edges: 2, ..Setup::default() })?;
        let mut show = Show::start(&cluster, &source, &[1, 2], Some(AWAY))?;
        let audience = show.watch(pick(&[], &Player::ALL), seconds - 5);
        show.progress(2, LEVEL_WITHIN)?;
        for kill in 0..kills {
            show.harm(|cluster| {
                cluster.keeper().kill(&format!("edge-{}", kill % 2 + 1), false)?;
                cluster.event("publish-started", &[], kill + 2, BACK_WITHIN)
            })?;
            show.progress(2, BACK_WITHIN)?;
            hold(CALM);
        }
        report.fault(format!("{kills} × kill -9 of the publisher's edge"));
        let level = show.level(report, LEVEL_WITHIN);
        let audience = audience.check(report, STALL_MAX);
        let over = show.end()?;
        over.check(report)?;
        let holes = over.stored.holes();
        anyhow::ensure!(holes.len() == kills, "the stored pictures have holes {holes:?}");
        let worst =
            holes.iter().map(|(before, after)| after.saturating_sub(*before)).max().unwrap_or_default();
        anyhow::ensure!(worst <= MISSING_MAX, "{worst} pictures are missing at once");
        over.judge(level.and(audience))
    })
}
