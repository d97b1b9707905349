//! `open`: a key is looked up, and its live gets a publish.

use media::{
    id::{BroadcastId, PublishNo},
    wire::{EncoderEvent, Open, OpenReply, Opened},
};
use service::table::{Broadcast, Live, State, TableError};

use super::{Failure, Gateway, check_connection, tell::Told};
use crate::decide::{
    OpenDecision,
    open::{Current, no_encoder, open},
};

/// The time in a broadcast's id, in milliseconds since the Unix epoch (RFC 9562, section 5.7: its first 48 bits).
fn begun_ms(id: &BroadcastId) -> u64 {
    let digits: String = id.as_str().chars().filter(|c| *c != '-').take(12).collect();
    u64::from_str_radix(&digits, 16).unwrap_or(0)
}

impl Gateway {
    /// Answers an `open`. A race that was lost is decided anew.
    pub(super) async fn open(&self, request: &Open) -> Result<OpenReply, Failure> {
        check_connection(&request.connection)?;
        let reply = self.decided("open", || self.try_open(request)).await?;
        match &reply {
            OpenReply::Opened(opened) => tracing::info!(
                live = %opened.live,
                broadcast = %opened.broadcast,
                publish = opened.publish.get(),
                connection = request.connection,
                filler = request.filler,
                "publish opened"
            ),
            OpenReply::Refused(verdict) => tracing::info!(
                code = verdict.code.as_str(),
                connection = request.connection,
                filler = request.filler,
                "publish refused"
            ),
        }
        Ok(reply)
    }

    async fn try_open(&self, request: &Open) -> Result<OpenReply, TableError> {
        let live = self.table.live_of_key(&request.key_hash).await?;
        let current = match live.as_ref().and_then(|live| live.current.as_ref()) {
            Some(id) => self.current(id).await?,
            None => None,
        };
        match (open(request, live.as_ref(), current.as_ref(), self.clock.now()), live, current) {
            (OpenDecision::Refuse(verdict), ..) => Ok(OpenReply::Refused(verdict)),
            (OpenDecision::Again(opened), ..) => Ok(OpenReply::Opened(opened)),
            (OpenDecision::Next, _, Some(Current { broadcast, .. })) => {
                let publish =
                    self.table.next_publish(&broadcast, &request.connection, request.filler).await?;
                Ok(OpenReply::Opened(Opened {
                    live: broadcast.live,
                    broadcast: broadcast.broadcast,
                    publish,
                    availability_start: broadcast.availability_start,
                }))
            }
            (OpenDecision::New { expire, tell_end }, Some(live), _) => {
                self.open_new(request, live, expire, tell_end.as_ref()).await
            }
            // The decision names what it was given.
            (OpenDecision::Next | OpenDecision::New { .. }, ..) => Err(TableError::Conflict("open")),
        }
    }

    async fn current(&self, id: &BroadcastId) -> Result<Option<Current>, TableError> {
        let Some(broadcast) = self.table.broadcast(id).await? else { return Ok(None) };
        // Only whether a live one has fallen silent is asked of the ledger.
        let last = match broadcast.state {
            State::Live => self.table.last_commit(id).await?,
            State::Ending | State::Ended => None,
        };
        Ok(Some(Current { broadcast, last_commit: last }))
    }

    /// Makes a broadcast in place of the live's current one, which is ended if it has to be.
    async fn open_new(
        &self,
        request: &Open,
        live: Live,
        expire: Option<(BroadcastId, PublishNo)>,
        tell_end: Option<&BroadcastId>,
    ) -> Result<OpenReply, TableError> {
        let now = self.clock.now();
        // A live's broadcasts sort in their order, even if this process's clock is behind the last one's.
        let after = live.current.as_ref().map_or(0, |current| begun_ms(current).saturating_add(1));
        let id = BroadcastId::new(now.unix_ms().max(after), self.clock.random_bytes());
        let encoders = self.table.encoders().await?;
        // Before anything is ended: a publisher that can't be served must not take another off the air.
        let Some(encoder) = self.place(&encoders, &id, &[]) else {
            return Ok(OpenReply::Refused(no_encoder()));
        };
        if let Some((previous, publish)) = expire {
            self.table.expire(&previous, publish).await?;
        }
        let broadcast = Broadcast {
            broadcast: id,
            live: live.live,
            state: State::Live,
            publish: PublishNo::FIRST,
            connection: request.connection.clone(),
            earlier: Vec::new(),
            filler: request.filler,
            profile: live.profile,
            source_rung: live.source_rung,
            window_seconds: live.window_seconds,
            limits: live.limits,
            opened: now,
            availability_start: None,
            closed: None,
            ended: None,
        };
        let create = self.table.create_broadcast(&broadcast, live.current.as_ref(), encoder);
        let finish = async {
            if let Some(previous) = tell_end {
                self.finish(&broadcast, previous).await;
            }
        };
        let (created, ()) = tokio::join!(biased; create, finish);
        created?;
        tracing::info!(
            live = %broadcast.live,
            broadcast = %broadcast.broadcast,
            encoder = %encoder.id,
            profile = broadcast.profile.name(),
            "broadcast created"
        );
        Ok(OpenReply::Opened(Opened {
            live: broadcast.live,
            broadcast: broadcast.broadcast,
            publish: broadcast.publish,
            availability_start: None,
        }))
    }

    /// Tells the encoder of the broadcast before `new` to end it. The publisher does not wait for its success.
    async fn finish(&self, new: &Broadcast, previous: &BroadcastId) {
        match self.tell(&new.live, previous, EncoderEvent::End).await {
            Ok(Told::Accepted(_) | Told::Over) => {}
            Ok(Told::Nobody(reason)) => {
                tracing::warn!(live = %new.live, broadcast = %previous, reason, "no encoder could end the broadcast");
            }
            Err(error) => tracing::warn!(
                live = %new.live,
                broadcast = %previous,
                error = &error as &dyn std::error::Error,
                "no encoder could end the broadcast"
            ),
        }
    }
}
