//! The seam to the pictures: a chunk becomes packaged segments, a picture becomes the fill of a hole. Carried out by FFmpeg ([`Ffmpeg`]).

use std::{fmt, sync::Arc, time::Instant};

use bytes::Bytes;
use media::{
    chunk::Chunk,
    ladder::{Ladder, Profile},
    verdict::Verdict,
};
use service::{
    BoxFuture,
    metrics::defs::{CHUNKS_WAITING, STAGE_WAIT},
};
use tokio::sync::{Semaphore, mpsc};

use super::{shed::Job, turn::Turn};
use crate::{
    cmaf::Packaged,
    fill::{Source, Span},
    make::{self, Output, TimedTile, make},
    transcode::{self, Capacity, Plan},
    validate,
};

/// Chunks transcoded at once: two fill the cores while one of them is being fetched or stored; more only make each later.
pub const CHUNKS_AT_ONCE: usize = 2;

/// Outputs of one chunk that wait to be taken: more than the largest ladder has rungs, with sound and tile, so that there is always room.
const OUTPUTS_MAX: usize = 16;

/// What a chunk has become.
#[derive(Debug)]
pub struct Made {
    /// One segment per rung, largest first (the source before all), then one of sound. None if the chunk can't be used; then a verdict says why.
    pub packaged: Vec<Packaged>,
    /// What the storyboard shows of it.
    pub tile: Option<TimedTile>,
    /// Warnings, and at most one fatal verdict.
    pub verdicts: Vec<Verdict>,
    /// How long it took, waiting left out.
    pub transcode_ms: u64,
    /// How many of the ladder's largest rungs were left out to keep up.
    pub left_out: usize,
}

impl Made {
    /// Of a chunk that can't be used.
    #[must_use]
    pub fn nothing(verdicts: Vec<Verdict>) -> Self {
        Self { packaged: Vec::new(), tile: None, verdicts, transcode_ms: 0, left_out: 0 }
    }
}

/// Takes a chunk's outputs as they are made, so that they are stored while others are still being encoded. That is all it is for: what was not
/// handed on is stored in the end all the same, and what was handed on counts only if it is in [`Made`].
#[derive(Debug, Clone)]
pub struct Early(mpsc::Sender<Output>);

impl Early {
    /// One, and where its outputs arrive.
    pub(super) fn channel() -> (Self, mpsc::Receiver<Output>) {
        let (sender, receiver) = mpsc::channel(OUTPUTS_MAX);
        (Self(sender), receiver)
    }

    /// Hands an output on. Never waits: who encodes is not to be held up by the storage.
    pub fn hand(&self, output: Output) {
        // Without room, or with nobody there any more, it is stored later or not at all.
        let _ = self.0.try_send(output);
    }
}

/// Makes segments. The same input gives the same segments.
pub trait Transcoder: fmt::Debug + Send + Sync {
    /// Checks and transcodes a chunk. When its turn comes, `turn` says how much of the ladder is left out. Each output is handed to `early` as soon
    /// as it is made.
    fn transcode(
        &self,
        chunk: Chunk,
        ladder: Ladder,
        turn: Turn,
        early: Early,
    ) -> BoxFuture<Result<Made, String>>;
    /// Takes the last picture of a chunk, or an image in its place, to fill holes with.
    fn still(
        &self,
        chunk: Chunk,
        profile: Profile,
        image: Option<Bytes>,
    ) -> BoxFuture<Result<Arc<dyn Still>, String>>;
    /// A chunk's key picture as a poster: a JPEG; `None` of a chunk without pictures.
    fn poster(&self, chunk: Chunk) -> BoxFuture<Result<Option<Bytes>, String>>;
}

/// A picture that holes are filled with.
pub trait Still: fmt::Debug + Send + Sync {
    /// One segment per rung, of the smallest `rungs`, and one of silence, for a piece of a hole.
    fn fill(&self, span: Span, rungs: usize) -> BoxFuture<Result<Vec<Packaged>, String>>;
}

/// FFmpeg on this machine's cores.
#[derive(Debug, Clone)]
pub struct Ffmpeg {
    slots: Arc<Semaphore>,
    capacity: Capacity,
    threads: usize,
}

