//! The lives of a local stack: made when they are not there, and their shows brought to an end with the stack.

use std::time::Duration;

use anyhow::{Context as _, bail};
use media::{
    id::{BroadcastId, LiveId, StreamKey},
    ladder::Profile,
    limits::Limits,
    wire::{AddCue, CueReply, End, EndReply, GatewayRequest},
};
use service::{
    backoff::Backoff,
    clock::{self, Clock},
    index,
    table::{Live, State, TableError},
};

use super::panel::LiveReady;
use crate::{
    data_dir::DataDir,
    stack::{Clients, Stack, WINDOW_DEFAULT},
};

/// How often it is looked whether a broadcast is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often ending is asked for when no encoder could take it; each waits up to two seconds.
const END_TRIES: u32 = 8;

/// A live to be made.
#[derive(Debug)]
pub(crate) struct New {
    pub(crate) live: LiveId,
    pub(crate) title: String,
    pub(crate) profile: Profile,
    /// The source itself is the top rung.
    pub(crate) source_rung: bool,
    pub(crate) window_seconds: u32,
    pub(crate) limits: Limits,
    /// Key of its slate.
    pub(crate) slate: Option<String>,
}

/// Creates a live with a new key, which is kept in the data directory.
///
/// # Errors
/// [`TableError::Conflict`] if there is one of that name; when the table can't be written.
pub(crate) async fn create(clients: &Clients, dir: &DataDir, new: New) -> anyhow::Result<StreamKey> {
    let key = StreamKey::generate(clock::random_bytes());
    let New { live, title, profile, source_rung, window_seconds, limits, slate } = new;
    let row = Live {
        live,
        title,
        key_hash: key.hash(),
        profile,
        source_rung,
        window_seconds,
        limits,
        slate,
        disabled: false,
        current: None,
        created: clock::now(),
    };
    clients.table.create_live(&row).await?;
    dir.set_key(&row.live, Some(&key))?;
    publish_indexes(clients, &row.live).await?;
    Ok(key)
}

/// Writes what the pages list of a live.
///
/// # Errors
/// When table or bucket can't be reached.
pub(crate) async fn publish_indexes(clients: &Clients, live: &LiveId) -> anyhow::Result<()> {
    index::publish_live(&clients.table, &clients.bucket, live, &Clock::default()).await?;
    index::publish_lives(&clients.table, &clients.bucket, &Clock::default()).await?;
    Ok(())
}

/// Makes the named lives where they are missing. Those that were there with another ladder than asked for.
///
/// # Errors
/// When the table or the bucket can't be reached.
pub(crate) async fn ensure(
    clients: &Clients,
    dir: &DataDir,
    names: &[LiveId],
    ladder: Profile,
) -> anyhow::Result<Vec<Live>> {
    let mut different = Vec::new();
    for name in names {
        if let Some(live) = clients.table.live(name).await? {
            if live.profile != ladder {
                different.push(live);
            }
            continue;
        }
        let (live, title) = (name.clone(), name.to_string());
        let new = New {
            live,
            title,
            profile: ladder,
            source_rung: false,
            window_seconds: WINDOW_DEFAULT,
            limits: Limits::default(),
            slate: None,
        };
        create(clients, dir, new).await.with_context(|| format!("creating the live {name}"))?;
    }
    Ok(different)
}

/// All lives for the panel: those named first, in their order.
///
/// # Errors
/// When the table or `keys.json` can't be read.
pub(crate) async fn listed(
    clients: &Clients,
    dir: &DataDir,
    stack: &Stack,
    names: &[LiveId],
) -> anyhow::Result<Vec<LiveReady>> {
    let mut lives: Vec<LiveId> = clients.table.lives().await?.into_iter().map(|live| live.live).collect();
    // Stable: the others stay in the order of their names.
    lives.sort_by_key(|live| names.iter().position(|name| name == live).unwrap_or(usize::MAX));
    lives
        .into_iter()
        .map(|live| {
            let key = dir.key(&live)?.map(|key| key.reveal().to_owned());
            let (watch, mpd) = (stack.watch_url(&live), stack.mpd_url(&live));
            Ok(LiveReady { live, key, watch, mpd })
        })
        .collect()
}

/// How asking for an end came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// This broadcast is ending.
    Broadcast(BroadcastId),
    /// Nothing is on air.
    NotOnAir,
    /// There is no such live.
    NoSuchLive,
}

