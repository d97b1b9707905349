//! Reads single bits, most significant first, from codec configuration records.
//!
//! Invariant: never reads past the end; every failure says at which bit it happened and what was being read.

use thiserror::Error;

/// A field could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{what} at bit {at}")]
pub struct BitError {
    /// Position of the first bit of the field.
    pub at: usize,
    /// What is wrong, or which field was cut.
    pub what: &'static str,
}

/// A cursor over bits.
#[derive(Debug, Clone)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// An error at the current position.
    pub(crate) fn error(&self, what: &'static str) -> BitError {
        BitError { at: self.at, what }
    }

    /// Bits not read yet.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len().saturating_mul(8).saturating_sub(self.at)
    }

    pub(crate) fn flag(&mut self, what: &'static str) -> Result<bool, BitError> {
        let byte = self.bytes.get(self.at / 8).ok_or(self.error(what))?;
        let bit = (byte >> (7 - self.at % 8)) & 1;
        self.at += 1;
        Ok(bit == 1)
    }

    /// An unsigned number of at most 32 bits.
    pub(crate) fn u(&mut self, count: u32, what: &'static str) -> Result<u32, BitError> {
        if self.left() < usize::try_from(count).unwrap_or(usize::MAX) || count > 32 {
            return Err(self.error(what));
        }
        let mut value = 0u32;
        for _ in 0..count {
            value = (value << 1) | u32::from(self.flag(what)?);
        }
        Ok(value)
    }

    /// An unsigned number of at most 8 bits.
    pub(crate) fn u8(&mut self, count: u32, what: &'static str) -> Result<u8, BitError> {
        let error = self.error(what);
        u8::try_from(self.u(count.min(8), what)?).map_err(|_| error)
    }

    /// `ue(v)`: an unsigned Exp-Golomb number (ITU-T H.264, 9.1).
    pub(crate) fn ue(&mut self, what: &'static str) -> Result<u32, BitError> {
        let error = self.error(what);
        let mut zeros = 0u32;
        while !self.flag(what)? {
            zeros += 1;
            if zeros > 31 {
                return Err(error);
            }
        }
        let rest = self.u(zeros, what)?;
        ((1u32 << zeros) - 1).checked_add(rest).ok_or(error)
    }

    /// `se(v)`: a signed Exp-Golomb number (ITU-T H.264, 9.1.1).
    pub(crate) fn se(&mut self, what: &'static str) -> Result<i64, BitError> {
        let code = i64::from(self.ue(what)?);
        Ok(if code % 2 == 1 { code / 2 + 1 } else { -(code / 2) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_of_the_specifications_table() {
        // 1 | 010 | 011 | 00100 | 00101, H.264 table 9-2
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        for expected in 0..5 {
            assert_eq!(bits.ue("n"), Ok(expected));
        }
        let mut signed = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        for expected in [0, 1, -1, 2, -2] {
            assert_eq!(signed.se("n"), Ok(expected));
        }
    }

    #[test]
    fn the_end_is_an_error_with_its_place() {
        let mut bits = Bits::new(&[0xff]);
        assert_eq!(bits.u(6, "a"), Ok(63));
        assert_eq!(bits.u(3, "b"), Err(BitError { at: 6, what: "b" }));
        assert_eq!(Bits::new(&[0; 8]).ue("n"), Err(BitError { at: 0, what: "n" }));
        assert_eq!(Bits::new(&[]).flag("n"), Err(BitError { at: 0, what: "n" }));
    }
}
