//! What a broadcast is judged by, as it was found; and the two orders in which it is looked at: the live timeline and the replay. Pure.

use std::{collections::BTreeMap, fmt};

use media::{
    id::{BroadcastId, ChunkPos, Epoch, LiveId},
    ledger::{Cursor, Fill, Init, Naming, Object, Row, Segment, TILE_RUNG, Tile},
    names,
    time::{Ticks, VIDEO_TIMESCALE, WallTime, to_media_time},
};

use super::{mpd::Mpd, playlists::Playlist};

/// Something is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The object, or the row of the ledger.
    pub(crate) object: String,
    /// What is wrong with it.
    pub(crate) problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.problem)
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Report {
    /// What is wrong.
    pub(crate) faults: Vec<Fault>,
    /// What is worth knowing and not wrong.
    pub(crate) notes: Vec<String>,
}

impl Report {
    pub(crate) fn fault(&mut self, object: impl Into<String>, problem: impl Into<String>) {
        self.faults.push(Fault { object: object.into(), problem: problem.into() });
    }
}

/// A chunk in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its key.
    pub(crate) key: String,
    /// When it was stored.
    pub(crate) at: WallTime,
}

/// Which of the two manifests of a broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The broadcast's own: all of the live timeline while on air, the replay once over.
    Own,
    /// The live's stable one: a window of the live timeline while on air; once over, the live timeline for those who watch its end, then
    /// the replay.
    Stable,
}

/// A manifest in the bucket.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    /// Its key.
    pub(crate) key: String,
    /// Which one.
    pub(crate) role: Role,
    /// What it names, or why that can't be read; `None` if there is no such object.
    pub(crate) found: Option<Result<Mpd, String>>,
}

/// What the binding says is committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The last position.
    pub(crate) cursor: Option<Cursor>,
    /// Where the live timeline ends.
    pub(crate) live_end: Option<Ticks>,
}

/// Everything that the judgement is made from. Read in this order: broadcast, binding, manifests, ledger, list of chunks, objects; so
/// that on air each may be ahead of those before it and never behind.
#[derive(Debug, Clone)]
pub(crate) struct Evidence {
    pub(crate) live: LiveId,
    pub(crate) broadcast: BroadcastId,
    /// When it ended; `None` while it is on air.
    pub(crate) ended: Option<WallTime>,
    pub(crate) reached: Reached,
    pub(crate) manifests: Vec<Manifest>,
    /// HLS: multivariant playlists, and what they lead to.
    pub(crate) playlists: Vec<Playlist>,
    /// What the live timeline shows of chunks, in the order of their keys, that is, of their start.
    pub(crate) rows: Vec<Row>,
    /// What only the replay shows.
    pub(crate) late: Vec<Row>,
    /// What only the live timeline shows.
    pub(crate) fills: Vec<Fill>,
    pub(crate) inits: Vec<Init>,
    pub(crate) chunks: Vec<Stored>,
    /// What was found under each key of [`Evidence::expected`]; absent if there is no such object.
    pub(crate) objects: BTreeMap<String, Object>,
}

/// A piece of a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A chunk's.
    Chunk(&'a Row),
    /// A hole's.
    Fill(&'a Fill),
}

impl<'a> Piece<'a> {
    pub(crate) fn start(self) -> Ticks {
        match self {
            Self::Chunk(row) => row.start,
            Self::Fill(fill) => fill.start,
        }
    }
    pub(crate) fn end(self) -> Ticks {
        match self {
            Self::Chunk(row) => row.end,
            Self::Fill(fill) => fill.end,
        }
    }
    pub(crate) fn epoch(self) -> Epoch {
        match self {
            Self::Chunk(row) => row.epoch,
            Self::Fill(fill) => fill.epoch,
        }
    }
    pub(crate) fn segments(self) -> &'a [Segment] {
        match self {
            Self::Chunk(row) => &row.segments,
            Self::Fill(fill) => &fill.segments,
        }
    }
    /// What the storyboard shows of it; fills have nothing.
    pub(crate) fn tile(self) -> Option<&'a Tile> {
        match self {
            Self::Chunk(row) => row.tile.as_ref(),
            Self::Fill(_) => None,
        }
    }
    fn naming(self) -> Naming {
        match self {
            Self::Chunk(row) => row.naming,
            Self::Fill(fill) => fill.naming,
        }
    }
    /// How it is called in what is said.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Chunk(row) => at(row.pos),
            Self::Fill(fill) => format!("fill at {}", fill.start),
        }
    }
}

/// How a chunk's position is spelled in what is said.
pub(crate) fn at(pos: ChunkPos) -> String {
    format!("ledger row of publish {} chunk {}", pos.publish.get(), pos.seq.0)
}

