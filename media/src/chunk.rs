//! The chunk: one closed GOP with the sound of the same time, as the edge stores it and an encoder reads it.
//!
//! ```text
//! 0   4 bytes  "GOP1"
//! 4   u32 BE   length of the header, at most HEADER_MAX
//! 8   header   JSON ([`Header`]), self-describing so that a stored chunk can be read with a pager
//! …   payload  the video samples (as in FLV and MP4: length-prefixed NAL units, or the OBUs of a temporal unit), then the audio samples, each in table order
//! end 32 bytes SHA-256 of all before
//! ```
//!
//! Invariants, checked on both ways through: sample sizes add up to the payload; decode times grow; presentation times lie within
//! `start..end`; the first video sample is the only one marked as IDR; durations of audio samples after the lead add up to `end - start`.
//! Fields that came later are optional: a chunk that was stored before reads as it did.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    id::{BroadcastId, ChunkPos, LiveId},
    time::{FrameRate, Ticks, WallTime},
};

/// First bytes of every chunk; the digit is the format's version.
pub const MAGIC: &[u8; 4] = b"GOP1";
/// Largest header in bytes: 10 s of 120 fps and 48 kHz sound need about 60 KB.
pub const HEADER_MAX: usize = 1 << 20;
/// Largest chunk in bytes, stored or read: 10 s (the longest GOP) of 50 Mbit/s is 62.5 MB.
pub const CHUNK_MAX: usize = 64 << 20;
/// Most samples per track: ten times what the longest GOP has at 240 fps.
pub const SAMPLES_MAX: usize = 24_000;
const DIGEST_LEN: usize = 32;
const PREAMBLE_LEN: usize = 8;

/// A chunk in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// What it holds, where it belongs.
    pub header: Header,
    /// The video samples, then the audio samples.
    pub payload: Bytes,
}

/// All that is known of a chunk but its samples' bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The live it was published to.
    pub live: LiveId,
    /// The broadcast it is part of.
    pub broadcast: BroadcastId,
    /// Its place in the broadcast.
    #[serde(flatten)]
    pub pos: ChunkPos,
    /// When its last byte reached the edge, by the edge's clock.
    pub received: WallTime,
    /// The timeline does not go on from the chunk before (a reconnect, a jump of the publisher's clock).
    #[serde(default)]
    pub discontinuity: bool,
    /// What only the edge sees of how it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transit: Option<Transit>,
    /// The pictures; absent in a show without.
    pub video: Option<VideoTrack>,
    /// The sound; absent in a show without.
    pub audio: Option<AudioTrack>,
}

/// What only the edge sees of how a chunk came: since the chunk before, but for the first field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transit {
    /// Frames among the chunk's sound that are silence, put in where none came.
    #[serde(default)]
    pub silent: u32,
    /// Times that the publisher's clock jumped.
    #[serde(default)]
    pub jumps: u32,
    /// Times that the timeline was set anew to wall-clock time, which it had fallen behind.
    #[serde(default)]
    pub resets: u32,
    /// By how much sound had to be corrected to stay with its stamps, in ms: silence put in, and frames left out.
    #[serde(default)]
    pub corrected_ms: u32,
    /// Messages that could not be read.
    #[serde(default)]
    pub damaged: u32,
    /// Pictures that could not be placed.
    #[serde(default)]
    pub left_out: u32,
}

/// Which video coding the samples are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VideoCodec {
    /// H.264; `config` is an `AVCDecoderConfigurationRecord` (ISO 14496-15, 5.3.3.1).
    Avc,
    /// HEVC; `config` is an `HEVCDecoderConfigurationRecord` (ISO 14496-15, 8.3.3.1).
    Hevc,
    /// AV1; `config` is an `AV1CodecConfigurationRecord` (AV1 ISOBMFF binding, 2.3).
    Av1,
}

/// Which audio coding the samples are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AudioCodec {
    /// AAC; `config` is an `AudioSpecificConfig` (ISO 14496-3, 1.6.2.1).
    Aac,
    /// Opus; `config` is an identification header (RFC 7845, 5.1).
    Opus,
    /// MP3; `config` is the header of a frame (ISO 11172-3, 2.4.1.3).
    Mp3,
}

