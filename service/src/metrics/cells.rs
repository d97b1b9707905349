//! What metrics are kept in: atomics. Noting is a few relaxed operations, so that the hot path may note as it likes; a reader sees each
//! number whole, and several numbers not of exactly the same moment.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::Def;

/// Most values of one label. There are some thirty codes; what comes after so many is counted as `other`.
pub const LABEL_VALUES_MAX: usize = 64;
/// The label of what has no cell of its own.
pub(super) const OTHER: &str = "other";
/// Values of a histogram kept between two looks of the log's exporter: as many as one metric may have in one line of CloudWatch's embedded
/// format. Of more, the latest stay.
pub const SAMPLES_MAX: usize = 100;
/// Most bounds of a histogram.
pub(super) const BOUNDS_MAX: usize = 16;

/// A count that only grows.
#[derive(Debug)]
pub struct Counter {
    def: Def,
    count: AtomicU64,
}

impl Counter {
    /// At zero.
    #[must_use]
    pub const fn new(def: Def) -> Self {
        Self { def, count: AtomicU64::new(0) }
    }
    /// What is said of it.
    #[must_use]
    pub fn def(&self) -> &Def {
        &self.def
    }
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }
    /// So many more.
    pub fn add(&self, more: u64) {
        self.count.fetch_add(more, Relaxed);
    }
    /// The count since the process began.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.count.load(Relaxed)
    }
}

#[derive(Debug)]
struct Cell {
    value: OnceLock<&'static str>,
    count: AtomicU64,
}

/// Counts that only grow, one for each value of a label.
#[derive(Debug)]
pub struct Labelled {
    def: Def,
    label: &'static str,
    cells: [Cell; LABEL_VALUES_MAX],
    other: AtomicU64,
}

impl Labelled {
    /// Without values.
    #[must_use]
    pub const fn new(def: Def, label: &'static str) -> Self {
        let cells = [const { Cell { value: OnceLock::new(), count: AtomicU64::new(0) } }; LABEL_VALUES_MAX];
        Self { def, label, cells, other: AtomicU64::new(0) }
    }
    /// What is said of it.
    #[must_use]
    pub fn def(&self) -> &Def {
        &self.def
    }
    /// The label's name.
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.label
    }
    /// One more of `value`.
    pub fn inc(&self, value: &'static str) {
        for cell in &self.cells {
            if *cell.value.get_or_init(|| value) == value {
                cell.count.fetch_add(1, Relaxed);
                return;
            }
        }
        self.other.fetch_add(1, Relaxed);
    }
    /// The counts since the process began, in the order in which the values first came.
    pub fn get(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let cells = self.cells.iter().map_while(|cell| Some((*cell.value.get()?, cell.count.load(Relaxed))));
        cells.chain(Some((OTHER, self.other.load(Relaxed)))).filter(|(_, count)| *count > 0)
    }
}

/// A number that goes up and down.
#[derive(Debug)]
pub struct Gauge {
    def: Def,
    bits: AtomicU64,
}

impl Gauge {
    /// At zero.
    #[must_use]
    pub const fn new(def: Def) -> Self {
        Self { def, bits: AtomicU64::new(0) }
    }
    /// What is said of it.
    #[must_use]
    pub fn def(&self) -> &Def {
        &self.def
    }
    /// It is this now.
    pub fn set(&self, value: f64) {
        self.bits.store(value.to_bits(), Relaxed);
    }
    /// So much more, or less.
    pub fn add(&self, change: f64) {
        add(&self.bits, change);
    }
    /// What it is now.
    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.bits.load(Relaxed))
    }
    /// So much more, until what is returned is dropped.
    pub fn hold(&'static self, amount: f64) -> Held {
        self.add(amount);
        Held { gauge: self, amount }
    }
}

/// A share of a [`Gauge`], given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    gauge: &'static Gauge,
    amount: f64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gauge.add(-self.amount);
    }
}

/// No sample. A NaN that nothing is observed as.
const EMPTY: u64 = u64::MAX;

