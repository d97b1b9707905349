//! The source as a rung: real GOPs, read with tools that are not ours, and GOPs that may not be one.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first thing that is not as it must be"
)]

mod support;

use std::collections::BTreeMap;

use bytes::Bytes;
use encoder_task::{
    cmaf::Packaged,
    make::make,
    transcode::{Plan, Preset, SOURCE_BIT_RATE_MAX, Unfit, source},
};
use media::{
    avc::{Config, nal_type},
    chunk::{Chunk, VideoCodec},
    ladder::Profile,
    ledger::{SOURCE_RUNG, Track},
    nal::nals,
    time::FrameRate,
    verdict::Code,
};
use support::{Source, boxes, promises, run};

const PLAN: Plan = Plan {
    profile: Profile::P720,
    source: true,
    preset: Preset::Ultrafast,
    threads: 2,
    rungs: Plan::ALL_RUNGS,
};
/// `nal_unit_type` of filler data.
const FILLER: u8 = 12;

fn rate(num: u32, den: u32) -> FrameRate {
    FrameRate { num, den }
}

/// One GOP of ten pictures.
fn gop(size: (u32, u32)) -> Chunk {
    Source { size, gop: 10, gops: 1, ..Source::default() }.chunks().remove(0)
}

fn unfit(chunk: &Chunk) -> Unfit {
    source(chunk, chunk.header.video.as_ref().unwrap()).unwrap_err()
}

fn rungs(packaged: &[Packaged]) -> Vec<&str> {
    packaged.iter().map(|one| one.segment.rung.as_str()).collect()
}

fn made(chunk: &Chunk, plan: &Plan) -> Vec<Packaged> {
    let made = make(chunk, plan, &|_| {});
    assert_eq!(made.warnings, []);
    made.packaged
}

/// The bytes of a segment's samples.
fn payload(packaged: &Packaged) -> Bytes {
    let length = boxes::read(&packaged.segment_bytes).payload;
    packaged.segment_bytes.slice(packaged.segment_bytes.len() - length..)
}

/// The same chunk with other pictures: each sample's NAL units, by its number.
fn with_units(chunk: &Chunk, change: impl Fn(usize, Vec<Bytes>) -> Vec<Bytes>) -> Chunk {
    let mut chunk = chunk.clone();
    let samples = chunk.video_samples().into_iter().enumerate().map(|(n, sample)| {
        let units = nals(&sample, 4).map(|unit| Bytes::copy_from_slice(unit.unwrap())).collect();
        let units = change(n, units).into_iter();
        units
            .flat_map(|unit| [&u32::try_from(unit.len()).unwrap().to_be_bytes()[..], &unit].concat())
            .collect()
    });
    let samples: Vec<Vec<u8>> = samples.collect();
    let sound: Vec<Bytes> = chunk.audio_samples();
    chunk.payload = Bytes::from([samples.concat(), sound.concat()].concat());
    chunk.header.video.as_mut().unwrap().sizes =
        samples.iter().map(|sample| u32::try_from(sample.len()).unwrap()).collect();
    Chunk::decode(&chunk.encode().unwrap()).unwrap()
}

fn parameter_sets(chunk: &Chunk) -> [Bytes; 2] {
    let config = Config::parse(&Bytes::from(chunk.header.video.as_ref().unwrap().config.clone())).unwrap();
    [config.sps_nals[0].clone(), config.pps_nals[0].clone()]
}

