//! The chunk reader: every header form, interleaving and split; limits; what it forgives and what it does not.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::super::chunk_reader::{ChunkReader, Message};
use super::super::error::{Error, ErrorKind};
use super::super::limits::Limits;
use super::sender::{Sender, message};

/// Feeds `bytes` in pieces of `sizes`, over and over, and returns the messages.
fn read_in_pieces(limits: &Limits, bytes: &[u8], sizes: &[usize]) -> Result<Vec<Message>, Error> {
    let mut reader = ChunkReader::new(limits, 0);
    let mut messages = Vec::new();
    let mut rest = bytes;
    for size in sizes.iter().cycle() {
        let (mut piece, after) = rest.split_at((*size).clamp(1, rest.len().max(1)).min(rest.len()));
        while let Some(message) = reader.read(&mut piece)? {
            messages.push(message);
        }
        assert!(piece.is_empty());
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    Ok(messages)
}

fn read(bytes: &[u8]) -> Result<Vec<Message>, ErrorKind> {
    read_in_pieces(&Limits::default(), bytes, &[usize::MAX]).map_err(|error| error.kind)
}

/// One step of a generated conversation.
#[derive(Clone, Debug)]
struct Step {
    csid: u32,
    format: u8,
    type_id: u8,
    stream_id: u32,
    advance: u32,
    length: usize,
    chunk_size: Option<usize>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let csid = prop::sample::select(vec![3_u32, 4, 63, 64, 319, 320, 65_599]);
    let advance = prop_oneof![
        4 => Just(40_u32),
        2 => 0..1000_u32,
        1 => prop::sample::select(vec![0xFF_FFFE, 0xFF_FFFF, 0x100_0000, u32::MAX, u32::MAX - 39]),
        1 => any::<u32>(),
    ];
    let length = prop_oneof![3 => Just(200_usize), 2 => 0..700_usize, 1 => Just(0)];
    let chunk_size = prop::option::weighted(0.1, prop_oneof![1..300_usize, Just(4096)]);
    let step =
        (csid, 0..4_u8, prop::sample::select(vec![8_u8, 9, 18]), 0..2_u32, advance, length, chunk_size)
            .prop_map(|(csid, format, type_id, stream_id, advance, length, chunk_size)| Step {
                csid,
                format,
                type_id,
                stream_id,
                advance,
                length,
                chunk_size,
            });
    prop::collection::vec(step, 1..60)
}

/// The bytes of a conversation, and its messages in the order in which they become whole.
fn conversation(steps: &[Step], repeats: bool) -> (BytesMut, Vec<Message>) {
    let mut sender = Sender::new();
    sender.repeats = repeats;
    let (mut bytes, mut messages) = (BytesMut::new(), Vec::new());
    let mut clock = 0_u32;
    for (number, step) in steps.iter().enumerate() {
        if let Some(size) = step.chunk_size {
            let announced = u32::try_from(size).unwrap().to_be_bytes();
            sender.message(2, &message(1, 0, 0, announced.to_vec()), &mut bytes);
            sender.chunk_size = size;
        }
        let next = || {
            clock = clock.wrapping_add(step.advance);
            // Payload bytes with the top bit set and numbered, so that no two messages look alike.
            let payload = (0..step.length).map(|at| u8::try_from((at * 7 + number) % 127).unwrap() | 0x80);
            Some(message(step.type_id, step.stream_id, clock, payload.collect::<Vec<_>>()))
        };
        messages.extend(sender.chunk(step.csid, step.format, next, &mut bytes));
    }
    for csid in sender.unfinished() {
        while !sender.unfinished().is_empty() {
            let done = sender.chunk(csid, 3, || None, &mut bytes);
            let finished = done.is_some();
            messages.extend(done);
            if finished {
                break;
            }
        }
    }
    // More input behind, so that a last chunk that may be mistaken for an extended timestamp is decided.
    let last = message(8, 1, 7, vec![0x55; 20]);
    sender.message(5, &last, &mut bytes);
    messages.push(last);
    (bytes, messages)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_conversation_is_read_the_same_at_every_split(
        steps in steps(),
        repeats: bool,
        sizes in prop::collection::vec(1..400_usize, 1..20),
    ) {
        let (bytes, messages) = conversation(&steps, repeats);
        let limits = Limits::default();
        prop_assert_eq!(&read_in_pieces(&limits, &bytes, &[usize::MAX]).unwrap(), &messages);
        prop_assert_eq!(&read_in_pieces(&limits, &bytes, &[1]).unwrap(), &messages);
        prop_assert_eq!(&read_in_pieces(&limits, &bytes, &sizes).unwrap(), &messages);
    }

    #[test]
    fn arbitrary_bytes_give_the_same_result_at_every_split(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(4), Just(0xC4)], 0..600),
        sizes in prop::collection::vec(1..40_usize, 1..10),
    ) {
        let limits = Limits { max_message_bytes: 5000, max_buffered_bytes: 8000, ..Limits::default() };
        let whole = read_in_pieces(&limits, &bytes, &[usize::MAX]);
        prop_assert_eq!(&read_in_pieces(&limits, &bytes, &[1]), &whole);
        prop_assert_eq!(&read_in_pieces(&limits, &bytes, &sizes), &whole);
    }
}

