//! Filling holes after real chunks, and reading the result with tools that are not ours.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first thing that is not as it must be"
)]

mod support;

use bytes::Bytes;
use encoder_task::{
    cmaf::{Packaged, package},
    fill::{FillError, IMAGE_BYTES_MAX, ImageError, SPAN_SECONDS_MAX, Source as Fill, Span},
    transcode::{Plan, Preset, TranscodeError, transcode},
};
use media::{
    chunk::Chunk,
    ladder::Profile,
    time::{FrameRate, Ticks, rescale, to_media_time},
};
use support::{Source, boxes, run};

const PLAN: Plan = Plan {
    profile: Profile::P720,
    source: false,
    preset: Preset::Ultrafast,
    threads: 2,
    rungs: Plan::ALL_RUNGS,
};
/// Pictures this alike can't be told apart by eye, in dB.
const ALIKE: f64 = 36.0;

fn chunk(source: &Source) -> Chunk {
    source.chunks().pop().unwrap()
}

fn small() -> Source {
    Source { size: (320, 180), gop: 15, gops: 1, ..Source::default() }
}

/// The span of `ticks` from where `span` ended.
fn after(span: &Span, sound: Option<Ticks>, ticks: Ticks, sample_rate: u32) -> Span {
    let video_end = span.video_end + ticks;
    Span {
        video_start: span.video_end,
        video_end,
        audio_start: sound,
        audio_end_at_most: rescale(video_end, 90_000, sample_rate),
        audio_joins: false,
    }
}

/// What the chunk itself covers.
fn covered(chunk: &Chunk) -> Span {
    let (video, audio) = (chunk.header.video.as_ref().unwrap(), chunk.header.audio.as_ref());
    Span {
        video_start: video.start,
        video_end: video.end,
        audio_start: audio.map(|audio| audio.start),
        audio_end_at_most: audio.map_or(0, |audio| audio.end),
        audio_joins: false,
    }
}

fn span(from: Ticks, to: Ticks) -> Span {
    Span { video_start: from, video_end: to, audio_start: None, audio_end_at_most: 0, audio_joins: false }
}

/// The package alone, with its initialization segment, as a file.
fn file(dir: &tempfile::TempDir, packaged: &Packaged) -> String {
    let path = dir.path().join(format!("{}-{}.mp4", packaged.segment.rung, packaged.segment.time));
    std::fs::write(&path, [&packaged.init_bytes[..], &packaged.segment_bytes].concat()).unwrap();
    path.into_os_string().into_string().unwrap()
}

/// What a strict decoder has to say of a file.
fn strictly(file: &str) -> String {
    run("ffmpeg", &["-v", "error", "-xerror", "-err_detect", "explode", "-i", file, "-f", "null", "-"])
}

/// Every picture of a file as planes of `format`.
fn pixels(file: &str, format: &str) -> Vec<u8> {
    let raw = format!("{file}.{format}");
    run(
        "ffmpeg",
        &["-v", "error", "-y", "-i", file, "-pix_fmt", format, "-vsync", "0", "-f", "rawvideo", &raw],
    );
    std::fs::read(raw).unwrap()
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    let count = f64::from(u32::try_from(a.len()).unwrap());
    let mean = f64::from(u32::try_from(squares).unwrap()) / count;
    10.0 * (255.0 * 255.0 / mean.max(1e-9)).log10()
}

/// The chunk's pictures as a stream with start codes, for decoders that are not ours.
fn elementary(chunk: &Chunk) -> Vec<u8> {
    let config = &chunk.header.video.as_ref().unwrap().config;
    let avcc = media::avc::Config::parse(&Bytes::from(config.clone())).unwrap();
    assert_eq!(avcc.length_size, 4);
    let mut out = Vec::new();
    // 14496-15, 5.3.3.1.2: from byte 5 on a count and the sets, each behind 16 bits of length.
    let mut rest = &config[5..];
    for mask in [0x1f, 0xff] {
        let count = rest[0] & mask;
        rest = &rest[1..];
        for _ in 0..count {
            let len = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
            out.extend([0, 0, 0, 1]);
            out.extend(&rest[2..2 + len]);
            rest = &rest[2 + len..];
        }
    }
    for sample in chunk.video_samples() {
        let mut rest = &sample[..];
        while let Some((len, unit)) = rest.split_first_chunk::<4>() {
            let len = usize::try_from(u32::from_be_bytes(*len)).unwrap();
            out.extend([0, 0, 0, 1]);
            out.extend(&unit[..len]);
            rest = &unit[len..];
        }
    }
    out
}

