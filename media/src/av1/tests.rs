//! Records made by `ffmpeg -f lavfi -i testsrc2 … -c:v libsvtav1 -f flv` (FFmpeg 9; 4:2:2 by libaom-av1), and samples by hand.

use super::*;
use crate::{picture::Colour, time::FrameRate};

/// 160×90 in 8 bits.
const MAIN: &str = "81000c000a0b020000051da7ec805f0008";
/// The same in 10 bits.
const TEN_BITS: &str = "81004c000a0b020000055da7ec805f0808";
/// The same in 10 bits of 4:2:2.
const CHROMA_422: &str = "814048000a0a40000003b4fd936be502";

fn record(hex: &str) -> Bytes {
    Bytes::from(hex::decode(hex).unwrap())
}

fn sequence(hex: &str) -> Sequence {
    Config::parse(&record(hex)).unwrap().sequence
}

#[test]
fn what_encoders_write() {
    let config = Config::parse(&record(MAIN)).unwrap();
    assert_eq!(config.record, record(MAIN));
    let s = &config.sequence;
    assert_eq!((s.profile, s.width, s.height, s.bit_depth, s.chroma_format), (0, 160, 90, 8, 1));
    assert_eq!((s.still, s.colour), (false, None));
    assert_eq!(config.format().name, "AV1 profile 0");
    let s = sequence(TEN_BITS);
    assert_eq!((s.profile, s.width, s.height, s.bit_depth, s.chroma_format), (0, 160, 90, 10, 1));
    let s = sequence(CHROMA_422);
    assert_eq!((s.profile, s.width, s.height, s.bit_depth, s.chroma_format), (2, 160, 90, 10, 2));
}

/// Bits as they are written, most significant first.
fn bits(fields: &[(u32, u32)]) -> Vec<u8> {
    let (mut out, mut used) = (Vec::new(), 0u32);
    for (count, value) in fields {
        for n in (0..*count).rev() {
            if used % 8 == 0 {
                out.push(0u8);
            }
            let bit = u8::try_from((value >> n) & 1).unwrap();
            *out.last_mut().unwrap() |= bit << (7 - used % 8);
            used += 1;
        }
    }
    out
}