/// 128 of 200 bytes on one chunk stream, then a whole message on another: legal, and the end of servers that keep one
/// unfinished body for all chunk streams.
#[test]
fn interleaved_messages_are_kept_apart() {
    let (long, short) = (message(9, 1, 0, vec![1; 200]), message(8, 1, 0, vec![2; 10]));
    let (mut sender, mut bytes) = (Sender::new(), BytesMut::new());
    sender.chunk(4, 0, || Some(long.clone()), &mut bytes);
    sender.message(6, &short, &mut bytes);
    sender.chunk(4, 0, || None, &mut bytes);
    assert_eq!(read(&bytes).unwrap(), [short, long]);
}

#[test]
fn type_3_chunks_may_leave_the_extended_timestamp_out() {
    for repeats in [true, false] {
        let (mut sender, mut bytes) = (Sender::new(), BytesMut::new());
        sender.repeats = repeats;
        // After two of them the payload looks like the timestamp, to which a sender that leaves it out has a right.
        let mut payload = vec![0xAA; 400];
        payload[256..260].copy_from_slice(&0x0123_4567_u32.to_be_bytes());
        let messages = [message(9, 1, 0x0123_4567, payload), message(9, 1, 0x0123_4567 + 40, vec![3; 300])];
        for message in &messages {
            sender.message(4, message, &mut bytes);
        }
        assert_eq!(read(&bytes).unwrap(), messages, "repeats: {repeats}");
    }
}

#[test]
fn a_repeated_timestamp_may_be_absolute_where_the_header_had_a_delta() {
    let mut bytes = BytesMut::new();
    Sender::new().message(4, &message(9, 1, 1000, vec![1; 5]), &mut bytes);
    bytes.extend_from_slice(&[0x44, 0xFF, 0xFF, 0xFF, 0, 0, 130, 9, 1, 0, 0, 0]);
    bytes.extend_from_slice(&[7; 128]);
    bytes.extend_from_slice(&[0xC4, 1, 0, 0x03, 0xE8, 7, 7]);
    let messages = read(&bytes).unwrap();
    assert_eq!(messages[1], message(9, 1, 0x0100_03E8, vec![7; 130]));
}

#[test]
fn a_new_message_of_type_3_repeats_the_delta_and_after_type_0_the_timestamp() {
    let mut bytes = BytesMut::from(&[0x04, 0, 0, 40, 0, 0, 1, 8, 1, 0, 0, 0, 0xA1][..]);
    bytes.extend_from_slice(&[0xC4, 0xA2]);
    bytes.extend_from_slice(&[0x84, 0, 0, 23, 0xA3]);
    bytes.extend_from_slice(&[0xC4, 0xA4]);
    let timestamps: Vec<_> = read(&bytes).unwrap().iter().map(|message| message.timestamp).collect();
    assert_eq!(timestamps, [40, 80, 103, 126]);
}

#[test]
fn timestamps_wrap_around() {
    let mut bytes =
        BytesMut::from(&[0x04, 0xFF, 0xFF, 0xFF, 0, 0, 1, 8, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xF0, 1][..]);
    bytes.extend_from_slice(&[0x84, 0, 0, 0x20, 2]);
    let timestamps: Vec<_> = read(&bytes).unwrap().iter().map(|message| message.timestamp).collect();
    assert_eq!(timestamps, [0xFFFF_FFF0, 0x10]);
}

#[test]
fn abort_discards_the_unfinished_message_only() {
    let (mut sender, mut bytes) = (Sender::new(), BytesMut::new());
    sender.chunk(4, 0, || Some(message(9, 1, 0, vec![1; 200])), &mut bytes);
    let abort = |csid: u32| message(2, 0, 0, csid.to_be_bytes().to_vec());
    sender.message(2, &abort(4), &mut bytes);
    sender.message(2, &abort(77), &mut bytes);
    let after = message(9, 1, 40, vec![5; 150]);
    let mut fresh = Sender::new();
    fresh.message(4, &after, &mut bytes);
    assert_eq!(read(&bytes).unwrap(), [after]);
}

