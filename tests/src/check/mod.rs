//! The oracles: what must hold of every presentation that gopcast makes, read from the bytes that a player gets.
//!
//! A check collects every fault that it finds before it fails: one look at a failed test says what is wrong everywhere.
//!
//! `structure` needs nothing but the bytes, `rules` holds them to the standards, `pictures` and `sound` to the source that was published.

mod pictures;
mod rules;
mod sound;
mod structure;

use std::path::Path;

use anyhow::Result;

use self::{pictures::storyboard_whole, sound::in_sync};
pub use self::{
    pictures::{Shown, alone, ordered, shown, whole},
    rules::{rules, schema},
    sound::{drift, sound_whole},
    structure::structure,
};
use crate::{presentation::Presentation, source::Source};

/// Most faults that one failure shows.
const FAULTS_SHOWN: usize = 40;

/// What a check has found wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<String>);

impl Faults {
    pub(crate) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }

    fn note<T>(&mut self, place: &str, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.0.push(format!("{place}: {error:#}"))).ok()
    }

    pub(crate) fn into_result(self, of: &str) -> Result<()> {
        let shown = self.0.iter().take(FAULTS_SHOWN).cloned().collect::<Vec<_>>().join("\n  ");
        anyhow::ensure!(self.0.is_empty(), "{of}: {} faults:\n  {shown}", self.0.len());
        Ok(())
    }
}

/// All checks of one finished broadcast that was published whole: structure, every rung's pictures, the sound, and both together.
///
/// # Errors
/// The first check that fails, with every fault it found.
pub fn replay(presentation: &Presentation, source: &Source) -> Result<()> {
    anyhow::ensure!(!presentation.mpd.dynamic, "{} is not static", presentation.url);
    structure(presentation)?;
    rules(presentation)?;
    let (rungs, format) = (presentation.mpd.rungs(), &source.format);
    anyhow::ensure!(rungs.is_empty() != format.has_pictures(), "the rungs of pictures are {rungs:?}");
    let shown = rungs.iter().map(|rung| whole(presentation, rung, source)).collect::<Result<Vec<_>>>()?;
    if let Some(shown) = shown.first() {
        storyboard_whole(presentation, shown)?;
    }
    let sounds = presentation.mpd.periods.iter().flat_map(|p| &p.tracks).any(|track| !track.is_video());
    anyhow::ensure!(sounds == format.has_sound(), "there is sound: {sounds}");
    if sounds {
        sound_whole(presentation, source)?;
    }
    let worst = match shown.first() {
        Some(shown) if sounds => in_sync(presentation, shown, source)?,
        _ => 0.0,
    };
    eprintln!("{}: rungs {rungs:?}, sound within {:.1} ms", name(&source.file), worst * 1000.0);
    Ok(())
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
