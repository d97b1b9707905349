//! What a publish goes through when something fails: whole connections before a bucket and a gateway in memory, in virtual time.

mod publisher;
mod world;

use std::time::Duration;

use media::{
    chunk::Chunk,
    id::StreamKey,
    time::VIDEO_TIMESCALE,
    verdict::{Code, Verdict},
    wire::{CloseReason, Revocation},
};
use tokio::io::AsyncReadExt;

use self::{
    publisher::{PICTURE_MS, Publisher},
    world::{Edge, PER_ADDRESS, READ_MAX_BYTES_PER_SECOND, State, broadcast},
};
use super::{
    LEAVE_MAX,
    publish::{CLOSE_TIMEOUT, REFUSAL_STEP},
};
use crate::{
    admission::Full,
    rtmp::{CLOSE_LINGER, Limits},
};

/// Pictures of a second.
const SECOND: u32 = 1000 / PICTURE_MS;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn count(pictures: u32) -> usize {
    usize::try_from(pictures).unwrap()
}

/// Closes so far, as (publish, chunks, reason).
fn closes(edge: &Edge) -> Vec<(u32, u32, CloseReason)> {
    let state = edge.world.state();
    state.closes.iter().map(|(_, close)| (close.publish.get(), close.chunks, close.reason)).collect()
}

fn stored(edge: &Edge, publish: u32) -> u32 {
    u32::try_from(edge.world.chunks(publish).len()).unwrap()
}

/// When the writes of a publish's chunks began.
fn begun(state: &State, publish: u32) -> impl Iterator<Item = Duration> {
    let of_it = format!("/{publish:06}/");
    state.begun.iter().filter(move |(key, _)| key.contains(&of_it)).map(|(_, at)| *at)
}

