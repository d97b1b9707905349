//! How a rung is encoded: everything that libx264 is told, derived from the rendition, the source's format and the plan alone.
//!
//! Invariant: whatever ends up in the parameter sets (and so in the initialization segment) depends on the format only: neither on
//! what a particular GOP holds, nor on the preset or the number of threads. All GOPs of one format therefore share one initialization
//! segment, also when a faster or slower encoder takes over.

use media::{
    ladder::Rendition,
    time::{FrameRate, Ticks, VIDEO_TIMESCALE},
    timeline::video::USUAL_RATES,
};

use super::Preset;

/// Consecutive B-pictures at most. With `b-pyramid=none` none of them is referred to.
pub(super) const B_FRAMES: u32 = 3;
/// Frames by which decoding runs ahead of presentation. One, because B-pictures are not referred to (`b-pyramid=none`).
pub const REORDER_FRAMES: i64 = 1;
/// Frames that the survey looks ahead at most; x264's own limit (`X264_LOOKAHEAD_MAX`).
const LOOKAHEAD_FRAMES_MAX: usize = 250;
/// Frames that the survey looks ahead at least: x264's own default for its faster presets.
const LOOKAHEAD_FRAMES_MIN: usize = 10;
/// Short side of the survey's pictures. Measured to plan as well as the smallest rung's size does, at half of the cost.
const SURVEY_SHORT_SIDE: u32 = 216;
/// The survey's pictures are a multiple of this wide, 8 macroblocks. x264's block tree (164, with AVX) takes so many at once, and reads memory that nobody wrote
/// where a row ends before: the survey would differ from run to run.
const SURVEY_WIDTH_STEP: u32 = 128;
/// The survey's constant quality: near what rungs come to, so that what the survey says need not be carried far.
const SURVEY_CRF: u32 = 27;
/// How far a GOP's bits may stray from its plan while it is encoded, as x264's `ratetol`: a tenth of the default. A GOP then ends within 1 % or so
/// of its budget, at no loss of quality (measured); a third of this costs quality.
const RATE_TOLERANCE: &str = "0.1";
/// Pictures after which x264 may act upon the bits being other than planned, by telling it that these are a second's: left to itself it first looks
/// after a second, when half of the GOP is gone.
const STEERED_AFTER: u32 = 4;
/// Strength of adaptive quantisation: less than x264's 1.0, which takes more from the detailed parts of a picture than is seen in the flat ones (+0.8 VMAF).
const AQ_STRENGTH: &str = "0.7";
/// From where on x264 rounds a coefficient up instead of down, in pictures that refer to others and in IDR pictures, of 32; its own are 21 and 11. Keeps
/// texture and grain that would be rounded away, at no cost (+1 VMAF; as much as its trellis, which takes a tenth more time).
const DEAD_ZONES: (u32, u32) = (6, 6);
/// A GOP may take this share of its budget, in percent. One that took more is encoded again: below what manifests declare
/// ([`Rendition::max_rate`]), and above what x264 misses a plan by that the survey was right about.
const TAKEN_PERCENT_MAX: Ticks = 112;
/// Least that x264 is asked for, in bit/s: it counts in thousands, and takes none for "as you like".
const BIT_RATE_MIN: i64 = 1000;
/// Finest quantiser: beyond it nobody sees a difference, and a picture that hardly changes would take its whole budget all the same.
const QUANTISER_MIN: u32 = 10;
/// A GOP is given the bits of this many ticks at least (a quarter of a second): one that was cut short is mostly its IDR picture.
const BUDGET_TICKS_MIN: Ticks = 22_500;
/// A picture interval may differ from a usual frame rate's by this much, in percent, and still count as that rate.
const SNAP_PERCENT: i64 = 3;
/// What a variable frame rate counts as, unless it is mostly faster than [`FAST_ABOVE`].
const SLOW_RATE: FrameRate = FrameRate { num: 30, den: 1 };
/// What a variable frame rate counts as when it is mostly faster than [`FAST_ABOVE`].
const FAST_RATE: FrameRate = FrameRate { num: 60, den: 1 };
/// Frames a second above which a variable rate counts as [`FAST_RATE`]: half way between the two.
const FAST_ABOVE: i64 = 45;
/// The rate that a chunk is encoded and described with: its constant rate, else the usual rate that most of its pictures keep
/// (a stream that loses a frame now and then stays what it is), else one of two fixed rates.
///
/// `sorted` are its presentation times in order and the chunk's end.
#[must_use]
pub fn nominal_rate(constant: Option<FrameRate>, sorted: &[Ticks]) -> FrameRate {
    if let Some(rate) = constant.filter(|rate| rate.num > 0 && rate.den > 0) {
        return rate;
    }
    let mut gaps: Vec<Ticks> = sorted.windows(2).map(|w| w[1] - w[0]).collect();
    gaps.sort_unstable();
    let Some(median) = gaps.get(gaps.len() / 2).copied().filter(|gap| *gap > 0) else { return SLOW_RATE };
    let distance = |rate: &FrameRate| (rate.ticks(1) - median).abs();
    match USUAL_RATES.into_iter().min_by_key(distance) {
        Some(rate) if distance(&rate) * 100 <= rate.ticks(1) * SNAP_PERCENT => rate,
        _ if median * FAST_ABOVE < Ticks::from(VIDEO_TIMESCALE) => FAST_RATE,
        _ => SLOW_RATE,
    }
}

