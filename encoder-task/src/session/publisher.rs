//! The manifests of one broadcast: rendered from the ledger as this session knows it, swapped in the bucket by compare-and-swap.
//!
//! Invariant: a manifest is never replaced if the one in the bucket was written by a later epoch of the same broadcast, or for a later
//! broadcast of the live. Each carries both in its metadata.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use media::{
    id::{BroadcastId, Epoch},
    ledger::{Init, Row},
    names,
    time::WallTime,
};
use service::{
    bucket::{Bucket, BucketError, Condition, Kind, META_BROADCAST, META_EPOCH, Put},
    clock,
    table::{Broadcast, Table, TableError},
};

use crate::{
    manifest::{self, Input, ManifestError, Scope, State},
    retry::Health,
};

/// Tries of one swap against other writers before giving up until the next commit. Only a takeover brings a second writer, and it
/// fences the first at once.
const SWAP_TRIES: u32 = 8;

/// What is committed.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The ledger, in order.
    pub(super) rows: Vec<Row>,
    /// The initialization segments.
    pub(super) inits: Vec<Init>,
}

impl View {
    /// Whether this initialization segment is noted already.
    pub(super) fn knows(&self, init: &Init) -> bool {
        self.inits.iter().any(|known| known.rung == init.rung && known.config == init.config)
    }
}

/// Shared between the session, which adds, and the publisher, which reads.
pub(super) type SharedView = Arc<Mutex<View>>;

/// Why a manifest was not swapped.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublishError {
    /// Another encoder, or a later broadcast, has the manifest: this session is over.
    #[error("the manifest belongs to a later writer")]
    Fenced,
    /// There are chunks, but nobody has fixed when presentation time 0 was.
    #[error("the broadcast has chunks but no availability start")]
    NoStart,
    /// DynamoDB refused.
    #[error("the availability start could not be read")]
    Table(#[from] TableError),
    /// S3 refused.
    #[error("the manifest could not be stored")]
    Bucket(#[from] BucketError),
    /// The ledger can't be spelled as a manifest.
    #[error("the manifest could not be made")]
    Manifest(#[from] ManifestError),
}

/// One manifest object.
struct Target {
    key: String,
    scope: Scope,
    base_url: Option<String>,
    /// Entity tag of what this session stored last.
    etag: Option<String>,
    /// The stable URL is shared by all broadcasts of the live.
    shared: bool,
}

/// Writes the manifests of one broadcast.
pub(super) struct Publisher {
    table: Table,
    bucket: Bucket,
    health: Arc<Health>,
    broadcast: Broadcast,
    epoch: Epoch,
    view: SharedView,
    vod: Target,
    live: Target,
}

impl Publisher {
    /// A publisher for `broadcast` under `epoch`.
    pub(super) fn new(
        table: Table,
        bucket: Bucket,
        health: Arc<Health>,
        broadcast: Broadcast,
        epoch: Epoch,
        view: SharedView,
    ) -> Self {
        let (live_id, id) = (&broadcast.live, &broadcast.broadcast);
        let vod = Target {
            key: names::vod_manifest(live_id, id),
            scope: Scope::Full,
            base_url: None,
            etag: None,
            shared: false,
        };
        let live = Target {
            key: names::live_manifest(live_id),
            scope: Scope::Window(manifest::LIVE_WINDOW_SECONDS),
            // From live/{live}/ to where the segments are.
            base_url: Some(format!("../../{}", names::vod_prefix(live_id, id))),
            etag: None,
            shared: true,
        };
        Self { table, bucket, health, broadcast, epoch, view, vod, live }
    }

    /// When presentation time 0 was, once [`Publisher::publish`] has needed it.
    pub(super) fn availability_start(&self) -> Option<WallTime> {
        self.broadcast.availability_start
    }

    /// The availability start is fixed before the first chunk is stored: it is there once there is a row, and read once.
    async fn read_start(&mut self) -> Result<WallTime, PublishError> {
        if let Some(start) = self.broadcast.availability_start {
            return Ok(start);
        }
        let read = || self.table.broadcast(&self.broadcast.broadcast);
        let meta = self.health.insist("broadcast", read).await?;
        let start = meta.and_then(|meta| meta.availability_start).ok_or(PublishError::NoStart)?;
        self.broadcast.availability_start = Some(start);
        Ok(start)
    }

    /// Brings both manifests up to the ledger. `over` makes them final.
    pub(super) async fn publish(&mut self, over: bool) -> Result<(), PublishError> {
        let availability_start = self.read_start().await?;
        let state = if over { State::Over } else { State::OnAir };
        let render = |target: &Target, scope: Scope| -> Result<Bytes, PublishError> {
            let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
            let text = manifest::manifest(&Input {
                live: &self.broadcast.live,
                broadcast: &self.broadcast.broadcast,
                availability_start,
                publish_time: clock::now(),
                state,
                scope,
                rows: &view.rows,
                inits: &view.inits,
                base_url: target.base_url.clone(),
            })?;
            Ok(Bytes::from(text))
        };
        let vod_text = match render(&self.vod, self.vod.scope) {
            // Nothing that can be shown is committed yet.
            Err(PublishError::Manifest(ManifestError::Empty)) => return Ok(()),
            text => text?,
        };
        // Once over, the stable URL shows the replay, whole.
        let live_text = render(&self.live, if over { Scope::Full } else { self.live.scope })?;
        let context = Context {
            bucket: &self.bucket,
            health: &self.health,
            broadcast: &self.broadcast.broadcast,
            epoch: self.epoch,
        };
        let (vod, live) =
            tokio::join!(context.swap(&mut self.vod, vod_text), context.swap(&mut self.live, live_text));
        vod.and(live)
    }
}

struct Context<'a> {
    bucket: &'a Bucket,
    health: &'a Health,
    broadcast: &'a BroadcastId,
    epoch: Epoch,
}

impl Context<'_> {
    async fn swap(&self, target: &mut Target, text: Bytes) -> Result<(), PublishError> {
        let meta = [(META_EPOCH, self.epoch.0.to_string()), (META_BROADCAST, self.broadcast.to_string())];
        for _ in 0..SWAP_TRIES {
            let condition = target.etag.as_deref().map_or(Condition::Absent, Condition::Matches);
            let put = self
                .health
                .insist("put manifest", || {
                    self.bucket.put(&target.key, text.clone(), Kind::MANIFEST, condition, &meta)
                })
                .await?;
            match put {
                Put::Stored(etag) => {
                    target.etag = Some(etag);
                    return Ok(());
                }
                Put::Conflict => target.etag = self.look(target).await?,
            }
        }
        // Somebody writes all the time; the next commit tries again with what it then finds.
        tracing::warn!(key = %target.key, "manifest is contended");
        Ok(())
    }

    /// What is in the way: its entity tag if it may be replaced.
    async fn look(&self, target: &Target) -> Result<Option<String>, PublishError> {
        let found = self.health.insist("get manifest", || self.bucket.get(&target.key)).await?;
        let Some(found) = found else { return Ok(None) };
        let theirs: Option<BroadcastId> = found.broadcast.as_deref().and_then(|id| id.parse().ok());
        let later = match theirs {
            Some(theirs) if theirs == *self.broadcast => {
                found.epoch.is_some_and(|epoch| epoch > self.epoch.0)
            }
            Some(theirs) => target.shared && theirs > *self.broadcast,
            None => false,
        };
        if later { Err(PublishError::Fenced) } else { Ok(Some(found.etag)) }
    }
}
