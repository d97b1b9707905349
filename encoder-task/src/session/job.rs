//! One chunk's way: read, checked, transcoded, packaged, its segments stored. Idempotent: a second run, here or elsewhere, finds the
//! segments there and takes them as they are.

use std::sync::Arc;

use bytes::Bytes;
use media::{
    chunk::{AudioTrack, Chunk, VideoTrack},
    id::{BroadcastId, ChunkPos, LiveId},
    ledger::{Init, Object, Segment},
    names,
    time::{Ticks, VIDEO_TIMESCALE, WallTime, rescale},
    verdict::{Code, Verdict},
};
use service::bucket::{Bucket, BucketError, Condition, Kind, Put};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::{
    cmaf::{self, Packaged},
    retry::Health,
    transcode::{self, Capacity, Plan, Transcoded},
    validate,
};

/// What every job of this process shares.
#[derive(Debug, Clone)]
pub struct Workshop {
    /// The bucket.
    pub bucket: Bucket,
    /// The storage's health.
    pub health: Arc<Health>,
    /// How many chunks may be transcoded at once.
    pub slots: Arc<Semaphore>,
    /// What the machine can do.
    pub capacity: Capacity,
    /// Cores that one chunk may use.
    pub threads: usize,
}

/// What a job has made of a chunk: all that its ledger row says, but for epoch and time.
#[derive(Debug)]
pub struct Product {
    /// Which chunk.
    pub pos: ChunkPos,
    /// Its start in 1/90 000 s.
    pub start: Ticks,
    /// Its end in 1/90 000 s.
    pub end: Ticks,
    /// The timeline does not go on from the chunk before.
    pub discontinuity: bool,
    /// The stored chunk.
    pub source: Object,
    /// The stored segments.
    pub segments: Vec<Segment>,
    /// What they are initialized with.
    pub inits: Vec<Init>,
    /// When its last byte reached the edge, by the edge's clock.
    pub received: WallTime,
    /// How long transcoding and packaging took, waiting for a slot left out.
    pub transcode_ms: u64,
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
}

impl Workshop {
    /// Runs the job of one chunk.
    pub async fn run(
        &self,
        live: &LiveId,
        broadcast: &BroadcastId,
        profile: media::ladder::Profile,
        pos: ChunkPos,
    ) -> Result<Product, JobError> {
        let key = names::chunk(broadcast, pos);
        let stored = self.health.insist("get chunk", || self.bucket.get(&key)).await?;
        let bytes = stored.ok_or_else(|| JobError::Unreadable("it is not in the bucket".to_owned()))?.bytes;
        let source = describe(&bytes);
        let chunk = Chunk::decode(&bytes).map_err(|error| JobError::Unreadable(error.to_string()))?;
        if chunk.header.pos != pos || chunk.header.broadcast != *broadcast {
            return Err(JobError::Unreadable("it belongs elsewhere".to_owned()));
        }
        let (start, end) = span(chunk.header.video.as_ref(), chunk.header.audio.as_ref());
        let discontinuity = chunk.header.discontinuity;
        let mut product = Product {
            pos,
            start,
            end,
            discontinuity,
            source,
            segments: vec![],
            inits: vec![],
            received: chunk.header.received,
            transcode_ms: 0,
            verdicts: validate::validate(&chunk),
        };
        if product.verdicts.iter().any(|v| v.code.is_fatal()) {
            return Ok(product);
        }
        let (packaged, warnings, transcode_ms) = self.transcode(chunk, profile).await?;
        product.transcode_ms = transcode_ms;
        product.verdicts.extend(warnings);
        let stores = packaged.into_iter().map(|packaged| self.store(live, broadcast, packaged));
        for stored in futures_util::future::try_join_all(stores).await? {
            product.inits.push(stored.0);
            product.segments.push(stored.1);
        }
        Ok(product)
    }

    async fn transcode(
        &self,
        chunk: Chunk,
        profile: media::ladder::Profile,
    ) -> Result<(Vec<Packaged>, Vec<Verdict>, u64), JobError> {
        let crashed = |error: &dyn std::error::Error| JobError::Crashed(error.to_string());
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|e| crashed(&e))?;
        let fps = chunk
            .header
            .video
            .as_ref()
            .and_then(|v| v.frame_rate)
            .map_or(30, |rate| rate.num.div_ceil(rate.den.max(1)));
        let plan = Plan {
            profile,
            preset: transcode::choose_preset(&self.capacity, profile, fps),
            threads: self.threads,
        };
        let work = tokio::task::spawn_blocking(move || {
            let began = std::time::Instant::now();
            let (packaged, warnings) = make(&chunk, &plan);
            drop(slot);
            (packaged, warnings, u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX))
        });
        work.await.map_err(|e| crashed(&e))
    }

    /// Stores an initialization segment and a media segment. What is there already stays: the same chunk made it.
    async fn store(
        &self,
        live: &LiveId,
        broadcast: &BroadcastId,
        packaged: Packaged,
    ) -> Result<(Init, Segment), BucketError> {
        let Packaged { init, init_bytes, mut segment, segment_bytes } = packaged;
        let kind =
            if segment.rung == media::ledger::AUDIO_RUNG { Kind::AUDIO_SEGMENT } else { Kind::VIDEO_SEGMENT };
        let init_key = names::init(live, broadcast, &init.rung, &init.config);
        let segment_key = names::segment(live, broadcast, &segment.rung, segment.time);
        let ((), object) = tokio::try_join!(
            async { self.create(&init_key, init_bytes, kind).await.map(|_| ()) },
            self.create(&segment_key, segment_bytes, kind)
        )?;
        segment.object = object;
        Ok((init, segment))
    }

    /// Stores an object if there is none, and describes the one that is there.
    async fn create(&self, key: &str, bytes: Bytes, kind: Kind) -> Result<Object, BucketError> {
        let mine = describe(&bytes);
        let put = self
            .health
            .insist("put segment", || self.bucket.put(key, bytes.clone(), kind, Condition::Absent, &[]))
            .await?;
        if matches!(put, Put::Stored(_)) {
            return Ok(mine);
        }
        let there = self.health.insist("get segment", || self.bucket.get(key)).await?;
        Ok(there.map_or(mine, |object| describe(&object.bytes)))
    }
}

/// Transcodes and packages. Sound goes on even when the pictures can't be decoded.
fn make(chunk: &Chunk, plan: &Plan) -> (Vec<Packaged>, Vec<Verdict>) {
    let corrupt = |error: &dyn std::error::Error| Verdict::new(Code::VideoCorrupt, error.to_string());
    let transcoded = transcode::transcode(chunk, plan)
        .unwrap_or_else(|error| Transcoded { tracks: Vec::new(), warnings: vec![corrupt(&error)] });
    match cmaf::package(chunk, &transcoded) {
        Ok(packaged) => (packaged, transcoded.warnings),
        Err(error) => (Vec::new(), vec![corrupt(&error)]),
    }
}

fn describe(bytes: &Bytes) -> Object {
    Object { bytes: bytes.len() as u64, sha256: hex::encode(Sha256::digest(bytes)) }
}

/// Where a chunk lies on the timeline, in 1/90 000 s: where its pictures do, else its sound.
fn span(video: Option<&VideoTrack>, audio: Option<&AudioTrack>) -> (Ticks, Ticks) {
    match (video, audio) {
        (Some(video), _) => (video.start, video.end),
        (None, Some(audio)) => {
            let ticks = |t| rescale(t, audio.sample_rate, VIDEO_TIMESCALE);
            (ticks(audio.start), ticks(audio.end))
        }
        (None, None) => (0, 0),
    }
}
