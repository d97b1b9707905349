//! `gopcast broadcast …`: the shows of a live.

use anyhow::Context as _;
use media::{
    id::{BroadcastId, LiveId},
    names,
    time::{Ticks, VIDEO_TIMESCALE, WallTime},
};
use serde::Serialize;
use service::table::{Broadcast, BroadcastEntry, Ledger, State};

use crate::{
    args::BroadcastCommand,
    exit::{self, Exit},
    output,
    stack::Stack,
    verify, warnings,
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
    /// Chunks among them that came when the live timeline had passed their place: only the replay shows them.
    late: usize,
    /// Places where nobody published; live they are filled, the replay closes them.
    holes: usize,
    /// Fills of holes, and how many seconds they cover.
    fills: usize,
    fill_seconds: f64,
    segments: usize,
    bytes: u64,
    rungs: Vec<String>,
    encoder: Option<String>,
    watch: String,
    mpd: String,
    /// What its broadcaster was told, the latest first.
    warnings: Vec<warnings::Told>,
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
    let (_, stack) = Stack::of(args)?;
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
    let (_, stack) = Stack::of(args)?;
    let table = stack.clients().await.table;
    let row = table.broadcast(id).await?.with_context(|| format!("there is no broadcast {id}"))?;
    let (ledger, binding) = (table.ledger(id).await?, table.binding(id).await?);
    let entry = BroadcastEntry {
        broadcast: id.clone(),
        state: row.state,
        started: row.opened,
        ended: row.ended,
        duration: 0,
        poster: false,
    };
    let encoder = binding.map(|binding| binding.encoder.to_string());
    let shown = Shown {
        warnings: warnings::of(&table, id).await?,
        ..summary(&stack, &row, &entry, &ledger, encoder)
    };
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
    ledger: &Ledger,
    encoder: Option<String>,
) -> Shown {
    let rows = || ledger.rows.iter().chain(&ledger.late);
    let segments = || rows().flat_map(|row| &row.segments);
    let mut rungs: Vec<String> = Vec::new();
    for segment in segments() {
        if !rungs.contains(&segment.rung) {
            rungs.push(segment.rung.clone());
        }
    }
    Shown {
        listed: Listed::new(&row.live, entry, Some(row)),
        ladder: row.profile,
        seconds: seconds(rows().map(|row| row.end - row.start).sum()),
        chunks: rows().count(),
        late: ledger.late.len(),
        holes: holes_in(ledger),
        fills: ledger.fills.len(),
        fill_seconds: seconds(ledger.fills.iter().map(|fill| fill.end - fill.start).sum()),
        segments: segments().count(),
        bytes: segments().map(|segment| segment.object.bytes).sum(),
        rungs,
        encoder,
        watch: format!("{}/{}", stack.watch_url(&row.live), row.broadcast),
        mpd: format!("{}/{}", stack.http, names::vod_manifest(&row.live, &row.broadcast)),
        warnings: Vec::new(),
    }
}

/// Seconds with the precision of milliseconds: for display.
fn seconds(ticks: Ticks) -> f64 {
    let ms = ticks.saturating_mul(1000) / i64::from(VIDEO_TIMESCALE);
    i32::try_from(ms).map_or(f64::from(i32::MAX), f64::from) / 1000.0
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
        ("holes", holes(shown)),
        ("stored", format!("{} segments, {} MB", shown.segments, shown.bytes / 1_000_000)),
        ("ladder", shown.ladder.to_string()),
        ("rungs", shown.rungs.join(", ")),
    ]);
    if shown.late > 0 {
        rows.push(("late", format!("{} chunks, in the replay only", shown.late)));
    }
    rows.extend(shown.encoder.clone().map(|encoder| ("encoder", encoder)));
    rows.extend([("watch", shown.watch.clone()), ("manifest", shown.mpd.clone())]);
    output::list(&rows) + &warnings::human(&shown.warnings)
}

