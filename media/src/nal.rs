//! What H.264 and HEVC share: NAL units behind lengths (ISO 14496-15, 5.3.4.2 and 8.3.3), emulation prevention, SEI messages.
//!
//! Invariant: never reads past a sample's end, and never walks more than [`NALS_MAX`] units of one.

use thiserror::Error;

/// Most NAL units walked in one sample: one slice per macroblock row of an 8192-line picture, and as many SEI.
pub const NALS_MAX: usize = 1024;

/// `payloadType` of a recovery point, in H.264 (D.1.8) and in HEVC (D.2.8).
const SEI_RECOVERY_POINT: u32 = 6;

/// A sample's NAL units do not add up to its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the sample is wrong at byte {at}: {what}")]
pub struct NalError {
    /// Byte in the sample.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// Walks the length-prefixed NAL units of a sample.
#[must_use]
pub fn nals(sample: &[u8], length_size: u8) -> Nals<'_> {
    Nals { sample, at: 0, length_size: usize::from(length_size), count: 0 }
}

/// An iterator over the NAL units of one sample; ends after the first error. Empty units are skipped.
#[derive(Debug, Clone)]
pub struct Nals<'a> {
    sample: &'a [u8],
    at: usize,
    length_size: usize,
    count: usize,
}

impl Nals<'_> {
    fn fail(&mut self, what: &'static str) -> NalError {
        let at = self.at;
        self.at = self.sample.len();
        NalError { at, what }
    }
}

impl<'a> Iterator for Nals<'a> {
    type Item = Result<&'a [u8], NalError>;
    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.sample.len() {
            let Some(prefix) = self.sample.get(self.at..self.at + self.length_size) else {
                return Some(Err(self.fail("the length of a NAL unit is cut")));
            };
            let length = prefix.iter().fold(0usize, |n, byte| (n << 8) | usize::from(*byte));
            let from = self.at + self.length_size;
            let Some(nal) = from.checked_add(length).and_then(|to| self.sample.get(from..to)) else {
                return Some(Err(self.fail("a NAL unit is longer than the sample")));
            };
            self.count += 1;
            if self.count > NALS_MAX {
                return Some(Err(self.fail("more NAL units than any picture has")));
            }
            self.at = from + length;
            if !nal.is_empty() {
                return Some(Ok(nal));
            }
        }
        None
    }
}

/// Takes the emulation prevention bytes out of a NAL unit: `00 00 03` → `00 00` (ITU-T H.264, 7.4.1.1; H.265, 7.4.2.1).
#[must_use]
pub fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0u8;
    for byte in nal {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros.saturating_add(1) } else { 0 };
        out.push(*byte);
    }
    out
}

/// Whether an SEI NAL unit, given without its header, holds a recovery point: what encoders put at the I picture of an open GOP, and
/// where a cycle of intra refresh begins.
#[must_use]
pub fn has_recovery_point(sei: &[u8]) -> bool {
    let rbsp = unescape(sei);
    let mut at = 0usize;
    // A number of SEI: as many bytes of 255 as it takes, and the rest (7.3.2.3.1).
    let number = |at: &mut usize| -> Option<u32> {
        let mut value = 0u32;
        loop {
            let byte = *rbsp.get(*at)?;
            *at += 1;
            value = value.checked_add(u32::from(byte))?;
            if byte != u8::MAX {
                return Some(value);
            }
        }
    };
    // The last byte is the stop bit's.
    while at + 2 < rbsp.len() {
        let (Some(kind), Some(size)) = (number(&mut at), number(&mut at)) else { return false };
        if kind == SEI_RECOVERY_POINT {
            return true;
        }
        at = at.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulation_prevention_is_taken_out() {
        assert_eq!(unescape(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3]), [0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(unescape(&[0, 3, 0, 0, 0, 3, 3]), [0, 3, 0, 0, 0, 3]);
        assert_eq!(unescape(&[0, 0, 3, 3]), [0, 0, 3]);
    }

    #[test]
    fn recovery_points_are_found_among_other_messages() {
        assert!(has_recovery_point(&[6, 1, 0x84, 0x80]));
        assert!(has_recovery_point(&[5, 2, 9, 9, 6, 1, 0x84, 0x80]));
        let mut long = vec![0xff, 4, 0xff, 1];
        long.extend([7; 256]);
        long.extend([6, 1, 0x84, 0x80]);
        assert!(has_recovery_point(&long));
        for none in [&[][..], &[6], &[5, 1, 6, 0x80], &[5, 0xff, 0xff, 0xff], &[0xff; 40], &[1, 0, 0x80]] {
            assert!(!has_recovery_point(none), "{none:?}");
        }
    }
}
