//! The handshake: both schemes against a foreign client, from partial input, and what is refused.

use bytes::BytesMut;
use rml_rtmp::handshake::{Handshake as Client, HandshakeProcessResult, PeerType};

use super::super::error::ErrorKind;
use super::super::handshake::Handshake;

/// Feeds `bytes` in pieces; what the server sent, what was left over, and whether it is complete.
fn feed(handshake: &mut Handshake, bytes: &[u8], size: usize) -> (BytesMut, Vec<u8>, bool) {
    let (mut output, mut left, mut complete) = (BytesMut::new(), Vec::new(), false);
    for mut piece in bytes.chunks(size) {
        if !complete {
            complete = handshake.read(&mut piece, &mut output).unwrap();
        }
        left.extend_from_slice(piece);
    }
    (output, left, complete)
}

/// rml_rtmp checks the server's digest when its own C1 has one.
#[test]
fn a_client_with_digest_gets_a_digest() {
    for size in [1, 7, 1536, 1537, 4000] {
        let mut client = Client::new(PeerType::Client);
        let mut server = Handshake::new([3; 32]);
        let c0_c1 = client.generate_outbound_p0_and_p1().unwrap();
        let (reply, left, complete) = feed(&mut server, &c0_c1, size);
        assert_eq!((reply.len(), left.len(), complete), (3073, 0, false));
        assert_ne!(reply[1537..], c0_c1[1..], "not the echo of the simple scheme");
        let HandshakeProcessResult::Completed { response_bytes: mut c2, .. } =
            client.process_bytes(&reply).unwrap()
        else {
            panic!("the client is not content");
        };
        c2.extend_from_slice(b"behind");
        let (reply, left, complete) = feed(&mut server, &c2, size);
        assert_eq!((reply.len(), &left[..], complete), (0, &b"behind"[..], true));
        assert_eq!(server.consumed(), 3073);
    }
}

/// The digest's place depends on the packet's own bytes: whatever they are, each side finds the other's.
#[test]
fn digests_are_found_wherever_they_are() {
    for seed in 0..64 {
        let mut client = Client::new(PeerType::Client);
        let c0_c1 = client.generate_outbound_p0_and_p1().unwrap();
        let (reply, _, _) = feed(&mut Handshake::new([seed; 32]), &c0_c1, 4000);
        assert_ne!(reply[1537..], c0_c1[1..], "the server found the client's");
        let HandshakeProcessResult::Completed { response_bytes: c2, .. } =
            client.process_bytes(&reply).unwrap()
        else {
            panic!("the client is not content");
        };
        assert_ne!(c2, reply[1..1537], "the client found the server's");
    }
}

#[test]
fn a_client_without_digest_gets_its_packet_back() {
    let mut c0_c1 = vec![3, 0, 0, 0, 9, 0, 0, 0, 0];
    c0_c1.resize(1537, 0x5A);
    let mut server = Handshake::new([3; 32]);
    let (reply, _, _) = feed(&mut server, &c0_c1, 100);
    assert_eq!(reply[..9], [3, 0, 0, 0, 0, 0, 0, 0, 0], "version, time and zero");
    assert_eq!(reply[1537..], c0_c1[1..]);
    let (_, _, complete) = feed(&mut server, &reply[1..1537], 500);
    assert!(complete);
}

#[test]
fn random_bytes_differ_with_the_seed() {
    let reply = |seed| feed(&mut Handshake::new([seed; 32]), &[3; 1537], 2000).0;
    assert_ne!(reply(1), reply(2));
    assert_eq!(reply(1), reply(1));
}

#[test]
fn other_versions_are_refused_at_the_first_byte() {
    for version in [0, 6, 22, b'G'] {
        let refused = Handshake::new([0; 32]).read(&mut &[version][..], &mut BytesMut::new());
        assert_eq!(refused, Err(ErrorKind::HandshakeVersion { version }));
    }
}
