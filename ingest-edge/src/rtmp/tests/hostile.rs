//! Peers that mean harm or are broken: whatever they send, no panic, bounded output, and the same at every split.

use proptest::prelude::*;

use super::super::limits::Limits;
use super::super::message::type_id;
use super::capture::{FFMPEG, GSTREAMER, OBS};
use super::peer::Peer;

/// Small limits, so that random input reaches them.
fn limits() -> Limits {
    Limits {
        max_message_bytes: 100_000,
        max_buffered_bytes: 150_000,
        max_buffered_idle_bytes: 1000,
        held_media_pause_bytes: 10_000,
        held_media_max_bytes: 200_000,
        ..Limits::default()
    }
}

/// Feeds everything until the session closes; what it put out, as text, to compare. Acknowledgements are left out: how many
/// there are depends on the reads.
fn outcome(mut peer: Peer, bytes: &[u8], size: usize) -> String {
    let mut result = Ok(());
    for piece in bytes.chunks(size) {
        result = peer.bytes(piece);
        if result.is_err() || peer.closed {
            break;
        }
    }
    peer.replies.retain(|reply| reply.type_id != type_id::ACKNOWLEDGEMENT);
    format!("{result:?} {} {:?} {:?}", peer.closed, peer.events, peer.replies)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_after_the_handshake(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0..4_u8, Just(20)], 0..2000),
        size in 1..100_usize,
    ) {
        let shaken = || Peer::shaken(limits());
        prop_assert_eq!(outcome(shaken(), &bytes, usize::MAX), outcome(shaken(), &bytes, size));
        outcome(Peer::live(limits()), &bytes, size);
        outcome(Peer::new(limits()), &bytes, size);
    }

    #[test]
    fn damaged_captures(
        capture in prop::sample::select(vec![FFMPEG, GSTREAMER, OBS]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        near_the_start: bool,
        cut in any::<prop::sample::Index>(),
        size in 1..3000_usize,
    ) {
        let mut bytes = capture.to_vec();
        let after_handshake = 3073;
        let range = if near_the_start { 800 } else { bytes.len() - after_handshake };
        for (index, value) in damage {
            bytes[after_handshake + index.index(range)] = value;
        }
        bytes.drain(after_handshake + cut.index(bytes.len() - after_handshake)..);
        outcome(Peer::new(limits()), &bytes, size);
        outcome(Peer::live(limits()), &bytes[after_handshake..], size);
    }
}

/// One byte of input can yield one message; nothing may yield more.
#[test]
fn a_flood_of_tiny_messages_yields_bounded_events() {
    let mut peer = Peer::live(limits());
    let mut bytes = vec![0x04, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0];
    bytes.extend_from_slice(&[0xC4; 60_000]);
    peer.bytes(&bytes).unwrap();
    assert!(peer.events.is_empty(), "empty media messages are no events");
}
