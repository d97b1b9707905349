//! Every process of the gateway function is killed again and again: Lambda starts another, the edge tells its chunks again, and the
//! show goes on.

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

/// Between two kills: the edge tells of a chunk every two seconds, so that some hit it in the middle.
const EVERY: Duration = Duration::from_millis(1300);
/// Latency is back within this.
const LEVEL_WITHIN: Duration = Duration::from_secs(10);
/// A GOP and a second.
const STALL_MAX: f64 = 3.0;

#[test]
fn shows_go_on_when_the_gateway_is_killed() -> Result<()> {
    scenario("gateway kill -9", |report| {
        let kills: u32 = pick(8, 90);
        let seconds = (EVERY * kills).as_secs() + 25;
        let source = Source::lasting(Format { seconds: seconds + 60, mark: 5, ..Format::default() })?;
        let cluster = Cluster::start(Setup::default())?;
        let mut show = Show::start(&cluster, &source, &[1], None)?;
        let audience = show.watch(pick(&[], &Player::ALL), seconds - 5);
        show.progress(2, LEVEL_WITHIN)?;
        let killed = show.harm(|cluster| {
            let mut killed = 0;
            for _ in 0..kills {
                killed += cluster.kill_gateways();
                hold(EVERY);
            }
            Ok(killed)
        })?;
        report.fault(format!("{killed} × kill -9 of a process of the gateway function"));
        let level = show.level(report, LEVEL_WITHIN);
        let audience = audience.check(report, STALL_MAX);
        let over = show.end()?;
        over.check(report)?;
        anyhow::ensure!(killed >= usize::try_from(kills)? / 2, "only {killed} processes were there to kill");
        over.judge(level.and(audience))
    })
}
