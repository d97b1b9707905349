//! Open bitstream units one after the other (AV1 specification, 5.3.1 and 4.10.5).
//!
//! Invariant: never reads past the end, and never walks more than [`OBUS_MAX`] units of one sample.

use thiserror::Error;

/// Most OBUs walked in one sample: a frame of 64 × 64 tiles, each in a group of its own (`MAX_TILE_COLS`, `MAX_TILE_ROWS`), and metadata.
pub const OBUS_MAX: usize = 4200;

/// `obu_type` of a sequence header (6.2.2).
pub(super) const SEQUENCE_HEADER: u8 = 1;
/// `obu_type` of a frame header without its tiles.
pub(super) const FRAME_HEADER: u8 = 3;
/// `obu_type` of a frame header with its tiles.
pub(super) const FRAME: u8 = 6;

/// Bytes of a `leb128` number at most.
const LEB128_MAX: u32 = 8;

/// OBUs do not add up to the bytes that hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the OBUs are wrong at byte {at}: {what}")]
pub struct ObuError {
    /// Byte in what was walked.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// One unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Obu<'a> {
    /// `obu_type`.
    pub(super) kind: u8,
    pub(super) payload: &'a [u8],
}

/// Walks the units of a sample. One without a size goes to the end.
pub(super) fn obus(bytes: &[u8]) -> Obus<'_> {
    Obus { bytes, at: 0, count: 0 }
}

/// Ends after the first error.
pub(super) struct Obus<'a> {
    bytes: &'a [u8],
    at: usize,
    count: usize,
}

impl<'a> Obus<'a> {
    fn read(&mut self) -> Result<Obu<'a>, &'static str> {
        self.count += 1;
        if self.count > OBUS_MAX {
            return Err("more OBUs than any picture has");
        }
        let cut = "an OBU's header is cut";
        let header = *self.bytes.get(self.at).ok_or(cut)?;
        if header & 0x80 != 0 {
            return Err("an OBU's forbidden bit is set");
        }
        let (extended, sized) = (header & 4 != 0, header & 2 != 0);
        let mut from = self.at + 1 + usize::from(extended);
        let mut length = self.bytes.len().checked_sub(from).ok_or(cut)?;
        if sized {
            length = 0;
            for n in 0..LEB128_MAX {
                let byte = *self.bytes.get(from).ok_or(cut)?;
                from += 1;
                let part = usize::from(byte & 0x7f).checked_shl(7 * n);
                length |= part.ok_or("an OBU's size is beyond reason")?;
                if byte & 0x80 == 0 {
                    break;
                }
                if n + 1 == LEB128_MAX {
                    return Err("an OBU's size does not end");
                }
            }
        }
        let payload = from.checked_add(length).and_then(|to| self.bytes.get(from..to));
        let payload = payload.ok_or("an OBU is longer than what holds it")?;
        self.at = from + length;
        Ok(Obu { kind: (header >> 3) & 0xf, payload })
    }
}

impl<'a> Iterator for Obus<'a> {
    type Item = Result<Obu<'a>, ObuError>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let at = self.at;
        Some(self.read().map_err(|what| {
            self.at = self.bytes.len();
            ObuError { at, what }
        }))
    }
}
