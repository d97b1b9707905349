//! One chunk's way: read, checked, transcoded, packaged, its segments and its tile stored. Idempotent: a second run, here or elsewhere, finds the
//! segments there and takes them as they are.
//!
//! Invariant: a segment that something else was made into is never taken for one's own; the chunk's segments get other names then.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::try_join_all;
use media::{
    chunk::{AudioTrack, Chunk, VideoTrack},
    id::{BroadcastId, ChunkPos, LiveId},
    ledger::{AUDIO_RUNG, Init, Naming, Object, Segment, Tile},
    names,
    time::{VIDEO_TIMESCALE, WallTime, rescale, to_media_time},
    verdict::Verdict,
};
use service::{
    bucket::{Bucket, BucketError, Condition, Kind, META_SOURCE, Put},
    metrics::defs::{SEGMENT_BYTES, STAGE_FETCH, STAGE_PUT, STAGE_TRANSCODE, TRANSCODE_RATIO},
    table::Broadcast,
};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{
    core::Place,
    judge::Facts,
    transcoder::{Made, Transcoder},
    turn::Shedding,
};
use crate::{cmaf::Packaged, retry::Health, transcode::Jpeg};

/// What every job of this process shares.
#[derive(Debug, Clone)]
pub struct Workshop {
    /// The bucket.
    pub bucket: Bucket,
    /// The storage's health.
    pub health: Arc<Health>,
    /// Who makes segments.
    pub transcoder: Arc<dyn Transcoder>,
}

/// What a job has made of a chunk: all that its ledger row says, but for epoch and time.
#[derive(Debug)]
pub(super) struct Product {
    /// Which chunk.
    pub pos: ChunkPos,
    /// Where it lies.
    pub place: Place,
    /// The timeline does not go on from the chunk before.
    pub discontinuity: bool,
    /// The stored chunk.
    pub source: Object,
    /// How its segments are named.
    pub naming: Naming,
    /// The stored segments.
    pub segments: Vec<Segment>,
    /// The stored picture for the storyboard.
    pub tile: Option<Tile>,
    /// What they are initialized with.
    pub inits: Vec<Init>,
    /// When its last byte reached the edge, by the edge's clock.
    pub received: WallTime,
    /// When its last rung was encoded, by this process's clock.
    pub encoded: WallTime,
    /// What else there is to know of it.
    pub facts: Facts,
    /// How long transcoding and packaging took, waiting for a slot left out.
    pub transcode_ms: u64,
    /// How many of the ladder's largest rungs were left out to keep up.
    pub left_out: usize,
    /// What is wrong with it: warnings, and at most one fatal verdict.
    pub verdicts: Vec<Verdict>,
}

/// Why a job made nothing.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// S3 refused for good.
    #[error("the storage refused")]
    Bucket(#[from] BucketError),
    /// The chunk can't be read: its place on the timeline is unknown.
    #[error("the stored chunk is unreadable: {0}")]
    Unreadable(String),
    /// The transcoding thread died.
    #[error("the transcoder failed: {0}")]
    Crashed(String),
    /// Both of a segment's names hold something else.
    #[error("the names of its segments are taken")]
    Taken,
}

/// Why a segment was not stored.
enum Unstored {
    /// Its name holds what something else was made into.
    Taken,
    Bucket(BucketError),
}

impl From<BucketError> for Unstored {
    fn from(error: BucketError) -> Self {
        Self::Bucket(error)
    }
}

impl Workshop {
    /// Reads a stored chunk.
    pub async fn fetch(&self, broadcast: &BroadcastId, pos: ChunkPos) -> Result<(Chunk, Object), JobError> {
        let began = Instant::now();
        let key = names::chunk(broadcast, pos);
        let stored = self.health.insist("get chunk", || self.bucket.get(&key)).await?;
        let bytes = stored.ok_or_else(|| JobError::Unreadable("it is not in the bucket".to_owned()))?.bytes;
        let source = describe(&bytes);
        let chunk = Chunk::decode(&bytes).map_err(|error| JobError::Unreadable(error.to_string()))?;
        if chunk.header.pos != pos || chunk.header.broadcast != *broadcast {
            return Err(JobError::Unreadable("it belongs elsewhere".to_owned()));
        }
        STAGE_FETCH.observe_time(began.elapsed());
        Ok((chunk, source))
    }

