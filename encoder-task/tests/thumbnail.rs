//! Tiles and posters of real GOPs, read with a decoder that is not ours.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first thing that is not as it must be"
)]

mod support;

use bytes::Bytes;
use encoder_task::transcode::{Jpeg, POSTER, Plan, Preset, TILE, Thumbnail, TranscodeError, transcode};
use media::{
    chunk::{Chunk, VideoCodec},
    ladder::Profile,
    time::FrameRate,
};
use support::{Source, run};

/// A picture of less than this is one that the poster's choice takes for nothing.
const NOTHING: u8 = 8;

/// Its pixels: red, green and blue.
fn pixels(jpeg: &Jpeg) -> Vec<[u8; 3]> {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (file, raw) = (path("a.jpg"), path("a.raw"));
    std::fs::write(&file, &jpeg.bytes).unwrap();
    let strict = ["-v", "error", "-xerror", "-err_detect", "explode", "-i", &file];
    let said = run("ffmpeg", &[&strict[..], &["-pix_fmt", "rgb24", "-f", "rawvideo", &raw]].concat());
    assert_eq!(said, "", "a strict decoder has nothing to say");
    let bytes = std::fs::read(raw).unwrap();
    assert_eq!(bytes.len(), jpeg.width as usize * jpeg.height as usize * 3, "the size that is said");
    bytes.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

fn of(kind: Thumbnail, chunk: &Chunk) -> Jpeg {
    kind.of(chunk).unwrap().unwrap()
}

fn source(codec: VideoCodec, size: (u32, u32), video_args: &'static [&'static str]) -> Vec<Chunk> {
    Source { codec, size, gop: 10, gops: 1, video_args, ..Source::default() }.chunks()
}

#[test]
fn every_coding_and_shape_has_a_small_picture_of_fixed_bytes() {
    for (codec, size, tile, poster) in [
        (VideoCodec::Avc, (1280, 720), (320, 180), (640, 360)),
        (VideoCodec::Avc, (360, 640), (180, 320), (360, 640)),
        (VideoCodec::Hevc, (640, 360), (320, 180), (640, 360)),
        (VideoCodec::Av1, (640, 480), (240, 180), (480, 360)),
    ] {
        let chunk = &source(codec, size, &[])[0];
        for (kind, expected, most) in [(TILE, tile, 25_000), (POSTER, poster, 80_000)] {
            let jpeg = of(kind, chunk);
            assert_eq!((jpeg.width, jpeg.height), expected, "{codec:?}");
            assert!(jpeg.bytes.len() < most, "{codec:?} {size:?}: {} bytes", jpeg.bytes.len());
            assert!(jpeg.contrast > 40, "{codec:?}: {}", jpeg.contrast);
            let distinct: std::collections::BTreeSet<_> = pixels(&jpeg).into_iter().collect();
            assert!(distinct.len() > 1000, "{codec:?}: {} colours", distinct.len());
            assert_eq!(of(kind, chunk), jpeg, "the same bytes");
        }
    }
}

#[test]
fn the_ladder_brings_the_same_tile() {
    let chunk = &source(VideoCodec::Avc, (640, 360), &[])[0];
    let plan = Plan {
        profile: Profile::P360,
        source: false,
        preset: Preset::Ultrafast,
        threads: 2,
        rungs: Plan::ALL_RUNGS,
    };
    assert_eq!(transcode(chunk, &plan).unwrap().tile, Some(of(TILE, chunk)));
}

#[test]
fn colours_are_those_of_the_source() {
    const SD: &[&str] = &["-vf", "format=gbrp,drawbox=c=0xd03028:t=fill,scale=out_color_matrix=bt601"];
    const HD: &[&str] = &[
        "-vf",
        "format=gbrp,drawbox=c=0xd03028:t=fill,scale=out_color_matrix=bt709",
        "-colorspace",
        "bt709",
    ];
    const UNTOLD: &[&str] = &["-vf", "format=gbrp,drawbox=c=0xd03028:t=fill,scale=out_color_matrix=bt709"];
    const FULL: &[&str] = &[
        "-vf",
        "format=gbrp,drawbox=c=0xd03028:t=fill,scale=out_color_matrix=bt601:out_range=pc",
        "-color_range",
        "pc",
    ];
    for (size, args) in [((640, 360), SD), ((640, 360), HD), ((1280, 720), UNTOLD), ((640, 360), FULL)] {
        let jpeg = of(TILE, &source(VideoCodec::Avc, size, args)[0]);
        assert_eq!(jpeg.contrast, 0);
        for pixel in pixels(&jpeg) {
            let off = pixel.iter().zip([0xd0u8, 0x30, 0x28]).map(|(got, want)| got.abs_diff(want)).max();
            assert!(off.unwrap() <= 4, "{args:?}: {pixel:?}");
        }
    }
}

#[test]
fn black_shows_nothing_and_a_scene_does() {
    const BLACK: &[&str] = &["-vf", "drawbox=c=black:t=fill"];
    assert!(of(TILE, &source(VideoCodec::Avc, (640, 360), BLACK)[0]).contrast < NOTHING);
    const DARK: &[&str] = &["-vf", "eq=brightness=-0.3:contrast=0.4"];
    assert!(of(TILE, &source(VideoCodec::Avc, (640, 360), DARK)[0]).contrast >= NOTHING);
}

#[test]
fn a_key_picture_that_is_lost_is_said() {
    let chunk = &source(VideoCodec::Avc, (640, 360), &[])[0];
    let key = chunk.header.video.as_ref().unwrap().sizes[0];
    let mut payload = chunk.payload.to_vec();
    payload[..key as usize].fill(0);
    let damaged = Chunk { payload: Bytes::from(payload), ..chunk.clone() };
    assert_eq!(TILE.of(&damaged), Err(TranscodeError::Undecodable { samples: 1 }));
}

#[test]
fn sound_alone_has_none() {
    let rate = FrameRate { num: 25, den: 1 };
    let mut chunk = Source { gop: 10, gops: 1, rate, ..Source::default() }.chunks().remove(0);
    let pictures: u32 = chunk.header.video.take().unwrap().sizes.iter().sum();
    chunk.payload = chunk.payload.slice(pictures as usize..);
    assert_eq!(TILE.of(&chunk), Ok(None));
}
