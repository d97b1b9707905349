//! How late chunks are when a manifest names them: measured, never acted on.

use media::time::{VIDEO_TIMESCALE, WallTime};
use service::{
    metrics::defs::{GLASS_TO_GLASS, RECEIVED_TO_LISTED, STAGE_MANIFEST},
    table::Ledger,
};
use tokio::time::Instant;

use super::core::Place;
use crate::manifest;

/// Chunks noted between two manifests: what a takeover commits at once is measured by its first ones.
const NOTED_MAX: usize = 64;

/// Chunks that are committed and in no manifest yet.
#[derive(Debug, Default)]
pub(super) struct Latencies(Vec<(Place, WallTime)>);

impl Latencies {
    /// A chunk was committed that is shown live; its last byte had reached the edge at `received`.
    pub(super) fn add(&mut self, place: Place, received: WallTime) {
        if self.0.len() < NOTED_MAX {
            self.0.push((place, received));
        }
    }

    /// What there is, for the manifests that are written now.
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Measures the writing of manifests.
    pub(super) async fn listed_by<T>(&self, publish: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let result = publish.await;
        STAGE_MANIFEST.observe_time(began.elapsed());
        result
    }

    /// The manifests that name these chunks are stored, `now`.
    pub(super) fn note(&self, availability_start: Option<WallTime>, ledger: &Ledger, now: WallTime) {
        let delay = seconds(manifest::delay_ms(ledger).saturating_mul(1000));
        for (place, received) in &self.0 {
            RECEIVED_TO_LISTED.observe(seconds(now.micros_since(*received)));
            let Some(start) = availability_start else { continue };
            // Who plays this chunk's first picture when it is named is this far behind; nobody is less far than the manifest suggests.
            let began = place.start as f64 / f64::from(VIDEO_TIMESCALE);
            GLASS_TO_GLASS.observe((seconds(now.micros_since(start)) - began).max(delay));
        }
    }
}

/// Of microseconds. A show is far shorter than 2⁵³ of them.
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_from_the_first_frame_and_at_least_the_manifest_s() {
        let mut latencies = Latencies::default();
        let at = |s: i64| WallTime(s * 1_000_000);
        latencies.add(Place { start: 90_000 * 10, end: 90_000 * 12 }, at(112));
        let taken = latencies.take();
        taken.note(Some(at(100)), &Ledger::default(), at(119));
        taken.note(Some(at(100)), &Ledger::default(), at(110));
        assert_eq!(RECEIVED_TO_LISTED.get().sum, 7.0 - 2.0);
        let delay = manifest::delay_ms(&Ledger::default()) as f64 / 1000.0;
        assert_eq!((GLASS_TO_GLASS.get().count, GLASS_TO_GLASS.get().sum), (2, 9.0 + delay));
        assert!(latencies.0.is_empty());
    }
}
