//! `gopcast broadcast verify`: gathers the evidence from table and bucket, and tells what `check` makes of it.

mod check;
mod evidence;
mod m3u8;
mod manifests;
mod mpd;
mod playlists;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _};
use media::{id::BroadcastId, ledger::Object, names, time::WallTime};
use serde::Serialize;
use service::table::{Broadcast, Ledger, State, TableError};
use sha2::{Digest as _, Sha256};

use self::{
    check::check,
    evidence::{Evidence, Expected, Fault, Manifest, Reached, Report, Role, Stored},
    m3u8::M3u8,
    playlists::Playlist,
};
use crate::{
    args::StackArgs,
    exit::Exit,
    output,
    progress::Progress,
    stack::{Clients, Stack},
};

/// Objects read at a time.
const READS: usize = 8;
/// Longest time for reading everything: a long show from a slow disk.
const TIME_MAX: Duration = Duration::from_secs(1800);
/// How often the ledger is read until nothing was committed meanwhile: a commit comes with every GOP, a reading takes milliseconds.
const LEDGER_TRIES: u32 = 10;
/// Progress is told after so many objects.
const PROGRESS_EVERY: usize = 64;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Told<'a> {
    broadcast: &'a BroadcastId,
    whole: bool,
    /// Whether it is over; until then only what is committed so far was checked.
    over: bool,
    chunks: usize,
    /// Chunks among them that only the replay shows.
    late: usize,
    /// Fills of the live timeline's holes, which the replay does not have.
    fills: usize,
    segments: usize,
    bytes: u64,
    faults: Vec<FaultTold<'a>>,
    notes: &'a [String],
}

#[derive(Debug, Serialize)]
struct FaultTold<'a> {
    object: &'a str,
    problem: &'a str,
}

/// Verifies a broadcast and prints what was found.
///
/// # Errors
/// When it could not be told: no stack is running, it can't be reached, there is no such broadcast.
pub(crate) async fn run(id: &BroadcastId, args: &StackArgs) -> anyhow::Result<Exit> {
    let (_, stack) = Stack::of(args)?;
    let clients = stack.clients().await;
    let progress = Progress::new(args.json);
    let gathered = tokio::time::timeout(TIME_MAX, gather(&clients, &stack, id, progress)).await;
    progress.clear();
    let (evidence, damaged) =
        gathered.with_context(|| format!("no end after {} s", TIME_MAX.as_secs()))??;
    // Without all rows everything else would look wrong, too.
    let report = if damaged.is_empty() {
        check(&evidence)
    } else {
        Report { faults: damaged, notes: vec!["the rest was not checked".to_owned()] }
    };
    tell(args, &evidence, &report)?;
    Ok(if report.faults.is_empty() { Exit::Done } else { Exit::Failed })
}

fn tell(args: &StackArgs, evidence: &Evidence, report: &Report) -> anyhow::Result<()> {
    let (whole, over) = (report.faults.is_empty(), evidence.ended.is_some());
    let segments = || evidence.all_rows().flat_map(|row| &row.segments);
    let (chunks, count) = (evidence.all_rows().count(), segments().count());
    let (late, fills) = (evidence.late.len(), evidence.fills.len());
    let bytes = segments().map(|segment| segment.object.bytes).sum::<u64>();
    if args.json {
        let faults =
            report.faults.iter().map(|f| FaultTold { object: &f.object, problem: &f.problem }).collect();
        let broadcast = &evidence.broadcast;
        return output::json(&Told {
            broadcast,
            whole,
            over,
            chunks,
            late,
            fills,
            segments: count,
            bytes,
            faults,
            notes: &report.notes,
        });
    }
    for fault in &report.faults {
        output::print(&format!("fault: {fault}"));
    }
    for note in &report.notes {
        output::print(&format!("note: {note}"));
    }
    let so_far = if over { "" } else { " so far (it is on air)" };
    let megabytes = bytes / 1_000_000;
    let late = if late == 0 { String::new() } else { format!(" ({late} of them in the replay only)") };
    output::print(&if whole {
        format!(
            "whole{so_far}: {chunks} chunks{late}, {count} segments, {megabytes} MB, each once, in order, as recorded"
        )
    } else {
        let faults = report.faults.len();
        let plural = if faults == 1 { "" } else { "s" };
        format!("not whole: {faults} fault{plural} in {chunks} chunks and {count} segments{so_far}")
    });
    Ok(())
}

/// Reads everything, in the order that [`Evidence`] asks for. A row that can't be read is a fault.
async fn gather(
    clients: &Clients,
    stack: &Stack,
    id: &BroadcastId,
    progress: Progress,
) -> anyhow::Result<(Evidence, Vec<Fault>)> {
    let table = &clients.table;
    let Broadcast { live, state, ended, opened, .. } =
        table.broadcast(id).await?.with_context(|| format!("there is no broadcast {id}"))?;
    let over = (state == State::Ended).then_some(ended.unwrap_or(opened));
    let mut manifests = vec![manifest(clients, names::vod_manifest(&live, id), Role::Own).await?];
    let current = table.live(&live).await?.and_then(|live| live.current);
    if current.as_ref() == Some(id) {
        manifests.extend(stable(clients, id, names::live_manifest(&live)).await?);
    }
    let mut playlists = playlists(clients, id, names::vod_master(&live, id), true).await?;
    playlists.extend(self::playlists(clients, id, names::live_master(&live), false).await?);
    let mut damaged = Vec::new();
    let (reached, ledger) = ledger(clients, id, &mut damaged).await?;
    let Ledger { rows, late, fills, inits, cues: _ } = ledger;
    let chunks = chunks(clients, &stack.s3.bucket, id).await?;
    let (broadcast, objects) = (id.clone(), BTreeMap::new());
    let mut evidence = Evidence {
        live,
        broadcast,
        ended: over,
        reached,
        manifests,
        playlists,
        rows,
        late,
        fills,
        inits,
        chunks,
        objects,
    };
    evidence.objects = objects_of(clients, evidence.expected(), progress).await?;
    Ok((evidence, damaged))
}

