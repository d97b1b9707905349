//! Timed events: something happens at a moment of the show, such as that a product goes on sale. In code a *cue*, for events are many
//! things here. Put in by the operator, kept with the broadcast, told to players by every manifest.
//!
//! Invariant: a [`Cue`] is within the bounds below; only [`Cue::new`] and the table make one.

use serde::{Deserialize, Serialize};

use crate::time::{Ticks, WallTime};

/// What the cues are called in manifests: `EventStream@schemeIdUri`, and `CLASS` of an `EXT-X-DATERANGE`.
pub const SCHEME: &str = "urn:gopcast:event:2026";
/// Most bytes of one cue's data: a product with some sentences and addresses.
pub const DATA_BYTES_MAX: usize = 2048;
/// Most bytes of all cues of a broadcast together: every manifest carries them, and every viewer of a live reads it each second or two.
pub const DATA_BYTES_TOTAL_MAX: u32 = 131_072;
/// Most cues of a broadcast: two a minute for eight hours.
pub const CUES_MAX: u32 = 1000;
/// Longest name of a cue in bytes.
pub const ID_BYTES_MAX: usize = 64;
/// Longest time that a cue lasts, in ms: a day.
pub const DURATION_MS_MAX: u32 = 86_400_000;
/// Furthest that a cue may lie ahead of the clock, in µs: a day.
pub const AHEAD_MICROS_MAX: i64 = 86_400_000_000;

/// One timed event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cue {
    /// Its name: unique in its broadcast, and what makes putting it in twice harmless.
    pub id: String,
    /// The how manieth of its broadcast it is, from 1 on: its id in manifests, where that must be a number.
    pub number: u32,
    /// When it happens, as presentation time in 1/90 000 s.
    pub at: Ticks,
    /// How long it lasts in ms, if it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
    /// What happens: a JSON object.
    pub data: String,
    /// When it was put in, by the gateway's clock.
    pub noted: WallTime,
}

/// Why a cue is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CueError {
    /// Its name is empty, too long, or has other characters.
    #[error("an event's id is 1 to {ID_BYTES_MAX} of the characters a-z, A-Z, 0-9, '.', '_' and '-'")]
    Id,
    /// Its data are no JSON object.
    #[error("an event's data must be a JSON object, such as {{\"title\":\"Red shoes\"}}")]
    NoObject,
    /// Its data are too long.
    #[error("an event's data may have {DATA_BYTES_MAX} bytes, these have {0}")]
    Long(usize),
    /// It lasts too long, or no time at all.
    #[error("an event lasts 1 to {DURATION_MS_MAX} ms")]
    Duration,
    /// It would be before the first picture.
    #[error("the show had not begun then: an event lies at its start or later")]
    Early,
    /// It is more than a day ahead.
    #[error("an event may lie a day ahead, not more")]
    Ahead,
    /// The broadcast has as many as it may.
    #[error("the show has {CUES_MAX} events, or {DATA_BYTES_TOTAL_MAX} bytes of them: no more are taken")]
    Many,
}

impl Cue {
    /// A cue that is within all bounds of its own. `data` is spelled anew, without white space.
    ///
    /// # Errors
    /// What is wrong with it, in words for whoever put it in.
    pub fn new(
        id: &str,
        number: u32,
        at: Ticks,
        duration_ms: Option<u32>,
        data: &str,
        noted: WallTime,
    ) -> Result<Self, CueError> {
        let named = id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if id.is_empty() || id.len() > ID_BYTES_MAX || !named {
            return Err(CueError::Id);
        }
        if data.len() > DATA_BYTES_MAX {
            return Err(CueError::Long(data.len()));
        }
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(data).map_err(|_| CueError::NoObject)?;
        let data = serde_json::to_string(&object).map_err(|_| CueError::NoObject)?;
        if data.len() > DATA_BYTES_MAX {
            return Err(CueError::Long(data.len()));
        }
        if duration_ms.is_some_and(|ms| ms == 0 || ms > DURATION_MS_MAX) {
            return Err(CueError::Duration);
        }
        if at < 0 {
            return Err(CueError::Early);
        }
        Ok(Self { id: id.to_owned(), number, at, duration_ms, data, noted })
    }

    /// Whether it is the same, put in once more.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        Self { number: other.number, noted: other.noted, ..self.clone() } == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cue_is_spelled_without_white_space() {
        let cue =
            Cue::new("sale-1", 3, 90, Some(5), " { \"title\" : \"Red <shoes>\" } ", WallTime(7)).unwrap();
        assert_eq!(cue.data, r#"{"title":"Red <shoes>"}"#);
        let text = r#"{"id":"sale-1","number":3,"at":90,"duration_ms":5,"data":"{\"title\":\"Red <shoes>\"}","noted":7}"#;
        assert_eq!(serde_json::to_string(&cue).unwrap(), text);
        assert_eq!(serde_json::from_str::<Cue>(text).unwrap(), cue);
        assert!(cue.same_as(&Cue { number: 4, noted: WallTime(8), ..cue.clone() }));
        assert!(!cue.same_as(&Cue { at: 91, ..cue.clone() }));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let new = |id: &str, at, duration, data: &str| {
            Cue::new(id, 1, at, duration, data, WallTime(0)).unwrap_err()
        };
        for id in ["", "a b", "ä", &"x".repeat(65)] {
            assert_eq!(new(id, 0, None, "{}"), CueError::Id);
        }
        for data in ["", "[]", "\"x\"", "{", "{}{}", "7"] {
            assert_eq!(new("x", 0, None, data), CueError::NoObject, "{data}");
        }
        assert_eq!(new("x", 0, None, &format!("{{\"a\":\"{}\"}}", "b".repeat(2048))), CueError::Long(2056));
        assert_eq!(new("x", -1, None, "{}"), CueError::Early);
        assert_eq!(new("x", 0, Some(0), "{}"), CueError::Duration);
        assert_eq!(new("x", 0, Some(DURATION_MS_MAX + 1), "{}"), CueError::Duration);
    }
}
