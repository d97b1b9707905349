//! Sound that can't go to viewers as it is: transcoded chunk by chunk, each by itself and in any order, it is one sound without seams, in its place.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "tests stop at the first thing that is not as it must be"
)]

mod support;

use bytes::Bytes;
use encoder_task::{
    cmaf::{Packaged, package},
    transcode::{Plan, Preset, transcode},
    validate::validate,
};
use ffmpeg_next as ffmpeg;
use media::{
    aac,
    chunk::{AudioCodec, Chunk},
    id::{BroadcastId, PublishNo},
    ingest::{Assembler, Output, Publish},
    ladder::Profile,
    time::WallTime,
};
use support::{boxes, run};

const PLAN: Plan = Plan {
    profile: Profile::P360,
    source: false,
    preset: Preset::Ultrafast,
    threads: 1,
    rungs: Plan::ALL_RUNGS,
};
const START: WallTime = WallTime(1_700_000_000_000_000);
const SECONDS: u32 = 24;
/// A sweep: no two places of it are alike.
const SWEEP: &str = "aevalsrc='0.4*sin(2*PI*(200*t+60*t*t))':s=48000:d=24";

/// Audio tags' bodies with their stamps in ms, from a file that ffmpeg makes with `args`.
fn tags(
    name: &str,
    args: &[&str],
    head: impl Fn(&[u8]) -> Option<Vec<u8>>,
    prefix: &[u8],
) -> Vec<(u32, Bytes)> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    let file = path.to_str().unwrap();
    run("ffmpeg", &[&["-v", "error", "-y", "-f", "lavfi", "-i", SWEEP], args, &[file]].concat());
    let mut out: Vec<(u32, Bytes)> = Vec::new();
    out.extend(head(&std::fs::read(&path).unwrap()).map(|body| (0, Bytes::from(body))));
    let mut input = ffmpeg::format::input(&path).unwrap();
    let base = input.streams().next().unwrap().time_base();
    let mut first = None;
    for (_, packet) in input.packets() {
        let at = packet.pts().unwrap();
        let since = at - *first.get_or_insert(at);
        let ms = since * 1000 * i64::from(base.0) / i64::from(base.1);
        out.push((u32::try_from(ms).unwrap(), [prefix, packet.data().unwrap()].concat().into()));
    }
    out
}

fn opus() -> Vec<(u32, Bytes)> {
    let head = |file: &[u8]| {
        let at = file.windows(8).position(|window| window == b"OpusHead")?;
        Some([b"\x90Opus", &file[at..at + 19]].concat())
    };
    tags("a.opus", &["-c:a", "libopus", "-b:a", "128k"], head, b"\x91Opus")
}

fn mp3() -> Vec<(u32, Bytes)> {
    tags("a.mp3", &["-c:a", "libmp3lame", "-b:a", "160k", "-ar", "44100", "-ac", "2"], |_| None, &[0x2f])
}

fn surround() -> Vec<(u32, Bytes)> {
    let args = ["-af", "pan=5.1|FL=c0|FR=c0|BL=0*c0|BR=0*c0|FC=0*c0|LFE=0*c0", "-c:a", "aac", "-b:a", "384k"];
    // Matroska's packets are raw; the configuration is 48 kHz, 5.1.
    tags("a.mkv", &args, |_| Some(vec![0xaf, 0, 0x11, 0xb0]), &[0xaf, 1])
}

fn chunks(tags: &[(u32, Bytes)]) -> Vec<Chunk> {
    let mut assembler = Assembler::new(Publish {
        live: "demo".parse().unwrap(),
        broadcast: BroadcastId::new(1_700_000_000_001, [0; 10]),
        publish: PublishNo::FIRST,
    });
    let mut out = Vec::new();
    let mut drain = |assembler: &mut Assembler| {
        while let Some(output) = assembler.poll() {
            match output {
                Output::Start { first_frame } => assembler.started(first_frame, None),
                Output::Chunk(chunk) => out.push(Chunk::decode(&chunk.encode().unwrap()).unwrap()),
            }
        }
    };
    for (ms, body) in tags {
        assembler.audio(START.plus_micros(i64::from(*ms) * 1000), *ms, body).unwrap();
        drain(&mut assembler);
    }
    assembler.finish();
    drain(&mut assembler);
    out
}

/// Each chunk by itself, the last first.
fn segments(chunks: &[Chunk]) -> Vec<Packaged> {
    let mut out: Vec<Packaged> = chunks
        .iter()
        .rev()
        .map(|chunk| {
            assert_eq!(validate(chunk), []);
            let transcoded = transcode(chunk, &PLAN).unwrap();
            assert_eq!(transcoded.warnings, []);
            let mut packaged = package(chunk, &transcoded).unwrap();
            assert_eq!(packaged.len(), 1);
            packaged.remove(0)
        })
        .collect();
    out.reverse();
    out
}

fn samples(file: &str) -> Vec<f32> {
    let dir = tempfile::tempdir().unwrap();
    let pcm = dir.path().join("pcm");
    let pcm = pcm.to_str().unwrap();
    // An edit list or a skip would hide samples that a browser plays.
    let all: &[&str] =
        if file.ends_with(".mp4") { &["-ignore_editlist", "1", "-flags2", "+skip_manual"] } else { &[] };
    let args =
        [&["-v", "error", "-xerror"], all, &["-i", file, "-ac", "1", "-f", "f32le", "-y", pcm]].concat();
    assert_eq!(run("ffmpeg", &args), "");
    std::fs::read(pcm).unwrap().chunks_exact(4).map(|s| f32::from_le_bytes(s.try_into().unwrap())).collect()
}

