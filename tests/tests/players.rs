//! What viewers do with a show: on connections that get slow, jumping about in what has been, live and in the replay, in the players that
//! people use: dash.js, shaka-player, hls.js. And the timed events that the players of DASH meet on the way.

use std::time::Duration;

use anyhow::{Context, Result};
use tests::{
    browser::{Exploration, Explored},
    presentation::Presentation,
    publisher::Publisher,
    source::{Format, Source},
    stack::{Options, Stack},
};

const LIVE: &str = "shop";
const SCHEME: &str = "urn:gopcast:event:2026";
/// From the first chunk on; the rest is a busy machine's.
const PLAYABLE_WITHIN: Duration = Duration::from_secs(30);
const REPLAY_WITHIN: Duration = Duration::from_secs(20);
/// What there is to go back to before players look at it.
const SEGMENTS: usize = 8;
/// Half of a picture's length, and what a time in seconds is rounded to.
const PICTURE: f64 = 1.0 / 60.0 + 0.001;
/// Longest from a seek to moving pictures, in seconds: a segment of each track from a loaded machine.
const SOUGHT_WITHIN: f64 = 5.0;
/// How far behind where it was sent to playback may begin: a player may go to the start of the segment. And ahead: it has moved.
const SOUGHT_NEAR: f64 = 3.0;
/// Longest stop on a connection that became slow at once, in seconds: what was under way in the larger rung.
const SLOW_STALL_MAX: f64 = 1.0;

#[test]
fn players_are_moved_about() -> Result<()> {
    let source = Source::lasting(Format { width: 854, height: 480, mark: 8, ..Format::default() })?;
    let stack = Options::lives([LIVE]).ladder("480p").start()?;
    let mut publisher = Publisher::ffmpeg(&source, &stack.publish_url(LIVE)?)?;
    let broadcast = stack.event(0, "publish-started", &[("live", LIVE)], PLAYABLE_WITHIN)?.text("broadcast");
    let mpd = stack.live(LIVE)?.mpd.clone();
    let hls = format!("{}/live/{LIVE}/master.m3u8", stack.ready.http);
    Presentation::live(&stack.http, &mpd, SEGMENTS, PLAYABLE_WITHIN)?;
    let slow = between_the_rungs(&stack, &mpd)?;

    let live = |player, url, slow| Exploration {
        player,
        url,
        scheme: SCHEME,
        slow,
        slow_seconds: 8,
        fast_seconds: 6,
        seeks: &[0.1, 0.5, 0.8],
    };
    let mut stamps = Vec::new();
    for (player, url) in [("dashjs", &mpd), ("shaka", &mpd), ("hlsjs", &hls)] {
        stamps.push(add_event(&stack, player)?);
        // hls.js begins with the smallest rung and is in no hurry to leave it: nothing to be throttled.
        let throttled = (player != "hlsjs").then_some(slow);
        let seen = live(player, url, throttled).run()?;
        eprintln!("{player} live: {seen:?}");
        check(&seen, throttled.is_some()).with_context(|| format!("{player} live: {seen:?}"))?;
        if player != "hlsjs" {
            met(&seen, &stamps).with_context(|| format!("{player} live: {:?}", seen.events))?;
        }
    }
    publisher.interrupt()?;
    stack.event(0, "replay-ready", &[("broadcast", &broadcast)], REPLAY_WITHIN)?;

    let vod = stack.vod_url(LIVE, &broadcast);
    let hls = vod.replace("manifest.mpd", "master.m3u8");
    for (player, url) in [("dashjs", &vod), ("shaka", &vod), ("hlsjs", &hls)] {
        // The last seek leads to just before the first event.
        let length = Presentation::fetch(&stack.http, &vod)?.mpd.duration.context("no duration")?;
        let before = (stamps[0].0 - 1.0) / length;
        let seeks = [0.9, 0.02, 0.5, before];
        let replay = Exploration {
            slow: None,
            slow_seconds: 0,
            fast_seconds: 2,
            seeks: &seeks,
            ..live(player, url, None)
        };
        let seen = replay.run()?;
        eprintln!("{player} replay: {seen:?}");
        check(&seen, false).with_context(|| format!("{player} replay: {seen:?}"))?;
    }
    stack.stop()
}

/// A connection that the smaller rung fits through, and the larger does not: bytes a second.
fn between_the_rungs(stack: &Stack, mpd: &str) -> Result<u64> {
    let now = Presentation::fetch(&stack.http, mpd)?;
    let tracks = &now.mpd.periods.last().context("no period")?.tracks;
    let rate = |id: &str| tracks.iter().find(|t| t.id == id).map(|t| t.bandwidth).context("no such rung");
    let sound = tracks.iter().find(|t| !t.is_video()).map_or(0, |t| t.bandwidth);
    let (small, large) = (rate("360p")?, rate("480p")?);
    Ok((u64::midpoint(small, large) + sound) / 8)
}

/// Puts an event of now into the show: its presentation time in seconds, and its data.
fn add_event(stack: &Stack, name: &str) -> Result<(f64, String)> {
    let data = format!(r#"{{"title":"{name}"}}"#);
    let out = stack.gopcast(["live", "event", LIVE, "--id", name, "--duration", "4", "--json", &data])?;
    anyhow::ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let event: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    let ticks = event["presentation"].as_f64().context("no presentation time")?;
    Ok((ticks / 90_000.0, data))
}

fn check(seen: &Explored, slowed: bool) -> Result<()> {
    anyhow::ensure!(seen.errors.is_empty(), "errors");
    anyhow::ensure!(seen.startup.is_some(), "no picture moved");
    anyhow::ensure!(seen.before.stalled < PICTURE, "it stopped at full speed");
    // What was under way when the connection changed is still waited for.
    let after = if slowed { SLOW_STALL_MAX } else { PICTURE };
    anyhow::ensure!(seen.after.stalled < after, "it stopped when it was fast again");
    if slowed {
        let slow = seen.slow.as_ref().context("nothing of the slow time")?;
        anyhow::ensure!(slow.stalled < SLOW_STALL_MAX, "it stopped on the slow connection");
        anyhow::ensure!(seen.heights.contains(&360), "it did not change to the smaller rung");
    }
    for seek in &seen.seeks {
        anyhow::ensure!(seek.took.is_some_and(|took| took < SOUGHT_WITHIN), "a seek took too long: {seek:?}");
        anyhow::ensure!((seek.at - seek.to).abs() < SOUGHT_NEAR, "a seek led elsewhere: {seek:?}");
    }
    Ok(())
}

/// The event that was put in before playback began is met, once for each time that playback passes it, where it was stamped.
fn met(seen: &Explored, stamps: &[(f64, String)]) -> Result<()> {
    let (stamp, data) = stamps.last().context("no event")?;
    let own: Vec<_> = seen.events.iter().filter(|met| met.data.as_ref() == Some(data)).collect();
    anyhow::ensure!(!own.is_empty(), "the event was not met");
    for met in own {
        anyhow::ensure!(
            (met.start - stamp).abs() < PICTURE,
            "it is stamped {stamp}, the player has {}",
            met.start
        );
    }
    Ok(())
}
