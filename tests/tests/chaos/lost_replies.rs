//! A tenth of all replies of S3, DynamoDB and Lambda is lost after the request took effect, for everybody, while the serving encoder is
//! frozen for a while: every write is done again without doing it twice.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use tests::{
    chaos::{
        cluster::{Cluster, Setup, Way},
        faults::Faults,
        report::{pick, scenario},
        show::{Show, hold},
    },
    source::{Format, Source},
};

/// Percent of the replies.
const SHARE: u64 = 10;
/// How long the encoder is frozen.
const FROZEN: Duration = Duration::from_secs(6);
/// Before and after that, with replies lost.
const AROUND: Duration = Duration::from_secs(4);
/// Latency is back within this.
const LEVEL_WITHIN: Duration = Duration::from_secs(10);
/// From one freeze to a binding that stands.
const SERVED_WITHIN: Duration = Duration::from_secs(30);
const WAYS: [Way; 3] = [Way::S3, Way::DynamoDb, Way::Lambda];

#[test]
fn lost_replies_double_nothing() -> Result<()> {
    scenario("10 % of replies lost, encoder frozen", |report| {
        let times: u32 = pick(1, 6);
        let seconds = ((FROZEN + 2 * AROUND) * times).as_secs() + 120;
        let source = Source::lasting(Format { seconds, mark: 5, ..Format::default() })?;
        let cluster = Cluster::start(Setup::default())?;
        let mut show = Show::start(&cluster, &source, &[1], None)?;
        show.progress(2, LEVEL_WITHIN)?;
        for _ in 0..times {
            let serving = show.served(SERVED_WITHIN)?;
            show.harm(|cluster| {
                WAYS.into_iter().for_each(|way| cluster.fault_everywhere(way, Faults::lost_replies(SHARE)));
                hold(AROUND);
                cluster.keeper().signal(&serving, Signal::SIGSTOP)?;
                hold(FROZEN);
                cluster.keeper().signal(&serving, Signal::SIGCONT)?;
                hold(AROUND);
                WAYS.into_iter().for_each(|way| cluster.fault_everywhere(way, Faults::NONE));
                Ok(())
            })?;
        }
        let lost = cluster.counts().lost_replies;
        report.fault(format!("{lost} replies lost; {times} × SIGSTOP of {} s", FROZEN.as_secs()));
        let level = show.level(report, LEVEL_WITHIN);
        let over = show.end()?;
        over.check(report)?;
        anyhow::ensure!(lost > 0, "no reply was lost");
        over.judge(level)
    })
}
