//! Publishes that are damaged at random, several at once: whatever arrives, no process ends, no log holds an error, and what is kept of each
//! broadcast is whole and plays. The damage of a seed is always the same.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use fastrand::Rng;
use tests::{
    check,
    presentation::Presentation,
    publisher::{Tag, tags_of},
    rtmp::{AUDIO, Client, DATA, VIDEO},
    source::{Format, Source},
    stack::{Options, Stack, free_address},
};

/// One publish each, all at the same time.
const SEEDS: u64 = 16;
/// From the end of a publish, or of its connection, to the end of its broadcast, on a machine that does other things too.
const OVER_WITHIN: Duration = Duration::from_secs(60);
/// How long a show waits for a publisher whose connection was lost: not what is tested here.
const WINDOW: &str = "5";

/// 160×96, 10 pictures a second, GOPs of a second.
const SHOW: Format = Format {
    width: 160,
    height: 96,
    frames: 10,
    per_seconds: 1,
    seconds: 12,
    gop: 10,
    b_frames: 1,
    sample_rate: 44_100,
    channels: 1,
    mark: 3,
};

/// What may become of a tag.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// Some of its bytes, behind the header, are others.
    Payload,
    /// One byte, anywhere.
    Byte,
    Cut,
    Empty,
    Lost,
    /// With those after it, up to seven seconds of all.
    AllLost,
    /// The pictures, for up to nine seconds.
    PicturesLost,
    Repeated,
    /// Its stamp and all after it are later.
    Ahead,
    /// Its stamp and all after it are earlier.
    Back,
    /// FLV's key frame flag is the other.
    Flag,
    /// A sequence header of a show of another size comes before it.
    OtherHeader,
    /// A message of anything comes before it.
    Junk,
    /// It comes before the one before it.
    Swapped,
}

const DAMAGES: [Damage; 14] = [
    Damage::Payload,
    Damage::Byte,
    Damage::Cut,
    Damage::Empty,
    Damage::Lost,
    Damage::AllLost,
    Damage::PicturesLost,
    Damage::Repeated,
    Damage::Ahead,
    Damage::Back,
    Damage::Flag,
    Damage::OtherHeader,
    Damage::Junk,
    Damage::Swapped,
];

/// A show, damaged: a tag in twenty to a tag in three hundred, in up to five ways. What is sent at its tags' times, each with its stamp.
fn damaged(show: &[Tag], other: &[Tag], seed: u64) -> Vec<(i64, Tag)> {
    let mut chance = Rng::with_seed(seed);
    let one_in = of(&mut chance, &[20, 60, 300]);
    let ways: Vec<_> = (0..chance.usize(1..=5)).map(|_| of(&mut chance, &DAMAGES)).collect();
    let headers: Vec<_> =
        other.iter().filter(|tag| tag.kind != DATA && tag.body.get(1) == Some(&0)).collect();
    let mut sent: Vec<(i64, Tag)> = Vec::new();
    let (mut moved, mut lost_until, mut unseen_until) = (0i64, Duration::ZERO, Duration::ZERO);
    for tag in show {
        let mut tag = tag.clone();
        let time = tag.time;
        if time < lost_until || (tag.kind == VIDEO && time < unseen_until) {
            continue;
        }
        let stamp = i64::try_from(time.as_millis()).unwrap_or(0);
        let damage = (chance.u32(0..one_in) == 0).then(|| of(&mut chance, &ways));
        let mut copies = 1;
        match damage {
            None => {}
            Some(Damage::Payload) => {
                for _ in 0..chance.usize(1..=40) {
                    alter(&mut chance, tag.body.get_mut(5..).unwrap_or_default());
                }
            }
            Some(Damage::Byte) => alter(&mut chance, &mut tag.body),
            Some(Damage::Cut) => tag.body.truncate(chance.usize(0..=tag.body.len())),
            Some(Damage::Empty) => tag.body.clear(),
            Some(Damage::Lost) => copies = 0,
            Some(Damage::AllLost) => lost_until = time + Duration::from_secs(chance.u64(0..8)),
            Some(Damage::PicturesLost) => unseen_until = time + Duration::from_secs(chance.u64(0..10)),
            Some(Damage::Repeated) => copies += chance.usize(1..=3),
            Some(Damage::Ahead) => moved += of(&mut chance, &[300, 1_500, 4_000, 9_000, 60_000, 1 << 30]),
            Some(Damage::Back) => moved -= of(&mut chance, &[20, 300, 1_500, 9_000, 60_000]),
            Some(Damage::Flag) => tag.body.first_mut().into_iter().for_each(|flags| *flags ^= 0x30),
            Some(Damage::OtherHeader) => {
                sent.push((stamp + moved, Tag { time, ..of(&mut chance, &headers).clone() }));
            }
            Some(Damage::Junk) => {
                let kind = of(&mut chance, &[AUDIO, VIDEO, DATA, 1, 3, 4, 6, 15, 17, 22]);
                let body = (0..chance.usize(0..300)).map(|_| chance.u8(..)).collect();
                sent.push((stamp + moved, Tag { kind, body, time }));
            }
            Some(Damage::Swapped) => {
                if let Some(before) = sent.pop() {
                    sent.extend([(stamp + moved, tag.clone()), before]);
                    copies = 0;
                }
            }
        }
        sent.extend((0..copies).map(|_| (stamp + moved, tag.clone())));
    }
    sent
}

