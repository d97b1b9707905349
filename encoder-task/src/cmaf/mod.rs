//! The CMAF packager: encoded pictures, and sound untouched or encoded, → initialization and media segments (ISO 23000-19, ISO 14496-12).
//!
//! A pure function with deterministic bytes. Invariants, which `broadcast verify` and players rely on:
//! - a media segment is one fragment; its `tfdt` plus the durations in its `trun` is the next segment's `tfdt`, to the tick, as long
//!   as the chunks' times join;
//! - composition offsets are never negative: decoding runs ahead by a constant, so `tfdt` plus the smallest offset is the
//!   segment's time in its name and in manifests;
//! - chunks of one format have byte-equal initialization segments; their name is a hash of those bytes.

mod init;
mod segment;

use bytes::Bytes;
use media::{
    aac,
    chunk::{AudioTrack, Chunk},
    ledger::{AUDIO_RUNG, Init, Object, Segment, Track},
    time::{Ticks, VIDEO_TIMESCALE, to_media_time},
};
use sha2::{Digest, Sha256};

use crate::transcode::{EncodedSound, EncodedTrack, Sound, Transcoded};
use segment::Fragment;

/// Hexadecimal digits of a configuration's name: 64 bits, for the handful of configurations that a broadcast has.
const CONFIG_DIGITS: usize = 16;
/// What boxes, lengths and captions add to a rung's peak bit rate, in bit/s: 20 bytes for each of 60 frames, rounded up.
const CONTAINER_BIT_RATE: u32 = 10_000;
/// Bit rate that sound is declared with, in bit/s per channel. It must be the same for every chunk, so it is a bound and not a
/// measurement: what live broadcasters send as AAC-LC stereo is 96 to 192 kbit/s, OBS's default is 160.
const AUDIO_BIT_RATE_PER_CHANNEL: u32 = 96_000;
/// One rung (or the sound) of one chunk, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packaged {
    /// What the ledger says of the initialization segment.
    pub init: Init,
    /// The initialization segment.
    pub init_bytes: Bytes,
    /// What the ledger says of the media segment.
    pub segment: Segment,
    /// The media segment.
    pub segment_bytes: Bytes,
}

