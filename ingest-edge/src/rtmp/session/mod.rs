//! One publisher's connection as a state machine: bytes and time in; bytes, events and deadlines out.
//!
//! Invariants:
//! - Order is `Handshake → Connecting → Connected → Closing`; nothing leaves `Closing`, and input is ignored there.
//! - At most one publish exists, and it is undecided or live. Media outside a publish is dropped.
//! - **Media ahead of the decision is held back**, not lost: it comes out right after `accept_publish`, in order. While
//!   more than a bound of it is held, `wants_input` is false; a shell that reads on regardless gets an error.
//! - Whoever has not been allowed to publish makes the server hold little: unfinished messages have one bound before a publish is wished for,
//!   and count as media held back until it is decided.
//! - A session that has returned an error is closing; what it had put out before remains to be drained.

mod commands;
mod deadlines;
mod media;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;

use self::deadlines::Clocks;
use super::chunk_reader::{ChunkReader, Message};
use super::chunk_writer::ChunkWriter;
use super::command::{self, StatusLevel};
use super::error::{Error, ErrorKind, NotPending};
use super::event::{Event, Output};
use super::handshake::Handshake;
use super::limits::{Limits, MIN_WINDOW_BYTES, WINDOW_BYTES};
use super::message::{self, Outgoing, type_id};
use super::publish_name::Behind;

/// What a session needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The server URL to name to a publisher who used a wrong one, such as `rtmps://ingest.example.com/live`.
    pub public_url: String,
    /// The bounds.
    pub limits: Limits,
}

enum Phase {
    Handshake(Handshake),
    Connecting,
    Connected,
    Closing,
}

enum Publish {
    None,
    Undecided { stream_id: u32, held: Vec<Event>, held_bytes: usize },
    Live { stream_id: u32 },
}

impl Publish {
    /// The message stream that it is on, if there is one.
    fn stream(&self) -> Option<u32> {
        match *self {
            Self::None => None,
            Self::Undecided { stream_id, .. } | Self::Live { stream_id } => Some(stream_id),
        }
    }
}

/// The server's side of one RTMP connection. See the [module's page](super) for how to drive it.
pub struct Session {
    config: Config,
    phase: Phase,
    reader: ChunkReader,
    writer: ChunkWriter,
    clocks: Clocks,
    /// What the server URL has behind the application's name.
    behind: Behind,
    /// Message streams created and not deleted.
    streams: Vec<u32>,
    next_stream: u32,
    publish: Publish,
    /// The client speaks the FC dialect and is answered in it.
    fc_dialect: bool,
    /// Bytes received on the connection, and how many of them were acknowledged.
    received: u64,
    acknowledged: u64,
    window: u64,
    transmit: BytesMut,
    events: VecDeque<Event>,
}

impl Session {
    /// A session for a connection accepted at time zero. `seed` is 32 random bytes, for the handshake.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        Self {
            reader: ChunkReader::new(&config.limits, 0),
            config,
            phase: Phase::Handshake(Handshake::new(seed)),
            writer: ChunkWriter::new(),
            clocks: Clocks::default(),
            behind: Behind::default(),
            streams: Vec::new(),
            next_stream: 1,
            publish: Publish::None,
            fc_dialect: false,
            received: 0,
            acknowledged: 0,
            window: u64::from(WINDOW_BYTES),
            transmit: BytesMut::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes input of any length, `now` being the time since connection start. Drain
    /// [`poll_output`](Self::poll_output) afterwards, whatever the result.
    ///
    /// # Errors
    /// The connection's first fatal fault. The session is closing from then on; a publish on it is over.
    pub fn handle_input(&mut self, now: Duration, bytes: &[u8]) -> Result<(), Error> {
        if matches!(self.phase, Phase::Closing) {
            return Ok(());
        }
        let handled = self
            .clocks
            .check_setup(now, &self.config.limits, self.waiting())
            .map_err(|kind| self.error(kind));
        let handled = handled.and_then(|()| self.read(now, bytes));
        handled.inspect_err(|error| self.fail(&error.kind))
    }

    /// The next thing to do; `Transmit` before events, `Timeout` or `Close` when there is nothing else.
    pub fn poll_output(&mut self) -> Output {
        if !self.transmit.is_empty() {
            return Output::Transmit(self.transmit.split().freeze());
        }
        match (self.events.pop_front(), &self.phase) {
            (Some(event), _) => Output::Event(event),
            (None, Phase::Closing) => Output::Close,
            (None, _) => Output::Timeout(self.clocks.next(&self.config.limits, self.waiting())),
        }
    }

    /// Acts on a deadline that has come. Harmless when none has.
    ///
    /// # Errors
    /// [`ErrorKind::Deadline`] when the peer let it pass.
    pub fn handle_timeout(&mut self, now: Duration) -> Result<(), Error> {
        if matches!(self.phase, Phase::Closing) {
            return Ok(());
        }
        let handled = self.act_on_deadline(now).map_err(|kind| self.error(kind));
        handled.inspect_err(|error| self.fail(&error.kind))
    }

