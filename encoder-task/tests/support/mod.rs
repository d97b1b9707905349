//! Real chunks for tests: a file made by the ffmpeg command, taken apart into closed GOPs as the edge does it.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "a module of several test programs, each of which uses a part of it"
)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "part of tests")]

pub mod boxes;
pub mod promises;
pub mod stored;

use std::{path::Path, process::Command};

use bytes::Bytes;
use ffmpeg_next as ffmpeg;
use media::{
    chunk::{AudioCodec, AudioTrack, Chunk, Header, VideoCodec, VideoTrack},
    id::{BroadcastId, ChunkPos, ChunkSeq, PublishNo},
    time::{FrameRate, Ticks, WallTime, rescale},
};
use mp4_atom::{Codec, Moov, ReadAtom, ReadFrom};

/// What the source is like.
#[derive(Debug, Clone)]
pub struct Source {
    pub codec: VideoCodec,
    /// Width and height in pixels.
    pub size: (u32, u32),
    pub rate: FrameRate,
    pub gop: u32,
    pub gops: u32,
    pub b_frames: u32,
    pub sample_rate: u32,
    pub channels: u8,
    /// More arguments for the encoders.
    pub video_args: &'static [&'static str],
}

impl Default for Source {
    fn default() -> Self {
        Self {
            codec: VideoCodec::Avc,
            size: (640, 360),
            rate: FrameRate { num: 30, den: 1 },
            gop: 30,
            gops: 3,
            b_frames: 2,
            sample_rate: 48_000,
            channels: 2,
            video_args: &[],
        }
    }
}

pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {args:?}\n{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &errors
}

