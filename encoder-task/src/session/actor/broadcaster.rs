//! What a session hears from the gateway, and what it says of the stream: to the broadcaster with the answer to a notice, to the operator in
//! the table.
//!
//! Invariants: what ends a publish is told with the answer to each notice of its chunks from the moment it is found; a warning is told at most
//! once, and not any more when it is over.

use media::{
    id::{ChunkPos, ChunkSeq, PublishNo},
    verdict::{Code, Verdict},
    wire::{EncoderEvent, EncoderReply},
};
use service::event;

use super::Session;
use crate::session::{core::Input, job::Product, judge::Said, notes::Note};

/// Warnings kept for the broadcaster until the next notice takes them along; more of the same tell nothing new.
const WARNINGS_MAX: usize = 16;
/// What the operator is told while rungs are left out.
const LADDER_REDUCED: &str = "The encoder can't keep up with the whole ladder: its largest rungs are left out. Give the live a smaller ladder, or the encoders more cores.";

impl Session {
    /// Answers a notice.
    pub(super) fn notice(&mut self, what: &EncoderEvent) -> EncoderReply {
        let now = self.deps.clock.now();
        let mut verdicts = Vec::new();
        match *what {
            EncoderEvent::Chunk(pos) => {
                if pos.publish < self.core.publish() {
                    let told = Verdict::new(
                        Code::Superseded,
                        "another publisher of the same stream key has taken over",
                    );
                    return EncoderReply::Accepted { verdicts: vec![told] };
                }
                if self.core.is_ending() {
                    return EncoderReply::Over;
                }
                self.core.handle(now, Input::Chunk(pos));
                verdicts.append(&mut self.warnings);
                verdicts.extend(
                    self.fatal.iter().filter(|(publish, _)| *publish == pos.publish).map(|(_, v)| v.clone()),
                );
            }
            EncoderEvent::Close { publish, chunks, reason } => {
                if let Some(last) = chunks.checked_sub(1) {
                    self.core.handle(now, Input::Chunk(ChunkPos { publish, seq: ChunkSeq(last) }));
                }
                self.core.handle(now, Input::Closed { publish, reason });
            }
            EncoderEvent::End => self.core.handle(now, Input::End),
            // A notice of timed events may have been lost.
            EncoderEvent::Cues | EncoderEvent::Check => self.cued = true,
        }
        EncoderReply::Accepted { verdicts }
    }

    /// Logs what was found in a chunk. What ends the publish does so at once, whenever the chunk's turn comes.
    pub(super) fn found(&mut self, product: &Product) {
        for verdict in &product.verdicts {
            tracing::warn!(live = %self.meta.live, broadcast = %self.meta.broadcast, publish = product.pos.publish.get(), seq = product.pos.seq.0,
                code = verdict.code.as_str(), message = %verdict.message, "verdict");
            if verdict.code.is_fatal() {
                self.stop(product.pos.publish, verdict);
            }
        }
    }

    /// The publish must stop.
    fn stop(&mut self, publish: PublishNo, verdict: &Verdict) {
        let again =
            self.fatal.as_ref().is_some_and(|(of, known)| *of == publish && known.code == verdict.code);
        if !again {
            self.notes.push(Note::began(publish, verdict.clone(), self.deps.clock.now()));
            self.fatal = Some((publish, verdict.clone()));
        }
    }

    /// Says what a committed chunk shows of the stream: to the broadcaster with the next notice's answer, to the operator in the table.
    pub(super) fn judge(&mut self, product: &Product) {
        let (publish, now) = (product.pos.publish, self.deps.clock.now());
        let mut found = product.verdicts.clone();
        if product.left_out > 0 {
            found.push(Verdict::new(Code::LadderReduced, LADDER_REDUCED));
        }
        for said in self.judge.chunk(&product.facts, &found, &self.meta.limits) {
            match said {
                Said::Raised(verdict) if verdict.code.is_fatal() => self.stop(publish, &verdict),
                Said::Raised(verdict) => {
                    self.notes.push(Note::began(publish, verdict.clone(), now));
                    if !verdict.code.is_operators() && self.warnings.len() < WARNINGS_MAX {
                        self.warnings.push(verdict);
                    }
                }
                Said::Cleared(code) => {
                    event!("warning-cleared", live = %self.meta.live, broadcast = %self.meta.broadcast, publish = publish.get(), code = code.as_str());
                    self.warnings.retain(|warning| warning.code != code);
                    self.notes.push(Note::ended(code, now));
                }
            }
        }
    }
}
