//! Cutting publishes that have lost what they go by: their key was replaced, their live disabled, their broadcast ended by the operator.
//!
//! What a revocation means for a publish is a pure function ([`verdict`]). The shell ([`watch`]) asks the gateway for what has been revoked
//! lately, about once a second, in one event for all publishes of the process and only while there are any. The reply holds facts, not
//! orders, and all of them each time: nothing is lost with a reply, and asking twice changes nothing.

use std::{sync::Arc, time::Duration};

use media::{
    id::{BroadcastId, KeyHash, LiveId},
    verdict::{Code, Verdict},
    wire::{GatewayRequest, Revocation, RevokedReply},
};

use crate::{
    backend::{Backend, millis},
    connection::OnAir,
};

/// Longest time between two askings: with the asking itself and the cut, within the 2 s that a revocation may take.
const ASK_EVERY_MAX: Duration = Duration::from_millis(1_000);
/// Shortest time: chance between the two keeps the edges of a region apart.
const ASK_EVERY_MIN: Duration = Duration::from_millis(800);
/// Time for one asking. Longer than a revocation may take: where answers are slow, a late one is better than none.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// What a publish goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The live.
    pub live: LiveId,
    /// Its broadcast.
    pub broadcast: BroadcastId,
    /// Hash of the key that it was opened with.
    pub key_hash: KeyHash,
}

/// What a publisher whose rights these are is told, if one of the revocations is of them. That it may not publish any more says more than
/// that its broadcast is over.
#[must_use]
pub fn verdict(rights: &Rights, revocations: &[Revocation]) -> Option<Verdict> {
    let own = revocations.iter().filter_map(|revocation| one(rights, revocation));
    own.min_by_key(|verdict| verdict.code == Code::Ended)
}

fn one(rights: &Rights, revocation: &Revocation) -> Option<Verdict> {
    match revocation {
        Revocation::Key { live, key_hash } => {
            (*live == rights.live && *key_hash == rights.key_hash).then(|| {
                Verdict::new(
                    Code::KeyReplaced,
                    "The stream key has been replaced. Copy the new one from where you got it, and publish with it.",
                )
            })
        }
        Revocation::Live { live } => (*live == rights.live).then(|| {
            Verdict::new(
                Code::LiveDisabled,
                "This live has been switched off. Ask its operator to enable it, then publish again.",
            )
        }),
        Revocation::Broadcast { broadcast } => (*broadcast == rights.broadcast).then(|| {
            Verdict::new(Code::Ended, "The broadcast has been ended. Publish again to begin a new one.")
        }),
    }
}

/// Asks and cuts, for as long as it is polled.
pub async fn watch<B: Backend>(backend: Arc<B>, on_air: Arc<OnAir>) {
    // An outage is told once, at its begin; the publishes' own calls tell the rest.
    let mut failing = false;
    loop {
        on_air.somebody().await;
        tokio::time::sleep(wait(backend.clock().chance())).await;
        let asked = tokio::time::timeout(ASK_TIMEOUT, backend.ask::<RevokedReply>(&GatewayRequest::Revoked));
        let why = match asked.await {
            Ok(Ok(reply)) => {
                failing = false;
                on_air.revoke(&reply.revocations);
                continue;
            }
            Ok(Err(error)) => error.message,
            Err(_) => format!("no answer in {} ms", millis(ASK_TIMEOUT)),
        };
        if !std::mem::replace(&mut failing, true) {
            tracing::warn!(error = why, "can't ask what has been revoked");
        }
    }
}

/// The time to the next asking, `chance` being uniform in `0.0..1.0`.
fn wait(chance: f64) -> Duration {
    ASK_EVERY_MIN + (ASK_EVERY_MAX - ASK_EVERY_MIN).mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use media::id::StreamKey;

    use super::*;

    fn hash(key: &str) -> KeyHash {
        key.parse::<StreamKey>().unwrap().hash()
    }

    #[test]
    fn a_publish_is_cut_by_what_is_revoked_of_its_own_rights_only() {
        let (live, other): (LiveId, LiveId) = ("shop".parse().unwrap(), "other".parse().unwrap());
        let (broadcast, before) = (BroadcastId::new(2, [0; 10]), BroadcastId::new(1, [0; 10]));
        let rights =
            Rights { live: live.clone(), broadcast: broadcast.clone(), key_hash: hash("key-of-now") };
        let key = |live: &LiveId, key| Revocation::Key { live: live.clone(), key_hash: hash(key) };
        let elsewhere = vec![
            key(&live, "key-of-before"),
            key(&other, "key-of-now"),
            Revocation::Live { live: other },
            Revocation::Broadcast { broadcast: before },
        ];
        assert_eq!(verdict(&rights, &[]), None);
        assert_eq!(verdict(&rights, &elsewhere), None);
        for (revocation, code) in [
            (key(&live, "key-of-now"), Code::KeyReplaced),
            (Revocation::Live { live: live.clone() }, Code::LiveDisabled),
            (Revocation::Broadcast { broadcast }, Code::Ended),
        ] {
            let all = [&elsewhere[..], &[revocation]].concat();
            assert_eq!(verdict(&rights, &all).map(|verdict| verdict.code), Some(code));
            let over = [&[Revocation::Broadcast { broadcast: rights.broadcast.clone() }], &all[..]].concat();
            assert_eq!(
                verdict(&rights, &over).map(|verdict| verdict.code),
                Some(code),
                "the least is said last"
            );
        }
    }

    #[test]
    fn askings_are_apart_by_less_than_a_second() {
        assert_eq!(wait(0.0), ASK_EVERY_MIN);
        assert_eq!(wait(1.0), ASK_EVERY_MAX);
    }
}
