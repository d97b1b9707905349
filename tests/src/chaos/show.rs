//! One show on a cluster: published, watched all the time by players and an observer of its manifests, disturbed, and ended.

use std::{
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    broadcaster::Broadcaster,
    cluster::{Cluster, LIVE},
    over::{Over, keep_logs},
    report::Report,
    stored::Stored,
    watcher::Watcher,
};
use crate::{
    aws::text,
    browser::{Playback, Player},
    poll,
    presentation::Presentation,
    source::Source,
};

/// From the start of a publisher to the first live manifest, on a machine that also builds.
const ON_AIR_WITHIN: Duration = Duration::from_secs(30);
/// From the end of the show to its replay: a backlog of half a minute at the encoder's pace.
const ENDED_WITHIN: Duration = Duration::from_secs(90);
/// From the end of the broadcast to the replay's manifest: what the CDN may keep the live one for, generously.
const REPLAY_WITHIN: Duration = Duration::from_secs(5);
/// Segments that a live manifest must name before a player may rely on it.
const PLAYABLE_SEGMENTS: usize = 2;
/// A live timeline's usual lag is back when it is within this much of the worst before the faults, in seconds: half of a GOP.
const LAG_SLACK: f64 = 1.0;
/// It is back when it has stayed there for this long: a GOP and a half, within which it goes through all of its values.
const SEEN_LEVEL: Duration = Duration::from_secs(3);

/// A running show.
pub struct Show<'a> {
    cluster: &'a Cluster,
    /// Who publishes it.
    pub broadcaster: Broadcaster,
    /// Its broadcast.
    pub broadcast: String,
    watcher: Watcher,
    /// Wall-clock milliseconds when it could first be watched: the first chunks wait for caches to fill.
    begun: i64,
    /// Wall-clock milliseconds of each fault's begin and end, in order.
    faulty: Vec<(i64, i64)>,
}

/// Players that watch.
pub struct Audience(Vec<(Player, JoinHandle<Result<Playback>>)>);

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Lets a fault, or the calm between two, last.
pub fn hold(duration: Duration) {
    thread::sleep(duration);
}

impl<'a> Show<'a> {
    /// Publishes `source` to these edges (1, 2…) in turn and waits until it can be watched. With `comes_back` the publisher returns
    /// that long after it has lost its connection.
    ///
    /// # Errors
    /// When it does not get on air.
    pub fn start(
        cluster: &'a Cluster,
        source: &Source,
        edges: &[usize],
        comes_back: Option<Duration>,
    ) -> Result<Self> {
        let urls = edges.iter().map(|edge| cluster.publish_url(*edge)).collect::<Result<Vec<_>>>()?;
        let broadcaster = Broadcaster::start(source, urls, comes_back);
        let started = cluster.event("publish-started", &[], 1, ON_AIR_WITHIN)?;
        let broadcast = started.text("broadcast");
        let stable = format!("{}/live/{LIVE}/manifest.mpd", cluster.cdn);
        let own = format!("{}/vod/{LIVE}/{broadcast}/manifest.mpd", cluster.cdn);
        Presentation::live(&cluster.http, &stable, PLAYABLE_SEGMENTS, ON_AIR_WITHIN)?;
        let watcher = Watcher::start(&cluster.http, vec![stable, own]);
        Ok(Self { cluster, broadcaster, broadcast, watcher, begun: now_ms(), faulty: Vec::new() })
    }

    /// The stable manifest.
    #[must_use]
    pub fn mpd(&self) -> String {
        format!("{}/live/{LIVE}/manifest.mpd", self.cluster.cdn)
    }

    /// Has players watch for that long.
    #[must_use]
    pub fn watch(&self, players: &[Player], seconds: u64) -> Audience {
        let watch = |player: Player| {
            let mpd = self.mpd();
            (player, thread::spawn(move || player.watch(&mpd, seconds)))
        };
        Audience(players.iter().copied().map(watch).collect())
    }

