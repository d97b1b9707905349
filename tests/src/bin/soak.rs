//! `soak`: a show of an hour (or as many minutes as the first argument says), watched from its start to its end by both players of DASH at
//! their own settings, then checked whole: every picture and every frame of sound of it, and that sound and pictures have not drifted apart.
//!
//! It fails when playback stops once, when a picture is missing, or when they have.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tests::{
    background::Background,
    browser::Player,
    check,
    presentation::Presentation,
    publisher::Publisher,
    source::{Format, Source},
    stack::Options,
};

const LIVE: &str = "soak";
/// Minutes that are watched, unless the first argument says otherwise.
const MINUTES: u64 = 60;
/// How much longer than it is watched the show is: players start some time after it, and stop before its end.
const SLACK_SECONDS: u64 = 60;
/// From the start of the publish to a manifest.
const ON_AIR_WITHIN: Duration = Duration::from_secs(30);
/// From its end to the replay.
const REPLAY_WITHIN: Duration = Duration::from_secs(30);
/// Segments there are before the players start.
const PLAYABLE_SEGMENTS: usize = 4;
/// How far sound and pictures may drift apart from the first minute to the last, in seconds.
const DRIFT_MAX: f64 = 0.001;

fn main() -> Result<()> {
    let minutes: u64 = std::env::args().nth(1).map_or(Ok(MINUTES), |text| text.parse())?;
    let watched = minutes.max(1) * 60;
    let seconds = watched + SLACK_SECONDS;
    eprintln!("drawing a show of {seconds} s");
    let source = Source::new(Format { width: 854, height: 480, seconds, mark: 9, ..Format::default() })?;
    let stack = Options::lives([LIVE]).encoders(1).ladder("480p").start()?;
    let mut publisher = Publisher::ffmpeg(&source, &stack.publish_url(LIVE)?)?;
    let on_air = stack.event(0, "publish-started", &[("live", LIVE)], ON_AIR_WITHIN)?;
    let broadcast = on_air.text("broadcast");
    let mpd = stack.live(LIVE)?.mpd.clone();
    Presentation::live(&stack.http, &mpd, PLAYABLE_SEGMENTS, ON_AIR_WITHIN)?;
    let players: Vec<_> = Player::ALL
        .into_iter()
        .map(|player| {
            let mpd = mpd.clone();
            (player, Background::start(move |_| player.watch(&mpd, watched)))
        })
        .collect();
    publisher.finish()?;
    let ended = Instant::now();
    stack.event(0, "replay-ready", &[("broadcast", &broadcast)], REPLAY_WITHIN)?;
    println!("replay ready {:.2} s after the end", ended.elapsed().as_secs_f64());
    let mut failed = Vec::new();
    for (player, playback) in players {
        let seen = playback.end()?.with_context(|| format!("{player:?}"))?;
        let latency = seen.latencies.iter().map(|(_, behind)| *behind);
        println!(
            "{player:?}: {:.0} s watched, {} stops, longest {:.3} s, {} of {} pictures dropped, {:.1} to {:.1} s behind, errors: {:?}",
            seen.watched,
            seen.stalls.len(),
            seen.worst_stall(),
            seen.dropped,
            seen.frames,
            latency.clone().fold(f64::INFINITY, f64::min),
            latency.fold(0.0, f64::max),
            seen.errors,
        );
        if seen.stopped() || !seen.errors.is_empty() {
            failed.push(format!("{player:?}: {:?} {:?}", seen.stalls, seen.errors));
        }
    }
    let replay = Presentation::fetch(&stack.http, &stack.vod_url(LIVE, &broadcast))?;
    check::structure(&replay)?;
    check::rules(&replay)?;
    check::sound_whole(&replay, &source)?;
    // A machine that is too slow has left out the largest for a while, by rule; the smallest is never.
    let shed = replay.mpd.periods.len() > 1;
    let smallest = replay.mpd.rungs().into_iter().next().context("no pictures")?;
    let shown = check::whole(&replay, &smallest, &source)?;
    let drift = check::drift(&replay, &shown, &source)?;
    println!("drift over {} min: {:.3} ms; rungs were shed: {shed}", seconds / 60, drift * 1000.0);
    stack.whole(&broadcast)?;
    stack.stop()?;
    anyhow::ensure!(failed.is_empty(), "{failed:#?}");
    anyhow::ensure!(drift.abs() < DRIFT_MAX, "sound and pictures drift apart: {drift} s");
    Ok(())
}
