//! A broadcaster as OBS or a phone is one: keeps a publisher going, and when that loses its connection starts it again, to the next
//! address, where the show has got to by then and with time stamps from zero.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{process::Lines, publisher::Publisher, source::Source};

/// How often it is looked whether the publisher is still there.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A publisher that ends by itself this short before its file's end has sent it all: the file is sent at its own speed.
const END_SLACK: Duration = Duration::from_millis(1500);

struct Shared {
    stop: AtomicBool,
    without_goodbye: AtomicBool,
    pause_ms: AtomicU64,
    logs: Mutex<Vec<Lines>>,
}

/// A running broadcaster. Dropping it ends the publisher without goodbye.
pub struct Broadcaster {
    shared: Arc<Shared>,
    running: Option<JoinHandle<Result<()>>>,
}

impl Broadcaster {
    /// Publishes `source` to the first of `urls`; with `comes_back`, each time that the connection is lost to the next one,
    /// that much later.
    #[must_use]
    pub fn start(source: &Source, urls: Vec<String>, comes_back: Option<Duration>) -> Self {
        let pause = comes_back.map_or(0, |pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            without_goodbye: AtomicBool::new(false),
            pause_ms: AtomicU64::new(pause),
            logs: Mutex::default(),
        });
        let (source, state) = (source.clone(), Arc::clone(&shared));
        let running = thread::spawn(move || run(&source, &urls, comes_back.is_some(), &state));
        Self { shared, running: Some(running) }
    }

    /// Changes how long it stays away the next time.
    pub fn set_pause(&self, pause: Duration) {
        self.shared.pause_ms.store(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What its publishers have said, each life after the other.
    #[must_use]
    pub fn logs(&self) -> Vec<String> {
        let logs = self.shared.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.iter().map(Lines::text).collect()
    }

    /// How often it has begun to publish.
    #[must_use]
    pub fn publishes(&self) -> usize {
        self.shared.logs.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether it has ended by itself: its source is over, or it was cut and does not come back.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.running.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends the show as a user does: with goodbye.
    ///
    /// # Errors
    /// When the publisher can't be started or ended.
    pub fn end(mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let running = self.running.take().context("already ended")?;
        running.join().map_err(|_| anyhow::anyhow!("the broadcaster's thread panicked"))?
    }
}

impl Drop for Broadcaster {
    fn drop(&mut self) {
        self.shared.without_goodbye.store(true, Ordering::Relaxed);
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

fn run(source: &Source, urls: &[String], comes_back: bool, shared: &Shared) -> Result<()> {
    let length = Duration::from_secs(source.format.seconds);
    // Whole seconds: every source of the scenarios has one.
    let gop = (source.format.gop * source.format.per_seconds / source.format.frames).max(1);
    let started = Instant::now();
    for url in urls.iter().cycle() {
        let from = started.elapsed().as_secs().next_multiple_of(gop);
        let from = if started.elapsed() < Duration::from_millis(100) { 0 } else { from };
        if Duration::from_secs(from) >= length {
            return Ok(());
        }
        let begun = Instant::now();
        let mut publisher = Publisher::ffmpeg_from(source, url, from)?;
        shared.logs.lock().unwrap_or_else(PoisonError::into_inner).push(publisher.log().clone());
        while publisher.is_running()? {
            if shared.stop.load(Ordering::Relaxed) {
                let without_goodbye = shared.without_goodbye.load(Ordering::Relaxed);
                return if without_goodbye { publisher.kill() } else { publisher.interrupt() };
            }
            thread::sleep(LOOK_EVERY);
        }
        let over = begun.elapsed() + END_SLACK >= length.saturating_sub(Duration::from_secs(from));
        if over || !comes_back {
            return Ok(());
        }
        let away = Instant::now();
        while away.elapsed() < Duration::from_millis(shared.pause_ms.load(Ordering::Relaxed)) {
            if shared.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
    }
    Ok(())
}
