//! SIGTERM to the encoder that serves the show, twenty in a row: it hands over, and no commit is later than 200 ms beyond the worst of
//! the time before.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use tests::{
    browser::Player,
    chaos::{
        cluster::{Cluster, Setup},
        report::{pick, scenario},
        show::{Show, hold},
    },
    source::{Format, Source},
};

/// From one SIGTERM to the next binding that stands, with another encoder alive: the drained one must end and start again.
const SERVED_WITHIN: Duration = Duration::from_secs(40);
/// Between two: a GOP and a half, so that they hit a chunk at every stage of its life.
const EVERY: Duration = Duration::from_millis(1500);
/// Commits before the first: what "usual" is.
const BASELINE_ROWS: usize = 10;
/// How much later than the latest of those a commit may be.
const LATER_MAX: Duration = Duration::from_millis(200);
/// What ten one-second GOPs take, on a machine that also builds.
const BASELINE_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn draining_has_no_visible_effect() -> Result<()> {
    scenario("encoder SIGTERM", |report| {
        let times: u32 = pick(3, 20);
        let seconds = u64::from(times) * 6 + 30;
        // One-second GOPs: twice as many chunks to hit.
        let format = Format { seconds: seconds + 90, gop: 30, mark: 5, ..Format::default() };
        let cluster = Cluster::start(Setup { encoders: 3, ..Setup::default() })?;
        let mut show = Show::start(&cluster, &Source::lasting(format)?, &[1], None)?;
        let audience = show.watch(pick(&[], &Player::ALL), seconds - 10);
        show.progress(BASELINE_ROWS, BASELINE_WITHIN)?;
        for _ in 0..times {
            let serving = show.served(SERVED_WITHIN)?;
            show.harm(|cluster| {
                cluster.keeper().signal(&serving, Signal::SIGTERM)?;
                hold(EVERY);
                Ok(())
            })?;
        }
        report.fault(format!("{times} × SIGTERM to the serving encoder"));
        show.progress(3, BASELINE_WITHIN)?;
        let audience = audience.check(report, LATER_MAX.as_secs_f64());
        let over = show.end()?;
        over.check(report)?;
        let [before, during, _] = report.commits;
        let late = (during.max > before.max + LATER_MAX).then(|| {
            anyhow::anyhow!("commits took {:?} at most before, {:?} while drained", before.max, during.max)
        });
        over.judge(late.map_or(audience, Err))
    })
}