/// The same with pictures that come when they like.
fn variable(mut chunk: Chunk) -> Chunk {
    let video = chunk.header.video.as_mut().unwrap();
    video.frame_rate = None;
    let last = video.pts.len() - 1;
    for (n, time) in (0i64..).zip(&mut video.pts).take(last).skip(1) {
        *time += n % 3 * 200;
    }
    Chunk::decode(&chunk.encode().unwrap()).unwrap()
}

/// An image file by the ffmpeg command: the source filter, further arguments, the file's extension.
fn image(filter: &str, args: &[&str], extension: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(format!("image.{extension}")).into_os_string().into_string().unwrap();
    let input = ["-v", "error", "-f", "lavfi", "-i", filter, "-frames:v", "1"];
    run("ffmpeg", &[&input[..], args, &[&path]].concat());
    std::fs::read(path).unwrap()
}

/// Every promise about segments, for three fills after `chunk`.
fn check(chunk: &Chunk, frames: [usize; 3]) {
    let dir = tempfile::tempdir().unwrap();
    let shown = package(chunk, &transcode(chunk, &PLAN).unwrap()).unwrap();
    let source = Fill::last_picture(chunk, &PLAN).unwrap();
    let sample_rate = chunk.header.audio.as_ref().unwrap().sample_rate;
    let mut at = covered(chunk);
    let mut sound = at.audio_end_at_most;
    let mut ends: Vec<u64> = Vec::new();
    let mut joined: Vec<Vec<u8>> = Vec::new();
    for packaged in &shown {
        let read = boxes::read(&packaged.segment_bytes);
        ends.push(read.decode_time + read.duration());
        joined.push([&packaged.init_bytes[..], &packaged.segment_bytes].concat());
    }
    for (ticks, frames) in [180_000, 180_000, 117_000].into_iter().zip(frames) {
        at = after(&at, Some(sound), ticks, sample_rate);
        let fill = source.fill(&at, &PLAN).unwrap();
        assert_eq!(fill.len(), shown.len());
        for (((packaged, show), end), joined) in fill.iter().zip(&shown).zip(&mut ends).zip(&mut joined) {
            joined.extend(&packaged.segment_bytes);
            let rung = packaged.segment.rung.as_str();
            assert_eq!(packaged.init, show.init, "{rung}");
            assert!(packaged.init_bytes == show.init_bytes, "{rung}: the chunk's own initialization segment");
            assert_eq!(packaged.segment.config, show.segment.config, "{rung}");
            let read = boxes::read(&packaged.segment_bytes);
            assert_eq!(read.decode_time, *end, "{rung}: joins what came before");
            *end += read.duration();
            assert_eq!(read.duration(), packaged.segment.duration, "{rung}");
            let mut times = read.shown();
            times.sort_unstable();
            assert_eq!(u64::try_from(times[0]).unwrap(), packaged.segment.time, "{rung}");
            assert!(read.samples.iter().all(|s| s.1 >= 0), "{rung}");
            let alone = file(&dir, packaged);
            assert_eq!(strictly(&alone), "", "{rung}: decodes alone");
            if rung == "audio" {
                assert!(read.samples.iter().all(|s| s.0 == 1024 && s.2 == 0x0200_0000));
                sound += 1024 * i64::try_from(read.samples.len()).unwrap();
                let limit = at.audio_end_at_most;
                assert!((limit - 1023..=limit).contains(&sound), "sound ends at {sound} of {limit}");
                continue;
            }
            assert_eq!(packaged.segment.time, to_media_time(at.video_start, 90_000).unwrap(), "{rung}");
            assert_eq!(packaged.segment.duration, u64::try_from(ticks).unwrap(), "{rung}");
            assert_eq!(read.samples.len(), frames, "{rung}");
            let (first, others) = read.samples.split_first().unwrap();
            assert!(first.2 == 0x0200_0000 && others.iter().all(|s| s.2 == 0x0101_0000), "{rung}: one IDR");
            let steps: Vec<i64> = times.windows(2).map(|w| w[1] - w[0]).collect();
            let even = i64::try_from(read.duration()).unwrap() / i64::try_from(frames).unwrap();
            assert!(steps.iter().all(|step| step.abs_diff(steps[0]) <= 1 && *step <= even), "{rung}");
        }
    }
    for (show, bytes) in shown.iter().zip(joined) {
        let path = dir.path().join("joined.mp4");
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(strictly(path.to_str().unwrap()), "", "{}: decodes after the show", show.segment.rung);
    }
}