impl Ffmpeg {
    /// At most `at_once` chunks at once, each with so many threads.
    #[must_use]
    pub fn new(capacity: Capacity, threads: usize, at_once: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(at_once)), capacity, threads }
    }

    fn plan(&self, chunk: &Chunk, profile: Profile) -> Plan {
        let rate = chunk.header.video.as_ref().and_then(|video| video.frame_rate);
        let fps = rate.map_or(30, |rate| rate.num.div_ceil(rate.den.max(1)));
        Plan {
            profile,
            source: false,
            preset: transcode::choose_preset(&self.capacity, profile, fps),
            threads: self.threads,
            rungs: Plan::ALL_RUNGS,
        }
    }

    /// How many of the chunk's rungs are encoded at most, now that work on it begins, and how many are left out. The source costs nothing and stays.
    fn allowed(&self, chunk: &Chunk, plan: &Plan, turn: &Turn) -> (usize, usize) {
        let Some(video) = &chunk.header.video else { return (Plan::ALL_RUNGS, 0) };
        let (rate, renditions) = transcode::encoded(chunk, video, plan);
        let capacity = self.capacity.of(plan.preset);
        let (length, size) = (video.end - video.start, (video.width, video.height));
        match turn.begin(&Job::new(length, size, rate, &renditions, Some(capacity))) {
            // All, also if the source turns out to be damaged, and is no rung then.
            0 => (Plan::ALL_RUNGS, 0),
            left_out => (renditions.len().saturating_sub(left_out), left_out),
        }
    }

    /// Runs on a thread of its own when a slot is free.
    async fn work<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        let (waits, since) = (CHUNKS_WAITING.hold(1.0), Instant::now());
        let slot = self.slots.acquire_owned().await.map_err(|error| error.to_string())?;
        drop(waits);
        STAGE_WAIT.observe_time(since.elapsed());
        let run = move || {
            let made = work();
            drop(slot);
            made
        };
        tokio::task::spawn_blocking(run).await.map_err(|error| error.to_string())
    }
}

impl Transcoder for Ffmpeg {
    fn transcode(
        &self,
        chunk: Chunk,
        ladder: Ladder,
        turn: Turn,
        early: Early,
    ) -> BoxFuture<Result<Made, String>> {
        let this = self.clone();
        Box::pin(async move {
            let verdicts = validate::validate(&chunk);
            if verdicts.iter().any(|verdict| verdict.code.is_fatal()) {
                return Ok(Made::nothing(verdicts));
            }
            let with = this.clone();
            let work = move || {
                let plan = Plan { source: ladder.source, ..with.plan(&chunk, ladder.profile) };
                let (rungs, left_out) = with.allowed(&chunk, &plan, &turn);
                let began = Instant::now();
                let made = make(&chunk, &Plan { rungs, ..plan }, &|output| early.hand(output));
                let transcode_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                // The turn is over.
                drop(turn);
                let make::Made { packaged, tile, warnings } = made;
                Made { packaged, tile, verdicts: warnings, transcode_ms, left_out }
            };
            let mut made = this.work(work).await?;
            made.verdicts.splice(0..0, verdicts);
            Ok(made)
        })
    }

    fn still(
        &self,
        chunk: Chunk,
        profile: Profile,
        image: Option<Bytes>,
    ) -> BoxFuture<Result<Arc<dyn Still>, String>> {
        let this = self.clone();
        Box::pin(async move {
            let plan = this.plan(&chunk, profile);
            let work = move || {
                let source = Source::last_picture(&chunk, &plan)?;
                let source = match image {
                    Some(image) => source.with_slate(&image)?,
                    None => source,
                };
                Ok::<_, crate::fill::FillError>((Arc::new(source), plan))
            };
            let (source, plan) = this.clone().work(work).await?.map_err(|error| error.to_string())?;
            let still: Arc<dyn Still> = Arc::new(Picture { on: this, source, plan });
            Ok(still)
        })
    }

    fn poster(&self, chunk: Chunk) -> BoxFuture<Result<Option<Bytes>, String>> {
        let this = self.clone();
        Box::pin(async move {
            let made = this.work(move || transcode::POSTER.of(&chunk)).await?;
            Ok(made.map_err(|error| error.to_string())?.map(|jpeg| jpeg.bytes))
        })
    }
}

#[derive(Debug)]
struct Picture {
    on: Ffmpeg,
    source: Arc<Source>,
    plan: Plan,
}

impl Still for Picture {
    fn fill(&self, span: Span, rungs: usize) -> BoxFuture<Result<Vec<Packaged>, String>> {
        let (on, source, plan) = (self.on.clone(), Arc::clone(&self.source), Plan { rungs, ..self.plan });
        Box::pin(async move {
            on.work(move || source.fill(&span, &plan)).await?.map_err(|error| error.to_string())
        })
    }
}
