//! HLS (RFC 8216 and its second edition) over the segments of the MPD: a multivariant playlist, and one media playlist per rung and for
//! the sound. Written from the same [`Timeline`] as the MPD: a Period's border is a discontinuity.
//!
//! Invariants, which hold from one version of a playlist to the next because each is a pure function of a ledger that only grows:
//! lines are appended at the end and, in a window, segments leave at the front; `EXT-X-MEDIA-SEQUENCE` counts the segments and
//! `EXT-X-DISCONTINUITY-SEQUENCE` the discontinuities that have left; all playlists of a broadcast have the same target duration.
//! A playlist that has ended never changes again. For that, the live timeline and the replay are different playlists
//! ([`Kind`]), and the multivariant playlist says which ones are to be read.

mod media_playlist;
mod multivariant;
mod rates;
mod target;

use media::ledger::{AUDIO_RUNG, Init, Segment, Track};

use super::{Input, ManifestError, State, Timeline, cues::Placed, periods::Entry};
use rates::Rates;
use target::target_duration;

/// The playlists of one broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The last half hour of the live timeline: what the stable address plays while on air.
    Window,
    /// The live timeline from second 0 (`EXT-X-PLAYLIST-TYPE:EVENT`).
    Event,
    /// The replay (`EXT-X-PLAYLIST-TYPE:VOD`), written once.
    Replay,
}

impl Kind {
    /// The name of its media playlists, in the folder of their rung.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Window => "window.m3u8",
            Self::Event => "live.m3u8",
            Self::Replay => "replay.m3u8",
        }
    }
}

/// One media playlist to be.
struct Playing<'a> {
    /// Whose segments it plays where there are any: the rung that it is named after.
    rung: &'a str,
    /// The same kind of tracks, smallest first: what stands in where its own are missing.
    alike: Vec<&'a str>,
    is_audio: bool,
    /// What its segments are initialized with, in the order of first use.
    inits: Vec<&'a Init>,
    rates: Rates,
}

/// The playlists of one timeline.
pub struct Playlists<'a> {
    timeline: &'a Timeline<'a>,
    input: &'a Input<'a>,
    target: u64,
    /// Pictures, smallest first.
    video: Vec<Playing<'a>>,
    audio: Option<Playing<'a>>,
    /// The timed events, and before which entry each stands.
    cues: Vec<(usize, Placed<'a>)>,
}

impl<'a> Playlists<'a> {
    /// Those of a timeline; `None` as long as the target duration can't be told.
    ///
    /// # Errors
    /// When the ledger lacks an initialization segment that a row names.
    pub fn new(input: &'a Input<'a>, timeline: &'a Timeline<'a>) -> Result<Option<Self>, ManifestError> {
        let Some(target) = target_duration(timeline) else { return Ok(None) };
        let mut rungs: Vec<(u64, &str)> = Vec::new();
        let mut has_audio = false;
        for segment in timeline.entries().flat_map(|entry| entry.segments) {
            if segment.rung == AUDIO_RUNG {
                has_audio = true;
            } else if !rungs.iter().any(|(_, rung)| *rung == segment.rung) {
                rungs.push((pixels(init(timeline, segment)?), &segment.rung));
            }
        }
        rungs.sort_unstable();
        let alike: Vec<&str> = rungs.iter().map(|(_, rung)| *rung).collect();
        let mut this =
            Self { timeline, input, target, video: Vec::new(), audio: None, cues: anchored(timeline) };
        for (_, rung) in rungs {
            let playing = this.playing(rung, alike.clone(), false)?;
            this.video.push(playing);
        }
        if has_audio {
            this.audio = Some(this.playing(AUDIO_RUNG, vec![AUDIO_RUNG], true)?);
        }
        Ok(Some(this))
    }

    fn playing(
        &self,
        rung: &'a str,
        alike: Vec<&'a str>,
        is_audio: bool,
    ) -> Result<Playing<'a>, ManifestError> {
        let mut inits: Vec<&Init> = Vec::new();
        let mut rates = Rates::new(self.target);
        for segment in self.timeline.entries().filter_map(|entry| pick(entry, rung, &alike)) {
            let own = match inits.iter().find(|i| i.config == segment.config && i.rung == segment.rung) {
                Some(own) => own,
                None => {
                    let own = init(self.timeline, segment)?;
                    inits.push(own);
                    own
                }
            };
            rates.add(segment.object.bytes, segment.duration, own.timescale);
        }
        Ok(Playing { rung, alike, is_audio, inits, rates: rates.measured() })
    }

    /// Every media playlist of a kind: rung and text. `ended`: nothing comes after what is there.
    #[must_use]
    pub fn media(&self, kind: Kind, ended: bool) -> Vec<(String, String)> {
        let all = self.video.iter().chain(&self.audio);
        all.map(|playing| (playing.rung.to_owned(), self.media_playlist(playing, kind, ended))).collect()
    }

    /// The multivariant playlist that leads to those of a kind, from an address where the broadcast's folder is `base`.
    #[must_use]
    pub fn multivariant(&self, kind: Kind, base: &str) -> String {
        self.multivariant_playlist(kind, base)
    }

    /// How many segments its longest playlist names, all in all.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.timeline.entries().count()
    }
}

/// Before which entry each timed event stands. In the replay before the one that it happens in. On air before the first one that was
/// committed after it was put in, so that lines are added at the end only.
fn anchored<'a>(timeline: &Timeline<'a>) -> Vec<(usize, Placed<'a>)> {
    let over = timeline.state == State::Over;
    let anchor = |placed: &Placed<'a>| {
        let plans = timeline.plans.iter().enumerate();
        let mut entries = plans.flat_map(|(n, plan)| plan.entries.iter().map(move |entry| (n, plan, entry)));
        entries.position(|(n, plan, entry)| {
            if over {
                n > placed.plan || (n == placed.plan && entry.end > plan.origin + placed.after)
            } else {
                entry.committed > placed.cue.noted
            }
        })
    };
    let cues = timeline.cues().into_iter();
    let mut cues: Vec<_> = cues.map(|placed| (anchor(&placed).unwrap_or(usize::MAX), placed)).collect();
    cues.sort_by_key(|(anchor, placed)| (*anchor, placed.cue.number));
    cues
}

/// A segment's initialization segment.
fn init<'a>(timeline: &Timeline<'a>, segment: &Segment) -> Result<&'a Init, ManifestError> {
    timeline
        .ledger
        .init_of(segment)
        .ok_or_else(|| ManifestError::NoInit { rung: segment.rung.clone(), config: segment.config.clone() })
}

fn pixels(init: &Init) -> u64 {
    match init.track {
        Track::Video { width, height, .. } => u64::from(width) * u64::from(height),
        Track::Audio { .. } => 0,
    }
}

/// The segment that a rung's playlist plays: its own; where a format lacks the rung, that of the next smaller one, else of the next
/// larger. A playlist that a player follows must go on.
fn pick<'a>(entry: &Entry<'a>, rung: &str, alike: &[&str]) -> Option<&'a Segment> {
    let of = |rung: &str| entry.segments.iter().find(|segment| segment.rung == rung);
    of(rung).or_else(|| {
        let at = alike.iter().position(|other| *other == rung)?;
        let (smaller, larger) = alike.split_at(at);
        smaller.iter().rev().chain(larger).find_map(|other| of(other))
    })
}

#[cfg(test)]
mod tests;
