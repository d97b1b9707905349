//! `end`: the operator ends what is on air.

use media::{
    id::BroadcastId,
    wire::{EncoderEvent, End, EndReply},
};
use service::table::TableError;

use super::{Failure, Gateway, tell::Told};
use crate::decide::{EndDecision, end::end};

impl Gateway {
    /// Answers an `end`.
    pub(super) async fn end(&self, request: &End) -> Result<EndReply, Failure> {
        let broadcast = match self.decided("end", || self.try_end(request)).await? {
            Ok(broadcast) => broadcast,
            Err(reply) => return Ok(reply),
        };
        Ok(match self.tell(&request.live, &broadcast, EncoderEvent::End).await? {
            Told::Accepted(_) | Told::Over => EndReply::Ending { broadcast },
            Told::Nobody(reason) => EndReply::Retry { reason: reason.to_owned() },
        })
    }

    /// Begins to end what is on air: the broadcast whose encoder is to be told, or the reply when there is none.
    async fn try_end(&self, request: &End) -> Result<Result<BroadcastId, EndReply>, TableError> {
        let live = self.table.live(&request.live).await?;
        let current = match live.as_ref().and_then(|live| live.current.as_ref()) {
            Some(id) => self.table.broadcast(id).await?,
            None => None,
        };
        Ok(match end(live.as_ref(), current.as_ref()) {
            EndDecision::NoSuchLive => Err(EndReply::NoSuchLive),
            EndDecision::NotOnAir => Err(EndReply::NotOnAir),
            EndDecision::Tell(broadcast) => Ok(broadcast),
            EndDecision::BeginAndTell(broadcast) => {
                self.table.begin_ending(&broadcast, self.clock.now()).await?;
                Ok(broadcast)
            }
        })
    }
}
