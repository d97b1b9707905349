//! What this process counts: one registry ([`defs`]), and two ways out of it: CloudWatch's embedded metric format in the log ([`emf`]) and
//! Prometheus text ([`prometheus`]).
//!
//! Metrics are like the log: of the process, reachable from everywhere, and nothing is ever decided by one. Invariants: noting takes no lock
//! and no allocation; a label's values are `'static`, so that they come from the code and never from a peer, and are bounded in number, with
//! `other` for what is beyond; nothing that names a live, a broadcast or a person is a label. The page `docs/METRICS.md` is made from the
//! registry, and compared with it by a test.

mod cells;
pub mod defs;
pub mod emf;
mod page;
pub mod prometheus;

pub use cells::{Counter, Gauge, Held, Histogram, LABEL_VALUES_MAX, Labelled, SAMPLES_MAX};
pub use page::page;

/// Whose metrics: each service has its own. Also the value of CloudWatch's dimension `Service`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// `ingest-edge`.
    Edge,
    /// `gateway-fn`.
    Gateway,
    /// `encoder-task`.
    Encoder,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Edge, Self::Gateway, Self::Encoder];

    /// As it is spelled in dimensions and labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Gateway => "gateway",
            Self::Encoder => "encoder",
        }
    }
}

/// What a metric's numbers are. Base units, as Prometheus advises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// How many.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// A quotient: 1 is the whole.
    Ratio,
    /// Pixels a second.
    PixelsPerSecond,
}

impl Unit {
    /// The unit as CloudWatch knows it.
    #[must_use]
    pub fn cloudwatch(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Bytes => "Bytes",
            Self::Seconds => "Seconds",
            Self::Ratio => "None",
            Self::PixelsPerSecond => "Count/Second",
        }
    }

    /// What a Prometheus name ends with.
    fn suffix(self) -> &'static str {
        match self {
            Self::Count | Self::Ratio => "",
            Self::Bytes => "_bytes",
            Self::Seconds => "_seconds",
            Self::PixelsPerSecond => "_pixels_per_second",
        }
    }
}

/// Where a metric is sent, and what may be built on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// To CloudWatch, where each costs money, and to Prometheus. Stable: alarms go by it, and a new name is told as a change.
    Cloud,
    /// To Prometheus only: CloudWatch has it from the log lines themselves, or it helps only while one looks. May change.
    Local,
}

/// What is said of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Def {
    /// Its name, in lower case with underscores and without unit: `chunk_put`.
    pub name: &'static str,
    /// What its numbers are.
    pub unit: Unit,
    /// Which services have it.
    pub roles: &'static [Role],
    /// Where it goes.
    pub sent: Sent,
    /// What it tells, for the page and Prometheus's help.
    pub meaning: &'static str,
}

impl Def {
    /// The name in CloudWatch: `ChunkPut`.
    #[must_use]
    pub fn cloudwatch_name(&self) -> String {
        let mut name = String::with_capacity(self.name.len());
        for word in self.name.split('_') {
            let mut letters = word.chars();
            name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            name.push_str(letters.as_str());
        }
        name
    }

    /// The name in Prometheus, its kind's ending left out: `gopcast_chunk_put_seconds`.
    #[must_use]
    pub fn prometheus_name(&self) -> String {
        format!("gopcast_{}{}", self.name, self.unit.suffix())
    }
}

/// One metric of the registry.
#[derive(Debug, Clone, Copy)]
pub enum Metric {
    /// Only grows.
    Counter(&'static Counter),
    /// Only grows, apart for each value of a label.
    Labelled(&'static Labelled),
    /// Goes up and down.
    Gauge(&'static Gauge),
    /// How often which values were.
    Histogram(&'static Histogram),
}

impl Metric {
    /// What is said of it.
    #[must_use]
    pub fn def(&self) -> &'static Def {
        match self {
            Self::Counter(counter) => counter.def(),
            Self::Labelled(labelled) => labelled.def(),
            Self::Gauge(gauge) => gauge.def(),
            Self::Histogram(histogram) => histogram.def(),
        }
    }

    /// The kind, for the page.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) | Self::Labelled(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }

    /// The label, if there is one.
    #[must_use]
    pub fn label(&self) -> Option<&'static str> {
        match self {
            Self::Labelled(labelled) => Some(labelled.label()),
            _ => None,
        }
    }

    /// Every metric that a service has, in the registry's order.
    pub fn of(role: Role) -> impl Iterator<Item = Self> {
        defs::ALL.iter().copied().filter(move |metric| metric.def().roles.contains(&role))
    }
}