/// The ledger, and what the binding says of it, at one moment: the binding is the same before and after.
async fn ledger(
    clients: &Clients,
    id: &BroadcastId,
    damaged: &mut Vec<Fault>,
) -> anyhow::Result<(Reached, Ledger)> {
    let table = &clients.table;
    let mut before = table.binding(id).await?;
    for _ in 0..LEDGER_TRIES {
        let read = table.ledger(id).await;
        let after = table.binding(id).await?;
        if after == before {
            let reached = after.map_or_else(Reached::default, |binding| Reached {
                cursor: binding.cursor,
                live_end: binding.live_end,
            });
            return Ok((reached, readable(read, damaged)?));
        }
        before = after;
    }
    bail!("something is committed whenever the ledger is read; try again")
}

/// Rows that can be reached but not read are a fault; what can't be reached is no answer.
fn readable(read: Result<Ledger, TableError>, damaged: &mut Vec<Fault>) -> anyhow::Result<Ledger> {
    match read {
        Ok(ledger) => Ok(ledger),
        Err(TableError::Damaged { pk, sk, what }) => {
            damaged.push(Fault { object: format!("{pk} {sk}"), problem: what });
            Ok(Ledger::default())
        }
        Err(error) => Err(error.into()),
    }
}

async fn manifest(clients: &Clients, key: String, role: Role) -> anyhow::Result<Manifest> {
    let object = clients.bucket.get(&key).await?;
    let found = object.map(|object| {
        let text = str::from_utf8(&object.bytes).map_err(|_| "it is no text".to_owned())?;
        mpd::parse(&key, text)
    });
    Ok(Manifest { key, role, found })
}

/// The stable manifest of the live, if it shows this broadcast.
async fn stable(clients: &Clients, id: &BroadcastId, key: String) -> anyhow::Result<Option<Manifest>> {
    let object = clients.bucket.get(&key).await?;
    let ours = object.is_some_and(|object| object.broadcast.as_deref() == Some(id.as_str()));
    if ours { Ok(Some(manifest(clients, key, Role::Stable).await?)) } else { Ok(None) }
}

/// A multivariant playlist, if it shows this broadcast, and what it leads to.
async fn playlists(
    clients: &Clients,
    id: &BroadcastId,
    key: String,
    due: bool,
) -> anyhow::Result<Vec<Playlist>> {
    let object = clients.bucket.get(&key).await?;
    let object = object.filter(|object| object.broadcast.as_deref() == Some(id.as_str()));
    let read = |key: &str, bytes: &[u8]| {
        let text = str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
        m3u8::parse(key, text)
    };
    let found = object.map(|object| read(&key, &object.bytes));
    if found.is_none() && !due {
        return Ok(Vec::new());
    }
    let leads_to = match &found {
        Some(Ok(M3u8::Multivariant(leads_to))) => leads_to.clone(),
        _ => Vec::new(),
    };
    let mut out = vec![Playlist { key, due, found }];
    for key in leads_to {
        let found = clients.bucket.get(&key).await?.map(|object| read(&key, &object.bytes));
        out.push(Playlist { key, due: true, found });
    }
    Ok(out)
}

async fn chunks(clients: &Clients, bucket: &str, id: &BroadcastId) -> anyhow::Result<Vec<Stored>> {
    let mut stored = Vec::new();
    let mut pages =
        clients.s3.list_objects_v2().bucket(bucket).prefix(names::ingest_prefix(id)).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.context("listing the stored chunks")?;
        stored.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| {
            let micros = object.last_modified.map_or(0, |at| at.as_nanos() / 1000);
            Some(Stored { key: object.key?, at: WallTime(i64::try_from(micros).unwrap_or(i64::MAX)) })
        }));
    }
    Ok(stored)
}

/// Size and hash of each object; those that are not there are left out.
async fn objects_of(
    clients: &Clients,
    wanted: Vec<Expected>,
    progress: Progress,
) -> anyhow::Result<BTreeMap<String, Object>> {
    let (total, mut found, mut done) = (wanted.len(), BTreeMap::new(), 0);
    let mut reads = futures_util::stream::iter(wanted)
        .map(|expected| async move {
            let object = clients.bucket.get(&expected.key).await?;
            let read = object.map(|object| Object {
                bytes: u64::try_from(object.bytes.len()).unwrap_or(u64::MAX),
                sha256: hex::encode(Sha256::digest(&object.bytes)),
            });
            anyhow::Ok((expected.key, read))
        })
        .buffer_unordered(READS);
    while let Some((key, object)) = reads.try_next().await? {
        found.extend(object.map(|object| (key, object)));
        done += 1;
        if done % PROGRESS_EVERY == 0 {
            progress.update(&format!("{done} of {total} objects read"));
        }
    }
    Ok(found)
}
