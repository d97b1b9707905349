//! A hand-driven client around a session: sends what a test says, collects what comes back.

use std::time::Duration;

use bytes::BytesMut;

use super::super::amf0::{Value, decode, encode};
use super::super::chunk_reader::{ChunkReader, Message};
use super::super::error::Error;
use super::super::event::{Event, Output};
use super::super::limits::Limits;
use super::super::message::type_id;
use super::super::session::{Config, Session};
use super::sender::{Sender, message};

/// The URL that refusals name.
pub(super) const URL: &str = "rtmps://ingest.example.com/live";

/// A session and everything it has put out.
pub(super) struct Peer {
    pub(super) session: Session,
    pub(super) now: Duration,
    pub(super) events: Vec<Event>,
    pub(super) closed: bool,
    /// The last deadline it named.
    pub(super) timeout: Duration,
    /// Messages of the server's, since the last look.
    pub(super) replies: Vec<Message>,
    sender: Sender,
    reader: ChunkReader,
    handshake_left: usize,
}

impl Peer {
    pub(super) fn new(limits: Limits) -> Self {
        let config = Config { public_url: URL.to_owned(), limits };
        let mut peer = Self {
            session: Session::new(config, [5; 32]),
            now: Duration::ZERO,
            events: Vec::new(),
            closed: false,
            timeout: Duration::ZERO,
            replies: Vec::new(),
            sender: Sender::new(),
            reader: ChunkReader::new(&Limits::default(), 0),
            handshake_left: 3073,
        };
        peer.drain();
        peer
    }

    /// Through the (simple) handshake.
    pub(super) fn shaken(limits: Limits) -> Self {
        let mut peer = Self::new(limits);
        peer.bytes(&[3; 3073]).unwrap();
        peer
    }

    /// Through connect.
    pub(super) fn connected(limits: Limits) -> Self {
        let mut peer = Self::shaken(limits);
        peer.connect("live").unwrap();
        assert_eq!(peer.events(), [Event::Connected { client: "test".to_owned() }]);
        peer.replies.clear();
        peer
    }

    /// Through createStream and publish of `key` on stream 1; the request is not taken from the events.
    pub(super) fn publishing(limits: Limits) -> Self {
        let mut peer = Self::connected(limits);
        peer.command(0, &[text("createStream"), Value::Number(2.0), Value::Null]).unwrap();
        peer.publish(1, "key").unwrap();
        peer
    }

    /// Through acceptance.
    pub(super) fn live(limits: Limits) -> Self {
        let mut peer = Self::publishing(limits);
        peer.session.accept_publish(peer.now).unwrap();
        peer.drain();
        peer.replies.clear();
        peer.events.clear();
        peer
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let result = self.session.handle_input(self.now, bytes);
        self.drain();
        result
    }

    pub(super) fn message(&mut self, csid: u32, message: &Message) -> Result<(), Error> {
        let mut bytes = BytesMut::new();
        self.sender.message(csid, message, &mut bytes);
        self.bytes(&bytes)
    }

    pub(super) fn command(&mut self, stream_id: u32, values: &[Value]) -> Result<(), Error> {
        self.message(3, &message(type_id::COMMAND_AMF0, stream_id, 0, encode(values)))
    }

    pub(super) fn connect(&mut self, app: &str) -> Result<(), Error> {
        let object = [("app", app), ("flashVer", "test"), ("tcUrl", "rtmp://host/x")];
        let object = object.map(|(name, value)| (name.to_owned(), text(value))).to_vec();
        self.command(0, &[text("connect"), Value::Number(1.0), Value::Object(object)])
    }

    pub(super) fn publish(&mut self, stream_id: u32, name: &str) -> Result<(), Error> {
        self.command(stream_id, &[text("publish"), Value::Number(3.0), Value::Null, text(name), text("live")])
    }

    pub(super) fn timeout_at(&mut self, now: Duration) -> Result<(), Error> {
        self.now = now;
        let result = self.session.handle_timeout(now);
        self.drain();
        result
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The server's commands since the last look: message stream and values.
    pub(super) fn commands(&mut self) -> Vec<(u32, Vec<Value>)> {
        let replies = std::mem::take(&mut self.replies);
        let commands = replies.into_iter().filter(|reply| reply.type_id == type_id::COMMAND_AMF0);
        commands.map(|reply| (reply.stream_id, decode(&reply.payload).unwrap())).collect()
    }

    /// The (name, code, description) of the server's commands since the last look.
    pub(super) fn statuses(&mut self) -> Vec<(String, String, String)> {
        let commands = self.commands();
        let status = |values: &[Value]| {
            let field = |name: &str| values.last()?.get(name)?.as_str().map(str::to_owned);
            let name = values[0].as_str()?.to_owned();
            Some((name, field("code").unwrap_or_default(), field("description").unwrap_or_default()))
        };
        commands.iter().filter_map(|(_, values)| status(values)).collect()
    }

    pub(super) fn drain(&mut self) {
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => {
                    let skipped = self.handshake_left.min(bytes.len());
                    self.handshake_left -= skipped;
                    let mut rest = &bytes[skipped..];
                    while let Some(message) = self.reader.read(&mut rest).unwrap() {
                        self.replies.push(message);
                    }
                }
                Output::Event(event) => self.events.push(event),
                Output::Close => {
                    self.closed = true;
                    return;
                }
                Output::Timeout(at) => {
                    self.timeout = at;
                    return;
                }
            }
        }
    }
}

pub(super) fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}