/// Why a chunk could not be packaged.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A time lies outside of what the format (or the media time's origin) can express.
    #[error("the {rung} track's {what} is out of range: {value}")]
    Range {
        /// Which track.
        rung: String,
        /// Which value.
        what: &'static str,
        /// It.
        value: i64,
    },
    /// The sound is not what gopcast takes.
    #[error("the sound can't be described")]
    Sound(#[from] aac::AacError),
    /// A box could not be written.
    #[error("a box could not be written")]
    Box(#[from] mp4_atom::Error),
}

/// Packages a chunk: its renditions as `transcoded` (largest first), then its sound.
///
/// # Errors
/// When a time can't be expressed: earlier than the media time's origin, or a sample longer than 2³² ticks.
pub fn package(chunk: &Chunk, transcoded: &Transcoded) -> Result<Vec<Packaged>, PackageError> {
    let rungs = transcoded.tracks.iter().map(|track| package_rung(chunk, track));
    let mut out = rungs.collect::<Result<Vec<_>, _>>()?;
    out.extend(package_sound(chunk, &transcoded.sound)?);
    Ok(out)
}

/// Packages one rung of a chunk.
///
/// # Errors
/// When a time can't be expressed: earlier than the media time's origin, or a sample longer than 2³² ticks.
pub fn package_rung(chunk: &Chunk, track: &EncodedTrack) -> Result<Packaged, PackageError> {
    let whole = chunk.header.video.as_ref().map_or((0, 0), |video| (video.start, video.end));
    package_video(track, whole, sequence(chunk))
}

/// Packages what has become of a chunk's sound; `None` if nothing has.
///
/// # Errors
/// The same, and when the sound is none that gopcast takes.
pub fn package_sound(chunk: &Chunk, sound: &Sound) -> Result<Option<Packaged>, PackageError> {
    match (sound, &chunk.header.audio) {
        (Sound::AsItIs, Some(audio)) => {
            package_audio(audio, &chunk.audio_samples(), sequence(chunk)).map(Some)
        }
        (Sound::Encoded(EncodedSound { track, frames }), _) if !frames.is_empty() => {
            package_audio(track, frames, sequence(chunk)).map(Some)
        }
        _ => Ok(None),
    }
}

/// What `mfhd` says of a chunk's segments.
fn sequence(chunk: &Chunk) -> u32 {
    chunk.header.pos.seq.0.saturating_add(1)
}

/// Packages one rung from `start` to `end`.
pub(crate) fn package_video(
    track: &EncodedTrack,
    (start, end): (Ticks, Ticks),
    sequence: u32,
) -> Result<Packaged, PackageError> {
    let rung = track.rendition.name.as_str();
    let range = |what| move |value| PackageError::Range { rung: rung.to_owned(), what, value };
    let decode_start = track.samples.first().map_or(start, |sample| sample.dts);
    let mut samples = Vec::with_capacity(track.samples.len());
    for sample in &track.samples {
        let offset = sample.pts - sample.dts;
        samples.push(segment::Sample {
            duration: u32::try_from(sample.duration).map_err(|_| range("duration")(sample.duration))?,
            offset: i32::try_from(offset).map_err(|_| range("composition offset")(offset))?,
            data: sample.data.clone(),
        });
    }
    let bytes = segment::write(&Fragment {
        sequence,
        decode_time: to_media_time(decode_start, VIDEO_TIMESCALE)
            .ok_or_else(|| range("decode time")(decode_start))?,
        all_sync: false,
        samples: &samples,
    })?;
    let init = init::video(track)?;
    let peak = track.rendition.max_rate().saturating_add(CONTAINER_BIT_RATE);
    let description = Described {
        rung,
        codecs: init::avc_codecs(&track.sps),
        timescale: VIDEO_TIMESCALE,
        bandwidth: peak,
        track: Track::Video {
            width: track.rendition.width,
            height: track.rendition.height,
            sar: track.sar,
            frame_rate: track.frame_rate,
        },
    };
    let time = to_media_time(start, VIDEO_TIMESCALE).ok_or_else(|| range("start")(start))?;
    let duration = u64::try_from(end - start).map_err(|_| range("length")(end - start))?;
    Ok(packaged(description, init, time, duration, bytes))
}

/// Packages sound: `frames` go with `audio`'s durations.
pub(crate) fn package_audio(
    audio: &AudioTrack,
    frames: &[Bytes],
    sequence: u32,
) -> Result<Packaged, PackageError> {
    let range = |what| move |value| PackageError::Range { rung: AUDIO_RUNG.to_owned(), what, value };
    let samples: Vec<segment::Sample> = frames
        .iter()
        .zip(&audio.durations)
        .map(|(data, duration)| segment::Sample { duration: *duration, offset: 0, data: data.clone() })
        .collect();
    let time = to_media_time(audio.start, audio.sample_rate).ok_or_else(|| range("start")(audio.start))?;
    let length = audio.end - audio.start;
    let duration = u64::try_from(length).map_err(|_| range("length")(length))?;
    let bytes = segment::write(&Fragment { sequence, decode_time: time, all_sync: true, samples: &samples })?;
    let bandwidth = AUDIO_BIT_RATE_PER_CHANNEL.saturating_mul(u32::from(audio.channels.max(1)));
    let init = init::audio(audio, bandwidth)?;
    let config = aac::Config::parse(&Bytes::from(audio.config.clone()))?;
    let description = Described {
        rung: AUDIO_RUNG,
        codecs: config.codecs().to_owned(),
        timescale: audio.sample_rate,
        bandwidth,
        track: Track::Audio { sample_rate: audio.sample_rate, channels: config.channels_out() },
    };
    Ok(packaged(description, init, time, duration, bytes))
}

/// What an [`Init`] says beside its object.
struct Described<'a> {
    rung: &'a str,
    codecs: String,
    timescale: u32,
    bandwidth: u32,
    track: Track,
}

fn packaged(of: Described<'_>, init: Bytes, time: u64, duration: u64, segment: Bytes) -> Packaged {
    let init_object = object(&init);
    let config: String = init_object.sha256.chars().take(CONFIG_DIGITS).collect();
    Packaged {
        segment: Segment {
            rung: of.rung.to_owned(),
            config: config.clone(),
            time,
            duration,
            object: object(&segment),
        },
        segment_bytes: segment,
        init: Init {
            rung: of.rung.to_owned(),
            config,
            codecs: of.codecs,
            timescale: of.timescale,
            bandwidth: of.bandwidth,
            track: of.track,
            object: init_object,
        },
        init_bytes: init,
    }
}

fn object(bytes: &Bytes) -> Object {
    Object {
        bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        sha256: hex::encode(Sha256::digest(bytes)),
    }
}
