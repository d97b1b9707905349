//! Encoders that failed a short while ago, as far as this warm process knows: others are tried before them. Only a hint: a heartbeat is
//! believed for some seconds after its encoder hangs, and this spares the next placement the wait for its silence. Pure.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use media::id::EncoderId;
use tokio::time::Instant;

/// How long a failure counts. Longer than a heartbeat is believed ([`crate::ring::ALIVE_MICROS`]): an encoder that stays silent is off
/// the ring by then.
pub(super) const SUSPECT_FOR: Duration = Duration::from_secs(10);
/// Most encoders remembered. With so many failing in [`SUSPECT_FOR`], the order in which they are tried helps nobody.
const SUSPECTS_MAX: usize = 256;

/// Who failed, and when last.
#[derive(Debug, Default)]
pub(super) struct Suspects(Mutex<BTreeMap<EncoderId, Instant>>);

impl Suspects {
    /// An encoder failed at `now`.
    pub(super) fn note(&self, encoder: &EncoderId, now: Instant) {
        let mut suspects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.retain(|_, at| is_fresh(*at, now));
        if suspects.len() < SUSPECTS_MAX || suspects.contains_key(encoder) {
            suspects.insert(encoder.clone(), now);
        }
    }

    /// An encoder has answered.
    pub(super) fn clear(&self, encoder: &EncoderId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(encoder);
    }

    /// Those that failed less than [`SUSPECT_FOR`] before `now`.
    pub(super) fn at(&self, now: Instant) -> Vec<EncoderId> {
        let suspects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.iter().filter(|(_, at)| is_fresh(**at, now)).map(|(id, _)| id.clone()).collect()
    }
}

fn is_fresh(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < SUSPECT_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> EncoderId {
        format!("encoder-{n}").parse().unwrap()
    }

    #[test]
    fn a_failure_counts_until_it_is_old_or_the_encoder_answers() {
        let (suspects, now) = (Suspects::default(), Instant::now());
        assert_eq!(suspects.at(now), []);
        suspects.note(&id(2), now);
        suspects.note(&id(1), now + Duration::from_secs(1));
        assert_eq!(suspects.at(now + Duration::from_secs(1)), [id(1), id(2)]);
        assert_eq!(suspects.at(now + SUSPECT_FOR), [id(1)]);
        // Failing again counts from then on.
        suspects.note(&id(2), now + SUSPECT_FOR);
        assert_eq!(suspects.at(now + SUSPECT_FOR), [id(1), id(2)]);
        suspects.clear(&id(1));
        suspects.clear(&id(3));
        assert_eq!(suspects.at(now + SUSPECT_FOR), [id(2)]);
        assert_eq!(suspects.at(now + SUSPECT_FOR * 2), []);
    }

    #[test]
    fn their_number_is_bounded() {
        let (suspects, now) = (Suspects::default(), Instant::now());
        (0..1000).for_each(|n| suspects.note(&id(n), now));
        assert_eq!(suspects.at(now).len(), SUSPECTS_MAX);
        suspects.note(&id(0), now + Duration::from_secs(1));
        suspects.note(&id(1000), now + SUSPECT_FOR);
        assert_eq!(suspects.at(now + SUSPECT_FOR), [id(0), id(1000)]);
    }
}