/// How far `b` is after `a` in samples where both are most alike around `at`, and their signal-to-noise ratio there in dB.
fn compare(a: &[f32], b: &[f32], at: usize, length: usize, lags: std::ops::Range<i64>) -> (i64, f32) {
    let of = |lag: i64| {
        let from = usize::try_from(i64::try_from(at).unwrap() + lag).unwrap();
        let (a, b) = (&a[at..at + length], &b[from..from + length]);
        let (aa, ab): (f32, f32) =
            a.iter().zip(b).fold((0.0, 0.0), |(aa, ab), (x, y)| (aa + x * x, ab + x * y));
        let gain = ab / aa;
        let noise: f32 = a.iter().zip(b).map(|(x, y)| (gain * x - y).powi(2)).sum();
        10.0 * (gain * gain * aa / noise).log10()
    };
    lags.map(|lag| (lag, of(lag))).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
}

fn check(name: &str, tags: &[(u32, Bytes)], codec: AudioCodec, db: f32) {
    let chunks = chunks(tags);
    assert!(chunks.len() >= 11, "{name}: {}", chunks.len());
    let audio = chunks[3].header.audio.as_ref().unwrap();
    assert_eq!((audio.codec, audio.lead > 0), (codec, true), "{name}");
    let segments = segments(&chunks);
    let mut joined = segments[0].init_bytes.to_vec();
    let mut next = None;
    let mut seams = Vec::new();
    let first = segments[0].segment.time;
    for packaged in &segments {
        assert_eq!(packaged.init_bytes, segments[0].init_bytes, "{name}");
        assert_eq!((packaged.init.codecs.as_str(), packaged.init.timescale), ("mp4a.40.2", 48_000), "{name}");
        let read = boxes::read(&packaged.segment_bytes);
        assert_eq!(read.decode_time, packaged.segment.time);
        assert!(next.is_none_or(|next| next == read.decode_time), "{name}: decode times join");
        assert_eq!((read.decode_time - 48_000) % u64::from(aac::FRAME_SAMPLES), 0, "{name}: on the grid");
        next = Some(read.decode_time + read.duration());
        seams.push(usize::try_from(read.decode_time - first).unwrap());
        joined.extend_from_slice(&packaged.segment_bytes);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("joined.mp4");
    std::fs::write(&path, joined).unwrap();
    let out = samples(path.to_str().unwrap());
    let wave = dir.path().join("source.wav");
    let wave = wave.to_str().unwrap();
    run("ffmpeg", &["-v", "error", "-y", "-f", "lavfi", "-i", SWEEP, wave]);
    let source = samples(wave);
    assert_eq!(source.len(), usize::try_from(SECONDS * 48_000).unwrap());

    // Stamps begin at the first packet, which for some encoders begins with what they need to start: the same all along.
    let (lag, _) = compare(&source, &out, 96_000, 4_096, -3_000..3_000);
    let mut elsewhere = Vec::new();
    let mut at_seams = Vec::new();
    for seam in seams.iter().skip(1).filter(|seam| **seam + 60_000 < out.len()) {
        let near = usize::try_from(i64::try_from(*seam).unwrap() - lag).unwrap();
        let (found, ratio) = compare(&source, &out, near - 1_024, 2_048, lag - 2..lag + 3);
        assert_eq!(found, lag, "{name}: no drift at {seam}");
        at_seams.push(ratio);
        elsewhere.push(compare(&source, &out, near + 40_000, 2_048, lag..lag + 1).1);
    }
    let worst = |of: &[f32]| of.iter().copied().fold(f32::MAX, f32::min);
    println!("{name}: lag {lag}, at seams {at_seams:.1?}, elsewhere {elsewhere:.1?}");
    assert!(worst(&at_seams) > db, "{name}: {at_seams:?}");
    assert!(worst(&at_seams) > worst(&elsewhere) - 3.0, "{name}: {at_seams:?} of {elsewhere:?}");
}

#[test]
fn opus_has_no_seams() {
    check("opus", &opus(), AudioCodec::Opus, 20.0);
}

#[test]
fn mp3_has_no_seams() {
    // LAME's delay of 1105 samples is no whole number of them at 48 kHz, so that the higher the tone, the less it is alike.
    check("mp3", &mp3(), AudioCodec::Mp3, 18.0);
}

#[test]
fn surround_sound_becomes_stereo_without_seams() {
    check("surround", &surround(), AudioCodec::Aac, 20.0);
}

#[test]
fn damaged_frames_are_silent_and_told() {
    let mut chunk = chunks(&opus()).remove(3);
    let sizes = chunk.header.audio.as_ref().unwrap().sizes.clone();
    let at: usize = sizes[..40].iter().map(|size| usize::try_from(*size).unwrap()).sum();
    let mut payload = chunk.payload.to_vec();
    // A packet of three frames that it has no room for.
    payload[at..at + 2].copy_from_slice(&[0xff, 0xff]);
    chunk.payload = Bytes::from(payload);
    let transcoded = transcode(&chunk, &PLAN).unwrap();
    assert_eq!(transcoded.warnings[0].code, media::verdict::Code::AudioCorrupt);
    assert_eq!(package(&chunk, &transcoded).unwrap().len(), 1);
}
