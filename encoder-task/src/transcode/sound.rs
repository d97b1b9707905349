//! The sound of one chunk → AAC-LC at 48 kHz, stereo, when it can't go to viewers as it is. A pure function of the chunk.
//!
//! Seams. Every frame that comes out has its place on one grid for the whole broadcast: frame *n* is heard from sample 1024 *n* of presentation
//! time on. A frame of AAC overlaps with the one before it and is decided on with a look at the one after it; a chunk therefore makes
//! the frames of which it knows both, and leaves the last [`BEHIND`] to the chunk after it, which knows their samples by its lead. So one
//! chunk's frames end where the next one's begin, without a word between the encoders, and both were made from the same samples. What is given
//! to the encoder before the first frame that counts is there for it to settle ([`SETTLE`]); what comes of it is dropped.

use bytes::Bytes;
use media::{
    aac, audio,
    chunk::{AudioCodec, AudioTrack, Chunk},
    time::{Ticks, VIDEO_TIMESCALE, rescale},
    verdict::{Code, Verdict},
};

use super::{
    TranscodeError,
    libav::{
        LibavError,
        sound::{Decoder, Encoder, FRAME, Pcm},
    },
    resample::{RATE, Resampler},
};

/// Bit/s: what OBS sends of AAC unless told otherwise.
const BIT_RATE: usize = 160_000;
/// Channels that come out.
const CHANNELS: u8 = 2;
/// `AudioSpecificConfig` of what comes out: AAC-LC, 48 kHz, stereo.
const CONFIG: [u8; 2] = [0x11, 0x90];
/// Frames at a chunk's end that the next chunk makes: the one that overlaps with what comes then, and the one that is decided on with it.
const BEHIND: Ticks = 2;
/// Frames that the encoder is given before those that count: with fewer, its noise at the seam is louder than elsewhere.
const SETTLE: Ticks = 4;
/// Samples of a frame.
const SAMPLES: Ticks = 1024;

/// What becomes of a chunk's sound.
#[derive(Debug, Clone, Default)]
pub enum Sound {
    /// There is none.
    #[default]
    None,
    /// It goes to viewers as it came.
    AsItIs,
    /// This goes in its place; a chunk shorter than a few frames may have none of its own.
    Encoded(EncodedSound),
}

/// Sound that was transcoded.
#[derive(Debug, Clone)]
pub struct EncodedSound {
    /// What it is, and where it lies.
    pub track: AudioTrack,
    /// Its frames, as many as the track says.
    pub frames: Vec<Bytes>,
}

/// What the sound that viewers get of `track` is like; no frames. The same for every chunk of a format.
#[must_use]
pub fn format(track: &AudioTrack) -> AudioTrack {
    let empty = AudioTrack { lead: 0, durations: Vec::new(), sizes: Vec::new(), ..track.clone() };
    if is_carried(track) {
        return empty;
    }
    AudioTrack {
        codec: AudioCodec::Aac,
        config: CONFIG.to_vec(),
        sample_rate: RATE,
        channels: CHANNELS,
        start: rescale(track.start, track.sample_rate, RATE),
        end: rescale(track.end, track.sample_rate, RATE),
        ..empty
    }
}

fn is_carried(track: &AudioTrack) -> bool {
    let config = audio::Config::parse(track.codec, &Bytes::from(track.config.clone()));
    config.is_ok_and(|config| config.is_carried())
}

/// The sound that viewers get of a chunk, and what the broadcaster should know of it.
pub fn transcode(chunk: &Chunk) -> (Sound, Vec<Verdict>) {
    let Some(track) = &chunk.header.audio else { return (Sound::None, Vec::new()) };
    if is_carried(track) {
        return (Sound::AsItIs, Vec::new());
    }
    let corrupt = |message: String| vec![Verdict::new(Code::AudioCorrupt, message)];
    match encode(chunk, track) {
        Ok((sound, 0)) => (Sound::Encoded(sound), Vec::new()),
        Ok((sound, damaged)) => {
            let of = track.sizes.len();
            let message = format!(
                "{damaged} of {of} frames of sound arrived damaged and are silent; check the encoder and the network."
            );
            (Sound::Encoded(sound), corrupt(message))
        }
        Err(error) => (Sound::None, corrupt(error.to_string())),
    }
}