    /// Does something harmful: what is on its way to the ledger meanwhile counts as "during".
    ///
    /// # Errors
    /// Those of `act`.
    pub fn harm<T>(&mut self, act: impl FnOnce(&Cluster) -> Result<T>) -> Result<T> {
        let begin = now_ms();
        let done = act(self.cluster);
        self.faulty.push((begin, now_ms()));
        done
    }

    /// Name of the encoder that serves the show now.
    ///
    /// # Errors
    /// When none does, or its process is down.
    pub fn serving(&self) -> Result<String> {
        let id = self.cluster.aws.encoder_of(&self.broadcast)?;
        self.cluster.keeper().name_of(&id).with_context(|| format!("{id} serves and does not run"))
    }

    /// Waits until all encoders of the cluster are alive, as many as `encoders`, each with its heartbeat in the table.
    ///
    /// # Errors
    /// When they are not in time.
    pub fn complete(&self, encoders: usize, limit: Duration) -> Result<()> {
        poll::until(&format!("{encoders} encoders"), limit, || {
            Ok((self.cluster.encoders()?.len() == encoders).then_some(()))
        })
    }

    /// Waits until a living encoder serves the show and has its heartbeat in the table, with another one to go to; gives its name.
    ///
    /// # Errors
    /// When that does not come to be.
    pub fn served(&self, limit: Duration) -> Result<String> {
        poll::until("a serving encoder and one to go to", limit, || {
            let (alive, serving) = (self.cluster.encoders()?, self.serving().ok());
            Ok(serving.filter(|name| alive.len() > 1 && alive.contains(name)))
        })
    }

    /// Commits of the ledger so far.
    ///
    /// # Errors
    /// When the table can't be read.
    pub fn commits(&self) -> Result<usize> {
        Ok(self.cluster.rows_of(&self.broadcast, "GOP#")?.len())
    }

    /// Waits until so many more rows are committed.
    ///
    /// # Errors
    /// When they are not in time.
    pub fn progress(&self, rows: usize, limit: Duration) -> Result<()> {
        let from = self.commits()?;
        poll::until(&format!("{rows} more commits"), limit, || {
            Ok((self.commits()? >= from + rows).then_some(()))
        })
    }

    /// Waits until the live timeline is as close behind again as before the first fault, at most `within` from now on; gives how long
    /// that took from the end of the last fault on.
    ///
    /// # Errors
    /// When it does not get there in time, or nothing was done to it.
    pub fn level(&self, report: &mut Report, within: Duration) -> Result<()> {
        let (first, last) = self.faulty.first().zip(self.faulty.last()).context("nothing was done to it")?;
        let (begin, end) = (first.0, last.1);
        let before = self.watcher.lags().into_iter().filter(|(at, _)| *at < begin).map(|(_, lag)| lag);
        let usual = before.max_by(f64::total_cmp).context("nothing was seen before the faults")?;
        let level = poll::until("the usual live latency", within + SEEN_LEVEL, || {
            let lags = self.watcher.lags();
            let since = lags.iter().rposition(|(_, lag)| *lag > usual + LAG_SLACK).map_or(0, |at| at + 1);
            let since = lags.get(since).map_or(i64::MAX, |(at, _)| *at).max(end);
            let seen =
                u128::try_from(now_ms().saturating_sub(since)).is_ok_and(|ms| ms >= SEEN_LEVEL.as_millis());
            Ok(seen.then_some(since - end))
        });
        let lags = self.watcher.lags();
        let worst = lags.iter().filter(|(at, _)| *at >= begin).map(|(_, lag)| *lag).fold(0.0, f64::max);
        let took = level.with_context(|| {
            let last: Vec<String> = lags.iter().rev().take(6).map(|(_, lag)| format!("{lag:.1}")).collect();
            format!("{usual:.1} s behind before, up to {worst:.1} s during, lately {last:?}")
        })?;
        report.level = format!("{usual:.1} s → {worst:.1} s, level after {took} ms");
        Ok(())
    }

