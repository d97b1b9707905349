//! Records made by `ffmpeg -f lavfi -i testsrc2 … -c:v libx265 -f flv` (FFmpeg 9), and samples by hand.

use super::*;
use crate::{picture::Colour, time::FrameRate};

/// 160×90 at 30, cropped from 96 lines.
const MAIN: &str = "0101600000009000000000001ef000fcfdf8f800000f03200001001840010c01ffff01600000030090000003000003001e959409210001002a42010101600000030090000003000003001ea0142061f26595964932bc05a020000003002000000303c122000100074401c172b46240";
/// The same in 10 bits, BT.2020 and PQ.
const HDR: &str = "0102200000009000000000001ef000fcfdfafa00000f03200001001840010c01ffff02200000030090000003000003001e959809210001002e42010102200000030090000003000003001ea0142061f2365959a4932bc05a848804820000030002000003003c1022000100074401c172b46240";
/// The same in 8 bits of 4:2:2.
const CHROMA_422: &str = "0104080000009d08000000001ef000fcfef8f800000f03200001001740010c01ffff0408000003009d0800000300001e95980921000100294201010408000003009d0800000300001eb0142061f3e5959a4932bc05a020000003002000000303c122000100074401c172b46240";
/// 1920×1080 at 30000/1001, BT.709, samples of 4:3, default scaling lists, HRD parameters, an SEI beside the parameter sets.
const P1080: &str = "01016000000090000000000078f000fcfdf8f800000f04200001001840010c01ffff0160000003009000000300000300789594092100010038420101016000000300900000030000030078a003c0801107cb965654a4e1787350101010400000fa40001d4c1827259b8003d090007a122022000100064401c073c18927000100064e0181010f80";

fn record(hex: &str) -> Bytes {
    Bytes::from(hex::decode(hex).unwrap())
}

fn sps(record: &Bytes) -> Sps {
    Config::parse(record).unwrap().sps
}

#[test]
fn what_x265_writes() {
    let rate = |num, den| Some(FrameRate { num, den });
    let config = Config::parse(&record(MAIN)).unwrap();
    assert_eq!((config.length_size, &config.record), (4, &record(MAIN)));
    let s = &config.sps;
    assert_eq!((s.width, s.height, s.frame_rate), (160, 90, rate(30, 1)));
    assert_eq!((s.profile, s.chroma_format, s.bit_depth_luma, s.bit_depth_chroma), (1, 1, 8, 8));
    assert!(!s.interlaced);
    assert_eq!(config.format().name, "HEVC profile 1");

    let s = sps(&record(HDR));
    assert_eq!((s.profile, s.width, s.height, s.bit_depth_luma, s.bit_depth_chroma), (2, 160, 90, 10, 10));
    let colour = Colour { primaries: 9, transfer: 16, matrix: 9, full_range: false };
    assert_eq!(s.colour, Some(colour));
    assert!(colour.is_hdr());

    let s = sps(&record(CHROMA_422));
    assert_eq!((s.profile, s.chroma_format, s.bit_depth_luma, s.width, s.height), (4, 2, 8, 160, 90));

    let s = sps(&record(P1080));
    assert_eq!((s.width, s.height, s.frame_rate), (1920, 1080, rate(30_000, 1001)));
    assert_eq!(s.colour, Some(Colour { primaries: 1, transfer: 1, matrix: 1, full_range: false }));
}

#[test]
fn every_cut_of_a_record_is_an_error_or_reads_the_same() {
    for whole in [record(MAIN), record(HDR), record(CHROMA_422), record(P1080)] {
        for length in 0..whole.len() {
            if let Ok(config) = Config::parse(&whole.slice(..length)) {
                assert_eq!(config.sps, sps(&whole), "cut at {length}");
            }
        }
    }
}

#[test]
fn no_altered_record_panics() {
    for whole in [record(MAIN), record(HDR), record(CHROMA_422), record(P1080)] {
        for at in 0..whole.len() {
            for value in 0..=u8::MAX {
                let mut altered = whole.to_vec();
                altered[at] = value;
                if let Ok(config) = Config::parse(&Bytes::from(altered)) {
                    assert!(config.sps.width > 0 && config.sps.height > 0);
                }
            }
        }
    }
}

#[test]
fn wrong_records_say_what_and_where() {
    let fail = |bytes: &[u8]| Config::parse(&Bytes::copy_from_slice(bytes)).unwrap_err().to_string();
    assert_eq!(fail(&[]), "the HEVC configuration record is wrong at byte 0: cut");
    assert_eq!(fail(&[0]), "the HEVC configuration record is wrong at byte 0: not version 1");
    let mut none = vec![1; 21];
    none.extend([0xf, 0]);
    assert_eq!(fail(&none), "the HEVC configuration record is wrong at byte 23: no sequence parameter set");
    none[21] = 0xe;
    assert_eq!(
        fail(&none),
        "the HEVC configuration record is wrong at byte 21: NAL unit lengths of 3 bytes do not exist"
    );
    none[21] = 0xf;
    none[22] = 1;
    none.extend([0x21, 0, 1, 0, 3, 0x40, 1, 0]);
    assert_eq!(
        fail(&none),
        "the HEVC configuration record is wrong at byte 28: not the kind of parameter set that belongs here"
    );
}

#[test]
fn samples_are_told_by_their_slices() {
    let kind = |types: &[u8]| {
        let sample: Vec<u8> = types.iter().flat_map(|t| [0, 0, 0, 4, t << 1, 1, 0x80, 0]).collect();
        sample_kind(&sample, 4)
    };
    for closed in [IDR_N_LP, BLA_N_LP] {
        assert_eq!(kind(&[VPS, SPS, PPS, SEI_PREFIX, closed, closed]), Ok(SampleKind::Start));
    }
    for maybe in [IDR_W_RADL, CRA, BLA_W_LP, BLA_W_RADL] {
        assert_eq!(kind(&[VPS, SPS, PPS, maybe, maybe]), Ok(SampleKind::StartUnlessLed));
    }
    for leading in RADL_N..=RASL_R {
        assert_eq!(kind(&[leading]), Ok(SampleKind::Leading));
    }
    assert_eq!(kind(&[0]), Ok(SampleKind::Picture));
    assert_eq!(kind(&[1, 1]), Ok(SampleKind::Picture));
    assert_eq!(kind(&[SEI_PREFIX]), Ok(SampleKind::NoPicture));
    assert_eq!(kind(&[]), Ok(SampleKind::NoPicture));
    assert!(sample_kind(&[0, 0, 0, 9, 0x26, 1], 4).is_err());
    assert_eq!(sample_kind(&[1, 0x26], 1), Ok(SampleKind::NoPicture), "a header of one byte");
    // Gradual refresh: a recovery point at an ordinary picture.
    let refresh = [0, 0, 0, 6, SEI_PREFIX << 1, 1, 6, 1, 0xb8, 0x80, 0, 0, 0, 3, 2, 1, 0x80];
    assert_eq!(sample_kind(&refresh, 4), Ok(SampleKind::OpenStart));
}