fn encode(chunk: &Chunk, track: &AudioTrack) -> Result<(EncodedSound, usize), TranscodeError> {
    let (input, damaged) = decode(chunk, track)?;
    let heard_from = track.start - lead(track);
    let resampler = Resampler::new(input.rate);
    let reach = resampler.reach();
    let at_48k = |ticks: Ticks| floor(ticks, track.sample_rate, RATE);
    // Frames of which all that matters is there before `ticks`.
    let known = |ticks: Ticks| (at_48k(ticks) - reach).div_euclid(SAMPLES) - BEHIND;
    let mut earliest = at_48k(heard_from).div_euclid(SAMPLES);
    if let (0, Some(video)) = (track.lead, &chunk.header.video) {
        // A long frame may begin well before the picture that the show begins with.
        earliest = earliest.max(floor(video.start, VIDEO_TIMESCALE, RATE).div_euclid(SAMPLES));
    }
    let (first, end) = (known(track.start).max(earliest), known(track.end).max(earliest));
    let mut frames = Vec::new();
    if first < end {
        let from = (first - SETTLE) * SAMPLES;
        let blocks = usize::try_from(end + BEHIND - (first - SETTLE)).unwrap_or(0);
        // The decoder may have doubled the rate.
        let start = heard_from * Ticks::from(input.rate) / Ticks::from(track.sample_rate.max(1));
        let [left, right] =
            [&input.left, &input.right].map(|samples| resampler.run(samples, start, from, blocks * FRAME));
        let mut encoder = Encoder::open(RATE, BIT_RATE)?;
        let wanted = first * SAMPLES - from..end * SAMPLES - from;
        for (n, (left, right)) in (0i64..).zip(left.chunks(FRAME).zip(right.chunks(FRAME))) {
            let ready = encoder.encode(n * SAMPLES, left, right)?;
            frames.extend(
                ready
                    .into_iter()
                    .filter(|(place, _)| wanted.contains(place))
                    .map(|(_, data)| Bytes::from(data)),
            );
        }
        if i64::try_from(frames.len()) != Ok(end - first) {
            let what = "another number of frames than were asked for";
            return Err(TranscodeError::Encoder { rung: "sound".to_owned(), what });
        }
    }
    let track = AudioTrack {
        start: first * SAMPLES,
        end: end.max(first) * SAMPLES,
        durations: vec![aac::FRAME_SAMPLES; frames.len()],
        sizes: frames.iter().map(|data| u32::try_from(data.len()).unwrap_or(u32::MAX)).collect(),
        ..format(track)
    };
    Ok((EncodedSound { track, frames }, damaged))
}

/// How long the lead is.
fn lead(track: &AudioTrack) -> Ticks {
    track.durations.iter().take(track.lead()).map(|duration| Ticks::from(*duration)).sum()
}

/// All samples of a chunk, the lead's first, as long as its frames say; and how many frames could not be decoded.
fn decode(chunk: &Chunk, track: &AudioTrack) -> Result<(Pcm, usize), LibavError> {
    let record = Bytes::from(track.config.clone());
    let config = match audio::Config::parse(track.codec, &record) {
        Ok(audio::Config::Opus(config)) => config.without_pre_skip(),
        Ok(audio::Config::Aac(config)) => config.record.to_vec(),
        Ok(audio::Config::Mp3(_)) | Err(_) => Vec::new(),
    };
    let mut decoder = Decoder::open(track.codec, &config)?;
    let frames: Vec<Option<Pcm>> = chunk
        .audio_samples()
        .iter()
        .map(|frame| if frame.is_empty() { None } else { decoder.decode(frame) })
        .collect();
    // Where a decoder finds out after the first frame that there is more in it, the later ones tell.
    let rate = frames.iter().rev().flatten().map(|pcm| pcm.rate).next().unwrap_or(track.sample_rate);
    let mut out = Pcm { rate, left: Vec::new(), right: Vec::new() };
    let (mut damaged, mut length) = (0, 0u64);
    for ((pcm, duration), size) in frames.into_iter().zip(&track.durations).zip(&track.sizes) {
        damaged += usize::from(pcm.is_none() && *size > 0);
        if let Some(pcm) = pcm.filter(|pcm| pcm.rate == rate) {
            out.left.extend(pcm.left);
            out.right.extend(pcm.right);
        }
        // Silence where a frame lasts longer, or is missing.
        length += u64::from(*duration) * u64::from(rate);
        let samples = usize::try_from(length / u64::from(track.sample_rate.max(1))).unwrap_or(usize::MAX);
        out.left.resize(samples, 0.0);
        out.right.resize(samples, 0.0);
    }
    Ok((out, damaged))
}

/// Rescales, rounding down.
fn floor(ticks: Ticks, from: u32, to: u32) -> Ticks {
    let scaled = (i128::from(ticks) * i128::from(to)).div_euclid(i128::from(from.max(1)));
    Ticks::try_from(scaled).unwrap_or(0)
}
