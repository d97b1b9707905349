//! Makes the first seeds of the corpora from captures of real encoders (`media/tests/data/*.flv`): `cargo run --example seeds` in `media/fuzz`.
//! Pictures and sound are cut down to their first bytes, so that seeds are small; what frames them is kept as it came.

use std::{collections::BTreeSet, error::Error, fs, path::Path};

use bytes::Bytes;
use media::{
    avc,
    chunk::VideoCodec,
    flv,
    id::{BroadcastId, PublishNo},
    ingest::{Assembler, Output, Publish},
    nal::nals,
    time::WallTime,
};

/// Bytes kept of a NAL unit, an OBU or a frame of sound.
const KEPT: usize = 20;
/// Bytes kept of a tag that is a seed of its own.
const TAG_KEPT: usize = 48;

struct Seeds<'a> {
    root: &'a Path,
}

impl Seeds<'_> {
    fn write(&self, target: &str, name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        let folder = self.root.join(target);
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join(name), bytes)?)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seeds = Seeds { root: &here.join("corpus") };
    for entry in fs::read_dir(here.join("../tests/data"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "flv") {
            continue;
        }
        let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or("a file without a name")?;
        of_capture(&seeds, name, &Bytes::from(fs::read(&path)?))?;
    }
    // libfdk-aac's HE-AAC, signalled at the front and at the end, and a rate that is spelled out.
    for (name, record) in [
        ("he-front", &[0x2b, 0x11, 0x88, 0x00][..]),
        ("he-v2-front", &[0xeb, 0x09, 0x88, 0x00]),
        ("he-end", &[0x13, 0x10, 0x56, 0xe5, 0x98]),
        ("he-v2-end", &[0x13, 0x08, 0x56, 0xe5, 0x9d, 0x48, 0x80]),
        ("rate-spelled-out", &[0x17, 0x80, 0x56, 0x22, 0x10]),
    ] {
        seeds.write("aac_config", name, record)?;
    }
    Ok(())
}

fn of_capture(seeds: &Seeds<'_>, name: &str, file: &Bytes) -> Result<(), Box<dyn Error>> {
    let mut small = file[..13].to_vec();
    let mut shapes = BTreeSet::new();
    let (mut at, mut samples) = (13, 0);
    while at + 11 <= file.len() {
        let header = &file[at..at + 11];
        let size = u32::from_be_bytes([0, header[1], header[2], header[3]]);
        let body = file.slice(at + 11..at + 11 + usize::try_from(size)?);
        at += 15 + body.len();
        let video = match header[0] {
            9 => true,
            8 => false,
            _ => continue,
        };
        let body = cut_down(video, &body);
        let shape = (
            video,
            body[0],
            body.get(1..5).filter(|_| video && body[0] & 0x80 != 0).map(<[u8]>::to_vec),
            body[1],
        );
        if shapes.insert(shape) {
            let tag = [&[u8::from(!video)], &body[..body.len().min(TAG_KEPT)]].concat();
            seeds.write("tag", &format!("{name}-{}", shapes.len()), &tag)?;
        }
        match (video, flv::video(&body), flv::audio(&body)) {
            (true, Ok(flv::Video::Config { codec, record }), _) => {
                configuration(seeds, name, codec, &record)?
            }
            (true, Ok(flv::Video::Picture { data, .. }), _) if samples < 3 => {
                samples += 1;
                seeds.write("nal", &format!("{name}-{samples}"), &[&[2], &data[..]].concat())?;
            }
            (false, _, Ok(flv::Audio::Config { record, .. })) => seeds.write("aac_config", name, &record)?,
            _ => {}
        }
        let size = u32::try_from(body.len())?.to_be_bytes();
        small.push(header[0]);
        small.extend(&size[1..]);
        small.extend(&header[4..]);
        small.extend(&body);
        small.extend((u32::try_from(body.len())? + 11).to_be_bytes());
    }
    seeds.write("cutter", name, &small)?;
    chunks(seeds, name, &small.into())
}

