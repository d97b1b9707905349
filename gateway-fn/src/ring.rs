//! Which encoder a broadcast is placed on: consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, 2016), weighted
//! by capacity. Pure and deterministic on every machine: the hash is SHA-256, never the standard library's.
//!
//! An encoder has `groups` = capacity / [`PIXELS_PER_GROUP`] (at least [`GROUPS_MIN`], at most [`GROUPS_MAX`]) groups of
//! [`POINTS_PER_GROUP`] virtual nodes each: group `g` is the SHA-256 of `{encoder}#{g}` (`g` in decimal), read as four big-endian
//! 64-bit numbers. A broadcast's point is the first 8 bytes, big-endian, of the SHA-256 of its id. From there the walk goes up
//! (and round), to the first virtual node whose encoder has room.
//!
//! Room is ⌈1.25 × the encoder's fair share, rounded down to a power of the eighth root of two⌉, so at least 1.14 times its share. Without
//! the rounding, each encoder more or less moves the limit of all others by a little, and with it many placements between encoders
//! that have nothing to do with it.
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
/// The powers of the eighth root of two from 1 up to 2, in 1/65536, rounded to nearest.
const EIGHTHS: [u128; 8] = [65_536, 71_468, 77_936, 84_990, 92_682, 101_070, 110_218, 120_194];
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
        let index = self.choose(broadcast)?;
        let member = self.members.get_mut(index)?;
        member.load += 1;
        self.load += 1;
        Some(member.encoder)
    }

    /// The index of the encoder that a broadcast goes to.
    fn choose(&self, broadcast: &BroadcastId) -> Option<usize> {
        let key = key_point(broadcast);
        let start = self.points.partition_point(|&(point, _)| point < key);
        let (before, after) = self.points.split_at(start);
        after.iter().chain(before).map(|&(_, index)| index).find(|&index| self.has_room(index))
    }

    /// Whether one more on this encoder stays within the bound on its share of all, the new one included.
    fn has_room(&self, index: usize) -> bool {
        let (num, den) = BOUND;
        self.members.get(index).is_some_and(|member| {
            let share = num.saturating_mul(self.load + 1).saturating_mul(member.capacity);
            member.load < limit(share, den.saturating_mul(self.capacity))
        })
    }
}

/// ⌈`num` / `den`, rounded down to a power of the eighth root of two⌉; 1 below 1.
fn limit(num: u128, den: u128) -> u128 {
    // The octave: the whole power of two.
    let Some(octave) = (num / den).checked_ilog2() else { return 1 };
    let steps = EIGHTHS.iter().rev().map(|eighth| eighth << octave);
    let fits = |step: &u128| step.saturating_mul(den) <= num.saturating_mul(EIGHTHS[0]);
    steps.clone().find(fits).unwrap_or(1).div_ceil(EIGHTHS[0])
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
mod tests;
