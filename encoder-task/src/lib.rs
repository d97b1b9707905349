//! The encoder task: takes stored chunks, transcodes them and commits the result.

pub mod cmaf;
pub mod transcode;