/// Every chunk that is stored of publish 1 was told, once and in order.
fn check_told(edge: &Edge) {
    let told: Vec<u32> = edge.world.state().told.iter().map(|pos| pos.seq.0).collect();
    assert_eq!(told, (0..stored(edge, 1)).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_minute_holds_the_publisher_back_and_loses_nothing() {
    let edge = Edge::new();
    let mut publisher = Publisher::start(&edge, SECOND, 0).await;
    assert!(publisher.send_until(10 * SECOND).await);
    edge.world.state().bucket_down = true;
    let outage = async {
        tokio::time::sleep(secs(60)).await;
        // The backlog is full: what is sent fills the socket, and the publisher stands.
        let stored = stored(&edge, 1);
        edge.world.state().bucket_down = false;
        stored
    };
    let (sent, before) = tokio::join!(publisher.send_until(110 * SECOND), outage);
    assert!(sent && (9..=10).contains(&before), "{before}");
    edge.world.state().gateway_down = true;
    let outage = async {
        tokio::time::sleep(secs(60)).await;
        edge.world.state().gateway_down = false;
    };
    let (sent, ()) = tokio::join!(publisher.send_until(200 * SECOND), outage);
    assert!(sent);
    publisher.unpublish().await;
    edge.finished().await;
    assert_eq!(edge.world.pictures(1), count(200 * SECOND));
    assert_eq!(closes(&edge), [(1, stored(&edge, 1), CloseReason::Unpublished)]);
    check_told(&edge);
}

#[tokio::test(start_paused = true)]
async fn at_most_the_open_gop_and_one_write_are_not_stored() {
    let edge = Edge::new();
    edge.world.state().write_takes = Duration::from_millis(700);
    let mut publisher = Publisher::start(&edge, SECOND, 0).await;
    let began = edge.world.elapsed();
    assert!(publisher.send_until(20 * SECOND).await);
    {
        let state = edge.world.state();
        assert_eq!(state.most_writing, 1);
        for (end, at) in (1u32..).zip(state.begun.values()) {
            // The first picture of the next GOP closes it, with the sound that is sent beside that.
            let late = *at - began - secs(1) * end;
            assert!(late <= Duration::from_millis(100), "GOP {end} began to be stored after {late:?}");
        }
        assert_eq!(state.begun.len(), 19);
    }
    publisher.reset();
    edge.finished().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_falls_silent_is_lost_after_five_seconds_with_all_that_came() {
    let edge = Edge::new();
    let mut publisher = Publisher::start(&edge, 2 * SECOND, 0).await;
    assert!(publisher.send_until(5 * SECOND).await);
    let silent = edge.world.elapsed();
    publisher.closed().await;
    edge.finished().await;
    assert_eq!(closes(&edge), [(1, 3, CloseReason::Lost)]);
    let after = edge.world.state().closes[0].0 - silent;
    assert!(after >= secs(5) && after <= Duration::from_millis(5_200), "{after:?}");
    assert_eq!(edge.world.pictures(1), count(5 * SECOND));
    check_told(&edge);
}

#[tokio::test(start_paused = true)]
async fn a_silence_that_ends_in_time_costs_nothing() {
    let edge = Edge::new();
    let mut publisher = Publisher::start(&edge, SECOND, 0).await;
    assert!(publisher.send_until(5 * SECOND).await);
    tokio::time::sleep(Limits::default().idle_timeout - Duration::from_millis(300)).await;
    assert!(publisher.send_until(20 * SECOND).await);
    publisher.unpublish().await;
    edge.finished().await;
    assert_eq!(edge.world.pictures(1), count(20 * SECOND));
    assert_eq!(closes(&edge), [(1, stored(&edge, 1), CloseReason::Unpublished)]);
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_told_however_long_it_takes_to_tell() {
    let edge = Edge::new();
    let mut publisher = Publisher::start(&edge, SECOND, 0).await;
    assert!(publisher.send_until(3 * SECOND + 10).await);
    {
        let mut state = edge.world.state();
        (state.gateway_down, state.bucket_down) = (true, true);
    }
    publisher.reset();
    tokio::time::sleep(secs(60)).await;
    assert_eq!(closes(&edge), []);
    {
        let mut state = edge.world.state();
        (state.gateway_down, state.bucket_down) = (false, false);
    }
    let back = edge.world.elapsed();
    edge.finished().await;
    assert_eq!(closes(&edge), [(1, 4, CloseReason::Lost)]);
    assert!(edge.world.elapsed() - back <= secs(5));
    assert_eq!(edge.world.pictures(1), count(3 * SECOND + 10));
    check_told(&edge);
}

#[tokio::test(start_paused = true)]
async fn what_never_comes_back_is_given_up() {
    let edge = Edge::new();
    let mut publisher = Publisher::start(&edge, SECOND, 0).await;
    assert!(publisher.send_until(3 * SECOND).await);
    edge.world.state().gateway_down = true;
    publisher.reset();
    let gone = edge.world.elapsed();
    edge.finished().await;
    assert_eq!((closes(&edge), stored(&edge, 1)), (vec![], 3));
    assert!(edge.world.elapsed() - gone <= super::FLUSH_GRACE + CLOSE_TIMEOUT + secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_later_publisher_wins_at_once_and_the_earlier_is_told() {
    let edge = Edge::new();
    edge.world.state().write_takes = Duration::from_millis(400);
    let mut earlier = Publisher::start(&edge, SECOND, 0).await;
    // A GOP is being stored when the other comes, and another has begun.
    assert!(earlier.send_until(3 * SECOND + 8).await);
    assert_eq!(stored(&edge, 1), 2);
    let mut later = Publisher::start(&edge, SECOND, 0).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(earlier.heard("superseded") && earlier.heard("NetStream.Publish.Rejected"));
    earlier.closed().await;
    assert!(later.send_until(4 * SECOND).await);
    assert_eq!(closes(&edge), [(1, 4, CloseReason::Stopped)]);
    assert_eq!(edge.world.pictures(1), count(3 * SECOND + 8), "all that had come, and no more");
    {
        let state = edge.world.state();
        let begun = |publish| begun(&state, publish);
        let written = begun(1).max().unwrap() + Duration::from_millis(420);
        let told = state.told.iter().filter(|pos| pos.publish.get() == 2).count();
        assert!(begun(2).all(|at| at >= written) && told > 0);
    }
    assert!(!later.heard("superseded"));
    later.unpublish().await;
    edge.finished().await;
    assert_eq!(edge.world.pictures(2), count(4 * SECOND));
    assert_eq!(closes(&edge)[1], (2, 4, CloseReason::Unpublished));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_superseded_through_another_edge_hears_it_with_its_next_chunk() {
    for gone in [false, true] {
        let edge = Edge::new();
        let mut publisher = Publisher::start(&edge, SECOND, 0).await;
        assert!(publisher.send_until(3 * SECOND + 5).await);
        edge.world.state().publishes += 1;
        if gone {
            edge.world.state().write_takes = secs(2);
            assert!(publisher.send_until(5 * SECOND + 5).await);
            publisher.reset();
        } else {
            let heard = edge.world.elapsed();
            assert!(!publisher.send_until(20 * SECOND).await);
            let heard = edge.world.elapsed() - heard - CLOSE_LINGER;
            assert!(heard <= secs(1) + Duration::from_millis(200), "{heard:?}");
            assert!(publisher.heard("superseded"));
        }
        edge.finished().await;
        let (chunks, reason) = if gone { (6, CloseReason::Lost) } else { (4, CloseReason::Stopped) };
        assert_eq!(closes(&edge), [(1, chunks, reason)], "what is stored is told");
        assert_eq!(stored(&edge, 1), chunks);
    }
}

#[tokio::test(start_paused = true)]
async fn a_return_in_an_outage_loses_nothing_of_what_was_sent_before() {
    // The dead connection is still held, or is known to be gone.
    for gone in [false, true] {
        let edge = Edge::new();
        let mut before = Publisher::start(&edge, SECOND, 0).await;
        assert!(before.send_until(3 * SECOND).await);
        edge.world.state().bucket_down = true;
        assert!(before.send_until(9 * SECOND + 5).await);
        let held = match gone {
            true => {
                before.reset();
                None
            }
            false => Some(before),
        };
        tokio::time::sleep(secs(2)).await;
        let mut after = Publisher::start(&edge, SECOND, 0).await;
        let outage = async {
            tokio::time::sleep(secs(30)).await;
            assert!(edge.world.chunks(1).len() <= 3);
            edge.world.state().bucket_down = false;
        };
        let (sent, ()) = tokio::join!(after.send_until(60 * SECOND), outage);
        assert!(sent && held.is_none_or(|publisher| publisher.heard("superseded")));
        after.unpublish().await;
        edge.finished().await;
        assert_eq!(edge.world.pictures(1), count(9 * SECOND + 5));
        assert_eq!(edge.world.pictures(2), count(60 * SECOND));
        let state = edge.world.state();
        let first = begun(&state, 2).min().unwrap();
        assert!(begun(&state, 1).all(|at| at < first));
    }
}

#[tokio::test(start_paused = true)]
async fn a_return_covers_nothing_of_what_was_sent_before() {
    // At once, and when all of it is stored.
    for pause in [Duration::ZERO, secs(1)] {
        let edge = Edge::new();
        let mut before = Publisher::start(&edge, SECOND, 0).await;
        before.ahead(secs(2));
        assert!(before.send_until(5 * SECOND + 5).await);
        before.reset();
        tokio::time::sleep(pause).await;
        let mut after = Publisher::start(&edge, SECOND, 0).await;
        assert!(after.send_until(2 * SECOND).await);
        after.unpublish().await;
        edge.finished().await;
        let span = |chunk: &Chunk| chunk.header.video.as_ref().map(|video| (video.start, video.end)).unwrap();
        let (before, after) = (edge.world.chunks(1), edge.world.chunks(2));
        assert_eq!(span(before.last().unwrap()).1, i64::from(VIDEO_TIMESCALE) * 26 / 5);
        assert_eq!(span(&after[0]).0, span(before.last().unwrap()).1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_return_begins_where_the_gateway_says_whatever_its_clock_shows() {
    let edge = Edge::new();
    let mut publisher = Publisher::start(&edge, SECOND, 3_600_000).await;
    assert!(publisher.send_until(3 * SECOND).await);
    publisher.reset();
    edge.finished().await;
    let end = |chunk: &Chunk| chunk.header.video.as_ref().unwrap().end;
    let mut resume_at = end(edge.world.chunks(1).last().unwrap());
    // From zero, just before the wrap of its clock, backwards, far ahead.
    for (publish, base) in (2..).zip([0, u32::MAX - 1_500, 1_000, 0x7FFF_FFFF]) {
        // The encoders have filled the time line further than wall-clock time.
        resume_at += i64::from(VIDEO_TIMESCALE) * 100 + 7;
        edge.world.state().resume_at = Some(resume_at);
        let mut publisher = Publisher::start(&edge, SECOND, base).await;
        assert!(publisher.send_until(3 * SECOND).await);
        publisher.reset();
        edge.finished().await;
        let chunks = edge.world.chunks(publish);
        let first = chunks[0].header.video.as_ref().unwrap();
        assert_eq!(first.start, resume_at, "publish {publish}");
        assert!(chunks[0].header.discontinuity);
        assert_eq!(end(chunks.last().unwrap()), resume_at + i64::from(VIDEO_TIMESCALE) * 3);
        assert_eq!(edge.world.pictures(publish), count(3 * SECOND));
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_with_the_gop_and_asks_to_reconnect() {
    let edge = Edge::new();
    let mut publisher = Publisher::start(&edge, 2 * SECOND, 0).await;
    assert!(publisher.send_until(3 * SECOND).await);
    edge.drain.cancel();
    assert!(publisher.send_until(4 * SECOND).await, "it goes on to the end of its GOP");
    assert!(!publisher.heard("draining"));
    publisher.send_until(4 * SECOND + 5).await;
    publisher.closed().await;
    assert!(publisher.heard("draining") && publisher.heard("NetConnection.Connect.Closed"));
    edge.finished().await;
    assert_eq!(closes(&edge), [(1, 2, CloseReason::Lost)]);
    assert_eq!(edge.world.pictures(1), count(4 * SECOND));
    check_told(&edge);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_no_long_gop_and_for_an_outage() {
    let edge = Edge::new();
    let mut publisher = Publisher::start(&edge, 9 * SECOND, 0).await;
    assert!(publisher.send_until(10 * SECOND).await);
    edge.world.state().bucket_down = true;
    edge.drain.cancel();
    let asked = edge.world.elapsed();
    assert!(!publisher.send_until(20 * SECOND).await);
    let left = edge.world.elapsed() - asked - CLOSE_LINGER;
    assert!(left >= LEAVE_MAX && left <= LEAVE_MAX + secs(1), "{left:?}");
    tokio::time::sleep(secs(55)).await;
    edge.world.state().bucket_down = false;
    edge.finished().await;
    assert_eq!(closes(&edge), [(1, 2, CloseReason::Lost)]);
    assert!(edge.world.pictures(1) >= count(15 * SECOND));
    check_told(&edge);
}

#[tokio::test(start_paused = true)]
async fn revoked_rights_cut_a_publish_within_two_seconds_however_long_its_gop() {
    let key_hash = "sk_the-right-key-0123456789".parse::<StreamKey>().unwrap().hash();
    for (revocation, told, keeps_all) in [
        (Revocation::Key { live: "shop".parse().unwrap(), key_hash }, "key-replaced", true),
        (Revocation::Live { live: "shop".parse().unwrap() }, "live-disabled", false),
        (Revocation::Broadcast { broadcast: broadcast() }, "ended", false),
    ] {
        let edge = Edge::new();
        edge.watch();
        let mut publisher = Publisher::start(&edge, 9 * SECOND, 0).await;
        assert!(publisher.send_until(12 * SECOND).await);
        edge.world.state().revocations.push(revocation);
        let revoked = edge.world.elapsed();
        assert!(!publisher.send_until(17 * SECOND).await);
        let cut = edge.world.elapsed() - revoked - CLOSE_LINGER;
        assert!(cut <= secs(2), "{told} after {cut:?}");
        assert!(publisher.heard(told), "{told}");
        edge.finished().await;
        let (chunks, pictures) = if keeps_all { (2, count(12 * SECOND)) } else { (1, count(9 * SECOND)) };
        assert_eq!(closes(&edge), [(1, chunks, CloseReason::Stopped)], "{told}");
        assert!(edge.world.pictures(1) >= pictures, "{told}: what came before is kept");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_revoked_is_asked_once_a_second_and_only_while_somebody_is_on_air() {
    let edge = Edge::new();
    edge.watch();
    tokio::time::sleep(secs(60)).await;
    assert_eq!(edge.world.state().asked_revoked, 0);
    let (mut one, mut other) =
        tokio::join!(Publisher::start(&edge, SECOND, 0), Publisher::start(&edge, SECOND, 0));
    tokio::join!(one.send_until(20 * SECOND), other.send_until(20 * SECOND));
    let asked = edge.world.state().asked_revoked;
    assert!((18..=26).contains(&asked), "{asked}");
    // An outage is no revocation.
    edge.world.state().gateway_down = true;
    tokio::join!(one.send_until(25 * SECOND), other.send_until(25 * SECOND));
    edge.world.state().gateway_down = false;
    one.reset();
    other.reset();
    tokio::time::sleep(secs(10)).await;
    let asked = edge.world.state().asked_revoked;
    tokio::time::sleep(secs(60)).await;
    assert_eq!(edge.world.state().asked_revoked, asked);
    edge.finished().await;
}

/// How long a refusal takes says nothing about the key: a text that can't be one, and lookups of different length.
#[tokio::test(start_paused = true)]
async fn refusals_leave_at_a_fixed_time() {
    for (key, lookup_ms) in
        [("bad!", 0), ("sk_a-key-nobody-has-0000000", 1), ("sk_a-key-nobody-has-0000000", 499)]
    {
        let edge = Edge::new();
        edge.world.state().refuse_after = Some(Duration::from_millis(lookup_ms));
        let asked = edge.world.elapsed();
        let publisher = Publisher::ask(&edge, key).await;
        while !publisher.heard("unknown-key") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let took = edge.world.elapsed() - asked;
        assert!(took >= REFUSAL_STEP && took <= REFUSAL_STEP + Duration::from_millis(20), "{key}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_is_heard_although_a_warning_no_longer_reaches_who_said_it() {
    let edge = Edge::new();
    edge.world.state().warnings = vec![Verdict::new(Code::GopLong, "Shorter, please.")];
    let mut publisher = Publisher::start(&edge, SECOND, 0).await;
    assert!(publisher.send_until(SECOND).await);
    // It sends ahead of its pictures' time and is read more slowly: when it leaves, the end of a GOP and the goodbye are still to be read.
    publisher.ahead(secs(10));
    let pictures = 10 * SECOND + SECOND / 2;
    assert!(publisher.send_until(pictures).await);
    publisher.unpublish().await;
    let left = edge.world.elapsed();
    edge.finished().await;
    // It is warned when that GOP is stored and told, two calls later: it has left by then.
    let stored = begun(&edge.world.state(), 1).nth(9).unwrap();
    assert!(stored >= left, "the last whole GOP was stored at {stored:?}, it left at {left:?}");
    assert_eq!(closes(&edge), [(1, 11, CloseReason::Unpublished)]);
    assert_eq!(edge.world.pictures(1), count(pictures));
    check_told(&edge);
}

#[tokio::test(start_paused = true)]
async fn whoever_floods_is_read_at_the_rate_and_then_cut() {
    let edge = Edge::new();
    let mut publisher = Publisher::ask(&edge, "").await;
    drop(publisher);
    // On air, and sending data that nobody wants as fast as it is taken.
    publisher = Publisher::start(&edge, SECOND, 0).await;
    assert!(publisher.send_until(SECOND).await);
    let (began, mut sent) = (edge.world.elapsed(), 0u64);
    while !publisher.heard("no-media") && publisher.data(10_000).await {
        sent += 10_000;
    }
    let passed = edge.world.elapsed() - began;
    // It counts as silent after 8 s without pictures or sound, however much else it sends.
    assert!(passed >= secs(7) && passed <= secs(12), "{passed:?}");
    assert!(publisher.heard("no-media"));
    let most = u64::from(READ_MAX_BYTES_PER_SECOND) * (passed.as_secs() + 6);
    assert!(sent <= most, "{sent} of {most}");
    edge.finished().await;
}

#[tokio::test(start_paused = true)]
async fn a_bug_in_one_connection_is_nobody_elses() {
    let edge = Edge::new();
    let mut good = Publisher::start(&edge, SECOND, 0).await;
    assert!(good.send_until(2 * SECOND).await);
    edge.world.state().bug = true;
    let mut unlucky = Publisher::ask(&edge, "sk_the-right-key-0123456789").await;
    unlucky.closed().await;
    edge.world.state().bug = false;
    assert!(good.send_until(6 * SECOND).await);
    good.unpublish().await;
    edge.finished().await;
    assert_eq!(edge.world.pictures(1), count(6 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_takes_nothing_makes_room_for_a_publisher() {
    let edge = Edge::new();
    let mut silent: Vec<_> = (1..PER_ADDRESS).map(|_| edge.accept()).collect();
    let mut deaf = Publisher::deaf(&edge).await;
    let began = edge.world.elapsed();
    let mut publishers = Vec::new();
    for _ in 0..PER_ADDRESS {
        publishers.push(Publisher::start(&edge, SECOND, 0).await);
    }
    for mut silent in silent.drain(..) {
        silent.read_to_end(&mut Vec::new()).await.unwrap();
    }
    while deaf.data(1).await {}
    assert!(edge.world.elapsed() - began < secs(2), "at once, not when their time is over");
    // Publishers stay.
    assert_eq!(edge.try_accept().err(), Some(Full::Address));
    assert!(publishers[PER_ADDRESS - 1].send_until(3 * SECOND).await);
}

#[tokio::test(start_paused = true)]
async fn a_publish_whose_place_goes_while_it_is_decided_is_closed() {
    let edge = Edge::new();
    let mut asking = Publisher::ask(&edge, "sk_the-right-key-0123456789").await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let _newcomers: Vec<_> = (0..PER_ADDRESS).map(|_| edge.accept()).collect();
    asking.closed().await;
    tokio::time::sleep(secs(1)).await;
    assert_eq!(closes(&edge), [(1, 0, CloseReason::Lost)]);
}
