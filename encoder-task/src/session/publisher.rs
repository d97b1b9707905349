//! The manifests of one broadcast: rendered from the ledger as this session knows it, swapped in the bucket by compare-and-swap.
//!
//! Invariant: a manifest is never replaced if the one in the bucket was written by a later epoch of the same broadcast, or for a later
//! broadcast of the live. Each carries both in its metadata.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use media::{
    id::{BroadcastId, Epoch},
    ledger::Init,
    names,
    time::WallTime,
};
use service::{
    bucket::{Bucket, BucketError, Condition, Kind, META_BROADCAST, META_EPOCH, Put},
    clock::Clock,
    table::{Broadcast, Ledger, Table, TableError},
};

use super::decide::{InTheWay, in_the_way};
use crate::{
    manifest::{self, Input, ManifestError, Scope, State},
    retry::Health,
    session::claim::Deps,
};

/// Tries of one swap against other writers before the broadcast is taken up anew. Only a takeover brings a second writer, and it fences
/// the first at once.
const SWAP_TRIES: u32 = 8;

/// What is committed; shared between the session, which adds, and the publisher, which reads.
#[derive(Debug, Clone, Default)]
pub(super) struct View(Arc<Mutex<Ledger>>);

impl View {
    /// What is committed so far.
    pub(super) fn new(ledger: Ledger) -> Self {
        Self(Arc::new(Mutex::new(ledger)))
    }

    /// To read or to add. Never held across an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this initialization segment is noted already.
    pub(super) fn knows(&self, init: &Init) -> bool {
        self.lock().inits.iter().any(|known| known.rung == init.rung && known.config == init.config)
    }
}

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
    /// Others wrote at every try.
    #[error("{0} is being written by others all the time")]
    Contended(String),
    /// S3 refused.
    #[error("the manifest could not be stored")]
    Bucket(#[from] BucketError),
    /// The ledger can't be spelled as a manifest.
    #[error("the manifest could not be made")]
    Manifest(#[from] ManifestError),
}

/// One manifest object.
#[derive(Debug, Clone)]
struct Target {
    key: String,
    scope: Scope,
    base_url: Option<String>,
    /// Entity tag of what this session stored last.
    etag: Option<String>,
    /// The stable URL is shared by all broadcasts of the live.
    shared: bool,
    /// A later broadcast of the live has it: it stays as it is.
    taken: bool,
}

/// Writes the manifests of one broadcast.
pub(super) struct Publisher {
    table: Table,
    bucket: Bucket,
    health: Arc<Health>,
    broadcast: Broadcast,
    epoch: Epoch,
    clock: Clock,
    view: View,
    vod: Target,
    live: Target,
}

impl Publisher {
    /// A publisher for `broadcast` under `epoch`.
    pub(super) fn new(deps: &Deps, broadcast: Broadcast, epoch: Epoch, view: View) -> Self {
        let Deps { table, clock, workshop, .. } = deps.clone();
        let (bucket, health) = (workshop.bucket, workshop.health);
        let (live_id, id) = (&broadcast.live, &broadcast.broadcast);
        let vod = Target {
            key: names::vod_manifest(live_id, id),
            scope: Scope::Full,
            base_url: None,
            etag: None,
            shared: false,
            taken: false,
        };
        let live = Target {
            key: names::live_manifest(live_id),
            scope: Scope::Window(manifest::LIVE_WINDOW_SECONDS),
            // From live/{live}/ to where the segments are.
            base_url: Some(format!("../../{}", names::vod_prefix(live_id, id))),
            etag: None,
            shared: true,
            taken: false,
        };
        Self { table, bucket, health, broadcast, epoch, clock, view, vod, live }
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

    /// Brings both manifests up to the ledger, while the broadcast is on air.
    pub(super) async fn publish(&mut self) -> Result<(), PublishError> {
        self.write(State::OnAir, State::OnAir, self.live.scope).await
    }

    /// Makes both manifests final. True when the stable one still shows the live timeline, because it is not the replay's and viewers at
    /// its end have some of it before them: [`Publisher::settle`] is to be called when they have seen it.
    pub(super) async fn finish(&mut self) -> Result<bool, PublishError> {
        let differs = {
            let ledger = self.view.lock();
            // Where nothing was ever shown live, there is no live timeline to see to its end.
            manifest::differs(&ledger) && ledger.rows.iter().any(|row| !row.segments.is_empty())
        };
        let live = if differs { State::Closing } else { State::Over };
        self.write(State::Over, live, Scope::Full).await?;
        Ok(differs)
    }

    /// Makes the stable manifest that of the replay.
    pub(super) async fn settle(&mut self) -> Result<(), PublishError> {
        let text = self.render(&self.live, State::Over, Scope::Full)?;
        self.context().swap(&mut self.live.clone(), text).await
    }

    fn render(&self, target: &Target, state: State, scope: Scope) -> Result<Bytes, PublishError> {
        let availability_start = self.broadcast.availability_start.ok_or(PublishError::NoStart)?;
        let text = manifest::manifest(&Input {
            live: &self.broadcast.live,
            broadcast: &self.broadcast.broadcast,
            availability_start,
            publish_time: self.clock.now(),
            state,
            scope,
            ledger: &self.view.lock(),
            base_url: target.base_url.clone(),
        })?;
        Ok(Bytes::from(text))
    }

    fn context(&self) -> Context<'_> {
        let Self { bucket, health, broadcast, epoch, .. } = self;
        Context { bucket, health, broadcast: &broadcast.broadcast, epoch: *epoch }
    }

    async fn write(&mut self, vod: State, live: State, live_scope: Scope) -> Result<(), PublishError> {
        self.read_start().await?;
        let vod_text = match self.render(&self.vod, vod, self.vod.scope) {
            // Nothing that can be shown is committed yet.
            Err(PublishError::Manifest(ManifestError::Empty)) => return Ok(()),
            text => text?,
        };
        let live_text = self.render(&self.live, live, live_scope)?;
        let (mut vod, mut live) = (self.vod.clone(), self.live.clone());
        let context = self.context();
        let (first, second) =
            tokio::join!(context.swap(&mut vod, vod_text), context.swap(&mut live, live_text));
        (self.vod, self.live) = (vod, live);
        first.and(second)
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
        if target.taken {
            return Ok(());
        }
        let meta = [(META_EPOCH, self.epoch.0.to_string()), (META_BROADCAST, self.broadcast.to_string())];
        for _ in 0..SWAP_TRIES {
            let condition = target.etag.clone().map_or(Condition::Absent, Condition::Matches);
            let put = self
                .health
                .insist("put manifest", || {
                    self.bucket.put(&target.key, text.clone(), Kind::MANIFEST, condition.clone(), &meta)
                })
                .await?;
            match put {
                Put::Stored(etag) => {
                    target.etag = Some(etag);
                    return Ok(());
                }
                Put::Conflict => {
                    let get = || self.bucket.get(&target.key);
                    let Some(found) = self.health.insist("get manifest", get).await? else {
                        target.etag = None;
                        continue;
                    };
                    match in_the_way(&found, self.broadcast, self.epoch, target.shared) {
                        InTheWay::Replaceable => target.etag = Some(found.etag),
                        InTheWay::NextBroadcast => {
                            target.taken = true;
                            return Ok(());
                        }
                        InTheWay::LaterEpoch => return Err(PublishError::Fenced),
                    }
                }
            }
        }
        Err(PublishError::Contended(target.key.clone()))
    }
}
