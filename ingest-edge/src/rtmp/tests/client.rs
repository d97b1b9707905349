//! A foreign client implementation (rml_rtmp) against the session: publishing, and how refusals reach it.

use std::time::Duration;

use bytes::Bytes;
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult, PublishRequestType,
    StreamMetadata,
};
use rml_rtmp::time::RtmpTimestamp;

use super::super::event::{Event, Output};
use super::super::limits::Limits;
use super::super::session::{Config, Session};

/// Both ends, and the events of both.
struct Pair {
    client: ClientSession,
    server: Session,
    piece: usize,
    client_events: Vec<ClientSessionEvent>,
    server_events: Vec<Event>,
    closed: bool,
}

impl Pair {
    /// Through the handshake; everything from client to server travels in pieces of `piece` bytes.
    fn new(piece: usize) -> Self {
        let config = Config { public_url: super::peer::URL.to_owned(), limits: Limits::default() };
        let mut server = Session::new(config, [1; 32]);
        let mut handshake = Handshake::new(PeerType::Client);
        let c0_c1 = handshake.generate_outbound_p0_and_p1().unwrap();
        for bytes in c0_c1.chunks(piece) {
            server.handle_input(Duration::ZERO, bytes).unwrap();
        }
        let Output::Transmit(reply) = server.poll_output() else { panic!("no handshake") };
        let HandshakeProcessResult::Completed { response_bytes, .. } =
            handshake.process_bytes(&reply).unwrap()
        else {
            panic!("handshake not complete");
        };
        let (client, first) = ClientSession::new(ClientSessionConfig::new()).unwrap();
        let (client_events, server_events) = (Vec::new(), Vec::new());
        let mut pair = Self { client, server, piece, client_events, server_events, closed: false };
        pair.upstream(&response_bytes);
        pair.handle(first);
        pair
    }

    fn connected(piece: usize) -> Self {
        let mut pair = Self::new(piece);
        let request = pair.client.request_connection("live".to_owned()).unwrap();
        pair.handle(vec![request]);
        assert!(pair.client_events.contains(&ClientSessionEvent::ConnectionRequestAccepted));
        pair
    }

    fn request_publishing(&mut self, key: &str) {
        let request = self.client.request_publishing(key.to_owned(), PublishRequestType::Live).unwrap();
        self.handle(vec![request]);
    }

    fn handle(&mut self, results: Vec<ClientSessionResult>) {
        for result in results {
            match result {
                ClientSessionResult::OutboundResponse(packet) => self.upstream(&packet.bytes),
                ClientSessionResult::RaisedEvent(event) => self.client_events.push(event),
                ClientSessionResult::UnhandleableMessageReceived(_) => {}
            }
        }
    }

    fn upstream(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece) {
            self.server.handle_input(Duration::ZERO, piece).unwrap();
            self.drain();
        }
    }

    fn drain(&mut self) {
        loop {
            match self.server.poll_output() {
                Output::Transmit(bytes) => {
                    let results = self.client.handle_input(&bytes).unwrap();
                    self.handle(results);
                }
                Output::Event(event) => self.server_events.push(event),
                Output::Close => {
                    self.closed = true;
                    return;
                }
                Output::Timeout(_) => return,
            }
        }
    }
}

#[test]
fn it_connects_and_publishes_at_any_split() {
    for piece in [1, 5, 129, 5000] {
        let mut pair = Pair::connected(piece);
        pair.request_publishing("key?a=b");
        let Some(Event::PublishRequested(request)) = pair.server_events.last() else { panic!("no request") };
        assert_eq!((request.key.reveal(), request.parameters.reveal("a")), ("key", Some("b")));
        pair.server.accept_publish(Duration::ZERO).unwrap();
        pair.drain();
        assert!(pair.client_events.contains(&ClientSessionEvent::PublishRequestAccepted));

        pair.server_events.clear();
        let mut metadata = StreamMetadata::new();
        metadata.video_width = Some(640);
        let sent = pair.client.publish_metadata(&metadata).unwrap();
        pair.handle(vec![sent]);
        let payload = Bytes::from(vec![9; 1000]);
        for timestamp in [0, 40, 0xFF_FFFE, 0xFF_FFFF, 0x100_0000] {
            let sent = pair
                .client
                .publish_video_data(payload.clone(), RtmpTimestamp::new(timestamp), false)
                .unwrap();
            pair.handle(vec![sent]);
            let sent =
                pair.client.publish_audio_data(payload.clone(), RtmpTimestamp::new(timestamp), true).unwrap();
            pair.handle(vec![sent]);
        }
        let ended = pair.client.stop_publishing().unwrap();
        pair.handle(ended);

        let events = &pair.server_events;
        assert!(matches!(&events[0], Event::Metadata(metadata) if metadata.width == Some(640.0)));
        let mut expected = Vec::new();
        for timestamp in [0, 40, 0xFF_FFFE, 0xFF_FFFF, 0x100_0000] {
            expected.push(Event::Video { timestamp, payload: payload.clone() });
            expected.push(Event::Audio { timestamp, payload: payload.clone() });
        }
        assert_eq!(events[1..=10], expected);
        assert!(matches!(events[11..], [Event::PublishEnded { .. }]));
    }
}

#[test]
fn it_is_told_of_a_wrong_application() {
    let mut pair = Pair::new(100);
    let request = pair.client.request_connection("other".to_owned()).unwrap();
    pair.handle(vec![request]);
    let [ClientSessionEvent::ConnectionRequestRejected { description }] = &pair.client_events[..] else {
        panic!("{:?}", pair.client_events)
    };
    assert!(description.contains(super::peer::URL));
    assert!(pair.closed);
}

#[test]
fn it_is_told_of_a_refused_publish() {
    let mut pair = Pair::connected(100);
    pair.request_publishing("key");
    pair.server.refuse_publish("NetStream.Publish.BadName", "Unknown stream key.").unwrap();
    pair.drain();
    let told = ClientSessionEvent::UnhandleableOnStatusCode { code: "NetStream.Publish.BadName".to_owned() };
    assert!(pair.client_events.contains(&told), "{:?}", pair.client_events);
    assert!(pair.closed);
}

#[test]
fn its_ping_is_answered() {
    let mut pair = Pair::connected(100);
    let (packet, timestamp) = pair.client.send_ping_request().unwrap();
    pair.upstream(&packet.bytes);
    assert!(pair.client_events.contains(&ClientSessionEvent::PingResponseReceived { timestamp }));
}
