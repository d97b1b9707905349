//! Killing things: one scenario per file. `make chaos` runs their full forms, `make test` the short ones.
//!
//! One program for all of them: each would link the whole harness again.

mod edge_drained;
mod edge_killed;
mod encoder_cut_off;
mod encoder_drained;
mod encoder_frozen;
mod encoder_killed;
mod encoder_without_dynamodb;
mod encoder_without_s3;
mod everything_killed;
mod gateway_killed;
mod lost_replies;
mod publisher_reset;
mod throttled;
mod two_publishers;