/// Asks the gateway to end what is on air.
///
/// # Errors
/// When the gateway can't be asked, or no encoder could take it.
pub(crate) async fn ask_to_end(clients: &Clients, live: &LiveId) -> anyhow::Result<Ending> {
    let request = GatewayRequest::End(End { live: live.clone() });
    let mut attempt = 0;
    loop {
        attempt += 1;
        let error = match clients.gateway.ask::<EndReply>(&request).await {
            Ok(EndReply::Ending { broadcast }) => return Ok(Ending::Broadcast(broadcast)),
            Ok(EndReply::NotOnAir) if attempt > 1 => {
                // What an earlier try began may be over by now.
                let row = clients.table.live(live).await?;
                let current = row.and_then(|live| live.current);
                return Ok(current.map_or(Ending::NotOnAir, Ending::Broadcast));
            }
            Ok(EndReply::NotOnAir) => return Ok(Ending::NotOnAir),
            Ok(EndReply::NoSuchLive) => return Ok(Ending::NoSuchLive),
            Ok(EndReply::Retry { reason }) => anyhow::anyhow!("no encoder could take it: {reason}"),
            Err(error) if error.transient => error.into(),
            Err(error) => return Err(error.into()),
        };
        if attempt == END_TRIES {
            return Err(error).context("ending the broadcast");
        }
        Backoff::REGIONAL.sleep(attempt, &Clock::default()).await;
    }
}

/// Puts a timed event into what is on air.
///
/// # Errors
/// When the gateway can't be asked, or refuses; the text says why.
pub(crate) async fn add_cue(clients: &Clients, cue: AddCue) -> anyhow::Result<CueTold> {
    let live = cue.live.clone();
    let (id, request) = (cue.id.clone(), GatewayRequest::Cue(cue));
    let mut attempt = 0;
    loop {
        attempt += 1;
        let error = match clients.gateway.ask::<CueReply>(&request).await {
            Ok(CueReply::Added { broadcast, number, at, presentation }) => {
                let at = at.rfc3339();
                return Ok(CueTold { live, broadcast, id, number, at, presentation });
            }
            Ok(CueReply::Refused { reason }) => bail!("{reason}"),
            Ok(CueReply::NotOnAir) => bail!("{live} is not on air"),
            Ok(CueReply::NoSuchLive) => {
                bail!("there is no live {live}; `gopcast live list` shows which there are")
            }
            Ok(CueReply::Retry { reason }) => anyhow::anyhow!("no encoder could be told: {reason}"),
            Err(error) if error.transient => error.into(),
            Err(error) => return Err(error.into()),
        };
        if attempt == END_TRIES {
            return Err(error).context("putting the event in");
        }
        Backoff::REGIONAL.sleep(attempt, &Clock::default()).await;
    }
}

/// What `live event` prints.
#[derive(Debug, serde::Serialize)]
pub(crate) struct CueTold {
    live: LiveId,
    broadcast: BroadcastId,
    id: String,
    /// Its number in the broadcast, as manifests have it.
    number: u32,
    /// When it happens.
    at: String,
    /// The same as presentation time in 1/90 000 s.
    presentation: i64,
}

/// Waits until a broadcast is over. Unbounded: the caller bounds it.
///
/// # Errors
/// When the table can't be read, or the broadcast is gone.
pub(crate) async fn wait_ended(clients: &Clients, broadcast: &BroadcastId) -> anyhow::Result<()> {
    loop {
        let row = clients.table.broadcast(broadcast).await?;
        if row.with_context(|| format!("there is no broadcast {broadcast}"))?.state == State::Ended {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Ends whatever is on air, so that its replay is there when the stack starts again. How many broadcasts.
///
/// # Errors
/// When something can't be reached.
pub(crate) async fn end_all(clients: &Clients) -> anyhow::Result<usize> {
    let mut ending = Vec::new();
    for (_, live) in clients.table.on_air().await? {
        if let Ending::Broadcast(broadcast) = ask_to_end(clients, &live).await? {
            ending.push(broadcast);
        }
    }
    for broadcast in &ending {
        wait_ended(clients, broadcast).await?;
    }
    Ok(ending.len())
}

/// Whether an error says that the row is there already.
#[must_use]
pub(crate) fn is_conflict(error: &anyhow::Error) -> bool {
    error.downcast_ref::<TableError>().is_some_and(TableError::is_conflict)
}
