//! Tests of the RTMP core: each layer by itself, properties over every split of the input, known faults of other servers,
//! a foreign client implementation, and captures of real clients.

mod aggregates;
mod amf0;
mod amf3;
mod bounds;
mod capture;
mod chunks;
mod client;
mod deadlines;
mod handshake;
mod hostile;
mod metadata;
mod names;
mod peer;
mod session;

use super::sender;
