//! Placements against a golden list made elsewhere, and against the bounds that the ring promises.

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

/// Where many fresh keys go, each as if it were the only one.
fn each_alone(ring: &Ring<'_>, keys: u64) -> Vec<usize> {
    (0..keys).map(|n| ring.choose(&key(1_000_000 + n)).unwrap()).collect()
}

#[test]
fn golden_placements() {
    let (mut encoders, mut placements) = (Vec::new(), Vec::new());
    for line in include_str!("../../tests/data/ring-golden.txt").lines() {
        match *line.split(' ').collect::<Vec<_>>() {
            ["encoder", name, capacity, bound] => {
                encoders.push(encoder(name, capacity.parse().unwrap(), bound.parse().unwrap()));
            }
            ["place", key, name] => placements.push((key.parse().unwrap(), name)),
            _ => assert!(line.starts_with('#'), "{line}"),
        }
    }
    assert_eq!((encoders.len(), placements.len()), (4, 120));
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
fn arcs_follow_capacity() {
    let encoders = [encoder("small", CAPACITY / 2, 0), encoder("large", CAPACITY * 3 / 2, 0)];
    let large =
        each_alone(&Ring::new(&encoders, NOW, &[]), 20_000).into_iter().filter(|&index| index == 1).count();
    assert!((14_000..16_000).contains(&large), "{large} of 20000, not about three quarters");
}

/// How many of `keys` fresh placements another set of encoders changes, as a multiple of 1/N.
fn moved(before: &Ring<'_>, after: &Ring<'_>, keys: u32) -> f64 {
    let pairs = each_alone(before, keys.into()).into_iter().zip(each_alone(after, keys.into()));
    let moved = u32::try_from(pairs.filter(|(a, b)| a != b).count()).unwrap();
    let count = u32::try_from(before.members.len().max(after.members.len())).unwrap();
    f64::from(moved) / f64::from(keys) * f64::from(count)
}

#[test]
fn one_encoder_more_takes_about_its_share_of_fresh_placements() {
    for count in [4, 10, 25, 60] {
        let (fewer, more) = (pool(count), pool(count + 1));
        let share = moved(&Ring::new(&fewer, NOW, &[]), &Ring::new(&more, NOW, &[]), 20_000);
        assert!(share <= 1.2, "{count}: {share}");
    }
}

#[test]
fn a_thousand_encoders_with_a_hundred_thousand_broadcasts_stay_in_bounds_and_take_one_more_without_a_stir() {
    let (encoders, more) = (pool(1000), pool(1001));
    let (mut ring, mut wider) = (Ring::new(&encoders, NOW, &[]), Ring::new(&more, NOW, &[]));
    // An encoder's share of so many keys is within a tenth of what it tends to.
    let empty = moved(&ring, &wider, 100_000);
    assert!(empty <= 1.2, "{empty}");

    (0..100_000).for_each(|n| assert!(ring.place(&key(n)).is_some()));
    // The mean is 100.
    assert!(ring.members.iter().all(|member| member.load <= 125));
    assert_eq!(ring.members.iter().map(|member| member.load).sum::<u128>(), 100_000);
    for (same, member) in wider.members.iter_mut().zip(&ring.members) {
        same.load = member.load;
    }
    wider.load = ring.load;
    let loaded = moved(&ring, &wider, 100_000);
    assert!(loaded <= 1.2, "{loaded}");
}

#[test]
fn the_doubtful_come_last_and_the_excluded_never() {
    let encoders = pool(3);
    let ids: Vec<_> = encoders.iter().map(|e| e.id.clone()).collect();
    for n in 0..30 {
        let placed = |excluded: &[EncoderId], doubtful: &[EncoderId]| {
            place(&encoders, NOW, &key(n), excluded, doubtful).map(|encoder| encoder.id.clone())
        };
        let first = alone(&encoders, &key(n));
        assert_eq!(placed(&[], &[]).as_ref(), Some(&first));
        assert_eq!(placed(&[], &ids).as_ref(), Some(&first), "all are doubtful: none is");
        assert_eq!(placed(&ids[..1], &ids[1..2]).as_ref(), Some(&ids[2]));
        assert_eq!(placed(&ids[1..], &ids[..1]).as_ref(), Some(&ids[0]));
        assert_eq!(placed(&ids, &[]), None);
        assert_ne!(placed(&[], std::slice::from_ref(&first)), Some(first));
    }
}

#[test]
fn limits_step_by_eighth_roots_of_two() {
    let sixteenths = [0, 1, 16, 17, 18, 32, 35, 64, 80, 200, 2000, 2001].map(|n| limit(n, 16));
    assert_eq!(sixteenths, [1, 1, 1, 1, 2, 2, 3, 4, 5, 13, 118, 118]);
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
