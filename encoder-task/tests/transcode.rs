//! Transcoding and packaging real GOPs, and reading the result with tools that are not ours.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first thing that is not as it must be"
)]

mod support;

use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use bytes::Bytes;
use encoder_task::{
    cmaf::{Packaged, package},
    make::{Output, make},
    manifest::State,
    transcode::{Plan, Preset, TranscodeError, transcode},
};
use media::{chunk::Chunk, ladder::Profile, time::FrameRate, verdict::Code};
use support::{Source, boxes, promises, run, stored::Stored};

const PLAN: Plan = Plan {
    profile: Profile::P720,
    source: false,
    preset: Preset::Veryfast,
    threads: 2,
    rungs: Plan::ALL_RUNGS,
};

/// Longer than any rung of a few pictures takes, on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn check(source: &Source) -> (Vec<Chunk>, Stored) {
    promises::check(source, &PLAN)
}

fn rate(num: u32, den: u32) -> FrameRate {
    FrameRate { num, den }
}

#[test]
fn frame_rates_and_sounds() {
    for (fps, sample_rate, channels, b_frames) in [
        (rate(24, 1), 48_000, 2, 2),
        (rate(25, 1), 44_100, 1, 0),
        (rate(30_000, 1001), 44_100, 2, 3),
        (rate(30, 1), 48_000, 1, 1),
        (rate(50, 1), 48_000, 2, 2),
        (rate(60_000, 1001), 48_000, 2, 0),
        (rate(60, 1), 44_100, 2, 2),
    ] {
        let source = Source {
            size: (426, 240),
            rate: fps,
            sample_rate,
            channels,
            b_frames,
            gop: 26,
            ..Source::default()
        };
        check(&source);
    }
}

#[test]
fn a_ladder_plays_from_its_manifest() {
    let source = Source { size: (1280, 720), gop: 30, gops: 2, ..Source::default() };
    let (chunks, stored) = check(&source);
    assert_eq!(stored.tracks.keys().collect::<Vec<_>>(), ["360p", "480p", "720p", "audio"]);
    let manifest = stored.write_manifest(&chunks[0]);
    // Each stream of the manifest, by FFmpeg's DASH demuxer, which ends all streams when one ends.
    let sound = chunks.iter().map(|c| c.audio_samples().len()).sum::<usize>();
    let mut seen: Vec<String> = Vec::new();
    for stream in ["v:0", "v:1", "v:2", "a:0"] {
        let entries = "stream=codec_name,width,height,nb_read_frames";
        let args = ["-select_streams", stream, "-show_entries", entries, "-of", "csv=p=0", &manifest];
        let text = run("ffprobe", &[&["-v", "error", "-count_frames"], &args[..]].concat());
        seen.push(text.lines().next().unwrap().to_owned());
    }
    seen.sort_unstable();
    let sound = format!("aac,{sound}");
    assert_eq!(seen, [sound.as_str(), "h264,1280,720,60", "h264,640,360,60", "h264,852,480,60"]);
    let dynamic = stored.manifest(&chunks[0], State::OnAir);
    assert!(dynamic.contains("avc1.64") && dynamic.contains(r#"par="16:9""#), "{dynamic}");
}

#[test]
fn portrait_and_odd_sizes_and_wide_samples() {
    let portrait = Source { size: (360, 640), gop: 12, gops: 2, ..Source::default() };
    let (_, stored) = check(&portrait);
    assert_eq!(stored.tracks.keys().collect::<Vec<_>>(), ["360p", "audio"]);

    let wide = &["-vf", "setsar=64/45"];
    let wide = Source {
        size: (360, 288),
        rate: rate(25, 1),
        gop: 12,
        gops: 2,
        video_args: wide,
        ..Source::default()
    };
    let (_, stored) = check(&wide);
    let shape = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-show_entries",
            "stream=width,height,sample_aspect_ratio,display_aspect_ratio",
            "-of",
            "csv=p=0",
            &stored.joined("288p"),
        ],
    );
    assert_eq!(shape.trim(), "360,288,64:45,16:9");
}

