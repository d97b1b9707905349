//! `start`, `chunk` and `close`. A chunk of the steady state costs one read (of the broadcast's state and publish, so that a ghost is
//! stopped at its next chunk), no write, and one POST on a kept connection.

use media::wire::{ChunkReply, ChunkStored, Close, CloseReply, EncoderEvent, Start, StartReply};
use service::table::{Closed, TableError};

use super::{Failure, Gateway, tell::Told};
use crate::decide::{
    ChunkDecision, CloseDecision, FloorDecision, StartDecision,
    publish::{chunk, close, ended, floor, start},
    tell::judge,
};

impl Gateway {
    /// Answers a `start`: the first to ask fixes the availability start, all others read it; then the publish gets its place. A race
    /// that was lost is decided anew.
    pub(super) async fn start(&self, request: &Start) -> Result<StartReply, Failure> {
        self.decided("start", || self.try_start(request)).await
    }

    async fn try_start(&self, request: &Start) -> Result<StartReply, TableError> {
        let broadcast = self.table.broadcast(&request.broadcast).await?;
        let availability_start = match start(broadcast.as_ref(), request.publish) {
            StartDecision::Stop(verdict) => return Ok(StartReply::Stop(verdict)),
            StartDecision::Started(at) => at,
            StartDecision::Fix => {
                self.table.fix_availability_start(&request.broadcast, request.first_frame).await?;
                request.first_frame
            }
        };
        let binding = self.table.binding(&request.broadcast).await?;
        let resume_at = match floor(binding.as_ref(), request, availability_start) {
            FloorDecision::Stop(verdict) => return Ok(StartReply::Stop(verdict)),
            FloorDecision::Begins(at) => at,
            FloorDecision::Fix { seen, floor } => {
                self.table.set_floor(&request.broadcast, seen, floor).await?;
                Some(floor.at)
            }
        };
        Ok(StartReply::Started { availability_start, resume_at })
    }

    /// Answers a `chunk`.
    pub(super) async fn chunk(&self, request: &ChunkStored) -> Result<ChunkReply, Failure> {
        let broadcast = self.decided("chunk", || self.table.broadcast(&request.broadcast)).await?;
        if let ChunkDecision::Stop(verdict) = chunk(broadcast.as_ref(), request.pos.publish) {
            return Ok(ChunkReply::Stop(verdict));
        }
        let told = self.tell(&request.live, &request.broadcast, EncoderEvent::Chunk(request.pos)).await?;
        Ok(match told {
            Told::Accepted(verdicts) => match judge(verdicts) {
                Ok(warnings) => ChunkReply::Accepted { warnings },
                Err(fatal) => ChunkReply::Stop(fatal),
            },
            Told::Over => ChunkReply::Stop(ended()),
            Told::Nobody(reason) => ChunkReply::Retry { reason: reason.to_owned() },
        })
    }

    /// Answers a `close`.
    pub(super) async fn close(&self, request: &Close) -> Result<CloseReply, Failure> {
        if !self.decided("close", || self.try_close(request)).await? {
            return Ok(CloseReply::Closed);
        }
        let what =
            EncoderEvent::Close { publish: request.publish, chunks: request.chunks, reason: request.reason };
        Ok(match self.tell(&request.live, &request.broadcast, what).await? {
            Told::Accepted(_) | Told::Over => CloseReply::Closed,
            Told::Nobody(reason) => CloseReply::Retry { reason: reason.to_owned() },
        })
    }

    /// Notes a close; true when the encoder is to be told.
    async fn try_close(&self, request: &Close) -> Result<bool, TableError> {
        let broadcast = self.table.broadcast(&request.broadcast).await?;
        match close(broadcast.as_ref(), request) {
            CloseDecision::Nothing => return Ok(false),
            CloseDecision::Tell => {}
            CloseDecision::NoteAndTell => {
                let (publish, chunks, reason) = (request.publish, request.chunks, request.reason);
                let closed = Closed { publish, chunks, reason, at: self.clock.now() };
                self.table.note_closed(&request.broadcast, closed).await?;
            }
        }
        Ok(true)
    }
}
