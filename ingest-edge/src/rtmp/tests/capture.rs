//! Captures of real clients (`tests/data/README.md` has the recipes), replayed at many splits.

use super::super::event::{EndReason, Event};
use super::super::limits::Limits;
use super::peer::Peer;

pub(super) const FFMPEG: &[u8] = include_bytes!("../../../tests/data/ffmpeg-5.1-publish.bin");
pub(super) const GSTREAMER: &[u8] = include_bytes!("../../../tests/data/gstreamer-1.22-publish.bin");
pub(super) const OBS: &[u8] = include_bytes!("../../../tests/data/obs-29.0-publish.bin");

/// Replays a capture in pieces of `size` bytes, accepting the publish as soon as it is asked for.
fn replay(capture: &[u8], size: usize) -> Vec<Event> {
    let mut peer = Peer::new(Limits::default());
    for piece in capture.chunks(size) {
        let before = peer.events.len();
        peer.bytes(piece).unwrap();
        if matches!(peer.events[before..], [.., Event::PublishRequested(_)]) {
            peer.session.accept_publish(peer.now).unwrap();
            peer.drain();
        }
    }
    assert!(!peer.closed);
    peer.events
}

fn check(capture: &[u8], client: &str, counts: [usize; 3], last_video: u32) {
    let whole = replay(capture, usize::MAX);
    // In one piece the publish is over before it is decided: what was held back is gone with it.
    assert!(matches!(
        whole[..],
        [Event::Connected { .. }, Event::PublishRequested(_), Event::PublishEnded { .. }]
    ));

    let events = replay(capture, 1);
    for size in [2, 3, 7, 64, 127, 128, 129, 1000] {
        assert_eq!(replay(capture, size), events, "pieces of {size}");
    }
    assert_eq!(events[0], Event::Connected { client: client.to_owned() });
    let Event::PublishRequested(request) = &events[1] else { panic!("{:?}", events[1]) };
    assert_eq!((request.app.as_str(), request.key.reveal()), ("live", "good"));
    assert_eq!(events.last(), Some(&Event::PublishEnded { reason: EndReason::Unpublished }));

    let count = |of: fn(&Event) -> bool| events.iter().filter(|event| of(event)).count();
    let counted = [
        count(|event| matches!(event, Event::Video { .. })),
        count(|event| matches!(event, Event::Audio { .. })),
        count(|event| matches!(event, Event::Metadata(_))),
    ];
    assert_eq!(counted, counts);
    assert_eq!(events.len(), counts.iter().sum::<usize>() + 3, "and nothing else, nothing ignored");

    let timestamps: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Video { timestamp, .. } => Some(*timestamp),
            _ => None,
        })
        .collect();
    assert!(timestamps.is_sorted());
    assert_eq!((timestamps.first(), timestamps.last()), (Some(&0), Some(&last_video)));
    let metadata = events.iter().find_map(|event| match event {
        Event::Metadata(metadata) => Some(metadata),
        _ => None,
    });
    let metadata = metadata.unwrap();
    assert_eq!((metadata.width, metadata.height, metadata.framerate), (Some(160.0), Some(120.0), Some(30.0)));
}

#[test]
fn ffmpeg_publishes() {
    // 60 pictures, a configuration record, an end of sequence; 88 audio frames and a configuration.
    check(FFMPEG, "FMLE/3.0 (compatible; Lavf59.27.100)", [62, 89, 1], 1967);
}

#[test]
fn gstreamer_publishes() {
    check(GSTREAMER, "LNX 10,0,32,18", [62, 87, 19], 1974);
}

#[test]
fn obs_publishes() {
    // 76 pictures by its own log, and a configuration record; sound, and its configuration. It rounds stamps down.
    check(OBS, "FMLE/3.0 (compatible; FMSc/1.0)", [77, 108, 1], 2499);
}
