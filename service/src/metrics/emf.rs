//! CloudWatch's embedded metric format: a line of the log that CloudWatch Logs makes metrics of, without an agent
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//!
//! One line per process and interval. One dimension, `Service`, so that the number of metrics that are paid for is the registry's, however
//! many tasks, lives and codes there are. A counter's value is its growth since the last line, a gauge's what it is, a histogram's the
//! values since the last line. What a label tells apart is a property of the line, which costs nothing and is found by Logs Insights.

use std::{collections::HashMap, io::Write, time::Duration};

use media::time::WallTime;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::{Metric, Role, Sent};
use crate::{
    clock::Clock,
    config::{ConfigError, Env},
};

/// Most metrics of one directive, by the specification.
pub const METRICS_MAX: usize = 100;
/// Namespaces may have so many characters (CloudWatch, `PutMetricData`).
const NAMESPACE_MAX: usize = 255;
/// Time between lines unless set otherwise. CloudWatch keeps a value a minute; with one sample a minute, the sum of a gauge over a period of a
/// minute is its sum over the tasks.
const EVERY_SECONDS: u64 = 60;
/// Longest time between lines that may be set, in seconds: CloudWatch takes no metrics that are older than two weeks, and nobody waits for
/// them for more than an hour.
const EVERY_SECONDS_MAX: u64 = 3600;

/// `GOPCAST_METRICS_NAMESPACE` and `GOPCAST_METRICS_SECONDS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The CloudWatch namespace. Default `Gopcast`.
    pub namespace: String,
    /// Time between lines; zero for none. Default 60 s. The gateway function writes one after each event instead.
    pub every: Duration,
}

impl Config {
    /// Reads the settings.
    pub fn read(env: &mut Env) -> Self {
        let namespace: String = env.or("GOPCAST_METRICS_NAMESPACE", "Gopcast".to_owned());
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_/#:".contains(c);
        if namespace.len() > NAMESPACE_MAX || namespace.starts_with("AWS/") || !namespace.chars().all(allowed)
        {
            env.problem(format!(
                "GOPCAST_METRICS_NAMESPACE must be at most {NAMESPACE_MAX} letters, digits and any of .-_/#: and not begin with AWS/"
            ));
        }
        let every = env.or("GOPCAST_METRICS_SECONDS", EVERY_SECONDS);
        if every > EVERY_SECONDS_MAX {
            env.problem(format!(
                "GOPCAST_METRICS_SECONDS must be at most {EVERY_SECONDS_MAX}; 0 writes none"
            ));
        }
        Self { namespace, every: Duration::from_secs(every) }
    }
}

/// Makes lines, each of what has happened since the one before. One per process.
#[derive(Debug)]
pub struct Exporter {
    role: Role,
    namespace: String,
    /// Counts as of the last line, by metric and label value.
    seen: HashMap<(&'static str, &'static str), u64>,
}

impl Exporter {
    /// An exporter whose first line tells all that was counted so far.
    #[must_use]
    pub fn new(role: Role, config: &Config) -> Self {
        Self { role, namespace: config.namespace.clone(), seen: HashMap::new() }
    }

    /// The next line, without its end; `None` when there is nothing to tell.
    pub fn line(&mut self, now: WallTime) -> Option<String> {
        let metrics: Vec<_> =
            Metric::of(self.role).filter(|metric| metric.def().sent == Sent::Cloud).collect();
        self.line_of(&metrics, now)
    }