    /// Runs the job of one chunk.
    pub(super) async fn run(
        &self,
        of: &Broadcast,
        pos: ChunkPos,
        shedding: &Shedding,
    ) -> Result<Product, JobError> {
        let (chunk, source) = self.fetch(&of.broadcast, pos).await?;
        let place = place(chunk.header.video.as_ref(), chunk.header.audio.as_ref());
        let (discontinuity, received) = (chunk.header.discontinuity, chunk.header.received);
        let facts = Facts::new(&chunk.header, place);
        let made = match of.limits.check(&chunk.header) {
            Some(verdict) => Made::nothing(vec![verdict]),
            None => {
                let turn = shedding.turn(pos);
                self.transcoder.transcode(chunk, of.profile, turn).await.map_err(JobError::Crashed)?
            }
        };
        let encoded = self.health.now();
        let Made { packaged, tile, verdicts, transcode_ms, left_out } = made;
        if transcode_ms > 0 {
            let took = Duration::from_millis(transcode_ms);
            STAGE_TRANSCODE.observe_time(took);
            let length = (place.end - place.start) as f64 / f64::from(VIDEO_TIMESCALE);
            TRANSCODE_RATIO.observe(took.as_secs_f64() / length);
        }
        let began = Instant::now();
        let tile = tile.and_then(|tile| Some((to_media_time(place.start, VIDEO_TIMESCALE)?, tile)));
        let (naming, stored, tile) =
            self.store(&of.live, &of.broadcast, pos, &packaged, tile.as_ref()).await?;
        STAGE_PUT.observe_time(began.elapsed());
        let (inits, segments) = stored.into_iter().unzip();
        Ok(Product {
            pos,
            place,
            discontinuity,
            source,
            naming,
            segments,
            tile,
            inits,
            received,
            encoded,
            facts,
            transcode_ms,
            left_out,
            verdicts,
        })
    }

    /// Stores a chunk's segments and its tile: by their plain names, or by others if something else has one of those.
    async fn store(
        &self,
        live: &LiveId,
        broadcast: &BroadcastId,
        pos: ChunkPos,
        packaged: &[Packaged],
        tile: Option<&Timed>,
    ) -> Result<(Naming, Vec<(Init, Segment)>, Option<Tile>), JobError> {
        let origin = format!("{}-{}", pos.publish.get(), pos.seq.0);
        for naming in [Naming::Plain, Naming::Publish(pos.publish)] {
            let stored = tokio::try_join!(
                self.store_as(live, broadcast, naming, &origin, packaged),
                self.store_tile(live, broadcast, naming, &origin, tile)
            );
            match stored {
                Ok((stored, tile)) => return Ok((naming, stored, tile)),
                Err(Unstored::Taken) => {
                    tracing::warn!(%live, %broadcast, publish = pos.publish.get(), seq = pos.seq.0, "segment names are taken");
                }
                Err(Unstored::Bucket(error)) => return Err(error.into()),
            }
        }
        Err(JobError::Taken)
    }

    /// Stores the segments of a fill, by the names that its row says.
    pub(super) async fn store_fill(
        &self,
        live: &LiveId,
        broadcast: &BroadcastId,
        naming: Naming,
        packaged: &[Packaged],
    ) -> Result<(), JobError> {
        match self.store_as(live, broadcast, naming, FILL_SOURCE, packaged).await {
            Ok(_) => Ok(()),
            // A chunk that was stored meanwhile, of the same time: viewers see more than was promised.
            Err(Unstored::Taken) => {
                tracing::warn!(%live, %broadcast, "a fill's segment names were taken meanwhile");
                Ok(())
            }
            Err(Unstored::Bucket(error)) => Err(error.into()),
        }
    }

