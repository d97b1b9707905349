//! The whole session: bytes and time in, everything out.

use std::time::Duration;

use super::{
    super::{
        error::{Error, ErrorKind, NotPending},
        event::{Event, Output},
        limits::Limits,
        session::{Config, Session},
    },
    Dice,
};

/// Longest input that is also read byte by byte.
const BYTE_BY_BYTE_MAX: usize = 8 * 1024;
/// Most bytes the server may say for each byte it was told, and besides (the handshake's answers, a refusal's sentences).
const ANSWER_PER_BYTE: usize = 64;
const ANSWER_BASE: usize = 8 * 1024;

/// Bounds that small inputs reach.
fn config() -> Config {
    let limits = Limits {
        max_message_bytes: 70_000,
        max_chunk_streams: 6,
        max_buffered_bytes: 90_000,
        max_buffered_idle_bytes: 10_000,
        max_amf_bytes: 4096,
        held_media_pause_bytes: 2000,
        held_media_max_bytes: 8000,
        ..Limits::default()
    };
    Config { public_url: "rtmps://ingest.example.com/live".to_owned(), limits }
}

/// Four bytes of seed, then what a client sends from its first byte on.
///
/// The seed says in which pieces it comes, how time passes between them, and how and when a publish is decided. Whatever comes: there is an end
/// to what is put out at once and it is in proportion to what was said; deadlines lie ahead; events come in an order that can be (media only
/// in an accepted publish, one publish at a time, an end only of a beginning); what is held is within its bounds; after a fault or a close
/// there is nothing but the close. Events and fault are the same byte by byte, if time stands still and each publish is accepted at once.
pub fn session(data: &[u8]) {
    let Some((mut dice, input)) = Dice::take(data) else { return };
    timed(&mut dice, input);
    if input.len() <= BYTE_BY_BYTE_MAX {
        let (events, fault, borders) = standing(input, std::iter::repeat(1), &[]);
        let most = 1 + dice.below(2000);
        let sizes = std::iter::repeat_with(|| 1 + dice.below(most));
        let (others, other_fault, _) = standing(input, sizes, &borders);
        assert_eq!(other_fault, fault, "pieces of up to {most}");
        assert!(
            others.len() == events.len() && others.iter().zip(&events).all(|(a, b)| same(a, b)),
            "pieces of up to {most}: {others:?}\n{events:?}"
        );
    }
}

/// Whether two events are the same. A number of the metadata that is none is not equal to itself, but is written alike.
fn same(a: &Event, b: &Event) -> bool {
    match (a, b) {
        (Event::Metadata(_), Event::Metadata(_)) => format!("{a:?}") == format!("{b:?}"),
        _ => a == b,
    }
}

/// What the events so far allow.
#[derive(Default)]
struct Watch {
    connected: bool,
    /// There was a wish to publish.
    wished: bool,
    requested: bool,
    live: bool,
    closed: bool,
}

impl Watch {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Connected { client } => {
                assert!(!self.connected && client.chars().count() <= 64);
                self.connected = true;
            }
            Event::PublishRequested(request) => {
                assert!(self.connected && !self.requested && !self.live);
                assert!((1..=256).contains(&request.key.reveal().len()));
                assert!(format!("{event:?}").contains("redacted"));
                (self.wished, self.requested) = (true, true);
            }
            Event::Video { payload, .. } | Event::Audio { payload, .. } => {
                assert!(self.live && !payload.is_empty());
            }
            Event::Metadata(_) => assert!(self.live),
            Event::PublishEnded { .. } => {
                assert!(self.requested || self.live);
                (self.requested, self.live) = (false, false);
            }
            Event::Refused { .. } | Event::Ignored { .. } => {}
        }
    }
}

