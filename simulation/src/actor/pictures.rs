//! A transcoder without pictures: a chunk becomes one segment of some bytes at the chunk's place, and takes some time.
//!
//! Like the real one it says of a segment what the chunk says; unlike it, it gives other bytes on every encoder, so that nothing can rely
//! on two encoders making the same.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use encoder_task::{
    cmaf::Packaged,
    fill::Span,
    session::transcoder::{Made, Still, Transcoder},
    transcode::Jpeg,
};
use media::{
    chunk::Chunk,
    ladder::Profile,
    ledger::{Init, Object, Segment, Track},
    time::{Ticks, VIDEO_TIMESCALE, to_media_time},
};
use service::BoxFuture;
use sha2::{Digest, Sha256};

use crate::process::Process;

/// The one rung.
const RUNG: &str = "360p";
/// The one initialization segment: that of every encoder.
const INIT: &[u8] = b"init";

/// Of so many chunks one has no tile.
const UNTILED: u32 = 7;
/// Of so many chunks one shows nothing.
const DARK: u32 = 5;

/// Segments, by one encoder.
#[derive(Debug, Clone)]
pub(crate) struct Pictures(pub(crate) Arc<Process>);

fn object(bytes: &[u8]) -> Object {
    Object {
        bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        sha256: hex::encode(Sha256::digest(bytes)),
    }
}

fn package(start: Ticks, end: Ticks, bytes: Bytes) -> Result<Packaged, String> {
    let time = to_media_time(start, VIDEO_TIMESCALE).ok_or("before the origin")?;
    let duration = u64::try_from(end - start).map_err(|_| "ends before it starts")?;
    let init_object = object(INIT);
    let config: String = init_object.sha256.chars().take(16).collect();
    Ok(Packaged {
        init: Init {
            rung: RUNG.to_owned(),
            config: config.clone(),
            codecs: "avc1.64001e".to_owned(),
            timescale: VIDEO_TIMESCALE,
            bandwidth: 700_000,
            track: Track::Video { width: 640, height: 360, sar: (1, 1), frame_rate: None },
            object: init_object,
        },
        init_bytes: Bytes::from_static(INIT),
        segment: Segment { rung: RUNG.to_owned(), config, time, duration, object: object(&bytes) },
        segment_bytes: bytes,
    })
}

impl Pictures {
    /// Some time's work.
    async fn work(&self, chunk: &Chunk) {
        let world = self.0.world();
        let mut dice = world.derived((self.0.name(), &chunk.header.broadcast, chunk.header.pos, world.now()));
        let (least, most) = if dice.permille(950) { (20, 600) } else { (600, 3_000) };
        tokio::time::sleep(dice.millis(least, most)).await;
    }
}

impl Transcoder for Pictures {
    fn transcode(&self, chunk: Chunk, _: Profile) -> BoxFuture<Result<Made, String>> {
        let this = self.clone();
        Box::pin(async move {
            this.work(&chunk).await;
            let Some(video) = &chunk.header.video else { return Err("no pictures".to_owned()) };
            let pos = chunk.header.pos;
            let text = format!("{}-{} by {}", pos.publish.get(), pos.seq.0, this.0.name());
            let packaged = vec![package(video.start, video.end, Bytes::from(text.clone()))?];
            // Now and then a picture can't be decoded, or shows nothing.
            let tile = (pos.seq.0 % UNTILED != UNTILED - 1).then(|| Jpeg {
                bytes: Bytes::from(format!("tile {text}")),
                width: 320,
                height: 180,
                contrast: if pos.seq.0.is_multiple_of(DARK) { 0 } else { 50 },
            });
            Ok(Made { packaged, tile, verdicts: Vec::new(), transcode_ms: 0 })
        })
    }

    fn poster(&self, chunk: Chunk) -> BoxFuture<Result<Option<Bytes>, String>> {
        let this = self.clone();
        Box::pin(async move {
            this.work(&chunk).await;
            let pos = chunk.header.pos;
            // The same on every encoder, as the real ones are: nothing but the epoch in it tells two encoders' apart.
            let text = format!("poster {}-{}", pos.publish.get(), pos.seq.0);
            Ok(Some(Bytes::from([&[0xff, 0xd8], text.as_bytes()].concat())))
        })
    }

    fn still(&self, chunk: Chunk, _: Profile, _: Option<Bytes>) -> BoxFuture<Result<Arc<dyn Still>, String>> {
        let this = self.clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let pos = chunk.header.pos;
            let of = format!("held {}-{} by {}", pos.publish.get(), pos.seq.0, this.0.name());
            let still: Arc<dyn Still> = Arc::new(Held(of));
            Ok(still)
        })
    }
}

/// A held picture.
#[derive(Debug)]
struct Held(String);

impl Still for Held {
    fn fill(&self, span: Span) -> BoxFuture<Result<Vec<Packaged>, String>> {
        let packaged = package(
            span.video_start,
            span.video_end,
            Bytes::from(format!("{} at {}", self.0, span.video_start)),
        );
        Box::pin(async move { Ok(vec![packaged?]) })
    }
}
