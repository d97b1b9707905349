//! NAL units and OBUs of one sample.

use bytes::Bytes;

use super::{cuts, selected};
use crate::{
    av1, avc, hevc,
    nal::{NALS_MAX, has_recovery_point, nals, unescape},
    picture::SampleKind,
};

/// The first byte says how many bytes a length has (1, 2 or 4); the rest is a sample.
///
/// NAL units lie within the sample, in order, and there are no more than the bound; written again with their lengths they are walked as
/// the same; a sample that is cut short has the same units up to the cut. Whatever a sample is, each coding tells what it holds, or why not,
/// and tells the same once more. Emulation prevention put in comes out again.
pub fn nal(data: &[u8]) {
    let Some((size, sample)) = selected(data) else { return };
    let length_size = [1, 2, 4][usize::from(size % 3)];
    let units = walk(&sample, length_size);
    assert!(units.len() <= NALS_MAX);
    let mut again = Vec::with_capacity(sample.len());
    for unit in &units {
        assert!(!unit.is_empty());
        let length = u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes();
        again.extend_from_slice(&length[4 - usize::from(length_size)..]);
        again.extend_from_slice(unit);
        let _ = has_recovery_point(unit);
    }
    assert_eq!(walk(&again, length_size), units);
    for cut in cuts(sample.len().min(256)) {
        let fewer = walk(&sample[..cut], length_size);
        assert_eq!(fewer, units[..fewer.len()]);
    }
    let plain = unescape(&sample);
    assert!(plain.len() <= sample.len());
    assert_eq!(unescape(&escape(&plain)), plain);

    let avc = avc::sample_kind(&sample, length_size);
    assert_eq!(avc, avc::sample_kind(&sample, length_size));
    if let Ok(SampleKind::StartUnlessLed | SampleKind::Leading) = avc {
        unreachable!("H.264 has no leading pictures");
    }
    let hevc = hevc::sample_kind(&sample, length_size);
    assert_eq!(avc.is_ok(), hevc.is_ok(), "both walk the same units");
    // As SVT-AV1 makes it.
    let record =
        Bytes::from_static(&[0x81, 0, 0x0c, 0, 0x0a, 0x0a, 0, 0, 0, 2, 0x27, 0xd3, 0x2b, 0xfb, 0xf9, 0x08]);
    if let Ok(config) = av1::Config::parse(&record) {
        assert_eq!(config.sample_kind(&sample), config.sample_kind(&sample));
    }
}

/// The units up to the first fault.
fn walk(sample: &[u8], length_size: u8) -> Vec<&[u8]> {
    let mut failed = false;
    let units = nals(sample, length_size).map_while(|unit| {
        assert!(!failed, "it went on after a fault");
        failed = unit.is_err();
        unit.ok()
    });
    units.collect()
}

/// Puts emulation prevention in (ITU-T H.264, 7.4.1.1).
pub(super) fn escape(rbsp: &[u8]) -> Vec<u8> {
    let (mut out, mut zeros) = (Vec::with_capacity(rbsp.len() + 8), 0u8);
    for byte in rbsp {
        if zeros >= 2 && *byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        out.push(*byte);
    }
    out
}
