//! Segments and tiles into the bucket: those of a chunk as each is made, while others are still being encoded; those of a fill at once.
//!
//! Invariants:
//! - create-only: what is there of the same origin is taken as it is, and a segment that something else was made into is never taken for one's
//!   own: all of the chunk's segments get other names then, also those that were stored before that was found out;
//! - only what is asked for at the end ([`Storing::finish`]) is the chunk's. What was stored of one that failed afterwards stays in the bucket: no row
//!   names it, whoever takes the chunk up next finds it there, and another chunk that its name is taken by gets other names.

use futures_util::{
    StreamExt,
    future::{BoxFuture, try_join_all},
    stream::FuturesUnordered,
};
use media::{
    id::{BroadcastId, ChunkPos, LiveId},
    ledger::{AUDIO_RUNG, Naming, Object, Segment, Tile},
    names,
};
use service::{
    bucket::{Body, BucketError, Condition, Kind, META_SOURCE, Put},
    metrics::defs::SEGMENT_BYTES,
};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::job::{JobError, Workshop, describe, describe_hashed};
use crate::{
    cmaf::Packaged,
    make::{Output, TimedTile},
};

/// What a fill's segments say that they were made from.
pub(super) const FILL: &str = "fill";

/// What a chunk's segments say that they were made from.
pub(super) fn origin(pos: ChunkPos) -> String {
    format!("{}-{}", pos.publish.get(), pos.seq.0)
}

/// Why something was not stored.
#[derive(Debug)]
enum Unstored {
    /// Its name holds what something else was made into.
    Taken,
    /// S3 refused for good.
    Bucket(BucketError),
}

impl From<BucketError> for Unstored {
    fn from(error: BucketError) -> Self {
        Self::Bucket(error)
    }
}

/// Where to, and of what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) workshop: &'a Workshop,
    pub(super) live: &'a LiveId,
    pub(super) broadcast: &'a BroadcastId,
    /// What everything says that it was made from.
    pub(super) origin: &'a str,
}

impl Target<'_> {
    async fn put(self, naming: Naming, output: &Output) -> Result<Object, Unstored> {
        match output {
            Output::Segment(packaged) => self.put_segment(naming, packaged).await,
            Output::Tile(TimedTile { time, jpeg }) => {
                let key = names::tile(self.live, self.broadcast, *time, naming);
                self.create(&key, &jpeg.bytes, Kind::PICTURE, Some(self.origin)).await
            }
        }
    }

    /// Stores an initialization segment and a media segment; describes the latter.
    async fn put_segment(self, naming: Naming, packaged: &Packaged) -> Result<Object, Unstored> {
        let Packaged { init, init_bytes, segment, segment_bytes } = packaged;
        let kind = if segment.rung == AUDIO_RUNG { Kind::AUDIO_SEGMENT } else { Kind::VIDEO_SEGMENT };
        let init_key = names::init(self.live, self.broadcast, &init.rung, &init.config);
        let segment_key = names::segment(self.live, self.broadcast, &segment.rung, segment.time, naming);
        // An initialization segment's name is its content's.
        let (_, object) = tokio::try_join!(
            self.create(&init_key, init_bytes, kind, None),
            self.create(&segment_key, segment_bytes, kind, Some(self.origin))
        )?;
        Ok(object)
    }

    /// Stores an object if there is none, and describes the one that is there.
    async fn create(
        self,
        key: &str,
        bytes: &bytes::Bytes,
        kind: Kind,
        origin: Option<&str>,
    ) -> Result<Object, Unstored> {
        let Workshop { bucket, health, .. } = self.workshop;
        let sha256 = Sha256::digest(bytes).into();
        let mine = describe_hashed(bytes, sha256);
        let meta: Vec<_> = origin.iter().map(|origin| (META_SOURCE, (*origin).to_owned())).collect();
        let body = Body { bytes: bytes.clone(), sha256: Some(sha256) };
        let put = || bucket.put(key, body.clone(), kind, Condition::Absent, &meta);
        if matches!(health.insist("put segment", put).await?, Put::Stored(_)) {
            SEGMENT_BYTES.add(mine.bytes);
            return Ok(mine);
        }
        let there = health.insist("get segment", || bucket.get(key)).await?;
        match there {
            Some(there) if there.source.as_deref().is_some_and(|theirs| Some(theirs) != origin) => {
                Err(Unstored::Taken)
            }
            there => Ok(there.map_or(mine, |object| describe(&object.bytes))),
        }
    }

    /// Stores the segments of a fill, by the names that its row says.
    ///
    /// # Errors
    /// When S3 refuses for good.
    pub(super) async fn put_fill(self, naming: Naming, packaged: &[Packaged]) -> Result<(), JobError> {
        let segments = packaged.iter().map(|one| async move {
            match self.put_segment(naming, one).await {
                Ok(_) => Ok(()),
                // A chunk's that was stored meanwhile, of the same time: viewers see more than was promised. The others must be stored all the same.
                Err(Unstored::Taken) => {
                    let (live, broadcast, rung) = (self.live, self.broadcast, &one.segment.rung);
                    tracing::warn!(%live, %broadcast, rung, "a fill's segment name was taken meanwhile");
                    Ok(())
                }
                Err(Unstored::Bucket(error)) => Err(error.into()),
            }
        });
        try_join_all(segments).await.map(|_| ())
    }
}