#[test]
fn fills_tile_the_hole_and_look_like_the_show() {
    let base = Source { size: (640, 360), gop: 24, gops: 2, ..Source::default() };
    let rate = |num, den| FrameRate { num, den };
    check(&chunk(&base), [60, 60, 39]);
    let ntsc = Source { rate: rate(30_000, 1001), sample_rate: 44_100, channels: 1, ..base.clone() };
    check(&chunk(&ntsc), [59, 59, 38]);
    let film = Source { rate: rate(24_000, 1001), ..base.clone() };
    check(&chunk(&film), [47, 47, 31]);
    let slow = Source { b_frames: 0, ..base.clone() };
    check(&variable(chunk(&slow)), [60, 60, 39]);
    let fast = Source { rate: rate(60, 1), sample_rate: 44_100, size: (180, 320), ..slow };
    check(&variable(chunk(&fast)), [120, 120, 78]);
}

#[test]
fn wide_samples_full_range_and_every_preset_keep_their_initialization() {
    let args: &[&[&str]] =
        &[&["-vf", "setsar=64/45"], &["-pix_fmt", "yuvj420p", "-colorspace", "bt709", "-color_trc", "bt709"]];
    for video_args in args {
        let source = Source { size: (362, 288), video_args, gop: 10, gops: 1, ..Source::default() };
        let chunk = chunk(&source);
        let shown = package(&chunk, &transcode(&chunk, &PLAN).unwrap()).unwrap();
        for preset in Preset::BEST_FIRST {
            let plan = Plan { preset: *preset, ..PLAN };
            let fill = Fill::last_picture(&chunk, &plan).unwrap();
            let slate = fill.with_slate(&image("color=red:s=64x64", &[], "png")).unwrap();
            for fill in [fill, slate] {
                let out = fill.fill(&span(90_000, 120_000), &plan).unwrap();
                assert!(out[0].init_bytes == shown[0].init_bytes, "{preset:?} {video_args:?}");
            }
        }
    }
}

#[test]
fn a_fill_leaves_out_what_the_show_does() {
    let chunk = chunk(&Source { size: (854, 480), gop: 10, gops: 1, ..Source::default() });
    let source = Fill::last_picture(&chunk, &PLAN).unwrap();
    let whole = source.fill(&span(90_000, 120_000), &PLAN).unwrap();
    let low = source.fill(&span(90_000, 120_000), &Plan { rungs: 1, ..PLAN }).unwrap();
    let rungs = |fill: &[Packaged]| fill.iter().map(|one| one.segment.rung.clone()).collect::<Vec<_>>();
    assert_eq!(
        (rungs(&whole), rungs(&low)),
        (vec!["480p".to_owned(), "360p".to_owned()], vec!["360p".to_owned()])
    );
    assert!(low[0].init_bytes == whole[1].init_bytes && low[0].segment_bytes == whole[1].segment_bytes);
}

#[test]
fn every_picture_is_the_last_of_the_chunk() {
    let dir = tempfile::tempdir().unwrap();
    let source = Source { size: (640, 360), gop: 30, gops: 1, b_frames: 3, ..Source::default() };
    let chunk = chunk(&source);
    let path = dir.path().join("source.h264").into_os_string().into_string().unwrap();
    std::fs::write(&path, elementary(&chunk)).unwrap();
    let size = 640 * 360 * 3 / 2;
    let decoded = pixels(&path, "yuv420p");
    assert_eq!(decoded.len(), 30 * size);
    let pictures: Vec<&[u8]> = decoded.chunks(size).collect();
    assert!(psnr(pictures[28], pictures[29]) < ALIKE - 6.0, "the test would notice the wrong one");

    let source = Fill::last_picture(&chunk, &PLAN).unwrap();
    let fill = source.fill(&span(90_000, 270_000), &PLAN).unwrap();
    let held = pixels(&file(&dir, &fill[0]), "yuv420p");
    assert_eq!(held.len(), 60 * size);
    for (n, picture) in held.chunks(size).enumerate() {
        let alike = psnr(picture, pictures[29]);
        assert!(alike > ALIKE, "picture {n}: {alike} dB");
    }
}

