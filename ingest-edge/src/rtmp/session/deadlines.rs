//! When a session has waited long enough.
//!
//! Invariant: in every state that is not closing exactly one list of deadlines applies, so there always is a next one.

use std::time::Duration;

use super::super::command::{self, StatusLevel};
use super::super::error::{ErrorKind, Wait};
use super::super::event::{EndReason, Event};
use super::super::limits::Limits;
use super::super::message::Outgoing;
use super::{Phase, Publish, Session};

/// What a session waits for; picks the deadlines that apply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    Handshake,
    Publish,
    Decision,
    Media,
}

/// Times since connection start.
#[derive(Default)]
pub(super) struct Clocks {
    /// Since when a publish command has been awaited, or the decision about one.
    since: Duration,
    last_input: Duration,
    last_media: Duration,
    /// A ping was sent in the present silence.
    pinged: bool,
}

impl Clocks {
    pub(super) fn heard(&mut self, now: Duration) {
        self.last_input = now;
        self.pinged = false;
    }

    pub(super) fn heard_media(&mut self) {
        self.last_media = self.last_input;
    }

    pub(super) fn heard_all(&mut self, now: Duration) {
        self.heard(now);
        self.heard_media();
    }

    /// The wait for a publish command, or for the decision about one, begins.
    pub(super) fn setup_begins(&mut self, now: Duration) {
        self.since = now;
    }

    /// As `setup_begins`, at the time of the latest input.
    pub(super) fn setup_begins_with_input(&mut self) {
        self.since = self.last_input;
    }

    /// The next time to act.
    pub(super) fn next(&self, limits: &Limits, waiting: Waiting) -> Duration {
        match waiting {
            Waiting::Handshake => limits.handshake_timeout,
            Waiting::Publish => self.since + limits.setup_timeout,
            Waiting::Decision => self.since + limits.decision_timeout,
            Waiting::Media => {
                let silence = if self.pinged { limits.idle_timeout } else { limits.idle_timeout / 2 };
                (self.last_input + silence).min(self.last_media + limits.media_timeout)
            }
        }
    }

    /// Deadlines that input does not put off, checked with input too: a peer that drips bytes must not outrun the timer.
    pub(super) fn check_setup(
        &self,
        now: Duration,
        limits: &Limits,
        waiting: Waiting,
    ) -> Result<(), ErrorKind> {
        let wait = match waiting {
            Waiting::Handshake => Wait::Handshake,
            Waiting::Publish => Wait::Publish,
            Waiting::Decision | Waiting::Media => return Ok(()),
        };
        if now < self.next(limits, waiting) { Ok(()) } else { Err(ErrorKind::Deadline(wait)) }
    }
}

impl Session {
    pub(super) fn waiting(&self) -> Waiting {
        match (&self.phase, &self.publish) {
            (Phase::Handshake(_), _) => Waiting::Handshake,
            (_, Publish::None) => Waiting::Publish,
            (_, Publish::Undecided { .. }) => Waiting::Decision,
            (_, Publish::Live { .. }) => Waiting::Media,
        }
    }

    pub(super) fn act_on_deadline(&mut self, now: Duration) -> Result<(), ErrorKind> {
        let waiting = self.waiting();
        if now < self.clocks.next(&self.config.limits, waiting) {
            return Ok(());
        }
        match waiting {
            Waiting::Handshake | Waiting::Publish => {
                self.clocks.check_setup(now, &self.config.limits, waiting)
            }
            Waiting::Decision => {
                self.end_undecided();
                Ok(())
            }
            Waiting::Media if now >= self.clocks.last_input + self.config.limits.idle_timeout => {
                Err(ErrorKind::Deadline(Wait::Input))
            }
            Waiting::Media if now >= self.clocks.last_media + self.config.limits.media_timeout => {
                Err(ErrorKind::Deadline(Wait::Media))
            }
            Waiting::Media => {
                self.clocks.pinged = true;
                let milliseconds = now.as_millis() & u128::from(u32::MAX);
                self.send(&Outgoing::ping_request(u32::try_from(milliseconds).unwrap_or_default()));
                Ok(())
            }
        }
    }

    fn end_undecided(&mut self) {
        if let Publish::Undecided { stream_id, .. } = self.publish {
            let description = "unavailable: The service did not answer in time. Please try again.";
            let code = "NetConnection.Connect.Closed";
            self.send(&command::on_status(stream_id, StatusLevel::Error, code, description));
            self.events.push_back(Event::PublishEnded { reason: EndReason::Undecided });
            self.close();
        }
    }
}
