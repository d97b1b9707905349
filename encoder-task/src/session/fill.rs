//! Filling a piece of a hole in the live timeline.
//!
//! Order: the segments are made, the row takes the place (so that no publish begins inside), the segments are stored, and only then does
//! a manifest name them. Whoever dies between row and segments leaves the last fill without them: the next session stores them first.

use std::sync::Arc;

use bytes::Bytes;
use media::{
    id::ChunkPos,
    ledger::{AUDIO_RUNG, Fill, Naming, SOURCE_RUNG, Segment, Shown, Track},
    names,
    time::{Ticks, VIDEO_TIMESCALE, media_origin, rescale},
};
use service::table::{Binding, Broadcast, TableError};

use super::{
    claim::Deps,
    commit::note_inits,
    core::{Piece, Place},
    decide::{Refused, fill_refused},
    job::{JobError, describe},
    publisher::View,
    storing::{FILL, Target},
    transcoder::Still,
};
use crate::{cmaf::Packaged, fill::Span};

/// What comes after a piece, as far as its silence is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// Another piece, or nobody knows: silence to the end.
    Unknown,
    /// A publish that has begun. Its sound begins with the frame that is heard when its first picture is seen, so less than a frame earlier.
    Publish,
    /// Sound from here on, in samples.
    Sound(Ticks),
}

/// Samples of a frame of AAC-LC (ISO 14496-3).
const FRAME_SAMPLES: Ticks = 1024;

/// What came of a fill.
pub(super) enum Filled {
    /// It is committed and stored. The binding as it is now.
    Done(Fill, Binding),
    /// The timeline has changed: it is to be decided anew.
    Again(Binding),
    /// The hole can't be filled; the log says why.
    Unfillable,
    /// Somebody else has the broadcast.
    Fenced,
    /// Trying again would not help.
    Failed(String),
}

/// What fills of a session are made with.
#[derive(Debug, Default)]
pub(super) struct Filler {
    /// The picture, and what it was taken from: a chunk, and a slate by its key.
    still: Option<(ChunkPos, Option<String>, Arc<dyn Still>)>,
}

/// Why a piece could not be made.
#[derive(Debug, thiserror::Error)]
enum FillFailure {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error("no picture to fill with: {0}")]
    Picture(String),
}

impl Filler {
    /// Fills a piece.
    pub(super) async fn fill(
        &mut self,
        deps: &Deps,
        meta: &Broadcast,
        binding: &Binding,
        view: &View,
        piece: Piece,
        follows: Follows,
    ) -> Filled {
        match self.try_fill(deps, meta, binding, view, piece, follows).await {
            Ok(filled) => filled,
            Err(FillFailure::Table(error)) => Filled::Failed(error.to_string()),
            Err(FillFailure::Job(JobError::Bucket(error))) => Filled::Failed(error.to_string()),
            Err(error) => {
                tracing::warn!(live = %meta.live, broadcast = %meta.broadcast, start = piece.place.start, %error, "hole can't be filled");
                Filled::Unfillable
            }
        }
    }

    async fn try_fill(
        &mut self,
        deps: &Deps,
        meta: &Broadcast,
        binding: &Binding,
        view: &View,
        piece: Piece,
        follows: Follows,
    ) -> Result<Filled, FillFailure> {
        let (health, id) = (&deps.workshop.health, &meta.broadcast);
        let Place { start, end } = piece.place;
        let (shown, packaged) = self.make(deps, meta, view, piece, follows, None).await?;
        let naming = free_names(deps, meta, &packaged).await?;
        let segment =
            |one: &Packaged| Segment { object: describe(&one.segment_bytes), ..one.segment.clone() };
        note_inits(deps, id, view, packaged.iter().map(|one| one.init.clone()).collect()).await?;
        let fill = Fill {
            epoch: binding.epoch,
            start,
            end,
            shown,
            naming,
            segments: packaged.iter().map(segment).collect(),
            committed: deps.clock.now(),
        };
        let binding = match health.insist("commit fill", || deps.table.commit_fill(id, binding, &fill)).await
        {
            Ok(binding) => binding,
            Err(TableError::Conflict(_)) => {
                let found = health.insist("binding", || deps.table.binding(id)).await?;
                match fill_refused(binding, found, &fill) {
                    Refused::Fenced => return Ok(Filled::Fenced),
                    Refused::Done(binding) => binding,
                    Refused::Again(binding) => return Ok(Filled::Again(binding)),
                    Refused::Taken(_) => {
                        return Err(FillFailure::Picture("its place is taken".to_owned()));
                    }
                }
            }
            Err(error) => return Err(error.into()),
        };
        target(deps, meta).put_fill(naming, &packaged).await?;
        Ok(Filled::Done(fill, binding))
    }

