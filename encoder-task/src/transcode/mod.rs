//! One chunk's pictures → the rungs of its ladder: decode, survey (`survey`), scale from rung to rung, encode all rungs side by side. The pictures
//! themselves may be a rung, too ([`source()`]). Its sound goes as it is, or is transcoded ([`sound`]).
//!
//! A pure function of chunk and plan (no clock; no I/O but x264's statistics, which live as long as the call): the same chunk and plan
//! give the same bytes on machines whose processors have the same instructions, however many cores they have.
//! Invariants of what comes out: as many samples as went in, with their presentation times to the tick; the first sample of
//! each rung is an IDR and no other is; decode times grow, never pass presentation times, start at the chunk's start minus
//! [`EncodedTrack::delay`] and end (the last plus its duration) at the chunk's end minus the same delay.

mod capacity;
mod decode;
mod libav;
mod nal;
mod order;
mod params;
mod pipeline;
mod resample;
mod rung;
pub mod sound;
mod source;
mod still;
mod survey;
mod thumbnail;

use bytes::Bytes;
use media::{
    ladder::{Profile, Rendition},
    time::{FrameRate, Ticks},
    verdict::Verdict,
};

pub use capacity::{Capacity, choose_preset, highest_profile, measure};
pub(crate) use libav::ImageFormat;
pub use libav::LibavError;
pub(crate) use params::gcd;
pub use params::{Colour, REORDER_FRAMES, nominal_rate};
pub use pipeline::{encoded, ladder, transcode, transcode_each};
pub use sound::{EncodedSound, Sound};
pub use source::{SOURCE_BIT_RATE_MAX, Unfit, source};
pub(crate) use still::Still;
pub use thumbnail::{Jpeg, POSTER, TILE, Thumbnail};

/// How much work x264 puts into a picture. Slower ones than these cost more than a live ladder can pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Least work.
    Ultrafast,
    /// Between the two.
    Superfast,
    /// Best picture for the bits.
    Veryfast,
}

impl Preset {
    /// Every preset, best picture first.
    pub const BEST_FIRST: &'static [Self] = &[Self::Veryfast, Self::Superfast, Self::Ultrafast];

    /// x264's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ultrafast => "ultrafast",
            Self::Superfast => "superfast",
            Self::Veryfast => "veryfast",
        }
    }
}

/// How chunks of a broadcast are transcoded. Part of the result: another preset or profile gives other bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The ladder.
    pub profile: Profile,
    /// The source itself is a rung, where it can be one ([`source()`]); in place of the largest one if that has its size.
    pub source: bool,
    /// Work per picture.
    pub preset: Preset,
    /// Threads that the decoder may use, 1 or more: the machine's cores.
    pub threads: usize,
    /// Rungs that are encoded at most, 1 or more, from the smallest on; the larger ones are left out, the source is not. Those that are made are the same to
    /// the byte whatever is left out.
    pub rungs: usize,
}

impl Plan {
    /// Nothing is left out.
    pub const ALL_RUNGS: usize = usize::MAX;

    /// How many of a ladder's `rungs` are left out.
    #[must_use]
    pub fn left_out(&self, rungs: usize) -> usize {
        rungs.saturating_sub(self.rungs.max(1))
    }
}

/// What comes of one chunk.
#[derive(Debug, Clone)]
pub struct Transcoded {
    /// One per rendition, largest first, the source before all; empty for a chunk without pictures.
    pub tracks: Vec<EncodedTrack>,
    /// The first picture, small; none of a chunk without pictures.
    pub tile: Option<Jpeg>,
    /// The sound.
    pub sound: Sound,
    /// What the broadcaster should know.
    pub warnings: Vec<Verdict>,
}

/// One rung of one chunk.
#[derive(Debug, Clone)]
pub struct EncodedTrack {
    /// Which.
    pub rendition: Rendition,
    /// The rate that it was encoded and is to be described with: see [`nominal_rate`]. Of the source what its parameter sets say, if they do.
    pub frame_rate: Option<FrameRate>,
    /// Sample aspect ratio.
    pub sar: (u32, u32),
    /// Colour description.
    pub colour: Colour,
    /// Sequence parameter set, one NAL unit.
    pub sps: Vec<u8>,
    /// Picture parameter set, one NAL unit.
    pub pps: Vec<u8>,
    /// By how much decode times run ahead of presentation, in 1/90 000 s; the same for all chunks of a format.
    pub delay: Ticks,
    /// The pictures in decode order.
    pub samples: Vec<Sample>,
}

/// One encoded picture. Times are presentation time in 1/90 000 s.
#[derive(Debug, Clone)]
pub struct Sample {
    /// When it is decoded.
    pub dts: Ticks,
    /// When it is shown.
    pub pts: Ticks,
    /// Until the next one is decoded.
    pub duration: Ticks,
    /// Nothing before it is needed to decode it and what follows.
    pub idr: bool,
    /// NAL units with 4-byte lengths.
    pub data: Bytes,
}

/// Why a chunk could not be transcoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TranscodeError {
    /// Not one picture could be decoded.
    #[error("none of the {samples} pictures can be decoded")]
    Undecodable {
        /// How many there are.
        samples: usize,
    },
    /// FFmpeg failed.
    #[error(transparent)]
    Libav(#[from] LibavError),
    /// The encoder gave back something else than was put in.
    #[error("the {rung} encoder broke its contract: {what}")]
    Encoder {
        /// Which rung.
        rung: String,
        /// How.
        what: &'static str,
    },
    /// There is nowhere to keep the survey's statistics.
    #[error(
        "the survey's statistics can't be kept ({0}): neither /dev/shm nor the folder for temporary files can be written"
    )]
    Survey(String),
    /// A thread could not be started, or ended before its time.
    #[error("a {0} thread failed")]
    Thread(&'static str),
}
