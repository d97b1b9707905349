//! The ledger: what is in a broadcast. One row per committed chunk, in the order of positions, and one record per initialization
//! segment. The sole source of manifests and the proof that `gopcast broadcast verify` checks the bucket against.

use serde::{Deserialize, Serialize};

use crate::{
    id::{ChunkPos, Epoch, PublishNo},
    time::{FrameRate, Ticks, WallTime},
    verdict::Verdict,
};

/// One committed chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its position. Rows are committed in the order of positions, without holes within a publish.
    #[serde(flatten)]
    pub pos: ChunkPos,
    /// The epoch that committed it. Never falls from row to row.
    pub epoch: Epoch,
    /// Presentation time of its start in 1/90 000 s; the row's key, as media time. Strictly grows from row to row.
    pub start: Ticks,
    /// Presentation time of its end in 1/90 000 s.
    pub end: Ticks,
    /// The timeline does not go on from the row before.
    #[serde(default)]
    pub discontinuity: bool,
    /// The live timeline had passed its place when it was committed: only the replay shows it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// How its media segments are named.
    #[serde(default, skip_serializing_if = "Naming::is_plain")]
    pub naming: Naming,
    /// The chunk that it was made from.
    pub source: Object,
    /// One segment per rung, and one for sound. Empty when the chunk could not be transcoded: then `verdict` says why.
    pub segments: Vec<Segment>,
    /// What the storyboard shows of it. None of a chunk without pictures, and of rows from before there was a storyboard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tile: Option<Tile>,
    /// Why there are no segments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// When it was committed, by the encoder's clock.
    pub committed: WallTime,
}

/// How media segments are named ([`crate::names::segment`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Naming {
    /// By their time.
    #[default]
    Plain,
    /// By their time and their publish: another chunk's segment had the plain name.
    Publish(PublishNo),
    /// By their time, as a fill's: a chunk's segment had the plain name.
    Fill,
}

impl Naming {
    /// Whether it is the plain one.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::Plain
    }
}

/// What is shown live in a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// The last picture, held.
    Held,
    /// The operator's slate.
    Slate,
}

/// What fills a hole of the live timeline (or a part of one). Committed before its segments are stored, so that its place is its own;
/// named in a manifest after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// The epoch that committed it.
    pub epoch: Epoch,
    /// Presentation time of its start in 1/90 000 s: where the live timeline ended.
    pub start: Ticks,
    /// Presentation time of its end in 1/90 000 s.
    pub end: Ticks,
    /// What is shown.
    pub shown: Shown,
    /// How its segments are named.
    #[serde(default, skip_serializing_if = "Naming::is_plain")]
    pub naming: Naming,
    /// One segment per rung, and one of silence.
    pub segments: Vec<Segment>,
    /// When it was committed, by the encoder's clock.
    pub committed: WallTime,
}

/// What an object in the bucket must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// One media segment of a committed chunk, stored under [`crate::names::segment`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// `720p`…, `source`, or `audio`.
    pub rung: String,
    /// Which initialization segment it goes with.
    pub config: String,
    /// Earliest presentation, as media time in ticks of the track.
    pub time: u64,
    /// Duration in ticks of the track.
    pub duration: u64,
    /// The object.
    #[serde(flatten)]
    pub object: Object,
}

/// The storyboard's picture of a committed chunk: its first one, made small, as a JPEG under [`crate::names::tile`]. It stands for the
/// whole of its row, from [`Row::start`] to [`Row::end`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tile {
    /// Width in square pixels.
    pub width: u32,
    /// Height in square pixels.
    pub height: u32,
    /// How much there is to see: the standard deviation of its luma, in steps of 8 bits; 0 of a picture of one colour, at most 127.
    pub contrast: u8,
    /// The object.
    #[serde(flatten)]
    pub object: Object,
}

/// The name of the storyboard's "rung".
pub const TILE_RUNG: &str = "tiles";

/// The name of the sound's "rung".
pub const AUDIO_RUNG: &str = "audio";

/// The name of the rung that is the source itself.
pub const SOURCE_RUNG: &str = "source";

/// One initialization segment, stored under [`crate::names::init`], with what a manifest says of its track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Init {
    /// `720p`…, `source`, or `audio`.
    pub rung: String,
    /// First 16 hexadecimal digits of the SHA-256 of its bytes.
    pub config: String,
    /// The `codecs` parameter (RFC 6381).
    pub codecs: String,
    /// Ticks per second of the track.
    pub timescale: u32,
    /// Peak bit rate in bit/s.
    pub bandwidth: u32,
    /// What kind of track it is.
    #[serde(flatten)]
    pub track: Track,
    /// The object.
    #[serde(flatten)]
    pub object: Object,
}

/// What kind of track an initialization segment describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "track", rename_all = "kebab-case")]
pub enum Track {
    /// Pictures.
    Video {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Sample aspect ratio, horizontal and vertical; 1:1 for square pixels.
        sar: (u32, u32),
        /// Frame rate, when constant.
        frame_rate: Option<FrameRate>,
    },
    /// Sound.
    Audio {
        /// Samples per second.
        sample_rate: u32,
        /// Channels.
        channels: u8,
    },
}

/// The binding of a broadcast, as far as commits are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Position of the last committed row.
    pub pos: ChunkPos,
    /// Its end in 1/90 000 s of presentation time.
    pub end: Ticks,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row as it was written before there was a storyboard, and one as it is written now.
    #[test]
    fn golden_rows() {
        let old = concat!(
            r#"{"publish":1,"seq":2,"epoch":1,"start":360000,"end":540000,"discontinuity":false,"source":{"bytes":9,"sha256":"aa"},"#,
            r#""segments":[{"rung":"360p","config":"c0","time":450000,"duration":180000,"bytes":7,"sha256":"bb"}],"committed":5}"#
        );
        let mut row: Row = serde_json::from_str(old).unwrap();
        assert_eq!(row.tile, None);
        assert_eq!(serde_json::to_string(&row).unwrap(), old);
        let object = Object { bytes: 8, sha256: "cc".to_owned() };
        row.tile = Some(Tile { width: 320, height: 180, contrast: 40, object });
        let new = old.replace(
            r#"],"committed""#,
            r#"],"tile":{"width":320,"height":180,"contrast":40,"bytes":8,"sha256":"cc"},"committed""#,
        );
        assert_eq!(serde_json::to_string(&row).unwrap(), new);
        assert_eq!(serde_json::from_str::<Row>(&new).unwrap(), row);
    }
}