    /// Ends the publisher with goodbye, and the show with it.
    ///
    /// # Errors
    /// When it does not end.
    pub fn end(self) -> Result<Over<'a>> {
        let Self { cluster, broadcaster, broadcast, watcher, begun, faulty } = self;
        let ended = broadcaster.end().and_then(|()| ended(cluster, &broadcast));
        Self::finish(cluster, broadcast, watcher, (begun, faulty), ended)
    }

    /// Drops the publisher without goodbye and waits until the broadcast is ended by others; `each` is called in the meantime.
    ///
    /// # Errors
    /// When it does not end.
    pub fn abandon(self, limit: Duration, mut each: impl FnMut(&Cluster) -> Result<()>) -> Result<Over<'a>> {
        let Self { cluster, broadcaster, broadcast, watcher, begun, faulty } = self;
        drop(broadcaster);
        let ended = poll::until("the end of the broadcast by itself", limit, || {
            each(cluster)?;
            is_ended(cluster, &broadcast)
        });
        Self::finish(cluster, broadcast, watcher, (begun, faulty), ended)
    }

    fn finish(
        cluster: &'a Cluster,
        broadcast: String,
        watcher: Watcher,
        (begun, faulty): (i64, Vec<(i64, i64)>),
        ended: Result<()>,
    ) -> Result<Over<'a>> {
        let over = ended.and_then(|()| {
            let url = format!("{}/vod/{LIVE}/{broadcast}/manifest.mpd", cluster.cdn);
            let replay = poll::until("the replay's manifest", REPLAY_WITHIN, || {
                let replay = Presentation::fetch(&cluster.http, &url)?;
                Ok((!replay.mpd.dynamic).then_some(replay))
            })?;
            Ok((Stored::read(&cluster.aws, &broadcast)?, replay))
        });
        let seen = watcher.end()?;
        let (stored, replay) =
            over.with_context(|| keep_logs(cluster, &broadcast, &seen)).inspect_err(|_| {
                eprintln!("the observer saw {:#?}", seen.faults);
            })?;
        Ok(Over { cluster, broadcast, seen, stored, replay, begun, faulty })
    }
}

fn is_ended(cluster: &Cluster, broadcast: &str) -> Result<Option<()>> {
    let rows = cluster.rows_of(broadcast, "META")?;
    let state = text(rows.first().context("no such broadcast")?, "state")?;
    Ok((state == "ended").then_some(()))
}

fn ended(cluster: &Cluster, broadcast: &str) -> Result<()> {
    poll::until("the end of the broadcast", ENDED_WITHIN, || is_ended(cluster, broadcast))
}

impl Audience {
    /// Waits for the players; none may have seen an error, none may have stopped for longer than `stall_max` seconds.
    ///
    /// # Errors
    /// What they saw.
    pub fn check(self, report: &mut Report, stall_max: f64) -> Result<()> {
        let mut faults = Vec::new();
        for (player, watching) in self.0 {
            let watched = watching.join().map_err(|_| anyhow::anyhow!("the watching thread panicked"))?;
            let playback = watched.with_context(|| format!("{player:?}"))?;
            report.player(&format!("{player:?}"), &playback);
            eprintln!("{player:?}: {playback:?}");
            if !playback.errors.is_empty() {
                faults.push(format!("{player:?}: {:?}", playback.errors));
            }
            if playback.worst_stall() > stall_max {
                faults.push(format!("{player:?} stopped: {:?}", playback.stalls));
            }
            if playback.last_position - playback.first_position < 0.5 * playback.watched {
                faults.push(format!("{player:?} hardly moved: {playback:?}"));
            }
        }
        anyhow::ensure!(faults.is_empty(), "players: {}", faults.join("\n  "));
        Ok(())
    }
}
