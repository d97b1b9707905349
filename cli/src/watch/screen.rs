//! A snapshot as text: what `gopcast top` shows. Pure.

use std::time::Duration;

use super::{
    EncoderSeen, LiveSeen, Snapshot,
    columns::{Column, NONE, Tone, optional, plain, shortened, table, toned, wrapped},
};

/// Longer than the longest GOP that is taken (10 s) and what it takes to make it: something is wrong.
const BEHIND_SECONDS_MAX: f64 = 20.0;
/// Lives that are shown however low the terminal is.
const LIVES_MIN: usize = 3;
/// Warnings that are over are shown up to this number; all are in `gopcast broadcast show`.
const OVER_MAX: usize = 3;
/// Widest line of a warning: longer ones are hard to read.
const SENTENCE_MAX: usize = 100;

/// What a screen is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    /// Characters in a line.
    pub(super) width: usize,
    /// Lines.
    pub(super) height: usize,
    /// It shows colours.
    pub(super) colours: bool,
}

/// The text of a snapshot, no line wider than the screen, and no more lines than it has as long as it has a few.
pub(super) fn text(snapshot: &Snapshot, screen: Screen) -> String {
    let rest: Vec<Vec<String>> = [
        troubles(snapshot, screen),
        warnings(snapshot, screen),
        encoders(snapshot, screen),
        edges(snapshot, screen),
    ]
    .into_iter()
    .filter(|part| !part.is_empty())
    .collect();
    // An empty line before each part; the title and the lives' head besides.
    let taken = rest.iter().map(|part| part.len() + 1).sum::<usize>() + 3;
    let lives = lives(snapshot, screen, screen.height.saturating_sub(taken).max(LIVES_MIN));
    let parts = [title(snapshot, screen), lives].into_iter().chain(rest);
    parts.map(|part| part.join("\n")).collect::<Vec<_>>().join("\n\n")
}

fn title(snapshot: &Snapshot, screen: Screen) -> Vec<String> {
    let on_air = snapshot.lives.iter().filter(|live| live.broadcast.is_some()).count();
    let ready = snapshot.encoders.iter().filter(|encoder| encoder.state == "ready").count();
    let time = snapshot.time.get(11..19).unwrap_or_default();
    let line = format!(
        "gopcast  {time} UTC  {on_air} of {} lives on air  {ready} of {} encoders ready",
        snapshot.lives.len(),
        snapshot.encoders.len()
    );
    vec![Tone::Title.paint(&shortened(&line, screen.width), screen.colours)]
}

fn lives(snapshot: &Snapshot, screen: Screen, most: usize) -> Vec<String> {
    let all = snapshot.lives.as_slice();
    // One line says how many are left out.
    let shown = all.get(..most.saturating_sub(1)).filter(|_| all.len() > most).unwrap_or(all);
    let of = |head, keep, cell: fn(&LiveSeen) -> Option<String>| {
        Column::of(head, keep, shown, move |live| optional(cell(live)))
    };
    let columns = vec![
        Column::of("LIVE", 99, shown, |live| plain(live.live.to_string())),
        Column::of("STATE", 90, shown, |live| match live.state.as_str() {
            "on air" if live.filler => toned("placeholder", Tone::Dim),
            "on air" => toned("on air", Tone::Good),
            "off air" => toned("off air", Tone::Dim),
            other => toned(other, Tone::Bad),
        }),
        Column::of("FOR", 60, shown, |live| optional(on_air_for(live, &snapshot.time))).right(),
        of("PUBLISH", 30, |live| live.publish.map(|publish| publish.to_string())).right(),
        Column::of("LADDER", 50, shown, |live| plain(live.ladder.clone())),
        of("LATENCY", 70, |live| seconds(live.latency_seconds)).right(),
        Column::of("BEHIND", 65, shown, |live| match live.behind_seconds {
            Some(behind) if is_behind(live, behind) => toned(format!("{behind:.1} s"), Tone::Bad),
            behind => optional(seconds(behind)),
        })
        .right(),
        of("ENCODER", 40, |live| live.encoder.clone()),
        of("EPOCH", 10, |live| live.epoch.map(|epoch| epoch.to_string())).right(),
    ];
    let mut lines = table(columns, screen.width, screen.colours);
    if shown.len() < all.len() {
        let more = shortened(&format!("and {} more", all.len() - shown.len()), screen.width);
        lines.push(Tone::Dim.paint(&more, screen.colours));
    }
    lines
}