/// The colour description of a picture (ITU-T H.273 code points).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour {
    /// `ColourPrimaries`.
    pub primaries: u8,
    /// `TransferCharacteristics`.
    pub transfer: u8,
    /// `MatrixCoefficients`.
    pub matrix: u8,
    /// Samples use the full range of values.
    pub full_range: bool,
}

impl Colour {
    /// H.273: the value that says nothing.
    pub(super) const UNSPECIFIED: u8 = 2;

    /// Fills what the source leaves unsaid with what players assume for its size: BT.709 from 720 lines on, else BT.601. Left
    /// unsaid, each rung would be shown with the assumption for *its* size and colours would change with the rung.
    #[must_use]
    pub(super) fn or_assumed(self, width: u32, height: u32) -> Self {
        let assumed = if width.min(height) >= 720 { 1 } else { 6 };
        let fill = |value: u8| if value == Self::UNSPECIFIED || value == 0 { assumed } else { value };
        Self {
            primaries: fill(self.primaries),
            transfer: fill(self.transfer),
            matrix: fill(self.matrix),
            ..self
        }
    }
}

/// The sample aspect ratio that keeps the display aspect ratio of a `from` picture with samples of `sar` when scaled to `to`.
#[must_use]
pub(super) fn scaled_sar(sar: (u32, u32), from: (u32, u32), to: (u32, u32)) -> (u32, u32) {
    let (sar_w, sar_h) = if sar.0 == 0 || sar.1 == 0 { (1, 1) } else { sar };
    let mut num = u128::from(sar_w) * u128::from(from.0) * u128::from(to.1);
    let mut den = u128::from(sar_h) * u128::from(from.1) * u128::from(to.0);
    let divisor = gcd(num, den).max(1);
    (num, den) = (num / divisor, den / divisor);
    // H.264 has 16 bits for each (E.2.1); halving keeps the ratio to better than a pixel.
    while num > u128::from(u16::MAX) || den > u128::from(u16::MAX) {
        (num, den) = (num.div_ceil(2), den.div_ceil(2));
    }
    match (u32::try_from(num), u32::try_from(den)) {
        (Ok(num), Ok(den)) if num > 0 && den > 0 => (num, den),
        _ => (1, 1),
    }
}

/// The size in which an `image` with square pixels just fits into a picture of `size` with samples of `sar`.
#[must_use]
pub(super) fn fitted(image: (u32, u32), size: (u32, u32), sar: (u32, u32)) -> (u32, u32) {
    let (sar_w, sar_h) = if sar.0 == 0 || sar.1 == 0 { (1, 1) } else { sar };
    // The picture's width per height, and the image's, over a common denominator. Factors of 32 bits: no product overflows.
    let outer = u128::from(size.0) * u128::from(sar_w) * u128::from(image.1);
    let own = u128::from(size.1) * u128::from(sar_h) * u128::from(image.0);
    let part = |of: u32, num: u128, den: u128| {
        let den = den.max(1);
        let part = (u128::from(of) * num + den / 2) / den;
        u32::try_from(part).unwrap_or(of).clamp(1, of.max(1))
    };
    if own >= outer { (size.0, part(size.1, outer, own)) } else { (part(size.0, own, outer), size.1) }
}

