//! Exactness over hours, and what happens to streams that are not exact.

use super::*;

/// How a publisher makes whole milliseconds.
#[derive(Debug, Clone, Copy)]
enum Rounding {
    Nearest,
    Down,
}

/// A publisher of a constant frame rate with two B-frames between reference frames.
struct Publisher {
    rate: FrameRate,
    gop: i64,
    b_frames: i64,
    rounding: Rounding,
}

impl Publisher {
    fn ms(&self, frames: i64) -> i64 {
        let (num, den) = (i128::from(self.rate.num), i128::from(self.rate.den));
        let scaled = i128::from(frames) * den * 1000;
        let ms = match self.rounding {
            Rounding::Nearest => (scaled * 2 + num).div_euclid(num * 2),
            Rounding::Down => scaled.div_euclid(num),
        };
        i64::try_from(ms).unwrap()
    }

    /// Frame numbers of a GOP in decode order: I, then each reference frame before the B-frames that it follows in display.
    fn order(&self, first: i64) -> Vec<i64> {
        let mut order = vec![first];
        let mut shown = first + 1;
        while shown < first + self.gop {
            let reference = (shown + self.b_frames).min(first + self.gop - 1);
            order.push(reference);
            order.extend(shown..reference);
            shown = reference + 1;
        }
        order
    }

    /// The lead of decode over presentation, in frames.
    fn lead(&self) -> i64 {
        i64::from(self.b_frames > 0)
    }

    /// The stamp of a picture: its decode time and its offset from that, each rounded for itself.
    fn stamp(&self, decoded: i64, frame: i64) -> i64 {
        let decode = decoded - self.lead();
        self.ms(decode) + self.ms(frame - decode)
    }
}

#[test]
fn a_gop_that_was_cut_off_keeps_the_rate() {
    let line = Line { ms: 0, ticks: 0 };
    let mut timeline = VideoTimeline::default();
    let gop: Vec<Millis> = (0..60).map(|n| (n * 1000 + 15) / 30).collect();
    let whole = timeline.map(line, 0, &gop, Some(2000), 0);
    assert_eq!(whole.frame_rate, Some(rate(30, 1)));
    // A key frame and the reference frame three frames on; what lies between was to come after it.
    let cut = timeline.map(line, 180_000, &[2000, 2100], None, 0);
    assert_eq!(
        (cut.frame_rate, cut.pts.as_slice(), cut.end),
        (Some(rate(30, 1)), &[180_000, 189_000][..], 192_000)
    );
    // With a GOP after it the same would be another rate.
    let mut slower = VideoTimeline::default();
    slower.map(line, 0, &gop, Some(2000), 0);
    let tens: Vec<Millis> = (20..40).map(|n| n * 100).collect();
    assert_eq!(slower.map(line, 180_000, &tens, Some(4000), 0).frame_rate, None);
}

fn run(publisher: &Publisher, timeline: &mut VideoTimeline, gops: i64, mut check: impl FnMut(i64, &Mapped)) {
    let line = Line { ms: publisher.stamp(0, 0), ticks: 0 };
    let mut start = 0;
    for n in 0..gops {
        let first = n * publisher.gop;
        let order = publisher.order(first);
        let stamps: Vec<i64> = (first..).zip(&order).map(|(d, f)| publisher.stamp(d, *f)).collect();
        let next = publisher.stamp(first + publisher.gop, first + publisher.gop);
        let lead = publisher.ms(publisher.lead());
        let mapped = timeline.map(line, start, &stamps, Some(next), lead);
        check(first, &mapped);
        start = mapped.end;
    }
}

fn exact(
    rate: FrameRate,
    gop: i64,
    b_frames: i64,
    rounding: Rounding,
    hours: i64,
    timeline: &mut VideoTimeline,
) {
    let publisher = Publisher { rate, gop, b_frames, rounding };
    let frames = hours * 3600 * i64::from(rate.num) / i64::from(rate.den);
    run(&publisher, timeline, frames / gop, |first, mapped| {
        assert_eq!(mapped.frame_rate, Some(rate), "frame {first} {rounding:?}");
        let order = publisher.order(first);
        let expected: Vec<Ticks> = order.iter().map(|f| rate.ticks(*f)).collect();
        assert_eq!(mapped.pts, expected, "frame {first}");
        for (dts, decoded) in mapped.dts.iter().zip(first..) {
            // The lead is a whole number of ticks; a frame at 24000/1001 is not.
            let off = dts - rate.ticks(decoded - publisher.lead());
            assert!(off.abs() <= 1, "decode time of picture {decoded} is {off} ticks off");
        }
        assert_eq!(mapped.end, rate.ticks(first + gop));
    });
}

const BROADCAST_RATES: [FrameRate; 8] = [
    rate(24_000, 1001),
    rate(24, 1),
    rate(25, 1),
    rate(30_000, 1001),
    rate(30, 1),
    rate(50, 1),
    rate(60_000, 1001),
    rate(60, 1),
];

#[test]
fn constant_rates_are_exact_for_hours_when_the_parameters_tell_the_rate() {
    for rate in BROADCAST_RATES {
        for rounding in [Rounding::Nearest, Rounding::Down] {
            for b_frames in [0, 2] {
                let mut timeline = VideoTimeline::default();
                timeline.declare(Some(rate), None);
                exact(rate, 60, b_frames, rounding, 1, &mut timeline);
            }
        }
    }
}

#[test]
fn constant_rates_are_exact_for_hours_from_the_stamps_alone() {
    for rate in BROADCAST_RATES {
        let gop = i64::from(rate.num / rate.den) * 2 + 2;
        for b_frames in [0, 2] {
            exact(rate, gop, b_frames, Rounding::Nearest, 2, &mut VideoTimeline::default());
        }
    }
}

