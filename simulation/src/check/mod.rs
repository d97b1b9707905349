//! The promises, as checks on every write to the table and the bucket, and on what is there at the end.
//!
//! | module | what |
//! | --- | --- |
//! | [`table`] | bindings, broadcasts, the ledger, counts of bindings |
//! | [`bucket`] | chunks, segments, manifests, at each write |
//! | [`mpd`], [`hls`] | reading a manifest |
//! | [`end`] | what must be true when all is quiet |

mod bucket;
mod end;
mod hls;
mod mpd;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use media::{
    id::{BroadcastId, ChunkPos, LiveId},
    ledger::{Row, SOURCE_RUNG},
    time::{Ticks, WallTime},
};

macro_rules! invariants {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What must hold.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Invariant {
            $($(#[$doc])* $name,)*
        }
        impl Invariant {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// Its name in reports and documents.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

invariants! {
    /// The epoch of a binding grows by one whenever its encoder changes, and never falls.
    EpochGrows = "epoch-grows";
    /// Ledger rows and fills are written by the encoder and under the epoch of the binding as it is at that instant.
    OneWriter = "one-writer";
    /// A chunk is committed once.
    CommittedOnce = "committed-once";
    /// Chunks are committed in the order of their positions.
    CommittedInOrder = "committed-in-order";
    /// A row, once written, stays as it is.
    RowsStay = "rows-stay";
    /// A row is only about a stored chunk, stored segments and a stored tile, of the bytes that it says.
    RowsTellTheTruth = "rows-tell-the-truth";
    /// The binding's cursor and end of the live timeline are those of the rows.
    CursorIsOfTheRows = "cursor-is-of-the-rows";
    /// What is shown live does not overlap.
    NoOverlap = "no-overlap";
    /// No fill and no earlier publish is shown live beyond the floor of the latest.
    FloorHolds = "floor-holds";
    /// A publish number belongs to one connection, and grows by one.
    PublishIsOnes = "publish-is-ones";
    /// A broadcast's state only goes forward, by the rules of who may.
    StateGoesForward = "state-goes-forward";
    /// The availability start is fixed once.
    StartStays = "start-stays";
    /// A live has at most one broadcast that takes publishes, and that is its current one.
    OneBroadcast = "one-broadcast";
    /// An encoder's count of bindings is how many stand on it.
    CountsFit = "counts-fit";
    /// Chunks, segments and tiles are written once.
    ObjectsStay = "objects-stay";
    /// A manifest names committed segments only.
    ManifestIsOfTheLedger = "manifest-is-of-the-ledger";
    /// A manifest names stored segments only.
    ManifestIsOfTheBucket = "manifest-is-of-the-bucket";
    /// A manifest never goes back: to an earlier broadcast, an earlier epoch, or to less. Nor does a live's poster to one of the former two.
    ManifestGoesForward = "manifest-goes-forward";
    /// What a dynamic manifest names is at its presentation time, for good.
    NoRenumbering = "no-renumbering";
    /// What is left out of a row's ladder are the largest rungs, never the smallest; a fill has the rungs of what is shown before it, but for the source.
    ShedFromTheTop = "shed-from-the-top";
    /// Every stored chunk is in the ledger when its broadcast has ended.
    NothingLost = "nothing-lost";
    /// Every broadcast ends.
    EverythingEnds = "everything-ends";
    /// The replay names every committed row, in order.
    ReplayIsWhole = "replay-is-whole";
    /// When all is over, nothing is on air, bound or being worked on.
    NothingLeft = "nothing-left";
    /// No part of the production code panics.
    NoPanic = "no-panic";
}

/// The rungs of the simulated ladders, largest first.
const LADDER: [&str; 3] = ["720p", "480p", "360p"];

/// The one that is always made.
const SMALLEST: &str = "360p";
/// What a broadcast's rows may have, largest first.
const RUNGS: [&str; 4] = [SOURCE_RUNG, "720p", "480p", "360p"];

/// What was found wrong.
pub(crate) type Found = Vec<(Invariant, String)>;

/// One broadcast, as the checks have seen it so far.
#[derive(Debug, Default)]
pub(crate) struct Show {
    pub(crate) live: Option<LiveId>,
    /// In the order of creation.
    pub(crate) number: usize,
    pub(crate) availability_start: Option<WallTime>,
    /// When its latest publish was given its number.
    pub(crate) published: Duration,
    /// Since when it takes no more publishes.
    pub(crate) ending: Option<Duration>,
    /// Since when the floor is where it is.
    pub(crate) floored: Option<Duration>,
    /// In the order of commits.
    pub(crate) rows: Vec<Row>,
    pub(crate) committed: BTreeSet<ChunkPos>,
    /// What is shown live, by start: its end.
    pub(crate) shown: BTreeMap<Ticks, Ticks>,
    /// Keys of the segments and tiles of rows, and of the segments of fills.
    pub(crate) segments: BTreeMap<String, Ticks>,
    /// Stored chunks, and when they were.
    pub(crate) chunks: BTreeMap<ChunkPos, Duration>,
}

/// What a manifest showed last.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    broadcast: usize,
    epoch: u64,
    is_static: bool,
    named: usize,
}

/// What the checks remember.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) shows: BTreeMap<BroadcastId, Show>,
    /// Manifests by key.
    manifests: BTreeMap<String, Shown>,
    /// Playlists by key: number of the broadcast, epoch, what they said.
    playlists: BTreeMap<String, (usize, u64, hls::Playlist)>,
    /// Posters by key: number of the broadcast, epoch.
    posters: BTreeMap<String, (usize, u64)>,
    /// Which encoder each standing binding is on.
    bindings: BTreeMap<String, String>,
    /// Encoders whose rows were taken away: their counts mean nothing any more.
    forgotten: BTreeSet<String>,
    /// Rows committed and fills made, for the run's statistics.
    pub(crate) commits: u64,
    pub(crate) fills: u64,
    /// Rows that lack rungs.
    pub(crate) shed: u64,
    /// Ladders have all of [`LADDER`], else only the smallest.
    pub(crate) full_ladders: bool,
    pub(crate) rebinds: u64,
}
