//! Aggregate messages: timestamps, streams, and tags cut short.

use super::super::aggregate::split;
use super::super::error::ErrorKind;
use super::sender::message;

/// One tag with its back pointer.
pub(super) fn tag(type_id: u8, timestamp: u32, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len()).unwrap().to_be_bytes();
    let [t3, t2, t1, t0] = timestamp.to_be_bytes();
    let mut tag = vec![type_id, size[1], size[2], size[3], t2, t1, t0, t3, 0, 0, 9];
    tag.extend_from_slice(body);
    tag.extend_from_slice(&(11 + u32::try_from(body.len()).unwrap()).to_be_bytes());
    tag
}

#[test]
fn timestamps_move_with_the_aggregate_and_wrap() {
    let payload = [tag(9, 100, b"one"), tag(8, 123, b"two"), tag(9, 80, b"")].concat();
    let messages = split(&message(22, 1, u32::MAX, payload)).unwrap();
    let expected = [
        message(9, 1, u32::MAX, &b"one"[..]),
        message(8, 1, 22, &b"two"[..]),
        message(9, 1, u32::MAX - 20, &b""[..]),
    ];
    assert_eq!(messages, expected);
}

#[test]
fn the_upper_timestamp_bits_count_and_the_last_back_pointer_may_lack() {
    let mut payload = [tag(9, 0x0200_0000, b"one"), tag(9, 0x0200_0005, b"two")].concat();
    payload.truncate(payload.len() - 4);
    let timestamps: Vec<_> =
        split(&message(22, 1, 40, payload)).unwrap().iter().map(|m| m.timestamp).collect();
    assert_eq!(timestamps, [40, 45]);
}

#[test]
fn a_cut_tag_is_an_error_with_its_place() {
    let payload = [tag(9, 0, b"one"), tag(8, 1, b"two")].concat();
    for cut in [19, 28, 29, 31] {
        let error = split(&message(22, 1, 0, payload[..cut].to_vec())).unwrap_err();
        assert_eq!(error, ErrorKind::AggregateTruncated { position: 18, length: cut });
    }
    assert_eq!(split(&message(22, 1, 0, vec![])).unwrap(), []);
}
