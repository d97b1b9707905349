//! The world's clock and randomness. A process makes one [`Clock`] and hands it to what needs time or chance, so that a process's time
//! and its dice are inputs like all others.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use media::time::WallTime;

/// Where time and randomness come from.
pub trait Source: fmt::Debug + Send + Sync {
    /// Now.
    fn now(&self) -> WallTime;
    /// Fills the bytes at random.
    fn fill(&self, bytes: &mut [u8]);
}

/// A clock, and dice.
#[derive(Debug, Clone)]
pub struct Clock(Arc<dyn Source>);

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(System))
    }
}

impl Clock {
    /// A clock on any source.
    #[must_use]
    pub fn on(source: Arc<dyn Source>) -> Self {
        Self(source)
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> WallTime {
        self.0.now()
    }

    /// Random bytes.
    #[must_use]
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }

    /// Uniform in `0.0..1.0`.
    #[must_use]
    pub fn chance(&self) -> f64 {
        f64::from(u32::from_le_bytes(self.random_bytes())) / (f64::from(u32::MAX) + 1.0)
    }
}

/// The machine's clock and the operating system's randomness.
#[derive(Debug)]
struct System;

impl Source for System {
    fn now(&self) -> WallTime {
        now()
    }
    fn fill(&self, bytes: &mut [u8]) {
        rand::RngCore::fill_bytes(&mut rand::rng(), bytes);
    }
}

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
    System.fill(&mut bytes);
    bytes
}
