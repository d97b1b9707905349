//! Which encoder a broadcast is placed on: consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, 2016), weighted
//! by capacity. Pure and deterministic on every machine: the hash is SHA-256, never the standard library's.
//!
//! An encoder has `groups` = capacity / [`PIXELS_PER_GROUP`] (at least [`GROUPS_MIN`], at most [`GROUPS_MAX`]) groups of
//! [`POINTS_PER_GROUP`] virtual nodes each: group `g` is the SHA-256 of `{encoder}#{g}` (`g` in decimal), read as four big-endian
//! 64-bit numbers. A broadcast's point is the first 8 bytes, big-endian, of the SHA-256 of its id. From there the walk goes up
//! (and round), to the first virtual node whose encoder has room.
//!
//! Invariants: no encoder is given more than ⌈1.25 × its fair share⌉ broadcasts, its share being in proportion to its capacity; a
//! ring that is not empty always places (the limits add up to more than the loads); only encoders that are alive and not draining
//! are on the ring. Bindings that stand are never moved by anything here.

use media::{
    id::{BroadcastId, EncoderId},
    time::WallTime,
};
use service::table::Encoder;
use sha2::{Digest, Sha256};

/// Capacity that earns one group of virtual nodes, in pixels per second. A vCPU transcodes some 30 million, so that a task of four
/// has about 480 virtual nodes and its arc of the ring is within 5 % (one standard deviation) of its share.
pub const PIXELS_PER_GROUP: u64 = 1_000_000;
/// Groups of the smallest encoder: below that its arc is a matter of luck.
pub const GROUPS_MIN: u64 = 8;
/// Groups of the largest encoder: bounds the cost of building the ring, which is done anew for every placement.
pub const GROUPS_MAX: u64 = 256;
/// Virtual nodes in a group: as many 64-bit numbers as a SHA-256 holds.
pub const POINTS_PER_GROUP: usize = 4;
/// The load bound as a fraction of the fair share: 5/4.
pub const BOUND: (u128, u128) = (5, 4);
/// An encoder is alive when its last heartbeat is at most this old, in microseconds. Heartbeats come every 2 s: two may be lost and
/// one late.
pub const ALIVE_MICROS: i64 = 7_000_000;

/// Whether something new may be placed on this encoder. A heartbeat from the future (its clock is ahead) counts as fresh.
#[must_use]
pub fn is_candidate(encoder: &Encoder, now: WallTime) -> bool {
    !encoder.draining && now.micros_since(encoder.seen) <= ALIVE_MICROS
}

/// Places one broadcast on any encoder but the `excluded`; on one of the `doubtful` only when there is no other.
#[must_use]
pub fn place<'a>(
    encoders: &'a [Encoder],
    now: WallTime,
    broadcast: &BroadcastId,
    excluded: &[EncoderId],
    doubtful: &[EncoderId],
) -> Option<&'a Encoder> {
    Ring::new(encoders, now, &[excluded, doubtful].concat())
        .place(broadcast)
        .or_else(|| Ring::new(encoders, now, excluded).place(broadcast))
}

/// The ring over the encoders that something new may be placed on.
#[derive(Debug)]
pub struct Ring<'a> {
    members: Vec<Member<'a>>,
    /// Virtual nodes in order, with the index of their encoder.
    points: Vec<(u64, usize)>,
    capacity: u128,
    load: u128,
}

#[derive(Debug)]
struct Member<'a> {
    encoder: &'a Encoder,
    capacity: u128,
    load: u128,
}

impl<'a> Ring<'a> {
    /// The ring over those of `encoders` that are alive at `now`, not draining and not in `excluded`.
    #[must_use]
    pub fn new(encoders: &'a [Encoder], now: WallTime, excluded: &[EncoderId]) -> Self {
        let members: Vec<_> = encoders
            .iter()
            .filter(|encoder| is_candidate(encoder, now) && !excluded.contains(&encoder.id))
            .map(|encoder| Member {
                encoder,
                capacity: u128::from(encoder.capacity.max(1)),
                load: u128::try_from(encoder.bound).unwrap_or(0),
            })
            .collect();
        let mut points: Vec<_> = members
            .iter()
            .enumerate()
            .flat_map(|(index, member)| points(member.encoder).map(move |point| (point, index)))
            .collect();
        // Two encoders on one point: the order of ids decides, whatever order they were read in.
        points.sort_unstable_by_key(|&(point, index)| (point, members.get(index).map(|m| &m.encoder.id)));
        let capacity = members.iter().map(|m| m.capacity).sum();
        let load = members.iter().map(|m| m.load).sum();
        Self { members, points, capacity, load }
    }

