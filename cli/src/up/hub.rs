//! Where everything that happens in the stack comes together: events go on to the terminal or the script, and to the parts of the
//! supervisor that wait for one.
//!
//! Invariant: nothing here blocks. A reader that does not read loses lines; it never holds up the services' logs.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use media::id::LiveId;
use tokio::sync::watch;

use super::event::{self, Event};

/// Lines waiting for a reader of our standard output; more are dropped. Minutes of a busy stack.
const LINES_MAX: usize = 4096;
/// Events kept until the stack is ready; the ready line comes first.
const EARLY_MAX: usize = 1000;
/// Events kept for the operator's page: what fits a screen or three.
const RECENT_MAX: usize = 100;
/// How long the last lines may take to be read when we end.
const FLUSH_GRACE: Duration = Duration::from_secs(1);

/// Where the edge accepts publishers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listening {
    /// `address:port` over TLS.
    pub(crate) rtmps: String,
    /// `address:port` without, if asked for.
    pub(crate) rtmp: Option<String>,
}

/// The hub.
#[derive(Debug)]
pub(crate) struct Hub {
    json: bool,
    out: Mutex<Out>,
    dropped: AtomicU64,
    listening: watch::Sender<Option<Listening>>,
    taken: watch::Sender<BTreeSet<LiveId>>,
    recent: Mutex<VecDeque<Event>>,
}

#[derive(Debug)]
struct Out {
    lines: Option<mpsc::SyncSender<String>>,
    done: mpsc::Receiver<()>,
    /// `Some` until the stack is ready.
    early: Option<Vec<Event>>,
    /// The broadcast that each live's placeholder is on.
    fillers: BTreeMap<LiveId, String>,
}

impl Hub {
    /// A hub that writes to standard output: JSON lines, or lines for people.
    #[must_use]
    pub(crate) fn new(json: bool) -> Self {
        Self::to(json, std::io::stdout())
    }

