//! S3 answers 503 to a fifth of all requests and DynamoDB throttles a fifth, for everybody: nothing is lost, and latency recovers.

use std::time::Duration;

use anyhow::Result;
use tests::{
    browser::Player,
    chaos::{
        cluster::{Cluster, Setup, Way},
        faults::Faults,
        report::{pick, scenario},
        show::{Show, hold},
    },
    source::{Format, Source},
};

/// Percent of the requests.
const SHARE: u64 = 20;
/// Latency is back within this.
const LEVEL_WITHIN: Duration = Duration::from_secs(10);
/// Commits before the fault.
const CALM_ROWS: usize = 3;

#[test]
fn nothing_is_lost_when_storage_throttles() -> Result<()> {
    scenario("S3 503 and DynamoDB throttling on 20 %", |report| {
        let lasts = Duration::from_secs(pick(12, 90));
        let seconds = lasts.as_secs() + 20;
        let source = Source::lasting(Format { seconds: seconds + 60, mark: 5, ..Format::default() })?;
        let cluster = Cluster::start(Setup::default())?;
        let mut show = Show::start(&cluster, &source, &[1], None)?;
        let audience = show.watch(pick(&[], &Player::ALL), seconds - 5);
        show.progress(CALM_ROWS, LEVEL_WITHIN)?;
        let counts = show.harm(|cluster| {
            let before = cluster.counts().errors;
            cluster.fault_everywhere(Way::S3, Faults::errors(SHARE));
            cluster.fault_everywhere(Way::DynamoDb, Faults::errors(SHARE));
            hold(lasts);
            cluster.fault_everywhere(Way::S3, Faults::NONE);
            cluster.fault_everywhere(Way::DynamoDb, Faults::NONE);
            Ok(cluster.counts().errors - before)
        })?;
        report.fault(format!("{counts} requests refused in {} s", lasts.as_secs()));
        let level = show.level(report, LEVEL_WITHIN);
        // Latency may grow while it lasts, and players may wait for it: what they must not see is an error.
        let audience = audience.check(report, lasts.as_secs_f64());
        let over = show.end()?;
        over.check(report)?;
        anyhow::ensure!(counts > 0, "no request was refused");
        over.judge(level.and(audience))
    })
}
