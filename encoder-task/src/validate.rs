//! Is a chunk what gopcast takes? Asked before any of it is decoded, answered from its header, its decoder configurations and its
//! first two samples alone. Pure.
//!
//! The limits are those of the service, the same for every live; each says in its verdict what the broadcaster should change.

use bytes::Bytes;
use media::{
    audio,
    chunk::{AudioTrack, Chunk, VideoTrack},
    picture::{Colour, Format, SampleKind},
    time::{Ticks, VIDEO_TIMESCALE},
    verdict::{Code, Verdict},
    video,
};

/// Shortest side taken, in pixels: one macroblock.
pub const SIDE_MIN: u32 = 16;
/// Longest side taken, in pixels: 4K as cinema and as screens have it, upright too.
pub const SIDE_MAX: u32 = 4096;
/// Most frames a second taken.
pub const FRAME_RATE_MAX: u32 = 120;
/// Most bits a second taken, averaged over a GOP of a second or more: twice what platforms advise for 2160p60.
pub const BIT_RATE_MAX: u64 = 60_000_000;
/// Seconds from which on a GOP is advised against: latency is more than twice its length.
pub const GOP_LONG_SECONDS: u32 = 4;
/// Seconds beyond which a GOP is refused: the edge does not make longer ones.
pub const GOP_SECONDS_MAX: u32 = 10;

/// Chroma format 4:2:0.
const CHROMA_420: u8 = 1;
/// What chroma formats are called.
const CHROMA_NAMES: [&str; 4] = ["no", "4:2:0", "4:2:2", "4:4:4"];
/// Bits per sample taken: what every player shows, and what the ladder is made of.
const BIT_DEPTH: u8 = 8;
/// Rates are measured over this many ticks at least: a GOP that was cut short is mostly its IDR picture.
const MEASURED_OVER_MIN: Ticks = 90_000;

/// Judges a chunk. Empty if there is nothing to say; a verdict whose code is fatal means that it must not be transcoded.
#[must_use]
pub fn validate(chunk: &Chunk) -> Vec<Verdict> {
    let mut out = Vec::new();
    if let Some(track) = &chunk.header.video {
        video(chunk, track, &mut out);
    }
    if let Some(track) = &chunk.header.audio {
        sound(track, &mut out);
    }
    out
}

fn video(chunk: &Chunk, track: &VideoTrack, out: &mut Vec<Verdict>) {
    let mut say = |code, message: String| out.push(Verdict::new(code, message));
    let config = match video::Config::parse(track.codec, &Bytes::from(track.config.clone())) {
        Ok(config) => config,
        Err(error) => {
            say(
                Code::VideoProfile,
                format!(
                    "The video can't be understood ({error}). Send H.264 Main or High, HEVC Main or AV1 Main."
                ),
            );
            return;
        }
    };
    let format = config.format();
    looks(format, &mut say);
    for (width, height) in [(format.width, format.height), (track.width, track.height)] {
        if width.min(height) < SIDE_MIN || width.max(height) > SIDE_MAX {
            say(
                Code::VideoResolution,
                format!(
                    "The picture is {width}×{height}. Send {SIDE_MIN} to {SIDE_MAX} pixels on each side."
                ),
            );
            break;
        }
    }
    let length = track.end.saturating_sub(track.start);
    rates(track, length, &mut say);
    if length > ticks(GOP_SECONDS_MAX) {
        say(
            Code::GopTooLong,
            format!(
                "Keyframes are {} s apart, more than {GOP_SECONDS_MAX}. Set the keyframe interval to 2 s.",
                tenths(length)
            ),
        );
    } else if length > ticks(GOP_LONG_SECONDS) {
        say(
            Code::GopLong,
            format!(
                "Keyframes are {} s apart: viewers are at least twice that behind. Set the keyframe interval to 2 s.",
                tenths(length)
            ),
        );
    }
    start(&config, &chunk.video_samples(), &mut say);
}

