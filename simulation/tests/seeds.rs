//! Ten thousand shows with everything that may go wrong; a seed is one history; and the simulation bites.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

use std::sync::atomic::{AtomicU64, Ordering};

use simulation::{
    check::Invariant,
    mutation::Mutation,
    run::{Report, run},
};

/// Seeds of the long test: what fits into three minutes of two cores.
const SEEDS: u64 = 10_000;
/// Seeds played twice.
const SEEDS_TWICE: u64 = 40;

/// Plays `seeds` from 0 on on all cores, until one breaks a promise.
fn play(seeds: u64, mutation: Option<Mutation>) -> Option<Report> {
    let next = AtomicU64::new(0);
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return None;
            }
            let report = run(seed, mutation, false).unwrap();
            if report.violation.is_some() {
                next.store(seeds, Ordering::Relaxed);
                return Some(report);
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        // Of several failures the one of the lowest seed.
        workers.into_iter().filter_map(|worker| worker.join().unwrap()).min_by_key(|report| report.seed)
    })
}

#[test]
fn ten_thousand_seeds() {
    if let Some(report) = play(SEEDS, None) {
        let seed = report.seed;
        panic!(
            "{:?}\nreplay it with: cargo run -p simulation --release -- --seed {seed} --trace",
            report.violation
        );
    }
}

#[test]
fn some_encoders_are_too_slow_and_leave_rungs_out() {
    let shed: Vec<u64> = (0..100).map(|seed| run(seed, None, false).unwrap().shed).collect();
    let many = shed.iter().filter(|chunks| **chunks > 0).count();
    assert!((3..30).contains(&many), "{shed:?}");
}

#[test]
fn a_seed_is_one_history() {
    for seed in 0..SEEDS_TWICE {
        let (one, other) = (run(seed, None, false).unwrap(), run(seed, None, false).unwrap());
        assert_eq!((one.hash, one.events), (other.hash, other.events), "seed {seed}");
    }
}

/// Each fault with the seeds that are enough to find it, and the promise that it breaks.
const CAUGHT: &[(Mutation, &[Invariant])] = &[
    (Mutation::CommitWithoutEpoch, &[Invariant::OneWriter]),
    (Mutation::CommitTwice, &[Invariant::RowsStay, Invariant::CursorIsOfTheRows, Invariant::CommittedOnce]),
    (Mutation::CommitInTwoWrites, &[Invariant::CursorIsOfTheRows]),
    (Mutation::CommitBelievedEarly, &[Invariant::ManifestIsOfTheLedger]),
    (Mutation::FillWithoutEpoch, &[Invariant::OneWriter]),
    (Mutation::FillTwice, &[Invariant::RowsStay, Invariant::CursorIsOfTheRows, Invariant::NoOverlap]),
    (Mutation::FillWithoutFloor, &[Invariant::FloorHolds]),
    (Mutation::FloorWithoutEnd, &[Invariant::FloorHolds]),
    (Mutation::SegmentNotCreateOnly, &[Invariant::ObjectsStay]),
    // A chunk's row is found out at once; a fill, which is committed before it is stored, when a manifest names it.
    (Mutation::SegmentBelievedEarly, &[Invariant::RowsTellTheTruth, Invariant::ManifestIsOfTheBucket]),
    (Mutation::ChunkNotCreateOnly, &[Invariant::ObjectsStay]),
    (Mutation::ChunkBelievedEarly, &[Invariant::NothingLost]),
    (Mutation::ManifestNotSwapped, &[Invariant::ManifestGoesForward]),
    (Mutation::PosterNotSwapped, &[Invariant::ManifestGoesForward]),
    (Mutation::RebindSameEpoch, &[Invariant::EpochGrows]),
    (Mutation::RebindWithoutEpoch, &[Invariant::CountsFit, Invariant::EpochGrows]),
    (Mutation::RebindUncounted, &[Invariant::CountsFit]),
    (Mutation::PublishNotConditional, &[Invariant::PublishIsOnes]),
    (Mutation::CreateNotConditional, &[Invariant::OneBroadcast]),
    (Mutation::StartNotConditional, &[Invariant::StartStays]),
    (Mutation::EndWithoutEpoch, &[Invariant::CountsFit]),
    (Mutation::ExpireNotConditional, &[Invariant::StateGoesForward]),
    (Mutation::NoListing, &[Invariant::NothingLost]),
    (Mutation::ShedTheSmallest, &[Invariant::ShedFromTheTop]),
    (Mutation::NoSweep, &[Invariant::EverythingEnds]),
];
/// Within so many seeds each is found.
const SEEDS_TO_FIND: u64 = 1_000;

#[test]
fn every_mutation_is_caught() {
    let listed: Vec<_> = CAUGHT.iter().map(|(mutation, _)| *mutation).collect();
    assert_eq!(listed, Mutation::ALL, "every mutation has its line");
    for (mutation, by) in CAUGHT {
        let name = mutation.name();
        let report = play(SEEDS_TO_FIND, Some(*mutation)).unwrap_or_else(|| panic!("{name} is not caught"));
        let violation = report.violation.unwrap();
        assert!(by.contains(&violation.invariant), "{name}, seed {}: {violation:?}", report.seed);
    }
}
