//! One show on a cluster: published, watched all the time by an observer of its manifests, ended, and judged: what the edges stored is
//! in the replay once and in order.

use std::{
    collections::BTreeMap,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    broadcaster::Broadcaster,
    cluster::{Cluster, LIVE},
    report::{Latency, Report, folder},
    stored::Stored,
    watcher::{Seen, Watcher},
};
use crate::{
    aws::text,
    browser::{Playback, Player},
    check, poll,
    presentation::Presentation,
    sound,
    source::Source,
    stack::gopcast,
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
/// Log lines of each process that are kept of a scenario that failed.
const LAST_WORDS: usize = 400;

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
    /// Wall-clock milliseconds of the first fault's begin and the last one's end.
    faulty: Option<(i64, i64)>,
}

/// A show that is over.
pub struct Over<'a> {
    cluster: &'a Cluster,
    /// Its broadcast.
    pub broadcast: String,
    /// What the observer saw.
    pub seen: Seen,
    /// What the edges stored.
    pub stored: Stored,
    /// Its replay.
    pub replay: Presentation,
    begun: i64,
    faulty: Option<(i64, i64)>,
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
        poll::until("a playable live manifest", ON_AIR_WITHIN, || {
            if cluster.http.get(&stable)?.status == 404 {
                return Ok(None);
            }
            let live = Presentation::fetch(&cluster.http, &stable)?;
            Ok((live.mpd.dynamic && live.mpd.video_segments() >= PLAYABLE_SEGMENTS).then_some(()))
        })?;
        let watcher = Watcher::start(&cluster.http, vec![stable, own]);
        Ok(Self { cluster, broadcaster, broadcast, watcher, begun: now_ms(), faulty: None })
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

    /// Does something harmful: what is committed from here to the end of the last of these counts as "during".
    ///
    /// # Errors
    /// Those of `act`.
    pub fn harm<T>(&mut self, act: impl FnOnce(&Cluster) -> Result<T>) -> Result<T> {
        let begin = now_ms();
        let done = act(self.cluster);
        self.faulty = Some((self.faulty.map_or(begin, |(first, _)| first), now_ms()));
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
        let (begin, end) = self.faulty.context("nothing was done to it")?;
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
        (begun, faulty): (i64, Option<(i64, i64)>),
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
        let (stored, replay) = over.with_context(|| keep_logs(cluster, &broadcast)).inspect_err(|_| {
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

/// Keeps the processes' logs of a scenario that failed; says where.
fn keep_logs(cluster: &Cluster, broadcast: &str) -> String {
    let kept = folder().and_then(|folder| {
        let file = folder.join(format!("{broadcast}.log"));
        std::fs::write(&file, cluster.last_words(LAST_WORDS))?;
        Ok(file)
    });
    kept.map_or_else(|error| format!("{error:#}"), |file| format!("logs in {}", file.display()))
}

impl Over<'_> {
    /// Judges it: the replay has every stored picture and frame of sound once and in order, on every rung, one broadcast was made, the
    /// ledger verifies, the live timeline kept its rules, nobody panicked.
    ///
    /// # Errors
    /// Everything that does not hold.
    pub fn check(&self, report: &mut Report) -> Result<()> {
        report.commits = self.commits()?;
        report.stored = self.stored.stamps.len();
        let mut faults: Vec<String> = self.seen.faults.iter().map(|fault| format!("live: {fault}")).collect();
        let mut note = |what: &str, result: Result<()>| {
            if let Err(error) = result {
                faults.push(format!("{what}: {error:#}"));
            }
        };
        note("pictures", self.pictures(report));
        note("sound", self.sound());
        note("structure", check::structure(&self.replay));
        note("verify", self.verify());
        note("broadcasts", self.one_broadcast());
        let panics = self.cluster.panics();
        note("panics", if panics.is_empty() { Ok(()) } else { Err(anyhow::anyhow!(panics.join("\n"))) });
        if faults.is_empty() {
            return Ok(());
        }
        faults.push(keep_logs(self.cluster, &self.broadcast));
        anyhow::bail!("{} faults:\n  {}", faults.len() - 1, faults.join("\n  "))
    }

    /// Keeps the logs when something else than [`Over::check`] has failed, and says where.
    ///
    /// # Errors
    /// Those of `result`.
    pub fn judge(&self, result: Result<()>) -> Result<()> {
        result.map_err(|error| anyhow::anyhow!("{error:#}\n{}", keep_logs(self.cluster, &self.broadcast)))
    }

    fn pictures(&self, report: &mut Report) -> Result<()> {
        let want = &self.stored.stamps;
        anyhow::ensure!(!want.is_empty(), "nothing was stored");
        let rungs = self.replay.mpd.rungs();
        anyhow::ensure!(!rungs.is_empty(), "the replay has no rung of pictures");
        for rung in rungs {
            let shown = check::shown(&self.replay, &rung)?;
            let got: Vec<Option<(u32, u32)>> =
                shown.iter().map(|shown| shown.picture.stamp.map(|s| (s.mark, s.number))).collect();
            report.replayed = got.len();
            let differ = (0..got.len().max(want.len()))
                .find(|at| got.get(*at).copied().flatten() != want.get(*at).copied());
            if let Some(at) = differ {
                let from = at.saturating_sub(2);
                anyhow::bail!(
                    "{rung}: {} pictures are stored, {} replayed; from picture {at} on {:?} instead of {:?}",
                    want.len(),
                    got.len(),
                    got.iter().skip(from).take(6).collect::<Vec<_>>(),
                    want.iter().skip(from).take(6).collect::<Vec<_>>()
                );
            }
        }
        Ok(())
    }

    fn sound(&self) -> Result<()> {
        let want: Vec<&String> = self.stored.chunks.iter().flat_map(|chunk| &chunk.sound).collect();
        let folder = tempfile::TempDir::new()?;
        let mut got = Vec::new();
        for period in &self.replay.mpd.periods {
            let track = period.tracks.iter().find(|t| !t.is_video()).context("a period without sound")?;
            got.extend(sound::frame_hashes(&self.replay.write(period, track, folder.path())?)?);
        }
        let same = want.iter().zip(&got).take_while(|(want, got)| **want == *got).count();
        anyhow::ensure!(
            same == want.len() && same == got.len(),
            "{} frames are stored, {} replayed; they differ from frame {same} on",
            want.len(),
            got.len()
        );
        Ok(())
    }

    fn verify(&self) -> Result<()> {
        let out = gopcast(self.cluster.data(), ["broadcast", "verify", &self.broadcast])?;
        let said = String::from_utf8_lossy(&out.stdout);
        let why = String::from_utf8_lossy(&out.stderr);
        anyhow::ensure!(out.status.success(), "{}: {said}{why}", out.status);
        Ok(())
    }

    fn one_broadcast(&self) -> Result<()> {
        let rows = self.cluster.aws.rows(&format!("LIVE#{LIVE}"), "BCAST#")?;
        anyhow::ensure!(rows.len() == 1, "{} broadcasts were made of one show", rows.len());
        Ok(())
    }

    /// When presentation time 0 reached an edge, in wall-clock milliseconds.
    ///
    /// # Errors
    /// When the table does not say.
    pub fn live_start_ms(&self) -> Result<i64> {
        let rows = self.cluster.rows_of(&self.broadcast, "META")?;
        let start =
            rows.first().and_then(|row| row.get("availability_start")?.as_n().ok()?.parse::<i64>().ok());
        Ok(start.context("no availability start")? / 1000)
    }

    /// When each chunk of the live timeline was committed, in microseconds since the Unix epoch, by position.
    fn ledger(&self) -> Result<BTreeMap<(u32, u32), i64>> {
        let mut committed = BTreeMap::new();
        for row in self.cluster.rows_of(&self.broadcast, "GOP#")? {
            let row: serde_json::Value = serde_json::from_str(&text(&row, "row")?)?;
            let number = |name: &str| row.get(name).and_then(serde_json::Value::as_i64);
            if let (Some(publish), Some(seq), Some(at)) =
                (number("publish"), number("seq"), number("committed"))
            {
                committed.insert((u32::try_from(publish)?, u32::try_from(seq)?), at);
            }
        }
        Ok(committed)
    }

    /// From a chunk's last byte at the edge to its row, for chunks that came before, during and after the faults.
    fn commits(&self) -> Result<[Latency; 3]> {
        let committed = self.ledger()?;
        let (begin, end) = self.faulty.unwrap_or((i64::MAX, i64::MAX));
        let mut phases: [Vec<Duration>; 3] = Default::default();
        for chunk in &self.stored.chunks {
            let Some(at) = committed.get(&chunk.pos) else { continue };
            let received_ms = chunk.received_us / 1000;
            if received_ms < self.begun {
                continue;
            }
            let phase = usize::from(received_ms >= begin) + usize::from(received_ms >= end);
            let took = u64::try_from((at - chunk.received_us).max(0))?;
            phases[phase].push(Duration::from_micros(took));
        }
        Ok(phases.map(Latency::of))
    }
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
