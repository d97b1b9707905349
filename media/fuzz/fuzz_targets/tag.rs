//! See `media::fuzzing::tag`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzzing::tag(data));
