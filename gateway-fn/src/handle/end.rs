//! `end`: the operator ends what is on air.

use media::wire::{EncoderEvent, End, EndReply};

use super::{Failure, Gateway, Tries, tell::Told};
use crate::decide::{EndDecision, end::end};

impl Gateway {
    /// Answers an `end`.
    pub(super) async fn end(&self, request: &End) -> Result<EndReply, Failure> {
        let mut tries = Tries::of("end");
        let broadcast = loop {
            let live = self.table.live(&request.live).await?;
            let current = match live.as_ref().and_then(|live| live.current.as_ref()) {
                Some(id) => self.table.broadcast(id).await?,
                None => None,
            };
            match end(live.as_ref(), current.as_ref()) {
                EndDecision::NoSuchLive => return Ok(EndReply::NoSuchLive),
                EndDecision::NotOnAir => return Ok(EndReply::NotOnAir),
                EndDecision::Tell(broadcast) => break broadcast,
                EndDecision::BeginAndTell(broadcast) => match self.table.begin_ending(&broadcast).await {
                    Ok(()) => break broadcast,
                    Err(error) => tries.after(error, &self.clock).await?,
                },
            }
        };
        Ok(match self.tell(&request.live, &broadcast, EncoderEvent::End).await? {
            Told::Accepted(_) | Told::Over => EndReply::Ending { broadcast },
            Told::Nobody(reason) => EndReply::Retry { reason: reason.to_owned() },
        })
    }
}