    fn to(json: bool, mut out: impl Write + Send + 'static) -> Self {
        let (lines, queue) = mpsc::sync_channel::<String>(LINES_MAX);
        let (finished, done) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            for line in queue {
                // A reader that is gone does not end the show.
                if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                    break;
                }
            }
            let _ = finished.send(());
        });
        Self {
            json,
            out: Mutex::new(Out {
                lines: Some(lines),
                done,
                early: Some(Vec::new()),
                fillers: BTreeMap::new(),
            }),
            dropped: AtomicU64::new(0),
            listening: watch::Sender::new(None),
            taken: watch::Sender::new(BTreeSet::new()),
            recent: Mutex::default(),
        }
    }

    /// Takes in an event.
    pub(crate) fn event(&self, event: Event) {
        if event.event == event::LISTENING {
            if let Some(rtmps) = event.text("rtmps") {
                let rtmp = event.text("rtmp").filter(|text| !text.is_empty()).map(str::to_owned);
                self.listening.send_replace(Some(Listening { rtmps: rtmps.to_owned(), rtmp }));
            }
            return;
        }
        if event::is_for_people(&event) {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.truncate(RECENT_MAX - 1);
            recent.push_front(event.clone());
        }
        let mut out = self.lock();
        self.note_placeholders(&mut out, &event);
        if !self.json && !event::is_for_people(&event) {
            return;
        }
        match &mut out.early {
            Some(early) if early.len() < EARLY_MAX => early.push(event),
            Some(_) => self.count_dropped(),
            None => self.print(&out, self.spell(&event)),
        }
    }

    /// Prints the panel or the ready line, and then the events that came before it.
    pub(crate) fn ready(&self, text: String) {
        let mut out = self.lock();
        self.print(&out, text);
        for event in out.early.take().unwrap_or_default() {
            self.print(&out, self.spell(&event));
        }
    }

    /// Where the edge listens, as it says.
    #[must_use]
    pub(crate) fn listening(&self) -> watch::Receiver<Option<Listening>> {
        self.listening.subscribe()
    }

    /// The lives that have no more use for a placeholder: a real publisher has been on, or the operator has ended the placeholder's show.
    #[must_use]
    pub(crate) fn taken(&self) -> watch::Receiver<BTreeSet<LiveId>> {
        self.taken.subscribe()
    }

    /// The last events that people look for, the latest first.
    #[must_use]
    pub(crate) fn recent(&self) -> Vec<Event> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Whether the output is for scripts.
    #[must_use]
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints what is left, for a bounded time.
    pub(crate) fn finish(&self) {
        let mut out = self.lock();
        out.lines = None;
        let _ = out.done.recv_timeout(FLUSH_GRACE);
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "output was not read, lines were dropped");
        }
    }

    fn note_placeholders(&self, out: &mut Out, event: &Event) {
        let Some(live) = event.text("live").and_then(|live| live.parse::<LiveId>().ok()) else { return };
        let broadcast = event.text("broadcast");
        let taken = match event.event.as_str() {
            event::PUBLISH_STARTED if event::is_placeholder(event) => {
                out.fillers.extend(broadcast.map(|broadcast| (live.clone(), broadcast.to_owned())));
                false
            }
            event::PUBLISH_STARTED => true,
            event::BROADCAST_ENDED => {
                broadcast.is_some() && out.fillers.get(&live).map(String::as_str) == broadcast
            }
            _ => false,
        };
        if taken {
            self.taken.send_modify(|lives| {
                lives.insert(live);
            });
        }
    }

    fn spell(&self, event: &Event) -> String {
        if self.json { event.json() } else { event::human(event) }
    }

    fn print(&self, out: &Out, line: String) {
        if out.lines.as_ref().is_some_and(|lines| lines.try_send(line).is_err()) {
            self.count_dropped();
        }
    }

    fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn event(name: &str, live: &str) -> Event {
        Event::new(name, "t".to_owned(), [("live", json!(live))])
    }

    #[test]
    fn the_ready_line_is_first_and_internal_events_stay_inside() {
        let out = Shared::default();
        let hub = Hub::to(true, out.clone());
        hub.event(event("rebound", "a"));
        hub.event(Event::new(
            event::LISTENING,
            String::new(),
            [("rtmps", json!("127.0.0.1:5")), ("rtmp", json!(null))],
        ));
        hub.ready("{\"ready\":true}".to_owned());
        hub.event(event(event::PUBLISH_STARTED, "a"));
        hub.finish();
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let names: Vec<&str> = text.lines().map(|line| line.split('"').nth(3).unwrap_or("ready")).collect();
        assert_eq!(names.len(), 3, "{text}");
        assert!(text.starts_with("{\"ready\":true}\n"));
        assert_eq!(names[1..], ["rebound", "publish-started"]);
        let listening = Listening { rtmps: "127.0.0.1:5".to_owned(), rtmp: None };
        assert_eq!(*hub.listening().borrow(), Some(listening));
        assert_eq!(hub.taken().borrow().len(), 1);
    }

    #[test]
    fn a_placeholder_goes_when_its_show_is_ended_and_not_when_an_older_one_is() {
        let hub = Hub::to(true, Shared::default());
        let about = |name: &str, broadcast: &str, filler: bool| {
            let fields = [("live", json!("a")), ("broadcast", json!(broadcast)), ("filler", json!(filler))];
            Event::new(name, "t".to_owned(), fields)
        };
        hub.event(about(event::PUBLISH_STARTED, "b2", true));
        hub.event(about(event::BROADCAST_ENDED, "b1", false));
        assert!(hub.taken().borrow().is_empty());
        hub.event(about(event::BROADCAST_ENDED, "b2", false));
        assert_eq!(hub.taken().borrow().len(), 1);
    }

    #[test]
    fn people_are_not_told_of_every_fill() {
        for (json, told) in [(true, 2), (false, 1)] {
            let out = Shared::default();
            let hub = Hub::to(json, out.clone());
            hub.ready("ready".to_owned());
            hub.event(event("hole-filled", "a"));
            hub.event(event("chunk-late", "a"));
            hub.finish();
            let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
            assert_eq!(text.lines().count(), 1 + told, "{text}");
        }
    }

    struct Stuck(mpsc::Receiver<()>);
    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_read_blocks_nobody() {
        let (release, stuck) = mpsc::channel();
        let hub = Hub::to(true, Stuck(stuck));
        hub.ready("x".to_owned());
        for _ in 0..LINES_MAX + 100 {
            hub.event(event("rebound", "a"));
        }
        assert!(hub.dropped.load(Ordering::Relaxed) >= 98);
        drop(release);
        hub.finish();
    }
}
