//! The gateway: one Lambda function between the edges and the encoders. It looks up stream keys, gives publishers a broadcast and
//! a publish number, binds broadcasts to encoders and tells the bound encoder what happened.
//!
//! | module | what |
//! | --- | --- |
//! | [`ring`] | pure: which encoder a broadcast is placed on |
//! | [`decide`] | pure: what each event means, given what the table says |
//! | [`handle`] | the thin shell: reads and writes the table, talks to encoders |
//!
//! Invariants: every event is idempotent; all truth is in the table and changes by conditional writes only; what a warm process
//! remembers is a cache that a wrong entry costs one round trip, never a wrong answer.

pub mod decide;
pub mod handle;
pub mod ring;