#[test]
fn a_damaged_end_is_filled_with_what_viewers_saw() {
    let chunk = chunk(&Source { b_frames: 0, ..small() });
    let sizes = chunk.header.video.as_ref().unwrap().sizes.clone();
    let bytes = |sizes: &[u32]| sizes.iter().map(|s| usize::try_from(*s).unwrap()).sum::<usize>();
    let damage = |from: usize| {
        let mut payload = chunk.payload.to_vec();
        payload[bytes(&sizes[..from])..bytes(&sizes)].fill(0xff);
        Chunk { payload: Bytes::from(payload), ..chunk.clone() }
    };
    let source = Fill::last_picture(&damage(10), &PLAN).unwrap();
    assert!(source.fill(&span(0, 9000), &PLAN).is_ok());
    let error = Fill::last_picture(&damage(0), &PLAN).unwrap_err();
    assert!(matches!(error, FillError::Transcode(TranscodeError::Undecodable { samples: 15 })), "{error}");
}

#[test]
fn a_slate_is_letterboxed_in_its_own_colours() {
    let dir = tempfile::tempdir().unwrap();
    let square = image("color=0xe04020:s=300x300", &[], "png");
    // BT.601 and BT.709 by size; samples that are not square; full range.
    let full = &["-pix_fmt", "yuvj420p"];
    for (size, video_args, bar) in [
        ((320, 180), &[][..], 70),
        ((1280, 720), &[], 280),
        ((360, 288), &["-vf", "setsar=64/45"], 78),
        ((320, 180), full, 70),
        ((180, 320), &[], 0),
    ] {
        let chunk = chunk(&Source { size, video_args, gop: 4, gops: 1, ..Source::default() });
        let plan = Plan { profile: Profile::P720, ..PLAN };
        let slate = Fill::last_picture(&chunk, &plan).unwrap().with_slate(&square).unwrap();
        let fill = slate.fill(&span(90_000, 108_000), &plan).unwrap();
        let rgb = pixels(&file(&dir, &fill[0]), "rgb24");
        let (width, height) = (usize::try_from(size.0).unwrap(), usize::try_from(size.1).unwrap());
        assert_eq!(rgb.len(), 6 * width * height * 3);
        let at = |x: usize, y: usize| -> [i32; 3] {
            let at = (y * width + x) * 3;
            [rgb[at].into(), rgb[at + 1].into(), rgb[at + 2].into()]
        };
        let near = |seen: [i32; 3], wanted: [i32; 3]| seen.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 9);
        let (colour, black) = ([0xe0, 0x40, 0x20], [0, 0, 0]);
        assert!(near(at(width / 2, height / 2), colour), "{size:?}: {:?}", at(width / 2, height / 2));
        let spots: &[(usize, usize, [i32; 3])] = &if bar > 0 {
            [(2, 2, black), (bar - 8, height / 2, black), (bar + 8, height / 2, colour), (bar + 8, 3, colour)]
        } else {
            [(2, 2, black), (90, 60, black), (90, 80, colour), (4, 160, colour)]
        };
        for (x, y, wanted) in spots {
            assert!(near(at(*x, *y), *wanted), "{size:?} {video_args:?} at {x},{y}: {:?}", at(*x, *y));
            assert!(near(at(width - 1 - x, height - 1 - y), *wanted), "{size:?}: the other side");
        }
    }
}