/// The pictures of a chunk, in decode order. Times are presentation time in 1/90 000 s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoTrack {
    /// Coding of the samples.
    pub codec: VideoCodec,
    /// Decoder configuration, as `codec` says.
    #[serde(with = "b64")]
    pub config: Vec<u8>,
    /// Coded width after cropping, in pixels.
    pub width: u32,
    /// Coded height after cropping, in pixels.
    pub height: u32,
    /// The frame rate, when it is constant over the chunk.
    pub frame_rate: Option<FrameRate>,
    /// Presentation time of the first picture (the IDR; in AV1 a shown key frame).
    pub start: Ticks,
    /// Presentation time at which the next chunk starts, or at which the last picture ends.
    pub end: Ticks,
    /// Presentation time of each sample, in decode order; the first is `start`, all are less than `end`, all differ.
    pub pts: Vec<Ticks>,
    /// Decode time of each sample; strictly growing, never later than its presentation time.
    pub dts: Vec<Ticks>,
    /// Bytes of each sample.
    pub sizes: Vec<u32>,
}

/// The sound of a chunk. Times are presentation time in samples (1/`sample_rate` s).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioTrack {
    /// Coding of the samples.
    pub codec: AudioCodec,
    /// Decoder configuration, as `codec` says.
    #[serde(with = "b64")]
    pub config: Vec<u8>,
    /// Samples per second; the track's timescale.
    pub sample_rate: u32,
    /// Channels, as they are coded: 1 to 8.
    pub channels: u8,
    /// How many frames at the front belong to the chunk before: what was heard before `start`, for an encoder that has to transcode the sound
    /// ([`crate::audio::Config::is_carried`]). They follow each other and this chunk's without a hole. 0 where nothing was heard.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lead: u32,
    /// Presentation time of the first frame after the lead. Not the video's start: sound is cut at its own frame borders.
    pub start: Ticks,
    /// Presentation time of the end of the last frame.
    pub end: Ticks,
    /// Duration of each frame: 1024 for AAC, 1152 or 576 for MP3, 120 to 5760 for Opus; longer where the frame is followed by a hole.
    pub durations: Vec<u32>,
    /// Bytes of each frame; 0 for silence in sound that is to be transcoded.
    pub sizes: Vec<u32>,
}

/// A chunk as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// All of it.
    pub bytes: Bytes,
    /// SHA-256 of all of it.
    pub sha256: [u8; DIGEST_LEN],
}