/// What a manifest is to name of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// `720p`…, `audio`, `tiles`.
    pub(crate) rung: &'a str,
    /// Key of its object.
    pub(crate) key: String,
    /// Its duration in ticks of the track.
    pub(crate) duration: u64,
    /// Which initialization segment it goes with; images have none.
    pub(crate) config: Option<&'a str>,
}

/// An object that the ledger says there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Its key.
    pub(crate) key: String,
    /// What it must be.
    pub(crate) object: Object,
    /// How strictly.
    pub(crate) must: Must,
}

/// How strictly an object must be as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Must {
    /// There, with this size and hash.
    Match,
    /// The same, if it is there: it may have expired.
    MatchIfThere,
    /// There, if a manifest names it. An encoder that takes over may have made it again, in other bytes that show the same.
    ThereIfNamed,
}

impl Evidence {
    /// The live timeline: rows and fills by their start.
    pub(crate) fn timeline(&self) -> Vec<Piece<'_>> {
        let rows = self.rows.iter().map(Piece::Chunk);
        let mut pieces: Vec<_> = rows.chain(self.fills.iter().map(Piece::Fill)).collect();
        pieces.sort_by_key(|piece| piece.start());
        pieces
    }

    /// What the live timeline can show: without fills that took their place and were never stored, because their encoder died and nobody
    /// could make them again. Those stay holes.
    pub(crate) fn shown(&self) -> Vec<Piece<'_>> {
        self.timeline().into_iter().filter(|piece| !self.is_empty_fill(*piece)).collect()
    }

    /// Whether a fill took its place and was not stored.
    pub(crate) fn is_empty_fill(&self, piece: Piece<'_>) -> bool {
        let is_there = |segment: &Segment| self.objects.contains_key(&self.key(piece, segment));
        matches!(piece, Piece::Fill(_)) && !piece.segments().iter().all(is_there)
    }

    /// The replay: all rows in the order of their positions.
    pub(crate) fn replay(&self) -> Vec<Piece<'_>> {
        let mut rows: Vec<_> = self.all_rows().collect();
        rows.sort_by_key(|row| row.pos);
        rows.into_iter().map(Piece::Chunk).collect()
    }

    /// Every row.
    pub(crate) fn all_rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().chain(&self.late)
    }

    /// Every row and every fill.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.all_rows().map(Piece::Chunk).chain(self.fills.iter().map(Piece::Fill))
    }

    /// The key of a piece's segment.
    pub(crate) fn key(&self, piece: Piece<'_>, segment: &Segment) -> String {
        names::segment(&self.live, &self.broadcast, &segment.rung, segment.time, piece.naming())
    }

    /// The key of a piece's tile.
    fn tile_key(&self, piece: Piece<'_>) -> String {
        // A row is never from before the origin: its key would not be.
        let time = to_media_time(piece.start(), VIDEO_TIMESCALE).unwrap_or(0);
        names::tile(&self.live, &self.broadcast, time, piece.naming())
    }

    /// What an MPD is to name of a piece: its segments, and its tile.
    pub(crate) fn parts<'a>(&self, piece: Piece<'a>) -> Vec<Part<'a>> {
        let segments = piece.segments().iter().map(|segment| Part {
            rung: &segment.rung,
            key: self.key(piece, segment),
            duration: segment.duration,
            config: Some(&segment.config),
        });
        let tile = piece.tile().map(|_| Part {
            rung: TILE_RUNG,
            key: self.tile_key(piece),
            duration: u64::try_from(piece.end() - piece.start()).unwrap_or(0),
            config: None,
        });
        segments.chain(tile).collect()
    }

    /// Every object that the ledger says there is.
    pub(crate) fn expected(&self) -> Vec<Expected> {
        let mut out = Vec::new();
        for init in &self.inits {
            let key = names::init(&self.live, &self.broadcast, &init.rung, &init.config);
            out.push(Expected { key, object: init.object.clone(), must: Must::Match });
        }
        for row in self.all_rows() {
            let key = names::chunk(&self.broadcast, row.pos);
            out.push(Expected { key, object: row.source.clone(), must: Must::MatchIfThere });
        }
        for piece in self.pieces() {
            let must = if matches!(piece, Piece::Fill(_)) { Must::ThereIfNamed } else { Must::Match };
            out.extend(piece.segments().iter().map(|segment| Expected {
                key: self.key(piece, segment),
                object: segment.object.clone(),
                must,
            }));
            out.extend(piece.tile().map(|tile| Expected {
                key: self.tile_key(piece),
                object: tile.object.clone(),
                must,
            }));
        }
        out
    }
}
