//! `bench-latency`: from a camera to a viewer's screen, measured in a real browser, and where the time goes.
//!
//! A camera that draws the wall clock into each picture is published by the `ffmpeg` command; gopcast's own page plays it in Chromium,
//! and the clock is read back from the video element. Both ends have one clock. What it prints is a table per GOP length.

use std::{
    io::Write,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tests::{
    browser::{self, Glass},
    mpd::{Mpd, ticks_to_seconds},
    poll,
    stack::{Options, Stack},
    stamp::{self, Stamp},
};

/// GOP lengths, in seconds.
const GOPS: [u32; 2] = [1, 2];
/// Pictures a second.
const FPS: u32 = 30;
/// The camera's picture before it is scaled up: one cell of 8 × 8 for each block of the stamp.
const CAMERA: (usize, usize) = (stamp::COLUMNS * 8, (stamp::ROWS + 1) * 8);
/// What is published, so that the ladder has 480p and 360p.
const SIZE: &str = "854:480";
/// The player may find its feet for this long.
const SETTLE_SECONDS: u64 = 15;
/// Measured for this long, unless the first argument says otherwise.
const MEASURE_SECONDS: u64 = 40;
/// From the start of the publish to a manifest.
const ON_AIR_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks at the manifest.
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn main() -> Result<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(MEASURE_SECONDS), |text| text.parse())?;
    println!("{:>5} {:>34} {:>8} {:>8} {:>8}", "GOP", "", "p50", "p95", "max");
    for gop in GOPS {
        for (what, values) in measure(gop, seconds)? {
            let [p50, p95, max] = quantiles(values, [0.50, 0.95, 1.0]);
            println!("{gop:>3} s {what:>34} {p50:>6.2} s {p95:>6.2} s {max:>6.2} s");
        }
    }
    Ok(())
}

/// Seconds of each stage.
fn measure(gop: u32, seconds: u64) -> Result<Vec<(&'static str, Vec<f64>)>> {
    let stack = Options::lives(["glass"]).encoders(1).ladder("480p").start()?;
    let camera = Camera::start(&stack.publish_url("glass")?, gop)?;
    let mpd = stack.live("glass")?.mpd.clone();
    poll::until(
        "a live manifest",
        ON_AIR_WITHIN,
        || Ok((stack.http.get(&mpd)?.status == 200).then_some(())),
    )?;
    let listed = Listed::start(&stack, mpd);
    let glass = browser::glass(&stack.ready.http, "/watch/glass", SETTLE_SECONDS, seconds)?;
    let listed = listed.end()?;
    camera.end();
    let logged = logged(&stack)?;
    stack.stop()?;
    anyhow::ensure!(glass.errors.is_empty(), "the page: {:#?}", glass.errors);
    eprintln!("{} pictures read, {} unreadable, {} stalls", glass.seen.len(), glass.unread, glass.stalls);
    let player = |of: fn(&Glass) -> &[f64]| of(&glass).to_vec();
    let gop = f64::from(gop);
    Ok(vec![
        ("camera to screen", player(|g| &g.seen)),
        ("edge to screen (as the player says)", player(|g| &g.latency)),
        ("delay that the manifest asks for", player(|g| &g.target)),
        ("the GOP's own length", vec![gop]),
        ("its last byte to its commit", logged.0),
        ("of it: transcoding", logged.1),
        ("its end to being listed at the CDN", listed),
        ("left in the player's buffer", player(|g| &g.buffer)),
    ])
}

/// A camera and the program that publishes what it sees.
struct Camera {
    stop: Arc<AtomicBool>,
    running: Option<JoinHandle<()>>,
    ffmpeg: Child,
}

