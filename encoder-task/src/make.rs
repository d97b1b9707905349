//! All that is stored of a chunk: its pictures transcoded, its sound as it came or transcoded, both packaged, and its tile. Each is given out as
//! soon as it is made, while others are still being encoded.
//!
//! A pure function of chunk and plan, like what it is put together from ([`transcode`], [`cmaf`]). Invariant: only what is in [`Made`] is the
//! chunk's; what was given out before something failed may not be among it.

use std::sync::{Mutex, PoisonError};

use media::{
    chunk::Chunk,
    time::{VIDEO_TIMESCALE, to_media_time},
    verdict::{Code, Verdict},
};

use crate::{
    cmaf::{self, PackageError, Packaged},
    transcode::{self, Jpeg, Plan},
};

/// One thing that is stored of a chunk.
#[expect(clippy::large_enum_variant, reason = "most are of the large kind, and there are few")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A segment of a rung or of the sound, with what initializes it.
    Segment(Packaged),
    /// What the storyboard shows.
    Tile(TimedTile),
}

/// What the storyboard shows of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedTile {
    /// Where the chunk's pictures begin, as media time in 1/90 000 s: what it is named by.
    pub time: u64,
    /// It.
    pub jpeg: Jpeg,
}

/// What a chunk has become.
#[derive(Debug, Clone, Default)]
pub struct Made {
    /// One segment per rung, largest first (the source before all), then one of sound. Empty if nothing can be used; then a warning says why.
    pub packaged: Vec<Packaged>,
    /// What the storyboard shows of it.
    pub tile: Option<TimedTile>,
    /// What the broadcaster should know.
    pub warnings: Vec<Verdict>,
}

/// A rung, and what it is put in order by.
type Ranked = ((u32, bool), Result<Packaged, PackageError>);

/// Transcodes and packages a chunk; gives each output to `out` once, by whichever thread has made it, and all that are good at the end.
/// Sound goes on even when the pictures can't be decoded. Blocks for as long as it takes.
pub fn make(chunk: &Chunk, plan: &Plan, out: &(dyn Fn(Output) + Sync)) -> Made {
    // First, so that nothing but pictures is left to be stored when the last rung is done.
    let (sound, of_sound) = transcode::sound::transcode(chunk);
    let sound = match cmaf::package_sound(chunk, &sound) {
        Ok(sound) => sound,
        Err(error) => return nothing(&error),
    };
    if let Some(sound) = &sound {
        out(Output::Segment(sound.clone()));
    }
    let mut tile = None;
    let start = chunk.header.video.as_ref().and_then(|video| to_media_time(video.start, VIDEO_TIMESCALE));
    let mut first = |jpeg: Jpeg| {
        tile = start.map(|time| TimedTile { time, jpeg });
        if let Some(tile) = &tile {
            out(Output::Tile(tile.clone()));
        }
    };
    let rungs: Mutex<Vec<Ranked>> = Mutex::default();
    let transcoded = transcode::transcode_each(chunk, plan, &mut first, &|track| {
        let packaged = cmaf::package_rung(chunk, &track);
        if let Ok(packaged) = &packaged {
            out(Output::Segment(packaged.clone()));
        }
        rungs.lock().unwrap_or_else(PoisonError::into_inner).push((track.rendition.rank(), packaged));
    });
    let mut rungs = rungs.into_inner().unwrap_or_else(PoisonError::into_inner);
    let warnings = match transcoded {
        Ok(of_pictures) => [of_pictures, of_sound].concat(),
        Err(error) => {
            (rungs, tile) = (Vec::new(), None);
            [of_sound, vec![corrupt(&error)]].concat()
        }
    };
    rungs.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    let packaged: Result<Vec<Packaged>, PackageError> = rungs.into_iter().map(|(_, rung)| rung).collect();
    match packaged {
        Ok(mut packaged) => {
            packaged.extend(sound);
            Made { packaged, tile, warnings }
        }
        Err(error) => nothing(&error),
    }
}

fn nothing(error: &PackageError) -> Made {
    Made { warnings: vec![corrupt(error)], ..Made::default() }
}

fn corrupt(error: &dyn std::error::Error) -> Verdict {
    Verdict::new(Code::VideoCorrupt, error.to_string())
}