#[test]
fn it_keeps_every_promise_at_all_rates_and_orders() {
    let baseline = &["-profile:v", "baseline"];
    for (fps, b_frames, video_args) in [
        (rate(24, 1), 3, &[][..]),
        (rate(30_000, 1001), 2, &[]),
        (rate(30, 1), 0, &["-bsf:v", "h264_metadata=sample_aspect_ratio=4/3"]),
        (rate(30, 1), 0, baseline),
        (rate(60, 1), 8, &[]),
    ] {
        let source =
            Source { size: (426, 240), rate: fps, b_frames, gop: 26, video_args, ..Source::default() };
        let (chunks, stored) = promises::check(&source, &PLAN);
        assert_eq!(stored.tracks.keys().collect::<Vec<_>>(), ["audio", "source"], "in place of 240p");
        let packages = &stored.tracks[SOURCE_RUNG];
        let delays = packages.iter().map(|p| p.segment.time - boxes::read(&p.segment_bytes).decode_time);
        assert_eq!(delays.collect::<std::collections::BTreeSet<_>>().len(), 1, "{source:?}");
        for (chunk, packaged) in chunks.iter().zip(packages) {
            assert_eq!(payload(packaged), chunk.video_samples().concat(), "untouched");
            let read = boxes::read(&packaged.segment_bytes);
            let even = read.samples.iter().map(|sample| sample.0.abs_diff(fps.ticks(1).unsigned_abs()));
            assert!(even.max().unwrap() <= 1, "{source:?}: decode times are evenly spaced");
        }
        let config = chunks[0].header.video.as_ref().unwrap().config.clone();
        let codecs = Config::parse(&Bytes::from(config)).unwrap().codecs();
        let sar = if video_args.len() == 2 && video_args[0] == "-bsf:v" { (4, 3) } else { (1, 1) };
        let track = Track::Video { width: 426, height: 240, sar, frame_rate: Some(fps) };
        assert_eq!((&packages[0].init.codecs, &packages[0].init.track), (&codecs, &track));
    }
}

#[test]
fn it_is_on_top_of_the_ladder_or_in_place_of_its_top() {
    let chunk = gop((1280, 720));
    for (profile, rungs_of, rungs_max) in [
        (Profile::P1080, &["source", "480p", "360p", "audio"][..], Plan::ALL_RUNGS),
        (Profile::P720, &["source", "480p", "360p", "audio"], Plan::ALL_RUNGS),
        (Profile::P480, &["source", "480p", "360p", "audio"], Plan::ALL_RUNGS),
        (Profile::P360, &["source", "360p", "audio"], Plan::ALL_RUNGS),
        // What is left out to keep up is not the source, which costs nothing.
        (Profile::P720, &["source", "360p", "audio"], 1),
    ] {
        let plan = Plan { profile, rungs: rungs_max, ..PLAN };
        let packaged = made(&chunk, &plan);
        assert_eq!(rungs(&packaged), rungs_of, "{profile}");
        let without: BTreeMap<String, Packaged> = made(&chunk, &Plan { source: false, ..plan })
            .into_iter()
            .map(|one| (one.segment.rung.clone(), one))
            .collect();
        for one in &packaged[1..] {
            assert!(without[&one.segment.rung] == *one, "{profile}: the others are the same to the byte");
        }
    }
}

#[test]
fn parameter_sets_on_the_way_are_taken_out_if_they_are_the_same() {
    let chunk = gop((320, 180));
    let repeated = with_units(&chunk, |n, units| {
        if n.is_multiple_of(5) { parameter_sets(&chunk).into_iter().chain(units).collect() } else { units }
    });
    let [plain, repeated] = [&chunk, &repeated].map(|chunk| made(chunk, &PLAN));
    assert!(plain[0] == repeated[0], "one segment, whether or not they are repeated");

    let mut other = parameter_sets(&chunk)[0].to_vec();
    other[3] += 1;
    let changed = with_units(&chunk, |n, mut units| {
        if n == 5 {
            units.insert(0, Bytes::from(other.clone()));
        }
        units
    });
    assert_eq!(unfit(&changed), Unfit::ParameterSets);
}