impl Source {
    /// Makes the file and takes it apart.
    pub fn chunks(&self) -> Vec<Chunk> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("source.mp4");
        let file = path.to_str().unwrap().to_owned();
        let frames = self.gop * self.gops;
        let seconds = f64::from(frames) * f64::from(self.rate.den) / f64::from(self.rate.num);
        let picture = self.picture();
        let sound = format!("sine=f=440:b=2:r={}:d={seconds}", self.sample_rate);
        let (gop, bf) = (self.gop.to_string(), self.b_frames.to_string());
        let mut args = vec!["-v", "error", "-y", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound];
        let channels = self.channels.to_string();
        let x265 =
            format!("keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0:bframes={bf}:log-level=error");
        args.extend(["-pix_fmt", "yuv420p", "-b:v", "4M", "-g", &gop]);
        match self.codec {
            VideoCodec::Avc => {
                args.extend(["-c:v", "libx264", "-preset", "veryfast", "-flags", "+cgop"]);
                args.extend(["-keyint_min", &gop, "-sc_threshold", "0", "-bf", &bf]);
            }
            VideoCodec::Hevc => {
                args.extend(["-c:v", "libx265", "-preset", "veryfast", "-x265-params", &x265])
            }
            VideoCodec::Av1 => args.extend(["-c:v", "libsvtav1", "-preset", "10"]),
        }
        args.extend(self.video_args);
        args.extend(["-c:a", "aac", "-ac", &channels, "-b:a", "128k", &file]);
        run("ffmpeg", &args);
        self.demux(&path)
    }

    /// The pictures before they are encoded, as a graph of FFmpeg's filters.
    pub fn picture(&self) -> String {
        let (w, h) = self.size;
        let rate = format!("{}/{}", self.rate.num, self.rate.den);
        format!("testsrc2=s={w}x{h}:r={rate},trim=end_frame={}", self.gop * self.gops)
    }

    fn demux(&self, path: &Path) -> Vec<Chunk> {
        let (config, asc) = configs(path);
        let mut input = ffmpeg::format::input(path).unwrap();
        let time_bases: Vec<_> = input.streams().map(|s| s.time_base()).collect();
        // (keyframe, presentation and decode frame number, bytes)
        let mut video: Vec<(bool, i64, i64, Bytes)> = Vec::new();
        let mut audio: Vec<(Ticks, Bytes)> = Vec::new();
        for (stream, packet) in input.packets() {
            let data = Bytes::copy_from_slice(packet.data().unwrap());
            let base = time_bases[stream.index()];
            // Time stamps in units of 1/per seconds, to the nearest.
            let units = |t: i64, per: FrameRate| {
                let num = t * i64::from(base.0) * i64::from(per.num) * 2;
                let den = i64::from(base.1) * i64::from(per.den);
                (num + den).div_euclid(den * 2)
            };
            if stream.index() == 0 {
                let number = |t: i64| units(t, self.rate);
                video.push((
                    packet.is_key(),
                    number(packet.pts().unwrap()),
                    number(packet.dts().unwrap()),
                    data,
                ));
            } else {
                let at = units(packet.pts().unwrap(), FrameRate { num: self.sample_rate, den: 1 });
                audio.push((at, data));
            }
        }
        let mut starts: Vec<usize> = (0..video.len()).filter(|n| video[*n].0).collect();
        assert_eq!(starts.len(), self.gops as usize, "the file has the GOPs asked for");
        starts.push(video.len());
        let last = starts.len() - 2;
        let mut audio = audio.into_iter().peekable();
        (0..=last)
            .map(|n| {
                let gop = &video[starts[n]..starts[n + 1]];
                let start = gop[0].1;
                let times = |pick: fn(&(bool, i64, i64, Bytes)) -> i64| -> Vec<Ticks> {
                    gop.iter().map(|s| self.rate.ticks(pick(s))).collect()
                };
                let end = self.rate.ticks(start + i64::try_from(gop.len()).unwrap());
                let until = if n == last { Ticks::MAX } else { rescale(end, 90_000, self.sample_rate) };
                let mut sound: Vec<(Ticks, Bytes)> = Vec::new();
                while let Some(frame) = audio.next_if(|(at, _)| *at < until) {
                    sound.push(frame);
                }
                let payload: Vec<u8> =
                    gop.iter().map(|s| &s.3).chain(sound.iter().map(|s| &s.1)).flatten().copied().collect();
                let len = |bytes: &Bytes| u32::try_from(bytes.len()).unwrap();
                let chunk = Chunk {
                    header: Header {
                        live: "demo".parse().unwrap(),
                        broadcast: BroadcastId::new(1_700_000_000_001, [0; 10]),
                        pos: ChunkPos { publish: PublishNo::FIRST, seq: ChunkSeq(u32::try_from(n).unwrap()) },
                        received: WallTime(1_700_000_001_000_000),
                        discontinuity: false,
                        transit: None,
                        video: Some(VideoTrack {
                            codec: self.codec,
                            config: config.clone(),
                            width: self.size.0,
                            height: self.size.1,
                            frame_rate: Some(self.rate),
                            start: self.rate.ticks(start),
                            end,
                            pts: times(|s| s.1),
                            dts: times(|s| s.2),
                            sizes: gop.iter().map(|s| len(&s.3)).collect(),
                        }),
                        audio: Some(AudioTrack {
                            codec: AudioCodec::Aac,
                            config: asc.clone(),
                            sample_rate: self.sample_rate,
                            channels: self.channels,
                            lead: 0,
                            start: sound[0].0,
                            end: sound[0].0 + 1024 * i64::try_from(sound.len()).unwrap(),
                            durations: vec![1024; sound.len()],
                            sizes: sound.iter().map(|s| len(&s.1)).collect(),
                        }),
                    },
                    payload: Bytes::from(payload),
                };
                Chunk::decode(&chunk.encode().unwrap()).unwrap()
            })
            .collect()
    }
}

/// The decoder configurations of a file: `avcC`, `hvcC` or `av1C`, and `AudioSpecificConfig`.
pub fn configs(path: &Path) -> (Vec<u8>, Vec<u8>) {
    let mut file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let moov = loop {
        let header = mp4_atom::Header::read_from(&mut file).unwrap();
        if header.kind == <Moov as mp4_atom::Atom>::KIND {
            break Moov::read_atom(&header, &mut file).unwrap();
        }
        let skip = i64::try_from(header.size.unwrap()).unwrap();
        std::io::Seek::seek_relative(&mut file, skip).unwrap();
    };
    fn body(atom: &impl mp4_atom::Encode) -> Vec<u8> {
        let mut bytes = Vec::new();
        atom.encode(&mut bytes).unwrap();
        bytes[8..].to_vec()
    }
    let (mut config, mut asc) = (Vec::new(), Vec::new());
    for trak in &moov.trak {
        match &trak.mdia.minf.stbl.stsd.codecs[0] {
            Codec::Avc1(avc1) => config = body(&avc1.avcc),
            Codec::Hev1(hev1) => config = body(&hev1.hvcc),
            Codec::Av01(av01) => config = body(&av01.av1c),
            Codec::Mp4a(mp4a) => asc = mp4a.esds.es_desc.dec_config.dec_specific.clone().unwrap().raw,
            other => panic!("{other:?}"),
        }
    }
    (config, asc)
}
