//! The tables of `docs/METRICS.md`, made from the registry.

use super::{Metric, Role, Sent};

/// One table for each service, as they stand in the page.
#[must_use]
pub fn page() -> String {
    let mut text = String::new();
    for role in Role::ALL {
        let cloud = Metric::of(role).filter(|metric| metric.def().sent == Sent::Cloud).count();
        text.push_str(&format!("## Of the {}\n\nCloudWatch has {cloud} of these.\n\n", role.as_str()));
        text.push_str(
            "| CloudWatch | Prometheus | kind | unit | meaning |\n| --- | --- | --- | --- | --- |\n",
        );
        for metric in Metric::of(role) {
            text.push_str(&row(metric));
        }
        text.push('\n');
    }
    text
}

fn row(metric: Metric) -> String {
    let def = metric.def();
    let cloud = match def.sent {
        Sent::Cloud => format!("`{}`", def.cloudwatch_name()),
        Sent::Local => "–".to_owned(),
    };
    let total = if metric.kind() == "counter" { "_total" } else { "" };
    let label = metric.label().map(|label| format!("{{{label}}}")).unwrap_or_default();
    let unit = match def.unit.cloudwatch() {
        "None" => "ratio".to_owned(),
        "Count/Second" => "pixels/s".to_owned(),
        unit => unit.to_ascii_lowercase(),
    };
    format!(
        "| {cloud} | `{}{total}{label}` | {} | {unit} | {} |\n",
        def.prometheus_name(),
        metric.kind(),
        def.meaning
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_the_registry_says() {
        let page_text = include_str!("../../../docs/METRICS.md");
        let tables = page();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let (from, to) =
                (page_text.find("## Of the edge").unwrap(), page_text.find("## From log lines").unwrap());
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/METRICS.md");
            std::fs::write(path, format!("{}{tables}{}", &page_text[..from], &page_text[to..])).unwrap();
            return;
        }
        assert!(
            page_text.contains(&tables),
            "docs/METRICS.md is not what the registry says: run `make docs`"
        );
        // Nothing that is gone: every metric that the page names is in the tables.
        for word in page_text.split('`').filter(|word| word.starts_with("gopcast_")) {
            let name = word.split(['{', ' ']).next().unwrap_or(word);
            assert!(tables.contains(name), "{name} is in no table");
        }
    }
}
