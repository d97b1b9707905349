//! See `media::fuzzing::aac_config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzzing::aac_config(data));
