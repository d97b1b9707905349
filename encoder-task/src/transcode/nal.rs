//! From what the encoder writes (NAL units behind start codes, ITU-T H.264 annex B) to what files hold: length-prefixed NAL units
//! and a decoder configuration record (ISO 14496-15, 5.3.3.1).

/// `nal_unit_type` of a picture that nothing before it is needed for.
pub(super) const IDR: u8 = 5;
const SEI: u8 = 6;
const SPS: u8 = 7;
const PPS: u8 = 8;
const ACCESS_UNIT_DELIMITER: u8 = 9;
/// `payloadType` of `user_data_unregistered` (D.1.1).
const SEI_USER_DATA_UNREGISTERED: u8 = 5;

/// The type of a NAL unit; 0 for none.
pub(super) fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |byte| byte & 0x1f)
}

/// Splits a byte stream at its start codes. Trailing zero bytes are part of no unit (B.1.1).
pub(super) fn units(stream: &[u8]) -> Vec<&[u8]> {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(found) = find(&stream[at..]) {
        starts.push((at + found, at + found + 3));
        at += found + 3;
    }
    let mut out = Vec::with_capacity(starts.len());
    for (n, (_, from)) in starts.iter().enumerate() {
        let to = starts.get(n + 1).map_or(stream.len(), |(code, _)| *code);
        let unit = &stream[*from..to];
        let len = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if len > 0 {
            out.push(&unit[..len]);
        }
    }
    out
}

/// Where the next `00 00 01` is.
fn find(stream: &[u8]) -> Option<usize> {
    let mut at = 0;
    // The third byte decides: above 1 no start code touches it, so three bytes are skipped at once.
    while let Some(byte) = stream.get(at + 2) {
        match byte {
            0 => at += 1,
            1 if stream[at] == 0 && stream[at + 1] == 0 => return Some(at),
            _ => at += 3,
        }
    }
    None
}

/// Whether a unit is the text in which x264 names its version and options: of no use to a player, and the only part of a segment
/// that would tell two encoder builds apart.
fn is_encoder_text(unit: &[u8]) -> bool {
    kind(unit) == SEI && unit.get(1) == Some(&SEI_USER_DATA_UNREGISTERED)
}

/// A sample for a file: 4-byte lengths instead of start codes, without parameter sets (they are in the record), delimiters and
/// the encoder's text. The second value tells whether the picture is an IDR.
pub(super) fn to_sample(stream: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(stream.len() + 16);
    let mut idr = false;
    for unit in units(stream) {
        if matches!(kind(unit), SPS | PPS | ACCESS_UNIT_DELIMITER) || is_encoder_text(unit) {
            continue;
        }
        // A unit is shorter than its stream, whose length FFmpeg counts in an i32.
        let Ok(len) = u32::try_from(unit.len()) else { continue };
        idr |= kind(unit) == IDR;
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(unit);
    }
    (out, idr)
}

/// The parameter sets in an encoder's header.
pub(super) fn parameter_sets(stream: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let units = units(stream);
    let first = |wanted| units.iter().find(|unit| kind(unit) == wanted).map(|unit| unit.to_vec());
    Some((first(SPS).filter(|sps| sps.len() >= 4)?, first(PPS)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_three_and_four_byte_start_codes() {
        let stream = [0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 1, 0x68, 9, 0, 0, 0, 1, 0x65, 0, 0, 3, 1, 7, 0];
        assert_eq!(units(&stream), [&[0x67, 1, 2, 3][..], &[0x68, 9], &[0x65, 0, 0, 3, 1, 7]]);
        assert!(units(&[]).is_empty());
        assert!(units(&[1, 2, 3]).is_empty());
        assert!(units(&[0, 0, 1]).is_empty());
    }

    #[test]
    fn start_codes_are_found_at_every_offset() {
        for lead in 0..12 {
            let mut stream = vec![0xff; lead];
            stream.extend([0, 0, 1, 0x41]);
            assert_eq!(find(&stream), Some(lead));
        }
    }

    #[test]
    fn samples_hold_slices_and_captions_only() {
        let stream = [
            0, 0, 0, 1, 0x09, 0x10, 0, 0, 1, 0x67, 1, 1, 1, 0, 0, 1, 0x06, 5, 1, 9, 0x80, 0, 0, 1, 0x06, 4,
            1, 9, 0x80, 0, 0, 1, 0x65, 0xaa,
        ];
        let (sample, idr) = to_sample(&stream);
        assert!(idr);
        assert_eq!(sample, [0, 0, 0, 5, 0x06, 4, 1, 9, 0x80, 0, 0, 0, 2, 0x65, 0xaa]);
        assert!(!to_sample(&[0, 0, 1, 0x41, 0x9a]).1);
    }

    #[test]
    fn parameter_sets_are_both_needed() {
        assert!(parameter_sets(&[0, 0, 1, 0x67, 100, 0, 31]).is_none());
        assert_eq!(
            parameter_sets(&[0, 0, 1, 0x67, 100, 0, 31, 0, 0, 1, 0x68, 5]),
            Some((vec![0x67, 100, 0, 31], vec![0x68, 5]))
        );
    }
}