/// The greatest common divisor.
#[must_use]
pub(crate) fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Which of a chunk's pictures a rung has, and when they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pace {
    /// Presentation times in order.
    pub(super) times: Vec<Ticks>,
    pub(super) rate: FrameRate,
    /// For each picture of the chunk its index among those of this pace; none if they are the same.
    places: Option<Vec<Option<i64>>>,
}

impl Pace {
    /// Every picture.
    pub(super) fn whole(times: &[Ticks], rate: FrameRate) -> Self {
        Self { times: times.to_vec(), rate, places: None }
    }

    /// The first picture in each period of half the `rate`: every other one if none is missing; where pictures are missing, what there is.
    pub(super) fn halved(times: &[Ticks], rate: FrameRate) -> Self {
        let half = halved(rate);
        let start = times.first().copied().unwrap_or(0);
        // In quarters of a period: times are rounded to ticks and may jitter, so that a period is taken to begin a quarter early.
        let quarters = i128::from(VIDEO_TIMESCALE) * i128::from(half.den.max(1));
        let period = |time: Ticks| {
            (i128::from(time - start) * i128::from(half.num) * 4 + quarters).div_euclid(quarters * 4)
        };
        let (mut kept, mut places, mut last) = (Vec::new(), Vec::with_capacity(times.len()), None);
        for time in times {
            let now = Some(period(*time));
            places.push(if now == last { None } else { i64::try_from(kept.len()).ok() });
            if now != last {
                kept.push(*time);
            }
            last = now;
        }
        Self { times: kept, rate: half, places: Some(places) }
    }

    pub(super) fn is_halved(&self) -> bool {
        self.places.is_some()
    }

    /// The index among its own pictures of the chunk's picture `tag`, if it is one of them.
    pub(super) fn place(&self, tag: i64) -> Option<i64> {
        match &self.places {
            None => Some(tag),
            Some(places) => usize::try_from(tag).ok().and_then(|tag| places.get(tag).copied().flatten()),
        }
    }
}

/// Half a frame rate.
#[must_use]
pub(super) fn halved(rate: FrameRate) -> FrameRate {
    if rate.num.is_multiple_of(2) {
        FrameRate { num: rate.num / 2, ..rate }
    } else {
        FrameRate { den: rate.den.saturating_mul(2), ..rate }
    }
}

/// The size of the pictures that those of `size` are surveyed by. What is learnt is spread over
/// a rung's pictures in each direction by itself, so that the shape need not be quite the same.
#[must_use]
pub(super) fn survey_size(size: (u32, u32)) -> (u32, u32) {
    let short = size.0.min(size.1).max(1);
    let target = short.min(SURVEY_SHORT_SIDE);
    let side = |side: u32| {
        let scaled = u64::from(side) * u64::from(target) / u64::from(short);
        u32::try_from(scaled).unwrap_or(side)
    };
    let steps = ((side(size.0) + SURVEY_WIDTH_STEP / 2) / SURVEY_WIDTH_STEP).max(1);
    (steps * SURVEY_WIDTH_STEP, (side(size.1) & !1).max(2))
}

/// ITU-T H.264, table A-1: level, macroblocks a second, macroblocks a picture, kbit/s (High profile: 1.25 times the Baseline value).
const LEVELS: [(&str, u64, u64, u64); 17] = [
    ("1.0", 1_485, 99, 80),
    ("1.1", 3_000, 396, 240),
    ("1.2", 6_000, 396, 480),
    ("1.3", 11_880, 396, 960),
    ("2.0", 11_880, 396, 2_500),
    ("2.1", 19_800, 792, 5_000),
    ("2.2", 20_250, 1_620, 5_000),
    ("3.0", 40_500, 1_620, 12_500),
    ("3.1", 108_000, 3_600, 17_500),
    ("3.2", 216_000, 5_120, 25_000),
    ("4.0", 245_760, 8_192, 25_000),
    ("4.1", 245_760, 8_192, 62_500),
    ("4.2", 522_240, 8_704, 62_500),
    ("5.0", 589_824, 22_080, 168_750),
    ("5.1", 983_040, 36_864, 300_000),
    ("5.2", 2_073_600, 36_864, 300_000),
    ("6.0", 4_177_920, 139_264, 300_000),
];

