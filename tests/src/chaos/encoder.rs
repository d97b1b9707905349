//! What the scenarios share that disturb the encoder that serves the show, again and again, while players watch.

use std::time::Duration;

use anyhow::Result;

use super::{
    cluster::{Cluster, Setup},
    report::{Report, pick},
    show::{Show, hold},
};
use crate::{
    browser::Player,
    source::{Format, Source},
};

/// From one disturbance to a binding that stands, with a second encoder alive: a heartbeat, and a restart with its measurement.
const SERVED_WITHIN: Duration = Duration::from_secs(30);
/// A GOP and a second.
const STALL_MAX: f64 = 3.0;
/// Latency is back within this.
const LEVEL_WITHIN: Duration = Duration::from_secs(10);
/// Calm before the first disturbance: what the live timeline's usual lag is seen in.
const CALM_ROWS: usize = 3;
/// What a show takes around the disturbances: the players' start and end.
const AROUND: Duration = Duration::from_secs(25);
/// Beyond that, for machines that also build: the publisher must not run out of show.
const SPARE_SECONDS: u64 = 90;

/// Disturbances of the serving encoder.
pub struct Disturbance<'a> {
    /// What it is, for the report.
    pub what: &'a str,
    /// How often, in the short form and in the full one.
    pub times: (u32, u32),
    /// How long each lasts.
    pub lasts: Duration,
    /// From its end to the next one.
    pub calm: Duration,
    /// Whether players watch in the short form too.
    pub always_watched: bool,
    /// Begins it, on the encoder of this name.
    pub begin: &'a dyn Fn(&Cluster, &str) -> Result<()>,
    /// Ends it.
    pub end: &'a dyn Fn(&Cluster, &str) -> Result<()>,
}

impl Disturbance<'_> {
    /// Runs a show under it.
    ///
    /// # Errors
    /// Whatever is lost, stops or does not recover.
    pub fn run(&self, report: &mut Report) -> Result<()> {
        let times = pick(self.times.0, self.times.1);
        let length = (self.lasts + self.calm) * times + AROUND;
        let (width, height, ladder) = pick((640, 360, "360p"), (1280, 720, "720p"));
        let seconds = length.as_secs() + SPARE_SECONDS;
        let source = Source::lasting(Format { width, height, seconds, mark: 5, ..Format::default() })?;
        let cluster = Cluster::start(Setup { encoders: 3, ladder, ..Setup::default() })?;
        let mut show = Show::start(&cluster, &source, &[1], None)?;
        let players = if self.always_watched { &Player::ALL } else { pick(&[][..], &Player::ALL) };
        let audience = show.watch(players, length.as_secs() - 5);
        show.progress(CALM_ROWS, LEVEL_WITHIN)?;
        for _ in 0..times {
            let serving = show.served(SERVED_WITHIN)?;
            show.harm(|cluster| {
                (self.begin)(cluster, &serving)?;
                hold(self.lasts);
                (self.end)(cluster, &serving)
            })?;
            hold(self.calm);
        }
        let lasts =
            if self.lasts.is_zero() { String::new() } else { format!(" for {} s", self.lasts.as_secs()) };
        report.fault(format!("{times} × {}{lasts}", self.what));
        let level = show.level(report, LEVEL_WITHIN);
        let audience = audience.check(report, STALL_MAX);
        let over = show.end()?;
        over.check(report)?;
        over.judge(level.and(audience))
    }
}