/// What is stored of a chunk.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) naming: Naming,
    /// In the order that they were asked for.
    pub(super) segments: Vec<Segment>,
    pub(super) tile: Option<Tile>,
}

/// The storing of one chunk. Dropped, it stops; what is on its way may arrive or not.
pub(super) struct Storing<'a> {
    to: Target<'a>,
    begun: Vec<Output>,
    under_way: FuturesUnordered<BoxFuture<'a, Done>>,
    done: Vec<Done>,
}

/// What came of one output.
type Done = (Output, Result<Object, Unstored>);

impl<'a> Storing<'a> {
    /// Nothing yet.
    pub(super) fn new(to: Target<'a>) -> Self {
        Self { to, begun: Vec::new(), under_way: FuturesUnordered::new(), done: Vec::new() }
    }

    /// Runs `making` to its end, and stores meanwhile what it gives, by plain names.
    pub(super) async fn during<T>(
        &mut self,
        making: impl Future<Output = T>,
        mut outputs: mpsc::Receiver<Output>,
    ) -> T {
        let mut making = std::pin::pin!(making);
        let mut more = true;
        loop {
            tokio::select! {
                biased;
                made = &mut making => return made,
                output = outputs.recv(), if more => match output {
                    Some(output) => self.begin(Naming::Plain, output),
                    None => more = false,
                },
                Some(done) = self.under_way.next() => self.done.push(done),
            }
        }
    }

    /// Sees to it that these are stored, under way or not: by their plain names, or all by others if something else has one of those.
    ///
    /// # Errors
    /// When S3 refuses for good, or both names of one are taken.
    pub(super) async fn finish(
        mut self,
        pos: ChunkPos,
        packaged: &[Packaged],
        tile: Option<&TimedTile>,
    ) -> Result<Stored, JobError> {
        let segments = packaged.iter().cloned().map(Output::Segment);
        let outputs: Vec<Output> = segments.chain(tile.cloned().map(Output::Tile)).collect();
        for naming in [Naming::Plain, Naming::Publish(pos.publish)] {
            match self.all(naming, &outputs).await {
                Ok(objects) => return Ok(described(naming, &outputs, objects)),
                Err(Unstored::Taken) => {
                    let (live, broadcast) = (self.to.live, self.to.broadcast);
                    tracing::warn!(%live, %broadcast, publish = pos.publish.get(), seq = pos.seq.0, "segment names are taken");
                    self = Self::new(self.to);
                }
                Err(Unstored::Bucket(error)) => return Err(error.into()),
            }
        }
        Err(JobError::Taken)
    }

    fn begin(&mut self, naming: Naming, output: Output) {
        self.begun.push(output.clone());
        let to = self.to;
        self.under_way.push(Box::pin(async move {
            let stored = to.put(naming, &output).await;
            (output, stored)
        }));
    }

    /// Stores all of these, but for those that have begun; what they are, in their order. Others that have begun are not waited for.
    async fn all(&mut self, naming: Naming, outputs: &[Output]) -> Result<Vec<Object>, Unstored> {
        for output in outputs {
            if !self.begun.contains(output) {
                self.begin(naming, output.clone());
            }
        }
        let mut objects = Vec::with_capacity(outputs.len());
        for output in outputs {
            let object = loop {
                if let Some(at) = self.done.iter().position(|(done, _)| done == output) {
                    break self.done.swap_remove(at).1?;
                }
                match self.under_way.next().await {
                    Some(done) => self.done.push(done),
                    None => self.begin(naming, output.clone()),
                }
            };
            objects.push(object);
        }
        Ok(objects)
    }
}

fn described(naming: Naming, outputs: &[Output], objects: Vec<Object>) -> Stored {
    let mut stored = Stored { naming, segments: Vec::with_capacity(outputs.len()), tile: None };
    for (output, object) in outputs.iter().zip(objects) {
        match output {
            Output::Segment(packaged) => {
                stored.segments.push(Segment { object, ..packaged.segment.clone() });
            }
            Output::Tile(TimedTile { jpeg, .. }) => {
                let (width, height, contrast) = (jpeg.width, jpeg.height, jpeg.contrast);
                stored.tile = Some(Tile { width, height, contrast, object });
            }
        }
    }
    stored
}

#[cfg(test)]
#[path = "storing_tests.rs"]
mod tests;