    async fn store_as(
        &self,
        live: &LiveId,
        broadcast: &BroadcastId,
        naming: Naming,
        origin: &str,
        packaged: &[Packaged],
    ) -> Result<Vec<(Init, Segment)>, Unstored> {
        try_join_all(packaged.iter().map(|one| self.store_one(live, broadcast, naming, origin, one))).await
    }

    async fn store_tile(
        &self,
        live: &LiveId,
        broadcast: &BroadcastId,
        naming: Naming,
        origin: &str,
        tile: Option<&Timed>,
    ) -> Result<Option<Tile>, Unstored> {
        let Some((time, Jpeg { bytes, width, height, contrast })) = tile else { return Ok(None) };
        let key = names::tile(live, broadcast, *time, naming);
        let object = self.create(&key, bytes, Kind::PICTURE, Some(origin)).await?;
        Ok(Some(Tile { width: *width, height: *height, contrast: *contrast, object }))
    }

    /// Stores an initialization segment and a media segment. What is there already of the same origin stays.
    async fn store_one(
        &self,
        live: &LiveId,
        broadcast: &BroadcastId,
        naming: Naming,
        origin: &str,
        packaged: &Packaged,
    ) -> Result<(Init, Segment), Unstored> {
        let Packaged { init, init_bytes, segment, segment_bytes } = packaged;
        let kind = if segment.rung == AUDIO_RUNG { Kind::AUDIO_SEGMENT } else { Kind::VIDEO_SEGMENT };
        let init_key = names::init(live, broadcast, &init.rung, &init.config);
        let segment_key = names::segment(live, broadcast, &segment.rung, segment.time, naming);
        // An initialization segment's name is its content's.
        let ((), object) = tokio::try_join!(
            async { self.create(&init_key, init_bytes, kind, None).await.map(|_| ()) },
            self.create(&segment_key, segment_bytes, kind, Some(origin))
        )?;
        Ok((init.clone(), Segment { object, ..segment.clone() }))
    }

    /// Stores an object if there is none, and describes the one that is there.
    async fn create(
        &self,
        key: &str,
        bytes: &Bytes,
        kind: Kind,
        origin: Option<&str>,
    ) -> Result<Object, Unstored> {
        let mine = describe(bytes);
        let meta: Vec<_> = origin.iter().map(|origin| (META_SOURCE, (*origin).to_owned())).collect();
        let put = || self.bucket.put(key, bytes.clone(), kind, Condition::Absent, &meta);
        if matches!(self.health.insist("put segment", put).await?, Put::Stored(_)) {
            SEGMENT_BYTES.add(mine.bytes);
            return Ok(mine);
        }
        let there = self.health.insist("get segment", || self.bucket.get(key)).await?;
        match there {
            Some(there) if there.source.as_deref().is_some_and(|theirs| Some(theirs) != origin) => {
                Err(Unstored::Taken)
            }
            there => Ok(there.map_or(mine, |object| describe(&object.bytes))),
        }
    }
}

/// A tile, and the media time that it is named by.
type Timed = (u64, Jpeg);

/// What a fill's segments say that they were made from.
const FILL_SOURCE: &str = "fill";

/// Size and hash.
pub(super) fn describe(bytes: &Bytes) -> Object {
    Object { bytes: bytes.len() as u64, sha256: hex::encode(Sha256::digest(bytes)) }
}

/// Where a chunk lies on the timeline: where its pictures do, else its sound.
fn place(video: Option<&VideoTrack>, audio: Option<&AudioTrack>) -> Place {
    match (video, audio) {
        (Some(video), _) => Place { start: video.start, end: video.end },
        (None, Some(audio)) => {
            let ticks = |t| rescale(t, audio.sample_rate, VIDEO_TIMESCALE);
            Place { start: ticks(audio.start), end: ticks(audio.end) }
        }
        (None, None) => Place { start: 0, end: 0 },
    }
}