fn configuration(
    seeds: &Seeds<'_>,
    name: &str,
    codec: VideoCodec,
    record: &Bytes,
) -> Result<(), Box<dyn Error>> {
    let number = match codec {
        VideoCodec::Avc => 0,
        VideoCodec::Hevc => 1,
        VideoCodec::Av1 => 2,
    };
    seeds.write("video_config", name, &[&[number], &record[..]].concat())?;
    if let (VideoCodec::Avc, Ok(config)) = (codec, avc::Config::parse(record)) {
        seeds.write("sps", name, &[&[0], &config.sps_nals[0][..]].concat())?;
    }
    // The HEVC record's sets lie behind their lengths; NAL unit type 33 is the sequence parameter set.
    let is_sps = |w: &&[u8]| codec == VideoCodec::Hevc && w[2] == 0x42 && w[3] == 1;
    if let Some(set) = record.windows(4).find(is_sps) {
        let from = set.as_ptr().addr() - record.as_ptr().addr();
        let length = usize::from(u16::from_be_bytes([set[0], set[1]]));
        let nal = record.get(from + 2..from + 2 + length).ok_or("a parameter set is cut")?;
        seeds.write("sps", name, &[&[1], nal].concat())?;
    }
    Ok(())
}

/// The body with less of what is coded in it.
fn cut_down(video: bool, body: &Bytes) -> Bytes {
    let (data, units) = match (video, flv::video(body), flv::audio(body)) {
        (true, Ok(flv::Video::Picture { codec: VideoCodec::Av1, data, .. }), _) => {
            let units = obus(&data);
            (data, units)
        }
        (true, Ok(flv::Video::Picture { data, .. }), _) => {
            let mut out = Vec::new();
            for nal in nals(&data, 4).map_while(Result::ok) {
                let kept = &nal[..nal.len().min(KEPT)];
                out.extend(u32::try_from(kept.len()).unwrap_or(0).to_be_bytes());
                out.extend(kept);
            }
            (data, out)
        }
        (false, _, Ok(flv::Audio::Frame { data, .. })) => {
            let kept = data[..data.len().min(KEPT)].to_vec();
            (data, kept)
        }
        _ => return body.clone(),
    };
    [&body[..body.len() - data.len()], &units].concat().into()
}

/// OBUs with their sizes (AV1 specification, 5.3), each cut down.
fn obus(mut data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((&header, rest)) = data.split_first() {
        let extension = usize::from(header >> 2 & 1);
        let Some(rest) = rest.get(extension..) else { break };
        let (mut size, mut at) = (0usize, 0);
        while let Some(byte) = rest.get(at) {
            size |= usize::from(byte & 0x7f) << (7 * at);
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let payload = &rest[at..(at + size).min(rest.len())];
        let kept = &payload[..payload.len().min(KEPT)];
        out.extend(&data[..1 + extension]);
        out.push(u8::try_from(kept.len()).unwrap_or(0));
        out.extend(kept);
        data = &rest[at + payload.len()..];
    }
    out
}

/// The chunks that a small capture makes, without their checksums.
fn chunks(seeds: &Seeds<'_>, name: &str, file: &Bytes) -> Result<(), Box<dyn Error>> {
    let mut assembler = Assembler::new(Publish {
        live: "demo".parse()?,
        broadcast: BroadcastId::new(1_700_000_000_001, [0; 10]),
        publish: PublishNo::FIRST,
    });
    let mut at = 13;
    while at + 11 <= file.len() {
        let number = |at: usize| u32::from_be_bytes([0, file[at], file[at + 1], file[at + 2]]);
        let body = file.slice(at + 11..at + 11 + usize::try_from(number(at + 1))?);
        let (ms, arrival) =
            (number(at + 4), WallTime(1_700_000_000_000_000 + i64::from(number(at + 4)) * 1000));
        let _ = if file[at] == 9 {
            assembler.video(arrival, ms, &body)
        } else {
            assembler.audio(arrival, ms, &body)
        };
        at += 15 + body.len();
        if at >= file.len() {
            assembler.finish();
        }
        while let Some(output) = assembler.poll() {
            match output {
                Output::Start { first_frame } => assembler.started(first_frame, None),
                Output::Chunk(chunk) if chunk.header.pos.seq.0 == 0 => {
                    let bytes = chunk.encode()?;
                    seeds.write("chunk", name, &bytes[..bytes.len() - 32])?;
                }
                Output::Chunk(_) => {}
            }
        }
    }
    Ok(())
}