fn encoders(snapshot: &Snapshot, screen: Screen) -> Vec<String> {
    let rows = snapshot.encoders.as_slice();
    if rows.is_empty() {
        return Vec::new();
    }
    let of = |head, keep, cell: fn(&EncoderSeen) -> Option<String>| {
        Column::of(head, keep, rows, move |encoder| optional(cell(encoder))).right()
    };
    let columns = vec![
        Column::of("ENCODER", 99, rows, |encoder| plain(encoder.id.clone())),
        Column::of("STATE", 90, rows, |encoder| {
            toned(encoder.state.clone(), if encoder.state == "ready" { Tone::Good } else { Tone::Bad })
        }),
        of("LOAD", 80, |encoder| encoder.load.map(|load| format!("{:.0} %", load * 100.0))),
        of("BOUND", 70, |encoder| Some(encoder.bound.to_string())),
        of("WAITING", 60, |encoder| encoder.waiting.map(|waiting| format!("{waiting:.0}"))),
        of("TRANSCODE", 40, |encoder| encoder.transcode_ratio.map(|ratio| format!("{ratio:.2}"))),
        of("DELAY", 50, |encoder| seconds(encoder.glass_to_glass_seconds)),
        of("CAPACITY", 30, |encoder| Some(format!("{:.0} Mpx/s", encoder.capacity_megapixels))),
        of("SEEN", 20, |encoder| seconds(Some(encoder.seen_seconds))),
    ];
    table(columns, screen.width, screen.colours)
}

fn edges(snapshot: &Snapshot, screen: Screen) -> Vec<String> {
    let rows = snapshot.edges.as_slice();
    if rows.is_empty() {
        // Of a stack in AWS: nobody but the VPC reaches its processes.
        let text = "Edges, loads and glass to glass of a stack in AWS are on its dashboard in CloudWatch.";
        let is_remote = snapshot.unreachable.is_empty() && !snapshot.encoders.is_empty();
        let lines = if is_remote { wrapped(text, screen.width) } else { Vec::new() };
        return lines.iter().map(|line| Tone::Dim.paint(line, screen.colours)).collect();
    }
    let columns = vec![
        Column::of("EDGE", 99, rows, |edge| plain(edge.id.clone())),
        Column::of("PUBLISHERS", 90, rows, |edge| plain(format!("{:.0}", edge.publishers))).right(),
        Column::of("CONNECTIONS", 40, rows, |edge| plain(format!("{:.0}", edge.connections))).right(),
        Column::of("IN", 80, rows, |edge| {
            optional(edge.megabits.map(|megabits| format!("{megabits:.1} Mbit/s")))
        })
        .right(),
        Column::of("BACKLOG", 70, rows, |edge| plain(format!("{:.0}", edge.backlog_chunks))).right(),
        Column::of("SIZE", 30, rows, |edge| plain(format!("{:.1} MB", edge.backlog_megabytes))).right(),
        Column::of("PUT", 60, rows, |edge| {
            optional(edge.put_seconds.map(|put| format!("{:.0} ms", put * 1000.0)))
        })
        .right(),
        Column::of("RETRIES", 50, rows, |edge| plain(format!("{:.0}", edge.retries))).right(),
    ];
    table(columns, screen.width, screen.colours)
}

/// What broadcasters were told: a line for each, and the sentence below it.
fn warnings(snapshot: &Snapshot, screen: Screen) -> Vec<String> {
    let all = || snapshot.lives.iter().flat_map(|live| live.warnings.iter().map(move |told| (live, told)));
    let active = all().filter(|(_, told)| told.active);
    let over = all().filter(|(_, told)| !told.active).take(OVER_MAX);
    let mut lines = Vec::new();
    for (live, told) in active.chain(over) {
        let (state, tone) = (told.state(), if told.active { Tone::Bad } else { Tone::Dim });
        let since = told.last.get(11..19).unwrap_or(NONE);
        let times = if told.count > 1 { format!(", {} times", told.count) } else { String::new() };
        let head = format!("{}  {}  {state}, {since}{times}", live.live, told.code.as_str());
        lines.push(tone.paint(&shortened(&head, screen.width), screen.colours));
        if told.active {
            let sentence = wrapped(&told.message, screen.width.min(SENTENCE_MAX).saturating_sub(2).max(1));
            lines.extend(sentence.into_iter().map(|line| format!("  {line}")));
        }
    }
    if !lines.is_empty() {
        lines.insert(0, Tone::Title.paint("WARNINGS", screen.colours));
    }
    lines
}

/// What an operator should look at, worst first.
fn troubles(snapshot: &Snapshot, screen: Screen) -> Vec<String> {
    let mut troubles = Vec::new();
    if !snapshot.encoders.iter().any(|encoder| encoder.state == "ready") {
        troubles.push("no encoder is ready: nothing can go on air".to_owned());
    }
    for live in &snapshot.lives {
        if let Some(behind) = live.behind_seconds.filter(|behind| is_behind(live, *behind)) {
            troubles.push(format!("{}: nothing was committed for {behind:.0} s", live.live));
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
    let mut lines: Vec<_> = troubles
        .iter()
        .map(|trouble| Tone::Bad.paint(&shortened(trouble, screen.width), screen.colours))
        .collect();
    if !lines.is_empty() {
        lines.insert(0, Tone::Title.paint("LOOK AT", screen.colours));
    }
    lines
}

fn is_behind(live: &LiveSeen, behind: f64) -> bool {
    live.state == "on air" && behind > BEHIND_SECONDS_MAX
}

/// How long a live has been on air, as clocks show it.
fn on_air_for(live: &LiveSeen, now: &str) -> Option<String> {
    let at = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let on_air = at(now)?.duration_since(at(live.since.as_deref()?)?);
    let seconds = Duration::try_from(on_air).unwrap_or_default().as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    })
}

