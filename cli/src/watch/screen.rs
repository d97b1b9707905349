//! A snapshot as text: what `gopcast top` shows. Pure.

use super::Snapshot;
use crate::output;

/// No value.
const NONE: &str = "–";

/// The text of a snapshot, no line wider than `width` characters.
pub(super) fn text(snapshot: &Snapshot, width: usize) -> String {
    let on_air = snapshot.lives.iter().filter(|live| live.broadcast.is_some()).count();
    let time = snapshot.time.get(11..19).unwrap_or_default();
    let mut parts = vec![format!("gopcast  {time} UTC  {on_air} of {} lives on air", snapshot.lives.len())];
    parts.push(lives(snapshot));
    parts.push(encoders(snapshot));
    if !snapshot.edges.is_empty() {
        parts.push(edges(snapshot));
    }
    let troubles = troubles(snapshot);
    if !troubles.is_empty() {
        parts.push(format!("LOOK AT\n{}", troubles.join("\n")));
    }
    let cut = |line: &str| line.chars().take(width).collect::<String>();
    parts.join("\n\n").lines().map(cut).collect::<Vec<_>>().join("\n")
}

fn lives(snapshot: &Snapshot) -> String {
    let rows: Vec<_> = snapshot
        .lives
        .iter()
        .map(|live| {
            let state =
                if live.filler { format!("{} (placeholder)", live.state) } else { live.state.clone() };
            vec![
                live.live.to_string(),
                state,
                live.since.as_deref().and_then(|since| since.get(11..19)).unwrap_or(NONE).to_owned(),
                live.publish.map_or(NONE.to_owned(), |publish| publish.to_string()),
                live.ladder.clone(),
                seconds(live.latency_seconds),
                seconds(live.behind_seconds),
                live.encoder.clone().unwrap_or_else(|| NONE.to_owned()),
                live.epoch.map_or(NONE.to_owned(), |epoch| epoch.to_string()),
            ]
        })
        .collect();
    let head = ["LIVE", "STATE", "SINCE", "PUBLISH", "LADDER", "LATENCY", "BEHIND", "ENCODER", "EPOCH"];
    output::table(&head, &rows)
}

fn encoders(snapshot: &Snapshot) -> String {
    let rows: Vec<_> = snapshot
        .encoders
        .iter()
        .map(|encoder| {
            vec![
                encoder.id.clone(),
                encoder.state.clone(),
                format!("{:.0} Mpx/s", encoder.capacity_megapixels),
                encoder.bound.to_string(),
                encoder.load.map_or(NONE.to_owned(), |load| format!("{:.0} %", load * 100.0)),
                encoder.waiting.map_or(NONE.to_owned(), |waiting| format!("{waiting:.0}")),
                encoder.transcode_ratio.map_or(NONE.to_owned(), |ratio| format!("{ratio:.2}")),
                seconds(encoder.glass_to_glass_seconds),
                seconds(Some(encoder.seen_seconds)),
            ]
        })
        .collect();
    let head = [
        "ENCODER",
        "STATE",
        "CAPACITY",
        "BROADCASTS",
        "LOAD",
        "WAITING",
        "TRANSCODE",
        "GLASS TO GLASS",
        "SEEN",
    ];
    output::table(&head, &rows)
}

fn edges(snapshot: &Snapshot) -> String {
    let rows: Vec<_> = snapshot
        .edges
        .iter()
        .map(|edge| {
            vec![
                edge.id.clone(),
                format!("{:.0}", edge.connections),
                format!("{:.0}", edge.publishers),
                edge.megabits.map_or(NONE.to_owned(), |megabits| format!("{megabits:.1} Mbit/s")),
                format!("{:.0}", edge.backlog_chunks),
                format!("{:.1} MB", edge.backlog_megabytes),
                edge.put_seconds.map_or(NONE.to_owned(), |put| format!("{:.0} ms", put * 1000.0)),
                format!("{:.0}", edge.retries),
            ]
        })
        .collect();
    let head = ["EDGE", "CONNECTIONS", "PUBLISHERS", "IN", "BACKLOG", "SIZE", "PUT", "RETRIES"];
    output::table(&head, &rows)
}

