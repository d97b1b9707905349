//! How a gopcast process lives: configuration from the environment, time, telemetry, drain, backoff, the signed private hop
//! and the AWS clients with what gopcast says through them (bucket, table, gateway, event bus).
//!
//! Nothing here decides anything about a show; the pure cores of the services do.

pub mod args;
pub mod aws;
pub mod backoff;
pub mod bucket;
pub mod bus;
pub mod clock;
pub mod config;
pub mod drain;
pub mod gateway;
pub mod index;
pub mod logged;
pub mod metrics;
pub mod ops;
pub mod sign;
pub mod table;
pub mod telemetry;

/// A call under way that whoever carries it out may keep.
pub type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;