#[test]
fn the_same_bytes_twice_and_one_configuration_for_all_presets() {
    let chunks = Source { size: (640, 360), gop: 40, gops: 2, ..Source::default() }.chunks();
    let bytes = |chunk: &Chunk, plan: &Plan| {
        let packages = package(chunk, &transcode(chunk, plan).unwrap()).unwrap();
        packages.into_iter().map(|p| (p.init_bytes, p.segment_bytes)).collect::<Vec<_>>()
    };
    for plan in [PLAN, Plan { threads: 1, ..PLAN }, Plan { threads: 3, ..PLAN }] {
        assert!(bytes(&chunks[0], &plan) == bytes(&chunks[0], &plan), "{plan:?}");
    }
    let first = bytes(&chunks[0], &PLAN);
    for preset in Preset::BEST_FIRST {
        let other = bytes(&chunks[1], &Plan { preset: *preset, threads: 1, ..PLAN });
        assert!(other[0].0 == first[0].0, "{preset:?}");
    }
    let text = first[0].1.windows(4).any(|bytes| bytes == b"x264");
    assert!(!text, "the encoder does not name itself");
}

/// Bits of each rung of each GOP, in percent of what it is planned to have.
fn percent_of_plan(source: &Source) -> Vec<(String, u64)> {
    let mut taken = Vec::new();
    for chunk in source.chunks() {
        let pictures = chunk.header.video.as_ref().unwrap().pts.len();
        for track in transcode(&chunk, &PLAN).unwrap().tracks {
            let bits = 8 * track.samples.iter().map(|sample| sample.data.len()).sum::<usize>();
            let plan = u64::from(track.rendition.bit_rate) * pictures as u64 / u64::from(source.rate.num);
            taken.push((track.rendition.name, bits as u64 * 100 / plan));
        }
    }
    taken
}

#[test]
fn grain_takes_no_more_bits_than_there_are() {
    for gop in [30, 60] {
        let grain = &["-vf", "noise=alls=14:allf=t", "-b:v", "40M"];
        let source = Source { size: (852, 480), gop, gops: 2, video_args: grain, ..Source::default() };
        let taken = percent_of_plan(&source);
        assert!(taken.iter().all(|(_, percent)| (85..=112).contains(percent)), "{gop}: {taken:?}");
    }
}

#[test]
fn a_gop_that_turns_out_harder_than_it_looked_is_encoded_again() {
    // Nothing to see, then all at once moving detail with grain. The first time the largest rung takes four times its bits.
    let cut = &[
        "-vf",
        "drawbox=t=fill:c=gray:enable='lt(n,45)',noise=alls=8:allf=t:enable='gte(n,45)'",
        "-b:v",
        "40M",
    ];
    let source = Source { size: (1280, 720), gop: 60, gops: 1, video_args: cut, ..Source::default() };
    let taken = percent_of_plan(&source);
    assert!(taken.iter().all(|(_, percent)| *percent <= 112), "{taken:?}");
}

