//! The operator puts a timed event into what is on air.

use media::{
    cue::{AHEAD_MICROS_MAX, CUES_MAX, Cue, CueError, DATA_BYTES_TOTAL_MAX},
    time::{VIDEO_TIMESCALE, WallTime, rescale},
    wire::AddCue,
};
use service::table::CueCount;

const MICROS: u32 = 1_000_000;

/// What to do about a `cue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CueDecision {
    /// Keep it.
    Add(Cue),
    /// It is kept already.
    There(Cue),
    /// It can't be kept.
    Refuse(String),
}

/// Decides a `cue` for a broadcast that is on air since `start`. `there` is what the broadcast has under that name, `count` how many it
/// has.
#[must_use]
pub fn cue(
    request: &AddCue,
    start: WallTime,
    there: Option<&Cue>,
    count: CueCount,
    now: WallTime,
) -> CueDecision {
    let at = request.at.unwrap_or(now);
    let wanted = Cue::new(
        &request.id,
        count.cues.saturating_add(1),
        presentation(start, at),
        request.duration_ms,
        &request.data,
        now,
    );
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(error) => return CueDecision::Refuse(error.to_string()),
    };
    if let Some(there) = there {
        // "Now" was when it came first.
        let wanted = Cue { at: request.at.map_or(there.at, |_| wanted.at), ..wanted };
        return if wanted.same_as(there) {
            CueDecision::There(there.clone())
        } else {
            CueDecision::Refuse(format!("there is another event named {} in this show", request.id))
        };
    }
    if at.micros_since(now) > AHEAD_MICROS_MAX {
        return CueDecision::Refuse(CueError::Ahead.to_string());
    }
    let bytes = u32::try_from(wanted.data.len()).unwrap_or(u32::MAX);
    if count.cues >= CUES_MAX || count.bytes.saturating_add(bytes) > DATA_BYTES_TOTAL_MAX {
        return CueDecision::Refuse(CueError::Many.to_string());
    }
    CueDecision::Add(wanted)
}

fn presentation(start: WallTime, at: WallTime) -> i64 {
    rescale(at.micros_since(start), MICROS, VIDEO_TIMESCALE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: WallTime = WallTime(1_000_000_000);
    const NOW: WallTime = WallTime(1_010_000_000);

    fn request(at: Option<i64>) -> AddCue {
        AddCue {
            live: "demo".parse().unwrap(),
            id: "a".to_owned(),
            at: at.map(WallTime),
            duration_ms: None,
            data: r#"{"title":"x"}"#.to_owned(),
        }
    }

    fn decide(request: &AddCue, there: Option<&Cue>, cues: u32) -> CueDecision {
        cue(request, START, there, CueCount { cues, bytes: 0 }, NOW)
    }

    #[test]
    fn an_event_lies_at_its_wall_clock_time() {
        let CueDecision::Add(added) = decide(&request(None), None, 4) else { panic!() };
        assert_eq!((added.at, added.number), (900_000, 5));
        let CueDecision::Add(added) = decide(&request(Some(1_000_500_000)), None, 0) else { panic!() };
        assert_eq!(added.at, 45_000);
    }

    #[test]
    fn the_same_once_more_is_there() {
        let CueDecision::Add(first) = decide(&request(None), None, 0) else { panic!() };
        let later = WallTime(NOW.0 + 3_000_000);
        let count = CueCount { cues: 1, bytes: 13 };
        let again = cue(&request(None), START, Some(&first), count, later);
        assert_eq!(again, CueDecision::There(first.clone()));
        let other = AddCue { data: "{}".to_owned(), ..request(None) };
        assert!(matches!(decide(&other, Some(&first), 1), CueDecision::Refuse(_)));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let refused = |request: &AddCue, cues, says: &str| {
            let CueDecision::Refuse(reason) = decide(request, None, cues) else { panic!("{request:?}") };
            assert!(reason.contains(says), "{reason}");
        };
        refused(&request(Some(999_000_000)), 0, "had not begun");
        refused(&request(Some(NOW.0 + AHEAD_MICROS_MAX + 1)), 0, "a day ahead");
        refused(&request(None), CUES_MAX, "no more are taken");
        refused(&AddCue { data: "no".to_owned(), ..request(None) }, 0, "JSON object");
        let full = CueCount { cues: 9, bytes: DATA_BYTES_TOTAL_MAX };
        assert!(matches!(cue(&request(None), START, None, full, NOW), CueDecision::Refuse(_)));
    }
}
