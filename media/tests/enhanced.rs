//! What real encoders send as Enhanced RTMP, from tags to chunks. The files in `data/` are FFmpeg 9's (the wheel imageio-ffmpeg 0.8.1):
//! `ffmpeg -f lavfi -i testsrc2=s=160x90:r=30,trim=end_frame=60 -f lavfi -i sine=f=440:r=48000:d=2 <video> -c:a aac -ac 1 -b:a 32k -shortest x.flv`,
//! where `<video>` is
//! - hevc-closed: `-c:v libx265 -preset fast -pix_fmt yuv420p -b:v 100k -x265-params keyint=30:min-keyint=30:open-gop=0:bframes=3:info=0`
//! - hevc-open: the same with `open-gop=1:scenecut=0`
//! - av1: `-c:v libsvtav1 -preset 8 -g 30 -pix_fmt yuv420p -b:v 100k -svtav1-params lp=1`
//! - avc-open: `-c:v libx264 -x264-params open-gop=1:keyint=30:scenecut=0 -an`

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first thing that is not as it must be"
)]

use bytes::Bytes;
use media::{
    chunk::{Chunk, VideoCodec},
    id::{BroadcastId, PublishNo},
    ingest::{Assembler, Output, Publish},
    picture::SampleKind,
    time::{FrameRate, WallTime},
    verdict::{Code, Verdict},
    video,
};

const START: WallTime = WallTime(1_700_000_000_000_000);

/// A tag: whether video, its time in milliseconds, its body.
type Tag = (bool, u32, Bytes);

fn tags(name: &str) -> Vec<Tag> {
    let path = format!("{}/tests/data/{name}.flv", env!("CARGO_MANIFEST_DIR"));
    let file = Bytes::from(std::fs::read(path).unwrap());
    let mut out = Vec::new();
    let mut at = 13;
    while at + 11 <= file.len() {
        let number = |from: usize| u32::from_be_bytes([0, file[from], file[from + 1], file[from + 2]]);
        let size = usize::try_from(number(at + 1)).unwrap();
        let body = file.slice(at + 11..at + 11 + size);
        if matches!(file[at], 8 | 9) {
            out.push((file[at] == 9, number(at + 4) | u32::from(file[at + 7]) << 24, body));
        }
        at += 11 + size + 4;
    }
    out
}

/// `rounds` times the same tags, each round two seconds after the one before.
fn assemble(tags: &[Tag], rounds: u32) -> Result<Vec<Chunk>, Verdict> {
    let mut assembler = Assembler::new(Publish {
        live: "demo".parse().unwrap(),
        broadcast: BroadcastId::new(1_700_000_000_001, [0; 10]),
        publish: PublishNo::FIRST,
    });
    let mut chunks = Vec::new();
    let mut drain = |assembler: &mut Assembler| {
        while let Some(output) = assembler.poll() {
            match output {
                Output::Start { first_frame } => assembler.started(first_frame, None),
                Output::Chunk(chunk) => chunks.push(Chunk::decode(&chunk.encode().unwrap()).unwrap()),
            }
        }
    };
    for round in 0..rounds {
        for (video, ms, body) in tags {
            let ms = ms + round * 2000;
            let arrival = START.plus_micros(i64::from(ms) * 1000);
            if *video {
                assembler.video(arrival, ms, body)?;
            } else {
                assembler.audio(arrival, ms, body)?;
            }
            drain(&mut assembler);
        }
    }
    assembler.finish();
    drain(&mut assembler);
    assert_eq!(assembler.stats().damaged, 0);
    Ok(chunks)
}

fn kinds(chunk: &Chunk) -> Vec<SampleKind> {
    let track = chunk.header.video.as_ref().unwrap();
    let config = video::Config::parse(track.codec, &Bytes::from(track.config.clone())).unwrap();
    chunk.video_samples().iter().map(|sample| config.sample_kind(sample).unwrap()).collect()
}

fn check_closed(name: &str, codec: VideoCodec) {
    let chunks = assemble(&tags(name), 1).unwrap();
    assert_eq!(chunks.len(), 2, "{name}");
    for (n, chunk) in (0i64..).zip(&chunks) {
        let video = chunk.header.video.as_ref().unwrap();
        assert_eq!(
            (video.codec, video.width, video.height, video.sizes.len()),
            (codec, 160, 90, 30),
            "{name}"
        );
        assert_eq!((video.start, video.end), (n * 90_000, (n + 1) * 90_000), "{name}");
        assert_eq!(video.frame_rate, Some(FrameRate { num: 30, den: 1 }), "{name}");
        let mut shown = video.pts.clone();
        shown.sort_unstable();
        assert_eq!(shown, (0..30).map(|i| n * 90_000 + i * 3000).collect::<Vec<_>>(), "{name}");
        assert!(chunk.header.audio.is_some());
        let kinds = kinds(chunk);
        assert_eq!(kinds[0], SampleKind::Start, "{name}");
        assert!(kinds[1..].iter().all(|kind| *kind == SampleKind::Picture), "{name}: {kinds:?}");
    }
}

