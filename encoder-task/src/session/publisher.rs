//! The manifests of one broadcast: rendered from the ledger as this session knows it, swapped in the bucket by compare-and-swap.
//!
//! Invariants: a manifest is never replaced if the one in the bucket was written by a later epoch of the same broadcast, or for a later
//! broadcast of the live, and each carries both in its metadata; a multivariant playlist is stored after the playlists that it names.
//!
//! While on air, each chunk costs one write per MPD and two per track (its window, and its list from second 0 while that is short);
//! a multivariant playlist is written when it changes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::future::join_all;
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
    manifest::{
        self, Input, ManifestError, Scope, State, Timeline,
        hls::{self, Playlists},
    },
    retry::Health,
    session::claim::Deps,
};

/// Tries of one swap against other writers before the broadcast is taken up anew. Only a takeover brings a second writer, and it fences
/// the first at once.
const SWAP_TRIES: u32 = 8;

/// A playlist from second 0 is written with each chunk up to so many segments (half an hour of 2 s GOPs)…
const EVENT_SEGMENTS_FREE: usize = 900;
/// …and later less and less often: so many of its segments for each second since it was written. What is written stays below 20 kB a
/// second and track; after 12 h of 2 s GOPs a playlist has 21 600 segments and 700 kB, and is written every 48 s.
const EVENT_SEGMENTS_PER_SECOND: usize = 450;

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

/// One object that is swapped.
#[derive(Debug, Clone, Default)]
pub(super) struct Target {
    /// Entity tag of what this session stored last.
    etag: Option<String>,
    /// What this session stored last, if the same need not be stored again.
    text: Option<Bytes>,
    /// A later broadcast of the live has it: it stays as it is.
    taken: bool,
}

impl Target {
    /// Whether a later broadcast of the live has it.
    pub(super) fn is_taken(&self) -> bool {
        self.taken
    }
}

/// What is to be stored.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) key: String,
    pub(super) text: Bytes,
    pub(super) kind: Kind,
    /// The stable addresses are shared by all broadcasts of the live.
    pub(super) shared: bool,
    /// It is left as it is when it would be the same.
    pub(super) quiet: bool,
}

/// Everything that follows from one state of the ledger.
#[derive(Debug, Default)]
struct Edition {
    /// MPDs and media playlists.
    first: Vec<Draft>,
    /// What leads to media playlists.
    then: Vec<Draft>,
}

/// A playlist with a comment (RFC 8216, 4.1) that names the epoch. An entity tag is a hash of the bytes: without it, two epochs that write
/// the same would have the same tag, and an encoder that has lost the broadcast could go on swapping where its successor has been.
fn of_epoch(playlist: &str, epoch: Epoch) -> Bytes {
    let (first, rest) = playlist.split_once('\n').unwrap_or((playlist, ""));
    Bytes::from(format!("{first}\n# epoch {}\n{rest}", epoch.0))
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
    targets: HashMap<String, Target>,
    /// When the playlists from second 0 may be written again.
    event_due: WallTime,
}

impl Publisher {
    /// A publisher for `broadcast` under `epoch`.
    pub(super) fn new(deps: &Deps, broadcast: Broadcast, epoch: Epoch, view: View) -> Self {
        let Deps { table, clock, workshop, .. } = deps.clone();
        let (bucket, health) = (workshop.bucket, workshop.health);
        let (targets, event_due) = (HashMap::new(), WallTime(0));
        Self { table, bucket, health, broadcast, epoch, clock, view, targets, event_due }
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

    /// Brings the manifests up to the ledger, while the broadcast is on air.
    pub(super) async fn publish(&mut self) -> Result<(), PublishError> {
        let start = self.read_start().await?;
        let edition = match self.on_air(start) {
            // Nothing that can be shown is committed yet.
            Err(PublishError::Manifest(ManifestError::Empty)) => return Ok(()),
            edition => edition?,
        };
        self.store(edition).await
    }

    /// Makes the manifests final. True when the stable MPD still shows the live timeline, because it is not the replay's and viewers at
    /// its end have some of it before them: [`Publisher::settle`] is to be called when they have seen it.
    pub(super) async fn finish(&mut self) -> Result<bool, PublishError> {
        let differs = {
            let ledger = self.view.lock();
            // Where nothing was ever shown live, there is no live timeline to see to its end.
            manifest::differs(&ledger) && ledger.rows.iter().any(|row| !row.segments.is_empty())
        };
        let start = self.read_start().await?;
        let edition = match self.over(start, differs) {
            Err(PublishError::Manifest(ManifestError::Empty)) => return Ok(differs),
            edition => edition?,
        };
        self.store(edition).await?;
        Ok(differs)
    }

    /// Makes the stable MPD that of the replay.
    pub(super) async fn settle(&mut self) -> Result<(), PublishError> {
        let start = self.read_start().await?;
        let draft = {
            let ledger = self.view.lock();
            let replay = Timeline::new(&ledger, State::Over);
            self.stable_mpd(start, &replay, Scope::Full)?
        };
        self.store(Edition { first: vec![draft], then: Vec::new() }).await
    }

    fn input(&self, availability_start: WallTime, base_url: Option<String>) -> Input<'_> {
        Input {
            live: &self.broadcast.live,
            broadcast: &self.broadcast.broadcast,
            availability_start,
            publish_time: self.clock.now(),
            base_url,
        }
    }

