//! One chunk's way: read, checked, transcoded and packaged, its segments and its tile stored while others are still being encoded
//! ([`super::storing`]). Idempotent: a second run, here or elsewhere, finds the segments there and takes them as they are.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use media::{
    chunk::{AudioTrack, Chunk, VideoTrack},
    id::{BroadcastId, ChunkPos},
    ledger::{Init, Naming, Object, Segment, Tile},
    names,
    time::{VIDEO_TIMESCALE, WallTime, rescale},
    verdict::Verdict,
};
use service::{
    bucket::{Bucket, BucketError},
    metrics::defs::{STAGE_FETCH, STAGE_PUT, STAGE_TRANSCODE, TRANSCODE_RATIO},
    table::Broadcast,
};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{
    core::Place,
    judge::Facts,
    storing::{Stored, Storing, Target, origin},
    transcoder::{Early, Made, Transcoder},
    turn::Shedding,
};
use crate::retry::Health;

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
        let origin = origin(pos);
        let mut storing = Storing::new(Target {
            workshop: self,
            live: &of.live,
            broadcast: &of.broadcast,
            origin: &origin,
        });
        let made = match of.limits.check(&chunk.header) {
            Some(verdict) => Made::nothing(vec![verdict]),
            None => {
                let turn = shedding.turn(pos);
                let (early, outputs) = Early::channel();
                let making = self.transcoder.transcode(chunk, of.ladder(), turn, early);
                storing.during(making, outputs).await.map_err(JobError::Crashed)?
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
        let Stored { naming, segments, tile } = storing.finish(pos, &packaged, tile.as_ref()).await?;
        STAGE_PUT.observe_time(began.elapsed());
        let inits = packaged.into_iter().map(|one| one.init).collect();
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
}

/// Size and hash.
pub(super) fn describe(bytes: &Bytes) -> Object {
    describe_hashed(bytes, Sha256::digest(bytes).into())
}

/// Size and hash, where the hash is known.
pub(super) fn describe_hashed(bytes: &Bytes, sha256: [u8; 32]) -> Object {
    Object { bytes: bytes.len() as u64, sha256: hex::encode(sha256) }
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
