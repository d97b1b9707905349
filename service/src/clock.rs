//! The world's clock and randomness, read in this one place: everything else takes them as input.

use std::time::{SystemTime, UNIX_EPOCH};

use media::time::WallTime;

/// Now, by this machine's clock.
#[must_use]
pub fn now() -> WallTime {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros());
    WallTime(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// Random bytes from the operating system, fit for keys.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut bytes);
    bytes
}
