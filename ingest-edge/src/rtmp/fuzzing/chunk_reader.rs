//! The chunk reader.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::{
    super::{
        chunk_reader::{ChunkReader, Message},
        error::Error,
        limits::Limits,
        sender::Sender,
    },
    Dice,
};

/// Every split point of an input up to so many bytes is tried, and of a longer one some.
const ALL_SPLITS: usize = 256;
const SOME_SPLITS: usize = 24;

/// Bounds that small inputs reach.
fn limits() -> Limits {
    Limits {
        max_message_bytes: 70_000,
        max_chunk_streams: 6,
        max_buffered_bytes: 90_000,
        ..Limits::default()
    }
}

/// Four bytes of seed, then what follows the handshake on a connection.
///
/// The messages, and the fault and its place, are the same in one piece, byte by byte, in two pieces with the border at every place, and in
/// pieces of random sizes; what is held never passes its bound, nor what has come in. The messages, sent again by a client that interleaves
/// them on several chunk streams in chunks of random sizes, with and without repeated extended timestamps, come out as the same.
pub fn chunk_reader(data: &[u8]) {
    let Some((mut dice, input)) = Dice::take(data) else { return };
    let whole = read(input, std::iter::once(input.len()));
    assert_eq!(read(input, std::iter::repeat(1)), whole, "byte by byte");
    let step = if input.len() <= ALL_SPLITS { 1 } else { input.len() / SOME_SPLITS };
    for split in (1..input.len()).step_by(step) {
        assert_eq!(read(input, [split, input.len()].into_iter()), whole, "split at {split}");
    }
    let most = 1 + dice.below(300);
    let sizes = std::iter::repeat_with(|| 1 + dice.below(most));
    assert_eq!(read(input, sizes), whole, "pieces of up to {most}");
    again(&whole.messages, &mut dice);
}

#[derive(Debug, PartialEq)]
struct Read {
    messages: Vec<Message>,
    fault: Option<Error>,
}

fn read(input: &[u8], sizes: impl Iterator<Item = usize>) -> Read {
    let limits = limits();
    let mut reader = ChunkReader::new(&limits, 3073);
    let (mut messages, mut rest, mut seen) = (Vec::new(), input, 0);
    for size in sizes {
        let (mut piece, after) = rest.split_at(size.min(rest.len()));
        seen += piece.len();
        rest = after;
        loop {
            match reader.read(&mut piece) {
                Ok(Some(message)) => {
                    assert!(message.payload.len() <= limits.max_message_bytes);
                    messages.push(message);
                }
                Ok(None) => break,
                Err(fault) => return Read { messages, fault: Some(fault) },
            }
        }
        assert!(piece.is_empty(), "input was left");
        assert!(reader.held() <= limits.max_buffered_bytes.min(seen), "{} of {seen} are held", reader.held());
        if rest.is_empty() {
            break;
        }
    }
    Read { messages, fault: None }
}

/// Sends the messages interleaved, each chunk stream's own in order.
fn again(messages: &[Message], dice: &mut Dice) {
    const STREAMS: [u32; 4] = [3, 63, 64, 65_599];
    for repeats in [true, false] {
        let mut queues = STREAMS.map(|_| VecDeque::new());
        for message in messages.iter().take(64).filter(|message| !matches!(message.type_id, 1 | 2)) {
            queues[dice.below(STREAMS.len())].push_back(message.clone());
        }
        let mut sender = Sender::new();
        sender.repeats = repeats;
        let (mut bytes, mut sent) = (BytesMut::new(), Vec::new());
        let size = 1 + u32::try_from(dice.below(5000)).unwrap_or_default();
        let announced =
            Message { type_id: 1, stream_id: 0, timestamp: 0, payload: size.to_be_bytes().to_vec().into() };
        sender.message(2, &announced, &mut bytes);
        sender.chunk_size = usize::try_from(size).unwrap_or(usize::MAX);
        while queues.iter().any(|queue| !queue.is_empty()) || !sender.unfinished().is_empty() {
            let stream = dice.below(STREAMS.len());
            let format = u8::try_from(dice.below(4)).unwrap_or_default();
            let message = sender.chunk(STREAMS[stream], format, || queues[stream].pop_front(), &mut bytes);
            sent.extend(message);
        }
        // So that a chunk that ends in what may be an extended timestamp is decided.
        let last = Message { type_id: 8, stream_id: 1, timestamp: 7, payload: vec![0x55; 20].into() };
        sender.message(5, &last, &mut bytes);
        sent.push(last);
        let Read { messages, fault } = read(&bytes, std::iter::repeat_with(|| 1 + dice.below(4000)));
        assert!(
            sender.imitated || messages == sent,
            "{} of {} messages: {fault:?}",
            messages.len(),
            sent.len()
        );
    }
}
