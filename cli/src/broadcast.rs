//! `gopcast broadcast …`: the shows of a live.

use anyhow::Context as _;
use media::{
    id::{BroadcastId, LiveId},
    ledger, names,
    time::{VIDEO_TIMESCALE, WallTime},
};
use serde::Serialize;
use service::table::{Broadcast, BroadcastEntry, State};

use crate::{
    args::BroadcastCommand,
    exit::{self, Exit},
    output,
    stack::Stack,
    verify,
};

/// Whether a broadcast is over. One that is being ended is not yet.
fn state(state: State) -> &'static str {
    match state {
        State::Live | State::Ending => "live",
        State::Ended => "ended",
    }
}

/// A broadcast as `list` tells it. A contract: these fields, spelled so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Listed {
    broadcast: BroadcastId,
    live: LiveId,
    state: &'static str,
    started: String,
    ended: Option<String>,
    publishes: u32,
}

impl Listed {
    /// `row` is the broadcast's own row: the entry in the live's list is written only at its start and end.
    fn new(live: &LiveId, entry: &BroadcastEntry, row: Option<&Broadcast>) -> Self {
        let (is, ended) = row.map_or((entry.state, entry.ended), |row| (row.state, row.ended));
        let started = row.and_then(|row| row.availability_start).unwrap_or(entry.started);
        Self {
            broadcast: entry.broadcast.clone(),
            live: live.clone(),
            state: state(is),
            started: started.rfc3339(),
            ended: ended.map(WallTime::rfc3339),
            publishes: row.map_or(1, |row| row.publish.get()),
        }
    }
}

/// A broadcast as `show` tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    ladder: media::ladder::Profile,
    /// Seconds committed.
    seconds: f64,
    chunks: usize,
    segments: usize,
    bytes: u64,
    rungs: Vec<String>,
    encoder: Option<String>,
    watch: String,
    mpd: String,
}

/// Runs a command.
///
/// # Errors
/// When no stack is running, or it can't do what is asked; the text says why.
pub async fn run(command: BroadcastCommand) -> anyhow::Result<Exit> {
    match command {
        BroadcastCommand::List { live, stack } => list(&live, &stack).await,
        BroadcastCommand::Show { broadcast, stack } => show(&broadcast, &stack).await,
        BroadcastCommand::Verify { broadcast, stack } => match verify::run(&broadcast, &stack).await {
            Ok(exit) => Ok(exit),
            Err(error) => {
                // Whatever kept it from telling: its code says only that.
                eprintln!("gopcast: could not tell: {error:#}");
                Ok(Exit::Unknown)
            }
        },
    }
}

async fn list(live: &LiveId, args: &crate::args::StackArgs) -> anyhow::Result<Exit> {
    let (_, stack) = Stack::find(&args.data)?;
    let table = stack.clients().await.table;
    let known = table.live(live).await?;
    known.with_context(|| format!("there is no live {live}; `gopcast live list` shows which there are"))?;
    let mut listed = Vec::new();
    for entry in table.broadcasts_of(live, usize::MAX).await?.iter().rev() {
        listed.push(Listed::new(live, entry, table.broadcast(&entry.broadcast).await?.as_ref()));
    }
    if args.json {
        output::json(&listed)?;
    } else if listed.is_empty() {
        output::print(&format!("{live} has not been on air yet"));
    } else {
        let row = |b: &Listed| {
            let ended = b.ended.clone().unwrap_or_default();
            vec![
                b.broadcast.to_string(),
                b.state.to_owned(),
                b.started.clone(),
                ended,
                b.publishes.to_string(),
            ]
        };
        let rows: Vec<_> = listed.iter().map(row).collect();
        output::print(&output::table(&["BROADCAST", "STATE", "STARTED", "ENDED", "PUBLISHES"], &rows));
    }
    Ok(Exit::Done)
}

async fn show(id: &BroadcastId, args: &crate::args::StackArgs) -> anyhow::Result<Exit> {
    let (_, stack) = Stack::find(&args.data)?;
    let table = stack.clients().await.table;
    let row = table.broadcast(id).await?.with_context(|| format!("there is no broadcast {id}"))?;
    let (ledger, binding) = (table.ledger(id).await?.rows, table.binding(id).await?);
    let entry = BroadcastEntry {
        broadcast: id.clone(),
        state: row.state,
        started: row.opened,
        ended: row.ended,
        duration: 0,
    };
    let shown = summary(&stack, &row, &entry, &ledger, binding.map(|binding| binding.encoder.to_string()));
    if args.json {
        output::json(&shown)?;
    } else {
        output::print(&human(&shown, &row));
    }
    Ok(exit::Exit::Done)
}

