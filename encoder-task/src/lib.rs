//! The encoder task: takes stored chunks, transcodes them and commits the result.
//!
//! Pure: `validate`, `cmaf`, `manifest`, `session::core`. FFmpeg: `transcode`, and through it `make` and `fill`. Shells: `session` (the rest),
//! `manager`, `http`, `heartbeat`.

pub mod cmaf;
pub mod config;
pub mod fill;
pub mod heartbeat;
pub mod http;
pub mod make;
pub mod manager;
pub mod manifest;
pub mod retry;
pub mod session;
pub mod transcode;
pub mod validate;
