//! A transcoder without pictures: a chunk becomes one segment of some bytes per rung at the chunk's place, and takes some time; on a slow
//! machine, as much as the production transcoder would for the rungs that are made. Like there, the smallest rung is done first, and each is
//! handed on when it is, so that segments are stored, and what befalls that happens, in the midst of it.
//!
//! Like the real one it says of a segment what the chunk says; unlike it, it gives other bytes on every encoder, so that nothing can rely
//! on two encoders making the same.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use encoder_task::{
    cmaf::Packaged,
    fill::Span,
    make::{Output, TimedTile},
    session::{
        Turn,
        shed::Job,
        transcoder::{CHUNKS_AT_ONCE, Early, Made, Still, Transcoder},
    },
    transcode::{self, Jpeg},
};
use media::{
    chunk::Chunk,
    ladder::{Ladder, Profile, Rendition},
    ledger::{Init, Object, Segment, Track},
    time::{Ticks, VIDEO_TIMESCALE, to_media_time},
};
use service::BoxFuture;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::{mutation::Mutation, process::Process};

/// The initialization segment: that of every rung and encoder.
const INIT: &[u8] = b"init";
/// What any number of rungs costs, in percent of the source's pixels.
const OVERHEAD_PERCENT: u64 = 35;

/// Of so many chunks one has no tile.
const UNTILED: u32 = 7;
/// Of so many chunks one has a source that can't be a rung.
const UNFIT: u32 = 6;
/// Of so many chunks one shows nothing.
const DARK: u32 = 5;

/// Segments, by one encoder.
#[derive(Debug, Clone)]
pub(crate) struct Pictures {
    process: Arc<Process>,
    machine: Option<Arc<Machine>>,
}

/// A machine whose speed counts.
#[derive(Debug)]
struct Machine {
    /// How much longer a whole ladder takes than it lasts, in percent, with all places at work.
    slowness: u64,
    places: Semaphore,
}

/// Pixels of all rungs, with what any number costs.
fn pixels(chunk: &Chunk, renditions: &[Rendition]) -> u64 {
    let source =
        chunk.header.video.as_ref().map_or(0, |video| u64::from(video.width) * u64::from(video.height));
    let rungs = renditions.iter().map(|rung| u64::from(rung.width) * u64::from(rung.height));
    rungs.sum::<u64>() + source * OVERHEAD_PERCENT / 100
}

impl Machine {
    /// Until the work is done, with all places at work.
    fn takes(&self, chunk: &Chunk, made: &[Rendition], whole: &[Rendition]) -> Duration {
        let length = chunk.header.video.as_ref().map_or(0, |video| video.end - video.start);
        let length = u64::try_from(length).unwrap_or(0) * 1000 / u64::from(VIDEO_TIMESCALE);
        let places = u64::try_from(CHUNKS_AT_ONCE).unwrap_or(1);
        let share = pixels(chunk, made) * 1000 / pixels(chunk, whole).max(1);
        Duration::from_millis(length * places * self.slowness / 100 * share / 1000)
    }
}

fn object(bytes: &[u8]) -> Object {
    Object {
        bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        sha256: hex::encode(Sha256::digest(bytes)),
    }
}

fn package(of: &Rendition, start: Ticks, end: Ticks, what: &str) -> Result<Packaged, String> {
    let time = to_media_time(start, VIDEO_TIMESCALE).ok_or("before the origin")?;
    let duration = u64::try_from(end - start).map_err(|_| "ends before it starts")?;
    let (init_object, bytes) = (object(INIT), Bytes::from(format!("{} {what}", of.name)));
    let config: String = init_object.sha256.chars().take(16).collect();
    Ok(Packaged {
        init: Init {
            rung: of.name.clone(),
            config: config.clone(),
            codecs: "avc1.64001e".to_owned(),
            timescale: VIDEO_TIMESCALE,
            bandwidth: of.bit_rate,
            track: Track::Video { width: of.width, height: of.height, sar: (1, 1), frame_rate: None },
            object: init_object,
        },
        init_bytes: Bytes::from_static(INIT),
        segment: Segment { rung: of.name.clone(), config, time, duration, object: object(&bytes) },
        segment_bytes: bytes,
    })
}

impl Pictures {
    /// With a `slowness` of 0 each chunk takes some time, however much there is to do; else see [`Machine`].
    pub(crate) fn new(process: Arc<Process>, slowness: u64) -> Self {
        let machine = || Arc::new(Machine { slowness, places: Semaphore::new(CHUNKS_AT_ONCE) });
        Self { process, machine: (slowness > 0).then(machine) }
    }

    /// How long some work takes.
    fn takes(&self, chunk: &Chunk) -> Duration {
        let world = self.process.world();
        let of = (self.process.name(), &chunk.header.broadcast, chunk.header.pos, world.now());
        let mut dice = world.derived(of);
        let (least, most) = if dice.permille(950) { (20, 600) } else { (600, 3_000) };
        dice.millis(least, most)
    }