    /// From `live/{live}/` to where the segments are.
    fn base(&self) -> String {
        format!("../../{}", names::vod_prefix(&self.broadcast.live, &self.broadcast.broadcast))
    }

    fn own_mpd(&self, start: WallTime, timeline: &Timeline<'_>) -> Result<Draft, PublishError> {
        let text = manifest::mpd(&self.input(start, None), timeline, Scope::Full)?;
        let key = names::vod_manifest(&self.broadcast.live, &self.broadcast.broadcast);
        Ok(Draft { key, text: text.into(), kind: Kind::MANIFEST, shared: false, quiet: false })
    }

    fn stable_mpd(
        &self,
        start: WallTime,
        timeline: &Timeline<'_>,
        scope: Scope,
    ) -> Result<Draft, PublishError> {
        let text = manifest::mpd(&self.input(start, Some(self.base())), timeline, scope)?;
        let key = names::live_manifest(&self.broadcast.live);
        Ok(Draft { key, text: text.into(), kind: Kind::MANIFEST, shared: true, quiet: false })
    }

    fn media(
        &self,
        playlists: &Playlists<'_>,
        kind: hls::Kind,
        ended: bool,
    ) -> impl Iterator<Item = Draft> + use<> {
        let (live, id) = (self.broadcast.live.clone(), self.broadcast.broadcast.clone());
        let epoch = self.epoch;
        playlists.media(kind, ended).into_iter().map(move |(rung, text)| Draft {
            key: names::playlist(&live, &id, &rung, kind.file()),
            text: of_epoch(&text, epoch),
            kind: Kind::PLAYLIST,
            shared: false,
            quiet: false,
        })
    }

    /// The two multivariant playlists: the broadcast's own and the stable one.
    fn masters(&self, playlists: &Playlists<'_>, own: hls::Kind, stable: hls::Kind) -> [Draft; 2] {
        let (live, id) = (&self.broadcast.live, &self.broadcast.broadcast);
        let draft = |key, text: String, shared| Draft {
            key,
            text: of_epoch(&text, self.epoch),
            kind: Kind::PLAYLIST,
            shared,
            quiet: true,
        };
        [
            draft(names::vod_master(live, id), playlists.multivariant(own, ""), false),
            draft(names::live_master(live), playlists.multivariant(stable, &self.base()), true),
        ]
    }

    fn on_air(&mut self, start: WallTime) -> Result<Edition, PublishError> {
        let (now, mut event_due) = (self.clock.now(), self.event_due);
        let view = self.view.clone();
        let ledger = view.lock();
        let timeline = Timeline::new(&ledger, State::OnAir);
        let window = Scope::Window(manifest::LIVE_WINDOW_SECONDS);
        let first = vec![self.own_mpd(start, &timeline)?, self.stable_mpd(start, &timeline, window)?];
        let mut edition = Edition { first, then: Vec::new() };
        let input = self.input(start, None);
        let Some(playlists) = Playlists::new(&input, &timeline)? else { return Ok(edition) };
        edition.first.extend(self.media(&playlists, hls::Kind::Window, false));
        edition.then.extend(self.masters(&playlists, hls::Kind::Event, hls::Kind::Window));
        if now >= self.event_due {
            edition.first.extend(self.media(&playlists, hls::Kind::Event, false));
            event_due = now.plus_micros(event_wait(playlists.segments()));
        }
        self.event_due = event_due;
        Ok(edition)
    }

