//! What broadcasters send: frame rates from 23.976 to 60, 44.1 and 48 kHz, mono and stereo, with and without B-frames, GOPs of one to
//! eight seconds, alike and varying, upright pictures, pictures alone, sound alone; two of them with the source as a rung. Every live manifest is watched from its first version
//! to its last; every replay is checked picture by picture, and each of its segments decoded by itself; what is the source alone is played by both players.

use std::time::Duration;

use anyhow::{Context, Result};
use tests::{
    browser::Player,
    check, delivery,
    presentation::Presentation,
    publisher::Publisher,
    source::{Format, Source},
    stack::{Options, Stack},
    watcher::Watcher,
};

/// Published at once: small pictures, so that two cores hold them live.
const AT_ONCE: usize = 5;
/// From the end of a publish to its replay, on a busy machine.
const REPLAY_WITHIN: Duration = Duration::from_secs(30);

/// Those with the source as a rung, by their number, and the rungs that come of it: in place of the only one, and on top of it.
const WITH_SOURCE: [(usize, &[&str]); 2] = [(2, &["source"]), (8, &["360p", "source"])];

fn formats() -> Vec<Format> {
    let small = Format { width: 320, height: 180, seconds: 9, ..Format::default() };
    let rate = |frames, per_seconds| Format { frames, per_seconds, ..small };
    vec![
        Format { gop: 24, b_frames: 0, sample_rate: 44_100, ..rate(24, 1) },
        Format { gop: 50, b_frames: 3, channels: 1, ..rate(25, 1) },
        Format { gop: 60, b_frames: 3, ..rate(30_000, 1001) },
        Format { gop: 120, b_frames: 0, sample_rate: 44_100, channels: 1, ..rate(30, 1) },
        Format { gop: 50, b_frames: 2, sample_rate: 44_100, ..rate(50, 1) },
        Format { gop: 120, b_frames: 3, sample_rate: 44_100, ..rate(60, 1) },
        Format { gop: 48, b_frames: 2, ..rate(24_000, 1001) },
        Format { gop: 60, b_frames: 0, channels: 1, ..rate(60_000, 1001) },
        Format { width: 432, height: 768, gop: 60, b_frames: 2, ..rate(30, 1) },
        // An odd GOP: nothing lands on whole seconds.
        Format { gop: 47, b_frames: 1, ..rate(25, 1) },
        Format { gop: 0, seconds: 20, b_frames: 2, sample_rate: 44_100, ..rate(30, 1) },
        Format { gop: 60, channels: 0, seconds: 12, ..rate(30, 1) },
        // Long enough to be warned (after 12 s) that it has no pictures, and to have read that before it says goodbye: what closes a
        // socket with something unread in it resets the connection, and the goodbye may go down with it.
        Format { width: 0, seconds: 16, ..small },
    ]
}

#[test]
fn formats_of_broadcasters() -> Result<()> {
    let marked = |(n, format): (usize, Format)| -> Result<Source> {
        Source::new(Format { mark: u32::try_from(n)?, ..format })
    };
    let sources = formats().into_iter().enumerate().map(marked).collect::<Result<Vec<_>>>()?;
    let lives: Vec<String> = (0..sources.len()).map(|n| format!("f{n}")).collect();
    let stack = Options::lives(lives.clone()).start()?;
    for (n, _) in WITH_SOURCE {
        let set: serde_json::Value = stack.gopcast_json(&["live", "set", &lives[n], "--source-rung"])?;
        anyhow::ensure!(set["source_rung"] == true, "{set}");
    }
    let shows: Vec<_> = sources.iter().zip(&lives).collect();
    for group in shows.chunks(AT_ONCE) {
        let mut publishing = Vec::new();
        for (source, live) in group {
            let watcher = Watcher::start(&stack.http, &stack.live(live)?.mpd);
            publishing.push((Publisher::ffmpeg(source, &stack.publish_url(live)?)?, watcher));
        }
        for ((publisher, _), (_, live)) in publishing.iter_mut().zip(group) {
            publisher.finish()?;
            stack.event(0, "replay-ready", &[("live", live)], REPLAY_WITHIN)?;
        }
        for ((_, watcher), (source, live)) in publishing.into_iter().zip(group) {
            let seen = watcher.finish().with_context(|| format!("{:?} live", source.format))?;
            anyhow::ensure!(seen.ended && seen.live > 0, "{live}: {seen:?}");
            replay(&stack, source, live)?;
        }
    }
    stack.stop()
}

fn replay(stack: &Stack, source: &Source, live: &str) -> Result<()> {
    let ready = stack.event(0, "replay-ready", &[("live", live)], REPLAY_WITHIN)?;
    let broadcast = ready.text("broadcast");
    let replay = Presentation::fetch(&stack.http, &stack.vod_url(live, &broadcast))?;
    if let Some((_, rungs)) = WITH_SOURCE.iter().find(|(n, _)| live == format!("f{n}")) {
        anyhow::ensure!(replay.mpd.rungs() == *rungs, "{live} has {:?}", replay.mpd.rungs());
    }
    check::replay(&replay, source).with_context(|| format!("{:?}\n{}", source.format, replay.text))?;
    if replay.mpd.rungs() == ["source"] {
        // What a broadcaster's encoder made, in players' decoders: nothing else is there to be played.
        let seconds = replay.mpd.duration.context("a replay without a duration")?;
        let number = |n: u64| u32::try_from(n).map(f64::from);
        let rate = number(source.format.frames)? / number(source.format.per_seconds)?;
        for player in Player::ALL {
            let playback = player.replay(&stack.vod_url(live, &broadcast), seconds, 1.0)?;
            playback.check_replay(seconds, rate).with_context(|| format!("{player:?}"))?;
            let height = u32::try_from(source.format.height)?;
            anyhow::ensure!(playback.heights == [height], "{player:?}: {playback:?}");
        }
    }
    check::alone(&replay).with_context(|| format!("{:?}", source.format))?;
    delivery::check(&stack.http, &replay)?;
    stack.whole(&broadcast)
}
