//! Publishes that are damaged at random, several at once: whatever arrives, no process ends, no log holds an error, and what is kept of each
//! broadcast is whole and plays. The damage of a seed is always the same.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
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
    /// It comes after the one that follows.
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

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// What is sent: when, with which stamp, and what.
struct Sent {
    due: Duration,
    stamp: i64,
    tag: Tag,
}

/// A show, damaged: a tag in twenty to a tag in three hundred, in up to four ways.
fn damaged(show: &[Tag], other: &[Tag], seed: u64) -> Vec<Sent> {
    let mut chance = Chance(seed);
    let one_in = chance.of(&[20, 60, 300]);
    let ways: Vec<_> = (0..=chance.below(4)).map(|_| chance.of(&DAMAGES)).collect();
    let headers: Vec<_> =
        other.iter().filter(|tag| tag.kind != DATA && tag.body.get(1) == Some(&0)).collect();
    let mut sent: Vec<Sent> = Vec::new();
    let (mut moved, mut lost_until, mut unseen_until) = (0i64, Duration::ZERO, Duration::ZERO);
    for tag in show {
        let mut tag = tag.clone();
        if tag.time < lost_until || (tag.kind == VIDEO && tag.time < unseen_until) {
            continue;
        }
        let stamp = i64::try_from(tag.time.as_millis()).unwrap_or(0);
        let due = tag.time;
        let mut copies = 1;
        if chance.below(one_in) == 0 {
            match chance.of(&ways) {
                Damage::Payload => {
                    for _ in 0..=chance.below(40) {
                        let at = 5 + chance.below(tag.body.len().saturating_sub(5));
                        let byte = chance.byte();
                        tag.body.get_mut(at).into_iter().for_each(|place| *place = byte);
                    }
                }
                Damage::Byte => {
                    let (at, byte) = (chance.below(tag.body.len()), chance.byte());
                    tag.body.get_mut(at).into_iter().for_each(|place| *place = byte);
                }
                Damage::Cut => tag.body.truncate(chance.below(tag.body.len() + 1)),
                Damage::Empty => tag.body.clear(),
                Damage::Lost => copies = 0,
                Damage::AllLost => lost_until = due + Duration::from_secs(chance.next() % 8),
                Damage::PicturesLost => unseen_until = due + Duration::from_secs(chance.next() % 10),
                Damage::Repeated => copies += 1 + chance.below(3),
                Damage::Ahead => moved += chance.of(&[300, 1_500, 4_000, 9_000, 60_000, 1 << 30]),
                Damage::Back => moved -= chance.of(&[20, 300, 1_500, 9_000, 60_000]),
                Damage::Flag => tag.body.first_mut().into_iter().for_each(|flags| *flags ^= 0x30),
                Damage::OtherHeader => {
                    sent.push(Sent { due, stamp: stamp + moved, tag: (*chance.of(&headers)).clone() });
                }
                Damage::Junk => {
                    let kind = chance.of(&[AUDIO, VIDEO, DATA, 1, 3, 4, 6, 15, 17, 22]);
                    let body = (0..chance.below(300)).map(|_| chance.byte()).collect();
                    sent.push(Sent { due, stamp: stamp + moved, tag: Tag { kind, body, time: due } });
                }
                Damage::Swapped => {
                    if let Some(before) = sent.pop() {
                        sent.push(Sent { due, stamp: stamp + moved, tag: tag.clone() });
                        sent.push(before);
                        copies = 0;
                    }
                }
            }
        }
        sent.extend((0..copies).map(|_| Sent { due, stamp: stamp + moved, tag: tag.clone() }));
    }
    sent
}

#[test]
fn whatever_arrives_what_is_kept_is_whole() -> Result<()> {
    let of = |format| Source::new(format).and_then(|source| tags_of(&source));
    let (show, other) = (of(SHOW)?, of(Format { width: 192, height: 112, mark: 4, ..SHOW })?);
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
fn publish(stack: &Stack, address: &str, live: &str, sent: &[Sent]) -> Result<bool> {
    let mut client = Client::on_air(address, &stack.live(live)?.key)?;
    let began = Instant::now();
    let cut = sent.iter().any(|Sent { due, stamp, tag }| {
        thread::sleep((began + *due).saturating_duration_since(Instant::now()));
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
    let (code, said) = stack.verify(&over.text("broadcast"))?;
    anyhow::ensure!(code == 0, "{said}");
    let url = stack.vod_url(live, &over.text("broadcast"));
    let replay = Presentation::fetch(&stack.http, &url)?;
    check::structure(&replay)?;
    check::rules(&replay)?;
    check::alone(&replay)?;
    Ok(true)
}