impl Camera {
    fn start(url: &str, gop: u32) -> Result<Self> {
        let keys = (gop * FPS).to_string();
        let mut ffmpeg = Command::new("ffmpeg")
            .args(["-hide_banner", "-nostats", "-v", "error", "-f", "rawvideo", "-pix_fmt", "gray"])
            .args(["-s", &format!("{}x{}", CAMERA.0, CAMERA.1), "-r", &FPS.to_string(), "-i", "-"])
            .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-map", "0:v", "-map", "1:a"])
            .args(["-vf", &format!("scale={SIZE}:flags=neighbor,format=yuv420p")])
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-b:v", "1500k"])
            .args(["-g", &keys, "-keyint_min", &keys, "-sc_threshold", "0", "-c:a", "aac", "-b:a", "96k"])
            .args(["-f", "flv", url])
            .stdin(Stdio::piped())
            .spawn()
            .context("starting ffmpeg")?;
        let mut to = ffmpeg.stdin.take().context("ffmpeg's input")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let running = thread::spawn(move || {
            let start = Instant::now();
            let mut picture = vec![0; CAMERA.0 * CAMERA.1];
            for number in 0.. {
                let due = start + Duration::from_secs(1) * number / FPS;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let number = u32::try_from(unix_ms() & 0xf_ffff).unwrap_or(0);
                stamp::draw(&mut picture, CAMERA.0, CAMERA.1, Stamp { mark: 5, number }, false);
                if stopped.load(Ordering::Relaxed) || to.write_all(&picture).is_err() {
                    return;
                }
            }
        });
        Ok(Self { stop, running: Some(running), ffmpeg })
    }

    /// Ends the show as a broadcaster does.
    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
        // Its sound has no end: that of the pictures does not end it.
        if let Ok(id) = i32::try_from(self.ffmpeg.id()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGINT);
        }
        let _ = self.ffmpeg.wait();
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.ffmpeg.kill();
        let _ = self.ffmpeg.wait();
    }
}

/// Looks at the live manifest as a player would, and notes when each GOP is first listed.
struct Listed {
    stop: Arc<AtomicBool>,
    after: Arc<Mutex<Vec<f64>>>,
    running: JoinHandle<Result<()>>,
}

impl Listed {
    fn start(stack: &Stack, url: String) -> Self {
        let (stop, after) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<f64>>>::default());
        let (http, stopped, found) = (stack.http.clone(), Arc::clone(&stop), Arc::clone(&after));
        let running = thread::spawn(move || -> Result<()> {
            let mut last = 0;
            while !stopped.load(Ordering::Relaxed) {
                let mpd = Mpd::parse(&url, &String::from_utf8(http.body(&url)?)?)?;
                let track = mpd.periods.iter().rev().flat_map(|p| &p.tracks).find(|t| t.is_video());
                let track = track.context("no pictures")?;
                let end = track.segments.last().map_or(0, |s| s.time + s.duration);
                if end > last && last > 0 {
                    let start = mpd.availability_start_ms.context("no availabilityStartTime")?;
                    let shown = ticks_to_seconds(end, track.timescale)
                        - ticks_to_seconds(track.offset, track.timescale);
                    let now = f64::from(i32::try_from(unix_ms() - start)?) / 1000.0;
                    found.lock().unwrap_or_else(PoisonError::into_inner).push(now - shown);
                }
                last = end;
                thread::sleep(LOOK_EVERY);
            }
            Ok(())
        });
        Self { stop, after, running }
    }

    fn end(self) -> Result<Vec<f64>> {
        self.stop.store(true, Ordering::Relaxed);
        self.running.join().map_err(|_| anyhow::anyhow!("the observer panicked"))??;
        Ok(std::mem::take(&mut self.after.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// From the encoders' logs: seconds from a chunk's last byte at the edge to its commit, and of transcoding in it.
fn logged(stack: &Stack) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut since, mut transcoding) = (Vec::new(), Vec::new());
    for line in stack.log()?.lines() {
        let Ok(value) = serde_json::from_str::<Value>(line) else { continue };
        let field =
            |name: &str| value.get(name).or_else(|| value.get("fields")?.get(name)).and_then(Value::as_f64);
        if let (Some(a), Some(b)) = (field("since_received_ms"), field("transcode_ms")) {
            since.push(a / 1000.0);
            transcoding.push(b / 1000.0);
        }
    }
    Ok((since, transcoding))
}

fn quantiles<const N: usize>(mut values: Vec<f64>, wanted: [f64; N]) -> [f64; N] {
    values.sort_by(f64::total_cmp);
    wanted.map(|part| {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "thousands of values"
        )]
        let at = ((values.len().saturating_sub(1)) as f64 * part).round() as usize;
        values.get(at).copied().unwrap_or(f64::NAN)
    })
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
