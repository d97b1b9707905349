//! Audio, video, aggregates and metadata: from messages to events of the one publish.
//!
//! Invariant: an event leaves only for a live publish, from its own message stream or from stream 0, where careless clients put their
//! data; what comes ahead of the decision is
//! held back within bounds. Empty audio and video messages, which some servers' dialects use as no-ops, are dropped.

use super::super::aggregate;
use super::super::chunk_reader::Message;
use super::super::command;
use super::super::error::ErrorKind;
use super::super::event::Event;
use super::super::limits::HELD_MESSAGE_OVERHEAD_BYTES;
use super::super::message::type_id;
use super::super::metadata::Metadata;
use super::{Publish, Session};

impl Session {
    /// A message of one of the media types, data messages included.
    pub(super) fn media(&mut self, message: Message) -> Result<(), ErrorKind> {
        let belongs = |stream| message.stream_id == stream || message.stream_id == 0;
        if !self.publish.stream().is_some_and(belongs) {
            self.ignore(message.type_id, "media outside a publish");
            return Ok(());
        }
        match message.type_id {
            type_id::AGGREGATE => {
                aggregate::split(&message)?.into_iter().try_for_each(|part| self.one_medium(part))
            }
            _ => self.one_medium(message),
        }
    }

    fn one_medium(&mut self, message: Message) -> Result<(), ErrorKind> {
        let Message { type_id, timestamp, payload, .. } = message;
        let size = payload.len();
        let event = match type_id {
            type_id::AUDIO | type_id::VIDEO if payload.is_empty() => return Ok(()),
            type_id::AUDIO => Event::Audio { timestamp, payload },
            type_id::VIDEO => Event::Video { timestamp, payload },
            type_id::DATA_AMF0 | type_id::DATA_AMF3 => match self.metadata(type_id, &payload) {
                Ok(metadata) => Event::Metadata(Box::new(metadata)),
                Err(reason) => {
                    self.ignore(type_id, reason);
                    return Ok(());
                }
            },
            _ => {
                self.ignore(type_id, "unknown tag in an aggregate");
                return Ok(());
            }
        };
        if matches!(event, Event::Audio { .. } | Event::Video { .. }) {
            self.clocks.heard_media();
        }
        self.put(event, size)
    }

    /// Metadata is a help, not a need: what cannot be read is skipped rather than ending a broadcast.
    fn metadata(&self, type_id: u8, payload: &[u8]) -> Result<Metadata, &'static str> {
        if payload.len() > self.config.limits.max_amf_bytes {
            return Err("data message too large");
        }
        let values = command::decode(payload, type_id == type_id::DATA_AMF3)
            .map_err(|_| "data message is not well-formed amf")?;
        Metadata::from_values(values).ok_or("data message other than metadata")
    }

    fn put(&mut self, event: Event, size: usize) -> Result<(), ErrorKind> {
        let Publish::Undecided { held, held_bytes, .. } = &mut self.publish else {
            self.events.push_back(event);
            return Ok(());
        };
        *held_bytes = held_bytes.saturating_add(size).saturating_add(HELD_MESSAGE_OVERHEAD_BYTES);
        let limit = self.config.limits.held_media_max_bytes;
        if *held_bytes > limit {
            return Err(ErrorKind::HeldMedia { limit });
        }
        held.push(event);
        Ok(())
    }
}
