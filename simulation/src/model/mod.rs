//! What the outside services are to gopcast, as small and exact models: [`table`] for DynamoDB, [`bucket`] for S3.
//!
//! Pure: no time, no chance, no faults; those are the network's. The conformance tests hold both against the embedded services.

pub mod bucket;
pub mod table;
