//! Events: what the services write to their logs with an `event` field ([`service::logged`]), what the supervisor adds, and how
//! they are told to people. Pure.

use serde_json::Value;
pub(crate) use service::logged::Event;

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

/// What people do not look for in a line.
const FOR_SCRIPTS: [&str; 4] = ["connection", "publish_connection", "key", "manifest"];

/// Whether the publisher that an event tells of is a placeholder.
#[must_use]
pub(crate) fn is_placeholder(event: &Event) -> bool {
    event.fields.get("filler").and_then(Value::as_bool).unwrap_or(false)
}

/// Whether people look for it, too.
#[must_use]
pub(crate) fn is_for_people(event: &Event) -> bool {
    !NOT_FOR_PEOPLE.contains(&event.event.as_str())
}

/// One line for people: the time of day, what, and the details.
#[must_use]
pub(crate) fn human(event: &Event) -> String {
    let time_of_day = event.time.get(11..19).unwrap_or("");
    let mut line = format!("{time_of_day}  {:<16}", event.event);
    // What one looks for first stands first.
    let first = ["live", "role", "id", "broadcast", "publish"];
    let known = first.iter().filter_map(|name| Some((*name, event.fields.get(*name)?)));
    let others = event.fields.iter().map(|(name, value)| (name.as_str(), value));
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

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"timestamp":"2026-11-22T18:00:01.5Z","event":"publish-started","live":"demo","publish":1,"filler":false,"span":{"connection":"c1","name":"connection"}}"#;

    #[test]
    fn people_are_told_the_time_and_what_matters() {
        let event = Event::in_log_line(LINE).unwrap();
        assert!(!is_placeholder(&event));
        assert_eq!(human(&event), "18:00:01  publish-started  live=demo publish=1 filler=false");
    }

    #[test]
    fn a_placeholder_says_so() {
        assert!(is_placeholder(&Event::in_log_line(&LINE.replace("false", "true")).unwrap()));
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
        assert_eq!(human(&event), "00:00:00  process-exited   role=encoder-task id=e pid=3");
    }
}