/// Places where the live timeline has no chunk, the one at its end included.
fn holes_in(ledger: &Ledger) -> usize {
    let between = ledger.rows.windows(2).filter(|pair| matches!(pair, [a, b] if b.start > a.end)).count();
    let (last, fill) = (ledger.rows.last(), ledger.fills.last());
    let at_end = last.zip(fill).is_some_and(|(last, fill)| fill.start >= last.end);
    between + usize::from(at_end)
}

fn holes(shown: &Shown) -> String {
    match (shown.holes, shown.fills) {
        (0, 0) => "none".to_owned(),
        (holes, fills) => format!("{holes}; live, {} s were filled ({fills} fills)", shown.fill_seconds),
    }
}

#[cfg(test)]
mod tests {
    use media::{
        id::{ChunkPos, ChunkSeq, Epoch, PublishNo},
        ladder::Profile,
        ledger::{self, Naming},
    };

    use super::*;

    fn broadcast() -> Broadcast {
        Broadcast {
            broadcast: BroadcastId::new(1_700_000_000_001, [0; 10]),
            live: "demo".parse().unwrap(),
            state: State::Ending,
            publish: PublishNo::new(2).unwrap(),
            connection: "12345678".to_owned(),
            earlier: vec![],
            filler: false,
            profile: Profile::P480,
            source_rung: false,
            window_seconds: 60,
            limits: media::limits::Limits::default(),
            opened: WallTime(1_000_000),
            availability_start: Some(WallTime(2_000_000)),
            closed: None,
            ended: None,
        }
    }

    #[test]
    fn the_listing_is_the_contract_to_the_letter() {
        let (live, id) = (broadcast().live, broadcast().broadcast);
        let entry = BroadcastEntry {
            broadcast: id,
            state: State::Live,
            started: WallTime(1_000_000),
            ended: None,
            duration: 0,
            poster: false,
        };
        let mut row = broadcast();
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

    #[test]
    fn holes_fills_and_late_chunks_are_counted() {
        let row = |start: i64, late: bool| ledger::Row {
            pos: ChunkPos { publish: PublishNo::FIRST, seq: ChunkSeq(0) },
            epoch: Epoch::FIRST,
            start,
            end: start + 180_000,
            discontinuity: false,
            late,
            naming: Naming::Plain,
            source: ledger::Object { bytes: 1, sha256: String::new() },
            segments: Vec::new(),
            tile: None,
            verdict: None,
            committed: WallTime(0),
        };
        let fill = ledger::Fill {
            epoch: Epoch::FIRST,
            start: 180_000,
            end: 225_000,
            shown: ledger::Shown::Held,
            naming: Naming::Plain,
            segments: Vec::new(),
            committed: WallTime(0),
        };
        let ledger = Ledger {
            rows: vec![row(0, false), row(225_000, false), row(405_000, false)],
            late: vec![row(180_000, true)],
            fills: vec![fill],
            inits: Vec::new(),
            ..Ledger::default()
        };
        let broadcast = broadcast();
        let entry = BroadcastEntry {
            broadcast: broadcast.broadcast.clone(),
            state: State::Live,
            started: broadcast.opened,
            ended: None,
            duration: 0,
            poster: false,
        };
        let away = ledger::Fill { start: 585_000, end: 600_000, ..ledger.fills[0].clone() };
        let ended = Ledger { fills: vec![ledger.fills[0].clone(), away], ..ledger.clone() };
        assert_eq!(holes_in(&ended), 2);
        let shown = summary(&crate::stack::tests::stack(), &broadcast, &entry, &ledger, None);
        assert_eq!((shown.chunks, shown.late, shown.holes, shown.fills), (4, 1, 1, 1));
        assert_eq!((shown.seconds, shown.fill_seconds), (8.0, 0.5));
        let text = human(&shown, &broadcast);
        assert!(text.contains("1; live, 0.5 s were filled (1 fills)"), "{text}");
        assert!(text.contains("1 chunks, in the replay only"), "{text}");
    }
}
