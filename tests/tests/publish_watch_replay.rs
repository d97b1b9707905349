//! The whole way: one show is published over RTMPS, watched live in a browser by both players, ended, and watched again as replay; every
//! picture and every frame of sound is accounted for.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tests::{
    browser::{self, Player},
    check, poll,
    presentation::Presentation,
    publisher::Publisher,
    source::{Format, Source},
    stack::{Options, Stack, binaries},
};

/// The show: long enough for two players one after the other, each with a start-up on a busy machine.
const SHOW_SECONDS: u64 = 80;
/// Length of its GOPs.
const GOP_SECONDS: f64 = 2.0;
/// How long each player watches live.
const WATCH_SECONDS: u64 = 20;
/// What a live manifest may take on a machine that also builds: ten times the goal. How long it takes is a benchmark's matter.
const PLAYABLE_WITHIN: Duration = Duration::from_secs(30);
/// From the end of the publish to the static manifest: ten times the goal, for the same reason.
const REPLAY_WITHIN: Duration = Duration::from_secs(20);
/// The replay is played this many times as fast, to save time.
const REPLAY_RATE: f64 = 4.0;
/// Segments that a live manifest must name before a player may rely on it.
const PLAYABLE_SEGMENTS: usize = 1;

#[test]
fn publish_watch_replay() -> Result<()> {
    let source = Source::new(Format { width: 854, height: 480, seconds: SHOW_SECONDS, ..Format::default() })?;
    let stack = Options::lives(["shop"]).ladder("480p").start()?;
    let mpd = stack.live("shop")?.mpd.clone();

    let started = Instant::now();
    let mut publisher = Publisher::ffmpeg(&source, &stack.publish_url("shop")?)?;
    let on_air = stack.event(0, "publish-started", &[("live", "shop")], PLAYABLE_WITHIN)?;
    let broadcast = on_air.text("broadcast");
    let connected = started.elapsed();
    Presentation::live(&stack.http, &mpd, PLAYABLE_SEGMENTS, PLAYABLE_WITHIN)?;
    eprintln!("connected after {connected:.2?}, playable after {:.2?}", started.elapsed());

    live_manifests(&stack, &mpd, &broadcast, on_air.time_ms()?)?;
    for player in Player::ALL {
        let playback = player.live(&mpd, WATCH_SECONDS)?;
        eprintln!("{player:?} live: {playback:?}");
        playback.check_live(20.0, 30.0).with_context(|| format!("{player:?} live"))?;
        playback
            .check_preview(playback.last_position - 4.0, GOP_SECONDS)
            .with_context(|| format!("{player:?} live"))?;
        live_manifests(&stack, &mpd, &broadcast, on_air.time_ms()?)?;
    }
    pages(&stack, "/watch/shop", "live", "/live/shop/poster.jpg")?;

    publisher.finish()?;
    let since_end = Instant::now();
    stack.event(0, "publish-ended", &[("broadcast", &broadcast)], REPLAY_WITHIN)?;
    let vod = stack.vod_url("shop", &broadcast);
    poll::until("the replay's manifest", REPLAY_WITHIN, || {
        Ok((!Presentation::fetch(&stack.http, &vod)?.mpd.dynamic).then_some(()))
    })?;
    eprintln!("replay after {:.2?}", since_end.elapsed());
    stack.event(0, "broadcast-ended", &[("broadcast", &broadcast)], REPLAY_WITHIN)?;
    stack.event(0, "replay-ready", &[("broadcast", &broadcast)], REPLAY_WITHIN)?;

    let replay = Presentation::fetch(&stack.http, &vod)?;
    assert_eq!(replay.mpd.rungs(), ["360p", "480p"]);
    check::replay(&replay, &source)?;
    whole_by_the_ledger(&stack, &broadcast)?;
    read_by_ffmpeg(&vod, source.format.pictures())?;

    for player in Player::ALL {
        let playback = player.replay(&vod, 80.0, REPLAY_RATE)?;
        eprintln!("{player:?} replay: {playback:?}");
        playback.check_replay(80.0, 30.0).with_context(|| format!("{player:?} replay"))?;
        playback.check_preview(40.0, GOP_SECONDS).with_context(|| format!("{player:?} replay"))?;
    }
    let poster = format!("/vod/shop/{broadcast}/poster.jpg");
    pages(&stack, &format!("/watch/shop/{broadcast}"), "replay", &poster)?;
    posters(&stack, &poster)?;
    stack.stop()
}

