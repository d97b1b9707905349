//! Message types, the control messages among them, and what the server sends.
//!
//! Invariant: parsing looks at no byte that is not there; a user control event that is unknown or too short is no event.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::amf0::{self, Value};

/// Message type ids (§5.4, §7.1).
pub(crate) mod type_id {
    pub(crate) const SET_CHUNK_SIZE: u8 = 1;
    pub(crate) const ABORT: u8 = 2;
    pub(crate) const ACKNOWLEDGEMENT: u8 = 3;
    pub(crate) const USER_CONTROL: u8 = 4;
    pub(crate) const WINDOW_ACK_SIZE: u8 = 5;
    pub(crate) const SET_PEER_BANDWIDTH: u8 = 6;
    pub(crate) const AUDIO: u8 = 8;
    pub(crate) const VIDEO: u8 = 9;
    pub(crate) const DATA_AMF3: u8 = 15;
    pub(crate) const COMMAND_AMF3: u8 = 17;
    pub(crate) const DATA_AMF0: u8 = 18;
    pub(crate) const COMMAND_AMF0: u8 = 20;
    pub(crate) const AGGREGATE: u8 = 22;
}

/// User control event types (§7.1.7).
mod user_control {
    pub(super) const STREAM_BEGIN: u16 = 0;
    pub(super) const PING_REQUEST: u16 = 6;
    pub(super) const PING_RESPONSE: u16 = 7;
}

/// Limit type "dynamic" of set peer bandwidth (§5.4.5): what servers in the field send.
const LIMIT_DYNAMIC: u8 = 2;

/// Which chunk stream a message is sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Protocol and user control (§5.4 wants chunk stream 2).
    Control,
    /// Commands.
    Command,
}

impl Channel {
    /// The chunk stream id; below 64, so that one byte holds it.
    pub(crate) fn chunk_stream(self) -> u8 {
        match self {
            Channel::Control => 2,
            Channel::Command => 3,
        }
    }
}

/// A message of the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) channel: Channel,
    pub(crate) type_id: u8,
    pub(crate) stream_id: u32,
    pub(crate) payload: Bytes,
}

impl Outgoing {
    fn control(type_id: u8, payload: &[u8]) -> Self {
        Self { channel: Channel::Control, type_id, stream_id: 0, payload: Bytes::copy_from_slice(payload) }
    }

    fn user_control(event: u16, value: u32) -> Self {
        let mut payload = BytesMut::with_capacity(6);
        payload.put_u16(event);
        payload.put_u32(value);
        Self::control(type_id::USER_CONTROL, &payload)
    }

    pub(crate) fn set_chunk_size(size: u32) -> Self {
        Self::control(type_id::SET_CHUNK_SIZE, &size.to_be_bytes())
    }

    /// `total` is every byte received on the connection, modulo 2³² (§5.4.3).
    pub(crate) fn acknowledgement(total: u32) -> Self {
        Self::control(type_id::ACKNOWLEDGEMENT, &total.to_be_bytes())
    }

    pub(crate) fn window_ack_size(size: u32) -> Self {
        Self::control(type_id::WINDOW_ACK_SIZE, &size.to_be_bytes())
    }

    pub(crate) fn set_peer_bandwidth(size: u32) -> Self {
        let [a, b, c, d] = size.to_be_bytes();
        Self::control(type_id::SET_PEER_BANDWIDTH, &[a, b, c, d, LIMIT_DYNAMIC])
    }

    pub(crate) fn stream_begin(stream_id: u32) -> Self {
        Self::user_control(user_control::STREAM_BEGIN, stream_id)
    }

    pub(crate) fn ping_request(timestamp: u32) -> Self {
        Self::user_control(user_control::PING_REQUEST, timestamp)
    }

    pub(crate) fn ping_response(timestamp: u32) -> Self {
        Self::user_control(user_control::PING_RESPONSE, timestamp)
    }

    /// A command: `values` begin with its name and transaction id.
    pub(crate) fn command(stream_id: u32, values: &[Value]) -> Self {
        Self {
            channel: Channel::Command,
            type_id: type_id::COMMAND_AMF0,
            stream_id,
            payload: amf0::encode(values),
        }
    }
}

/// The timestamp of a ping request, if `payload` is one; other user control events ask nothing of a server.
pub(crate) fn ping_timestamp(mut payload: &[u8]) -> Option<u32> {
    (payload.try_get_u16().ok()? == user_control::PING_REQUEST).then(|| payload.try_get_u32().ok())?
}
