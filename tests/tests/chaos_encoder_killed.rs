//! `kill -9` of the encoder that serves the show, every ten seconds, while both players watch: nothing is lost, nobody stops for
//! longer than a GOP and a second.

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

/// Between two kills.
const EVERY: Duration = Duration::from_secs(10);
/// From a kill to a binding that stands, with a second encoder alive again.
const SERVED_WITHIN: Duration = Duration::from_secs(10);
/// A GOP and a second.
const STALL_MAX: f64 = 3.0;
/// Latency is back within this.
const LEVEL_WITHIN: Duration = Duration::from_secs(10);
/// What the show takes around the kills: the players' start and the time to see latency come back.
const AROUND: u64 = 20;

#[test]
fn nothing_is_lost_when_encoders_are_killed() -> Result<()> {
    scenario("encoder kill -9", |report| {
        let kills: u32 = pick(2, 12);
        let seconds = u64::from(kills) * EVERY.as_secs() + AROUND;
        let (width, height, ladder) = pick((640, 360, "360p"), (1280, 720, "720p"));
        let source =
            Source::new(Format { width, height, seconds: seconds + 60, mark: 5, ..Format::default() })?;
        let cluster = Cluster::start(Setup { encoders: 3, ladder, ..Setup::default() })?;
        let mut show = Show::start(&cluster, &source, &[1], None)?;
        let audience = show.watch(&Player::ALL, seconds - 5);
        show.progress(3, LEVEL_WITHIN)?;
        for _ in 0..kills {
            let serving = show.served(SERVED_WITHIN)?;
            show.harm(|cluster| cluster.keeper().kill(&serving, false))?;
            hold(EVERY);
        }
        report.fault(format!("{kills} × kill -9 of the serving encoder"));
        hold(LEVEL_WITHIN);
        audience.check(report, STALL_MAX)?;
        let over = show.end()?;
        over.check(report)?;
        over.check_lag(LEVEL_WITHIN)
    })
}