    fn line_of(&mut self, metrics: &[Metric], now: WallTime) -> Option<String> {
        let (mut directives, mut root) = (Vec::new(), Map::new());
        for metric in metrics {
            let name = metric.def().cloudwatch_name();
            let Some(value) = self.value(*metric, &name, &mut root) else { continue };
            directives.push(json!({ "Name": name, "Unit": metric.def().unit.cloudwatch() }));
            root.insert(name, value);
        }
        if directives.is_empty() {
            return None;
        }
        debug_assert!(directives.len() <= METRICS_MAX, "more metrics than a directive may have");
        root.insert("Service".to_owned(), self.role.as_str().into());
        root.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": now.unix_ms(),
                "CloudWatchMetrics": [{
                    "Namespace": self.namespace,
                    "Dimensions": [["Service"]],
                    "Metrics": directives,
                }],
            }),
        );
        Some(Value::Object(root).to_string())
    }

    /// What a metric has to tell; `None` for nothing.
    fn value(&mut self, metric: Metric, name: &str, root: &mut Map<String, Value>) -> Option<Value> {
        match metric {
            Metric::Counter(counter) => {
                let grown = self.grown(counter.def().name, "", counter.get());
                (grown > 0).then(|| grown.into())
            }
            Metric::Labelled(labelled) => {
                let counts = labelled
                    .get()
                    .map(|(value, count)| (value, self.grown(labelled.def().name, value, count)));
                let by: Vec<_> = counts.filter(|(_, grown)| *grown > 0).collect();
                let total: u64 = by.iter().map(|(_, grown)| grown).sum();
                if total == 0 {
                    return None;
                }
                let values = by.into_iter().map(|(value, grown)| (value.to_owned(), grown.into()));
                root.insert(format!("{name}By"), Value::Object(values.collect()));
                Some(total.into())
            }
            Metric::Gauge(gauge) => Some(gauge.get().into()),
            Metric::Histogram(histogram) => {
                let samples = histogram.take_samples();
                (!samples.is_empty()).then(|| samples.into())
            }
        }
    }

    fn grown(&mut self, name: &'static str, value: &'static str, count: u64) -> u64 {
        let before = self.seen.insert((name, value), count).unwrap_or(0);
        count.saturating_sub(before)
    }

    /// Writes the next line to standard output, where the log goes.
    pub fn write(&mut self, now: WallTime) {
        let Some(mut line) = self.line(now) else { return };
        line.push('\n');
        // One write under one lock: no log line comes between. Nobody reads a log that can't be written.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    }
}

/// Writes a line at each interval until `stop`, and a last one.
pub async fn run(role: Role, config: Config, clock: Clock, stop: CancellationToken) {
    if config.every.is_zero() {
        return;
    }
    let mut exporter = Exporter::new(role, &config);
    while tokio::time::timeout(config.every, stop.cancelled()).await.is_err() {
        exporter.write(clock.now());
    }
    exporter.write(clock.now());
}

