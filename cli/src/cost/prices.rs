//! List prices and what a show uses, read from `infra/data/`: every number with its source and date. Pure.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use service::metrics::{Metric, Role, Sent};

const PRICES: &str = include_str!("../../../infra/data/prices.json");
const SERVICES: &str = include_str!("../../../infra/data/services.json");
const NETWORK: &str = include_str!("../../../infra/data/network.json");
const WATCHED: &str = include_str!("../../../infra/data/observability.json");

/// A price in US dollars.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    pub(crate) usd: f64,
    pub(crate) unit: String,
    pub(crate) source: String,
    pub(crate) read: String,
    pub(crate) checked: bool,
}

/// A price that falls with the amount.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tiered {
    pub(crate) unit: String,
    pub(crate) source: String,
    pub(crate) read: String,
    pub(crate) checked: bool,
    tiers: Vec<Tier>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tier {
    up_to_gb: Option<f64>,
    usd: f64,
}

impl Tiered {
    /// What so many GB in one month cost.
    pub(crate) fn cost(&self, gb: f64) -> f64 {
        let (mut cost, mut below) = (0.0, 0.0);
        for tier in &self.tiers {
            let top = tier.up_to_gb.unwrap_or(f64::INFINITY);
            cost += (gb.min(top) - below).max(0.0) * tier.usd;
            below = top;
        }
        cost
    }
}

/// A number of the usage, with its reason.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Used {
    pub(crate) value: f64,
    pub(crate) why: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    base: String,
    prices: BTreeMap<String, Price>,
    cloudfront_gb: Tiered,
    regions: BTreeMap<String, BTreeMap<String, Price>>,
    usage: BTreeMap<String, serde_json::Value>,
}

/// A task's size.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Task {
    /// 1024 is one vCPU.
    cpu: f64,
    /// MiB.
    memory: f64,
}

impl Task {
    pub(crate) fn vcpus(self) -> f64 {
        self.cpu / 1024.0
    }

    pub(crate) fn gb(self) -> f64 {
        self.memory / 1024.0
    }
}

/// What the stack is made of, from the same data as Terraform's.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    pub(crate) edge: Task,
    pub(crate) edges: f64,
    pub(crate) encoder: Task,
    pub(crate) encoders: f64,
    /// Load that auto scaling aims at, 0 to 1.
    pub(crate) encoder_load: f64,
    pub(crate) on_demand_base: f64,
    pub(crate) on_demand_weight: f64,
    pub(crate) spot_weight: f64,
    /// GB of the function.
    pub(crate) function_gb: f64,
    pub(crate) zones: f64,
    pub(crate) endpoints: f64,
    pub(crate) alarms: f64,
    /// In CloudWatch: those made from log lines, and those that the services write.
    pub(crate) metrics: f64,
}

/// The prices of a region, and what a show uses.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Book {
    pub(crate) prices: BTreeMap<String, Price>,
    pub(crate) cloudfront_gb: Tiered,
    pub(crate) usage: BTreeMap<String, Used>,
    #[serde(skip)]
    pub(crate) sizes: Sizes,
}

impl Book {
    /// The committed data for a region.
    ///
    /// # Errors
    /// When there are no prices of the region.
    pub(crate) fn load(region: &str) -> anyhow::Result<Self> {
        let file: File = serde_json::from_str(PRICES).context("reading infra/data/prices.json")?;
        let own = file.regions.get(region).with_context(|| {
            let known: Vec<_> = file.regions.keys().map(String::as_str).collect();
            format!("there are no prices of {region}, only of {} (base: {})", known.join(", "), file.base)
        })?;
        let mut prices = file.prices;
        prices.extend(own.clone());
        let usage = file.usage.into_iter().filter(|(name, _)| name != "about");
        let usage = usage.map(|(name, value)| Ok((name, serde_json::from_value(value)?)));
        let usage = usage.collect::<serde_json::Result<_>>().context("reading the usage")?;
        Ok(Self { prices, cloudfront_gb: file.cloudfront_gb, usage, sizes: sizes()? })
    }

    /// A price in US dollars.
    ///
    /// # Errors
    /// When the data lacks it.
    pub(crate) fn usd(&self, name: &str) -> anyhow::Result<f64> {
        Ok(self.prices.get(name).with_context(|| format!("infra/data/prices.json lacks {name}"))?.usd)
    }

    /// A number of the usage.
    ///
    /// # Errors
    /// When the data lacks it.
    pub(crate) fn used(&self, name: &str) -> anyhow::Result<f64> {
        Ok(self
            .usage
            .get(name)
            .with_context(|| format!("infra/data/prices.json lacks the usage {name}"))?
            .value)
    }
}

/// Metrics that the services themselves send to CloudWatch (docs/METRICS.md).
fn own_metrics() -> f64 {
    let sent = Role::ALL.into_iter().flat_map(Metric::of).filter(|metric| metric.def().sent == Sent::Cloud);
    sent.map(|_| 1.0).sum()
}

fn sizes() -> anyhow::Result<Sizes> {
    let read = |text, name: &str| {
        serde_json::from_str::<serde_json::Value>(text)
            .with_context(|| format!("reading infra/data/{name}.json"))
    };
    let (services, network, watched) =
        (read(SERVICES, "services")?, read(NETWORK, "network")?, read(WATCHED, "observability")?);
    let number = |value: &serde_json::Value, path: &str| {
        value
            .pointer(path)
            .and_then(serde_json::Value::as_f64)
            .with_context(|| format!("infra/data/ lacks {path}"))
    };
    let count = |value: &serde_json::Value, path: &str| {
        let at = value.pointer(path);
        let many =
            at.and_then(|v| v.as_array().map(Vec::len).or_else(|| v.as_object().map(serde_json::Map::len)));
        // Dozens at most.
        many.and_then(|n| u32::try_from(n).ok())
            .map(f64::from)
            .with_context(|| format!("infra/data/ lacks {path}"))
    };
    let task = |name: &str| {
        serde_json::from_value(services[name].clone()).with_context(|| format!("the size of {name}"))
    };
    Ok(Sizes {
        edge: task("edge")?,
        edges: number(&services, "/edge/scale/min")?,
        encoder: task("encoder")?,
        encoders: number(&services, "/encoder/scale/min")?,
        encoder_load: number(&services, "/encoder/scale/cpu_percent")? / 100.0,
        on_demand_base: number(&services, "/encoder/capacity/on_demand_base")?,
        on_demand_weight: number(&services, "/encoder/capacity/on_demand_weight")?,
        spot_weight: number(&services, "/encoder/capacity/spot_weight")?,
        function_gb: number(&services, "/gateway/memory")? / 1024.0,
        zones: number(&network, "/zones")?,
        endpoints: count(&network, "/interface_endpoints")?,
        alarms: count(&watched, "/alarms")? + count(&watched, "/cdn_alarms")?,
        metrics: count(&watched, "/counters")? + own_metrics(),
    })
}