    /// Stores the segments of a fill that somebody committed and may not have stored.
    pub(super) async fn make_good(
        &mut self,
        deps: &Deps,
        meta: &Broadcast,
        binding: &Binding,
        view: &View,
        fill: &Fill,
    ) -> bool {
        let keys = fill.segments.iter().map(|segment| {
            names::segment(&meta.live, &meta.broadcast, &segment.rung, segment.time, fill.naming)
        });
        let mut whole = true;
        for key in keys {
            let there = deps.workshop.health.insist("head", || deps.workshop.bucket.head(&key)).await;
            whole &= matches!(there, Ok(Some(_)));
        }
        if whole {
            return true;
        }
        let piece =
            Piece { place: Place { start: fill.start, end: fill.end }, slate: fill.shown == Shown::Slate };
        let remade = async {
            // As much silence as its row says, for the row stays as it is.
            let silence = fill.segments.iter().find(|segment| segment.rung == AUDIO_RUNG);
            let rate = silence.and_then(|silence| view.lock().init_of(silence).map(|init| init.timescale));
            let follows = match (silence, rate) {
                (Some(silence), Some(rate)) => {
                    let end = silence.time.saturating_add(silence.duration);
                    Follows::Sound(i64::try_from(end).unwrap_or(i64::MAX) - media_origin(rate))
                }
                _ => Follows::Sound(i64::MIN),
            };
            let (_, packaged) =
                self.make(deps, meta, view, piece, follows, Some(rungs(&fill.segments))).await?;
            let wanted = |one: &Packaged| {
                let same = |s: &&Segment| s.rung == one.segment.rung && s.time == one.segment.time;
                fill.segments.iter().any(|s| same(&s) && s.duration == one.segment.duration)
            };
            if !packaged.iter().all(wanted) || packaged.len() != fill.segments.len() {
                return Err(FillFailure::Picture("it comes out different now".to_owned()));
            }
            Ok(target(deps, meta).put_fill(fill.naming, &packaged).await?)
        };
        match remade.await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(live = %meta.live, broadcast = %meta.broadcast, start = fill.start, %error, "fill left out");
                // Or whoever takes the broadcast up later would name what is not there. Refused, somebody has it already and sees to that.
                let empty = || deps.table.empty_fill(&meta.broadcast, binding, fill);
                if let Err(error) = deps.workshop.health.insist("empty fill", empty).await {
                    tracing::warn!(broadcast = %meta.broadcast, start = fill.start, %error, "a fill's row could not be emptied");
                }
                false
            }
        }
    }

    /// Makes the segments of a piece, and says what they show. As many rungs as given, else as what is shown before it has.
    async fn make(
        &mut self,
        deps: &Deps,
        meta: &Broadcast,
        view: &View,
        piece: Piece,
        follows: Follows,
        given: Option<usize>,
    ) -> Result<(Shown, Vec<Packaged>), FillFailure> {
        let slate = if piece.slate { slate(deps, meta).await? } else { None };
        let (last, sound) = {
            let ledger = view.lock();
            let shown = ledger
                .rows
                .iter()
                .rev()
                .find(|row| !row.segments.is_empty() && row.start < piece.place.start);
            let last = shown.map(|row| (row.pos, given.unwrap_or_else(|| rungs(&row.segments))));
            (last, sound(&ledger, piece.place))
        };
        let (last, rungs) =
            last.ok_or_else(|| FillFailure::Picture("nothing was shown before".to_owned()))?;
        let mut shown = if slate.is_some() { Shown::Slate } else { Shown::Held };
        let still = match &self.still {
            Some((pos, of, still)) if *pos == last && *of == slate => Arc::clone(still),
            _ => {
                let image = match &slate {
                    Some(key) => {
                        let get = || deps.workshop.bucket.get(key);
                        deps.workshop.health.insist("get slate", get).await.map_err(JobError::from)?
                    }
                    None => None,
                };
                let image = image.map(|object| object.bytes);
                if image.is_none() {
                    shown = Shown::Held;
                }
                let still = self.still(deps, meta, last, image).await?;
                self.still = Some((last, slate, Arc::clone(&still)));
                still
            }
        };
        let (audio_start, audio_end) = match sound {
            Some((start, end)) => match follows {
                Follows::Unknown => (Some(start), end),
                Follows::Publish => (Some(start), end - FRAME_SAMPLES),
                Follows::Sound(from) => (Some(start), from),
            },
            None => (None, 0),
        };
        let span = Span {
            video_start: piece.place.start,
            video_end: piece.place.end,
            // What follows may begin before the silence could.
            audio_start: audio_start.filter(|start| *start < audio_end),
            audio_end_at_most: audio_end,
            audio_joins: follows != Follows::Unknown,
        };
        let packaged = still.fill(span, rungs).await.map_err(FillFailure::Picture)?;
        Ok((shown, packaged))
    }

    /// The picture: the image if it can be used, else the chunk's last.
    async fn still(
        &self,
        deps: &Deps,
        meta: &Broadcast,
        last: ChunkPos,
        image: Option<Bytes>,
    ) -> Result<Arc<dyn Still>, FillFailure> {
        let (chunk, _) = deps.workshop.fetch(&meta.broadcast, last).await?;
        let transcoder = &deps.workshop.transcoder;
        if image.is_some() {
            match transcoder.still(chunk.clone(), meta.profile, image).await {
                Ok(still) => return Ok(still),
                Err(error) => {
                    tracing::warn!(live = %meta.live, %error, "the slate can't be shown: set another image");
                }
            }
        }
        transcoder.still(chunk, meta.profile, None).await.map_err(FillFailure::Picture)
    }
}

