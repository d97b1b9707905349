//! HEVC and AV1 sources: the same ladder, the same times and the same pictures as from H.264.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first thing that is not as it must be"
)]

mod support;

use bytes::Bytes;
use encoder_task::{
    cmaf::package,
    transcode::{Plan, Preset, TranscodeError, transcode},
    validate::validate,
};
use media::{
    chunk::{Chunk, VideoCodec},
    id::{BroadcastId, PublishNo},
    ingest::{Assembler, Output, Publish},
    ladder::Profile,
    picture::SampleKind,
    time::WallTime,
    verdict::Code,
    video,
};
use support::{Source, boxes, run, stored::Stored};

const PLAN: Plan = Plan {
    profile: Profile::P720,
    source: false,
    preset: Preset::Veryfast,
    threads: 2,
    rungs: Plan::ALL_RUNGS,
};

fn source(codec: VideoCodec) -> Source {
    Source { codec, gop: 30, gops: 2, ..Source::default() }
}

/// Peak signal-to-noise ratio of a file against what its source was made from, in dB: the mean, and the worst picture.
fn psnr(file: &str, picture: &str) -> (f64, f64) {
    let graph = "[0:v]settb=1/30,setpts=N[a];[1:v]settb=1/30,setpts=N,format=yuv420p[b];[a][b]psnr";
    let args = ["-v", "info", "-i", file, "-f", "lavfi", "-i", picture, "-lavfi", graph, "-f", "null", "-"];
    let text = run("ffmpeg", &args);
    let line = text.lines().find(|line| line.contains("PSNR y:")).unwrap();
    let value = |name: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(name)).unwrap();
        word.parse::<f64>().unwrap()
    };
    (value("average:"), value("min:"))
}

#[test]
fn every_coding_gives_the_same_ladder() {
    let mut baseline = None;
    for codec in [VideoCodec::Avc, VideoCodec::Hevc, VideoCodec::Av1] {
        let source = source(codec);
        let chunks = source.chunks();
        for chunk in &chunks {
            assert_eq!(validate(chunk), [], "{codec:?}");
        }
        let stored = Stored::make(&chunks, &PLAN);
        assert_eq!(stored.tracks.keys().collect::<Vec<_>>(), ["360p", "audio"], "{codec:?}");
        let packages = &stored.tracks["360p"];
        let mut next = None;
        for (chunk, packaged) in chunks.iter().zip(packages) {
            let read = boxes::read(&packaged.segment_bytes);
            assert!(next.is_none_or(|next| next == read.decode_time), "{codec:?}: decode times join");
            next = Some(read.decode_time + read.duration());
            let mut shown = read.shown();
            shown.sort_unstable();
            let mut wanted = chunk.header.video.as_ref().unwrap().pts.clone();
            wanted.iter_mut().for_each(|time| *time += 90_000);
            wanted.sort_unstable();
            assert_eq!(shown, wanted, "{codec:?}: presentation times");
        }
        let joined = stored.joined("360p");
        let noise = run("ffmpeg", &["-v", "error", "-xerror", "-i", &joined, "-f", "null", "-"]);
        assert_eq!(noise, "", "{codec:?}: a strict decoder has nothing to say");

        let (mean, worst) = psnr(&joined, &source.picture());
        let (mean_avc, worst_avc) = *baseline.get_or_insert((mean, worst));
        // A picture out of its place has less than 20 dB.
        assert!(worst > 25.0 && mean > 30.0, "{codec:?}: {mean} dB, worst {worst} dB");
        assert!(mean > mean_avc - 1.0 && worst > worst_avc - 3.0, "{codec:?}: {mean} of {mean_avc} dB");
        // The initialization segment follows from the ladder, not from the source's coding.
        assert_eq!(packages[0].init.codecs, "avc1.64001e", "{codec:?}");
    }
}

#[test]
fn the_same_bytes_twice() {
    for codec in [VideoCodec::Hevc, VideoCodec::Av1] {
        let chunk = source(codec).chunks().remove(1);
        let bytes = || {
            let packages = package(&chunk, &transcode(&chunk, &PLAN).unwrap()).unwrap();
            packages.into_iter().map(|p| (p.init_bytes, p.segment_bytes)).collect::<Vec<_>>()
        };
        assert!(bytes() == bytes(), "{codec:?}");
    }
}

