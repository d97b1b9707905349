//! The messages between the services: edge → gateway (Lambda events and replies) and gateway → encoder (JSON over HTTP).
//!
//! Every request is idempotent: a caller that lost the reply sends the same again and gets the same answer.

use serde::{Deserialize, Serialize};

use crate::{
    id::{BroadcastId, ChunkPos, Epoch, KeyHash, LiveId, PublishNo},
    time::{Ticks, WallTime},
    verdict::Verdict,
};

/// An event for the gateway function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum GatewayRequest {
    /// May this key publish? Answered by [`OpenReply`].
    Open(Open),
    /// The first picture (or sound) of a publish has arrived: fixes the broadcast's availability start. Answered by [`StartReply`].
    Start(Start),
    /// A chunk is stored. Answered by [`ChunkReply`].
    Chunk(ChunkStored),
    /// A publish is over. Answered by [`CloseReply`].
    Close(Close),
    /// The operator ends a live's current broadcast. Answered by [`EndReply`].
    End(End),
    /// The operator puts a timed event into a live's current broadcast. Answered by [`CueReply`].
    Cue(AddCue),
    /// An encoder gives a broadcast up: it drains, or has lost its storage. Answered by [`HandoverReply`].
    Handover(Handover),
    /// Once a minute: every broadcast that has not ended has an encoder that works on it. Answered by [`SweepReply`].
    Sweep,
    /// What were publishes lately deprived of? Asked by every edge about once a second, one event for all its publishes and only while it
    /// has any, since the reply to a [`ChunkStored`] comes no more often than a GOP ends, which may take 10 s. Answered by
    /// [`RevokedReply`].
    ///
    /// In an hour that is 3,600 invocations of some milliseconds and as many reads of at most 4 KB: at AWS's list prices of
    /// $0.20 a million requests, $0.0000167 a GB-second (256 MB, 10 ms) and $0.125 a million read units, $0.0013 per edge.
    Revoked,
}

/// A publisher wants to go on air.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Made by the edge for this connection; the same for every retry, so that one connection is one publish. 8 to 64 of `[0-9a-zA-Z-]`.
    pub connection: String,
    /// Hash of the stream key.
    pub key_hash: KeyHash,
    /// The publisher is a placeholder (a test picture) whose broadcast ends when another publisher comes.
    #[serde(default)]
    pub filler: bool,
}

/// Answer to [`Open`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum OpenReply {
    /// On air as this publish.
    Opened(Opened),
    /// Refused.
    Refused(Verdict),
}

/// What a publisher has been given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The live that the key belongs to.
    pub live: LiveId,
    /// Its current broadcast, made if there was none.
    pub broadcast: BroadcastId,
    /// This publish's number.
    pub publish: PublishNo,
    /// When presentation time 0 reached an edge; absent until the first [`Start`].
    pub availability_start: Option<WallTime>,
}

/// The first frame of a publish has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// The publish.
    pub publish: PublishNo,
    /// When its first picture (or sound) arrived, by the edge's clock.
    pub first_frame: WallTime,
}

/// Answer to [`Start`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum StartReply {
    /// The broadcast's availability start: `first_frame` of whoever asked first.
    Started {
        /// When presentation time 0 reached an edge.
        availability_start: WallTime,
        /// Where the broadcast's committed timeline ends, in 1/90 000 s of presentation time: the publish must not begin before it.
        #[serde(default)]
        resume_at: Option<Ticks>,
    },
    /// The publish must stop.
    Stop(Verdict),
}

/// A chunk is in the bucket under [`crate::names::chunk`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkStored {
    /// The live.
    pub live: LiveId,
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// The chunk.
    #[serde(flatten)]
    pub pos: ChunkPos,
}

/// Answer to [`ChunkStored`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum ChunkReply {
    /// An encoder has taken charge of it. Verdicts found since the last notice, all warnings.
    Accepted {
        /// Warnings for the broadcaster.
        #[serde(default)]
        warnings: Vec<Verdict>,
    },
    /// No encoder could take it now; the chunk is safe, tell again later.
    Retry {
        /// Why, for the log.
        reason: String,
    },
    /// The publish must stop.
    Stop(Verdict),
}

