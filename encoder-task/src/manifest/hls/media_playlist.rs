//! One media playlist (RFC 8216, 4.3.2 and 4.3.3).

use std::fmt::Write as _;

use media::{
    cue,
    ledger::{Init, Segment},
    names::suffix,
    time::{Ticks, VIDEO_TIMESCALE, WallTime, media_origin, rescale},
};

use super::{Kind, Playing, Playlists, init, pick};
use crate::manifest::{
    LIVE_WINDOW_SECONDS,
    cues::Placed,
    periods::{Entry, Plan, window_start},
};

/// `EXT-X-MAP` in a playlist that is not of I-frames alone (RFC 8216, 7).
pub(super) const VERSION: u32 = 6;
const MICROS: u32 = 1_000_000;
/// What a playlist of 2 s GOPs needs for a segment, in bytes, and for its head.
const LINE_BYTES: usize = 40;
const HEAD_BYTES: usize = 400;

/// What a playlist has in the place of an entry.
enum Slot<'a> {
    Plays(&'a Segment, &'a Init),
    /// The Period has nothing of this kind.
    Gap,
    /// This entry is too short for a frame of sound.
    Nothing,
}

impl<'a> Playlists<'a> {
    pub(super) fn media_playlist(&self, playing: &Playing<'a>, kind: Kind, ended: bool) -> String {
        let plans = &self.timeline.plans;
        let from = (kind == Kind::Window).then(|| window_start(plans, LIVE_WINDOW_SECONDS));
        let mut body = String::with_capacity(LINE_BYTES * self.segments());
        let (mut left, mut left_discontinuities) = (0u64, 0u64);
        let mut cues =
            self.cues.iter().filter(|(_, placed)| from.is_none_or(|from| self.reaches(placed, from)));
        let mut due = cues.next();
        // That of the last segment that was written.
        let mut mapped: Option<&Init> = None;
        let mut index = 0;
        for (n, plan) in plans.iter().enumerate() {
            let silent =
                !plan.entries.iter().any(|entry| pick(entry, playing.rung, &playing.alike).is_some());
            let mut begins = true;
            for entry in &plan.entries {
                index += 1;
                let slot = self.slot(playing, entry, silent);
                if matches!(slot, Slot::Nothing) {
                    continue;
                }
                let discontinuity = std::mem::take(&mut begins) && n > 0;
                if from.is_some_and(|from| entry.end <= from) {
                    left += 1;
                    left_discontinuities += u64::from(discontinuity);
                    continue;
                }
                while let Some((_, placed)) = due.filter(|(anchor, _)| *anchor < index) {
                    self.date_range(&mut body, placed);
                    due = cues.next();
                }
                if discontinuity {
                    body.push_str("#EXT-X-DISCONTINUITY\n");
                }
                let dated = discontinuity || mapped.is_none();
                self.entry(&mut body, playing, plan, entry, &slot, dated, &mut mapped);
            }
        }
        while let Some((_, placed)) = due {
            self.date_range(&mut body, placed);
            due = cues.next();
        }
        let mut text = String::with_capacity(HEAD_BYTES + body.len());
        let target = self.target;
        let _ = writeln!(text, "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{target}");
        if kind == Kind::Window {
            let _ = writeln!(
                text,
                "#EXT-X-MEDIA-SEQUENCE:{left}\n#EXT-X-DISCONTINUITY-SEQUENCE:{left_discontinuities}"
            );
        }
        match kind {
            Kind::Window => {}
            Kind::Event => text.push_str("#EXT-X-PLAYLIST-TYPE:EVENT\n"),
            Kind::Replay => text.push_str("#EXT-X-PLAYLIST-TYPE:VOD\n"),
        }
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        text.push_str(&body);
        if ended {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        text
    }

    /// Whether a timed event is in a window that begins at `from`, or lasts into it.
    fn reaches(&self, placed: &Placed<'a>, from: Ticks) -> bool {
        let at = self.timeline.plans.get(placed.plan).map_or(0, |plan| plan.origin) + placed.after;
        at + placed.lasts.unwrap_or(0) > from
    }

    /// A timed event (RFC 8216, 4.3.2.7). Its data are JSON, whose quotes a quoted string can't hold: they are bytes.
    fn date_range(&self, out: &mut String, placed: &Placed<'a>) {
        let origin = self.timeline.plans.get(placed.plan).map_or(0, |plan| plan.origin);
        let start = self.input.availability_start.plus_micros(micros(origin + placed.after, VIDEO_TIMESCALE));
        let (id, class) = (&placed.cue.id, cue::SCHEME);
        let _ = write!(
            out,
            "#EXT-X-DATERANGE:ID=\"{id}\",CLASS=\"{class}\",START-DATE=\"{}\"",
            to_nearest_ms(start).rfc3339()
        );
        if let Some(ms) = placed.lasts.map(|lasts| rescale(lasts, VIDEO_TIMESCALE, 1000)) {
            let _ = write!(out, ",DURATION={}.{:03}", ms / 1000, ms % 1000);
        }
        let _ = writeln!(out, ",X-DATA=0x{}", hex::encode_upper(&placed.cue.data));
    }

    fn slot(&self, playing: &Playing<'a>, entry: &Entry<'a>, silent: bool) -> Slot<'a> {
        let found = pick(entry, playing.rung, &playing.alike);
        match found.and_then(|segment| Some((segment, init(self.timeline, segment).ok()?))) {
            Some((segment, init)) => Slot::Plays(segment, init),
            None if silent || !playing.is_audio => Slot::Gap,
            None => Slot::Nothing,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one line of one loop")]
    fn entry(
        &self,
        out: &mut String,
        playing: &Playing<'a>,
        plan: &Plan<'a>,
        entry: &Entry<'a>,
        slot: &Slot<'a>,
        dated: bool,
        mapped: &mut Option<&'a Init>,
    ) {
        // A gap has none of its own, and stands under that of what is nearest.
        let own = match slot {
            Slot::Plays(_, init) => Some(*init),
            Slot::Gap | Slot::Nothing => mapped.or_else(|| playing.inits.first().copied()),
        };
        let folder = |rung: &str| if rung == playing.rung { String::new() } else { format!("../{rung}/") };
        if let Some(own) = own
            && mapped.is_none_or(|mapped| (&mapped.rung, &mapped.config) != (&own.rung, &own.config))
        {
            let _ = writeln!(out, "#EXT-X-MAP:URI=\"{}init-{}.mp4\"", folder(&own.rung), own.config);
            *mapped = Some(own);
        }
        let (from, micros) = match slot {
            Slot::Plays(segment, init) => (began(segment, init), length(segment.duration, init.timescale)),
            Slot::Gap | Slot::Nothing => {
                let length = u64::try_from(entry.end - entry.start).unwrap_or(0);
                (micros(entry.start, VIDEO_TIMESCALE), self::length(length, VIDEO_TIMESCALE))
            }
        };
        if dated {
            let at = self.input.availability_start.plus_micros(from);
            let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", to_nearest_ms(at).rfc3339());
        }
        let _ = writeln!(out, "#EXTINF:{}.{:06},", micros / u64::from(MICROS), micros % u64::from(MICROS));
        let suffix = suffix(plan.naming);
        let _ = match slot {
            Slot::Plays(segment, _) => {
                writeln!(out, "{}{}{suffix}.m4s", folder(&segment.rung), segment.time)
            }
            Slot::Gap | Slot::Nothing => writeln!(out, "#EXT-X-GAP\ngap-{}.m4s", entry.start),
        };
    }
}

/// Where a segment begins, in microseconds of presentation time.
fn began(segment: &Segment, init: &Init) -> i64 {
    let time = i64::try_from(segment.time).unwrap_or(i64::MAX);
    micros(time - media_origin(init.timescale), init.timescale)
}

fn micros(ticks: Ticks, timescale: u32) -> i64 {
    rescale(ticks, timescale, MICROS)
}

/// How long a segment lasts in microseconds, to nearest.
fn length(duration: u64, timescale: u32) -> u64 {
    let ticks = i64::try_from(duration).unwrap_or(i64::MAX);
    u64::try_from(rescale(ticks, timescale, MICROS)).unwrap_or(0)
}

/// A date is written with milliseconds.
fn to_nearest_ms(time: WallTime) -> WallTime {
    time.plus_micros(500)
}
