//! What one connection makes the server hold and say: streams, media ahead of the decision, unfinished messages, acknowledgements.

use bytes::BytesMut;

use super::super::amf0::Value;
use super::super::error::ErrorKind;
use super::super::limits::Limits;
use super::super::message::type_id;
use super::peer::{Peer, text};
use super::sender::{Sender, message};
use super::session::{codes, send_video, video};

#[test]
fn streams_are_bounded() {
    let mut peer = Peer::connected(Limits::default());
    for _ in 0..9 {
        peer.command(0, &[text("createStream"), Value::Number(2.0), Value::Null]).unwrap();
    }
    assert_eq!(codes(&mut peer).last().unwrap(), "_error NetConnection.Call.Failed");
    peer.command(0, &[text("deleteStream"), Value::Number(0.0), Value::Null, Value::Number(3.0)]).unwrap();
    peer.command(0, &[text("createStream"), Value::Number(2.0), Value::Null]).unwrap();
    assert_eq!(peer.commands()[0].1[3], Value::Number(9.0));
}

#[test]
fn media_ahead_of_the_decision_is_held_back_and_bounded() {
    let limits = Limits { held_media_pause_bytes: 300, held_media_max_bytes: 600, ..Limits::default() };
    let mut peer = Peer::publishing(limits.clone());
    peer.events.clear();
    for timestamp in 0..3 {
        assert!(peer.session.wants_input());
        send_video(&mut peer, 1, timestamp);
    }
    assert!(!peer.session.wants_input());
    assert_eq!(peer.events(), []);
    peer.session.accept_publish(peer.now).unwrap();
    peer.drain();
    assert!(peer.session.wants_input());
    assert_eq!(peer.events(), [video(0), video(1), video(2)]);

    let mut peer = Peer::publishing(limits);
    for timestamp in 0..4 {
        send_video(&mut peer, 1, timestamp);
    }
    let error = peer.message(6, &message(type_id::VIDEO, 1, 4, &b"frame"[..])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::HeldMedia { limit: 600 });
}

/// What nobody has allowed yet is not held in any number: neither of who says nothing, nor of who waits for a decision.
#[test]
fn unfinished_messages_are_bounded_by_what_is_going_on() {
    let unfinished = |csid: u32, bytes: usize| {
        let (mut sender, mut output) = (Sender::new(), BytesMut::new());
        sender.chunk_size = bytes;
        let whole = message(type_id::VIDEO, 1, 0, vec![7; 6000]);
        assert!(sender.chunk(csid, 0, || Some(whole), &mut output).is_none());
        output
    };
    let large_chunks = message(type_id::SET_CHUNK_SIZE, 0, 0, 5000_u32.to_be_bytes().to_vec());
    let limits = Limits {
        max_buffered_bytes: 5000,
        max_buffered_idle_bytes: 1000,
        held_media_pause_bytes: 3000,
        ..Limits::default()
    };
    let idle = [Peer::shaken(limits.clone()), Peer::connected(limits.clone())].map(|peer| (peer, 1000));
    for (mut peer, limit) in idle.into_iter().chain([(Peer::live(limits.clone()), 5000)]) {
        peer.message(2, &large_chunks).unwrap();
        peer.bytes(&unfinished(6, limit)).unwrap();
        let error = peer.bytes(&unfinished(7, 1)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BufferedTooMuch { limit });
    }

    let mut peer = Peer::publishing(limits);
    peer.message(2, &large_chunks).unwrap();
    peer.bytes(&unfinished(6, 3000)).unwrap();
    assert!(peer.session.wants_input());
    peer.bytes(&unfinished(7, 1)).unwrap();
    assert!(!peer.session.wants_input());
    peer.session.accept_publish(peer.now).unwrap();
    assert!(peer.session.wants_input());
}

/// Acknowledgements carry the connection's total, not what came since the last.
#[test]
fn acknowledgements_carry_the_total() {
    let mut peer = Peer::live(Limits::default());
    peer.message(2, &message(type_id::WINDOW_ACK_SIZE, 0, 0, 20_000_u32.to_be_bytes().to_vec())).unwrap();
    let mut totals = Vec::new();
    for timestamp in 0..8 {
        peer.message(6, &message(type_id::VIDEO, 1, timestamp, vec![1; 11_000])).unwrap();
        for reply in peer.replies.drain(..) {
            assert_eq!(reply.type_id, type_id::ACKNOWLEDGEMENT);
            totals.push(u32::from_be_bytes(reply.payload[..].try_into().unwrap()));
        }
    }
    assert_eq!(totals.len(), 4);
    assert!(totals[0] > 20_000 && totals.windows(2).all(|pair| pair[1] - pair[0] > 20_000), "{totals:?}");
}

/// A window of nothing, as broken or hostile clients announce it, does not make every read answered.
#[test]
fn tiny_windows_are_not_obeyed() {
    let mut peer = Peer::live(Limits::default());
    peer.message(2, &message(type_id::WINDOW_ACK_SIZE, 0, 0, vec![0; 4])).unwrap();
    peer.replies.clear();
    for timestamp in 0..100 {
        peer.message(6, &message(type_id::VIDEO, 1, timestamp, vec![1; 1000])).unwrap();
    }
    assert!((4..=8).contains(&peer.replies.len()), "{}", peer.replies.len());
}

/// An acknowledgement that a client has not read when it closes costs it the end of its stream (see `WINDOW_BYTES`), so
/// there is none that nobody asked for.
#[test]
fn acknowledgements_are_rare_unless_asked_for() {
    let mut peer = Peer::live(Limits::default());
    for timestamp in 0..20 {
        peer.message(6, &message(type_id::VIDEO, 1, timestamp, vec![1; 1_000_000])).unwrap();
    }
    assert!(peer.replies.is_empty());
}