    /// Takes so long to make these rungs of a chunk, given largest first, and hands each on as soon as it is made; the source first, which takes no time.
    async fn encode(
        &self,
        chunk: &Chunk,
        rungs: &[Rendition],
        takes: Duration,
        early: &Early,
    ) -> Result<(Vec<Packaged>, Option<TimedTile>), String> {
        let Some(video) = &chunk.header.video else { return Err("no pictures".to_owned()) };
        let pos = chunk.header.pos;
        let what = format!("{}-{} by {}", pos.publish.get(), pos.seq.0, self.process.name());
        let time = to_media_time(video.start, VIDEO_TIMESCALE).ok_or("before the origin")?;
        // Now and then a picture can't be decoded, or shows nothing.
        let tile = (pos.seq.0 % UNTILED != UNTILED - 1).then(|| TimedTile {
            time,
            jpeg: Jpeg {
                bytes: Bytes::from(format!("tile {what}")),
                width: 320,
                height: 180,
                contrast: if pos.seq.0.is_multiple_of(DARK) { 0 } else { 50 },
            },
        });
        if let Some(tile) = &tile {
            early.hand(Output::Tile(tile.clone()));
        }
        let (source, encoded): (Vec<_>, Vec<_>) = rungs.iter().partition(|rung| rung.is_source());
        let share = takes / u32::try_from(encoded.len()).unwrap_or(1).max(1);
        let mut packaged = Vec::with_capacity(rungs.len());
        for rung in source.into_iter().chain(encoded.into_iter().rev()) {
            if !rung.is_source() {
                tokio::time::sleep(share).await;
            }
            let one = package(rung, video.start, video.end, &what)?;
            early.hand(Output::Segment(one.clone()));
            packaged.push((rung.rank(), one));
        }
        packaged.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        Ok((packaged.into_iter().map(|(_, one)| one).collect(), tile))
    }
}

impl Transcoder for Pictures {
    fn transcode(
        &self,
        chunk: Chunk,
        ladder: Ladder,
        turn: Turn,
        early: Early,
    ) -> BoxFuture<Result<Made, String>> {
        let this = self.clone();
        Box::pin(async move {
            let Some(video) = &chunk.header.video else { return Err("no pictures".to_owned()) };
            let (rate, mut whole) = transcode::ladder(video, ladder.profile);
            let (length, size) = (video.end - video.start, (video.width, video.height));
            // Now and then the source can't be a rung.
            let is_fit = chunk.header.pos.seq.0 % UNFIT != UNFIT - 1;
            let source = (ladder.source && is_fit).then(|| Rendition::source(size.0, size.1));
            if source.is_some() && whole.first().is_some_and(|top| (top.width, top.height) == size) {
                whole.remove(0);
            }
            let job = Job::new(length, size, rate, &whole, None);
            let place = match &this.machine {
                Some(machine) => Some(machine.places.acquire().await.map_err(|error| error.to_string())?),
                None => None,
            };
            let left_out = turn.begin(&job);
            let made = match this.process.world().mutation() {
                Some(Mutation::ShedTheSmallest) => &whole[..whole.len() - left_out],
                _ => &whole[left_out..],
            };
            let takes = match &this.machine {
                Some(machine) => machine.takes(&chunk, made, &whole),
                None => this.takes(&chunk),
            };
            let made: Vec<Rendition> = source.into_iter().chain(made.iter().cloned()).collect();
            let (packaged, tile) = this.encode(&chunk, &made, takes, &early).await?;
            drop((turn, place));
            Ok(Made { packaged, tile, verdicts: Vec::new(), transcode_ms: 0, left_out })
        })
    }

    fn poster(&self, chunk: Chunk) -> BoxFuture<Result<Option<Bytes>, String>> {
        let this = self.clone();
        Box::pin(async move {
            tokio::time::sleep(this.takes(&chunk)).await;
            let pos = chunk.header.pos;
            // The same on every encoder, as the real ones are: nothing but the epoch in it tells two encoders' apart.
            let text = format!("poster {}-{}", pos.publish.get(), pos.seq.0);
            Ok(Some(Bytes::from([&[0xff, 0xd8], text.as_bytes()].concat())))
        })
    }

    fn still(
        &self,
        chunk: Chunk,
        profile: Profile,
        _: Option<Bytes>,
    ) -> BoxFuture<Result<Arc<dyn Still>, String>> {
        let this = self.clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let Some(video) = &chunk.header.video else { return Err("no pictures".to_owned()) };
            let (_, whole) = transcode::ladder(video, profile);
            let pos = chunk.header.pos;
            let of = format!("held {}-{} by {}", pos.publish.get(), pos.seq.0, this.process.name());
            let still: Arc<dyn Still> = Arc::new(Held { of, whole });
            Ok(still)
        })
    }
}

/// A held picture.
#[derive(Debug)]
struct Held {
    of: String,
    whole: Vec<Rendition>,
}

impl Still for Held {
    fn fill(&self, span: Span, rungs: usize) -> BoxFuture<Result<Vec<Packaged>, String>> {
        let what = format!("{} at {}", self.of, span.video_start);
        let left_out = self.whole.len().saturating_sub(rungs.max(1));
        let made = self.whole[left_out..].iter();
        let packaged = made.map(|rung| package(rung, span.video_start, span.video_end, &what)).collect();
        Box::pin(async move { packaged })
    }
}
