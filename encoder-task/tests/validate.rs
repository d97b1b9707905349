//! Judging real chunks, as they are and with one thing wrong each.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first thing that is not as it must be"
)]

mod support;

use bytes::Bytes;
use encoder_task::validate::validate;
use media::{chunk::Chunk, time::FrameRate, verdict::Code};
use support::Source;

fn chunk() -> Chunk {
    Source { size: (320, 180), gop: 15, gops: 1, ..Source::default() }.chunks().remove(0)
}

fn codes(chunk: &Chunk) -> Vec<Code> {
    validate(chunk).into_iter().map(|verdict| verdict.code).collect()
}

#[test]
fn one_thing_wrong_is_one_verdict() {
    let good = chunk();
    assert_eq!(codes(&good), []);
    let with = |change: &dyn Fn(&mut Chunk)| {
        let mut chunk = good.clone();
        change(&mut chunk);
        codes(&chunk)
    };
    assert_eq!(with(&|c| c.header.video.as_mut().unwrap().end += 3 * 90_000), []);
    assert_eq!(with(&|c| c.header.video.as_mut().unwrap().end += 4 * 90_000), [Code::GopLong]);
    assert_eq!(with(&|c| c.header.video.as_mut().unwrap().end += 10 * 90_000), [Code::GopTooLong]);
    assert_eq!(
        with(&|c| c.header.video.as_mut().unwrap().frame_rate = Some(FrameRate { num: 144, den: 1 })),
        [Code::VideoFrameRate]
    );
    assert_eq!(with(&|c| c.header.video.as_mut().unwrap().sizes[3] = 8_000_000), [Code::BitRate]);
    assert_eq!(with(&|c| c.header.video.as_mut().unwrap().width = 4100), [Code::VideoResolution]);
    assert_eq!(with(&|c| c.header.video.as_mut().unwrap().config.truncate(9)), [Code::VideoProfile]);
    assert_eq!(with(&|c| c.header.audio.as_mut().unwrap().config = vec![0x1a, 0x10]), [Code::AudioFormat]);
    assert_eq!(with(&|c| c.header.audio.as_mut().unwrap().channels = 1), [Code::ChunkInvalid]);
    let damaged = with(&|c| {
        let mut payload = c.payload.to_vec();
        payload[0] = 0xff;
        c.payload = Bytes::from(payload);
    });
    assert_eq!(damaged, [Code::VideoCorrupt]);
}

#[test]
fn pictures_that_are_not_8_bit_420_progressive_are_refused() {
    for args in [
        &["-pix_fmt", "yuv444p"][..],
        &["-pix_fmt", "yuv422p"],
        &["-pix_fmt", "yuv420p10le"],
        &["-flags", "+ildct+ilme"],
    ] {
        let args: &'static [&'static str] = args;
        let source = Source { size: (320, 192), gop: 10, gops: 1, video_args: args, ..Source::default() };
        let found = codes(&source.chunks()[0]);
        assert_eq!(found, [Code::VideoProfile], "{args:?}");
    }
}

#[test]
fn a_gop_without_an_idr_at_its_start_is_open() {
    let mut chunk = chunk();
    let mut payload = chunk.payload.to_vec();
    let mut at = 0;
    // Makes the slices of the first sample ordinary ones.
    while at < usize::try_from(chunk.header.video.as_ref().unwrap().sizes[0]).unwrap() {
        let length = u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        if payload[at + 4] & 0x1f == 5 {
            payload[at + 4] = 0x61;
        }
        at += 4 + usize::try_from(length).unwrap();
    }
    chunk.payload = Bytes::from(payload);
    assert_eq!(codes(&chunk), [Code::OpenGop]);
}
