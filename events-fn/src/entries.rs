//! Lines of the services' logs → entries for the bus, in batches that one call takes. Pure.

use service::{
    bus::{BYTES_MAX, ENTRIES_MAX, Entry},
    logged::Event,
};

use crate::logs::Line;

/// Who says it, in every event.
pub const SOURCE: &str = "gopcast";

/// What lines came to.
#[derive(Debug, Default, PartialEq)]
pub struct Entries {
    /// In the lines' order; each batch fits one call.
    pub batches: Vec<Vec<Entry>>,
    /// Lines that are no event.
    pub passed_over: usize,
    /// Events that are larger than the bus takes.
    pub too_large: usize,
}

/// Makes entries of the events among the lines, as `stack`'s.
#[must_use]
pub fn of(lines: &[Line], stack: &str) -> Entries {
    let mut entries = Entries::default();
    let mut bytes = 0;
    for line in lines {
        let Some(mut event) = Event::in_log_line(line.message.trim_end()) else {
            entries.passed_over += 1;
            continue;
        };
        event.fields.insert("stack".to_owned(), stack.into());
        // Milliseconds since 1970 are far below 2⁵³.
        let time = line.timestamp as f64 / 1000.0;
        let entry = Entry { time, source: SOURCE, detail: event.json(), detail_type: event.event };
        let size = entry.bytes();
        if size >= BYTES_MAX {
            entries.too_large += 1;
            continue;
        }
        match entries.batches.last_mut() {
            Some(batch) if batch.len() < ENTRIES_MAX && bytes + size < BYTES_MAX => {
                batch.push(entry);
                bytes += size;
            }
            _ => {
                entries.batches.push(vec![entry]);
                bytes = size;
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: impl Into<String>) -> Line {
        Line { timestamp: 1_510_109_208_016, message: message.into() }
    }

    fn event(text: &str) -> Line {
        line(format!(
            r#"{{"timestamp":"2026-11-22T18:00:01.5Z","level":"INFO","event":"rebound","reason":"{text}","target":"gateway_fn::handle","span":{{"live":"demo","name":"chunk"}}}}"#
        ))
    }

    #[test]
    fn an_event_to_the_letter() {
        let entries = of(&[event("gone")], "prod");
        let [batch] = &entries.batches[..] else { panic!("{entries:?}") };
        let [entry] = &batch[..] else { panic!("{batch:?}") };
        assert_eq!(
            (entry.time, entry.source, entry.detail_type.as_str()),
            (1_510_109_208.016, "gopcast", "rebound")
        );
        assert_eq!(
            entry.detail,
            r#"{"event":"rebound","time":"2026-11-22T18:00:01.5Z","live":"demo","reason":"gone","stack":"prod"}"#
        );
    }

    #[test]
    fn what_is_no_event_is_passed_over_and_counted() {
        let lines = [
            line("START RequestId: 1"),
            event("a"),
            line(r#"{"level":"WARN","message":"\"event\""}"#),
            line(r#"{"event":"#),
            event("b"),
        ];
        let entries = of(&lines, "prod");
        assert_eq!((entries.passed_over, entries.too_large), (3, 0));
        assert_eq!(entries.batches.iter().map(Vec::len).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn batches_keep_to_what_a_call_takes_and_to_the_order() {
        let lines: Vec<_> = (0..23).map(|n| event(&format!("n{n}"))).collect();
        let entries = of(&lines, "prod");
        assert_eq!(entries.batches.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 3]);
        let all: Vec<_> = entries.batches.concat();
        assert!(all.iter().enumerate().all(|(n, entry)| entry.detail.contains(&format!("\"n{n}\""))));

        let large = event(&"x".repeat(100_000));
        let entries = of(&[large.clone(), large.clone(), large, event(&"x".repeat(BYTES_MAX))], "prod");
        assert_eq!(entries.too_large, 1);
        assert_eq!(entries.batches.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        for batch in &entries.batches {
            assert!(batch.iter().map(Entry::bytes).sum::<usize>() < BYTES_MAX);
        }
    }
}
