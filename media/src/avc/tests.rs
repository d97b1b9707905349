//! Records made by `ffmpeg -f lavfi -i testsrc2 … -c:v libx264 -f flv`, and by hand.

use super::*;
use crate::{nal::NALS_MAX, picture::Colour, time::FrameRate};

/// 1280×720 at 30 with x264's defaults.
const P720: &str =
    "0164001fffe1001a6764001facd9405005bb0110000003001000000303c0f183196001000468ef8fcbfdf8f800";
/// 1920×1080 (cropped from 1088) at 30000/1001, full range BT.709.
const P1080: &str =
    "01640028ffe1001d67640028acd940780227e5c05b808080a000007d20001d4c01e30632c001000668ebe3cb22c0fdf8f800";
/// 720×576 at 25, interlaced, SAR 16:11, with HRD parameters.
const I576: &str = "0164001effe100236764001eacd940b424d8208000000300800000193020007a12000f427261807c50a65801000568fbacb22cfdf8f800";
/// 642×362 at 60000/1001, 4:2:2, 10 bits.
const HIGH422: &str =
    "017a001fffe1001a677a001fb6cd940a42fe227c04400000fa4000753003c60c658001000668ebe3cb22c0fefafa00";
/// 640×360 at 25, baseline.
const BASELINE: &str = "0142c01effe100196742c01ed900a02ff97011000003000100000300320f162e4801000568cb83cb20";
/// 640×360 at 25, 4:4:4, with scaling matrices.
const HIGH444: &str =
    "01f4001effe1001b67f4001e919b281405ff1380880000030008000003019078b16cb001000868ebe3c44c000440fff8f800";

fn record(hex: &str) -> Bytes {
    Bytes::from(hex::decode(hex).unwrap())
}

fn sps(hex: &str) -> Sps {
    Config::parse(&record(hex)).unwrap().sps
}

#[test]
fn what_x264_writes() {
    let rate = |num, den| Some(FrameRate { num, den });
    let config = Config::parse(&record(P720)).unwrap();
    assert_eq!((config.length_size, config.sps_nals.len(), config.pps_nals.len()), (4, 1, 1));
    assert_eq!(config.codecs(), "avc1.64001f");
    assert_eq!(config.record, record(P720));
    let s = &config.sps;
    assert_eq!(
        (s.width, s.height, s.sar, s.frame_rate, s.max_reorder),
        (1280, 720, (1, 1), rate(30, 1), Some(2))
    );
    assert_eq!((s.chroma_format, s.bit_depth_luma, s.bit_depth_chroma, s.interlaced), (1, 8, 8, false));
    assert_eq!(s.colour, None);

    let s = sps(P1080);
    assert_eq!((s.width, s.height, s.frame_rate), (1920, 1080, rate(30_000, 1001)));
    assert_eq!(s.colour, Some(Colour { primaries: 1, transfer: 1, matrix: 1, full_range: true }));

    let s = sps(I576);
    assert_eq!((s.width, s.height, s.sar, s.frame_rate), (720, 576, (16, 11), rate(25, 1)));
    assert!(s.interlaced);
    assert!(s.max_reorder.is_some());

    let s = sps(HIGH422);
    assert_eq!((s.width, s.height, s.frame_rate), (642, 362, rate(60_000, 1001)));
    assert_eq!((s.profile, s.chroma_format, s.bit_depth_luma, s.bit_depth_chroma), (122, 2, 10, 10));

    let s = sps(BASELINE);
    assert_eq!((s.width, s.height, s.frame_rate, s.max_reorder), (640, 360, rate(25, 1), Some(0)));
    assert_eq!(s.codecs(), "avc1.42c01e");

    let s = sps(HIGH444);
    assert_eq!((s.width, s.height, s.chroma_format, s.frame_rate), (640, 360, 3, rate(25, 1)));
}

#[test]
fn every_cut_of_a_record_is_an_error_or_reads_the_same() {
    for text in [P720, P1080, I576, HIGH422, BASELINE, HIGH444] {
        let whole = record(text);
        for length in 0..whole.len() {
            if let Ok(config) = Config::parse(&whole.slice(..length)) {
                assert_eq!(config.sps, sps(text), "{text} cut at {length}");
            }
        }
    }
}

#[test]
fn no_altered_record_panics() {
    for text in [P720, P1080, I576, HIGH422, BASELINE, HIGH444] {
        let whole = record(text);
        for at in 0..whole.len() {
            for value in 0..=u8::MAX {
                let mut altered = whole.to_vec();
                altered[at] = value;
                let _ = Config::parse(&Bytes::from(altered));
            }
        }
    }
}

#[test]
fn wrong_records_say_what_and_where() {
    let fail = |bytes: &[u8]| Config::parse(&Bytes::copy_from_slice(bytes)).unwrap_err().to_string();
    assert_eq!(fail(&[]), "the AVC configuration record is wrong at byte 0: cut");
    assert_eq!(fail(&[2]), "the AVC configuration record is wrong at byte 0: not version 1");
    assert_eq!(
        fail(&[1, 100, 0, 31, 0xff, 0xe0, 0]),
        "the AVC configuration record is wrong at byte 5: no sequence parameter set"
    );
    assert_eq!(
        fail(&[1, 100, 0, 31, 0xfe, 0xe1, 0]),
        "the AVC configuration record is wrong at byte 4: NAL unit lengths of 3 bytes do not exist"
    );
    assert_eq!(
        fail(&[1, 100, 0, 31, 0xff, 0xe1, 0, 3, 0x67, 100]),
        "the AVC configuration record is wrong at byte 8: parameter set cut"
    );
}

#[test]
fn samples_are_told_by_their_slices() {
    let idr = [0, 0, 0, 1, 0x09, 0, 0, 0, 2, 0x65, 0x88];
    let other = [0, 0, 0, 0, 0, 0, 0, 2, 0x41, 0x9a];
    let sei = [0, 0, 0, 2, 0x06, 0x05];
    assert_eq!(sample_kind(&idr, 4), Ok(SampleKind::Start));
    assert_eq!(sample_kind(&other, 4), Ok(SampleKind::Picture));
    assert_eq!(sample_kind(&sei, 4), Ok(SampleKind::NoPicture));
    assert_eq!(sample_kind(&[], 4), Ok(SampleKind::NoPicture));
    assert_eq!(sample_kind(&[1, 0x65], 1), Ok(SampleKind::Start));
    assert_eq!(
        sample_kind(&idr[..10], 4),
        Err(AvcError::Sample(NalError { at: 5, what: "a NAL unit is longer than the sample" }))
    );
    assert_eq!(
        sample_kind(&[0, 0], 4),
        Err(AvcError::Sample(NalError { at: 0, what: "the length of a NAL unit is cut" }))
    );
    assert!(sample_kind(&[0xff; 8], 4).is_err());
    assert!(sample_kind(&[1, 0x06].repeat(NALS_MAX + 1), 1).is_err());
}

#[test]
fn a_recovery_point_is_an_open_start() {
    // As x264 writes it with open-gop: SEI of a recovery point, then an I slice that is no IDR picture's.
    let open = [0, 0, 0, 5, 0x06, 6, 1, 0x84, 0x80, 0, 0, 0, 2, 0x41, 0x9a];
    assert_eq!(sample_kind(&open, 4), Ok(SampleKind::OpenStart));
    let idr = [0, 0, 0, 5, 0x06, 6, 1, 0x84, 0x80, 0, 0, 0, 2, 0x65, 0x88];
    assert_eq!(sample_kind(&idr, 4), Ok(SampleKind::Start));
}
