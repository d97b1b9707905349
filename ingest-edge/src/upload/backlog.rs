//! How much waits to be stored: per publish, and in the process.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use service::metrics::defs::{BACKLOG_BYTES, BACKLOG_CHUNKS};
use tokio::sync::Notify;

/// Most chunks of a publish that wait to be stored: a minute of the usual 2 s GOPs.
pub(super) const CHUNKS_MAX: usize = 32;
/// Most bytes of a publish that wait to be stored: one largest chunk, or 25 s at 20 Mbit/s.
pub(super) const BYTES_MAX: usize = 64 << 20;
/// Most bytes of all publishes that wait to be stored, by default: what an edge task of 4 GB has to spare.
pub const PROCESS_BYTES_MAX: usize = 2 << 30;

/// What all publishes share.
#[derive(Debug)]
pub struct Budget {
    max: usize,
    bytes: AtomicUsize,
}

impl Budget {
    /// Room for `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, bytes: AtomicUsize::new(0) })
    }
}

/// What waits of one publish. Gives its share back when it is dropped.
#[derive(Debug)]
pub struct Backlog {
    budget: Arc<Budget>,
    chunks: AtomicUsize,
    bytes: AtomicUsize,
    shrunk: Notify,
}

impl Backlog {
    /// An empty backlog within a budget.
    #[must_use]
    pub fn new(budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            budget: Arc::clone(budget),
            chunks: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            shrunk: Notify::new(),
        })
    }

    /// Whether nothing more should be added.
    #[must_use]
    pub fn full(&self) -> bool {
        let own = self.bytes.load(Ordering::Relaxed);
        self.chunks.load(Ordering::Relaxed) >= CHUNKS_MAX
            || own >= BYTES_MAX
            // Whoever has nothing waiting may go on: it is others that hold the room.
            || (own > 0 && self.budget.bytes.load(Ordering::Relaxed) >= self.budget.max)
    }

    /// A chunk of so many bytes waits.
    pub fn add(&self, bytes: usize) {
        BACKLOG_CHUNKS.add(1.0);
        BACKLOG_BYTES.add(bytes as f64);
        self.chunks.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.budget.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A chunk of so many bytes is stored.
    pub fn remove(&self, bytes: usize) {
        BACKLOG_CHUNKS.add(-1.0);
        BACKLOG_BYTES.add(-(bytes as f64));
        self.chunks.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.shrunk.notify_one();
    }

    /// Waits until a chunk has been stored since the last wait.
    pub async fn shrunk(&self) {
        self.shrunk.notified().await;
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        BACKLOG_CHUNKS.add(-(*self.chunks.get_mut() as f64));
        BACKLOG_BYTES.add(-(*self.bytes.get_mut() as f64));
        self.budget.bytes.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_shares() {
        let budget = Budget::new(100);
        let (a, b) = (Backlog::new(&budget), Backlog::new(&budget));
        a.add(60);
        b.add(50);
        assert!(a.full() && b.full());
        a.remove(60);
        assert!(!a.full() && !b.full());
        a.add(60);
        drop(b);
        assert!(!a.full());
        for _ in 0..CHUNKS_MAX {
            a.add(0);
        }
        assert!(a.full());
        drop(a);
        assert_eq!(budget.bytes.load(Ordering::Relaxed), 0);
    }
}