    /// The encoder for a broadcast; `None` when there is none on the ring. The placement is counted, so that the next one from the
    /// same reading of the encoders sees it.
    pub fn place(&mut self, broadcast: &BroadcastId) -> Option<&'a Encoder> {
        let key = key_point(broadcast);
        let start = self.points.partition_point(|&(point, _)| point < key);
        let (before, after) = self.points.split_at(start);
        let index =
            after.iter().chain(before).map(|&(_, index)| index).find(|&index| self.has_room(index))?;
        let member = self.members.get_mut(index)?;
        member.load += 1;
        self.load += 1;
        Some(member.encoder)
    }

    /// Whether one more on this encoder stays within ⌈1.25 × its share of all, the new one included⌉.
    fn has_room(&self, index: usize) -> bool {
        let (num, den) = BOUND;
        self.members.get(index).is_some_and(|member| {
            let limit = (num * (self.load + 1) * member.capacity).div_ceil(den * self.capacity);
            member.load < limit
        })
    }
}

/// An encoder's virtual nodes.
fn points(encoder: &Encoder) -> impl Iterator<Item = u64> {
    let groups = (encoder.capacity / PIXELS_PER_GROUP).clamp(GROUPS_MIN, GROUPS_MAX);
    let id = encoder.id.clone();
    (0..groups).flat_map(move |group| {
        let digest: [u8; 32] = Sha256::digest(format!("{id}#{group}")).into();
        let (words, _) = digest.as_chunks::<8>();
        let mut points = [0; POINTS_PER_GROUP];
        for (point, word) in points.iter_mut().zip(words) {
            *point = u64::from_be_bytes(*word);
        }
        points
    })
}

