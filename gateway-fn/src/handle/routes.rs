//! What a warm process remembers of bindings, so that a chunk's notice needs no look-up. Only a cache: an encoder refuses a wrong
//! epoch, and the process looks again.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use media::id::BroadcastId;
use service::table::Binding;
use tokio::time::Instant;

/// How long a route is used without a look at the table: a binding that was moved by others is met within some GOPs even if the old
/// encoder does not say so.
pub(super) const ROUTE_TTL: Duration = Duration::from_secs(10);
/// Most routes kept: far more broadcasts than one process serves in [`ROUTE_TTL`].
const ROUTES_MAX: usize = 1024;

/// Where a broadcast's events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// The binding.
    pub(super) binding: Binding,
    /// The encoder's address; `None` when it has no row any more.
    pub(super) address: Option<String>,
}

/// The remembered routes.
#[derive(Debug, Default)]
pub(super) struct Routes(Mutex<BTreeMap<BroadcastId, (Instant, Route)>>);

impl Routes {
    /// The route that was noted less than [`ROUTE_TTL`] before `now`.
    pub(super) fn get(&self, broadcast: &BroadcastId, now: Instant) -> Option<Route> {
        let routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        routes
            .get(broadcast)
            .filter(|(at, _)| now.saturating_duration_since(*at) < ROUTE_TTL)
            .map(|(_, route)| route.clone())
    }

    /// Notes a route as of `now`. When there are too many, those that have expired go; if none has, all go.
    pub(super) fn note(&self, broadcast: &BroadcastId, route: Route, now: Instant) {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if routes.len() >= ROUTES_MAX {
            routes.retain(|_, (at, _)| now.saturating_duration_since(*at) < ROUTE_TTL);
        }
        if routes.len() >= ROUTES_MAX {
            routes.clear();
        }
        routes.insert(broadcast.clone(), (now, route));
    }

    /// Drops a route.
    pub(super) fn forget(&self, broadcast: &BroadcastId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(broadcast);
    }
}

#[cfg(test)]
mod tests {
    use media::id::Epoch;

    use super::*;

    fn id(n: u16) -> BroadcastId {
        BroadcastId::new(u64::from(n), [0; 10])
    }

    fn route() -> Route {
        let binding = Binding {
            encoder: "e".parse().unwrap(),
            epoch: Epoch::FIRST,
            cursor: None,
            live_end: None,
            floor: None,
        };
        Route { binding, address: Some("127.0.0.1:1".to_owned()) }
    }

    #[test]
    fn a_route_is_used_until_it_expires_or_is_dropped() {
        let (routes, now) = (Routes::default(), Instant::now());
        assert_eq!(routes.get(&id(1), now), None);
        routes.note(&id(1), route(), now);
        assert_eq!(routes.get(&id(1), now + ROUTE_TTL - Duration::from_millis(1)), Some(route()));
        assert_eq!(routes.get(&id(1), now + ROUTE_TTL), None);
        routes.forget(&id(1));
        assert_eq!(routes.get(&id(1), now), None);
    }

    #[test]
    fn the_number_of_routes_is_bounded() {
        let (routes, now) = (Routes::default(), Instant::now());
        for n in 0..3000 {
            routes.note(&id(n), route(), now);
            assert!(routes.0.lock().unwrap().len() <= ROUTES_MAX);
            assert_eq!(routes.get(&id(n), now), Some(route()));
        }
    }
}
