//! The `gopcast` command: starts the whole pipeline on one machine and keeps it running, and lets an operator look at and control it.
//!
//! `args` is the command line; `up` starts and supervises; `live` and `broadcast` talk to a running stack; `verify` is the pure proof
//! that a broadcast is whole; `remote` knows stacks in AWS; `sign` and `cost` ask nobody; `doctor` looks at the machine. What a command prints for scripts is a contract, pinned by tests.

pub mod args;
pub mod broadcast;
pub mod cost;
pub mod data_dir;
pub mod doctor;
pub mod exit;
pub mod live;
mod output;
pub mod progress;
pub mod remote;
pub mod sign;
mod slate;
pub mod stack;
pub mod up;
mod verify;
mod warnings;
pub mod watch;
