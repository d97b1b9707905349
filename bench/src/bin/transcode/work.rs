//! Our side, run in a process of its own so that its cost can be told: a clip's chunks, made as the edge makes them, become segments as
//! the encoder makes them, as many at once.

use std::{collections::BTreeMap, fs, path::Path, sync::Mutex, thread};

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use encoder_task::{
    cmaf::{self, Packaged},
    session::transcoder::CHUNKS_AT_ONCE,
    transcode::{self, Plan, Preset},
};
use media::{
    chunk::Chunk,
    id::{BroadcastId, PublishNo},
    ingest::{Assembler, Output, Publish},
    ladder::Profile,
    time::WallTime,
};

/// FLV (Adobe FLV 10.1, E.3 and E.4.1): the file's header with the first back pointer; a tag's header.
const FILE_HEADER: usize = 13;
const TAG_HEADER: usize = 11;
const BACK_POINTER: usize = 4;

/// Transcodes `clip` into `{to}/{rung}.mp4`.
pub(crate) fn run(clip: &Path, profile: Profile, preset: Preset, to: &Path) -> Result<()> {
    let file = Bytes::from(fs::read(clip).with_context(|| format!("reading {}", clip.display()))?);
    let chunks = chunks(&file)?;
    ensure!(!chunks.is_empty(), "{} holds no GOP", clip.display());
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let plan = Plan { profile, source: false, preset, threads, rungs: Plan::ALL_RUNGS };
    let (queue, done) = (Mutex::new(chunks.iter()), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        let workers: Vec<_> = (0..CHUNKS_AT_ONCE)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    loop {
                        let next = queue.lock().map_err(|_| anyhow!("another worker failed"))?.next();
                        let Some(chunk) = next else { return Ok(()) };
                        let transcoded = transcode::transcode(chunk, &plan)?;
                        let packaged = cmaf::package(chunk, &transcoded)?;
                        done.lock()
                            .map_err(|_| anyhow!("another worker failed"))?
                            .insert(chunk.header.pos, packaged);
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker failed"))?)
    })?;
    let done = done.into_inner().map_err(|_| anyhow!("a worker failed"))?;
    write(done.into_values(), to)
}

fn write(chunks: impl Iterator<Item = Vec<Packaged>>, to: &Path) -> Result<()> {
    let mut rungs: BTreeMap<String, (Bytes, Vec<u8>)> = BTreeMap::new();
    for packaged in chunks.flatten() {
        let (init, bytes) = rungs
            .entry(packaged.segment.rung)
            .or_insert_with(|| (packaged.init_bytes.clone(), packaged.init_bytes.to_vec()));
        ensure!(*init == packaged.init_bytes, "the initialization segment changed within the clip");
        bytes.extend_from_slice(&packaged.segment_bytes);
    }
    for (rung, (_, bytes)) in rungs {
        fs::write(to.join(format!("{rung}.mp4")), bytes)?;
    }
    Ok(())
}

/// The chunks of an FLV file.
fn chunks(file: &Bytes) -> Result<Vec<Chunk>> {
    let origin = WallTime(1_700_000_000_000_000);
    let mut assembler = Assembler::new(Publish {
        live: "bench".parse()?,
        broadcast: BroadcastId::new(1_700_000_000_000, [0; 10]),
        publish: PublishNo::FIRST,
    });
    let mut out = Vec::new();
    let mut at = FILE_HEADER;
    while let Some(header) = file.get(at..at + TAG_HEADER) {
        let size = u32::from_be_bytes([0, header[1], header[2], header[3]]);
        let stamp = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
        let body = at + TAG_HEADER;
        let end = body + usize::try_from(size)?;
        ensure!(end <= file.len(), "the file is cut");
        let arrival = origin.plus_micros(i64::from(stamp) * 1000);
        let refused = |verdict: media::verdict::Verdict| anyhow!("{}", verdict.message);
        match header[0] & 0x1f {
            8 => assembler.audio(arrival, stamp, &file.slice(body..end)).map_err(refused)?,
            9 => assembler.video(arrival, stamp, &file.slice(body..end)).map_err(refused)?,
            _ => {}
        }
        drain(&mut assembler, origin, &mut out);
        at = end + BACK_POINTER;
    }
    assembler.finish();
    drain(&mut assembler, origin, &mut out);
    Ok(out)
}

fn drain(assembler: &mut Assembler, origin: WallTime, out: &mut Vec<Chunk>) {
    while let Some(output) = assembler.poll() {
        match output {
            Output::Start { .. } => assembler.started(origin, None),
            Output::Chunk(chunk) => out.push(*chunk),
        }
    }
}