#[test]
fn what_is_not_one_closed_gop_of_plain_h264_is_no_rung() {
    let source = |codec, video_args| {
        Source { codec, size: (320, 180), gop: 10, gops: 1, video_args, ..Source::default() }
            .chunks()
            .remove(0)
    };
    assert_eq!(unfit(&source(VideoCodec::Hevc, &[])), Unfit::Codec);
    assert_eq!(rungs(&made(&source(VideoCodec::Hevc, &[]), &PLAN)), ["180p", "audio"]);
    assert_eq!(unfit(&source(VideoCodec::Avc, &["-pix_fmt", "yuv444p"])), Unfit::Format);
    assert_eq!(unfit(&source(VideoCodec::Avc, &["-flags", "+ildct+ilme+cgop"])), Unfit::Format);

    let chunk = gop((320, 180));
    let mut sized = chunk.clone();
    sized.header.video.as_mut().unwrap().width = 322;
    assert_eq!(unfit(&sized), Unfit::Format);
    let first = chunk.video_samples()[0].clone();
    let idr = nals(&first, 4).map(Result::unwrap).find(|unit| nal_type(unit) == Some(5)).unwrap();
    let two = with_units(&chunk, |n, units| if n == 5 { vec![Bytes::copy_from_slice(idr)] } else { units });
    assert_eq!(unfit(&two), Unfit::Samples);
    let empty =
        with_units(
            &chunk,
            |n, units| {
                if n == 5 { vec![Bytes::from_static(&[FILLER, 0xff, 0x80])] } else { units }
            },
        );
    assert_eq!(unfit(&empty), Unfit::Samples);
    let mut unusual = chunk.clone();
    unusual.header.video.as_mut().unwrap().config[4] = 0xfd;
    assert_eq!(unfit(&unusual), Unfit::Configuration);
}

#[test]
fn too_many_bits_are_no_rung() {
    let chunk = gop((320, 180));
    // Counted as a second's, which ten pictures are shorter than.
    let size = |bytes: u64| {
        let used: u64 = chunk.header.video.as_ref().unwrap().sizes.iter().map(|size| u64::from(*size)).sum();
        let mut filler = vec![0xff; usize::try_from(bytes - used).unwrap() - 4];
        filler[0] = FILLER;
        with_units(&chunk, |n, mut units| {
            if n == 0 {
                units.insert(0, Bytes::from(filler.clone()));
            }
            units
        })
    };
    let most = size(SOURCE_BIT_RATE_MAX / 8);
    assert_eq!(source(&most, most.header.video.as_ref().unwrap()).err(), None);
    assert_eq!(unfit(&size(SOURCE_BIT_RATE_MAX / 8 + 1)), Unfit::BitRate);
}

#[test]
fn a_damaged_gop_has_the_whole_ladder_in_its_place() {
    let chunk = gop((1280, 720));
    let damaged = with_units(&chunk, |n, units| {
        if n < 5 {
            return units;
        }
        // Slices whose headers can still be read.
        let broken = |unit: Bytes| {
            let mut unit = unit.to_vec();
            unit.iter_mut().skip(12).for_each(|byte| *byte = 0xff);
            Bytes::from(unit)
        };
        units.into_iter().map(broken).collect()
    });
    assert_eq!(source(&damaged, damaged.header.video.as_ref().unwrap()).err(), None, "found by decoding it");
    let made = make(&damaged, &PLAN, &|_| {});
    assert_eq!(rungs(&made.packaged), ["720p", "480p", "360p", "audio"]);
    assert_eq!(made.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), [Code::VideoCorrupt]);
    assert!(made.tile.is_some());
}

#[test]
fn its_colours_are_those_of_the_other_rungs() {
    let said = &["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"];
    for video_args in [&[][..], said] {
        let source = Source { size: (852, 480), gop: 5, gops: 1, video_args, ..Source::default() };
        let plan = Plan { profile: Profile::P360, ..PLAN };
        let (_, stored) = promises::check(&source, &plan);
        let told = |rung: &str| {
            let entries = "stream=color_range,color_space,color_transfer,color_primaries";
            let file = stored.joined(rung);
            run("ffprobe", &["-v", "error", "-show_entries", entries, "-of", "csv=p=0", &file])
        };
        let of = |rung: &str| told(rung).trim().replace("unknown,", "tv,");
        assert_eq!(of("source"), of("360p"), "{video_args:?}");
    }
}