    fn over(&self, start: WallTime, differs: bool) -> Result<Edition, PublishError> {
        let ledger = self.view.lock();
        let replay = Timeline::new(&ledger, State::Over);
        let shown = Timeline::new(&ledger, State::Closing);
        let stable = if differs { &shown } else { &replay };
        let first = vec![self.own_mpd(start, &replay)?, self.stable_mpd(start, stable, Scope::Full)?];
        let mut edition = Edition { first, then: Vec::new() };
        let input = self.input(start, None);
        // Those who watch live play the lists that they know to the end.
        if let Some(playlists) = Playlists::new(&input, &shown)? {
            for kind in [hls::Kind::Window, hls::Kind::Event] {
                edition.first.extend(self.media(&playlists, kind, true));
            }
        }
        if let Some(playlists) = Playlists::new(&input, &replay)? {
            edition.first.extend(self.media(&playlists, hls::Kind::Replay, true));
            edition.then.extend(self.masters(&playlists, hls::Kind::Replay, hls::Kind::Replay));
        }
        Ok(edition)
    }

    async fn store(&mut self, edition: Edition) -> Result<(), PublishError> {
        for drafts in [edition.first, edition.then] {
            let work: Vec<_> = drafts
                .into_iter()
                .map(|draft| (self.targets.remove(&draft.key).unwrap_or_default(), draft))
                .collect();
            let (bucket, health) = (&self.bucket, &self.health);
            let context = Context { bucket, health, broadcast: &self.broadcast.broadcast, epoch: self.epoch };
            let done = join_all(work.into_iter().map(async |(mut target, draft)| {
                let result = context.swap(&mut target, &draft).await;
                (draft.key, target, result)
            }))
            .await;
            let mut all = Ok(());
            for (key, target, result) in done {
                self.targets.insert(key, target);
                all = all.and(result);
            }
            all?;
        }
        Ok(())
    }
}

/// Who swaps.
pub(super) struct Context<'a> {
    pub(super) bucket: &'a Bucket,
    pub(super) health: &'a Health,
    pub(super) broadcast: &'a BroadcastId,
    pub(super) epoch: Epoch,
}

impl Context<'_> {
    /// Puts a draft in the place of what this epoch may replace.
    pub(super) async fn swap(&self, target: &mut Target, draft: &Draft) -> Result<(), PublishError> {
        let Draft { key, text, kind, shared, quiet } = draft;
        if target.taken || (*quiet && target.text.as_ref() == Some(text)) {
            return Ok(());
        }
        let meta = [(META_EPOCH, self.epoch.0.to_string()), (META_BROADCAST, self.broadcast.to_string())];
        for _ in 0..SWAP_TRIES {
            let condition = target.etag.clone().map_or(Condition::Absent, Condition::Matches);
            let put = self
                .health
                .insist("put manifest", || {
                    self.bucket.put(key, text.clone(), *kind, condition.clone(), &meta)
                })
                .await?;
            match put {
                Put::Stored(etag) => {
                    target.etag = Some(etag);
                    target.text = quiet.then(|| text.clone());
                    return Ok(());
                }
                Put::Conflict => {
                    let get = || self.bucket.get(key);
                    let Some(found) = self.health.insist("get manifest", get).await? else {
                        target.etag = None;
                        continue;
                    };
                    match in_the_way(&found, self.broadcast, self.epoch, *shared) {
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
        Err(PublishError::Contended(key.clone()))
    }
}

/// How long a playlist from second 0 with so many segments is left as it is, in microseconds.
fn event_wait(segments: usize) -> i64 {
    if segments <= EVENT_SEGMENTS_FREE {
        return 0;
    }
    let seconds = segments / EVENT_SEGMENTS_PER_SECOND;
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_playlists_are_written_less_often() {
        assert_eq!(event_wait(900), 0);
        assert_eq!(event_wait(901), 2_000_000);
        assert_eq!(event_wait(21_600), 48_000_000);
    }
}