/// One of those, of which there are some.
fn of<T: Copy>(chance: &mut Rng, all: &[T]) -> T {
    all[chance.usize(0..all.len())]
}

/// Makes one byte, if there is any, another.
fn alter(chance: &mut Rng, bytes: &mut [u8]) {
    if !bytes.is_empty() {
        bytes[chance.usize(0..bytes.len())] = chance.u8(..);
    }
}

#[test]
fn whatever_arrives_what_is_kept_is_whole() -> Result<()> {
    let tags = |format| Source::new(format).and_then(|source| tags_of(&source));
    let (show, other) = (tags(SHOW)?, tags(Format { width: 192, height: 112, mark: 4, ..SHOW })?);
    let address = free_address()?;
    let name = |seed: u64| format!("seed-{seed}");
    let stack = Options::lives((0..SEEDS).map(name)).encoders(1).rtmp(&address).start()?;
    for seed in 0..SEEDS {
        let out = stack.gopcast(["live", "set", &name(seed), "--window", WINDOW])?;
        anyhow::ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    let results: Vec<Result<bool>> = thread::scope(|scope| {
        let running: Vec<_> = (0..SEEDS)
            .map(|seed| {
                let (stack, address, live) = (&stack, &address, name(seed));
                let sent = damaged(&show, &other, seed);
                scope.spawn(move || publish(stack, address, &live, &sent).context(live))
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("panicked"))))
            .collect()
    });
    let failed: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    anyhow::ensure!(failed.is_empty(), "{failed:#?}");
    let kept = results.iter().filter(|result| matches!(result, Ok(true))).count();
    anyhow::ensure!(kept > results.len() / 2, "only {kept} had anything to be kept");
    let ended = stack.events().into_iter().find(|event| event.text("event") == "process-exited");
    anyhow::ensure!(ended.is_none(), "{ended:?}");
    stack.stop()
}

/// Sends what there is to send until it is cut off, and proves what is kept of it; whether that is anything.
fn publish(stack: &Stack, address: &str, live: &str, sent: &[(i64, Tag)]) -> Result<bool> {
    let mut client = Client::on_air(address, &stack.live(live)?.key)?;
    let began = Instant::now();
    let cut = sent.iter().any(|(stamp, tag)| {
        thread::sleep((began + tag.time).saturating_duration_since(Instant::now()));
        // Stamps are modulo 2³².
        let stamp = u32::try_from(stamp.rem_euclid(1 << 32)).unwrap_or(0);
        client.tag(tag, stamp).is_err()
    });
    if !cut {
        // One who was told to go while sending the last of it is not there any more to be told that it is over.
        let _ = client.unpublish();
    }
    drop(client);
    let of_live: [(&str, &str); 1] = [("live", live)];
    let ended = stack.event(0, "publish-ended", &of_live, OVER_WITHIN)?;
    if ended.text("chunks") == "0" {
        return Ok(false);
    }
    let over = stack.event(0, "replay-ready", &of_live, OVER_WITHIN)?;
    stack.whole(&over.text("broadcast"))?;
    let url = stack.vod_url(live, &over.text("broadcast"));
    let replay = Presentation::fetch(&stack.http, &url)?;
    check::structure(&replay)?;
    check::rules(&replay)?;
    check::alone(&replay)?;
    Ok(true)
}