/// Why a publish is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloseReason {
    /// The broadcaster stopped it (FCUnpublish, deleteStream or closeStream): the broadcast is over.
    Unpublished,
    /// The connection was lost, or the edge drains: the broadcast waits for the publisher's return.
    Lost,
    /// gopcast ended it (superseded, refused, ended by the operator).
    Stopped,
}

/// A publish is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// The live.
    pub live: LiveId,
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// The publish.
    pub publish: PublishNo,
    /// How many chunks it has stored: `0..chunks` are in the bucket.
    pub chunks: u32,
    /// Why.
    pub reason: CloseReason,
}

/// Answer to [`Close`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum CloseReply {
    /// Noted by the encoder, or nothing is left to note.
    Closed,
    /// No encoder could take it now; tell again later.
    Retry {
        /// Why, for the log.
        reason: String,
    },
}

/// The operator ends what is on air.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The live.
    pub live: LiveId,
}

/// Answer to [`End`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum EndReply {
    /// The broadcast is ending; its replay follows.
    Ending {
        /// Which one.
        broadcast: BroadcastId,
    },
    /// Nothing was on air.
    NotOnAir,
    /// There is no such live.
    NoSuchLive,
    /// No encoder could take it now; tell again later.
    Retry {
        /// Why.
        reason: String,
    },
}

/// A timed event for what is on air ([`crate::cue`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddCue {
    /// The live.
    pub live: LiveId,
    /// Its name in the broadcast: the same for every retry.
    pub id: String,
    /// When it happens; now, by the gateway's clock, if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<WallTime>,
    /// How long it lasts in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
    /// What happens: the text of a JSON object.
    pub data: String,
}

/// Answer to [`AddCue`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum CueReply {
    /// It is kept, and its encoder knows.
    Added {
        /// Of which broadcast.
        broadcast: BroadcastId,
        /// The how manieth of the broadcast.
        number: u32,
        /// When it happens.
        at: WallTime,
        /// The same as presentation time in 1/90 000 s.
        presentation: Ticks,
    },
    /// It can't be kept; why, in words for whoever put it in.
    Refused {
        /// Why.
        reason: String,
    },
    /// Nothing is on air, or no picture has arrived yet.
    NotOnAir,
    /// There is no such live.
    NoSuchLive,
    /// It is kept, and no encoder could be told: it is in the manifests within a minute. Or send the same again.
    Retry {
        /// Why.
        reason: String,
    },
}

/// An encoder gives a broadcast up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// The live.
    pub live: LiveId,
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// The epoch under which the encoder has it. A binding that has moved on is left alone.
    pub epoch: Epoch,
}

/// Answer to [`Handover`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum HandoverReply {
    /// Another encoder has it now.
    Moved,
    /// It is over.
    Over,
    /// No encoder could take it now; ask again later.
    Retry {
        /// Why, for the log.
        reason: String,
    },
}

/// Answer to [`GatewayRequest::Sweep`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepReply {
    /// Broadcasts that have not ended.
    pub found: u32,
    /// Those that an encoder works on, as it says itself.
    pub served: u32,
    /// Those that turned out to be over.
    pub over: u32,
    /// Those that no encoder could take, or that were not reached in time: the next sweep comes to them.
    pub left: u32,
}

/// Answer to [`GatewayRequest::Revoked`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedReply {
    /// What has been revoked in the last quarter of an hour, all of it at each asking: facts, which may be read twice.
    pub revocations: Vec<Revocation>,
}

/// Something that publishes go by and that does not hold any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Revocation {
    /// A stream key has been replaced.
    Key {
        /// Whose it was.
        live: LiveId,
        /// Hash of the old one.
        key_hash: KeyHash,
    },
    /// A live has been disabled.
    Live {
        /// Which.
        live: LiveId,
    },
    /// The operator has ended a broadcast.
    Broadcast {
        /// Which.
        broadcast: BroadcastId,
    },
}

