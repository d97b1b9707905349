//! The manifests: ledger → MPD (ISO 23009-1) and HLS playlists (RFC 8216), pure functions of one [`Timeline`]. Same rows, same text.
//!
//! Invariants: nothing is named that is not in a row; a Period keeps its `@id` and, while on air, its `@start` and offsets for
//! good, however the manifest is windowed; a dynamic manifest's times are presentation time, so `availabilityStartTime + Period@start`
//! and what follows is when a frame reached the edge, and its holes are filled; a replay has every chunk and no fill, its holes closed.

mod cues;
pub mod hls;
mod periods;
mod storyboard;
mod write;

use media::{
    id::{BroadcastId, LiveId},
    time::{VIDEO_TIMESCALE, WallTime, rescale},
};
use service::table::Ledger;

/// Seconds that the stable live URL reaches back: enough for a viewer to rewind half an hour, and an MPD of a few kilobytes. The
/// broadcast's own manifest reaches back to second 0.
pub const LIVE_WINDOW_SECONDS: u32 = 1800;

/// Whether the broadcast is still being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is: a dynamic manifest of the live timeline.
    OnAir,
    /// It is not, but who watched it live has not seen its last seconds yet: a static manifest of the live timeline.
    Closing,
    /// It is not: a static one of the replay.
    Over,
}

/// How far back a dynamic manifest reaches. A static one always holds everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// To the first row.
    Full,
    /// This many seconds before the end of the last row.
    Window(u32),
}

/// What a manifest says beside what the ledger does.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// The live.
    pub live: &'a LiveId,
    /// The broadcast.
    pub broadcast: &'a BroadcastId,
    /// When presentation time 0 reached the edge.
    pub availability_start: WallTime,
    /// When this manifest is written.
    pub publish_time: WallTime,
    /// What the addresses in it are relative to, if not the manifest's own: `/vod/{live}/{broadcast}/`.
    pub base_url: Option<String>,
}

/// Why there is no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// No row has segments.
    #[error("nothing has been committed yet")]
    Empty,
    /// A row names an initialization segment that is not among those given.
    #[error("the initialization segment {config} of {rung} is not known")]
    NoInit {
        /// Which rung.
        rung: String,
        /// Which configuration.
        config: String,
    },
    /// A row's times contradict its initialization segment's origin.
    #[error("a period starts before the media time's origin")]
    BeforeOrigin,
    /// The XML could not be written.
    #[error("the manifest can't be written as XML")]
    Xml,
}

/// What is shown and in which order: the live timeline, or the replay. Manifests of both kinds are written from it.
#[derive(Debug)]
pub struct Timeline<'a> {
    ledger: &'a Ledger,
    state: State,
    plans: Vec<periods::Plan<'a>>,
}

impl<'a> Timeline<'a> {
    /// That of a broadcast in this state.
    #[must_use]
    pub fn new(ledger: &'a Ledger, state: State) -> Self {
        Self { ledger, state, plans: periods::plan(ledger, state) }
    }

    /// Whether there is nothing to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }

    /// All that is shown, in order.
    fn entries(&self) -> impl Iterator<Item = &periods::Entry<'a>> {
        self.plans.iter().flat_map(|plan| &plan.entries)
    }
}

/// Whether the live timeline and the replay of a broadcast differ.
#[must_use]
pub fn differs(ledger: &Ledger) -> bool {
    periods::plan(ledger, State::Closing) != periods::plan(ledger, State::Over)
}

/// How far behind the edge players of the live manifest are to play, in milliseconds.
#[must_use]
pub fn delay_ms(ledger: &Ledger) -> i64 {
    let chunks = ledger.rows.iter().filter(|row| !row.segments.is_empty());
    let longest = chunks.map(|row| row.end.saturating_sub(row.start)).max().unwrap_or(0);
    let longest_ms = u64::try_from(rescale(longest, VIDEO_TIMESCALE, 1000)).unwrap_or(0);
    i64::try_from(write::delay_ms(longest_ms)).unwrap_or(i64::MAX)
}

/// Writes the MPD of a broadcast.
///
/// # Errors
/// When no row has segments, or the ledger lacks an initialization segment that a row names.
pub fn mpd(input: &Input<'_>, timeline: &Timeline<'_>, scope: Scope) -> Result<String, ManifestError> {
    if timeline.is_empty() {
        return Err(ManifestError::Empty);
    }
    write::mpd(input, timeline, scope)
}

#[cfg(test)]
mod tests;