/// How often which values were observed.
#[derive(Debug)]
pub struct Histogram {
    def: Def,
    bounds: &'static [f64],
    /// One for each bound, and one for what is beyond the last.
    buckets: [AtomicU64; BOUNDS_MAX + 1],
    sum: AtomicU64,
    samples: [AtomicU64; SAMPLES_MAX],
    next: AtomicU64,
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Upper bounds, each included, and how many values were at most so large.
    pub cumulative: Vec<(f64, u64)>,
    /// How many values there were.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

impl Histogram {
    /// Empty. `bounds` grow, and are at most 16.
    #[must_use]
    pub const fn new(def: Def, bounds: &'static [f64]) -> Self {
        assert!(bounds.len() <= BOUNDS_MAX, "too many bounds");
        Self {
            def,
            bounds,
            buckets: [const { AtomicU64::new(0) }; BOUNDS_MAX + 1],
            sum: AtomicU64::new(0),
            samples: [const { AtomicU64::new(EMPTY) }; SAMPLES_MAX],
            next: AtomicU64::new(0),
        }
    }
    /// What is said of it.
    #[must_use]
    pub fn def(&self) -> &Def {
        &self.def
    }
    /// A value was observed. What is not a finite number is left out.
    pub fn observe(&self, value: f64) {
        if !value.is_finite() {
            return;
        }
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Relaxed);
        add(&self.sum, value);
        let slot = self.next.fetch_add(1, Relaxed) % SAMPLES_MAX as u64;
        if let Some(sample) = usize::try_from(slot).ok().and_then(|slot| self.samples.get(slot)) {
            sample.store(value.to_bits(), Relaxed);
        }
    }
    /// A time was observed, in seconds.
    pub fn observe_time(&self, time: Duration) {
        self.observe(time.as_secs_f64());
    }
    /// All that was observed since the process began.
    #[must_use]
    pub fn get(&self) -> Distribution {
        let mut count = 0;
        let mut upto = |bucket: &AtomicU64| {
            count += bucket.load(Relaxed);
            count
        };
        let cumulative =
            self.bounds.iter().zip(&self.buckets).map(|(bound, bucket)| (*bound, upto(bucket))).collect();
        let count = upto(&self.buckets[self.bounds.len()]);
        Distribution { cumulative, count, sum: f64::from_bits(self.sum.load(Relaxed)) }
    }
    /// Takes what was observed since the last time, the latest [`SAMPLES_MAX`] of it. For one reader.
    pub(super) fn take_samples(&self) -> Vec<f64> {
        let taken = self.samples.iter().map(|sample| sample.swap(EMPTY, Relaxed));
        taken.filter(|bits| *bits != EMPTY).map(f64::from_bits).collect()
    }
}

fn add(bits: &AtomicU64, change: f64) {
    // The closure always answers, so this ends with the change made.
    let _ = bits.fetch_update(Relaxed, Relaxed, |old| Some((f64::from_bits(old) + change).to_bits()));
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Sent, Unit},
        *,
    };

    const DEF: Def =
        Def { name: "test", unit: Unit::Count, roles: &[], sent: Sent::Local, meaning: "For this test." };

    #[test]
    fn label_values_are_bounded_and_none_is_lost() {
        let labelled = Labelled::new(DEF, "code");
        let names: Vec<&'static str> =
            (0..LABEL_VALUES_MAX + 5).map(|n| &*Box::leak(n.to_string().into_boxed_str())).collect();
        for name in &names {
            labelled.inc(name);
        }
        labelled.inc(names[3]);
        let counts: Vec<_> = labelled.get().collect();
        assert_eq!(counts.len(), LABEL_VALUES_MAX + 1);
        assert_eq!((counts[3], counts.last()), (("3", 2), Some(&(OTHER, 5))));
    }

    #[test]
    fn values_fall_into_the_bucket_whose_bound_they_do_not_exceed() {
        let histogram = Histogram::new(DEF, &[1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 3.0, f64::NAN, f64::INFINITY] {
            histogram.observe(value);
        }
        let distribution = Distribution { cumulative: vec![(1.0, 2), (2.0, 3)], count: 4, sum: 6.0 };
        assert_eq!(histogram.get(), distribution);
        assert_eq!(histogram.take_samples(), [0.5, 1.0, 1.5, 3.0]);
        assert!(histogram.take_samples().is_empty());
    }

    #[test]
    fn of_many_samples_the_latest_stay() {
        let histogram = Histogram::new(DEF, &[]);
        for value in 0..250u32 {
            histogram.observe(f64::from(value));
        }
        let mut samples = histogram.take_samples();
        samples.sort_by(f64::total_cmp);
        assert_eq!((samples.len(), samples[0], samples[99]), (SAMPLES_MAX, 150.0, 249.0));
    }

    #[test]
    fn threads_lose_nothing() {
        static COUNTER: Counter = Counter::new(DEF);
        static GAUGE: Gauge = Gauge::new(DEF);
        static LABELLED: Labelled = Labelled::new(DEF, "code");
        std::thread::scope(|scope| {
            for name in ["a", "b", "a", "b"] {
                scope.spawn(move || {
                    for _ in 0..1000 {
                        COUNTER.inc();
                        LABELLED.inc(name);
                        GAUGE.add(1.0);
                        drop(GAUGE.hold(2.0));
                    }
                });
            }
        });
        assert_eq!((COUNTER.get(), GAUGE.get()), (4000, 4000.0));
        let mut counts: Vec<_> = LABELLED.get().collect();
        counts.sort_unstable();
        assert_eq!(counts, [("a", 2000), ("b", 2000)]);
    }
}
