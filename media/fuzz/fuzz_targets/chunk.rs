//! See `media::fuzzing::chunk`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzzing::chunk(data));
