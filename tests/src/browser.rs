//! The browser: a headless Chromium that plays streams with the players that people use, driven by `browser/driver.mjs`.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde_json::Value;

use crate::process::{Process, run};

/// What a driver run may need beyond what it plays: starting the browser on a busy machine, and its end.
const GRACE: Duration = Duration::from_secs(60);

/// A player.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Player {
    /// dash.js, default settings.
    DashJs,
    /// shaka-player, default settings.
    Shaka,
}

impl Player {
    /// Both.
    pub const ALL: [Self; 2] = [Self::DashJs, Self::Shaka];

    fn name(self) -> &'static str {
        match self {
            Self::DashJs => "dashjs",
            Self::Shaka => "shaka",
        }
    }
}

/// What a player did.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Playback {
    /// Errors of the player, the media element or the page.
    pub errors: Vec<String>,
    /// Each stop of playback after the first three seconds.
    pub stalls: Vec<Stall>,
    /// Milliseconds from loading the stream to its first moving picture.
    pub startup_ms: f64,
    /// Where playback was when it first moved, in seconds.
    pub first_position: f64,
    /// Where it was at the end.
    pub last_position: f64,
    /// Wall-clock seconds that it was watched, from the first moving picture on.
    pub watched: f64,
    /// Whether it ended by itself.
    pub ended: bool,
    /// `duration` of the media element; `None` for a live stream.
    pub duration: Option<f64>,
    /// Pictures decoded.
    pub frames: u64,
    /// Pictures decoded and not shown.
    pub dropped: u64,
    /// Bytes of sound decoded.
    pub audio_bytes: u64,
    /// Seconds behind the source, as the player computes it.
    pub latency: Option<f64>,
    /// Seconds since the first moving picture, and the latency then, each second.
    pub latencies: Vec<(f64, f64)>,
    /// Heights of the rungs played, in the order met.
    pub heights: Vec<u32>,
    /// What the player says is to be seen in the storyboard: of a live stream 4 s before its last position, of a
    /// replay half way.
    pub preview: Option<Preview>,
}

/// A picture of a storyboard, by a player's word.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Its address.
    pub url: String,
    /// Its width in pixels, as the player has it.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// Width and height of the image that is there.
    pub loaded: (f64, f64),
}

/// A stop that is over before the next picture was due, in seconds (at 30 a second), is none: `waiting` and `playing` come together when a
/// buffer is topped up at the last moment, and nobody sees it.
const PICTURE_SECONDS: f64 = 1.0 / 30.0;

/// One stop of playback.
#[derive(Debug, Clone, Deserialize)]
pub struct Stall {
    /// Seconds since the first moving picture.
    pub at: f64,
    /// Where playback stood.
    pub position: f64,
    /// For how long, in seconds.
    pub length: f64,
}

/// What the pages did.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pages {
    /// Errors on the console, uncaught exceptions, and replies of status 400 and above.
    pub errors: Vec<String>,
    /// Requests to other hosts than the page's own.
    pub foreign: Vec<String>,
    /// Per page: what it was asked for, its title, and how far its video moved.
    pub pages: Vec<Page>,
}

/// One page.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// Its path.
    pub path: String,
    /// Its title.
    pub title: String,
    /// Text that people see on it.
    pub text: String,
    /// Seconds that its video moved; `None` when it has none.
    pub moved: Option<f64>,
    /// Pictures decoded.
    pub frames: u64,
    /// Frames of shows on its cards, by address.
    pub posters: Vec<String>,
    /// Where the video's poster is.
    pub poster: Option<String>,
    /// What is seen above the seek bar when the pointer is on its middle.
    pub preview: Option<Hovered>,
    /// The screenshot.
    pub screenshot: PathBuf,
}

/// The picture above a page's seek bar.
#[derive(Debug, Clone, Deserialize)]
pub struct Hovered {
    /// Its address.
    pub url: String,
    /// Width and height of the image.
    pub size: (u32, u32),
    /// The time beside it.
    pub text: String,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// Installs the players and the driver's library, once, from the lock file.
fn install() -> Result<()> {
    static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        let folder = folder();
        // npm writes this file last.
        if folder.join("node_modules/.package-lock.json").exists() {
            return Ok(());
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder);
        run("npm ci", &mut npm).map(|_| ()).map_err(|error| format!("{error:#}"))
    });
    installed.clone().map_err(|error| anyhow!(error))
}

fn drive<T: serde::de::DeserializeOwned>(task: &Value, limit: Duration) -> Result<T> {
    install()?;
    let mut node = Command::new("node");
    node.arg(folder().join("driver.mjs")).arg(task.to_string());
    let mut process = Process::start("the browser", &mut node)?;
    let status = process.wait(limit + GRACE)?;
    anyhow::ensure!(status.success(), "the driver ended with {status}:\n{}", process.err.text());
    let line = process.out.wait("the driver's report", 0, GRACE, |line| serde_json::from_str(line).ok())?;
    serde_json::from_value(line).context("the driver's report")
}