#[test]
fn a_wrong_declaration_costs_one_seam() {
    // Parameters say 30, stamps say 29.97, GOPs of half a second: too short to notice at once.
    let publisher = Publisher { rate: rate(30_000, 1001), gop: 15, b_frames: 2, rounding: Rounding::Nearest };
    let mut timeline = VideoTimeline::default();
    timeline.declare(Some(rate(30, 1)), None);
    let (mut wrong, mut seams, mut end) = (0, 0, 0);
    run(&publisher, &mut timeline, 7200, |first, mapped| {
        assert_eq!(mapped.pts[0], end);
        wrong += i64::from(mapped.frame_rate != Some(publisher.rate));
        let uneven = (mapped.end - mapped.pts[0]).abs_diff(publisher.rate.ticks(15)) > 1;
        seams += i64::from(uneven && mapped.frame_rate == Some(publisher.rate));
        let off = mapped.pts[0] - publisher.rate.ticks(first);
        assert!(off.abs() <= 4 * TICKS_PER_MS, "frame {first} is {off} ticks off");
        end = mapped.end;
    });
    assert!(wrong <= 10 && seams <= 1, "{wrong} GOPs with the wrong rate, {seams} seams");
}

#[test]
fn a_camera_that_is_not_quite_30_stays_near_its_stamps() {
    let publisher = Publisher { rate: rate(30_020, 1000), gop: 60, b_frames: 0, rounding: Rounding::Nearest };
    let mut timeline = VideoTimeline::default();
    timeline.declare(Some(rate(30, 1)), None);
    let mut end = 0;
    run(&publisher, &mut timeline, 5400, |first, mapped| {
        assert_eq!(mapped.pts[0], end);
        let off = mapped.pts[0] - publisher.ms(first) * TICKS_PER_MS;
        assert!(off.abs() <= 5 * TICKS_PER_MS, "frame {first} is {off} ticks off");
        end = mapped.end;
    });
}

#[test]
fn dropped_frames_are_gaps_in_the_grid() {
    let ntsc = rate(30_000, 1001);
    let mut timeline = VideoTimeline::default();
    timeline.declare(None, snap(29.97));
    let stamps = [0, 33, 67, 167, 200, 234, 267];
    let mapped = timeline.map(Line { ms: 0, ticks: 0 }, 0, &stamps, Some(300), 0);
    assert_eq!(mapped.frame_rate, Some(ntsc));
    assert_eq!(mapped.pts, [0, 1, 2, 5, 6, 7, 8].map(|n| ntsc.ticks(n)));
    assert_eq!(mapped.end, ntsc.ticks(9));
}

#[test]
fn jittering_stamps_are_kept_to_the_millisecond() {
    let stamps = [1000, 1031, 1072, 1095, 1141];
    let mapped = VideoTimeline::default().map(Line { ms: 1000, ticks: 0 }, 0, &stamps, Some(1166), 0);
    assert_eq!(mapped.frame_rate, None);
    assert_eq!(mapped.pts, stamps.map(|ms| (ms - 1000) * 90));
    assert_eq!(mapped.end, 166 * 90);
    // Reordered, two on the same millisecond, and the next IDR not after the last picture.
    let stamps = [0, 50, 21, 21, 50];
    let mapped = VideoTimeline::default().map(Line { ms: 0, ticks: 0 }, 7, &stamps, Some(30), 0);
    assert_eq!(mapped.pts, [7, 2698, 1890, 1891, 2699]);
    assert_eq!(mapped.end, 2700);
    assert!(mapped.dts.windows(2).all(|w| w[0] < w[1]));
    assert!(mapped.dts.iter().zip(&mapped.pts).all(|(d, p)| d <= p));
}

#[test]
fn a_field_rate_in_the_parameters_is_not_taken_for_the_frame_rate() {
    let stamps: Vec<i64> = (0..60).map(|n| (n * 1000 + 15) / 30).collect();
    let mut timeline = VideoTimeline::default();
    timeline.declare(Some(rate(60, 1)), None);
    let mapped = timeline.map(Line { ms: 0, ticks: 0 }, 0, &stamps, Some(2000), 0);
    assert_eq!(mapped.frame_rate, Some(rate(30, 1)));
}

#[test]
fn the_last_picture_lasts_a_frame() {
    let line = Line { ms: 0, ticks: 0 };
    let mut timeline = VideoTimeline::default();
    timeline.declare(Some(rate(25, 1)), None);
    assert_eq!(timeline.map(line, 0, &[0], None, 0).end, 3600);
    assert_eq!(timeline.map(line, 0, &[0, 120, 40, 80], None, 40).end, 4 * 3600);
    assert_eq!(VideoTimeline::default().map(line, 0, &[0], None, 0).end, DURATION_DEFAULT);
    assert_eq!(VideoTimeline::default().map(line, 0, &[0, 71, 100], None, 0).end, 150 * 90);
}

#[test]
fn declared_numbers_mean_usual_rates() {
    for (fps, expected) in [
        (29.97, Some(rate(30_000, 1001))),
        (29.970_029_97, Some(rate(30_000, 1001))),
        (30.0, Some(rate(30, 1))),
        (23.976, Some(rate(24_000, 1001))),
        (59.94, Some(rate(60_000, 1001))),
        (60.0, Some(rate(60, 1))),
        (12.5, Some(rate(25, 2))),
        (1000.0, None),
        (0.0, None),
        (f64::NAN, None),
        (f64::INFINITY, None),
        (29.9, None),
    ] {
        assert_eq!(snap(fps), expected, "{fps}");
    }
}