#[test]
fn hevc_by_x265() {
    check_closed("hevc-closed", VideoCodec::Hevc);
}

#[test]
fn av1_by_svt() {
    check_closed("av1", VideoCodec::Av1);
}

/// Key frames that pictures shown before them follow: marked as key frames by the publisher, and no place to cut.
#[test]
fn open_gops_are_recognised() {
    for (name, start) in [("hevc-open", SampleKind::StartUnlessLed), ("avc-open", SampleKind::OpenStart)] {
        let tags = tags(name);
        let chunks = assemble(&tags, 1).unwrap();
        assert_eq!(chunks.len(), 1, "{name}");
        let kinds = kinds(&chunks[0]);
        assert_eq!((kinds.len(), kinds[0]), (60, SampleKind::Start), "{name}");
        assert_eq!(kinds.iter().filter(|kind| **kind == start).count(), 1, "{name}: {kinds:?}");

        // The same without ever an IDR picture again is refused when the longest GOP is over.
        let (idr, rest): (Vec<Tag>, Vec<Tag>) = tags.iter().cloned().partition(|(_, ms, _)| *ms < 900);
        let open = [idr, rest.clone()].concat();
        let long: Vec<Tag> = open
            .into_iter()
            .chain(
                (1..6).flat_map(|n| rest.iter().map(move |(v, ms, body)| (*v, ms + n * 2000, body.clone()))),
            )
            .collect();
        assert_eq!(assemble(&long, 1).unwrap_err().code, Code::OpenGop, "{name}");
    }
}

/// An encoder that changes its coding in mid-show: the new one comes into force with its first picture.
#[test]
fn another_coding_in_mid_show() {
    let names = ["av1", "hevc-closed", "avc-open"];
    let shifted = (0..).zip(names).flat_map(|(n, name)| {
        let of_video = tags(name).into_iter().filter(|(video, _, _)| *video);
        of_video.map(move |(video, ms, body)| (video, ms + n * 2000, body))
    });
    let chunks = assemble(&shifted.collect::<Vec<_>>(), 1).unwrap();
    let codecs: Vec<_> = chunks.iter().map(|chunk| chunk.header.video.as_ref().unwrap().codec).collect();
    let (av1, hevc, avc) = (VideoCodec::Av1, VideoCodec::Hevc, VideoCodec::Avc);
    assert_eq!(codecs, [av1, av1, hevc, hevc, avc]);
    for pair in chunks.windows(2) {
        let (a, b) = (pair[0].header.video.as_ref().unwrap(), pair[1].header.video.as_ref().unwrap());
        assert_eq!(a.end, b.start);
    }
}

/// x265 makes clean random access pictures without leading ones when there are no B-pictures: as good as IDR pictures.
#[test]
fn a_cra_that_nothing_leads_starts_a_closed_gop() {
    let mut tags = tags("hevc-open");
    // Leave the leading pictures out.
    let config = tags.iter().find_map(|(_, _, body)| match media::flv::video(body) {
        Ok(media::flv::Video::Config { codec, record }) => {
            Some(video::Config::parse(codec, &record).unwrap())
        }
        _ => None,
    });
    let config = config.unwrap();
    tags.retain(|(video, _, body)| match media::flv::video(body) {
        Ok(media::flv::Video::Picture { data, .. }) if *video => {
            config.sample_kind(&data).unwrap() != SampleKind::Leading
        }
        _ => true,
    });
    let chunks = assemble(&tags, 1).unwrap();
    assert_eq!(chunks.len(), 2);
    assert_eq!(kinds(&chunks[1])[0], SampleKind::StartUnlessLed);
}

#[test]
fn no_cut_and_no_altered_sample_panics() {
    for (name, codec) in
        [("hevc-closed", VideoCodec::Hevc), ("av1", VideoCodec::Av1), ("avc-open", VideoCodec::Avc)]
    {
        let chunk = assemble(&tags(name), 1).unwrap().remove(0);
        let track = chunk.header.video.as_ref().unwrap();
        let config = video::Config::parse(codec, &Bytes::from(track.config.clone())).unwrap();
        for sample in chunk.video_samples().iter().take(6) {
            for length in 0..sample.len().min(64) {
                let _ = config.sample_kind(&sample[..length]);
            }
            let mut altered = sample.to_vec();
            for at in 0..altered.len().min(64) {
                for value in 0..=u8::MAX {
                    let before = std::mem::replace(&mut altered[at], value);
                    let _ = config.sample_kind(&altered);
                    altered[at] = before;
                }
            }
        }
    }
}
