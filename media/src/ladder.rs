//! Ladders: which renditions a broadcast gets. A profile is data, named by its top rung; the rungs of one broadcast follow from the
//! profile and the source's size by a pure function, so that every encoder chooses the same.
//!
//! Invariant: no rung is larger than the source.

use serde::{Deserialize, Serialize};

use crate::{ledger::SOURCE_RUNG, time::FrameRate};

/// One rung of a profile. The bit rates are for up to 30 frames a second; above that they grow by [`HIGH_FRAME_RATE_FACTOR_PERCENT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Short side of the picture in pixels, so that portrait and landscape get alike.
    pub short_side: u32,
    /// Average bit rate in bit/s.
    pub bit_rate: u32,
}

const fn rung(short_side: u32, bit_rate: u32) -> Rung {
    Rung { short_side, bit_rate }
}

const R2160: Rung = rung(2160, 14_000_000);
const R1440: Rung = rung(1440, 8_000_000);
const R1080: Rung = rung(1080, 4_500_000);
const R720: Rung = rung(720, 2_500_000);
const R480: Rung = rung(480, 1_200_000);
const R360: Rung = rung(360, 700_000);

/// Frame rates above this many frames a second cost more bits.
pub const HIGH_FRAME_RATE: u32 = 33;
/// What a rung's bit rate is multiplied with above [`HIGH_FRAME_RATE`], in percent.
pub const HIGH_FRAME_RATE_FACTOR_PERCENT: u32 = 140;
/// Rungs with a shorter short side than this have half the frame rate of a source above [`HIGH_FRAME_RATE`], unless they are the top one: who watches
/// them lacks the bits, and gets a better picture from half as many.
pub const FULL_RATE_SHORT_SIDE: u32 = 720;
/// Peak over average bit rate of a rung's capped VBR, in percent: DASH-IF players fetch by the peak.
pub const MAX_RATE_PERCENT: u32 = 120;

/// A ladder profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Profile {
    /// 360p alone.
    #[serde(rename = "360p")]
    P360,
    /// 480p, 360p.
    #[serde(rename = "480p")]
    P480,
    /// 720p, 480p, 360p.
    #[serde(rename = "720p")]
    P720,
    /// 1080p, 720p, 480p, 360p.
    #[serde(rename = "1080p")]
    P1080,
    /// 1440p, 1080p, 720p, 480p.
    #[serde(rename = "1440p")]
    P1440,
    /// 2160p, 1440p, 1080p, 720p, 480p.
    #[serde(rename = "2160p")]
    P2160,
}

/// What viewers get of a broadcast's pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ladder {
    /// The rungs that are encoded.
    pub profile: Profile,
    /// The source itself is a rung, on top of those, wherever it can be one.
    pub source: bool,
}

/// The text names no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a ladder is one of 2160p, 1440p, 1080p, 720p, 480p, 360p")]
pub struct NoSuchProfile;

impl std::str::FromStr for Profile {
    type Err = NoSuchProfile;
    fn from_str(text: &str) -> Result<Self, NoSuchProfile> {
        Self::ALL.iter().copied().find(|p| p.name() == text).ok_or(NoSuchProfile)
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Profile {
    /// Every profile, smallest first.
    pub const ALL: &'static [Self] =
        &[Self::P360, Self::P480, Self::P720, Self::P1080, Self::P1440, Self::P2160];

    /// The name of its top rung.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P360 => "360p",
            Self::P480 => "480p",
            Self::P720 => "720p",
            Self::P1080 => "1080p",
            Self::P1440 => "1440p",
            Self::P2160 => "2160p",
        }
    }

