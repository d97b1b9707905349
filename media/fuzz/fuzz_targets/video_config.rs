//! See `media::fuzzing::video_config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzzing::video_config(data));