impl Player {
    /// Plays a live stream for `seconds`.
    ///
    /// # Errors
    /// When the browser can't be driven; what the player did wrong is in the report.
    pub fn live(self, mpd: &str, seconds: u64) -> Result<Playback> {
        let task = serde_json::json!({
            "task": "play", "player": self.name(), "mpd": mpd, "seconds": seconds, "live": true, "rate": 1,
        });
        drive(&task, Duration::from_secs(seconds))
    }

    /// Plays a live stream for `seconds`, whatever happens to it: errors do not end it.
    ///
    /// # Errors
    /// When the browser can't be driven; what the player did wrong is in the report.
    pub fn watch(self, mpd: &str, seconds: u64) -> Result<Playback> {
        let task = serde_json::json!({
            "task": "play", "player": self.name(), "mpd": mpd, "seconds": seconds, "live": true, "rate": 1, "patient": true,
        });
        drive(&task, Duration::from_secs(seconds))
    }

    /// Plays a replay of `length` seconds from start to end, `rate` times as fast.
    ///
    /// # Errors
    /// When the browser can't be driven; what the player did wrong is in the report.
    pub fn replay(self, mpd: &str, length: f64, rate: f64) -> Result<Playback> {
        let limit = Duration::from_secs_f64(length / rate) + GRACE;
        let task = serde_json::json!({
            "task": "play", "player": self.name(), "mpd": mpd, "seconds": limit.as_secs(), "live": false, "rate": rate,
        });
        drive(&task, limit)
    }
}

impl Playback {
    /// Checks that a live stream was played for `seconds` as people expect: no error, no stop, picture and sound.
    ///
    /// # Errors
    /// What was not so.
    pub fn check_live(&self, seconds: f64, fps: f64) -> Result<()> {
        self.check_common()?;
        let moved = self.last_position - self.first_position;
        anyhow::ensure!(moved > 0.9 * seconds, "in {seconds} s playback moved {moved:.2} s: {self:?}");
        anyhow::ensure!(self.frames_at_least(0.9 * seconds * fps), "too few pictures: {self:?}");
        Ok(())
    }

    /// Checks that a replay of `length` seconds was played from start to end.
    ///
    /// # Errors
    /// What was not so.
    pub fn check_replay(&self, length: f64, fps: f64) -> Result<()> {
        self.check_common()?;
        let duration = self.duration.context("a replay without duration")?;
        anyhow::ensure!((duration - length).abs() < 0.3, "{duration} s instead of {length} s: {self:?}");
        anyhow::ensure!(self.first_position < 1.0, "it did not start at the start: {self:?}");
        anyhow::ensure!(self.ended && duration - self.last_position < 0.3, "not to the end: {self:?}");
        anyhow::ensure!(self.frames_at_least(0.9 * length * fps), "too few pictures: {self:?}");
        Ok(())
    }

    /// Checks that the player found the storyboard's picture, and that it is as large as declared. `at`: when, in seconds of the media
    /// timeline; the picture's name is a time at most `gop` seconds before that.
    ///
    /// # Errors
    /// What was not so.
    pub fn check_preview(&self, at: f64, gop: f64) -> Result<()> {
        let preview = self.preview.as_ref().with_context(|| format!("no preview: {self:?}"))?;
        let Preview { url, width, height, loaded } = preview;
        let same = (loaded.0 - width).abs() < 1.0 && (loaded.1 - height).abs() < 1.0 && *width > 0.0;
        anyhow::ensure!(same, "another size than declared: {preview:?}");
        let name = url.rsplit('/').next().and_then(|name| name.strip_suffix(".jpg")).unwrap_or_default();
        // Media time: a second ahead, in 1/90 000 s.
        let time = name.parse::<f64>().with_context(|| url.clone())? / 90_000.0 - 1.0;
        anyhow::ensure!((-0.1..gop + 0.1).contains(&(at - time)), "at {at} s the picture of {time} s: {url}");
        Ok(())
    }

    /// The longest stop, in seconds.
    #[must_use]
    pub fn worst_stall(&self) -> f64 {
        self.stalls.iter().map(|stall| stall.length).fold(0.0, f64::max)
    }

    /// Whether a picture came late because playback had stopped.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.worst_stall() >= PICTURE_SECONDS
    }

    fn check_common(&self) -> Result<()> {
        anyhow::ensure!(self.errors.is_empty(), "errors: {:#?}", self.errors);
        anyhow::ensure!(!self.stopped(), "playback stopped: {self:#?}");
        anyhow::ensure!(self.audio_bytes > 0, "no sound was decoded: {self:?}");
        Ok(())
    }

    fn frames_at_least(&self, least: f64) -> bool {
        u32::try_from(self.frames).is_ok_and(|frames| f64::from(frames) >= least)
    }
}