    /// Its rungs, largest first.
    #[must_use]
    pub fn rungs(self) -> &'static [Rung] {
        match self {
            Self::P360 => &[R360],
            Self::P480 => &[R480, R360],
            Self::P720 => &[R720, R480, R360],
            Self::P1080 => &[R1080, R720, R480, R360],
            Self::P1440 => &[R1440, R1080, R720, R480],
            Self::P2160 => &[R2160, R1440, R1080, R720, R480],
        }
    }

    /// Pixels that all rungs of this profile have a second, from a 16:9 source of at least its size: the load that it puts on an encoder.
    #[must_use]
    pub fn pixels_per_second(self, fps: u32) -> u64 {
        let fast = fps > HIGH_FRAME_RATE;
        let pixels = |(n, r): (usize, &Rung)| {
            let fps = if halves(fast, n == 0, r.short_side) { fps.div_ceil(2) } else { fps };
            u64::from(r.short_side) * u64::from(r.short_side) * 16 / 9 * u64::from(fps)
        };
        self.rungs().iter().enumerate().map(pixels).sum()
    }

    /// The renditions of a source of `width` × `height` pixels: largest first, never empty, none larger than the source.
    #[must_use]
    pub fn renditions(self, width: u32, height: u32, frame_rate: Option<FrameRate>) -> Vec<Rendition> {
        let source_short = width.min(height);
        let fast = frame_rate.is_some_and(|rate| rate.num > HIGH_FRAME_RATE.saturating_mul(rate.den));
        let rendition = |top: bool, short_side: u32, bit_rate: u32| {
            let halved = halves(fast, top, short_side);
            let percent = if fast && !halved { HIGH_FRAME_RATE_FACTOR_PERCENT } else { 100 };
            Rendition { halved, ..Rendition::new(width, height, short_side, bit_rate / 100 * percent) }
        };
        let mut out: Vec<Rendition> = self
            .rungs()
            .iter()
            .filter(|r| r.short_side <= source_short)
            .enumerate()
            .map(|(n, r)| rendition(n == 0, r.short_side, r.bit_rate))
            .collect();
        if out.is_empty() {
            // Smaller than the smallest rung: one rendition at the source's own size, with bits in proportion.
            let smallest = self.rungs().last().copied().unwrap_or(R360);
            let area = |side: u32| u64::from(side) * u64::from(side);
            let bits = u64::from(smallest.bit_rate) * area(source_short) / area(smallest.short_side).max(1);
            let bits = u32::try_from(bits).unwrap_or(smallest.bit_rate).max(MIN_BIT_RATE);
            out.push(rendition(true, even(source_short).max(2), bits));
        }
        out
    }
}

/// Whether a rung has half the source's frame rate.
fn halves(fast: bool, top: bool, short_side: u32) -> bool {
    fast && !top && short_side < FULL_RATE_SHORT_SIDE
}

/// Fewest bits a second for a picture of any size.
const MIN_BIT_RATE: u32 = 100_000;

/// One output rendition of a broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// Its name in object keys and manifests: `720p`.
    pub name: String,
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Average bit rate in bit/s.
    pub bit_rate: u32,
    /// It has half the source's frame rate.
    pub halved: bool,
}

impl Rendition {
    fn new(width: u32, height: u32, short_side: u32, bit_rate: u32) -> Self {
        let (long, short) = (width.max(height), width.min(height).max(1));
        let scaled = (u64::from(long) * u64::from(short_side) + u64::from(short) / 2) / u64::from(short);
        let long_side = even(u32::try_from(scaled).unwrap_or(long)).max(2);
        let (width, height) = if width >= height { (long_side, short_side) } else { (short_side, long_side) };
        Self { name: format!("{short_side}p"), width, height, bit_rate, halved: false }
    }

    /// The source itself, of so many pixels. Nothing is promised of its bit rate beforehand: it is what it is measured to be.
    #[must_use]
    pub fn source(width: u32, height: u32) -> Self {
        Self { name: SOURCE_RUNG.to_owned(), width, height, bit_rate: 0, halved: false }
    }

    /// Whether it is the source itself, not encoded by us.
    #[must_use]
    pub fn is_source(&self) -> bool {
        self.name == SOURCE_RUNG
    }

    /// What rungs of one broadcast are put in order by: the larger, the greater; the source before one of its size.
    #[must_use]
    pub fn rank(&self) -> (u32, bool) {
        (self.width.min(self.height), self.is_source())
    }

    /// Peak bit rate in bit/s.
    #[must_use]
    pub fn max_rate(&self) -> u32 {
        self.bit_rate / 100 * MAX_RATE_PERCENT
    }
}

