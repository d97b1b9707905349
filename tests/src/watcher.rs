//! A viewer's eye on a live manifest that nothing happens to: reads it again and again, as players do, until it is final, and holds each version
//! against all rules and against the version before it. Where things are killed and manifests may lag, [`crate::chaos::watcher`] looks instead.

use std::{cell::RefCell, collections::HashMap, thread, time::Duration};

use anyhow::{Context, Result};

use crate::{
    background::{Background, Stop},
    check, delivery, http,
    mpd::{Mpd, Track},
    presentation::Presentation,
};

/// How often it looks: what `minimumUpdatePeriod` asks players for.
const POLL: Duration = Duration::from_secs(1);

/// What has been seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Versions of the manifest while it was dynamic.
    pub live: usize,
    /// Whether the last one was static.
    pub ended: bool,
}

/// A manifest being watched.
#[derive(Debug)]
pub struct Watcher(Background<Result<Seen>>);

impl Watcher {
    /// Watches the manifest at `url`, which need not be there yet.
    #[must_use]
    pub fn start(http: &http::Client, url: &str) -> Self {
        let (http, url) = (http.clone(), url.to_owned());
        Self(Background::start(move |stop| watch(&http, &url, stop)))
    }

    /// Looks a last time, and says what was seen.
    ///
    /// # Errors
    /// The first version that broke a rule.
    pub fn finish(self) -> Result<Seen> {
        self.0.end()?
    }
}

fn watch(http: &http::Client, url: &str, stop: &Stop) -> Result<Seen> {
    let objects: RefCell<HashMap<String, Vec<u8>>> = RefCell::default();
    let (mut seen, mut before) = (Seen::default(), None::<Presentation>);
    loop {
        let last_look = stop.is_wanted();
        let reply = http.get(url)?;
        anyhow::ensure!(matches!(reply.status, 200 | 404), "{url}: {}", reply.status);
        anyhow::ensure!(reply.status == 200 || before.is_none(), "{url} is gone");
        let is_new = before.as_ref().is_none_or(|before| before.text.as_bytes() != reply.body);
        if reply.status == 200 && is_new {
            // What never changes is fetched when it is first named, and not again.
            let now = Presentation::read(url, |wanted| {
                if wanted == url {
                    return Ok(reply.body.clone());
                }
                if let Some(known) = objects.borrow().get(wanted) {
                    return Ok(known.clone());
                }
                let bytes = http.body(wanted)?;
                objects.borrow_mut().insert(wanted.to_owned(), bytes.clone());
                Ok(bytes)
            });
            let now = now.context("a version of a live manifest")?;
            check::structure(&now)?;
            check::rules(&now)?;
            if let Some(before) = &before {
                follows(&before.mpd, &now.mpd)
                    .with_context(|| format!("{url}:\n{}\nbecame\n{}", before.text, now.text))?;
            } else {
                delivery::check(http, &now)?;
            }
            seen.live += usize::from(now.mpd.dynamic);
            seen.ended = !now.mpd.dynamic;
            before = Some(now);
        }
        if last_look || seen.ended {
            return Ok(seen);
        }
        thread::sleep(POLL);
    }
}

/// What was said stands: the clock, where Periods begin, what segments there are. Only more is said, and a window moves on.
fn follows(before: &Mpd, now: &Mpd) -> Result<()> {
    if !now.dynamic {
        return Ok(());
    }
    anyhow::ensure!(before.dynamic, "it was static");
    anyhow::ensure!(
        before.availability_start_ms == now.availability_start_ms,
        "the availability start moved"
    );
    anyhow::ensure!(before.publish_time_us <= now.publish_time_us, "the publish time went back");
    anyhow::ensure!(before.suggested_delay <= now.suggested_delay, "the delay became shorter");
    let mut old = before.periods.iter().skip_while(|p| now.periods.first().is_some_and(|n| n.id != p.id));
    for period in &now.periods {
        let Some(old) = old.next() else { break };
        anyhow::ensure!(old.id == period.id, "period {} is where {} was", period.id, old.id);
        let moved = (old.start - period.start).abs() > 0.0;
        anyhow::ensure!(!moved, "period {} moved from {} to {}", period.id, old.start, period.start);
        for track in &old.tracks {
            let place = format!("period {} {}", period.id, track.id);
            let kept = period.tracks.iter().find(|t| t.id == track.id);
            goes_on(track, kept.with_context(|| format!("{place} is gone"))?).context(place)?;
        }
        anyhow::ensure!(old.tracks.len() == period.tracks.len(), "period {} has other tracks", period.id);
    }
    anyhow::ensure!(old.next().is_none(), "the last period is gone");
    Ok(())
}

fn goes_on(before: &Track, now: &Track) -> Result<()> {
    anyhow::ensure!(before.init == now.init, "another header");
    anyhow::ensure!((before.timescale, before.offset) == (now.timescale, now.offset), "another time line");
    anyhow::ensure!(before.codecs == now.codecs, "another codec");
    let Some(first) = now.segments.first() else { anyhow::bail!("no segment") };
    let left = before.segments.iter().position(|segment| segment == first);
    let left = left.context("its first segment was not there before")?;
    let kept = &before.segments[left..];
    anyhow::ensure!(now.segments.starts_with(kept), "a segment changed, or is gone");
    Ok(())
}