#[test]
fn images_of_many_kinds_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let source = Fill::last_picture(&chunk(&small()), &PLAN).unwrap();
    let green = "color=0x30a050:s=200x200";
    let kinds: [(&[&str], &str); 9] = [
        (&[], "png"),
        (&["-pix_fmt", "rgba"], "png"),
        (&["-pix_fmt", "rgb48be"], "png"),
        (&["-vf", "trim=end_frame=1,split[a][b];[a]palettegen[p];[b][p]paletteuse"], "png"),
        (&["-q:v", "2"], "jpg"),
        (&["-pix_fmt", "yuvj444p", "-q:v", "2"], "jpg"),
        (&["-vf", "scale=33:33", "-q:v", "2", "-pix_fmt", "yuvj422p"], "jpg"),
        (&["-vf", "scale=1:1"], "png"),
        (&["-vf", "scale=4000:4000"], "png"),
    ];
    for (args, extension) in kinds {
        let slate = source.with_slate(&image(green, args, extension)).unwrap();
        let fill = slate.fill(&span(90_000, 93_000), &PLAN).unwrap();
        let rgb = pixels(&file(&dir, &fill[0]), "rgb24");
        let middle = &rgb[(90 * 320 + 160) * 3..][..3];
        let near = middle.iter().zip([0x30, 0xa0, 0x50]).all(|(a, b): (_, u8)| a.abs_diff(b) < 9);
        assert!(near, "{args:?}: {middle:?}");
    }
    // What is transparent shows black.
    let glass = image("color=white@0.5:s=64x64,format=rgba", &["-pix_fmt", "rgba"], "png");
    let fill = source.with_slate(&glass).unwrap().fill(&span(90_000, 93_000), &PLAN).unwrap();
    let grey = pixels(&file(&dir, &fill[0]), "rgb24")[(90 * 320 + 160) * 3];
    assert!((120..136).contains(&grey), "{grey}");
}

