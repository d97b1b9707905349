//! What an operator allows a live: limits that a broadcast takes over when it begins, and what is said of a chunk that passes one.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    chunk::{Header, VideoTrack},
    time::{Ticks, VIDEO_TIMESCALE, rescale},
    verdict::{Code, Verdict},
};

/// Longest show that can be asked for, in hours: more than a day is a channel and not a show.
pub const HOURS_MAX: u32 = 24;
/// Frames are counted over this many ticks at least: a GOP that was cut short says little.
const COUNTED_OVER_MIN: Ticks = 90_000;

/// Limits; what is absent is only limited by what gopcast takes at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most kbit/s of pictures and sound together, averaged over some seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bit_rate: Option<u32>,
    /// Largest picture, lying or upright.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Most frames a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<u32>,
    /// Longest show in hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<u32>,
}

/// A picture's size, spelled `1280x720`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// A text that is no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a size is WIDTHxHEIGHT in pixels, such as 1920x1080")]
pub struct SizeError;

impl FromStr for Size {
    type Err = SizeError;
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let (width, height) = text.split_once('x').ok_or(SizeError)?;
        let side = |text: &str| text.parse().ok().filter(|side: &u32| *side > 0).ok_or(SizeError);
        Ok(Self { width: side(width)?, height: side(height)? })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl Size {
    fn holds(self, width: u32, height: u32) -> bool {
        width.max(height) <= self.width.max(self.height) && width.min(height) <= self.width.min(self.height)
    }
}

impl Limits {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is said of a chunk that passes the limits of size, frame rate or length; its bit rate is judged over several.
    #[must_use]
    pub fn check(&self, header: &Header) -> Option<Verdict> {
        let end = match (&header.video, &header.audio) {
            (Some(video), _) => video.end,
            (None, Some(audio)) => rescale(audio.end, audio.sample_rate, VIDEO_TIMESCALE),
            (None, None) => 0,
        };
        if let Some(hours) =
            self.hours.filter(|hours| end > Ticks::from(*hours) * 3600 * Ticks::from(VIDEO_TIMESCALE))
        {
            return Some(limit(format!(
                "A show may last {hours} h on this live. Start a new one, or ask the operator."
            )));
        }
        let video = header.video.as_ref()?;
        let (width, height) = (video.width, video.height);
        if let Some(size) = self.size.filter(|size| !size.holds(width, height)) {
            let message = format!(
                "The picture is {width}x{height}; this live takes up to {size}. Lower the output resolution."
            );
            return Some(limit(message));
        }
        let rate = frame_rate(video);
        let most = self.frame_rate.filter(|most| rate > *most)?;
        Some(limit(format!(
            "The video has {rate} frames a second; this live takes up to {most}. Lower the frame rate."
        )))
    }

    /// What is said of so many kbit/s; a tenth more than the limit is taken, as encoders can't hold a rate to the bit.
    #[must_use]
    pub fn check_bit_rate(&self, kbits: u64) -> Option<Verdict> {
        let most = self.bit_rate.filter(|most| kbits > u64::from(*most) * 11 / 10)?;
        Some(limit(format!(
            "The stream has {kbits} kbit/s; this live takes up to {most}. Lower the bit rate."
        )))
    }
}

/// Frames a second, rounded up to a tenth more than whole ones: 29.97 are 30, and so are 30.05.
fn frame_rate(video: &VideoTrack) -> u32 {
    if let Some(rate) = video.frame_rate {
        return rate.num.div_ceil(rate.den.max(1));
    }
    let length = video.end.saturating_sub(video.start).max(COUNTED_OVER_MIN);
    let tenths =
        u64::try_from(video.sizes.len()).unwrap_or(u64::MAX).saturating_mul(u64::from(VIDEO_TIMESCALE) * 10)
            / u64::try_from(length).unwrap_or(1);
    u32::try_from(tenths.saturating_sub(1).div_ceil(10)).unwrap_or(u32::MAX)
}

fn limit(message: String) -> Verdict {
    Verdict::new(Code::LiveLimit, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chunk::VideoCodec,
        id::{BroadcastId, ChunkPos, ChunkSeq, PublishNo},
        time::{FrameRate, WallTime},
    };

    fn header() -> Header {
        let video = VideoTrack {
            codec: VideoCodec::Avc,
            config: Vec::new(),
            width: 1280,
            height: 720,
            frame_rate: Some(FrameRate { num: 30_000, den: 1001 }),
            start: 0,
            end: 180_180,
            pts: Vec::new(),
            dts: Vec::new(),
            sizes: vec![1; 60],
        };
        Header {
            live: "demo".parse().unwrap(),
            broadcast: BroadcastId::new(1, [0; 10]),
            pos: ChunkPos { publish: PublishNo::FIRST, seq: ChunkSeq(0) },
            received: WallTime(0),
            discontinuity: false,
            transit: None,
            video: Some(video),
            audio: None,
        }
    }

    #[test]
    fn each_limit_is_told_and_what_is_within_is_not() {
        let says = |limits: Limits| limits.check(&header()).map(|verdict| verdict.message);
        let none = Limits::default();
        let size = |text: &str| Some(text.parse().unwrap());
        for within in [
            none,
            Limits { size: size("1280x720"), frame_rate: Some(30), hours: Some(1), ..none },
            Limits { size: size("720x1280"), ..none },
        ] {
            assert_eq!(says(within), None);
        }
        assert!(says(Limits { size: size("1279x720"), ..none }).unwrap().contains("up to 1279x720"));
        assert!(says(Limits { frame_rate: Some(29), ..none }).unwrap().contains("30 frames a second"));
        let mut late = header();
        late.video.as_mut().unwrap().end = 3600 * 90_000 + 1;
        assert_eq!(Limits { hours: Some(1), ..none }.check(&late).unwrap().code, Code::LiveLimit);
        let mut irregular = header();
        irregular.video.as_mut().unwrap().frame_rate = None;
        assert_eq!(Limits { frame_rate: Some(30), ..none }.check(&irregular), None);
        assert!(Limits { frame_rate: Some(29), ..none }.check(&irregular).is_some());
        let rate = Limits { bit_rate: Some(2_000), ..none };
        assert_eq!(rate.check_bit_rate(2_200), None);
        assert!(rate.check_bit_rate(2_201).is_some());
    }

    #[test]
    fn sizes_and_golden_json() {
        for bad in ["", "720", "x", "0x1", "1x", "1280x720x3", "-1x2"] {
            assert_eq!(bad.parse::<Size>(), Err(SizeError), "{bad}");
        }
        let limits = Limits {
            bit_rate: Some(6_000),
            size: Some("1920x1080".parse().unwrap()),
            frame_rate: None,
            hours: Some(4),
        };
        let text = r#"{"bit_rate":6000,"size":{"width":1920,"height":1080},"hours":4}"#;
        assert_eq!(serde_json::to_string(&limits).unwrap(), text);
        assert_eq!(serde_json::from_str::<Limits>(text).unwrap(), limits);
        assert_eq!(serde_json::from_str::<Limits>("{}").unwrap(), Limits::default());
    }
}
