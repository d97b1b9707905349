//! Deadlines, in virtual time.

use std::time::Duration;

use super::super::error::{ErrorKind, Wait};
use super::super::event::{EndReason, Event};
use super::super::limits::Limits;
use super::super::message::type_id;
use super::peer::Peer;
use super::sender::message;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Round numbers for what is waited for.
fn patient() -> Limits {
    Limits {
        handshake_timeout: secs(10),
        setup_timeout: secs(15),
        idle_timeout: secs(30),
        media_timeout: secs(60),
        ..Limits::default()
    }
}

fn late(peer: &mut Peer, at: Duration) -> Wait {
    match peer.timeout_at(at).unwrap_err().kind {
        ErrorKind::Deadline(wait) => {
            assert!(peer.closed);
            wait
        }
        other => panic!("{other}"),
    }
}

#[test]
fn the_handshake_has_a_deadline_that_dripping_does_not_move() {
    let mut peer = Peer::new(patient());
    assert_eq!(peer.timeout, secs(10));
    assert_eq!(late(&mut peer, secs(10)), Wait::Handshake);

    let mut peer = Peer::new(patient());
    for second in 0..10 {
        peer.now = secs(second);
        peer.bytes(&[3]).unwrap();
    }
    peer.now = secs(10);
    assert_eq!(peer.bytes(&[3]).unwrap_err().kind, ErrorKind::Deadline(Wait::Handshake));
}

#[test]
fn a_publish_must_be_asked_for_in_time_and_again_after_one() {
    let mut peer = Peer::new(patient());
    peer.now = secs(3);
    peer.bytes(&[3; 3073]).unwrap();
    assert_eq!(peer.timeout, secs(18));
    peer.timeout_at(secs(17)).unwrap();
    peer.connect("live").unwrap();
    assert_eq!(peer.timeout, secs(18), "connecting is not publishing");
    assert_eq!(late(&mut peer, secs(18)), Wait::Publish);

    let mut peer = Peer::live(patient());
    peer.now = secs(100);
    peer.command(1, &[super::peer::text("closeStream")]).unwrap();
    assert_eq!(peer.timeout, secs(115));
}

#[test]
fn an_undecided_publish_is_refused_in_the_end() {
    let mut peer = Peer::publishing(Limits::default());
    peer.events.clear();
    assert_eq!(peer.timeout, secs(30));
    peer.timeout_at(secs(29)).unwrap();
    assert!(!peer.closed);
    peer.timeout_at(secs(30)).unwrap();
    assert!(peer.closed);
    assert_eq!(peer.statuses().pop().unwrap().1, "NetConnection.Connect.Closed");
    assert_eq!(peer.events(), [Event::PublishEnded { reason: EndReason::Undecided }]);
}

#[test]
fn silence_is_pinged_and_then_ended() {
    let mut peer = Peer::live(patient());
    assert_eq!(peer.timeout, secs(15));
    peer.timeout_at(secs(15)).unwrap();
    assert_eq!(peer.replies[0].payload[..2], [0, 6], "ping request");
    assert_eq!(peer.timeout, secs(30));
    peer.timeout_at(secs(20)).unwrap();
    assert_eq!(peer.replies.len(), 1, "one ping a silence");

    // The answer begins a new silence.
    peer.message(2, &message(type_id::USER_CONTROL, 0, 0, vec![0, 7, 0, 0, 0, 0])).unwrap();
    assert_eq!(peer.timeout, secs(35));
    peer.timeout_at(secs(35)).unwrap();
    assert_eq!(late(&mut peer, secs(50)), Wait::Input);
    let (_, code, description) = peer.statuses().pop().unwrap();
    assert_eq!(code, "NetConnection.Connect.Closed");
    assert_eq!(description, "silent: Nothing arrived for 30 s. Check the network and publish again.");
}

#[test]
fn chatter_without_media_is_ended_too() {
    let mut peer = Peer::live(patient());
    peer.now = secs(5);
    peer.message(6, &message(type_id::AUDIO, 1, 0, vec![1])).unwrap();
    for second in (10..65).step_by(5) {
        peer.now = secs(second);
        peer.message(2, &message(type_id::USER_CONTROL, 0, 0, vec![0, 7, 0, 0, 0, 0])).unwrap();
    }
    assert_eq!(peer.timeout, secs(65));
    assert_eq!(late(&mut peer, secs(65)), Wait::Media);
}

#[test]
fn a_pause_of_the_servers_own_is_not_the_peers_silence() {
    let mut peer = Peer::live(patient());
    peer.session.resume_input(secs(300));
    peer.drain();
    assert_eq!(peer.timeout, secs(315));
    peer.timeout_at(secs(314)).unwrap();
    assert!(!peer.closed);
}

/// Whatever is waited for in vain is told within ten seconds.
#[test]
fn by_default_nobody_is_waited_for_longer_than_ten_seconds() {
    let ten = secs(10);
    let limits = Limits::default();
    assert!(limits.handshake_timeout < ten && limits.setup_timeout < ten);
    assert!(limits.idle_timeout < ten && limits.media_timeout < ten);
}

#[test]
fn by_default_a_vanished_publisher_is_noticed_within_a_players_buffer() {
    let mut peer = Peer::live(Limits::default());
    assert_eq!(peer.timeout, Duration::from_millis(2_500));
    peer.timeout_at(peer.timeout).unwrap();
    assert_eq!(late(&mut peer, secs(5)), Wait::Input);
}
