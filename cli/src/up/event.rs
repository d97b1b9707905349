//! Events: what the services write to their logs with an `event` field, what the supervisor adds, and how they are told to scripts
//! (one JSON object a line) and to people. Pure.

use serde::Serialize;
use serde_json::{Map, Value};

/// A process came to its end.
pub(crate) const PROCESS_EXITED: &str = "process-exited";
/// A process was started (again).
pub(crate) const PROCESS_STARTED: &str = "process-started";
/// The edge accepts publishers; for the supervisor only.
pub(crate) const LISTENING: &str = "listening";
/// Somebody is on air.
pub(crate) const PUBLISH_STARTED: &str = "publish-started";
/// A show is over.
pub(crate) const BROADCAST_ENDED: &str = "broadcast-ended";

/// What comes every few seconds: the line before it already says what is going on.
const NOT_FOR_PEOPLE: [&str; 1] = ["hole-filled"];

/// What a log line has that says nothing of the event.
const LOG_FIELDS: [&str; 8] = ["timestamp", "level", "target", "span", "spans", "message", "event", "time"];

/// What people do not look for in a line.
const FOR_SCRIPTS: [&str; 4] = ["connection", "publish_connection", "key", "manifest"];

/// Something happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Event {
    /// What, in kebab-case.
    pub(crate) event: String,
    /// When (RFC 3339).
    pub(crate) time: String,
    /// To what: ids and details.
    #[serde(flatten)]
    pub(crate) fields: Map<String, Value>,
}

impl Event {
    /// An event of the supervisor's own.
    #[must_use]
    pub(crate) fn new(
        event: &str,
        time: String,
        fields: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Self {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { event: event.to_owned(), time, fields }
    }

    /// The event in a line of a service's log; `None` for any other line.
    #[must_use]
    pub(crate) fn in_log_line(line: &str) -> Option<Self> {
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
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str()
    }

    /// Whether the publisher that it tells of is a placeholder.
    #[must_use]
    pub(crate) fn is_placeholder(&self) -> bool {
        self.fields.get("filler").and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether people look for it, too.
    #[must_use]
    pub(crate) fn is_for_people(&self) -> bool {
        !NOT_FOR_PEOPLE.contains(&self.event.as_str())
    }

    /// One JSON line.
    #[must_use]
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// One line for people: the time of day, what, and the details.
    #[must_use]
    pub(crate) fn human(&self) -> String {
        let time_of_day = self.time.get(11..19).unwrap_or("");
        let mut line = format!("{time_of_day}  {:<16}", self.event);
        // What one looks for first stands first.
        let first = ["live", "role", "id", "broadcast", "publish"];
        let known = first.iter().filter_map(|name| Some((*name, self.fields.get(*name)?)));
        let others = self.fields.iter().map(|(name, value)| (name.as_str(), value));
        let others = others.filter(|(name, _)| !first.contains(name) && !FOR_SCRIPTS.contains(name));
        for (name, value) in known.chain(others) {
            match value {
                Value::Null => {}
                // Nothing was lost, left out or wrong.
                Value::Number(number) if number.as_u64() == Some(0) && *name != *"code" => {}
                Value::String(text) => line.push_str(&format!(" {name}={text}")),
                other => line.push_str(&format!(" {name}={other}")),
            }
        }
        line
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
        assert!(!event.is_placeholder());
        assert_eq!(event.human(), "18:00:01  publish-started  live=demo publish=1 filler=false");
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

    #[test]
    fn a_placeholder_says_so() {
        assert!(Event::in_log_line(&LINE.replace("false", "true")).unwrap().is_placeholder());
    }

    #[test]
    fn events_of_the_supervisor() {
        let fields =
            [("role", "encoder-task".into()), ("id", "e".into()), ("pid", 3.into()), ("code", Value::Null)];
        let event = Event::new(PROCESS_EXITED, "2026-01-01T00:00:00.000Z".to_owned(), fields);
        assert_eq!(
            event.json(),
            r#"{"event":"process-exited","time":"2026-01-01T00:00:00.000Z","code":null,"id":"e","pid":3,"role":"encoder-task"}"#
        );
        assert_eq!(event.human(), "00:00:00  process-exited   role=encoder-task id=e pid=3");
    }
}