/// The lowest level that holds the rendition at `rate`. Width and height alone are limited to √(8 × picture) macroblocks (A.3.1).
#[must_use]
pub(super) fn level(rendition: &Rendition, rate: FrameRate) -> &'static str {
    let (w, h) = (u64::from(rendition.width.div_ceil(16)), u64::from(rendition.height.div_ceil(16)));
    let picture = w * h;
    let per_second = (picture * u64::from(rate.num)).div_ceil(u64::from(rate.den.max(1)));
    let kbits = u64::from(rendition.max_rate() / 1000);
    LEVELS
        .iter()
        .find(|(_, mbps, fs, br)| {
            per_second <= *mbps && picture <= *fs && kbits <= *br && w * w <= 8 * fs && h * h <= 8 * fs
        })
        .map_or("6.2", |(name, ..)| name)
}

/// What the two passes must have alike.
fn common(threads: usize) -> Vec<(&'static str, String)> {
    vec![
        ("bf", B_FRAMES.to_string()),
        ("b-pyramid", "none".to_owned()),
        // One IDR at the start and never another: no scene cut, and a GOP length that no chunk has.
        ("sc_threshold", "0".to_owned()),
        // What presets differ in and parameter sets record. Ultrafast would go without most of it; with it, it costs a little more
        // and looks much better.
        ("coder", "cabac".to_owned()),
        ("8x8dct", "1".to_owned()),
        ("weightb", "1".to_owned()),
        ("weightp", "simple".to_owned()),
        ("refs", "1".to_owned()),
        ("g", i32::MAX.to_string()),
        ("mbtree", "1".to_owned()),
        ("aq-mode", "1".to_owned()),
        ("aq-strength", AQ_STRENGTH.to_owned()),
        ("threads", threads.to_string()),
    ]
}

/// The options for libx264 to survey a GOP of `frames`, by the names FFmpeg gives them.
#[must_use]
pub(super) fn survey_options(frames: usize) -> Vec<(&'static str, String)> {
    let lookahead = frames.clamp(LOOKAHEAD_FRAMES_MIN, LOOKAHEAD_FRAMES_MAX);
    let mut options = vec![("preset", Preset::Veryfast.name().to_owned())];
    options.extend(common(1));
    options.extend([
        ("crf", SURVEY_CRF.to_string()),
        ("rc-lookahead", lookahead.to_string()),
        // As slow as a second pass would be: what blocks cost is what it is asked for.
        ("fastfirstpass", "0".to_owned()),
    ]);
    options
}

/// What x264 is asked for to encode a GOP that lasts `length`, in bit/s.
#[must_use]
pub(super) fn planned(rendition: &Rendition, length: Ticks) -> i64 {
    let length = length.max(1);
    i64::from(rendition.bit_rate) * length.max(BUDGET_TICKS_MIN) / length
}

/// What x264 is to be asked for if a GOP that lasts `length` took `bytes` when it was asked for `asked` bit/s. `None` if that is what it may take.
#[must_use]
pub(super) fn asked_again(rendition: &Rendition, length: Ticks, asked: i64, bytes: usize) -> Option<i64> {
    let budget = i128::from(planned(rendition, length)) * i128::from(length) / i128::from(VIDEO_TIMESCALE);
    let took = i128::try_from(bytes).unwrap_or(i128::MAX).saturating_mul(8);
    if took * 100 <= budget * i128::from(TAKEN_PERCENT_MAX) {
        return None;
    }
    i64::try_from(i128::from(asked) * budget / took.max(1)).ok().map(|bits| bits.max(BIT_RATE_MIN))
}