/// What the pictures look like, as far as their configuration says.
fn looks(format: &Format, say: &mut impl FnMut(Code, String)) {
    if format.chroma_format != CHROMA_420 || format.bit_depth != BIT_DEPTH {
        let chroma = CHROMA_NAMES.get(usize::from(format.chroma_format)).copied().unwrap_or("unknown");
        say(
            Code::VideoProfile,
            format!(
                "The video is {}, {chroma} chroma, {} bits. Send 8 bits, 4:2:0: H.264 Main or High, HEVC Main or AV1 Main (OBS: Settings, Advanced, Color Format NV12).",
                format.name, format.bit_depth
            ),
        );
    } else if format.colour.is_some_and(Colour::is_hdr) {
        let message =
            "The video is HDR. Send standard dynamic range (OBS: Settings, Advanced, Color Space Rec. 709).";
        say(Code::VideoProfile, message.to_owned());
    }
    if format.interlaced {
        say(Code::VideoProfile, "The video is interlaced. Send progressive pictures.".to_owned());
    }
}

/// Whether the first sample starts a closed GOP.
fn start(config: &video::Config, samples: &[Bytes], say: &mut impl FnMut(Code, String)) {
    let kind = |n: usize| samples.get(n).map(|sample| config.sample_kind(sample));
    match kind(0).unwrap_or(Ok(SampleKind::NoPicture)) {
        Ok(SampleKind::Start) => {}
        Ok(SampleKind::StartUnlessLed) if kind(1) != Some(Ok(SampleKind::Leading)) => {}
        Ok(_) => say(
            Code::OpenGop,
            "A keyframe is not an IDR picture. Turn open GOP and intra refresh off.".to_owned(),
        ),
        Err(error) => say(Code::VideoCorrupt, format!("A keyframe arrived damaged ({error}).")),
    }
}

fn rates(track: &VideoTrack, length: Ticks, say: &mut impl FnMut(Code, String)) {
    let Ok(over) = u64::try_from(length.max(MEASURED_OVER_MIN)) else { return };
    let per_second = |count: u64| count.saturating_mul(u64::from(VIDEO_TIMESCALE)) / over;
    let pictures = u64::try_from(track.sizes.len()).unwrap_or(u64::MAX);
    let constant = track.frame_rate.map_or(0, |rate| u64::from(rate.num / rate.den.max(1)));
    let rate = per_second(pictures).max(constant);
    if rate > FRAME_RATE_MAX.into() {
        say(
            Code::VideoFrameRate,
            format!("The video has {rate} frames a second. Send at most {FRAME_RATE_MAX}."),
        );
    }
    let bits = per_second(track.sizes.iter().map(|size| u64::from(*size) * 8).sum());
    if bits > BIT_RATE_MAX {
        say(
            Code::BitRate,
            format!(
                "The video has {} Mbit/s. Send at most {}; 6 are plenty for 1080p.",
                bits.div_ceil(1_000_000),
                BIT_RATE_MAX / 1_000_000
            ),
        );
    }
}

fn sound(track: &AudioTrack, out: &mut Vec<Verdict>) {
    match audio::Config::parse(track.codec, &Bytes::from(track.config.clone())) {
        Err(error) => out.push(error.verdict()),
        Ok(config) if (config.sample_rate(), config.channels()) != (track.sample_rate, track.channels) => {
            let message = "The chunk's sound is not what its decoder configuration says.";
            out.push(Verdict::new(Code::ChunkInvalid, message));
        }
        Ok(_) => {}
    }
}

fn ticks(seconds: u32) -> Ticks {
    Ticks::from(seconds) * Ticks::from(VIDEO_TIMESCALE)
}

/// Seconds with one decimal.
fn tenths(length: Ticks) -> String {
    let tenths = length / Ticks::from(VIDEO_TIMESCALE / 10);
    format!("{}.{}", tenths / 10, tenths % 10)
}
