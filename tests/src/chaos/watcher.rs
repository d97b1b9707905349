//! An observer of the live manifests: polls them all through a show and holds each answer against all before. The timeline may only
//! grow at its end; nothing is ever named that can't be fetched at that moment.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    background::Background,
    http,
    mpd::{Mpd, Period, Track, ticks_to_seconds},
};

/// Between two polls: a player's own pace.
const POLL_EVERY: Duration = Duration::from_millis(500);
/// A hole in a timeline of sound is one only beyond this, in seconds: two frames at 44.1 kHz. Pictures have none at all.
const SOUND_HOLE: f64 = 0.05;
/// Rounding of seconds.
const ROUNDING: f64 = 0.002;
/// Most faults kept of one observation.
const FAULTS_MAX: usize = 40;

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// What must not be.
    pub faults: Vec<String>,
    /// The last live manifest.
    pub last: String,
    /// Manifests read.
    pub polls: u64,
    /// Objects fetched the moment they were first named.
    pub objects: usize,
}

/// A running observer.
pub struct Watcher {
    lags: Arc<Mutex<Vec<(i64, f64)>>>,
    running: Background<Seen>,
}

impl Watcher {
    /// Watches these manifests of one broadcast: the stable one and its own.
    #[must_use]
    pub fn start(http: &http::Client, urls: Vec<String>) -> Self {
        let lags = Arc::<Mutex<Vec<(i64, f64)>>>::default();
        let (http, shared) = (http.clone(), Arc::clone(&lags));
        let running = Background::start(move |stop| {
            let mut state = State { lags: shared, ..State::default() };
            while !stop.is_wanted() {
                for url in &urls {
                    if let Err(error) = state.poll(&http, url) {
                        state.fault(format!("{url}: {error:#}"));
                    }
                }
                thread::sleep(POLL_EVERY);
            }
            state.seen
        });
        Self { lags, running }
    }

    /// Wall-clock milliseconds of each look so far, and how far the end of the live timeline was behind then, in seconds.
    #[must_use]
    pub fn lags(&self) -> Vec<(i64, f64)> {
        self.lags.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it; gives what was seen.
    ///
    /// # Errors
    /// When it panicked.
    pub fn end(self) -> Result<Seen> {
        self.running.end()
    }
}

#[derive(Default)]
struct State {
    seen: Seen,
    lags: Arc<Mutex<Vec<(i64, f64)>>>,
    /// Manifests that were there once.
    there: HashSet<String>,
    start: Option<i64>,
    /// Per manifest: its last publish time.
    published: BTreeMap<String, i64>,
    /// Duration of each segment ever named, by period, track and time.
    named: BTreeMap<(String, String, u64), u64>,
    fetched: HashSet<String>,
    /// Per manifest: the end of its timeline in ticks, per period and track.
    ends: BTreeMap<(String, String, String), u64>,
    told: BTreeSet<String>,
}

impl State {
    fn fault(&mut self, what: String) {
        if self.seen.faults.len() < FAULTS_MAX && self.told.insert(what.clone()) {
            self.seen.faults.push(what);
        }
    }

    fn poll(&mut self, http: &http::Client, url: &str) -> Result<()> {
        let reply = http.get(url)?;
        if reply.status == 404 && !self.there.contains(url) {
            return Ok(());
        }
        anyhow::ensure!(reply.status == 200, "status {}", reply.status);
        self.there.insert(url.to_owned());
        self.seen.polls += 1;
        let text = String::from_utf8(reply.body)?;
        let mpd = Mpd::parse(url, &text)?;
        if !mpd.dynamic {
            // The end: the replay is checked as a whole elsewhere, it may lie otherwise on its own timeline.
            return Ok(());
        }
        self.seen.last = text;
        let start = mpd.availability_start_ms.context("no availabilityStartTime")?;
        if *self.start.get_or_insert(start) != start {
            self.fault(format!("availabilityStartTime moved from {:?} to {start}", self.start));
        }
        let published = mpd.publish_time_us.context("no publishTime")?;
        if let Some(before) = self.published.insert(url.to_owned(), published).filter(|b| *b > published) {
            self.fault(format!("{url}: publishTime went back by {} µs", before - published));
        }
        for period in &mpd.periods {
            for track in &period.tracks {
                self.track(http, url, period, track)?;
            }
        }
        self.seams(&mpd);
        if let Some(end) =
            mpd.periods.last().and_then(|p| Some(span(p, p.tracks.iter().find(|t| t.is_video())?)?.1))
        {
            let now = jiff::Timestamp::now().as_millisecond();
            let behind = f64::from(i32::try_from(now - start)?) / 1000.0 - end;
            self.lags.lock().unwrap_or_else(PoisonError::into_inner).push((now, behind));
        }
        Ok(())
    }

