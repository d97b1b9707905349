//! What ends a publish, or warns its publisher: refusals, stops, drains, losses; and who is told what.
//!
//! Invariant: whatever ends the show, the publish behind it is finished in a task of its own, once.

use std::sync::Arc;

use media::{
    id::KeyHash,
    verdict::{Code, Verdict},
    wire::{CloseReason, OpenReply, Opened},
};
use service::{
    event,
    metrics::defs::{HANDSHAKES_FAILED, REFUSED, STOPPED, WARNED},
};

use super::{
    Connection, Show, digits,
    publish::{Happened, Publish, close_unused, comes_back, draining, sentence, status_code},
};
use crate::{
    backend::Backend,
    rtmp::{self, StatusLevel},
};

impl<S, B: Backend> Connection<S, B> {
    pub(super) fn refuse(&mut self, verdict: &Verdict, hash: Option<&KeyHash>) {
        REFUSED.inc(verdict.code.as_str());
        event!(
            "publish-refused",
            code = verdict.code.as_str(),
            reason = verdict.message,
            key = hash.map(digits),
            peer = %self.peer,
        );
        if self.session.refuse_publish(status_code(verdict.code), &sentence(verdict)).is_err() {
            tracing::debug!("the request was taken back before it was refused");
        }
    }

    /// Does something with the publish on air, and acts on what comes of it.
    pub(super) fn media(&mut self, act: impl FnOnce(&mut Publish<B>) -> Result<(), Verdict>) {
        let Show::OnAir(publish) = &mut self.show else { return };
        if let Err(verdict) = act(publish) {
            self.stop(&verdict, true);
        }
    }

    pub(super) fn happened(&mut self, happened: Happened) {
        match happened {
            Happened::Progress => {}
            Happened::Warning(verdict) => self.warn(&verdict),
            Happened::Overtaken(verdict) => self.stop(&verdict, true),
            // What could not be told or stored for the time being may yet be.
            Happened::Stop(verdict) => self.stop(&verdict, verdict.code == Code::Unavailable),
        }
    }

    pub(super) fn warn(&mut self, verdict: &Verdict) {
        let Show::OnAir(publish) = &self.show else { return };
        let Opened { live, broadcast, publish, .. } = publish.opened();
        WARNED.inc(verdict.code.as_str());
        event!("publish-warning", live = %live, broadcast = %broadcast, publish = publish.get(), code = verdict.code.as_str(), reason = verdict.message);
        let told =
            self.session.notify_status(StatusLevel::Warning, "NetStream.Publish.Warning", &sentence(verdict));
        if told.is_err() {
            tracing::debug!("nobody to warn");
        }
    }

    /// The session ends the connection for a fault, and has told the peer.
    pub(super) fn failed(&mut self, error: &rtmp::Error) {
        let (code, reason, at_byte) = (error.kind.reason().as_str(), error.kind.to_string(), error.offset);
        let cause = std::error::Error::source(&error.kind).map(ToString::to_string);
        match &self.show {
            Show::OnAir(publish) => {
                let Opened { live, broadcast, publish, .. } = publish.opened();
                STOPPED.inc(code);
                event!(
                    "publish-stopped",
                    live = %live,
                    broadcast = %broadcast,
                    publish = publish.get(),
                    code,
                    reason,
                    cause,
                    at_byte,
                );
            }
            Show::Opening { .. } => {
                REFUSED.inc(code);
                event!("publish-refused", code, reason, cause, at_byte, peer = %self.peer);
            }
            // Nobody who publishes: the internet is full of them.
            Show::Nothing => {
                HANDSHAKES_FAILED.inc("rtmp");
                tracing::info!(code, reason, cause, at_byte, peer = %self.peer, "connection failed");
            }
        }
    }

    /// Stops the publish for a verdict. `flush`: what came before it is still good.
    pub(super) fn stop(&mut self, verdict: &Verdict, flush: bool) {
        let Show::OnAir(publish) = std::mem::replace(&mut self.show, Show::Nothing) else { return };
        let opened = publish.opened();
        STOPPED.inc(verdict.code.as_str());
        event!(
            "publish-stopped",
            live = %opened.live,
            broadcast = %opened.broadcast,
            publish = opened.publish.get(),
            code = verdict.code.as_str(),
            reason = verdict.message,
        );
        // Who is told to come back is waited for.
        let reason = if comes_back(verdict.code) { CloseReason::Lost } else { CloseReason::Stopped };
        self.spawn(publish.finish(reason, flush));
        self.close(verdict);
    }

    fn close(&mut self, verdict: &Verdict) {
        let code = status_code(verdict.code);
        if self.session.notify_status(StatusLevel::Error, code, &sentence(verdict)).is_err() {
            tracing::debug!("nobody to tell");
        }
        self.session.close();
    }

    /// The edge shuts down: the publish ends with its GOP, and the publisher is told to reconnect.
    pub(super) fn drain(&mut self) {
        self.draining = true;
        match &self.show {
            Show::OnAir(_) => self.media(Publish::leave),
            Show::Opening { .. } => {
                self.end_show(CloseReason::Lost);
                self.refuse(&draining(), None);
            }
            Show::Nothing => self.session.close(),
        }
    }

    /// Ends whatever is going on; its end is seen to by a task of its own.
    pub(super) fn end_show(&mut self, reason: CloseReason) {
        match std::mem::replace(&mut self.show, Show::Nothing) {
            Show::Nothing => {}
            Show::Opening { reply, .. } => {
                let backend = Arc::clone(&self.shared.backend);
                self.spawn(async move {
                    // The gateway may have said yes already; then it must hear that nobody came.
                    if let Ok(OpenReply::Opened(opened)) = reply.await {
                        close_unused(backend, opened, reason).await;
                    }
                });
            }
            Show::OnAir(publish) => self.spawn(publish.finish(reason, true)),
        }
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.tasks.spawn(tracing::Instrument::in_current_span(task));
    }
}