/// Path on an encoder for [`EncoderRequest`], by POST, signed.
pub const ENCODER_PATH: &str = "/v1/broadcast";

/// What the gateway tells an encoder about a broadcast bound to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderRequest {
    /// The live.
    pub live: LiveId,
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// The epoch of the binding under which the gateway speaks.
    pub epoch: Epoch,
    /// What happened.
    pub what: EncoderEvent,
}

/// What happened to a broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EncoderEvent {
    /// This chunk is stored (and so are all before it in its publish).
    Chunk(ChunkPos),
    /// This publish is over.
    Close {
        /// Which.
        publish: PublishNo,
        /// How many chunks it has.
        chunks: u32,
        /// Why.
        reason: CloseReason,
    },
    /// The operator ends the broadcast.
    End,
    /// There are timed events that the manifests do not have yet.
    Cues,
    /// Nothing new: whoever is bound to the broadcast is to work on it.
    Check,
}

/// An encoder's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum EncoderReply {
    /// Taken in charge.
    Accepted {
        /// Verdicts found since the last notice. A fatal one stops the publish.
        #[serde(default)]
        verdicts: Vec<Verdict>,
    },
    /// The encoder knows, or the table says, that the binding has moved on: look it up again.
    Stale,
    /// The encoder is shutting down: bind another.
    Draining,
    /// The broadcast is over.
    Over,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ChunkSeq;

    #[test]
    fn golden_events() {
        let broadcast = BroadcastId::new(1_700_000_000_001, [0; 10]);
        let pos = ChunkPos { publish: PublishNo::FIRST, seq: ChunkSeq(7) };
        let event = GatewayRequest::Chunk(ChunkStored { live: "demo".parse().unwrap(), broadcast, pos });
        let text = r#"{"event":"chunk","live":"demo","broadcast":"018bcfe5-6801-7000-8000-000000000000","publish":1,"seq":7}"#;
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
        assert_eq!(serde_json::from_str::<GatewayRequest>(text).unwrap(), event);
        assert_eq!(
            serde_json::to_string(&StartReply::Started {
                availability_start: WallTime(5),
                resume_at: Some(7)
            })
            .unwrap(),
            r#"{"outcome":"started","availability_start":5,"resume_at":7}"#
        );
    }

    #[test]
    fn golden_revocations() {
        assert_eq!(serde_json::to_string(&GatewayRequest::Revoked).unwrap(), r#"{"event":"revoked"}"#);
        let live: LiveId = "demo".parse().unwrap();
        let key_hash = "key-of-demo".parse::<crate::id::StreamKey>().unwrap().hash();
        let reply = RevokedReply {
            revocations: vec![
                Revocation::Key { live: live.clone(), key_hash: key_hash.clone() },
                Revocation::Live { live },
                Revocation::Broadcast { broadcast: BroadcastId::new(1_700_000_000_001, [0; 10]) },
            ],
        };
        let text = format!(
            r#"{{"revocations":[{{"what":"key","live":"demo","key_hash":"{key_hash}"}},{{"what":"live","live":"demo"}},{{"what":"broadcast","broadcast":"018bcfe5-6801-7000-8000-000000000000"}}]}}"#
        );
        assert_eq!(serde_json::to_string(&reply).unwrap(), text);
        assert_eq!(serde_json::from_str::<RevokedReply>(&text).unwrap(), reply);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            r#"{"event":"chunk","live":"demo","broadcast":"x","publish":1,"seq":7}"#,
            r#"{"event":"chunk","live":"demo","broadcast":"018bcfe5-6801-7000-8000-000000000000","publish":0,"seq":7}"#,
            r#"{"event":"fly"}"#,
        ] {
            assert!(serde_json::from_str::<GatewayRequest>(bad).is_err(), "{bad}");
        }
    }
}
