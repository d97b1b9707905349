//! Processes die and stacks are stopped; shows go on and replays stay. The encoder that serves a show is killed in its middle and no
//! picture is missing afterwards; the gateway and the edge are killed and come back; the stack is stopped and started again, and the
//! replay is served as before.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use tests::{
    aws::Aws,
    check,
    presentation::Presentation,
    process::signal_pid,
    publisher::Publisher,
    source::{Format, Source},
    stack::{Options, Stack},
};

/// A process that died is started again after one second; the rest is the machine's.
const BACK_WITHIN: Duration = Duration::from_secs(20);
const REPLAY_WITHIN: Duration = Duration::from_secs(40);
const ON_AIR_WITHIN: Duration = Duration::from_secs(20);
/// The encoder is killed when this many segments are in the live manifest.
const KILL_AT: usize = 3;

#[test]
fn shows_go_on_and_replays_stay() -> Result<()> {
    let data = tempfile::Builder::new().prefix("gopcast-e2e-data-").tempdir()?;
    let source = Source::new(Format { seconds: 20, mark: 3, ..Format::default() })?;
    let stack = Options::lives(["shop"]).data(data.path()).start()?;
    let key = stack.live("shop")?.key.clone();

    let first = encoder_dies(&stack, &source)?;
    for role in ["gateway-fn", "ingest-edge"] {
        dies_and_comes_back(&stack, role, None)?;
    }
    // Everything that was killed serves again.
    let second = publish(&stack, &source)?;
    stack.stop()?;

    let stack = Options::lives(["shop"]).data(data.path()).start()?;
    assert_eq!(stack.live("shop")?.key, key, "the stream key has changed");
    let listed: Vec<String> = stack.broadcasts("shop")?.into_iter().map(|b| b.broadcast).collect();
    assert_eq!(listed, [second.clone(), first.clone()]);
    for broadcast in [&first, &second] {
        replay_is_whole(&stack, broadcast, &source)?;
    }
    stack.stop()
}

/// Publishes a whole show; gives its broadcast.
fn publish(stack: &Stack, source: &Source) -> Result<String> {
    let from = stack.now();
    let mut publisher = Publisher::ffmpeg(source, &stack.publish_url("shop")?)?;
    let started = stack.event(from, "publish-started", &[("live", "shop")], ON_AIR_WITHIN)?;
    let broadcast = started.text("broadcast");
    publisher.finish()?;
    stack.event(from, "replay-ready", &[("broadcast", &broadcast)], REPLAY_WITHIN)?;
    replay_is_whole(stack, &broadcast, source)?;
    Ok(broadcast)
}

/// Publishes a whole show and kills the encoder that serves it in its middle; gives its broadcast.
fn encoder_dies(stack: &Stack, source: &Source) -> Result<String> {
    let from = stack.now();
    let mut publisher = Publisher::ffmpeg(source, &stack.publish_url("shop")?)?;
    let started = stack.event(from, "publish-started", &[("live", "shop")], ON_AIR_WITHIN)?;
    let broadcast = started.text("broadcast");
    let mpd = stack.live("shop")?.mpd.clone();
    Presentation::live(&stack.http, &mpd, KILL_AT, ON_AIR_WITHIN)?;
    let encoder = Aws::new(stack)?.encoder_of(&broadcast)?;
    dies_and_comes_back(stack, "encoder-task", Some(&encoder))?;
    let rebound = stack.event(from, "rebound", &[("broadcast", &broadcast)], ON_AIR_WITHIN)?;
    assert_eq!(rebound.text("from"), encoder);
    assert_ne!(rebound.text("to"), encoder, "still bound to the encoder that was killed");
    publisher.finish()?;
    stack.event(from, "replay-ready", &[("broadcast", &broadcast)], REPLAY_WITHIN)?;
    replay_is_whole(stack, &broadcast, source)?;
    Ok(broadcast)
}

/// Kills a process, or all of its role, waits until they were seen to end and until one was started again. All, because the gateway
/// function has as many processes as it needed at once, and one that dies is replaced only when it was the last, as in Lambda.
fn dies_and_comes_back(stack: &Stack, role: &str, id: Option<&str>) -> Result<()> {
    let from = stack.now();
    let mut killed = stack.running(role);
    killed.retain(|process| id.is_none_or(|id| process.id == id));
    anyhow::ensure!(!killed.is_empty(), "no {role} {id:?} among {:?}", stack.running(role));
    for process in &killed {
        signal_pid(process.pid, Signal::SIGKILL)?;
    }
    for process in &killed {
        let pid = process.pid.to_string();
        stack.event(from, "process-exited", &[("role", role), ("pid", &pid)], BACK_WITHIN)?;
    }
    stack.event(from, "process-started", &[("role", role)], BACK_WITHIN)?;
    Ok(())
}

fn replay_is_whole(stack: &Stack, broadcast: &str, source: &Source) -> Result<()> {
    check::replay(&Presentation::fetch(&stack.http, &stack.vod_url("shop", broadcast))?, source)?;
    stack.whole(broadcast)
}
