//! The handshake: both schemes against a foreign client, from partial input, and what is refused.

use bytes::BytesMut;
use hmac::{Hmac, Mac};
use rml_rtmp::handshake::{Handshake as Client, HandshakeProcessResult, PeerType};
use sha2::Sha256;

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

/// Flash's two schemes, by hand: where C1's own bytes name the digest's place, S1's name it in the same way; S2 is signed with a key made
/// of C1's digest.
#[test]
fn each_scheme_is_answered_in_kind() {
    const SUFFIX: &str = "f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae";
    let mac = |key: &[u8], parts: &[&[u8]]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().to_vec()
    };
    let suffix: Vec<u8> =
        (0..32).map(|n| u8::from_str_radix(&SUFFIX[2 * n..2 * n + 2], 16).unwrap()).collect();
    // The bytes that name the place, and where what they name is counted from.
    for (field, base) in [(8, 12), (772, 776)] {
        for seed in 0..16_u8 {
            let place = |packet: &[u8]| {
                base + packet[field..field + 4].iter().map(|byte| usize::from(*byte)).sum::<usize>() % 728
            };
            let mut c1: Vec<u8> =
                (0..1536_usize).map(|n| u8::try_from(n * 7 % 251).unwrap() ^ seed).collect();
            c1[..8].copy_from_slice(&[0, 0, 0, 1, 128, 0, 7, 2]);
            let at = place(&c1);
            let digest = mac(b"Genuine Adobe Flash Player 001", &[&c1[..at], &c1[at + 32..]]);
            c1[at..at + 32].copy_from_slice(&digest);
            let mut server = Handshake::new([seed; 32]);
            let (reply, _, _) = feed(&mut server, &[&[3], &c1[..]].concat(), 777);
            let (s1, s2) = (&reply[1..1537], &reply[1537..]);
            assert!(s1[4] >= 3, "a version that has digests");
            let at = place(s1);
            let own = mac(b"Genuine Adobe Flash Media Server 001", &[&s1[..at], &s1[at + 32..]]);
            assert_eq!(s1[at..at + 32], own, "S1, {field} {seed}");
            let key = mac(&[&b"Genuine Adobe Flash Media Server 001"[..], &suffix].concat(), &[&digest]);
            assert_eq!(s2[1504..], mac(&key, &[&s2[..1504]]), "S2, {field} {seed}");
        }
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