#[test]
fn timing_decoder_model_and_colours() {
    let payload = bits(&[
        (3, 0), // Main
        (2, 0), // neither a still picture nor reduced
        (1, 1), // timing info: 1001 / 60000, equal intervals of 2 ticks
        (32, 1001),
        (32, 60_000),
        (1, 1),
        (3, 0b010),
        (1, 1), // decoder model: delays of 10 bits
        (5, 9),
        (32, 1),
        (10, 0),
        (1, 1), // display delay
        (5, 1), // two operating points
        (12, 0x101),
        (5, 8), // level with a tier
        (1, 0),
        (1, 1),
        (10, 5),
        (10, 6),
        (1, 0),
        (1, 1),
        (4, 3),
        (12, 0x103),
        (5, 4),
        (1, 0),
        (1, 0),
        (4, 11), // 1920 × 1080 in 12 and 11 bits
        (4, 10),
        (12, 1919),
        (11, 1079),
        (1, 1), // frame ids
        (7, 0),
        (3, 0),
        (4, 0),
        (1, 1), // order hints
        (2, 0),
        (1, 0), // screen content forced on, integer motion vectors chosen
        (1, 1),
        (1, 1),
        (3, 6),
        (3, 0),
        (1, 1), // 10 bits
        (1, 0),
        (1, 1), // BT.2020, PQ
        (8, 9),
        (8, 16),
        (8, 9),
        (1, 1), // full range
        (2, 0),
        (1, 0),
        (1, 0),
    ]);
    let s = Sequence::parse(&payload).unwrap();
    assert_eq!((s.width, s.height, s.bit_depth, s.chroma_format), (1920, 1080, 10, 1));
    assert_eq!(s.frame_rate, Some(FrameRate { num: 30_000, den: 1001 }));
    assert_eq!(s.colour, Some(Colour { primaries: 9, transfer: 16, matrix: 9, full_range: true }));
    for length in 0..payload.len() - 1 {
        assert!(Sequence::parse(&payload[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn no_cut_and_no_altered_record_panics() {
    for text in [MAIN, TEN_BITS, CHROMA_422] {
        let whole = record(text);
        for length in 0..whole.len() {
            let _ = Config::parse(&whole.slice(..length));
        }
        for at in 0..whole.len() {
            for value in 0..=u8::MAX {
                let mut altered = whole.to_vec();
                altered[at] = value;
                if let Ok(config) = Config::parse(&Bytes::from(altered)) {
                    assert!(config.sequence.width > 0 && config.sequence.height > 0);
                }
            }
        }
    }
}

#[test]
fn wrong_records_say_what_and_where() {
    let fail = |bytes: &[u8]| Config::parse(&Bytes::copy_from_slice(bytes)).unwrap_err().to_string();
    assert_eq!(fail(&[]), "the AV1 configuration record is wrong at byte 0: not version 1");
    assert_eq!(fail(&[0x81, 0]), "the AV1 configuration record is wrong at byte 2: cut");
    assert_eq!(
        fail(&[0x81, 0, 12, 0]),
        "the AV1 configuration record is wrong at byte 4: no sequence header"
    );
    assert_eq!(
        fail(&[0x81, 0, 12, 0, 0x0a, 9, 0]),
        "AV1: the OBUs are wrong at byte 0: an OBU is longer than what holds it"
    );
    assert_eq!(
        fail(&[0x81, 0, 12, 0, 0x8a]),
        "AV1: the OBUs are wrong at byte 0: an OBU's forbidden bit is set"
    );
    let endless = [&[0x81, 0, 12, 0, 0x0a][..], &[0x80; 9]].concat();
    assert_eq!(fail(&endless), "AV1: the OBUs are wrong at byte 0: an OBU's size does not end");
}

/// `show_existing_frame`, `frame_type`, `show_frame` and the rest of a byte.
const KEY_SHOWN: u8 = 0b0001_0000;
const KEY_HIDDEN: u8 = 0b0000_0000;
const INTER_SHOWN: u8 = 0b0011_0000;
const INTER_HIDDEN: u8 = 0b0010_0000;
const INTRA_SHOWN: u8 = 0b0101_0000;
const EXISTING: u8 = 0b1000_0000;

#[test]
fn temporal_units_are_told_by_their_frames() {
    let config = Config::parse(&record(MAIN)).unwrap();
    let kind = |frames: &[u8]| {
        let mut unit = vec![0x12, 0]; // temporal delimiter
        for frame in frames {
            unit.extend([FRAME << 3 | 2, 2, *frame, 0]);
        }
        config.sample_kind(&unit)
    };
    assert_eq!(kind(&[KEY_SHOWN]), Ok(SampleKind::Start));
    assert_eq!(kind(&[INTER_SHOWN]), Ok(SampleKind::Picture));
    assert_eq!(kind(&[INTRA_SHOWN]), Ok(SampleKind::Picture));
    assert_eq!(kind(&[EXISTING]), Ok(SampleKind::Picture));
    assert_eq!(kind(&[INTER_HIDDEN, INTER_HIDDEN, INTER_SHOWN]), Ok(SampleKind::Picture));
    assert_eq!(kind(&[KEY_HIDDEN, INTER_SHOWN]), Ok(SampleKind::OpenStart));
    assert_eq!(kind(&[INTER_HIDDEN]), Ok(SampleKind::NoPicture));
    assert_eq!(kind(&[]), Ok(SampleKind::NoPicture));
    // A frame header and its tiles apart; an OBU with an extension and without a size goes to the end.
    assert_eq!(config.sample_kind(&[FRAME_HEADER << 3 | 2, 1, KEY_SHOWN, 0x22, 1, 0]), Ok(SampleKind::Start));
    assert_eq!(config.sample_kind(&[FRAME << 3 | 4, 0, INTER_SHOWN, 0, 0]), Ok(SampleKind::Picture));
    assert!(config.sample_kind(&[FRAME << 3 | 2, 0]).is_err(), "an empty frame");
    assert!(config.sample_kind(&[FRAME << 3 | 2, 5, KEY_SHOWN]).is_err());
    assert!(config.sample_kind(&[0x12, 0].repeat(OBUS_MAX + 1)).is_err());
}
