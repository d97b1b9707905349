//! What goes on beside a test: a thread that is told when to stop, and is gone with its owner.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result};

/// Whether whoever started it wants no more.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// It is so.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A running thread.
#[derive(Debug)]
pub struct Background<T> {
    stop: Stop,
    running: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Background<T> {
    /// Starts `work`, which looks at [`Stop`] again and again.
    #[must_use]
    pub fn start(work: impl FnOnce(&Stop) -> T + Send + 'static) -> Self {
        let stop = Stop::default();
        let told = stop.clone();
        Self { stop, running: Some(thread::spawn(move || work(&told))) }
    }

    /// Has it stop; gives what it came to.
    ///
    /// # Errors
    /// When it panicked.
    pub fn end(mut self) -> Result<T> {
        self.stop.0.store(true, Ordering::Release);
        let running = self.running.take().context("already ended")?;
        running.join().map_err(|_| anyhow::anyhow!("what went on beside the test panicked"))
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        self.stop.0.store(true, Ordering::Release);
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn it_is_gone_with_its_owner() {
        let (say, heard) = channel();
        let background = Background::start(move |stop| {
            while !stop.is_wanted() {
                thread::yield_now();
            }
            say.send(()).unwrap();
        });
        drop(background);
        // Not later: the thread was waited for.
        assert_eq!(heard.try_recv(), Ok(()));
    }

    #[test]
    fn what_it_came_to_is_given_and_a_panic_is_an_error() {
        assert_eq!(Background::start(|_| 7).end().unwrap(), 7);
        assert!(Background::start(|_| assert_eq!(1, 2)).end().is_err());
    }
}
