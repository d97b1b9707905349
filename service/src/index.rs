//! What the web pages list: `live/index.json` and `live/{live}/index.json`, derived whole from the table.
//!
//! Invariant: the entity tag is read before the table and the write is conditional on it, so an index never goes back to an older
//! state of the table, however many writers meet. Whoever changes the table (a live created, renamed or deleted, a broadcast on air or
//! over) calls [`publish_live`] and [`publish_lives`] afterwards; both are idempotent.

use bytes::Bytes;
use media::{
    id::LiveId,
    index::{Live as LivePage, LiveSummary, Lives, OnAir, REPLAYS_MAX, Replay},
    names,
    time::{VIDEO_TIMESCALE, WallTime},
};

use crate::{
    bucket::{Bucket, BucketError, Condition, Kind, Put},
    clock::Clock,
    table::{Broadcast, BroadcastEntry, Live, State, Table, TableError},
};

/// Tries before giving up on an index that others keep changing: writers meet at most when several shows start or end at once, and
/// each round lets one of them through.
const TRIES: u32 = 16;

/// Why an index was not written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The table could not be read.
    #[error("deriving an index failed")]
    Table(#[from] TableError),
    /// The bucket could not be read or written.
    #[error("writing an index failed")]
    Bucket(#[from] BucketError),
    /// It can't be spelled as JSON: a bug.
    #[error("spelling an index failed")]
    Json(#[from] serde_json::Error),
    /// Others changed it at every try.
    #[error("{0} is being written by others all the time")]
    Contended(String),
}

/// Writes what the watch page of `live` reads; takes it away if there is no such live.
///
/// # Errors
/// When the table or the bucket could not be reached; call again.
pub async fn publish_live(
    table: &Table,
    bucket: &Bucket,
    live: &LiveId,
    clock: &Clock,
) -> Result<(), IndexError> {
    let key = names::live_index(live);
    for _ in 0..TRIES {
        let seen = bucket.get(&key).await?.map(|object| object.etag);
        let Some((live, current, entries)) = read_live(table, live).await? else {
            bucket.delete(&key).await?;
            return Ok(());
        };
        let poster = poster(bucket, &live, current.as_ref()).await?;
        let page = live_page(&live, current.as_ref(), poster, &entries, clock.now());
        if swap(bucket, &key, seen.as_deref(), serde_json::to_vec(&page)?).await? {
            return Ok(());
        }
    }
    Err(IndexError::Contended(key))
}

/// Writes the list of lives that the front page shows.
///
/// # Errors
/// When the table or the bucket could not be reached; call again.
pub async fn publish_lives(table: &Table, bucket: &Bucket, clock: &Clock) -> Result<(), IndexError> {
    for _ in 0..TRIES {
        let seen = bucket.get(names::LIVES_INDEX).await?.map(|object| object.etag);
        let mut lives = Vec::new();
        for live in table.lives().await? {
            let current = current(table, &live).await?;
            let entries = table.broadcasts_of(&live.live, usize::MAX).await?;
            let poster = poster(bucket, &live, current.as_ref()).await?;
            lives.push(summary(&live, current.as_ref(), poster, &entries));
        }
        let list = Lives { updated: clock.now().rfc3339(), lives };
        if swap(bucket, names::LIVES_INDEX, seen.as_deref(), serde_json::to_vec(&list)?).await? {
            return Ok(());
        }
    }
    Err(IndexError::Contended(names::LIVES_INDEX.to_owned()))
}

async fn read_live(
    table: &Table,
    live: &LiveId,
) -> Result<Option<(Live, Option<Broadcast>, Vec<BroadcastEntry>)>, TableError> {
    let Some(live) = table.live(live).await? else { return Ok(None) };
    let current = current(table, &live).await?;
    let entries = table.broadcasts_of(&live.live, usize::MAX).await?;
    Ok(Some((live, current, entries)))
}

async fn current(table: &Table, live: &Live) -> Result<Option<Broadcast>, TableError> {
    match &live.current {
        Some(id) => table.broadcast(id).await,
        None => Ok(None),
    }
}

/// The path of the picture of what is on air, if there is one: sound alone has none.
async fn poster(
    bucket: &Bucket,
    live: &Live,
    current: Option<&Broadcast>,
) -> Result<Option<String>, BucketError> {
    if on_air(current).is_none() {
        return Ok(None);
    }
    let key = names::live_poster(&live.live);
    Ok(bucket.head(&key).await?.map(|_| format!("/{key}")))
}

/// False when somebody else has written meanwhile.
async fn swap(bucket: &Bucket, key: &str, seen: Option<&str>, body: Vec<u8>) -> Result<bool, BucketError> {
    let condition = seen.map_or(Condition::Absent, |etag| Condition::Matches(etag.to_owned()));
    Ok(matches!(bucket.put(key, Bytes::from(body), Kind::INDEX, condition, &[]).await?, Put::Stored(_)))
}

/// What is on air: a broadcast that has begun (its first frame is in) and is not over. While it is being ended it still is.
fn on_air(current: Option<&Broadcast>) -> Option<(&Broadcast, WallTime)> {
    let broadcast = current.filter(|b| b.state != State::Ended)?;
    broadcast.availability_start.map(|start| (broadcast, start))
}

/// The finished broadcasts that have something to play, newest first.
fn replays(live: &LiveId, entries: &[BroadcastEntry]) -> impl Iterator<Item = Replay> {
    entries.iter().rev().filter(|e| e.state == State::Ended && e.duration > 0).filter_map(move |entry| {
        Some(Replay {
            broadcast: entry.broadcast.clone(),
            started: entry.started.rfc3339(),
            ended: entry.ended?.rfc3339(),
            duration_seconds: seconds(entry.duration),
            manifest: format!("/{}", names::vod_manifest(live, &entry.broadcast)),
            poster: entry.poster.then(|| format!("/{}", names::vod_poster(live, &entry.broadcast))),
        })
    })
}

/// Seconds with the precision of milliseconds: for display.
fn seconds(ticks: i64) -> f64 {
    let ms = ticks.saturating_mul(1000) / i64::from(VIDEO_TIMESCALE);
    i32::try_from(ms).map_or(f64::from(i32::MAX), f64::from) / 1000.0
}

/// The page of one live. `poster` is the path of the picture of what is on air.
#[must_use]
pub fn live_page(
    live: &Live,
    current: Option<&Broadcast>,
    poster: Option<String>,
    entries: &[BroadcastEntry],
    now: WallTime,
) -> LivePage {
    LivePage {
        updated: now.rfc3339(),
        live: live.live.clone(),
        title: live.title.clone(),
        on_air: on_air(current).map(|(broadcast, start)| OnAir {
            broadcast: broadcast.broadcast.clone(),
            started: start.rfc3339(),
            manifest: format!("/{}", names::live_manifest(&live.live)),
            poster,
        }),
        replays: replays(&live.live, entries).take(REPLAYS_MAX).collect(),
    }
}

/// One live's line in the list of lives. `poster` is the path of the picture of what is on air.
#[must_use]
pub fn summary(
    live: &Live,
    current: Option<&Broadcast>,
    poster: Option<String>,
    entries: &[BroadcastEntry],
) -> LiveSummary {
    let on_air = on_air(current);
    LiveSummary {
        live: live.live.clone(),
        title: live.title.clone(),
        on_air: on_air.is_some(),
        broadcast: on_air.map(|(broadcast, _)| broadcast.broadcast.clone()),
        started: on_air.map(|(_, start)| start.rfc3339()),
        poster: poster.filter(|_| on_air.is_some()),
        last_replay: replays(&live.live, entries).next(),
    }
}

#[cfg(test)]
mod tests {
    use media::{
        id::{BroadcastId, PublishNo, StreamKey},
        ladder::Profile,
    };

    use super::*;

    fn live() -> Live {
        Live {
            live: "shoes".parse().unwrap(),
            title: "Shoes & more".to_owned(),
            key_hash: StreamKey::generate([1; 15]).hash(),
            profile: Profile::P480,
            source_rung: false,
            window_seconds: 60,
            limits: media::limits::Limits::default(),
            slate: None,
            disabled: false,
            current: None,
            created: WallTime(0),
        }
    }

    fn broadcast(state: State, availability_start: Option<WallTime>) -> Broadcast {
        Broadcast {
            broadcast: BroadcastId::new(3, [3; 10]),
            live: live().live,
            state,
            publish: PublishNo::FIRST,
            connection: "12345678".to_owned(),
            earlier: vec![],
            filler: false,
            profile: Profile::P480,
            source_rung: false,
            window_seconds: 60,
            limits: media::limits::Limits::default(),
            opened: WallTime(3_000_000),
            availability_start,
            closed: None,
            ended: None,
        }
    }

    fn entry(ms: u64, state: State, duration: i64) -> BroadcastEntry {
        let at = WallTime(i64::try_from(ms).unwrap() * 1000);
        BroadcastEntry {
            broadcast: BroadcastId::new(ms, [1; 10]),
            state,
            started: at,
            ended: (state == State::Ended).then_some(at.plus_micros(9_000_000)),
            duration,
            poster: duration > 100_000,
        }
    }

    #[test]
    fn a_live_is_on_air_from_its_first_frame_until_it_is_over() {
        let start = Some(WallTime(4_000_000));
        for (state, start, expected) in [
            (State::Live, None, false),
            (State::Live, start, true),
            (State::Ending, start, true),
            (State::Ended, start, false),
        ] {
            let current = broadcast(state, start);
            let poster = || Some("/live/shoes/poster.jpg".to_owned());
            let page = live_page(&live(), Some(&current), poster(), &[], WallTime(0));
            assert_eq!(page.on_air.map(|on_air| on_air.poster), expected.then(poster), "{state}");
            let line = summary(&live(), Some(&current), poster(), &[]);
            assert_eq!(
                (line.on_air, line.broadcast.is_some(), line.started.is_some(), line.poster.is_some()),
                (expected, expected, expected, expected)
            );
        }
        assert!(live_page(&live(), None, None, &[], WallTime(0)).on_air.is_none());
    }

    #[test]
    fn replays_are_finished_not_empty_and_newest_first() {
        let entries = [
            entry(1000, State::Ended, 90_000),
            entry(2000, State::Ended, 0),
            entry(3000, State::Ended, 135_045),
            entry(4000, State::Live, 0),
        ];
        let page = live_page(&live(), None, None, &entries, WallTime(0));
        let durations: Vec<f64> = page.replays.iter().map(|r| r.duration_seconds).collect();
        assert_eq!(durations, [1.5, 1.0]);
        let poster = format!("/vod/shoes/{}/poster.jpg", entries[2].broadcast);
        assert_eq!([&page.replays[0].poster, &page.replays[1].poster], [&Some(poster), &None]);
        assert_eq!(page.replays[0].manifest, format!("/vod/shoes/{}/manifest.mpd", entries[2].broadcast));
        assert_eq!(summary(&live(), None, None, &entries).last_replay, page.replays.first().cloned());
    }

    #[test]
    fn the_list_of_replays_is_bounded() {
        let entries: Vec<_> = (0..120).map(|i| entry(1000 * (i + 1), State::Ended, 90_000)).collect();
        let page = live_page(&live(), None, None, &entries, WallTime(0));
        assert_eq!(page.replays.len(), REPLAYS_MAX);
        assert_eq!(page.replays[0].broadcast, entries[119].broadcast);
    }
}