/// Where a broadcast stands on the ring.
fn key_point(broadcast: &BroadcastId) -> u64 {
    let digest: [u8; 32] = Sha256::digest(broadcast.as_str()).into();
    let (words, _) = digest.as_chunks::<8>();
    words.first().map_or(0, |word| u64::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const NOW: WallTime = WallTime(1_700_000_000_000_000);
    /// What a task of four vCPUs measures.
    const CAPACITY: u64 = 120_000_000;

    fn encoder(name: impl Into<String>, capacity: u64, bound: i64) -> Encoder {
        Encoder {
            id: name.into().parse().unwrap(),
            address: "10.0.0.1:80".to_owned(),
            capacity,
            draining: false,
            seen: NOW,
            bound,
        }
    }

    fn pool(count: usize) -> Vec<Encoder> {
        (0..count).map(|n| encoder(format!("encoder-{n}"), CAPACITY, 0)).collect()
    }

    fn key(n: u64) -> BroadcastId {
        BroadcastId::new(1_700_000_000_000 + n, [0; 10])
    }

    /// Where `key` goes on an otherwise empty ring: plain consistent hashing.
    fn alone(encoders: &[Encoder], key: &BroadcastId) -> EncoderId {
        Ring::new(encoders, NOW, &[]).place(key).unwrap().id.clone()
    }

    /// Places many keys, each as if it were the only one: the loads are set back after each.
    fn each_alone(encoders: &[Encoder], keys: u64) -> Vec<EncoderId> {
        let mut ring = Ring::new(encoders, NOW, &[]);
        let load = ring.load;
        (0..keys)
            .map(|n| {
                let id = ring.place(&key(n)).unwrap().id.clone();
                ring.load = load;
                for member in &mut ring.members {
                    member.load = u128::try_from(member.encoder.bound).unwrap();
                }
                id
            })
            .collect()
    }

    #[test]
    fn golden_placements() {
        let (mut encoders, mut placements) = (Vec::new(), Vec::new());
        for line in include_str!("../tests/data/ring-golden.txt").lines() {
            match *line.split(' ').collect::<Vec<_>>() {
                ["encoder", name, capacity, bound] => {
                    encoders.push(encoder(name, capacity.parse().unwrap(), bound.parse().unwrap()));
                }
                ["place", key, name] => placements.push((key.parse().unwrap(), name)),
                _ => assert!(line.starts_with('#'), "{line}"),
            }
        }
        assert_eq!((encoders.len(), placements.len()), (4, 40));
        for _ in 0..encoders.len() {
            // The order in which encoders were read changes nothing.
            encoders.rotate_left(1);
            let mut ring = Ring::new(&encoders, NOW, &[]);
            for (key, name) in &placements {
                assert_eq!(ring.place(key).unwrap().id.as_str(), *name, "{key}");
            }
        }
    }

    #[test]
    fn only_the_living_are_candidates() {
        let mut one = encoder("one", CAPACITY, 0);
        assert!(is_candidate(&one, NOW));
        assert!(is_candidate(&one, NOW.plus_micros(ALIVE_MICROS)));
        assert!(!is_candidate(&one, NOW.plus_micros(ALIVE_MICROS + 1)));
        assert!(is_candidate(&one, NOW.plus_micros(-60_000_000)), "its clock is ahead");
        one.draining = true;
        assert!(!is_candidate(&one, NOW));
        let encoders = [one];
        assert_eq!(Ring::new(&encoders, NOW, &[]).place(&key(1)), None);
    }

    #[test]
    fn the_excluded_are_not_chosen_and_none_is_none() {
        let encoders = pool(3);
        let ids: Vec<_> = encoders.iter().map(|e| e.id.clone()).collect();
        assert_eq!(Ring::new(&encoders, NOW, &ids).place(&key(1)), None);
        assert_eq!(Ring::new(&[], NOW, &[]).place(&key(1)), None);
        let first = alone(&encoders, &key(1));
        let next = Ring::new(&encoders, NOW, std::slice::from_ref(&first)).place(&key(1)).unwrap();
        assert_ne!(next.id, first);
    }

    #[test]
    fn a_thousand_encoders_with_a_hundred_thousand_broadcasts_stay_in_bounds() {
        let encoders = pool(1000);
        let mut ring = Ring::new(&encoders, NOW, &[]);
        let mut loads: HashMap<EncoderId, u64> = HashMap::new();
        for n in 0..100_000 {
            *loads.entry(ring.place(&key(n)).unwrap().id.clone()).or_default() += 1;
        }
        // The mean is 100.
        assert!(loads.values().all(|&load| load <= 125), "{:?}", loads.values().max());
        assert_eq!(loads.values().sum::<u64>(), 100_000);
    }

    #[test]
    fn arcs_follow_capacity() {
        let encoders = [encoder("small", CAPACITY / 2, 0), encoder("large", CAPACITY * 3 / 2, 0)];
        let large = each_alone(&encoders, 20_000).iter().filter(|id| id.as_str() == "large").count();
        assert!((14_000..16_000).contains(&large), "{large} of 20000, not about three quarters");
    }

    #[test]
    fn one_encoder_more_takes_about_its_share_of_fresh_placements() {
        for count in [4, 10, 25, 60] {
            let (before, after) = (pool(count), pool(count + 1));
            let keys = 20_000_u32;
            let pairs = each_alone(&before, keys.into()).into_iter().zip(each_alone(&after, keys.into()));
            let moved = u32::try_from(pairs.filter(|(a, b)| a != b).count()).unwrap();
            let (share, most) =
                (f64::from(moved) / f64::from(keys), 1.2 / f64::from(u32::try_from(count).unwrap()));
            assert!(share <= most, "{count}: {share} > {most}");
        }
    }

    fn any_pool() -> impl Strategy<Value = Vec<Encoder>> {
        let encoder = (0u64..400_000_000, 0i64..50);
        proptest::collection::vec(encoder, 1..20).prop_map(|list| {
            let named = list.into_iter().enumerate();
            named.map(|(n, (capacity, bound))| encoder_of(n, capacity, bound)).collect()
        })
    }

    fn encoder_of(n: usize, capacity: u64, bound: i64) -> Encoder {
        encoder(format!("e{n}"), capacity, bound)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A ring with anybody on it always places, and never above ⌈1.25 × fair share⌉.
        #[test]
        fn loads_are_bounded(encoders in any_pool(), keys in 1u64..200) {
            let mut ring = Ring::new(&encoders, NOW, &[]);
            let capacity: u128 = encoders.iter().map(|e| u128::from(e.capacity.max(1))).sum();
            let mut loads: HashMap<_, _> =
                encoders.iter().map(|e| (&e.id, u128::try_from(e.bound).unwrap())).collect();
            for n in 0..keys {
                let chosen = ring.place(&key(n)).unwrap();
                let load = loads.get_mut(&chosen.id).unwrap();
                *load += 1;
                let load = *load;
                let total: u128 = loads.values().sum();
                let limit = (5 * total * u128::from(chosen.capacity.max(1))).div_ceil(4 * capacity);
                prop_assert!(load <= limit, "{load} > {limit}");
            }
        }

        /// On an empty ring a newcomer takes placements over; nothing moves between the others.
        #[test]
        fn a_newcomer_moves_nothing_between_the_others(
            encoders in any_pool(), capacity in 0u64..400_000_000, n in any::<u32>(),
        ) {
            let mut before = encoders;
            before.iter_mut().for_each(|e| e.bound = 0);
            let mut after = before.clone();
            after.push(encoder("newcomer", capacity, 0));
            let (was, is) = (alone(&before, &key(n.into())), alone(&after, &key(n.into())));
            prop_assert!(is == was || is.as_str() == "newcomer", "{was} became {is}");
        }
    }
}
