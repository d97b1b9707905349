//! The two JSON objects that the web pages read: the list of lives, and what one live has on air and to replay. Derived from the table,
//! rewritten whole at each change.

use serde::{Deserialize, Serialize};

use crate::id::{BroadcastId, LiveId};

/// Most replays listed per live; older ones stay playable by their address.
pub const REPLAYS_MAX: usize = 50;

/// `live/index.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lives {
    /// When it was written (RFC 3339).
    pub updated: String,
    /// Every live, by name.
    pub lives: Vec<LiveSummary>,
}

/// One live in the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveSummary {
    /// Its name in URLs.
    pub live: LiveId,
    /// Its name for people.
    pub title: String,
    /// Whether it is on air.
    pub on_air: bool,
    /// What is on air.
    pub broadcast: Option<BroadcastId>,
    /// Since when (RFC 3339).
    pub started: Option<String>,
    /// Path of a picture of what is on air, if there is one.
    #[serde(default)]
    pub poster: Option<String>,
    /// The latest finished broadcast.
    pub last_replay: Option<Replay>,
}

/// `live/{live}/index.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// When it was written (RFC 3339).
    pub updated: String,
    /// Its name in URLs.
    pub live: LiveId,
    /// Its name for people.
    pub title: String,
    /// What is on air.
    pub on_air: Option<OnAir>,
    /// Finished broadcasts, newest first, at most [`REPLAYS_MAX`].
    pub replays: Vec<Replay>,
}

/// A broadcast on air.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OnAir {
    /// Which.
    pub broadcast: BroadcastId,
    /// Since when (RFC 3339).
    pub started: String,
    /// Path of its manifest.
    pub manifest: String,
    /// Path of a picture of it, if there is one.
    #[serde(default)]
    pub poster: Option<String>,
}

/// A finished broadcast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Which.
    pub broadcast: BroadcastId,
    /// When it started (RFC 3339).
    pub started: String,
    /// When it ended (RFC 3339).
    pub ended: String,
    /// How long it plays, in seconds.
    pub duration_seconds: f64,
    /// Path of its manifest.
    pub manifest: String,
    /// Path of a picture of it, if there is one.
    #[serde(default)]
    pub poster: Option<String>,
}