#[test]
fn no_frame_is_lost_doubled_or_reordered() {
    let dir = tempfile::tempdir().unwrap();
    let source = Source { size: (320, 180), gop: 30, gops: 3, b_frames: 3, ..Source::default() };
    let stamped = Source { video_args: &["-vf", "geq=lum='30+mod(N*5,13)*15':cb=128:cr=128"], ..source };
    let chunks = stamped.chunks();
    let stored = Stored::make(&chunks, &PLAN);
    let raw = dir.path().join("gray");
    let raw = raw.to_str().unwrap();
    let manifest = stored.write_manifest(&chunks[0]);
    // Of each picture 2 × 2 pixels: four of luma, two of chroma.
    let args = ["-vf", "crop=2:2:40:40", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-vsync", "0", raw];
    run("ffmpeg", &[&["-v", "error", "-i", &manifest, "-map", "0:v:0"], &args[..]].concat());
    let seen: Vec<i32> = std::fs::read(raw).unwrap().chunks(6).map(|picture| picture[0].into()).collect();
    assert_eq!(seen.len(), 90);
    for (n, luma) in (0..).zip(&seen) {
        // Steps of 15 from frame to frame, far above coding noise.
        let wanted = 30 + n * 5 % 13 * 15;
        assert!((luma - wanted).abs() < 5, "frame {n} is {luma}, not {wanted}");
    }
}

#[test]
fn what_is_left_out_changes_no_other_rungs_bytes() {
    let fast = rate(60, 1);
    for source in [
        Source { size: (1280, 720), gop: 12, gops: 1, ..Source::default() },
        // Half the frame rate on the lower rungs, upright, and wider than its largest rung.
        Source { size: (800, 1420), rate: fast, gop: 12, gops: 1, ..Source::default() },
        // Too long to be kept in the largest rung's size, and not in the next one's.
        Source { size: (1280, 720), gop: 150, gops: 1, ..Source::default() },
    ] {
        let chunk = source.chunks().remove(0);
        let plan = Plan { preset: Preset::Ultrafast, ..PLAN };
        let made =
            |rungs: usize| package(&chunk, &transcode(&chunk, &Plan { rungs, ..plan }).unwrap()).unwrap();
        let whole = made(Plan::ALL_RUNGS);
        assert_eq!(whole.len(), 4, "three rungs and the sound");
        for rungs in [2, 1, 0] {
            let some = made(rungs);
            // At least one.
            let left_out = 3 - rungs.max(1);
            assert_eq!(some.len(), 4 - left_out);
            for (one, of_whole) in some.iter().zip(&whole[left_out..]) {
                assert_eq!(one.segment.rung, of_whole.segment.rung);
                assert!(one.init_bytes == of_whole.init_bytes, "{} of {rungs}", one.segment.rung);
                assert!(one.segment_bytes == of_whole.segment_bytes, "{} of {rungs}", one.segment.rung);
            }
        }
    }
}

#[test]
fn sound_and_picture_stay_together() {
    let dir = tempfile::tempdir().unwrap();
    // White, and a tone, from second 1 on.
    let flash = &[
        "-vf",
        "geq=lum='if(gte(N,30),235,16)':cb=128:cr=128",
        "-af",
        "volume='if(gte(t,1),1,0)':eval=frame,asetnsamples=64",
    ];
    let source = Source { size: (320, 180), gop: 20, gops: 3, video_args: flash, ..Source::default() };
    let chunks = source.chunks();
    let stored = Stored::make(&chunks, &PLAN);
    let (video, audio) = (stored.joined("180p"), stored.joined("audio"));
    let first = |file: &str| -> f64 {
        let entries = ["-show_entries", "frame=pts_time", "-read_intervals", "%+#1", "-of", "csv=p=0"];
        let text = run("ffprobe", &[&["-v", "error"], &entries[..], &[file]].concat());
        text.trim().trim_end_matches(',').parse().unwrap()
    };
    let path = |name: &str| dir.path().join(name).into_os_string().into_string().unwrap();
    let (gray, pcm) = (path("gray"), path("pcm"));
    run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-i",
            &video,
            "-vf",
            "scale=1:1",
            "-pix_fmt",
            "gray",
            "-f",
            "rawvideo",
            "-vsync",
            "0",
            &gray,
        ],
    );
    run("ffmpeg", &["-v", "error", "-i", &audio, "-ac", "1", "-f", "s16le", &pcm]);
    let white = std::fs::read(gray).unwrap().iter().position(|luma| *luma > 128).unwrap();
    let samples = std::fs::read(pcm).unwrap();
    let loud =
        samples.chunks_exact(2).position(|s| i16::from_le_bytes([s[0], s[1]]).unsigned_abs() > 1500).unwrap();
    let seconds = |count: usize, rate: u32| f64::from(u32::try_from(count).unwrap()) / f64::from(rate);
    let flash_at = first(&video) + seconds(white, 30);
    let tone_at = first(&audio) + seconds(loud, 48_000);
    assert!((flash_at - tone_at).abs() < 0.02, "flash at {flash_at}, tone at {tone_at}");
}

