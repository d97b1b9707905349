//! See `ingest_edge::rtmp::fuzzing::amf0`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ingest_edge_fuzz::rtmp::fuzzing::amf0(data));