    /// Whether the shell should read from the peer; false only while much media, some of it unfinished, waits for a publish decision.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !matches!(&self.publish, Publish::Undecided { held_bytes, .. }
            if held_bytes.saturating_add(self.reader.buffered()) > self.config.limits.held_media_pause_bytes)
    }

    /// Bytes of media held back and of unfinished messages.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn held(&self) -> usize {
        let waiting = match &self.publish {
            Publish::Undecided { held_bytes, .. } => *held_bytes,
            Publish::None | Publish::Live { .. } => 0,
        };
        waiting + self.reader.held()
    }

    /// To be called when the shell takes up reading after it had stopped by its own choice, so that the pause is not
    /// taken for the peer's silence.
    pub fn resume_input(&mut self, now: Duration) {
        self.clocks.heard_all(now);
    }

    /// Lets the requested publish begin, at `now` since connection start; media held back comes out now.
    ///
    /// # Errors
    /// [`NotPending`] when no publish awaits a decision (any more).
    pub fn accept_publish(&mut self, now: Duration) -> Result<(), NotPending> {
        match std::mem::replace(&mut self.publish, Publish::None) {
            Publish::Undecided { stream_id, held, .. } => {
                self.publish = Publish::Live { stream_id };
                self.clocks.heard_all(now);
                self.send(&Outgoing::stream_begin(stream_id));
                let (code, description) = ("NetStream.Publish.Start", "Publishing.");
                if self.fc_dialect {
                    self.send(&command::on_fc("onFCPublish", code, description));
                }
                self.send(&command::on_status(stream_id, StatusLevel::Status, code, description));
                self.events.extend(held);
                Ok(())
            }
            other => {
                self.publish = other;
                Err(NotPending)
            }
        }
    }

    /// Refuses the requested publish with a status `code` such as `NetStream.Publish.BadName` and a sentence that says
    /// what to change, and closes.
    ///
    /// # Errors
    /// [`NotPending`] when no publish awaits a decision (any more).
    pub fn refuse_publish(&mut self, code: &str, description: &str) -> Result<(), NotPending> {
        let Publish::Undecided { stream_id, .. } = self.publish else { return Err(NotPending) };
        self.send(&command::on_status(stream_id, StatusLevel::Error, code, description));
        self.close();
        Ok(())
    }

    /// Tells a running publisher something: superseded, over, a warning.
    ///
    /// # Errors
    /// [`NotPending`] when nothing is being published.
    pub fn notify_status(
        &mut self,
        level: StatusLevel,
        code: &str,
        description: &str,
    ) -> Result<(), NotPending> {
        let Publish::Live { stream_id } = self.publish else { return Err(NotPending) };
        self.send(&command::on_status(stream_id, level, code, description));
        Ok(())
    }

    /// Ends the session; what was put out before remains to be drained, then comes [`Output::Close`].
    pub fn close(&mut self) {
        self.phase = Phase::Closing;
        self.publish = Publish::None;
    }

    /// Ends the session for a fault; a publisher is told which, since most are limits it can heed.
    fn fail(&mut self, kind: &ErrorKind) {
        if let Some(stream_id) = self.publish.stream() {
            let (code, description) = kind.status(&self.config.limits);
            self.send(&command::on_status(stream_id, StatusLevel::Error, code, &description));
        }
        self.close();
    }

    fn read(&mut self, now: Duration, bytes: &[u8]) -> Result<(), Error> {
        self.clocks.heard(now);
        self.received = self.received.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let mut input = bytes;
        if let Phase::Handshake(handshake) = &mut self.phase {
            let read = handshake.read(&mut input, &mut self.transmit);
            let offset = handshake.consumed();
            if !read.map_err(|kind| Error { offset, kind })? {
                return Ok(());
            }
            self.reader = ChunkReader::new(&self.config.limits, offset);
            self.phase = Phase::Connecting;
            self.clocks.setup_begins(now);
        }
        while !matches!(self.phase, Phase::Closing) {
            self.reader.hold_at_most(match self.publish {
                Publish::None => self.config.limits.max_buffered_idle_bytes,
                Publish::Undecided { .. } | Publish::Live { .. } => self.config.limits.max_buffered_bytes,
            });
            let Some(message) = self.reader.read(&mut input)? else { break };
            self.message(message).map_err(|kind| self.error(kind))?;
        }
        self.acknowledge();
        Ok(())
    }

    fn message(&mut self, message: Message) -> Result<(), ErrorKind> {
        match message.type_id {
            type_id::ACKNOWLEDGEMENT | type_id::SET_PEER_BANDWIDTH => Ok(()), // what we send is far below any window
            type_id::USER_CONTROL => {
                if let Some(timestamp) = message::ping_timestamp(&message.payload) {
                    self.send(&Outgoing::ping_response(timestamp));
                }
                Ok(())
            }
            type_id::WINDOW_ACK_SIZE => match message.payload.first_chunk() {
                Some(size) => {
                    self.window = u64::from(u32::from_be_bytes(*size).max(MIN_WINDOW_BYTES));
                    Ok(())
                }
                None => Err(ErrorKind::ControlTruncated {
                    message_type: message.type_id,
                    length: message.payload.len(),
                }),
            },
            type_id::AUDIO
            | type_id::VIDEO
            | type_id::AGGREGATE
            | type_id::DATA_AMF0
            | type_id::DATA_AMF3 => self.media(message),
            type_id::COMMAND_AMF0 => self.command(&message, false),
            type_id::COMMAND_AMF3 => self.command(&message, true),
            _ => {
                self.ignore(message.type_id, "unknown message type");
                Ok(())
            }
        }
    }

    /// Acknowledges the total received at every full window (§5.4.3). Not sooner, as some servers do: see `WINDOW_BYTES`.
    fn acknowledge(&mut self) {
        if self.received - self.acknowledged < self.window || matches!(self.phase, Phase::Closing) {
            return;
        }
        self.acknowledged = self.received;
        let total = u32::try_from(self.received & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        self.send(&Outgoing::acknowledgement(total));
    }

    fn send(&mut self, message: &Outgoing) {
        self.writer.write(message, &mut self.transmit);
    }

    fn ignore(&mut self, message_type: u8, reason: &'static str) {
        self.events.push_back(Event::Ignored { message_type, reason });
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error { offset: self.reader.offset(), kind }
    }
}