#[test]
fn a_rung_is_given_out_while_others_are_encoded() {
    let chunk = Source { size: (1280, 720), gop: 10, gops: 1, ..Source::default() }.chunks().remove(0);
    let (given, smaller) = mpsc::channel();
    let (given, smaller) = (Mutex::new(given), Mutex::new(smaller));
    // The largest is not done before the smaller ones have been given out: nobody may wait for it.
    let made = make(&chunk, &PLAN, &|output| match output {
        Output::Segment(Packaged { segment, .. }) if segment.rung == "720p" => {
            let two = [(); 2].map(|()| smaller.lock().unwrap().recv_timeout(PATIENCE));
            assert!(two.iter().all(Result::is_ok), "smaller rungs are given out meanwhile: {two:?}");
        }
        Output::Segment(Packaged { segment, .. }) if segment.rung != "audio" => {
            given.lock().unwrap().send(segment.rung).unwrap();
        }
        _ => {}
    });
    let rungs: Vec<&str> = made.packaged.iter().map(|one| one.segment.rung.as_str()).collect();
    assert_eq!(rungs, ["720p", "480p", "360p", "audio"]);
}

#[test]
fn a_lost_frame_leaves_times_and_configuration_alone() {
    let mut chunks = Source { size: (320, 180), gop: 30, gops: 2, b_frames: 0, ..Source::default() }.chunks();
    let whole = Stored::make(&chunks[..1], &PLAN);
    // The publisher dropped the last picture but one: nothing refers to it that is not lost too, so take both.
    let lost = &mut chunks[1];
    let video = lost.header.video.as_mut().unwrap();
    let mut from = 0;
    let keep = video.sizes.len() - 2;
    for size in &video.sizes[..keep] {
        from += usize::try_from(*size).unwrap();
    }
    let gone: usize = video.sizes[keep..].iter().map(|s| usize::try_from(*s).unwrap()).sum();
    video.sizes.truncate(keep);
    video.pts.truncate(keep);
    video.dts.truncate(keep);
    video.frame_rate = None;
    lost.payload = Bytes::from([&lost.payload[..from], &lost.payload[from + gone..]].concat());
    let holed = Stored::make(&chunks[1..], &PLAN);
    let (a, b) = (&whole.tracks["180p"][0], &holed.tracks["180p"][0]);
    assert_eq!(a.init, b.init);
    let (a, b) = (boxes::read(&a.segment_bytes), boxes::read(&b.segment_bytes));
    assert_eq!(a.decode_time + a.duration(), b.decode_time);
    assert_eq!(b.duration(), 90_000);
    assert_eq!(b.samples.len(), 28);
}

#[test]
fn damaged_pictures_are_replaced_and_reported() {
    let chunk = Source { size: (320, 180), gop: 30, gops: 1, ..Source::default() }.chunks().remove(0);
    let sizes = chunk.header.video.as_ref().unwrap().sizes.clone();
    let mut payload = chunk.payload.to_vec();
    let at: usize = sizes[..10].iter().map(|s| usize::try_from(*s).unwrap()).sum();
    payload[at..at + usize::try_from(sizes[10]).unwrap()].fill(0xff);
    let damaged = Chunk { payload: Bytes::from(payload.clone()), ..chunk.clone() };
    let out = transcode(&damaged, &PLAN).unwrap();
    assert_eq!(out.tracks[0].samples.len(), 30);
    assert_eq!(out.warnings.iter().map(|w| w.code).collect::<Vec<_>>(), [Code::VideoCorrupt]);

    let all: usize = sizes.iter().map(|s| usize::try_from(*s).unwrap()).sum();
    payload[..all].fill(0xff);
    let garbage = Chunk { payload: Bytes::from(payload), ..chunk.clone() };
    assert_eq!(transcode(&garbage, &PLAN).unwrap_err(), TranscodeError::Undecodable { samples: 30 });

    let mut silent = chunk;
    silent.header.video = None;
    assert!(transcode(&silent, &PLAN).unwrap().tracks.is_empty());
}

#[test]
fn one_picture_is_a_gop() {
    let source = Source { size: (320, 180), gop: 1, gops: 4, b_frames: 0, ..Source::default() };
    let chunks = source.chunks();
    let stored = Stored::make(&chunks[..1], &PLAN);
    assert_eq!(boxes::read(&stored.tracks["180p"][0].segment_bytes).samples.len(), 1);
}
