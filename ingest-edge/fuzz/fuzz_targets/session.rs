//! See `ingest_edge::rtmp::fuzzing::session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ingest_edge_fuzz::rtmp::fuzzing::session(data));