/// # Errors
/// What is wrong with the settings, for processes that read nothing else.
pub fn read(mut env: Env) -> Result<Config, ConfigError> {
    let config = Config::read(&mut env);
    env.finish()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Counter, Def, Gauge, Histogram, Labelled, SAMPLES_MAX, Unit},
        *,
    };

    const fn def(name: &'static str, unit: Unit) -> Def {
        Def { name, unit, roles: &[Role::Edge], sent: Sent::Cloud, meaning: "What it is." }
    }

    static STORED: Counter = Counter::new(def("chunks_stored", Unit::Count));
    static CODES: Labelled = Labelled::new(def("refused", Unit::Count), "code");
    static OPEN: Gauge = Gauge::new(def("connections", Unit::Count));
    static TIME: Histogram = Histogram::new(def("chunk_put", Unit::Seconds), &[]);
    const METRICS: [Metric; 4] =
        [Metric::Counter(&STORED), Metric::Labelled(&CODES), Metric::Gauge(&OPEN), Metric::Histogram(&TIME)];

    fn config() -> Config {
        Config { namespace: "Gopcast/test".to_owned(), every: Duration::ZERO }
    }

    /// Holds a line to the specification's rules.
    fn check(line: &str) -> Value {
        let document: Value = serde_json::from_str(line).unwrap();
        let root = document.as_object().unwrap();
        assert!(line.len() < 256 * 1024, "larger than an event of CloudWatch Logs");
        let aws = &document["_aws"];
        assert!(aws["Timestamp"].is_u64());
        for directive in aws["CloudWatchMetrics"].as_array().unwrap() {
            let namespace = directive["Namespace"].as_str().unwrap();
            assert!((1..=1024).contains(&namespace.len()));
            for set in directive["Dimensions"].as_array().unwrap() {
                assert!(set.as_array().unwrap().len() <= 30);
                for key in set.as_array().unwrap() {
                    let value = root[key.as_str().unwrap()].as_str().unwrap();
                    assert!((1..=1024).contains(&value.len()) && value.is_ascii());
                }
            }
            let metrics = directive["Metrics"].as_array().unwrap();
            assert!((1..=METRICS_MAX).contains(&metrics.len()));
            for metric in metrics {
                let name = metric["Name"].as_str().unwrap();
                assert!((1..=1024).contains(&name.len()));
                assert!(
                    ["Count", "Bytes", "Seconds", "None", "Count/Second"]
                        .contains(&metric["Unit"].as_str().unwrap())
                );
                match &root[name] {
                    Value::Number(_) => {}
                    Value::Array(values) => {
                        assert!((1..=SAMPLES_MAX).contains(&values.len()));
                        assert!(values.iter().all(Value::is_number));
                    }
                    other => panic!("{name} is {other}"),
                }
            }
        }
        document
    }

    #[test]
    fn a_line_tells_what_happened_since_the_last_one() {
        let mut exporter = Exporter::new(Role::Edge, &config());
        STORED.add(3);
        CODES.inc("unknown-key");
        CODES.inc("draining");
        CODES.inc("draining");
        OPEN.set(2.0);
        for n in 0..250u32 {
            TIME.observe(f64::from(n) / 1000.0);
        }
        let first = check(&exporter.line_of(&METRICS, WallTime(1_700_000_000_000_000)).unwrap());
        assert_eq!(first["_aws"]["Timestamp"], 1_700_000_000_000_u64);
        assert_eq!(first["_aws"]["CloudWatchMetrics"][0]["Namespace"], "Gopcast/test");
        assert_eq!((&first["Service"], &first["ChunksStored"]), (&json!("edge"), &json!(3)));
        assert_eq!((&first["Refused"], &first["RefusedBy"]["draining"]), (&json!(3), &json!(2)));
        assert_eq!(first["ChunkPut"].as_array().unwrap().len(), SAMPLES_MAX);

        STORED.inc();
        let second = check(&exporter.line_of(&METRICS, WallTime(0)).unwrap());
        assert_eq!((&second["ChunksStored"], &second["Connections"]), (&json!(1), &json!(2.0)));
        assert!(second.get("Refused").is_none() && second.get("ChunkPut").is_none());
        assert_eq!(exporter.line_of(&[METRICS[0]], WallTime(0)), None, "nothing happened");
    }

    #[test]
    fn every_service_s_registry_fits_one_directive() {
        for role in Role::ALL {
            // Everything that can be told, told at once.
            for metric in Metric::of(role) {
                match metric {
                    Metric::Counter(counter) => counter.inc(),
                    Metric::Labelled(labelled) => labelled.inc("value"),
                    Metric::Gauge(gauge) => gauge.add(1.0),
                    Metric::Histogram(histogram) => histogram.observe(1.0),
                }
            }
            let told = check(&Exporter::new(role, &config()).line(WallTime(0)).unwrap());
            let metrics = told["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap().len();
            let cloud = Metric::of(role).filter(|metric| metric.def().sent == Sent::Cloud).count();
            assert_eq!(metrics, cloud, "{role:?}");
        }
    }

    #[test]
    fn settings_are_checked() {
        let read = |vars: &[(&str, &str)]| {
            read(Env::from_vars(vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))))
        };
        assert_eq!(
            read(&[]).unwrap(),
            Config { namespace: "Gopcast".to_owned(), every: Duration::from_secs(60) }
        );
        for (key, bad) in [
            ("GOPCAST_METRICS_NAMESPACE", "AWS/Gopcast"),
            ("GOPCAST_METRICS_NAMESPACE", "a b"),
            ("GOPCAST_METRICS_SECONDS", "1m"),
            ("GOPCAST_METRICS_SECONDS", "86400"),
        ] {
            assert!(read(&[(key, bad)]).unwrap_err().to_string().contains(key), "{bad}");
        }
    }
}
