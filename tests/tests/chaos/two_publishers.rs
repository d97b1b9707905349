//! Two publishers with one key: the later one is on air within one GOP, the earlier one is told that it is superseded.

use std::time::Duration;

use anyhow::{Context, Result};
use tests::{
    chaos::{
        broadcaster::Broadcaster,
        cluster::{Cluster, Setup},
        report::scenario,
        show::{Show, hold},
    },
    poll,
    source::{Format, Source},
};

/// From the later publisher's start to its first word of being on air.
const ON_AIR_WITHIN: Duration = Duration::from_secs(10);
/// From the later one's first picture to the earlier one's end: it is told with its next chunk.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// One GOP, and what a loaded machine takes to connect, in seconds.
const TAKEN_OVER_WITHIN: f64 = 2.0 + 0.5;
/// Calm before and after.
const CALM: Duration = Duration::from_secs(8);

#[test]
fn the_later_publisher_wins_at_once() -> Result<()> {
    scenario("two publishers on one key", |report| {
        let earlier = Source::lasting(Format { seconds: 90, mark: 5, ..Format::default() })?;
        let later = Source::lasting(Format { seconds: 90, mark: 6, ..Format::default() })?;
        let cluster = Cluster::start(Setup { edges: 2, ..Setup::default() })?;
        let mut show = Show::start(&cluster, &earlier, &[1], None)?;
        hold(CALM);
        let (second, started) = show.harm(|cluster| {
            let second = Broadcaster::start(&later, vec![cluster.publish_url(2)?], None);
            let started = cluster.event("publish-started", &[], 2, ON_AIR_WITHIN)?;
            Ok((second, started))
        })?;
        anyhow::ensure!(started.text("broadcast") == show.broadcast, "another broadcast: {started:?}");
        let first = std::mem::replace(&mut show.broadcaster, second);
        poll::until("the end of the earlier publisher", TOLD_WITHIN, || Ok(first.is_over().then_some(())))?;
        let told = first.logs().concat();
        anyhow::ensure!(told.contains("superseded"), "the earlier publisher was told\n{told}");
        cluster.event("publish-stopped", &[("code", "superseded")], 1, TOLD_WITHIN)?;
        report.fault("a second publisher with the same key, through another edge");
        hold(CALM);
        let over = show.end()?;

        // What the earlier one sent after that is not live any more; in the replay it is, as everything that was stored.
        over.check(report)?;
        let taken = over.stored.chunks.iter().find(|chunk| chunk.pos.0 == 2);
        let taken = taken.context("nothing of the later publisher was stored")?;
        let start = over.live_start_ms()?;
        let on_air_after = taken.span.0 / 90 + start - started.time_ms()?;
        let seconds = f64::from(i32::try_from(on_air_after)?) / 1000.0;
        anyhow::ensure!(
            seconds <= TAKEN_OVER_WITHIN,
            "the later publisher's first picture is {seconds} s late"
        );
        Ok(())
    })
}