/// What an operator should look at, worst first.
fn troubles(snapshot: &Snapshot) -> Vec<String> {
    let mut troubles = Vec::new();
    if !snapshot.encoders.iter().any(|encoder| encoder.state == "ready") {
        troubles.push("no encoder is ready: nothing can go on air".to_owned());
    }
    for live in &snapshot.lives {
        match live.behind_seconds {
            Some(behind) if live.state == "on air" && behind > BEHIND_SECONDS_MAX => {
                troubles.push(format!("{}: nothing was committed for {behind:.0} s", live.live));
            }
            _ => {}
        }
        if live.state == "waiting" {
            troubles.push(format!("{}: its publisher is away", live.live));
        }
    }
    for encoder in snapshot.encoders.iter().filter(|encoder| encoder.state == "silent" && encoder.bound > 0) {
        troubles.push(format!("{} is silent and has {} broadcasts", encoder.id, encoder.bound));
    }
    for encoder in
        snapshot.encoders.iter().filter(|encoder| encoder.rungs_shed.is_some_and(|shed| shed > 0.0))
    {
        troubles.push(format!("{} can't keep up and leaves out rungs", encoder.id));
    }
    for edge in snapshot.edges.iter().filter(|edge| edge.backlog_chunks > edge.publishers * 2.0) {
        troubles.push(format!("{}: {:.0} chunks wait to be stored", edge.id, edge.backlog_chunks));
    }
    troubles.extend(snapshot.unreachable.iter().map(|(id, why)| format!("{id} can't be asked: {why}")));
    troubles
}

/// Longer than the longest GOP that is taken (10 s) and what it takes to make it: something is wrong.
const BEHIND_SECONDS_MAX: f64 = 20.0;

fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or(NONE.to_owned(), |seconds| format!("{seconds:.1} s"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{EdgeSeen, EncoderSeen, LiveSeen},
        *,
    };

    fn snapshot() -> Snapshot {
        let live = |name: &str, state: &str, behind: Option<f64>| LiveSeen {
            live: name.parse().unwrap(),
            title: name.to_owned(),
            state: state.to_owned(),
            filler: name == "demo",
            broadcast: None,
            since: behind.map(|_| "2026-11-29T10:00:00.000Z".to_owned()),
            publish: behind.map(|_| 2),
            ladder: "720p".to_owned(),
            encoder: behind.map(|_| "e1".to_owned()),
            epoch: behind.map(|_| 1),
            latency_seconds: behind.map(|_| 2.84),
            behind_seconds: behind,
        };
        let encoder = |id: &str, state: &str| EncoderSeen {
            id: id.to_owned(),
            state: state.to_owned(),
            capacity_megapixels: 61.4,
            bound: 1,
            seen_seconds: 0.9,
            load: Some(0.42),
            waiting: Some(0.0),
            transcode_ratio: Some(0.73),
            rungs_shed: Some(if state == "ready" { 0.5 } else { 0.0 }),
            glass_to_glass_seconds: None,
        };
        Snapshot {
            time: "2026-11-29T10:00:05.000Z".to_owned(),
            lives: vec![live("demo", "on air", Some(31.0)), live("bags", "off air", None)],
            encoders: vec![encoder("e1", "ready"), encoder("e2", "silent")],
            edges: vec![EdgeSeen {
                id: "edge-1".to_owned(),
                connections: 3.0,
                publishers: 1.0,
                megabits: Some(4.26),
                backlog_chunks: 9.0,
                backlog_megabytes: 9.5,
                put_seconds: Some(0.012),
                retries: 7.0,
            }],
            unreachable: [("e2".to_owned(), "no answer in time".to_owned())].into(),
        }
    }

    #[test]
    fn everything_is_on_the_screen() {
        let text = text(&snapshot(), 120);
        for part in [
            "10:00:05 UTC",
            "demo  on air (placeholder)  10:00:00  2        720p    2.8 s    31.0 s",
            "e1       ready   61 Mpx/s  1           42 %",
            "4.3 Mbit/s",
            "12 ms",
            "demo: nothing was committed for 31 s",
            "e2 is silent and has 1 broadcasts",
            "e1 can't keep up and leaves out rungs",
            "edge-1: 9 chunks wait",
            "e2 can't be asked: no answer in time",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn lines_fit_the_terminal() {
        assert!(text(&snapshot(), 40).lines().all(|line| line.chars().count() <= 40));
    }
}