/// How many rungs of pictures there are among these that were encoded: no fill has the source's. Those that are missing of a ladder are its largest.
fn rungs(segments: &[Segment]) -> usize {
    segments.iter().filter(|segment| ![AUDIO_RUNG, SOURCE_RUNG].contains(&segment.rung.as_str())).count()
}

/// Where a fill's segments go.
fn target<'a>(deps: &'a Deps, meta: &'a Broadcast) -> Target<'a> {
    Target { workshop: &deps.workshop, live: &meta.live, broadcast: &meta.broadcast, origin: FILL }
}

/// The key of the live's slate.
async fn slate(deps: &Deps, meta: &Broadcast) -> Result<Option<String>, TableError> {
    let live = deps.workshop.health.insist("live", || deps.table.live(&meta.live)).await?;
    Ok(live.and_then(|live| live.slate))
}

/// Plain names if nothing has them; else those of a fill.
async fn free_names(deps: &Deps, meta: &Broadcast, packaged: &[Packaged]) -> Result<Naming, JobError> {
    for Packaged { segment, .. } in packaged {
        let key = names::segment(&meta.live, &meta.broadcast, &segment.rung, segment.time, Naming::Plain);
        let head = || deps.workshop.bucket.head(&key);
        if deps.workshop.health.insist("head", head).await?.is_some() {
            return Ok(Naming::Fill);
        }
    }
    Ok(Naming::Plain)
}

/// From where to where silence goes in a piece, in samples: from the end of the sound before it. `None` without sound.
fn sound(ledger: &service::table::Ledger, place: Place) -> Option<(Ticks, Ticks)> {
    let of_row = |segments: &'_ [Segment]| segments.iter().find(|s| s.rung == AUDIO_RUNG).cloned();
    let rows = ledger.rows.iter().rev().filter(|row| row.start < place.start);
    let fills = ledger.fills.iter().rev().filter(|fill| fill.start < place.start);
    let last_row = rows.map(|row| &row.segments).find(|segments| !segments.is_empty())?;
    let row = of_row(last_row)?;
    let fill = fills.map(|fill| &fill.segments).find_map(|segments| of_row(segments));
    let last = fill.filter(|fill| fill.time > row.time).unwrap_or(row);
    let Track::Audio { sample_rate, .. } = ledger.init_of(&last)?.track else { return None };
    let ended = i64::try_from(last.time.saturating_add(last.duration)).ok()? - media_origin(sample_rate);
    let ticks = |t| rescale(t, VIDEO_TIMESCALE, sample_rate);
    // A jump that was not filled is none for the silence either; less than a frame of sound is.
    let start =
        if ticks(place.start) - ended > i64::from(sample_rate) / 4 { ticks(place.start) } else { ended };
    Some((start, ticks(place.end)))
}