#[test]
fn bad_images_are_refused() {
    let source = Fill::last_picture(&chunk(&small()), &PLAN).unwrap();
    let refused = |file: &[u8]| match source.with_slate(file) {
        Err(FillError::Image(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(b"<html>not found</html>"), ImageError::Kind);
    assert_eq!(refused(&image("color=red:s=64x64", &[], "gif")), ImageError::Kind);
    assert_eq!(refused(&vec![0; IMAGE_BYTES_MAX + 1]), ImageError::Large(IMAGE_BYTES_MAX + 1));
    let wide = image("color=red:s=8200x16", &[], "png");
    assert_eq!(refused(&wide), ImageError::Size { width: 8200, height: 16 });
    let noise = "nullsrc=s=96x96,geq=lum='random(1)*255':cb=128:cr=128";
    for (extension, args) in [("png", &[][..]), ("jpg", &["-q:v", "2"])] {
        let good = image(noise, args, extension);
        assert!(source.with_slate(&good).is_ok(), "{extension}");
        assert!(matches!(refused(&good[..good.len() / 2]), ImageError::Damaged(_)), "{extension}: cut");
        let mut hit = good.clone();
        let at = hit.len() / 2;
        hit[at..at + 40].fill(0xff);
        assert!(matches!(refused(&hit), ImageError::Undecodable(_)), "{extension}: overwritten");
    }
}

#[test]
fn silence_is_silent() {
    let dir = tempfile::tempdir().unwrap();
    for (sample_rate, channels) in [(48_000, 2), (44_100, 1)] {
        let chunk = chunk(&Source { sample_rate, channels, ..small() });
        let source = Fill::last_picture(&chunk, &PLAN).unwrap();
        let at = after(&covered(&chunk), Some(covered(&chunk).audio_end_at_most), 180_000, sample_rate);
        let fill = source.fill(&at, &PLAN).unwrap();
        let audio = file(&dir, fill.last().unwrap());
        let pcm = format!("{audio}.pcm");
        run("ffmpeg", &["-v", "error", "-i", &audio, "-f", "s16le", &pcm]);
        let pcm = std::fs::read(pcm).unwrap();
        let frames = fill.last().unwrap().segment.duration / 1024;
        let wanted = frames * 1024 * u64::from(channels) * 2;
        assert_eq!(u64::try_from(pcm.len()).unwrap(), wanted);
        assert!(pcm.iter().all(|byte| *byte == 0), "{sample_rate} Hz, {channels} channels");
    }
}

#[test]
fn silence_that_joins_what_follows_leaves_no_gap() {
    let chunk = chunk(&small());
    let source = Fill::last_picture(&chunk, &PLAN).unwrap();
    let at = after(&covered(&chunk), Some(covered(&chunk).audio_end_at_most), 180_000, 48_000);
    let start = at.audio_start.unwrap();
    for (length, lasts) in [(96_000, 96_000), (95_232, 95_232), (1024, 1024), (2047, 2047)] {
        let joining = Span { audio_end_at_most: start + length, audio_joins: true, ..at };
        let sound = source.fill(&joining, &PLAN).unwrap().pop().unwrap().segment;
        assert_eq!((sound.rung.as_str(), sound.duration), ("audio", lasts), "{length}");
        let open = source.fill(&Span { audio_joins: false, ..joining }, &PLAN).unwrap().pop().unwrap();
        assert_eq!(open.segment.duration, lasts / 1024 * 1024, "{length}");
    }
}

#[test]
fn the_same_bytes_whoever_fills() {
    let chunk = chunk(&Source { size: (1280, 720), gop: 12, gops: 1, ..Source::default() });
    let source = || Fill::last_picture(&chunk, &PLAN).unwrap();
    let bytes = |source: &Fill, span: &Span| {
        let fill = source.fill(span, &PLAN).unwrap();
        fill.into_iter().map(|p| (p.init_bytes, p.segment_bytes)).collect::<Vec<_>>()
    };
    let sound = covered(&chunk).audio_end_at_most;
    let first = after(&covered(&chunk), Some(sound), 45_000, 48_000);
    let later = after(&first, Some(sound + 23 * 1024), 45_700, 48_000);
    let (one, other) = (source(), source());
    assert!(bytes(&one, &first) == bytes(&other, &first));
    // As many frames, kept from before here and encoded anew there; then others between.
    assert!(bytes(&one, &later) == bytes(&source(), &later));
    for ticks in [3000, 6000, 9000] {
        assert!(!bytes(&one, &after(&first, None, ticks, 48_000)).is_empty());
    }
    assert!(bytes(&one, &first) == bytes(&other, &first));
}

#[test]
fn what_the_show_lacks_the_fill_lacks() {
    let whole = chunk(&small());
    let video_bytes = |chunk: &Chunk| chunk.video_samples().iter().map(Bytes::len).sum::<usize>();
    let (mut mute, mut blind) = (whole.clone(), whole.clone());
    mute.header.audio = None;
    mute.payload = whole.payload.slice(..video_bytes(&whole));
    blind.header.video = None;
    blind.payload = whole.payload.slice(video_bytes(&whole)..);
    let at = after(&covered(&whole), Some(covered(&whole).audio_end_at_most), 90_000, 48_000);
    let rungs = |chunk: &Chunk, span: &Span| -> Vec<String> {
        let fill = Fill::last_picture(chunk, &PLAN).unwrap().fill(span, &PLAN).unwrap();
        fill.into_iter().map(|packaged| packaged.segment.rung).collect()
    };
    assert_eq!(rungs(&whole, &at), ["180p", "audio"]);
    assert_eq!(rungs(&mute, &at), ["180p"]);
    assert_eq!(rungs(&blind, &at), ["audio"]);
    assert_eq!(rungs(&whole, &Span { audio_start: None, ..at }), ["180p"]);
    for room in [-5000, 0, 1023] {
        let short = Span { audio_end_at_most: at.audio_start.unwrap() + room, ..at };
        assert_eq!(rungs(&whole, &short), ["180p"], "{room}");
    }
    let slate = Fill::last_picture(&blind, &PLAN).unwrap();
    let slate = slate.with_slate(&image("color=red:s=64x64", &[], "png")).unwrap();
    assert_eq!(slate.fill(&at, &PLAN).unwrap().len(), 1);
}

#[test]
fn impossible_spans_are_refused() {
    let source = Fill::last_picture(&chunk(&small()), &PLAN).unwrap();
    let refused = |span: &Span| matches!(source.fill(span, &PLAN), Err(FillError::Span(_)));
    let most = Ticks::from(SPAN_SECONDS_MAX) * 90_000;
    for (from, to) in [(0, 0), (0, -1), (0, most + 1), (i64::MIN, i64::MAX), (i64::MAX - 9, i64::MAX)] {
        assert!(refused(&span(from, to)), "{from} to {to}");
    }
    let deaf = Span { audio_start: Some(0), audio_end_at_most: i64::MAX, ..span(0, 3000) };
    assert!(refused(&deaf));
    assert!(matches!(source.fill(&span(-200_000, -190_000), &PLAN), Err(FillError::Package(_))));
    // Shorter than a frame: one frame that lasts as long.
    let tick = source.fill(&span(0, 1), &PLAN).unwrap();
    assert_eq!(boxes::read(&tick[0].segment_bytes).samples.len(), 1);
    assert_eq!(tick[0].segment.duration, 1);
}
