//! The delay of decode times, which parameter sets alone decide. What else there is to a source is tested with real ones (`tests/source.rs`).

use super::*;

fn sps(profile: u8, frame_rate: Option<FrameRate>, max_reorder: Option<u8>) -> avc::Sps {
    avc::Sps {
        profile,
        constraints: 0,
        level: 30,
        chroma_format: CHROMA_420,
        bit_depth_luma: BIT_DEPTH,
        bit_depth_chroma: BIT_DEPTH,
        interlaced: false,
        width: 640,
        height: 360,
        sar: (1, 1),
        colour: None,
        frame_rate,
        max_reorder,
    }
}

#[test]
fn decode_times_run_ahead_by_what_the_stream_says_that_it_reorders() {
    let fps = |num| Some(FrameRate { num, den: 1 });
    for (profile, frame_rate, max_reorder, expected) in [
        (100, fps(30), Some(2), 6_000),
        (100, fps(60), Some(1), 1_500),
        (77, fps(25), Some(0), 0),
        (100, None, None, 6_000),
        (66, None, None, 0),
        (100, fps(30), Some(16), DELAY_MAX),
    ] {
        assert_eq!(delay(&sps(profile, frame_rate, max_reorder)), expected, "{profile} {max_reorder:?}");
    }
}