    fn track(&mut self, http: &http::Client, url: &str, period: &Period, track: &Track) -> Result<()> {
        let place = format!("period {} {}", period.id, track.id);
        let mut before: Option<u64> = None;
        for segment in &track.segments {
            let end = segment.time + segment.duration;
            let key = (period.id.clone(), track.id.clone(), segment.time);
            match self.named.get(&key) {
                Some(duration) if *duration != segment.duration => {
                    let duration = *duration;
                    self.fault(format!(
                        "{place} t={}: lasted {duration}, now {}",
                        segment.time, segment.duration
                    ));
                }
                Some(_) => {}
                None => {
                    // The manifest has just named it: it must be there.
                    if self.fetched.insert(segment.url.clone()) {
                        let reply = http.get(&segment.url)?;
                        self.seen.objects += 1;
                        if reply.status != 200 {
                            self.fault(format!("{} is named and answers {}", segment.url, reply.status));
                        }
                    }
                    let inside = self
                        .named
                        .range((key.0.clone(), key.1.clone(), 0)..key.clone())
                        .next_back()
                        .filter(|((p, t, _), _)| *p == key.0 && *t == key.1)
                        .is_some_and(|((_, _, time), duration)| time + duration > segment.time);
                    if inside {
                        self.fault(format!("{place} t={}: named inside of an earlier segment", segment.time));
                    }
                    self.named.insert(key, segment.duration);
                }
            }
            if let Some(before) = before {
                if segment.time < before {
                    self.fault(format!(
                        "{place} t={}: overlaps the one before, which ends at {before}",
                        segment.time
                    ));
                }
                let hole = ticks_to_seconds(segment.time.saturating_sub(before), track.timescale);
                if hole > if track.is_video() { 0.0 } else { SOUND_HOLE } {
                    self.fault(format!("{place} t={}: a hole of {hole:.3} s before it", segment.time));
                }
            }
            before = Some(end);
        }
        if let Some(end) = before {
            let last = self.ends.insert((url.to_owned(), period.id.clone(), track.id.clone()), end);
            if last.is_some_and(|last| last > end) {
                self.fault(format!("{place}: the timeline ended at {last:?}, now at {end}"));
            }
        }
        Ok(())
    }

    /// Periods follow each other without hole or overlap: pictures to the tick, sound within its own frames.
    fn seams(&mut self, mpd: &Mpd) {
        for pair in mpd.periods.windows(2) {
            for (is_video, slack) in [(true, ROUNDING), (false, SOUND_HOLE)] {
                let span =
                    |period: &Period| span(period, period.tracks.iter().find(|t| t.is_video() == is_video)?);
                if let (Some((_, end)), Some((start, _))) = (span(&pair[0]), span(&pair[1]))
                    && (start - end).abs() > slack
                {
                    let what = if is_video { "pictures" } else { "sound" };
                    self.fault(format!(
                        "{what} of period {} end at {end:.3} s, of {} start at {start:.3} s",
                        pair[0].id, pair[1].id
                    ));
                }
            }
        }
    }
}

/// Start and end of a track on the presentation's timeline, in seconds.
fn span(period: &Period, track: &Track) -> Option<(f64, f64)> {
    let (first, last) = (track.segments.first()?, track.segments.last()?);
    let seconds = |ticks: u64| {
        period.start + ticks_to_seconds(ticks, track.timescale)
            - ticks_to_seconds(track.offset, track.timescale)
    };
    Some((seconds(first.time), seconds(last.time + last.duration)))
}