fn seconds(seconds: Option<f64>) -> Option<String> {
    seconds.map(|seconds| format!("{seconds:.1} s"))
}

#[cfg(test)]
mod tests {
    use media::verdict::Code;

    use super::{super::EdgeSeen, *};
    use crate::warnings::Told;

    const WIDE: Screen = Screen { width: 120, height: 60, colours: false };

    fn live(name: &str, state: &str, behind: Option<f64>) -> LiveSeen {
        LiveSeen {
            live: name.parse().unwrap(),
            title: name.to_owned(),
            state: state.to_owned(),
            filler: name == "demo",
            broadcast: None,
            since: behind.map(|_| "2026-11-29T08:58:00.000Z".to_owned()),
            publish: behind.map(|_| 2),
            ladder: "720p".to_owned(),
            encoder: behind.map(|_| "encoder-1-3ced".to_owned()),
            epoch: behind.map(|_| 1),
            latency_seconds: behind.map(|_| 2.84),
            behind_seconds: behind,
            warnings: Vec::new(),
        }
    }

    fn told(code: Code, active: bool) -> Told {
        Told {
            code,
            fatal: false,
            active,
            message: "The keyframes are 8.0 s apart: viewers are two of these behind. OBS: Output, Keyframe Interval 2 s."
                .to_owned(),
            publish: 1,
            first: "2026-11-29T09:59:00.000Z".to_owned(),
            last: "2026-11-29T09:59:30.000Z".to_owned(),
            count: 2,
        }
    }

    fn snapshot() -> Snapshot {
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
        let mut demo = live("demo", "on air", Some(31.0));
        demo.warnings = vec![told(Code::GopLong, true), told(Code::Starvation, false)];
        Snapshot {
            time: "2026-11-29T10:00:05.000Z".to_owned(),
            lives: vec![demo, live("bags", "off air", None)],
            encoders: vec![encoder("encoder-1-3ced", "ready"), encoder("e2", "silent")],
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
        let text = text(&snapshot(), WIDE);
        for part in [
            "10:00:05 UTC  0 of 2 lives on air  1 of 2 encoders ready",
            "demo  placeholder  1:02:05        2  720p      2.8 s  31.0 s  encoder-1-3ced      1",
            "bags  off air            –        –  720p",
            "encoder-1-3ced  ready   42 %      1",
            "4.3 Mbit/s",
            "12 ms",
            "demo: nothing was committed for 31 s",
            "e2 is silent and has 1 broadcasts",
            "encoder-1-3ced can't keep up and leaves out rungs",
            "edge-1: 9 chunks wait",
            "e2 can't be asked: no answer in time",
            "WARNINGS\ndemo  gop-long  now, 09:59:30, 2 times\n  The keyframes are 8.0 s apart",
            "demo  starvation  over, 09:59:30, 2 times",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn what_matters_fits_80_columns() {
        let text = text(&snapshot(), Screen { width: 80, ..WIDE });
        for head in
            ["FOR", "LATENCY", "BEHIND", "LADDER", "ENCODER\n", "LOAD", "WAITING", "BACKLOG", "RETRIES"]
        {
            assert!(text.contains(head), "{head} in\n{text}");
        }
    }

    #[test]
    fn lines_fit_the_terminal() {
        for width in 10..130 {
            let text = text(&snapshot(), Screen { width, ..WIDE });
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
        }
    }

    #[test]
    fn many_lives_leave_room_for_the_rest() {
        let mut many = snapshot();
        many.lives.extend((0..200).map(|n| live(&format!("live-{n}"), "off air", None)));
        let text = text(&many, Screen { height: 30, ..WIDE });
        assert!(text.lines().count() <= 30 && text.contains("edge-1") && text.contains("more\n"), "{text}");
    }

    #[test]
    fn a_stack_in_aws_shows_what_the_table_knows() {
        let mut remote = snapshot();
        remote.edges.clear();
        remote.unreachable.clear();
        for encoder in &mut remote.encoders {
            (encoder.load, encoder.waiting, encoder.transcode_ratio) = (None, None, None);
        }
        let text = text(&remote, WIDE);
        assert!(!text.contains("LOAD") && text.contains("CAPACITY") && text.contains("dashboard"), "{text}");
    }
}
