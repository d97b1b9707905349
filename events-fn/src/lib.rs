//! Puts what the services' logs tell of on an event bus: CloudWatch Logs invokes the function with the lines that have an `event`
//! field, and each becomes an event of EventBridge.
//!
//! | module | what |
//! | --- | --- |
//! | [`logs`] | pure: what CloudWatch Logs sends → lines |
//! | [`entries`] | pure: lines → entries for the bus, in batches that one call takes |
//! | [`forward`] | the thin shell |
//!
//! Invariants: a line that is no event is passed over and counted, never an error; an invocation succeeds only when everything that
//! is an event is on the bus, so that Lambda tries it again otherwise. An event may therefore come twice, never less than once while the
//! bus can be reached within Lambda's tries.

pub mod entries;
pub mod forward;
pub mod logs;
