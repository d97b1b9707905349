//! SIGTERM to the encoder that serves the show, twenty times, and back with it each time: it hands over, and no commit is later than 200 ms
//! beyond the worst of the time before.
//!
//! The encoder that takes a drained one's place measures what the machine can do, on all of its cores. In production it has its own; here
//! they are those that the show is transcoded on, so it comes back when all that was under way in the drain is committed.

use std::time::Duration;

use anyhow::Result;
use tests::{
    browser::Player,
    chaos::{
        cluster::{Cluster, Setup},
        report::{Latency, pick, scenario},
        show::{Show, hold},
    },
    source::{Format, Source},
};

const ENCODERS: u32 = 3;
/// From the order to come back to a heartbeat in the table: the end of the drain, a start and its measurement.
const BACK_WITHIN: Duration = Duration::from_secs(40);
/// One GOP. From a commit to the drain that follows it a part of it passes, another each time: so drains meet chunks at every stage of
/// their lives.
const GOP: Duration = Duration::from_secs(1);
/// What counts as the drain.
const DRAIN: Duration = Duration::from_millis(1500);
/// Commits before the first: what "usual" is.
const BASELINE_ROWS: usize = 10;
/// Commits after each drain before the encoder comes back, and from then to the next: the chunks that were under way when they began.
const CALM_ROWS: usize = 2;
/// How much later than the latest of the usual ones a commit may be.
const LATER_MAX: Duration = Duration::from_millis(200);
/// What ten one-second GOPs take, on a machine that also builds.
const BASELINE_WITHIN: Duration = Duration::from_secs(30);
/// What one drain takes with all around it.
const EACH_SECONDS: u64 = 12;

#[test]
fn draining_has_no_visible_effect() -> Result<()> {
    scenario("encoder SIGTERM", |report| {
        let times: u32 = pick(3, 20);
        let seconds = u64::from(times) * EACH_SECONDS + 30;
        // Twice as many chunks to hit as with the usual GOPs.
        let format = Format { seconds: seconds + 90, gop: 30, mark: 5, ..Format::default() };
        let cluster = Cluster::start(Setup { encoders: ENCODERS, ..Setup::default() })?;
        let mut show = Show::start(&cluster, &Source::lasting(format)?, &[1], None)?;
        let audience = show.watch(pick(&[], &Player::ALL), seconds - 10);
        show.progress(BASELINE_ROWS, BASELINE_WITHIN)?;
        for nth in 0..times {
            show.complete(usize::try_from(ENCODERS)?, BACK_WITHIN)?;
            show.progress(CALM_ROWS, BASELINE_WITHIN)?;
            hold(GOP * (2 * nth + 1) / (2 * times));
            let serving = show.serving()?;
            show.harm(|cluster| {
                cluster.keeper().retire(&serving)?;
                hold(DRAIN);
                Ok(())
            })?;
            show.progress(CALM_ROWS, BASELINE_WITHIN)?;
            cluster.keeper().bring_back(&serving)?;
        }
        report.fault(format!("{times} × SIGTERM to the serving encoder"));
        show.progress(CALM_ROWS, BASELINE_WITHIN)?;
        let audience = audience.check(report, LATER_MAX.as_secs_f64());
        let over = show.end()?;
        over.check(report)?;
        over.judge(orderly(&cluster, times).and(in_time(report.commits)).and(audience))
    })
}

/// Every drained encoder was left because it said so: nobody waited for the answer of one that had gone.
fn orderly(cluster: &Cluster, times: u32) -> Result<()> {
    let reasons: Vec<String> = cluster.events("rebound").iter().map(|event| event.text("reason")).collect();
    let said = |reason: &String| reason == "draining" || reason == "handed-over";
    anyhow::ensure!(
        reasons.iter().all(said) && reasons.len() >= usize::try_from(times)?,
        "{times} encoders were drained, the show was moved for: {reasons:?}"
    );
    Ok(())
}

fn in_time([before, during, after]: [Latency; 3]) -> Result<()> {
    // The short form has ten commits before, too few to know how late one may be here anyway: those between and after count, too.
    let usual = pick(before.max.max(after.max), before.max);
    anyhow::ensure!(
        during.count > 0 && during.max <= usual + LATER_MAX,
        "commits took {usual:?} at most as usual, {:?} while drained",
        during.max
    );
    Ok(())
}