/// What must hold of both addresses at any moment of a show.
fn live_manifests(stack: &Stack, live: &str, broadcast: &str, on_air_ms: i64) -> Result<()> {
    for url in [live, &stack.vod_url("shop", broadcast)] {
        let now = Presentation::fetch(&stack.http, url)?;
        anyhow::ensure!(now.mpd.dynamic, "{url} is static during the show");
        check::structure(&now)?;
        let start = now.mpd.availability_start_ms.context("no availabilityStartTime")?;
        // The show is accepted after connecting; its first picture comes within a moment of that.
        anyhow::ensure!((start - on_air_ms).abs() < 3000, "on air at {on_air_ms}, available from {start}");
    }
    Ok(())
}

fn whole_by_the_ledger(stack: &Stack, broadcast: &str) -> Result<()> {
    stack.whole(broadcast)?;
    let listed = stack.broadcasts("shop")?;
    let [only] = listed.as_slice() else { anyhow::bail!("{} broadcasts", listed.len()) };
    assert_eq!((only.broadcast.as_str(), only.live.as_str(), only.publishes), (broadcast, "shop", 1));
    assert_eq!(only.state, "ended");
    assert!(only.ended.is_some());
    Ok(())
}

/// A third reader of manifests: FFmpeg's own.
fn read_by_ffmpeg(url: &str, pictures: u64) -> Result<()> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v:0", "-count_packets", "-show_entries"]);
    command.args(["stream=nb_read_packets", "-of", "csv=p=0", url]);
    let said = String::from_utf8(tests::process::run("ffprobe", &mut command)?)?;
    let count = said.split(['\n', ',']).find_map(|n| n.trim().parse::<u64>().ok());
    anyhow::ensure!(count == Some(pictures), "ffprobe reads {said:?} instead of {pictures} pictures");
    Ok(())
}

/// gopcast's own pages, in a browser.
fn pages(stack: &Stack, watch: &str, what: &str, poster: &str) -> Result<()> {
    // Kept beside the binaries: a test sees that there is a picture, people see whether it is a good one.
    let folder = binaries()?.join("e2e-screenshots").join(what);
    std::fs::create_dir_all(&folder)?;
    let seen = browser::visit(&stack.ready.http, &["/".to_owned(), watch.to_owned()], 5, &folder)?;
    anyhow::ensure!(seen.errors.is_empty(), "{what} pages: {:#?}", seen.errors);
    anyhow::ensure!(seen.foreign.is_empty(), "{what} pages ask other hosts: {:#?}", seen.foreign);
    let front = seen.pages.first().context("no front page")?;
    anyhow::ensure!(front.text.contains("shop"), "the front page does not name the live: {}", front.text);
    let page = seen.pages.last().context("no watch page")?;
    let moved = page.moved.context("no video")?;
    anyhow::ensure!(
        moved > 3.0 && page.frames > 60,
        "{what} page: moved {moved} s, {} pictures",
        page.frames
    );
    anyhow::ensure!(front.posters.iter().any(|p| p == poster), "the front page shows {:?}", front.posters);
    anyhow::ensure!(page.poster.as_deref() == Some(poster), "{what} page: the poster is {:?}", page.poster);
    let preview = page.preview.as_ref().with_context(|| format!("{what} page: no preview"))?;
    anyhow::ensure!(preview.size == (320, 180) && preview.url.contains("/tiles/"), "{preview:?}");
    anyhow::ensure!(preview.text.contains(':'), "{preview:?}");
    for page in &seen.pages {
        let size = std::fs::metadata(&page.screenshot)?.len();
        anyhow::ensure!(size > 5000, "{}: a screenshot of {size} bytes shows nothing", page.path);
    }
    Ok(())
}

/// Once a show is over its poster is at its own address for good, and at the live's for a while.
fn posters(stack: &Stack, own: &str) -> Result<()> {
    let get = |path: &str| stack.http.get(&format!("{}{path}", stack.ready.http));
    for (path, control) in
        [(own, "public, max-age=31536000, immutable"), ("/live/shop/poster.jpg", "max-age=15")]
    {
        let reply = get(path)?;
        anyhow::ensure!(
            reply.status == 200 && reply.body.starts_with(&[0xff, 0xd8]),
            "{path}: {}",
            reply.status
        );
        let headers = [reply.header("content-type"), reply.header("cache-control")];
        anyhow::ensure!(headers == [Some("image/jpeg"), Some(control)], "{path}: {headers:?}");
        let kilobytes = reply.body.len() / 1000;
        anyhow::ensure!((5..80).contains(&kilobytes), "{path}: {kilobytes} kB");
    }
    Ok(())
}
