//! An event as it is read back from a log line ([`event!`](crate::event) writes them): the same object for scripts that read
//! `gopcast up --json` and for EventBridge. Pure.

use serde::Serialize;
use serde_json::{Map, Value};

/// What a log line has that says nothing of the event.
const LOG_FIELDS: [&str; 8] = ["timestamp", "level", "target", "span", "spans", "message", "event", "time"];

/// Something happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// What, in kebab-case.
    pub event: String,
    /// When (RFC 3339).
    pub time: String,
    /// To what: ids and details.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl Event {
    /// An event that no log line tells of.
    #[must_use]
    pub fn new(event: &str, time: String, fields: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { event: event.to_owned(), time, fields }
    }

    /// The event in a line of a service's log; `None` for any other line.
    #[must_use]
    pub fn in_log_line(line: &str) -> Option<Self> {
        // Most lines are none; looking first is cheaper than parsing each.
        if !line.starts_with('{') || !line.contains("\"event\"") {
            return None;
        }
        let mut log: Map<String, Value> = serde_json::from_str(line).ok()?;
        let event = log.get("event")?.as_str()?.to_owned();
        let time = log.get("timestamp").and_then(Value::as_str).unwrap_or_default().to_owned();
        // The span that the event happened in holds the ids that all lines of, say, one connection share.
        let mut fields = match log.remove("span") {
            Some(Value::Object(mut span)) => {
                span.remove("name");
                span
            }
            _ => Map::new(),
        };
        fields.extend(log.into_iter().filter(|(name, _)| !LOG_FIELDS.contains(&name.as_str())));
        Some(Self { event, time, fields })
    }

    /// A text field.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str()
    }

    /// One JSON line.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"timestamp":"2026-11-22T18:00:01.5Z","level":"INFO","event":"publish-started","live":"demo","publish":1,"filler":false,"target":"ingest_edge::connection","span":{"connection":"c1","name":"connection"}}"#;

    #[test]
    fn a_log_line_becomes_an_event_with_its_ids_and_no_more() {
        let event = Event::in_log_line(LINE).unwrap();
        assert_eq!(
            event.json(),
            r#"{"event":"publish-started","time":"2026-11-22T18:00:01.5Z","connection":"c1","filler":false,"live":"demo","publish":1}"#
        );
        assert_eq!((event.text("live"), event.text("publish")), (Some("demo"), None));
    }

    #[test]
    fn other_lines_are_none() {
        for line in [
            "",
            "panicked at",
            r#"{"level":"INFO","message":"\"event\""}"#,
            r#"{"event":5}"#,
            r#"{"event":"x""#,
        ] {
            assert_eq!(Event::in_log_line(line), None, "{line}");
        }
    }
}
