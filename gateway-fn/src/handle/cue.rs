//! `cue`: a timed event for what is on air. Kept first, then told to the encoder: whoever takes the broadcast over reads what is kept.

use media::{
    cue::Cue,
    id::BroadcastId,
    time::{VIDEO_TIMESCALE, WallTime, rescale},
    wire::{AddCue, CueReply, EncoderEvent},
};
use service::{
    event,
    table::{CueCount, State, TableError},
};

use super::{Failure, Gateway, tell::Told};
use crate::decide::cue::{CueDecision, cue};

const MICROS: u32 = 1_000_000;

/// What is kept.
struct Kept {
    broadcast: BroadcastId,
    start: WallTime,
    cue: Cue,
    is_new: bool,
}

impl Gateway {
    /// Answers a `cue`.
    pub(super) async fn cue(&self, request: &AddCue) -> Result<CueReply, Failure> {
        let kept = match self.decided("cue", || self.try_cue(request)).await? {
            Ok(kept) => kept,
            Err(reply) => return Ok(reply),
        };
        let Kept { broadcast, start, cue, is_new } = kept;
        if is_new {
            event!("cue-added", live = %request.live, %broadcast, id = %cue.id, at = cue.at, bytes = cue.data.len());
        }
        Ok(match self.tell(&request.live, &broadcast, EncoderEvent::Cues).await? {
            Told::Accepted(_) | Told::Over => CueReply::Added {
                broadcast,
                number: cue.number,
                at: start.plus_micros(rescale(cue.at, VIDEO_TIMESCALE, MICROS)),
                presentation: cue.at,
            },
            Told::Nobody(reason) => CueReply::Retry { reason: reason.to_owned() },
        })
    }

    async fn try_cue(&self, request: &AddCue) -> Result<Result<Kept, CueReply>, TableError> {
        let Some(live) = self.table.live(&request.live).await? else { return Ok(Err(CueReply::NoSuchLive)) };
        let current = match &live.current {
            Some(id) => self.table.broadcast(id).await?,
            None => None,
        };
        let current = current.filter(|broadcast| broadcast.state == State::Live);
        let Some((broadcast, start)) =
            current.and_then(|broadcast| Some((broadcast.broadcast, broadcast.availability_start?)))
        else {
            return Ok(Err(CueReply::NotOnAir));
        };
        let count: CueCount = self.table.cue_count(&broadcast).await?;
        let there = self.table.cue(&broadcast, &request.id).await?;
        Ok(match cue(request, start, there.as_ref(), count, self.clock.now()) {
            CueDecision::Add(cue) => {
                self.table.add_cue(&broadcast, count, &cue).await?;
                Ok(Kept { broadcast, start, cue, is_new: true })
            }
            CueDecision::There(cue) => Ok(Kept { broadcast, start, cue, is_new: false }),
            CueDecision::Refuse(reason) => Err(CueReply::Refused { reason }),
        })
    }
}
