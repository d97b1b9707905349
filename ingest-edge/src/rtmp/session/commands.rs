//! Commands: connect, the streams, publish and its end, and refusals that say what to change.
//!
//! Invariants: only connect is obeyed before connect was accepted; a transaction id of 0 gets no `_result` or `_error`;
//! a refusal never repeats what the client said, which may hold its key.

use super::super::APP;
use super::super::amf0::Value;
use super::super::chunk_reader::Message;
use super::super::command::{self, Call, Command, PublishKind, StatusLevel};
use super::super::error::ErrorKind;
use super::super::event::{EndReason, Event, PublishRequest};
use super::super::limits::{MAX_MESSAGE_STREAMS, OUTGOING_CHUNK_SIZE, WINDOW_BYTES};
use super::super::message::Outgoing;
use super::super::publish_name::{self, NameFault};
use super::super::reason::Reason;
use super::{Phase, Publish, Session};

/// Code of an `_error` to a call that is unknown or cannot be had.
const CALL_FAILED: &str = "NetConnection.Call.Failed";
const CONNECT_REJECTED: &str = "NetConnection.Connect.Rejected";
const BAD_NAME: &str = "NetStream.Publish.BadName";
const PLAY_FAILED: &str = "NetStream.Play.Failed";

impl Session {
    pub(super) fn command(&mut self, message: &Message, amf3: bool) -> Result<(), ErrorKind> {
        let (length, limit) = (message.payload.len(), self.config.limits.max_amf_bytes);
        if length > limit {
            return Err(ErrorKind::CommandTooLarge { length, limit });
        }
        let Call { transaction, command } = Call::parse(&message.payload, amf3)?;
        let stream_id = message.stream_id;
        match (&self.phase, command) {
            (Phase::Connecting, Command::Connect { app, client, enhanced }) => {
                self.connect(transaction, app.as_deref(), client.unwrap_or_default(), enhanced);
            }
            (_, Command::Connect { .. }) => {
                self.reject_connect(transaction, Reason::Protocol, "This connection is connected already.");
            }
            (_, Command::Ignorable) => {}
            (Phase::Connecting, _) => return Err(ErrorKind::CommandBeforeConnect),
            (_, Command::CreateStream) => self.create_stream(transaction),
            (_, Command::ReleaseStream) => self.result(stream_id, transaction, Value::Null),
            (_, Command::FcPublish) => {
                self.fc_dialect = true;
                self.result(stream_id, transaction, Value::Null);
            }
            (_, Command::Publish { name, kind }) => self.publish(stream_id, &name, kind),
            (_, Command::FcUnpublish) => {
                self.result(stream_id, transaction, Value::Null);
                self.unpublish(None);
            }
            (_, Command::DeleteStream(id)) => self.delete_stream(id),
            (_, Command::CloseStream) => self.unpublish(Some(stream_id)),
            (_, Command::Play) => {
                let description = "This server takes streams in and does not play them.";
                self.refuse_on(stream_id, PLAY_FAILED, Reason::NotPlayed, description);
            }
            (_, Command::Unknown) => self.call_failed(stream_id, transaction, "There is no such call."),
        }
        Ok(())
    }

    fn connect(&mut self, transaction: f64, app: Option<&str>, client: String, enhanced: bool) {
        let Some(behind) = app.and_then(publish_name::behind_app) else {
            let url = &self.config.public_url;
            let description = format!(
                "Wrong server URL. Use {url} as the server and put the stream key in the stream key field."
            );
            self.reject_connect(transaction, Reason::WrongUrl, &description);
            return;
        };
        self.behind = behind;
        self.phase = Phase::Connected;
        self.send(&Outgoing::window_ack_size(WINDOW_BYTES));
        self.send(&Outgoing::set_peer_bandwidth(WINDOW_BYTES));
        self.send(&Outgoing::set_chunk_size(OUTGOING_CHUNK_SIZE));
        self.writer.set_chunk_size(OUTGOING_CHUNK_SIZE);
        self.send(&command::connect_accepted(transaction, enhanced));
        self.events.push_back(Event::Connected { client });
    }

