//! The judgement of a show that is over: what the edges stored is in the replay, once and in order; the ledger verifies; the live
//! timeline kept its rules.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};

use super::{
    cluster::{Cluster, LIVE},
    report::{Latency, Report, folder},
    stored::Stored,
    watcher::Seen,
};
use crate::{aws::text, check, presentation::Presentation, sound, stack::gopcast};

/// Log lines of each process that are kept of a scenario that failed.
const LAST_WORDS: usize = 400;

/// A show that is over.
pub struct Over<'a> {
    pub(super) cluster: &'a Cluster,
    /// Its broadcast.
    pub broadcast: String,
    /// What the observer saw.
    pub seen: Seen,
    /// What the edges stored.
    pub stored: Stored,
    /// Its replay.
    pub replay: Presentation,
    /// Wall-clock milliseconds when it could first be watched.
    pub(super) begun: i64,
    /// Wall-clock milliseconds of each fault's begin and end, in order.
    pub(super) faulty: Vec<(i64, i64)>,
}

/// Keeps the processes' logs and the last live manifest of a scenario that failed; says where.
pub(super) fn keep_logs(cluster: &Cluster, broadcast: &str, seen: &Seen) -> String {
    let kept = folder().and_then(|folder| {
        let file = folder.join(format!("{broadcast}.log"));
        std::fs::write(&file, cluster.last_words(LAST_WORDS))?;
        std::fs::write(file.with_extension("mpd"), &seen.last)?;
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
        faults.push(keep_logs(self.cluster, &self.broadcast, &self.seen));
        anyhow::bail!("{} faults:\n  {}", faults.len() - 1, faults.join("\n  "))
    }

    /// Keeps the logs when something else than [`Over::check`] has failed, and says where.
    ///
    /// # Errors
    /// Those of `result`.
    pub fn judge(&self, result: Result<()>) -> Result<()> {
        result.map_err(|error| {
            anyhow::anyhow!("{error:#}\n{}", keep_logs(self.cluster, &self.broadcast, &self.seen))
        })
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

    /// From a chunk's last byte at the edge to its row: for chunks whose row was there before the first fault, for those that were under way
    /// in a fault, and for the others: after or between faults.
    fn commits(&self) -> Result<[Latency; 3]> {
        let committed = self.ledger()?;
        let mut phases: [Vec<Duration>; 3] = Default::default();
        for chunk in &self.stored.chunks {
            let Some(at) = committed.get(&chunk.pos) else { continue };
            let way = (chunk.received_us / 1000, at / 1000);
            if way.0 >= self.begun {
                let took = u64::try_from((at - chunk.received_us).max(0))?;
                phases[phase(way, &self.faulty)].push(Duration::from_micros(took));
            }
        }
        Ok(phases.map(Latency::of))
    }
}

/// Where a chunk's way from `received` to `committed` lies: 0 before all faults, 1 at least partly in one, 2 elsewhere.
fn phase((received, committed): (i64, i64), faults: &[(i64, i64)]) -> usize {
    if faults.iter().any(|(begin, end)| received <= *end && committed >= *begin) {
        1
    } else if faults.first().is_none_or(|(begin, _)| committed < *begin) {
        0
    } else {
        2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_under_way_in_a_fault_that_its_way_overlaps() {
        let faults = [(100, 200), (300, 400)];
        for (way, want) in [
            ((10, 99), 0),
            ((10, 100), 1),
            ((150, 160), 1),
            ((200, 290), 1),
            ((201, 299), 2),
            ((10, 500), 1),
            ((401, 450), 2),
        ] {
            assert_eq!(phase(way, &faults), want, "{way:?}");
        }
        assert_eq!(phase((1, 2), &[]), 0);
    }
}