/// Why bytes are not a chunk, or a chunk can't be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Too short, or not starting with [`MAGIC`].
    #[error("not a chunk: {0}")]
    NotAChunk(&'static str),
    /// The checksum at the end does not fit.
    #[error("the chunk's checksum is wrong: it was altered or cut")]
    Checksum,
    /// The header is not the JSON it should be.
    #[error("the chunk's header can't be read: {0}")]
    Header(String),
    /// An invariant of the format is broken.
    #[error("the chunk contradicts itself: {0}")]
    Invalid(&'static str),
}

impl Chunk {
    /// Spells the chunk as bytes.
    ///
    /// # Errors
    /// [`ChunkError::Invalid`] when an invariant of the format does not hold.
    pub fn encode(&self) -> Result<Bytes, ChunkError> {
        Ok(self.encode_hashed()?.bytes)
    }

    /// Spells the chunk as bytes, and gives their SHA-256, which whoever signs a request with them needs: most of it is the digest that the
    /// bytes end with, and so computed already.
    ///
    /// # Errors
    /// [`ChunkError::Invalid`] when an invariant of the format does not hold.
    pub fn encode_hashed(&self) -> Result<Encoded, ChunkError> {
        self.check()?;
        let header = serde_json::to_vec(&self.header).map_err(|e| ChunkError::Header(e.to_string()))?;
        let header_len = u32::try_from(header.len()).map_err(|_| ChunkError::Invalid("header too large"))?;
        if header.len() > HEADER_MAX {
            return Err(ChunkError::Invalid("header too large"));
        }
        let mut out = BytesMut::with_capacity(PREAMBLE_LEN + header.len() + self.payload.len() + DIGEST_LEN);
        out.put_slice(MAGIC);
        out.put_u32(header_len);
        out.put_slice(&header);
        out.put_slice(&self.payload);
        let mut hash = Sha256::new_with_prefix(&out);
        let digest = hash.clone().finalize();
        out.put_slice(&digest);
        hash.update(digest);
        if out.len() > CHUNK_MAX {
            return Err(ChunkError::Invalid("chunk too large"));
        }
        Ok(Encoded { bytes: out.freeze(), sha256: hash.finalize().into() })
    }

    /// Reads a chunk from bytes; the payload shares them.
    ///
    /// # Errors
    /// When the bytes are not a whole, unaltered, self-consistent chunk.
    pub fn decode(bytes: &Bytes) -> Result<Self, ChunkError> {
        if bytes.len() > CHUNK_MAX {
            return Err(ChunkError::NotAChunk("larger than any chunk"));
        }
        let body_len = bytes
            .len()
            .checked_sub(DIGEST_LEN)
            .filter(|len| *len >= PREAMBLE_LEN)
            .ok_or(ChunkError::NotAChunk("shorter than any chunk"))?;
        let (body, digest) = bytes.split_at(body_len);
        if body.get(..4) != Some(MAGIC.as_slice()) {
            return Err(ChunkError::NotAChunk("it does not start with GOP1"));
        }
        if Sha256::digest(body).as_slice() != digest {
            return Err(ChunkError::Checksum);
        }
        let mut len = [0; 4];
        len.copy_from_slice(&body[4..8]);
        let header_len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
        if header_len > HEADER_MAX {
            return Err(ChunkError::NotAChunk("its header is larger than any"));
        }
        let payload_at = PREAMBLE_LEN + header_len;
        let header = body.get(PREAMBLE_LEN..payload_at).ok_or(ChunkError::NotAChunk("its header is cut"))?;
        let header = serde_json::from_slice(header).map_err(|e| ChunkError::Header(e.to_string()))?;
        let chunk = Self { header, payload: bytes.slice(payload_at..body_len) };
        chunk.check()?;
        Ok(chunk)
    }

    /// The video samples, in decode order.
    #[must_use]
    pub fn video_samples(&self) -> Vec<Bytes> {
        let sizes = self.header.video.as_ref().map_or(&[][..], |video| &video.sizes);
        self.samples(0, sizes)
    }

    /// The audio samples.
    #[must_use]
    pub fn audio_samples(&self) -> Vec<Bytes> {
        let video = self.header.video.as_ref().map_or(0, |video| total(&video.sizes));
        let sizes = self.header.audio.as_ref().map_or(&[][..], |audio| &audio.sizes);
        self.samples(video, sizes)
    }

    fn samples(&self, mut at: usize, sizes: &[u32]) -> Vec<Bytes> {
        let mut out = Vec::with_capacity(sizes.len());
        for size in sizes {
            let end = at.saturating_add(usize::try_from(*size).unwrap_or(usize::MAX)).min(self.payload.len());
            out.push(self.payload.slice(at.min(end)..end));
            at = end;
        }
        out
    }

    fn check(&self) -> Result<(), ChunkError> {
        let mut payload = 0usize;
        if let Some(video) = &self.header.video {
            video.check()?;
            payload = payload.saturating_add(total(&video.sizes));
        }
        if let Some(audio) = &self.header.audio {
            audio.check()?;
            payload = payload.saturating_add(total(&audio.sizes));
        }
        if self.header.video.is_none() && self.header.audio.is_none() {
            return Err(ChunkError::Invalid("it has neither picture nor sound"));
        }
        if payload != self.payload.len() {
            return Err(ChunkError::Invalid("the sizes of the samples do not add up to the payload"));
        }
        Ok(())
    }
}

fn total(sizes: &[u32]) -> usize {
    sizes.iter().fold(0usize, |sum, size| sum.saturating_add(usize::try_from(*size).unwrap_or(usize::MAX)))
}

impl VideoTrack {
    fn check(&self) -> Result<(), ChunkError> {
        let count = self.sizes.len();
        if count == 0 || count > SAMPLES_MAX || self.pts.len() != count || self.dts.len() != count {
            return Err(ChunkError::Invalid("the video's tables are empty, too long or of unequal length"));
        }
        if self.pts.first() != Some(&self.start) || self.pts.iter().any(|t| *t < self.start || *t >= self.end)
        {
            return Err(ChunkError::Invalid("a picture lies outside of the chunk"));
        }
        if self.dts.windows(2).any(|w| w[0] >= w[1]) || self.dts.iter().zip(&self.pts).any(|(d, p)| d > p) {
            return Err(ChunkError::Invalid("decode times do not grow, or pass presentation times"));
        }
        let mut sorted = self.pts.clone();
        sorted.sort_unstable();
        if sorted.windows(2).any(|w| w[0] == w[1]) {
            return Err(ChunkError::Invalid("two pictures have the same presentation time"));
        }
        Ok(())
    }
}

impl AudioTrack {
    /// The lead's frames.
    #[must_use]
    pub fn lead(&self) -> usize {
        usize::try_from(self.lead).unwrap_or(usize::MAX).min(self.durations.len())
    }

    fn check(&self) -> Result<(), ChunkError> {
        let count = self.sizes.len();
        if count == 0 || count > SAMPLES_MAX || self.durations.len() != count {
            return Err(ChunkError::Invalid("the audio's tables are empty, too long or of unequal length"));
        }
        if self.sample_rate == 0 || self.channels == 0 {
            return Err(ChunkError::Invalid("the audio has no sample rate or no channels"));
        }
        if self.lead() >= count {
            return Err(ChunkError::Invalid("the audio has a lead and nothing after it"));
        }
        let length = self.durations.iter().skip(self.lead()).map(|d| i64::from(*d)).sum::<i64>();
        if self.durations.contains(&0) || self.start.checked_add(length) != Some(self.end) {
            return Err(ChunkError::Invalid("the audio's durations do not add up to its length"));
        }
        Ok(())
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

mod b64 {
    //! Bytes as base 64 text in JSON.
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ChunkSeq, PublishNo};

    fn sample() -> Chunk {
        Chunk {
            header: Header {
                live: "demo".parse().unwrap(),
                broadcast: BroadcastId::new(1_700_000_000_001, [0; 10]),
                pos: ChunkPos { publish: PublishNo::FIRST, seq: ChunkSeq(0) },
                received: WallTime(1_700_000_001_000_000),
                discontinuity: false,
                transit: None,
                video: Some(VideoTrack {
                    codec: VideoCodec::Avc,
                    config: vec![1, 66, 0, 30],
                    width: 640,
                    height: 360,
                    frame_rate: Some(FrameRate { num: 30, den: 1 }),
                    start: 0,
                    end: 9000,
                    pts: vec![0, 6000, 3000],
                    dts: vec![-3000, 0, 3000],
                    sizes: vec![3, 2, 1],
                }),
                audio: Some(AudioTrack {
                    codec: AudioCodec::Aac,
                    config: vec![0x12, 0x10],
                    sample_rate: 44_100,
                    channels: 2,
                    lead: 0,
                    start: -100,
                    end: 1948,
                    durations: vec![1024, 1024],
                    sizes: vec![1, 2],
                }),
            },
            payload: Bytes::from_static(b"vvvwwxaBB"),
        }
    }

    #[test]
    fn round_trip_and_samples() {
        let bytes = sample().encode().unwrap();
        let back = Chunk::decode(&bytes).unwrap();
        assert_eq!(back, sample());
        assert_eq!(back.video_samples(), ["vvv", "ww", "x"]);
        assert_eq!(back.audio_samples(), ["a", "BB"]);
        let Encoded { bytes: hashed, sha256 } = sample().encode_hashed().unwrap();
        assert_eq!(hashed, bytes);
        assert_eq!(sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
    }

    #[test]
    fn golden_bytes() {
        let bytes = sample().encode().unwrap();
        let header = std::str::from_utf8(&bytes[8..bytes.len() - 32 - 9]).unwrap();
        assert_eq!(&bytes[..4], b"GOP1");
        assert_eq!(
            header,
            r#"{"live":"demo","broadcast":"018bcfe5-6801-7000-8000-000000000000","publish":1,"seq":0,"received":1700000001000000,"discontinuity":false,"video":{"codec":"avc","config":"AUIAHg==","width":640,"height":360,"frame_rate":{"num":30,"den":1},"start":0,"end":9000,"pts":[0,6000,3000],"dts":[-3000,0,3000],"sizes":[3,2,1]},"audio":{"codec":"aac","config":"EhA=","sample_rate":44100,"channels":2,"start":-100,"end":1948,"durations":[1024,1024],"sizes":[1,2]}}"#
        );
    }

    #[test]
    fn golden_bytes_of_what_came_later() {
        let mut chunk = sample();
        chunk.header.transit = Some(Transit { silent: 1, corrected_ms: 21, ..Transit::default() });
        chunk.header.video = None;
        let audio = chunk.header.audio.as_mut().unwrap();
        (audio.codec, audio.lead, audio.start) = (AudioCodec::Opus, 1, 924);
        chunk.payload = Bytes::from_static(b"aBB");
        let bytes = chunk.encode().unwrap();
        let header = std::str::from_utf8(&bytes[8..bytes.len() - 32 - 3]).unwrap();
        assert_eq!(
            header,
            r#"{"live":"demo","broadcast":"018bcfe5-6801-7000-8000-000000000000","publish":1,"seq":0,"received":1700000001000000,"discontinuity":false,"transit":{"silent":1,"jumps":0,"resets":0,"corrected_ms":21,"damaged":0,"left_out":0},"video":null,"audio":{"codec":"opus","config":"EhA=","sample_rate":44100,"channels":2,"lead":1,"start":924,"end":1948,"durations":[1024,1024],"sizes":[1,2]}}"#
        );
        assert_eq!(Chunk::decode(&bytes).unwrap(), chunk);
    }

    #[test]
    fn codings_by_their_names() {
        let names = [AudioCodec::Aac, AudioCodec::Opus, AudioCodec::Mp3];
        assert_eq!(serde_json::to_string(&names).unwrap(), r#"["aac","opus","mp3"]"#);
        let names = [VideoCodec::Avc, VideoCodec::Hevc, VideoCodec::Av1];
        assert_eq!(serde_json::to_string(&names).unwrap(), r#"["avc","hevc","av1"]"#);
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_noticed() {
        let bytes = sample().encode().unwrap();
        for len in 0..bytes.len() {
            assert!(Chunk::decode(&bytes.slice(..len)).is_err(), "cut at {len}");
        }
        for at in 0..bytes.len() {
            let mut altered = bytes.to_vec();
            altered[at] ^= 1;
            assert!(Chunk::decode(&altered.into()).is_err(), "byte {at}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let cases: [fn(&mut Chunk); 7] = [
            |c| c.payload = Bytes::from_static(b"short"),
            |c| c.header.video.as_mut().unwrap().pts[1] = 9000,
            |c| c.header.video.as_mut().unwrap().dts[1] = -3000,
            |c| c.header.video.as_mut().unwrap().pts[1] = 3000,
            |c| c.header.audio.as_mut().unwrap().end = 1949,
            |c| c.header.audio.as_mut().unwrap().durations.clear(),
            |c| c.header.audio.as_mut().unwrap().lead = 2,
        ];
        for (n, break_it) in cases.iter().enumerate() {
            let mut chunk = sample();
            break_it(&mut chunk);
            assert!(matches!(chunk.encode(), Err(ChunkError::Invalid(_))), "case {n}");
        }
    }
}