#[test]
fn a_continuation_may_repeat_the_full_header_but_not_begin_another_message() {
    let header = [0x04, 0, 0, 0, 0, 0, 130, 9, 1, 0, 0, 0];
    let mut bytes = BytesMut::from(&header[..]);
    bytes.extend_from_slice(&[1; 128]);
    let mut same = bytes.clone();
    same.extend_from_slice(&header);
    same.extend_from_slice(&[1; 2]);
    assert_eq!(read(&same).unwrap(), [message(9, 1, 0, vec![1; 130])]);

    bytes.extend_from_slice(&[0x04, 0, 0, 0, 0, 0, 2, 8, 1, 0, 0, 0]);
    let expected = ErrorKind::MessageInsideMessage { csid: 4, message_type: 8, unfinished_type: 9 };
    assert_eq!(read(&bytes).unwrap_err(), expected);
}

#[test]
fn a_fresh_chunk_stream_may_begin_with_type_1_but_not_2_or_3() {
    let ping = [0x42, 0, 0, 0, 0, 0, 6, 4, 0, 6, 0, 0, 0, 13];
    assert_eq!(read(&ping).unwrap(), [message(4, 0, 0, vec![0, 6, 0, 0, 0, 13])]);
    assert_eq!(read(&[0x84, 0, 0, 0]).unwrap_err(), ErrorKind::FreshChunkStream { csid: 4, format: 2 });
    assert_eq!(read(&[0xC4]).unwrap_err(), ErrorKind::FreshChunkStream { csid: 4, format: 3 });
}

#[test]
fn chunk_stream_ids_have_three_forms() {
    for (header, csid) in [
        (&[0xC2][..], 2),
        (&[0xFF], 63),
        (&[0xC0, 0], 64),
        (&[0xC0, 255], 319),
        (&[0xC1, 0, 1], 320),
        (&[0xC1, 0x34, 0x12], 0x1234 + 64),
        (&[0xC1, 255, 255], 65_599),
    ] {
        assert_eq!(read(header).unwrap_err(), ErrorKind::FreshChunkStream { csid, format: 3 });
    }
}

#[test]
fn chunk_sizes_are_checked_and_clamped() {
    let set = |size: u32| {
        let mut bytes = BytesMut::new();
        Sender::new().message(2, &message(1, 0, 0, size.to_be_bytes().to_vec()), &mut bytes);
        bytes
    };
    assert_eq!(read(&set(0)).unwrap_err(), ErrorKind::ChunkSize { size: 0 });
    assert_eq!(read(&set(0x8000_0000)).unwrap_err(), ErrorKind::ChunkSize { size: 0x8000_0000 });
    for size in [1, 0xFF_FFFF, 0x7FFF_FFFF] {
        let mut bytes = set(size);
        let mut sender = Sender::new();
        sender.chunk_size = usize::try_from(size).unwrap();
        let long = message(9, 1, 0, vec![1; 1000]);
        sender.message(4, &long, &mut bytes);
        assert_eq!(read(&bytes).unwrap(), [long]);
    }
    let mut cut = BytesMut::new();
    Sender::new().message(2, &message(1, 0, 0, vec![0, 1]), &mut cut);
    assert_eq!(read(&cut).unwrap_err(), ErrorKind::ControlTruncated { message_type: 1, length: 2 });
}

#[test]
fn limits_hold_and_errors_say_where() {
    let limits =
        Limits { max_message_bytes: 300, max_chunk_streams: 2, max_buffered_bytes: 400, ..Limits::default() };
    let read = |bytes: &[u8]| read_in_pieces(&limits, bytes, &[usize::MAX]).unwrap_err();

    let error = read(&[0x04, 0, 0, 0, 0, 1, 45, 9, 1, 0, 0, 0]);
    assert_eq!(error.kind, ErrorKind::MessageTooLarge { csid: 4, message_type: 9, length: 301, limit: 300 });
    assert_eq!(error.offset, 12);

    let (mut sender, mut bytes) = (Sender::new(), BytesMut::new());
    sender.chunk_size = 250;
    sender.message(2, &message(1, 0, 0, 250_u32.to_be_bytes().to_vec()), &mut bytes);
    let mut two = bytes.clone();
    for csid in [4, 6] {
        sender.chunk(csid, 0, || Some(message(9, 1, 0, vec![0; 300])), &mut two);
    }
    // Set chunk size was one chunk stream, 4 the second, 6 is the third.
    assert_eq!(read(&two).kind, ErrorKind::TooManyChunkStreams { csid: 6, limit: 2 });

    let limits = Limits { max_chunk_streams: 9, ..limits.clone() };
    let error = read_in_pieces(&limits, &two, &[usize::MAX]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BufferedTooMuch { limit: 400 });

    // Whole messages free what they held.
    let mut many = bytes;
    for timestamp in 0..50 {
        sender.message(8, &message(9, 1, timestamp, Bytes::from(vec![0; 300])), &mut many);
    }
    assert_eq!(read_in_pieces(&limits, &many, &[usize::MAX]).unwrap().len(), 50);
}