fn summary(
    stack: &Stack,
    row: &Broadcast,
    entry: &BroadcastEntry,
    ledger: &[ledger::Row],
    encoder: Option<String>,
) -> Shown {
    let segments = || ledger.iter().flat_map(|row| &row.segments);
    let mut rungs: Vec<String> = Vec::new();
    for segment in segments() {
        if !rungs.contains(&segment.rung) {
            rungs.push(segment.rung.clone());
        }
    }
    let ms = ledger.iter().map(|row| row.end - row.start).sum::<i64>() * 1000 / i64::from(VIDEO_TIMESCALE);
    Shown {
        listed: Listed::new(&row.live, entry, Some(row)),
        ladder: row.profile,
        seconds: i32::try_from(ms).map_or(f64::from(i32::MAX), f64::from) / 1000.0,
        chunks: ledger.len(),
        segments: segments().count(),
        bytes: segments().map(|segment| segment.object.bytes).sum(),
        rungs,
        encoder,
        watch: format!("{}/{}", stack.watch_url(&row.live), row.broadcast),
        mpd: format!("{}/{}", stack.http, names::vod_manifest(&row.live, &row.broadcast)),
    }
}

fn human(shown: &Shown, row: &Broadcast) -> String {
    let mut rows = vec![
        ("broadcast", shown.listed.broadcast.to_string()),
        ("live", shown.listed.live.to_string()),
        ("state", row.state.to_string()),
        ("started", output::instant(row.availability_start.unwrap_or(row.opened))),
    ];
    rows.extend(row.ended.map(|ended| ("ended", output::instant(ended))));
    rows.extend([
        ("publishes", shown.listed.publishes.to_string()),
        ("committed", format!("{} s in {} chunks", shown.seconds, shown.chunks)),
        ("stored", format!("{} segments, {} MB", shown.segments, shown.bytes / 1_000_000)),
        ("ladder", shown.ladder.to_string()),
        ("rungs", shown.rungs.join(", ")),
    ]);
    rows.extend(shown.encoder.clone().map(|encoder| ("encoder", encoder)));
    rows.extend([("watch", shown.watch.clone()), ("manifest", shown.mpd.clone())]);
    output::list(&rows)
}

#[cfg(test)]
mod tests {
    use media::{id::PublishNo, ladder::Profile};

    use super::*;

    #[test]
    fn the_listing_is_the_contract_to_the_letter() {
        let (live, id): (LiveId, _) = ("demo".parse().unwrap(), BroadcastId::new(1_700_000_000_001, [0; 10]));
        let entry = BroadcastEntry {
            broadcast: id.clone(),
            state: State::Live,
            started: WallTime(1_000_000),
            ended: None,
            duration: 0,
        };
        let mut row = Broadcast {
            broadcast: id,
            live: live.clone(),
            state: State::Ending,
            publish: PublishNo::new(2).unwrap(),
            connection: "12345678".to_owned(),
            filler: false,
            profile: Profile::P480,
            window_seconds: 60,
            opened: WallTime(1_000_000),
            availability_start: Some(WallTime(2_000_000)),
            closed: None,
            ended: None,
        };
        let spelled =
            |row: &Broadcast| serde_json::to_string(&Listed::new(&live, &entry, Some(row))).unwrap();
        assert_eq!(
            spelled(&row),
            r#"{"broadcast":"018bcfe5-6801-7000-8000-000000000000","live":"demo","state":"live","started":"1970-01-01T00:00:02.000Z","ended":null,"publishes":2}"#
        );
        (row.state, row.ended) = (State::Ended, Some(WallTime(9_000_000)));
        assert_eq!(
            spelled(&row),
            r#"{"broadcast":"018bcfe5-6801-7000-8000-000000000000","live":"demo","state":"ended","started":"1970-01-01T00:00:02.000Z","ended":"1970-01-01T00:00:09.000Z","publishes":2}"#
        );
    }
}