#[test]
fn damaged_pictures_are_replaced_and_reported() {
    for codec in [VideoCodec::Hevc, VideoCodec::Av1] {
        let chunk = Source { size: (320, 180), gops: 1, ..source(codec) }.chunks().remove(0);
        let sizes = chunk.header.video.as_ref().unwrap().sizes.clone();
        let size = |n: usize| usize::try_from(sizes[n]).unwrap();
        let mut payload = chunk.payload.to_vec();
        let at: usize = (0..10).map(size).sum();
        payload[at..at + size(10)].fill(0xff);
        let damaged = Chunk { payload: Bytes::from(payload.clone()), ..chunk.clone() };
        let out = transcode(&damaged, &PLAN).unwrap();
        assert_eq!(out.tracks[0].samples.len(), 30, "{codec:?}");
        assert_eq!(
            out.warnings.iter().map(|w| w.code).collect::<Vec<_>>(),
            [Code::VideoCorrupt],
            "{codec:?}"
        );

        let all: usize = (0..30).map(size).sum();
        payload[..all].fill(0xff);
        let garbage = Chunk { payload: Bytes::from(payload), ..chunk };
        let error = transcode(&garbage, &PLAN).unwrap_err();
        assert_eq!(error, TranscodeError::Undecodable { samples: 30 }, "{codec:?}");
        assert_eq!(validate(&garbage).iter().map(|v| v.code).collect::<Vec<_>>(), [Code::VideoCorrupt]);
    }
}

#[test]
fn what_no_ladder_can_be_made_of_is_refused() {
    let (hevc, av1) = (VideoCodec::Hevc, VideoCodec::Av1);
    let cases: [(VideoCodec, &'static [&'static str], &str); 5] = [
        (hevc, &["-pix_fmt", "yuv420p10le"], "HEVC profile 2, 4:2:0 chroma, 10 bits"),
        (hevc, &["-pix_fmt", "yuv422p"], "HEVC profile 4, 4:2:2 chroma, 8 bits"),
        (hevc, &["-pix_fmt", "yuv444p"], "HEVC profile 4, 4:4:4 chroma, 8 bits"),
        (hevc, &["-x265-params", "keyint=10:transfer=smpte2084:log-level=error"], "is HDR"),
        (av1, &["-pix_fmt", "yuv420p10le"], "AV1 profile 0, 4:2:0 chroma, 10 bits"),
    ];
    for (codec, video_args, says) in cases {
        let source = Source { size: (320, 192), gop: 10, gops: 1, video_args, ..source(codec) };
        let verdicts = validate(&source.chunks()[0]);
        assert_eq!(
            verdicts.iter().map(|v| v.code).collect::<Vec<_>>(),
            [Code::VideoProfile],
            "{video_args:?}"
        );
        assert!(verdicts[0].message.contains(says), "{}", verdicts[0].message);
    }
}

/// A decoder of HE-AAC makes two samples of each, of frames without SBR data too: of the tone, and of silence put in.
#[test]
fn high_efficiency_sound_is_carried_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let source =
        Source { size: (320, 180), sample_rate: 24_000, channels: 2, gop: 30, gops: 3, ..Source::default() };
    let mut chunks = source.chunks();
    for chunk in &mut chunks {
        // Object type 5, 24 kHz, stereo, to 48 kHz, made of object type 2.
        chunk.header.audio.as_mut().unwrap().config = vec![0x2b, 0x11, 0x88, 0x00];
        assert_eq!(validate(chunk), []);
    }
    let stored = Stored::make(&chunks, &PLAN);
    let packages = &stored.tracks["audio"];
    assert_eq!((packages[0].init.codecs.as_str(), packages[0].init.timescale), ("mp4a.40.5", 24_000));
    assert!(packages.windows(2).all(|w| w[0].segment.time + w[0].segment.duration == w[1].segment.time));
    let joined = stored.joined("audio");
    let entries = ["-show_entries", "stream=codec_name,sample_rate,channels", "-of", "csv=p=0"];
    let text = run("ffprobe", &[&["-v", "error"], &entries[..], &[&joined]].concat());
    assert_eq!(text.trim(), "aac,48000,2");
    let pcm = dir.path().join("pcm").into_os_string().into_string().unwrap();
    run("ffmpeg", &["-v", "error", "-i", &joined, "-ac", "1", "-f", "s16le", &pcm]);
    let samples: Vec<i16> =
        std::fs::read(pcm).unwrap().chunks_exact(2).map(|s| i16::from_le_bytes([s[0], s[1]])).collect();
    let frames: usize = chunks.iter().map(|chunk| chunk.audio_samples().len()).sum();
    assert_eq!(samples.len(), frames * 2048);
    // A second of 440 Hz, of which the source gives a twenty-fifth to a beep of twice that.
    let middle = &samples[48_000..96_000];
    let crossings = middle.windows(2).filter(|w| (w[0] < 0) != (w[1] < 0)).count();
    assert!((905..=925).contains(&crossings), "{crossings}");
}