fn timed(dice: &mut Dice, input: &[u8]) {
    let config = config();
    let mut session = Session::new(config.clone(), [7; 32]);
    let (mut now, mut rest, mut watch) = (Duration::ZERO, input, Watch::default());
    let (mut said, mut heard) = (0usize, 0usize);
    let (most, slow) = (1 + dice.below(4096), dice.below(8) == 0);
    let mut decide_in = None;
    let mut deadline = drain(&mut session, &mut watch, &mut heard, None);
    while let Some(at) = deadline {
        let holdable = match watch.wished {
            true => config.limits.max_buffered_bytes + config.limits.held_media_max_bytes,
            false => config.limits.max_buffered_idle_bytes,
        };
        assert!(session.held() <= holdable);
        if watch.requested && decide_in.is_none() {
            decide_in = Some(dice.below(4));
        }
        now += Duration::from_millis(
            u64::try_from(dice.below(if slow { 9000 } else { 40 })).unwrap_or_default(),
        );
        let mut fault = None;
        match decide_in {
            Some(0) => {
                let decided = match dice.below(5) {
                    0 => session.refuse_publish("NetStream.Publish.BadName", "Please check the key."),
                    _ => session.accept_publish(now).inspect(|()| watch.live = true),
                };
                assert_eq!(decided.is_ok(), watch.requested);
                (watch.requested, decide_in) = (false, None);
            }
            left => {
                decide_in = left.map(|left| left - 1);
                if now >= at && dice.below(2) == 0 {
                    fault = session.handle_timeout(now).err();
                } else if session.wants_input() {
                    if rest.is_empty() {
                        break;
                    }
                    let (piece, after) = rest.split_at((1 + dice.below(most)).min(rest.len()));
                    (rest, said) = (after, said + piece.len());
                    fault = session.handle_input(now, piece).err();
                } else if decide_in.is_none() {
                    assert!(watch.requested, "nothing waits, and nothing is wanted");
                }
            }
        }
        watch.closed = fault.is_some();
        if let Some(fault) = &fault {
            assert!(fault.offset <= u64::try_from(said).unwrap_or(u64::MAX));
        }
        deadline = drain(&mut session, &mut watch, &mut heard, fault.as_ref());
        assert!(heard <= ANSWER_BASE + said * ANSWER_PER_BYTE, "{heard} bytes for {said}");
    }
    if deadline.is_none() {
        // Over is over.
        assert_eq!(session.handle_input(now, b"\x03more"), Ok(()));
        assert_eq!(session.handle_timeout(now + Duration::from_secs(60)), Ok(()));
        assert_eq!(session.accept_publish(now), Err(NotPending));
        assert_eq!(session.poll_output(), Output::Close);
    }
}

/// The next deadline, or `None` when the session has closed.
fn drain(
    session: &mut Session,
    watch: &mut Watch,
    heard: &mut usize,
    fault: Option<&Error>,
) -> Option<Duration> {
    loop {
        match session.poll_output() {
            Output::Transmit(bytes) => {
                assert!(!bytes.is_empty());
                *heard += bytes.len();
            }
            Output::Event(event) => watch.event(&event),
            Output::Close => return None,
            Output::Timeout(at) => {
                assert!(fault.is_none(), "it goes on after a fault");
                return Some(at);
            }
        }
    }
}

/// Events and fault with time standing still and each publish accepted at once, and where that was. `borders`: places where pieces end.
fn standing(
    input: &[u8],
    sizes: impl Iterator<Item = usize>,
    borders: &[usize],
) -> (Vec<Event>, Option<ErrorKind>, Vec<usize>) {
    let mut session = Session::new(config(), [7; 32]);
    let (mut events, mut accepted, mut at, mut now) = (Vec::new(), Vec::new(), 0, Duration::ZERO);
    for size in sizes {
        let border = borders.iter().copied().find(|border| *border > at).unwrap_or(input.len());
        let to = (at + size).min(border).min(input.len());
        let fault = session.handle_input(now, &input[at..to]).err();
        at = to;
        let mut over = false;
        loop {
            match session.poll_output() {
                Output::Transmit(_) => {}
                Output::Event(event) => {
                    if matches!(event, Event::PublishRequested(_)) {
                        accepted.push(at);
                    }
                    events.push(event);
                }
                Output::Close => {
                    over = true;
                    break;
                }
                Output::Timeout(_) => break,
            }
        }
        if accepted.last() == Some(&at) && session.accept_publish(now).is_err() {
            assert!(over, "what was asked for can be accepted");
        }
        if over || at == input.len() {
            return (events, fault.map(|fault| fault.kind), accepted);
        }
        now += Duration::ZERO;
    }
    (events, None, accepted)
}
