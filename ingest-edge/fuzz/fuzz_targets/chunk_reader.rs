//! See `ingest_edge::rtmp::fuzzing::chunk_reader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ingest_edge_fuzz::rtmp::fuzzing::chunk_reader(data));