/// Opens gopcast's own pages one after the other, stays `seconds` on each, and takes a picture of each into `screenshots`.
///
/// # Errors
/// When the browser can't be driven; what the pages did wrong is in the report.
pub fn visit(http: &str, paths: &[String], seconds: u64, screenshots: &Path) -> Result<Pages> {
    let task = serde_json::json!({
        "task": "pages", "http": http, "paths": paths, "seconds": seconds, "screenshots": screenshots,
    });
    let limit = Duration::from_secs(seconds * u64::try_from(paths.len()).unwrap_or(1));
    drive(&task, limit)
}

/// What a viewer of gopcast's own page saw of a camera that draws the time; seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Glass {
    /// What the page did wrong.
    pub errors: Vec<String>,
    /// From drawing to being shown, of each picture that was read.
    pub seen: Vec<f64>,
    /// Pictures whose stamp could not be read.
    pub unread: u64,
    /// Stops of playback.
    pub stalls: u64,
    /// The latency that the player says, each second.
    pub latency: Vec<f64>,
    /// The one that it aims at.
    pub target: Vec<f64>,
    /// What it has in its buffer.
    pub buffer: Vec<f64>,
}

/// Opens gopcast's own page of a live whose pictures carry the milliseconds of the wall clock as their number, waits `settle` seconds from
/// the first picture on, and reads for `seconds`.
///
/// # Errors
/// When the browser can't be driven; what the page did wrong is in the report.
pub fn glass(http: &str, path: &str, settle: u64, seconds: u64) -> Result<Glass> {
    let task = serde_json::json!({ "task": "glass", "url": format!("{http}{path}"), "settle": settle, "seconds": seconds });
    drive(&task, Duration::from_secs(settle + seconds))
}

/// A player that is moved about: its connection made slow for a while, its position changed.
#[derive(Debug, Clone, Copy)]
pub struct Exploration<'a> {
    /// `dashjs`, `shaka` or `hlsjs`, at its default settings.
    pub player: &'a str,
    /// What is played.
    pub url: &'a str,
    /// The scheme of the timed events that are noted.
    pub scheme: &'a str,
    /// Bytes a second that the connection gives while it is slow; never slow without.
    pub slow: Option<u64>,
    /// For how long it is, in seconds.
    pub slow_seconds: u64,
    /// How long is played at full speed: before, and afterwards again.
    pub fast_seconds: u64,
    /// Where to go then, as shares of what can be gone to.
    pub seeks: &'a [f64],
}

/// What it did.
#[derive(Debug, Clone, Deserialize)]
pub struct Explored {
    /// Errors of the player, the media element or the page.
    pub errors: Vec<String>,
    /// Heights of the rungs played, in the order met.
    pub heights: Vec<u32>,
    /// The timed events that playback met.
    pub events: Vec<Met>,
    /// Seconds to the first moving picture; `None` when there was none.
    pub startup: Option<f64>,
    /// How it stood when pictures moved.
    pub started: Standing,
    /// Before the connection became slow.
    pub before: Standing,
    /// At the end of that.
    pub slow: Option<Standing>,
    /// After it was fast again.
    pub after: Standing,
    /// Each seek.
    pub seeks: Vec<Sought>,
}

/// A timed event that playback met.
#[derive(Debug, Clone, Deserialize)]
pub struct Met {
    /// When it is, as the player says, in seconds of the media element's time.
    pub start: f64,
    /// Where playback was when the player said so.
    pub at: f64,
    /// Its data.
    pub data: Option<String>,
}

/// How playback stands.
#[derive(Debug, Clone, Deserialize)]
pub struct Standing {
    /// Where it is, in seconds.
    pub position: f64,
    /// Seconds that it has stopped since the last look.
    pub stalled: f64,
    /// Height of the rung that is shown.
    pub height: u32,
}

/// A seek.
#[derive(Debug, Clone, Deserialize)]
pub struct Sought {
    /// Where to, in seconds.
    pub to: f64,
    /// Seconds until pictures moved; `None` when they did not.
    pub took: Option<f64>,
    /// Where playback was then.
    pub at: f64,
}

impl Exploration<'_> {
    /// Does it.
    ///
    /// # Errors
    /// When the browser can't be driven; what the player did wrong is in the report.
    pub fn run(&self) -> Result<Explored> {
        let task = serde_json::json!({
            "task": "explore", "player": self.player, "url": self.url, "scheme": self.scheme, "slow": self.slow,
            "slowSeconds": self.slow_seconds, "fastSeconds": self.fast_seconds, "seeks": self.seeks,
        });
        let seeks = u64::try_from(self.seeks.len()).unwrap_or(0) * SEEK_LIMIT;
        drive(&task, Duration::from_secs(2 * self.fast_seconds + self.slow_seconds + seeks))
    }
}

/// What one seek may take at most, in seconds.
const SEEK_LIMIT: u64 = 16;
