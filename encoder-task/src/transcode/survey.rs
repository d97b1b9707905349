//! The first look at a GOP: all its pictures, small, encoded once for what x264 learns from it: which pictures become B-pictures, how hard each
//! is, and which blocks later pictures build upon. The rungs are then encoded by that knowledge (x264's second pass): each GOP's bits are
//! planned over the whole of it, and no rung looks ahead again. See `docs/decisions/0010-survey.md`.
//!
//! Invariant: what a survey says depends on the pictures alone, neither on the preset nor on the machine's cores.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{
    TranscodeError,
    libav::{Encoder, LibavError, Pass, Picture, Sampler, Settings},
    params::{Colour, Pace, survey_options, survey_size},
};

/// Where statistics are kept while a chunk is transcoded: in memory where the system has that as a folder, as containers with a read-only
/// file system do. Less than a megabyte per chunk.
const MEMORY: &str = "/dev/shm";

/// The statistics of one GOP, one set for each pace. Gone when dropped.
#[derive(Debug)]
pub(super) struct Statistics {
    folder: TempDir,
}

impl Statistics {
    fn create() -> Result<Self, TranscodeError> {
        let prefix = "gopcast-survey-";
        let folder = TempDir::with_prefix_in(prefix, MEMORY).or_else(|_| TempDir::with_prefix(prefix));
        folder.map(|folder| Self { folder }).map_err(|error| TranscodeError::Survey(error.to_string()))
    }

    /// The file of a pace's statistics.
    pub(super) fn of(&self, pace: &Pace) -> PathBuf {
        self.folder.path().join(if pace.is_halved() { "half" } else { "full" })
    }
}

/// Takes a GOP's pictures and makes statistics of them.
pub(super) struct Surveyor<'a> {
    statistics: Statistics,
    tracks: Vec<(&'a Pace, Option<Encoder>)>,
    sampler: Option<Sampler>,
}

impl<'a> Surveyor<'a> {
    /// One for these paces.
    pub(super) fn new(paces: impl IntoIterator<Item = &'a Pace>) -> Result<Self, TranscodeError> {
        let tracks = paces.into_iter().map(|pace| (pace, None)).collect();
        Ok(Self { statistics: Statistics::create()?, tracks, sampler: None })
    }

    /// Takes the next picture.
    pub(super) fn push(&mut self, picture: &Picture) -> Result<(), TranscodeError> {
        let size = survey_size(picture.size());
        // Pictures of another size than the first one's still become that of the first.
        let sampler = self.sampler.get_or_insert_with(|| Sampler::new(size));
        let small = sampler.sample(picture)?;
        for (pace, encoder) in &mut self.tracks {
            let Some(tag) = picture.index().and_then(|index| pace.place(index)) else { continue };
            let encoder = match encoder {
                Some(encoder) => encoder,
                None => {
                    let file = self.statistics.of(pace);
                    encoder.insert(open(pace, sampler.size(), &file)?)
                }
            };
            let mut picture = small.share()?;
            picture.set_tag(tag);
            encoder.send(picture)?;
            while encoder.receive().is_some() {}
        }
        Ok(())
    }

    /// All pictures were given.
    pub(super) fn finish(self) -> Result<Statistics, TranscodeError> {
        for (_, encoder) in self.tracks {
            let Some(mut encoder) = encoder else { continue };
            encoder.finish()?;
            while encoder.receive().is_some() {}
            // Closing it writes the statistics out.
            drop(encoder);
        }
        Ok(self.statistics)
    }
}

fn open(pace: &Pace, size: (u32, u32), file: &Path) -> Result<Encoder, LibavError> {
    Encoder::open(&Settings {
        size,
        rate: (pace.rate.num, pace.rate.den),
        sar: (1, 1),
        colour: Colour { primaries: 1, transfer: 1, matrix: 1, full_range: false },
        options: &survey_options(pace.times.len()),
        pass: Pass::First(file),
    })
}