/// FFmpeg 9's Enhanced RTMP, from tag bodies to the ladder. The files are `media`'s, where it says how they were made.
#[test]
fn enhanced_rtmp_becomes_h264() {
    for name in ["hevc-closed", "av1"] {
        let chunks = published(name);
        assert_eq!(chunks.len(), 2, "{name}");
        for chunk in &chunks {
            assert_eq!(validate(chunk), [], "{name}");
        }
        let stored = Stored::make(&chunks, &PLAN);
        let joined = stored.joined("90p");
        let entries =
            ["-count_frames", "-select_streams", "v", "-show_entries", "stream=codec_name,nb_read_frames"];
        let text = run("ffprobe", &[&["-v", "error"], &entries[..], &["-of", "csv=p=0", &joined]].concat());
        assert_eq!(text.trim(), "h264,60", "{name}");
        let (mean, worst) = psnr(&joined, "testsrc2=s=160x90:r=30,trim=end_frame=60");
        assert!(worst > 20.0 && mean > 25.0, "{name}: {mean} dB, worst {worst} dB");
    }
}

/// A random access picture with leading pictures within a GOP is a picture like any other; at its start it opens it.
#[test]
fn an_open_gop_of_hevc_is_told() {
    let mut chunk = published("hevc-open").remove(0);
    assert_eq!(validate(&chunk), []);
    let out = transcode(&chunk, &PLAN).unwrap();
    assert_eq!((out.tracks[0].samples.len(), out.warnings.len()), (60, 0));

    let video = chunk.header.video.as_ref().unwrap();
    let config = video::Config::parse(video.codec, &Bytes::from(video.config.clone())).unwrap();
    let samples = chunk.video_samples();
    let open = samples
        .iter()
        .enumerate()
        .skip(1)
        .find(|(_, sample)| config.sample_kind(sample) == Ok(SampleKind::StartUnlessLed));
    let (from, _) = open.unwrap();
    let gone: usize = samples[..from].iter().map(Bytes::len).sum();
    let video = chunk.header.video.as_mut().unwrap();
    video.sizes.drain(..from);
    video.pts.drain(..from);
    video.dts.drain(..from);
    chunk.payload = chunk.payload.slice(gone..);
    assert_eq!(validate(&chunk).iter().map(|v| v.code).collect::<Vec<_>>(), [Code::OpenGop]);
}

fn published(name: &str) -> Vec<Chunk> {
    let path = format!("{}/../media/tests/data/{name}.flv", env!("CARGO_MANIFEST_DIR"));
    let file = Bytes::from(std::fs::read(path).unwrap());
    let mut assembler = Assembler::new(Publish {
        live: "demo".parse().unwrap(),
        broadcast: BroadcastId::new(1_700_000_000_001, [0; 10]),
        publish: PublishNo::FIRST,
    });
    let mut at = 13;
    while at + 11 <= file.len() {
        let number = |from: usize| u32::from_be_bytes([0, file[from], file[from + 1], file[from + 2]]);
        let (size, ms) = (usize::try_from(number(at + 1)).unwrap(), number(at + 4));
        let body = file.slice(at + 11..at + 11 + size);
        let arrival = WallTime(1_700_000_000_000_000 + i64::from(ms) * 1000);
        match file[at] {
            9 => assembler.video(arrival, ms, &body).unwrap(),
            8 => assembler.audio(arrival, ms, &body).unwrap(),
            _ => {}
        }
        at += 11 + size + 4;
    }
    assembler.finish();
    let mut chunks = Vec::new();
    while let Some(output) = assembler.poll() {
        match output {
            Output::Start { first_frame } => assembler.started(first_frame, None),
            Output::Chunk(chunk) => chunks.push(*chunk),
        }
    }
    chunks
}
