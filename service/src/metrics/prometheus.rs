//! Prometheus's text exposition format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).

use std::fmt::Write;

use super::{Metric, Role, cells::Distribution};

/// The content type of what [`expose`] returns.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of a service, as Prometheus reads them.
#[must_use]
pub fn expose(role: Role) -> String {
    let mut text = String::new();
    for metric in Metric::of(role) {
        // A `String` takes whatever is written to it.
        let _ = write_metric(&mut text, metric);
    }
    text
}

fn write_metric(text: &mut String, metric: Metric) -> std::fmt::Result {
    let def = metric.def();
    let name = match metric.kind() {
        "counter" => format!("{}_total", def.prometheus_name()),
        _ => def.prometheus_name(),
    };
    writeln!(text, "# HELP {name} {}", def.meaning.replace('\\', "\\\\"))?;
    writeln!(text, "# TYPE {name} {}", metric.kind())?;
    match metric {
        Metric::Counter(counter) => writeln!(text, "{name} {}", counter.get()),
        Metric::Gauge(gauge) => writeln!(text, "{name} {}", gauge.get()),
        Metric::Labelled(labelled) => labelled.get().try_for_each(|(value, count)| {
            writeln!(text, "{name}{{{}=\"{}\"}} {count}", labelled.label(), escape(value))
        }),
        Metric::Histogram(histogram) => {
            let Distribution { cumulative, count, sum } = histogram.get();
            for (bound, upto) in cumulative {
                writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {upto}")?;
            }
            writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}")?;
            writeln!(text, "{name}_sum {sum}")?;
            writeln!(text, "{name}_count {count}")
        }
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Counter, Def, Gauge, Histogram, Labelled, Sent, Unit},
        *,
    };

    const fn def(name: &'static str, unit: Unit) -> Def {
        Def { name, unit, roles: &[Role::Edge], sent: Sent::Cloud, meaning: "What it is." }
    }

    static BYTES: Counter = Counter::new(def("in", Unit::Bytes));
    static CODES: Labelled = Labelled::new(def("refused", Unit::Count), "code");
    static LOAD: Gauge = Gauge::new(def("load", Unit::Ratio));
    static TIME: Histogram = Histogram::new(def("put", Unit::Seconds), &[0.5, 1.0]);

    #[test]
    fn the_exposition_is_as_specified() {
        BYTES.add(7);
        CODES.inc("a\"b\\c\n");
        CODES.inc("plain");
        LOAD.set(0.25);
        TIME.observe(0.5);
        TIME.observe(2.0);
        let mut text = String::new();
        for metric in [
            Metric::Counter(&BYTES),
            Metric::Labelled(&CODES),
            Metric::Gauge(&LOAD),
            Metric::Histogram(&TIME),
        ] {
            write_metric(&mut text, metric).unwrap();
        }
        let golden = r#"# HELP gopcast_in_bytes_total What it is.
# TYPE gopcast_in_bytes_total counter
gopcast_in_bytes_total 7
# HELP gopcast_refused_total What it is.
# TYPE gopcast_refused_total counter
gopcast_refused_total{code="a\"b\\c\n"} 1
gopcast_refused_total{code="plain"} 1
# HELP gopcast_load What it is.
# TYPE gopcast_load gauge
gopcast_load 0.25
# HELP gopcast_put_seconds What it is.
# TYPE gopcast_put_seconds histogram
gopcast_put_seconds_bucket{le="0.5"} 1
gopcast_put_seconds_bucket{le="1"} 1
gopcast_put_seconds_bucket{le="+Inf"} 2
gopcast_put_seconds_sum 2.5
gopcast_put_seconds_count 2
"#;
        assert_eq!(text, golden);
    }
}