    fn create_stream(&mut self, transaction: f64) {
        if self.streams.len() >= MAX_MESSAGE_STREAMS {
            self.call_failed(0, transaction, "Too many streams on this connection.");
            return;
        }
        let id = self.next_stream;
        self.next_stream = id.wrapping_add(1).max(1);
        self.streams.push(id);
        self.result(0, transaction, Value::Number(f64::from(id)));
    }

    fn publish(&mut self, stream_id: u32, name: &str, kind: PublishKind) {
        if !matches!(self.publish, Publish::None) {
            let description =
                Reason::AlreadyPublishing.tell("A stream is already being published on this connection.");
            self.send(&command::on_status(stream_id, StatusLevel::Error, BAD_NAME, &description));
            return;
        }
        // Whoever never asks for a stream takes one for granted; whoever was given one and names none means that.
        let granted = self.next_stream == 1 && stream_id <= 1;
        let stream_id = match self.streams.last() {
            Some(&given) if stream_id == 0 => given,
            _ => stream_id,
        };
        if !granted && !self.streams.contains(&stream_id) {
            let description = "Publish on a stream that was not created.";
            self.refuse_on(stream_id, BAD_NAME, Reason::Protocol, description);
            return;
        }
        let (key, parameters) = match publish_name::parse(&self.behind, name) {
            Ok(parsed) => parsed,
            Err(fault) => {
                let what = match fault {
                    NameFault::Missing => "No stream key.",
                    NameFault::Malformed => "Malformed stream key.",
                };
                let url = &self.config.public_url;
                let description =
                    format!("{what} Use {url} as the server and put the stream key in the stream key field.");
                self.refuse_on(stream_id, BAD_NAME, Reason::UnknownKey, &description);
                return;
            }
        };
        self.publish = Publish::Undecided { stream_id, held: Vec::new(), held_bytes: 0 };
        self.clocks.setup_begins_with_input();
        let request = PublishRequest { app: APP.to_owned(), key, parameters, stream_id, kind };
        self.events.push_back(Event::PublishRequested(request));
    }

    /// Ends the publish, if there is one and it is on `stream` (`None`: on any).
    fn unpublish(&mut self, stream: Option<u32>) {
        let Some(stream_id) = self.publish.stream() else { return };
        if stream.is_some_and(|stream| stream != stream_id) {
            return;
        }
        self.publish = Publish::None;
        self.clocks.setup_begins_with_input();
        let (code, description) = ("NetStream.Unpublish.Success", "Publishing has ended.");
        if self.fc_dialect {
            self.send(&command::on_fc("onFCUnpublish", code, description));
        }
        self.send(&command::on_status(stream_id, StatusLevel::Status, code, description));
        self.events.push_back(Event::PublishEnded { reason: EndReason::Unpublished });
    }

    fn delete_stream(&mut self, id: Option<f64>) {
        // Ids are ours: comparing beats converting an arbitrary double.
        let named = |stream: u32| Some(f64::from(stream)) == id;
        self.streams.retain(|&stream| !named(stream));
        // Also on a stream that was taken for granted.
        if self.publish.stream().is_some_and(named) {
            self.unpublish(None);
        }
    }

    fn result(&mut self, stream_id: u32, transaction: f64, value: Value) {
        if transaction != 0.0 {
            self.send(&command::result(stream_id, transaction, value));
        }
    }

    fn call_failed(&mut self, stream_id: u32, transaction: f64, description: &str) {
        if transaction != 0.0 {
            self.send(&command::error(stream_id, transaction, CALL_FAILED, description));
        }
    }

    fn reject_connect(&mut self, transaction: f64, reason: Reason, sentence: &str) {
        self.send(&command::error(0, transaction, CONNECT_REJECTED, &reason.tell(sentence)));
        self.refused(reason);
    }

    fn refuse_on(&mut self, stream_id: u32, code: &'static str, reason: Reason, sentence: &str) {
        self.send(&command::on_status(stream_id, StatusLevel::Error, code, &reason.tell(sentence)));
        self.refused(reason);
    }

    fn refused(&mut self, reason: Reason) {
        self.events.push_back(Event::Refused { reason });
        self.close();
    }
}