/// The options for libx264 to encode a surveyed GOP with `bit_rate` bit/s, by the names FFmpeg gives them.
///
/// There is no buffer model: the GOP as a whole keeps to its budget, and a player fetches it as a whole. Without one, several threads give
/// the same bytes every time; with one, x264 looks at how far other threads happen to be.
#[must_use]
pub(super) fn x264_options(
    rendition: &Rendition,
    rate: FrameRate,
    bit_rate: i64,
    preset: Preset,
    threads: usize,
) -> Vec<(&'static str, String)> {
    let (inter, intra) = DEAD_ZONES;
    let mut options = vec![("preset", preset.name().to_owned())];
    options.extend(common(threads));
    options.extend([
        ("b", bit_rate.to_string()),
        // Stitchable: a second pass would else put the GOP's mean quantiser into the picture parameter set. Pictures are timed by their time
        // stamps (`force-cfr`), so that what is said of their rate steers the bits and nothing else.
        (
            "x264-params",
            format!(
                "ratetol={RATE_TOLERANCE}:stitchable=1:deadzone-inter={inter}:deadzone-intra={intra}:force-cfr=0:fps={STEERED_AFTER}/1"
            ),
        ),
        ("qmin", QUANTISER_MIN.to_string()),
        // Not looked ahead by: the survey has. Zero, as the fastest presets have it, would turn the survey's block tree off.
        ("rc-lookahead", LOOKAHEAD_FRAMES_MIN.to_string()),
        ("level", level(rendition, rate).to_owned()),
    ]);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::ladder::Profile;

    fn rate(num: u32, den: u32) -> FrameRate {
        FrameRate { num, den }
    }

    #[test]
    fn a_lost_frame_does_not_change_the_rate() {
        let mut times: Vec<Ticks> = (0..=60).map(|n| rate(30_000, 1001).ticks(n)).collect();
        times.remove(17);
        assert_eq!(nominal_rate(None, &times), rate(30_000, 1001));
        times.remove(30);
        assert_eq!(nominal_rate(None, &times), rate(30_000, 1001));
        assert_eq!(nominal_rate(Some(rate(12, 1)), &times), rate(12, 1));
    }

    #[test]
    fn a_truly_variable_rate_is_one_of_two() {
        let slow: Vec<Ticks> = (0..50).map(|n| n * 3300 + (n % 3) * 50).collect();
        assert_eq!(nominal_rate(None, &slow), SLOW_RATE);
        assert_eq!(nominal_rate(None, &[0, 700, 1400, 2100]), FAST_RATE);
        assert_eq!(nominal_rate(None, &[0]), SLOW_RATE);
        assert_eq!(nominal_rate(None, &[]), SLOW_RATE);
    }

    #[test]
    fn sample_aspect_ratio_keeps_the_display_aspect_ratio() {
        assert_eq!(scaled_sar((1, 1), (1280, 720), (1280, 720)), (1, 1));
        assert_eq!(scaled_sar((1, 1), (1280, 720), (852, 480)), (640, 639));
        assert_eq!(scaled_sar((0, 1), (1280, 720), (640, 360)), (1, 1));
        assert_eq!(scaled_sar((64, 45), (720, 576), (450, 360)), (64, 45));
        let (num, den) = scaled_sar((65_521, 65_519), (4095, 2159), (640, 338));
        let want = 65_521.0 / 65_519.0 * 4095.0 / 2159.0 * 338.0 / 640.0;
        assert!((f64::from(num) / f64::from(den) / want - 1.0).abs() < 1e-3);
    }

    #[test]
    fn an_image_fits_the_shown_shape() {
        assert_eq!(fitted((1920, 1080), (640, 360), (1, 1)), (640, 360));
        assert_eq!(fitted((100, 100), (640, 360), (1, 1)), (360, 360));
        assert_eq!(fitted((100, 100), (360, 640), (0, 1)), (360, 360));
        assert_eq!(fitted((1600, 400), (640, 360), (1, 1)), (640, 160));
        // 720 × 576 shown as 16:9.
        assert_eq!(fitted((1920, 1080), (720, 576), (64, 45)), (720, 576));
        assert_eq!(fitted((500, 500), (720, 576), (64, 45)), (405, 576));
        assert_eq!(fitted((1, 5000), (640, 360), (1, 1)), (1, 360));
        assert_eq!(fitted((u32::MAX, 1), (u32::MAX, 1), (1, 1)), (u32::MAX, 1));
    }

    #[test]
    fn levels_of_the_usual_rungs() {
        let level_of = |p: Profile, w, h, r: FrameRate| level(&p.renditions(w, h, Some(r))[0], r);
        assert_eq!(level_of(Profile::P360, 640, 360, rate(30, 1)), "3.0");
        assert_eq!(level_of(Profile::P720, 1280, 720, rate(30, 1)), "3.1");
        assert_eq!(level_of(Profile::P720, 720, 1280, rate(60, 1)), "3.2");
        assert_eq!(level_of(Profile::P1080, 1920, 1080, rate(30, 1)), "4.0");
        assert_eq!(level_of(Profile::P1080, 1920, 1080, rate(60, 1)), "4.2");
        assert_eq!(level_of(Profile::P2160, 3840, 2160, rate(60, 1)), "5.2");
    }

    #[test]
    fn half_a_rate_is_every_other_picture_or_what_there_is() {
        let times: Vec<Ticks> = (0..7).map(|n| 500 + rate(60_000, 1001).ticks(n)).collect();
        let half = Pace::halved(&times, rate(60_000, 1001));
        assert_eq!(half.rate, rate(30_000, 1001));
        assert_eq!(half.times, [times[0], times[2], times[4], times[6]]);
        assert_eq!(
            (0..8).map(|tag| half.place(tag)).collect::<Vec<_>>()[..4],
            [Some(0), None, Some(1), None]
        );
        assert_eq!(half.place(7), None);
        // The third picture is lost: the fourth stands in for it, and the one after that is where it would have been.
        let mut lossy = times.clone();
        lossy.remove(2);
        assert_eq!(Pace::halved(&lossy, rate(60_000, 1001)).times, [times[0], times[3], times[4], times[6]]);
        // Slower than half the rate all along: nothing is left out.
        let slow: Vec<Ticks> = (0..10).map(|n| n * 4500).collect();
        assert_eq!(Pace::halved(&slow, rate(60, 1)).times, slow);
        assert_eq!(halved(rate(25, 1)), rate(25, 2));
    }

    #[test]
    fn surveys_are_small_and_of_a_width_that_x264_takes() {
        assert_eq!(survey_size((1920, 1080)), (384, 216));
        assert_eq!(survey_size((720, 1280)), (256, 384));
        assert_eq!(survey_size((1080, 1080)), (256, 216));
        assert_eq!(survey_size((161, 121)), (128, 120));
        assert_eq!(survey_size((4096, 16)), (4096, 16));
        assert_eq!(survey_size((1, 1)), (128, 2));
    }

    #[test]
    fn a_gop_that_was_cut_short_is_given_the_bits_of_a_quarter_of_a_second() {
        let rendition = &Profile::P360.renditions(640, 360, None)[0];
        assert_eq!(planned(rendition, 180_000), 700_000);
        assert_eq!(planned(rendition, 3000), 5_250_000);
        assert_eq!(planned(rendition, 0), 700_000i64 * 22_500);
    }

    #[test]
    fn a_gop_that_took_too_much_is_asked_for_less() {
        let rendition = &Profile::P360.renditions(640, 360, None)[0];
        // Two seconds at 700 kbit/s are 175,000 bytes.
        let again = |asked, bytes| asked_again(rendition, 180_000, asked, bytes);
        assert_eq!(again(700_000, 175_000 * 112 / 100), None);
        assert_eq!(again(700_000, 350_000), Some(350_000));
        assert_eq!(again(350_000, 350_000), Some(175_000));
        assert_eq!(asked_again(rendition, 0, 700_000, 1_000_000), Some(BIT_RATE_MIN));
        assert!(again(i64::MAX, usize::MAX).is_some());
    }

    #[test]
    fn unsaid_colours_are_the_same_on_every_rung() {
        let none = Colour { primaries: 2, transfer: 2, matrix: 2, full_range: false };
        assert_eq!(none.or_assumed(1280, 720).matrix, 1);
        assert_eq!(none.or_assumed(640, 360).matrix, 6);
        let hdr = Colour { primaries: 9, transfer: 16, matrix: 9, full_range: false };
        assert_eq!(hdr.or_assumed(640, 360), hdr);
    }
}
