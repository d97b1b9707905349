//! The publisher's connection is reset (TCP RST) and it is back after 3, 10 and 45 seconds with time stamps from zero: one broadcast,
//! one manifest, both players go on without reload. The hole is filled on the live timeline, and closed in the replay.

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

/// From the return of the publisher to the next chunk's commit, and a try more of ffmpeg.
const BACK_WITHIN: Duration = Duration::from_secs(15);
/// Between two resets.
const CALM: Duration = Duration::from_secs(6);
/// Latency is back within this.
const LEVEL_WITHIN: Duration = Duration::from_secs(10);
/// A GOP and a second.
const STALL_MAX: f64 = 3.0;
/// Closed holes leave no more than this per publish, in seconds: rounding of sound to its own frames.
const SEAM: f64 = 0.05;

#[test]
fn players_go_on_over_a_reset_of_the_publisher() -> Result<()> {
    scenario("publisher TCP reset, back later", |report| {
        let absences: &[u64] = pick(&[3, 10], &[3, 10, 45]);
        let seconds = absences.iter().sum::<u64>() + 12 * u64::try_from(absences.len())? + 15;
        let source = Source::lasting(Format { seconds: seconds + 60, mark: 5, ..Format::default() })?;
        let cluster = Cluster::start(Setup::default())?;
        let mut show = Show::start(&cluster, &source, &[1], Some(Duration::ZERO))?;
        let audience = show.watch(&Player::ALL, seconds);
        show.progress(2, BACK_WITHIN)?;
        for (cut, absence) in absences.iter().enumerate() {
            let away = Duration::from_secs(*absence);
            show.broadcaster.set_pause(away);
            show.harm(|cluster| {
                cluster.cut_publishers();
                cluster.event("publish-started", &[], cut + 2, away + BACK_WITHIN)
            })?;
            show.progress(2, BACK_WITHIN)?;
            hold(CALM);
        }
        report.fault(format!("TCP reset, back after {absences:?} s with time stamps from zero"));
        let level = show.level(report, LEVEL_WITHIN);
        let audience = audience.check(report, STALL_MAX);
        let publishes = show.broadcaster.publishes();
        let over = show.end()?;
        over.check(report)?;
        anyhow::ensure!(publishes == absences.len() + 1, "{publishes} publishes");
        let (replayed, stored) = (over.replay.mpd.duration.unwrap_or_default(), over.stored.seconds());
        let seams = SEAM * f64::from(u32::try_from(publishes)?);
        anyhow::ensure!(
            (replayed - stored).abs() <= seams,
            "{stored} s are stored, the replay has {replayed} s"
        );
        over.judge(level.and(audience))
    })
}
