//! The server's side of the handshake (§5.2), simple and with digest, from whatever pieces the input comes in.
//!
//! Invariants: at most C0, C1 and C2 (3073 bytes) are ever consumed and at most one 1536-byte packet is held; nothing
//! is sent before C1 is whole. A client whose C1 carries a valid digest (Flash's scheme: HMAC-SHA256 at an offset that
//! the packet itself names, in one of two places) is answered in that scheme, any other gets its C1 echoed. C2 is not
//! verified: it proves nothing about the client, and deployed clients get it wrong.

use bytes::{BufMut, Bytes, BytesMut};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::error::ErrorKind;

/// C1, C2, S1 and S2 (§5.2.3).
const PACKET: usize = 1536;
const DIGEST: usize = 32;
const VERSION: u8 = 3;
/// Key for a client's digest.
const CLIENT_KEY: &[u8] = b"Genuine Adobe Flash Player 001";
/// Key for a server's digest.
const SERVER_KEY: &[u8] = b"Genuine Adobe Flash Media Server 001";
/// What follows either key where S2 and C2 are signed.
const KEY_SUFFIX: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57, 0x6e,
    0xec, 0x5d, 0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];
/// Version in S1 when the digest scheme is used; any value from 3 up makes clients look for the digest.
const DIGEST_SERVER_VERSION: [u8; 4] = [4, 5, 0, 1];
/// The digest's offset is named by four bytes here, counted from just after them.
const OFFSET_FIELDS: [usize; 2] = [772, 8];
/// The named offset is taken modulo this, so that the digest stays inside its half.
const OFFSET_MODULUS: usize = 728;

/// What the handshake waits for.
enum Stage {
    Version,
    C1,
    C2,
}

/// An unfinished handshake.
pub(crate) struct Handshake {
    stage: Stage,
    packet: BytesMut,
    seed: [u8; 32],
    consumed: u64,
}

impl Handshake {
    /// `seed` is what the packets' random bytes are derived from; it need not be secret, only different each time.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { stage: Stage::Version, packet: BytesMut::with_capacity(PACKET), seed, consumed: 0 }
    }

    /// Bytes consumed so far.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Takes from `input` what belongs to the handshake, appends replies to `output`; true once it is complete.
    pub(crate) fn read(&mut self, input: &mut &[u8], output: &mut BytesMut) -> Result<bool, ErrorKind> {
        loop {
            match self.stage {
                Stage::Version => {
                    let Some((&version, rest)) = input.split_first() else { return Ok(false) };
                    if version != VERSION {
                        return Err(ErrorKind::HandshakeVersion { version });
                    }
                    *input = rest;
                    self.consumed += 1;
                    self.stage = Stage::C1;
                }
                Stage::C1 => {
                    let Some(c1) = self.take_packet(input) else { return Ok(false) };
                    self.reply(&c1, output);
                    self.stage = Stage::C2;
                }
                Stage::C2 => return Ok(self.take_packet(input).is_some()),
            }
        }
    }

    fn take_packet(&mut self, input: &mut &[u8]) -> Option<Bytes> {
        let wanted = PACKET.saturating_sub(self.packet.len()).min(input.len());
        let (taken, rest) = input.split_at(wanted);
        self.packet.put_slice(taken);
        *input = rest;
        self.consumed += u64::try_from(wanted).unwrap_or_default();
        (self.packet.len() == PACKET).then(|| self.packet.split().freeze())
    }

    /// S0, S1 and S2.
    fn reply(&self, c1: &[u8], output: &mut BytesMut) {
        let mut s1 = self.random(1);
        s1[..8].fill(0);
        output.put_u8(VERSION);
        let Some((client_digest, field)) = find_digest(c1, CLIENT_KEY) else {
            output.put_slice(&s1);
            output.put_slice(c1);
            return;
        };
        s1[4..8].copy_from_slice(&DIGEST_SERVER_VERSION);
        let at = digest_offset(&s1, field);
        let digest = hmac(SERVER_KEY, &[&s1[..at], &s1[at + DIGEST..]]);
        s1[at..at + DIGEST].copy_from_slice(&digest);
        output.put_slice(&s1);
        output.put_slice(&signed_packet(self.random(2), SERVER_KEY, &client_digest));
    }

    /// A packet of random bytes: SHA-256 in counter mode over the seed.
    fn random(&self, purpose: u8) -> [u8; PACKET] {
        let mut packet = [0; PACKET];
        for (counter, block) in (0_u8..).zip(packet.chunks_exact_mut(DIGEST)) {
            let mut hash = Sha256::new();
            hash.update(self.seed);
            hash.update([purpose, counter]);
            block.copy_from_slice(&hash.finalize());
        }
        packet
    }
}

/// Signs a packet's last 32 bytes with a key derived from the peer's digest.
fn signed_packet(mut packet: [u8; PACKET], key: &[u8], peer_digest: &[u8; DIGEST]) -> [u8; PACKET] {
    let key = hmac(&[key, &KEY_SUFFIX[..]].concat(), &[peer_digest]);
    let signature = hmac(&key, &[&packet[..PACKET - DIGEST]]);
    packet[PACKET - DIGEST..].copy_from_slice(&signature);
    packet
}

/// The digest and the place that named its offset, if the packet has a valid one.
fn find_digest(packet: &[u8], key: &[u8]) -> Option<([u8; DIGEST], usize)> {
    OFFSET_FIELDS.into_iter().find_map(|field| {
        let at = digest_offset(packet, field);
        let (before, rest) = packet.split_at_checked(at)?;
        let (digest, after) = rest.split_first_chunk::<DIGEST>()?;
        (hmac(key, &[before, after]) == *digest).then_some((*digest, field))
    })
}

fn digest_offset(packet: &[u8], field: usize) -> usize {
    let named: usize = packet.iter().skip(field).take(4).map(|&byte| usize::from(byte)).sum();
    named % OFFSET_MODULUS + field + 4
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; DIGEST] {
    // HMAC takes keys of any length; the error exists only because the trait is shared with fixed-key MACs.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; DIGEST] };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
