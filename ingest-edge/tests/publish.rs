//! The whole edge, over real sockets and TLS, with the `ffmpeg` command as publisher and a bucket and gateway in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may

mod common;
mod tls;

use std::time::Duration;

use common::{Edge, KEY, Source};
use media::{
    chunk::Chunk,
    time::{FrameRate, rescale},
    verdict::{Code, Verdict},
    wire::CloseReason,
};

/// The chain of a publish's chunks: to the tick, without a hole, every picture and its sound.
fn check_chain(chunks: &[Chunk], pictures: usize, rate: FrameRate) {
    let mut count = 0;
    for (n, chunk) in chunks.iter().enumerate() {
        let video = chunk.header.video.as_ref().unwrap();
        let audio = chunk.header.audio.as_ref().unwrap();
        assert_eq!(usize::try_from(chunk.header.pos.seq.0).unwrap(), n);
        assert_eq!(video.start, rate.ticks(i64::try_from(count).unwrap()), "chunk {n}");
        assert_eq!(video.frame_rate, Some(rate));
        count += video.sizes.len();
        assert_eq!(video.end, rate.ticks(i64::try_from(count).unwrap()), "chunk {n}");
        let mut shown = video.pts.clone();
        shown.sort_unstable();
        assert!(shown.windows(2).all(|w| (w[1] - w[0]).abs_diff(rate.ticks(1)) <= 1), "chunk {n}: {shown:?}");
        assert!((rescale(audio.start, audio.sample_rate, 90_000) - video.start).abs() < 4_500, "chunk {n}");
        assert!(!chunk.header.discontinuity);
    }
    assert_eq!(count, pictures);
    for pair in chunks.windows(2) {
        let end = pair[0].header.audio.as_ref().unwrap().end;
        assert_eq!(end, pair[1].header.audio.as_ref().unwrap().start);
    }
}

#[tokio::test]
async fn over_tls_every_picture_arrives_in_its_place() {
    let edge = Edge::start().await;
    let source = Source { rate: "30000/1001", seconds: 5, gop: 60, extra: &[] };
    let published = edge.publish(&source, &edge.rtmps(KEY)).await;
    assert!(published.success, "{}", published.log);
    edge.closed(1).await;
    let chunks = edge.chunks(1);
    check_chain(&chunks, 150, FrameRate { num: 30_000, den: 1001 });
    assert_eq!(chunks.len(), 3);
    let close = edge.closes().remove(0);
    assert_eq!((close.chunks, close.reason), (3, CloseReason::Unpublished));
    assert_eq!(edge.told(), [0, 1, 2]);
    edge.stop().await;
}

#[tokio::test]
async fn whoever_sends_too_fast_is_slowed() {
    let edge = Edge::start().await;
    let source = Source { rate: "25", seconds: 8, gop: 50, extra: &[] };
    let began = std::time::Instant::now();
    let published = edge.publish(&Source { extra: &["fast"], ..source }, &edge.rtmp(KEY)).await;
    assert!(published.success, "{}", published.log);
    edge.closed(1).await;
    check_chain(&edge.chunks(1), 200, FrameRate { num: 25, den: 1 });
    // Three seconds of lead; the sockets' buffers hold some more of such a small stream.
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    edge.stop().await;
}

#[tokio::test]
async fn refusals_say_what_to_change() {
    let edge = Edge::start().await;
    let source = Source { rate: "25", seconds: 1, gop: 25, extra: &[] };
    for (url, says) in [
        (edge.rtmps("not-the-right-key-at-all"), "unknown-key"),
        (edge.rtmps("bad!"), "unknown-key"),
        (edge.rtmps(KEY).replace("/live/", "/studio/"), "wrong server url"),
    ] {
        let published = edge.publish(&source, &url).await;
        assert!(!published.success && published.log.to_lowercase().contains(says), "{}", published.log);
    }
    let sorenson = Source { extra: &["-c:v", "flv1", "-bf", "0"], seconds: 9, ..source };
    let published = edge.publish(&sorenson, &edge.rtmp(KEY)).await;
    assert!(!published.success, "{}", published.log);
    edge.closed(1).await;
    assert_eq!(edge.closes()[0].reason, CloseReason::Stopped);
    edge.stop().await;
}

#[tokio::test]
async fn a_stop_from_behind_ends_the_publish_with_its_reason() {
    let edge = Edge::start().await;
    edge.stop_publishes(Verdict::new(Code::Superseded, "Another publisher has taken over."));
    let source = Source { rate: "25", seconds: 20, gop: 25, extra: &[] };
    let published = edge.publish(&source, &edge.rtmps(KEY)).await;
    assert!(!published.success || published.log.contains("superseded"), "{}", published.log);
    edge.closed(1).await;
    assert_eq!(edge.closes()[0].reason, CloseReason::Stopped);
    edge.stop().await;
}

#[tokio::test]
async fn a_drain_keeps_what_was_sent_and_asks_to_reconnect() {
    let edge = Edge::start().await;
    let source = Source { rate: "25", seconds: 30, gop: 50, extra: &[] };
    let url = edge.rtmps(KEY);
    let publishing = edge.publish(&source, &url);
    let draining = async {
        edge.stored(1).await;
        edge.stop_now().await;
    };
    let (published, ()) = tokio::join!(publishing, draining);
    assert!(!published.success || published.log.contains("draining"), "{}", published.log);
    let close = edge.closes().remove(0);
    let chunks = edge.chunks(1);
    assert_eq!((usize::try_from(close.chunks).unwrap(), close.reason), (chunks.len(), CloseReason::Lost));
    assert!(chunks.len() >= 2);
    // The last one is cut in decode order: a picture that others before it in display refer to may be there without them.
    let whole = &chunks[..chunks.len() - 1];
    check_chain(whole, 50 * whole.len(), FrameRate { num: 25, den: 1 });
}

#[tokio::test]
async fn a_publisher_who_vanishes_is_waited_for_and_goes_on_in_the_timeline() {
    let edge = Edge::start().await;
    let source = Source { rate: "25", seconds: 30, gop: 25, extra: &[] };
    let url = edge.rtmps(KEY);
    {
        // Dropping it kills ffmpeg.
        let publishing = edge.publish(&source, &url);
        tokio::select! {
            published = publishing => panic!("{}", published.log),
            () = edge.stored(2) => {}
        }
    }
    edge.closed(1).await;
    assert_eq!(edge.closes()[0].reason, CloseReason::Lost);
    let published = edge.publish(&Source { seconds: 2, ..source }, &url).await;
    assert!(published.success, "{}", published.log);
    edge.closed(2).await;
    let (before, after) = (edge.chunks(1), edge.chunks(2));
    let end = before.last().unwrap().header.video.as_ref().unwrap().end;
    let start = after[0].header.video.as_ref().unwrap().start;
    assert!(start >= end, "{start} after {end}");
    assert!(after[0].header.discontinuity && !after[1].header.discontinuity);
    assert_eq!(i64::try_from(before.len()).unwrap(), i64::from(edge.closes()[0].chunks));
    edge.stop().await;
}