/// Rounds down to an even number: 4:2:0 chroma has half the size.
fn even(n: u32) -> u32 {
    n & !1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(profile: Profile, width: u32, height: u32) -> Vec<(String, u32, u32)> {
        profile.renditions(width, height, None).into_iter().map(|r| (r.name, r.width, r.height)).collect()
    }

    #[test]
    fn landscape_portrait_and_square() {
        let names = |list: &[(&str, u32, u32)]| -> Vec<_> {
            list.iter().map(|(n, w, h)| ((*n).to_owned(), *w, *h)).collect()
        };
        assert_eq!(
            sizes(Profile::P720, 1280, 720),
            names(&[("720p", 1280, 720), ("480p", 852, 480), ("360p", 640, 360)])
        );
        assert_eq!(sizes(Profile::P480, 720, 1280), names(&[("480p", 480, 852), ("360p", 360, 640)]));
        assert_eq!(sizes(Profile::P720, 600, 600), names(&[("480p", 480, 480), ("360p", 360, 360)]));
        assert_eq!(sizes(Profile::P1080, 321, 241), names(&[("240p", 320, 240)]));
    }

    #[test]
    fn never_above_the_source_and_always_even() {
        for profile in Profile::ALL {
            for (w, h) in
                [(16, 16), (640, 360), (641, 361), (1279, 719), (1080, 1920), (3840, 2160), (4096, 2160)]
            {
                let list = profile.renditions(w, h, None);
                assert!(!list.is_empty());
                for r in list {
                    assert!(r.width <= w && r.height <= h, "{profile} {w}x{h}: {r:?}");
                    assert!(r.width % 2 == 0 && r.height % 2 == 0 && r.bit_rate > 0, "{r:?}");
                }
            }
        }
    }

    #[test]
    fn low_rungs_of_fast_sources_have_half_the_rate_and_no_more_bits() {
        let of = |profile: Profile, num, den| -> Vec<(String, bool, u32)> {
            let list = profile.renditions(1280, 720, Some(FrameRate { num, den }));
            list.into_iter().map(|r| (r.name, r.halved, r.bit_rate)).collect()
        };
        let row = |name: &str, halved, bits| (name.to_owned(), halved, bits);
        let fast = [row("720p", false, 3_500_000), row("480p", true, 1_200_000), row("360p", true, 700_000)];
        assert_eq!(of(Profile::P720, 60_000, 1001), fast);
        assert_eq!(of(Profile::P720, 50, 1), fast);
        assert!(of(Profile::P720, 30, 1).iter().all(|(_, halved, _)| !halved));
        // The best that a viewer gets is what was sent.
        assert_eq!(of(Profile::P480, 60, 1), [row("480p", false, 1_680_000), row("360p", true, 700_000)]);
        assert_eq!(Profile::P480.pixels_per_second(60), 480 * 480 * 16 / 9 * 60 + 360 * 360 * 16 / 9 * 30);
    }

    #[test]
    fn the_documented_ladders_are_these() {
        let page = include_str!("../../docs/LADDERS.md");
        let mut expected = 0;
        for profile in Profile::ALL {
            let rungs: Vec<String> = profile
                .rungs()
                .iter()
                .map(|r| format!("{}p {}", r.short_side, f64::from(r.bit_rate) / 1e6))
                .collect();
            let row = format!("| `{profile}` | {} |", rungs.join(", "));
            assert!(page.contains(&row), "docs/LADDERS.md lacks: {row}");
            expected += 1;
        }
        assert_eq!(page.matches("\n| `").count(), expected, "docs/LADDERS.md has rows of no profile");
        for number in
            [HIGH_FRAME_RATE, HIGH_FRAME_RATE_FACTOR_PERCENT, MAX_RATE_PERCENT, FULL_RATE_SHORT_SIDE]
        {
            assert!(page.contains(&format!(" {number} ")), "docs/LADDERS.md lacks {number}");
        }
    }

    #[test]
    fn a_profile_is_named_by_its_top_rung() {
        for profile in Profile::ALL {
            assert_eq!(format!("{}p", profile.rungs()[0].short_side), profile.name());
            assert_eq!(profile.name().parse(), Ok(*profile));
            assert_eq!(serde_json::to_string(profile).unwrap(), format!("\"{profile}\""));
            assert!(profile.rungs().windows(2).all(|w| w[0].bit_rate > w[1].bit_rate));
        }
    }
}
