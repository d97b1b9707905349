//! Manifests of made-up ledgers. That players take them is tested with real segments in `tests/`.

use media::{
    id::{BroadcastId, ChunkPos, ChunkSeq, Epoch, LiveId, PublishNo},
    ledger::{Fill, Init, Naming, Object, Row, Segment, Shown, Tile, Track},
    time::{FrameRate, Ticks, WallTime, rescale, to_media_time},
};

use super::*;

fn object() -> Object {
    Object { bytes: 1, sha256: "00".repeat(32) }
}

pub(super) fn init(rung: &str, config: &str) -> Init {
    let track = match rung {
        "audio" => Track::Audio { sample_rate: 48_000, channels: 2 },
        "360p" => Track::Video {
            width: 640,
            height: 360,
            sar: (1, 1),
            frame_rate: Some(FrameRate { num: 30, den: 1 }),
        },
        _ => Track::Video {
            width: 852,
            height: 480,
            sar: (640, 639),
            frame_rate: Some(FrameRate { num: 30_000, den: 1001 }),
        },
    };
    Init {
        rung: rung.to_owned(),
        config: config.to_owned(),
        codecs: if rung == "audio" { "mp4a.40.2" } else { "avc1.64001e" }.to_owned(),
        timescale: if rung == "audio" { 48_000 } else { 90_000 },
        bandwidth: 850_000,
        track,
        object: object(),
    }
}

pub(super) fn row(publish: u32, seq: u32, start: Ticks, end: Ticks, tracks: &[(&str, &str)]) -> Row {
    Row {
        pos: ChunkPos { publish: PublishNo::new(publish).unwrap(), seq: ChunkSeq(seq) },
        epoch: Epoch::FIRST,
        start,
        end,
        discontinuity: false,
        late: false,
        naming: Naming::Plain,
        source: object(),
        segments: tracks
            .iter()
            .map(|(rung, config)| {
                let timescale = if *rung == "audio" { 48_000 } else { 90_000 };
                let at = |t| to_media_time(rescale(t, 90_000, timescale), timescale).unwrap();
                Segment {
                    rung: (*rung).to_owned(),
                    config: (*config).to_owned(),
                    time: at(start),
                    duration: at(end) - at(start),
                    object: object(),
                }
            })
            .collect(),
        tile: None,
        verdict: None,
        committed: WallTime(0),
    }
}

pub(super) const BOTH: &[(&str, &str)] = &[("480p", "a"), ("360p", "b"), ("audio", "c")];
pub(super) const LOW: &[(&str, &str)] = &[("360p", "b"), ("audio", "c")];

fn write(rows: &[Row], state: State, scope: Scope) -> String {
    let rows = rows.to_vec();
    write_all(Ledger { rows, ..Ledger::default() }, state, scope)
}

fn write_all(mut ledger: Ledger, state: State, scope: Scope) -> String {
    let live: LiveId = "demo".parse().unwrap();
    let broadcast = BroadcastId::new(1_700_000_000_001, [0; 10]);
    ledger.inits = vec![init("480p", "a"), init("360p", "b"), init("audio", "c")];
    let input = Input {
        live: &live,
        broadcast: &broadcast,
        availability_start: WallTime(1_700_000_000_250_000),
        publish_time: WallTime(1_700_000_009_000_000),
        base_url: Some("/vod/demo/x/".to_owned()),
    };
    mpd(&input, &Timeline::new(&ledger, state), scope).unwrap()
}

pub(super) fn gops(count: u32) -> Vec<Row> {
    (0..count).map(|n| row(1, n, i64::from(n) * 180_000, i64::from(n + 1) * 180_000, BOTH)).collect()
}

fn parsed(text: &str) -> dash_mpd_core::MPD {
    dash_mpd_core::parse(text).unwrap()
}

#[test]
fn on_air() {
    let text = write(&gops(3), State::OnAir, Scope::Full);
    assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MPD "), "{text}");
    for wanted in [
        r#"type="dynamic""#,
        r#"availabilityStartTime="2023-11-14T22:13:20.250Z""#,
        r#"minimumUpdatePeriod="PT1S""#,
        r#"suggestedPresentationDelay="PT5.5S""#,
        r#"maxSegmentDuration="PT2S""#,
        r#"<BaseURL>/vod/demo/x/</BaseURL>"#,
        r#"<Period id="1-0" start="PT0S">"#,
        r#"par="16:9""#,
        r#"sar="640:639""#,
        r#"frameRate="30000/1001""#,
        r#"initialization="$RepresentationID$/init-a.mp4""#,
        r#"presentationTimeOffset="90000""#,
        r#"presentationTimeOffset="48000""#,
        r#"<S t="90000" d="180000" r="2"/>"#,
        r#"<S t="48000" d="96000" r="2"/>"#,
        r#"<Latency target="5500" referenceId="0"/>"#,
        r#"<PlaybackRate min="1" max="1.04"/>"#,
        r#"maxWidth="852""#,
        r#"maxHeight="480""#,
        r#"presentationTime="90000" type="encoder" wallClockTime="2023-11-14T22:13:20.250Z""#,
        r#"presentationTime="48000" type="encoder" wallClockTime="2023-11-14T22:13:20.250Z""#,
        r#"<UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-iso:2014" value="/time"/>"#,
    ] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    assert!(!text.contains("timeShiftBufferDepth") && !text.contains("mediaPresentationDuration"));
}

/// What a presentation that is over and has media of so many seconds says: dash.js must not find itself at its end before the browser does.
fn lasts(seconds: u64) -> std::time::Duration {
    std::time::Duration::from_secs(seconds) + std::time::Duration::from_micros(100)
}

#[test]
fn over() {
    let text = write(&gops(3), State::Over, Scope::Window(2));
    assert!(text.contains(r#"type="static""#) && text.contains(r#"mediaPresentationDuration="PT6.0001S""#));
    assert!(!text.contains("minimumUpdatePeriod") && !text.contains("UTCTiming"));
    assert!(text.contains(r#"<S t="90000" d="180000" r="2"/>"#));
}

#[test]
fn what_is_over_is_as_long_as_its_longest_track() {
    let mut rows = gops(3);
    // Half a frame of sound beyond the last picture.
    rows[2].segments.iter_mut().find(|segment| segment.rung == "audio").unwrap().duration += 512;
    let over = write(&rows, State::Over, Scope::Full);
    for duration in [r#"mediaPresentationDuration="PT6.0107"#, r#"start="PT0S" duration="PT6.0107"#] {
        assert!(over.contains(duration), "{over}");
    }
    let on_air = write(&rows, State::OnAir, Scope::Full);
    assert!(!on_air.contains(" duration=\"PT"), "{on_air}");
    // What is shorter does not make it shorter.
    rows[2].segments.iter_mut().find(|segment| segment.rung == "audio").unwrap().duration -= 1024;
    let over = write(&rows, State::Over, Scope::Full);
    assert!(over.contains(r#"mediaPresentationDuration="PT6.0001S""#), "{over}");
    // Unless there is nothing else: sound that was transcoded ends before its chunk does.
    for row in &mut rows {
        row.segments.retain(|segment| segment.rung == "audio");
    }
    let over = write(&rows, State::Over, Scope::Full);
    for duration in [r#"mediaPresentationDuration="PT5.989"#, r#"start="PT0S" duration="PT5.989"#] {
        assert!(over.contains(duration), "{over}");
    }
}

#[test]
fn a_window_lists_its_rows_and_keeps_the_period() {
    let rows = gops(100);
    let text = write(&rows, State::OnAir, Scope::Window(10));
    assert!(text.contains(r#"timeShiftBufferDepth="PT10S""#));
    assert!(text.contains(r#"<Period id="1-0" start="PT0S">"#));
    assert!(text.contains(r#"presentationTimeOffset="90000""#));
    let first = 90_000 + 95 * 180_000;
    assert!(text.contains(&format!(r#"<S t="{first}" d="180000" r="4"/>"#)), "{text}");
}

#[test]
fn a_hole_is_a_new_period_and_closed_when_over() {
    let mut rows = gops(2);
    rows.push(row(2, 0, 900_000, 1_080_000, BOTH));
    let on_air = parsed(&write(&rows, State::OnAir, Scope::Full));
    let starts: Vec<_> = on_air.periods.iter().map(|p| p.start.unwrap().as_secs()).collect();
    assert_eq!(starts, [0, 10]);
    let timeline = |mpd: &dash_mpd_core::MPD, period: usize| {
        let template = mpd.periods[period].adaptations[0].SegmentTemplate.clone().unwrap();
        (template.presentationTimeOffset.unwrap(), template.SegmentTimeline.unwrap().segments)
    };
    for (period, expected) in [(90_000, 180_000, Some(1)), (990_000, 180_000, None)].into_iter().enumerate() {
        let (offset, segments) = timeline(&on_air, period);
        let seen: Vec<_> = segments.iter().map(|s| (s.t.unwrap(), s.d, s.r)).collect();
        assert_eq!((offset, seen), (expected.0, vec![expected]));
    }

    let over = parsed(&write(&rows, State::Over, Scope::Full));
    let starts: Vec<_> = over.periods.iter().map(|p| (p.id.clone().unwrap(), p.start.unwrap())).collect();
    assert_eq!(
        starts,
        [
            ("1-0".to_owned(), std::time::Duration::ZERO),
            ("2-0".to_owned(), std::time::Duration::from_secs(4))
        ]
    );
    assert_eq!(timeline(&over, 1).0, 990_000);
    assert_eq!(over.mediaPresentationDuration, Some(lasts(6)));
}

#[test]
fn another_format_is_another_period() {
    let mut rows = gops(2);
    rows.push(row(1, 2, 360_000, 540_000, LOW));
    rows.push(row(1, 3, 540_000, 720_000, BOTH));
    let mpd = parsed(&write(&rows, State::OnAir, Scope::Full));
    let seen: Vec<_> = mpd
        .periods
        .iter()
        .map(|p| (p.id.clone().unwrap(), p.start.unwrap().as_secs(), p.adaptations[0].representations.len()))
        .collect();
    assert_eq!(seen, [("1-0".to_owned(), 0, 2), ("1-2".to_owned(), 4, 1), ("1-3".to_owned(), 6, 2)]);
}

#[test]
fn a_fill_among_chunks_that_lack_rungs_lacks_them_too() {
    let mut rows = gops(2);
    rows.push(row(1, 2, 360_000, 540_000, LOW));
    rows.push(row(2, 0, 720_000, 900_000, LOW));
    rows.push(row(2, 1, 900_000, 1_080_000, BOTH));
    let ledger = |tracks| Ledger {
        rows: rows.clone(),
        fills: vec![fill(540_000, 720_000, tracks)],
        ..Ledger::default()
    };
    let periods = |tracks| -> Vec<String> {
        let mpd = parsed(&write_all(ledger(tracks), State::OnAir, Scope::Full));
        mpd.periods.iter().map(|period| period.id.clone().unwrap()).collect()
    };
    assert_eq!(periods(LOW), ["1-0", "1-2", "2-1"]);
    // Should it have more all the same, it is a Period.
    assert_eq!(periods(BOTH), ["1-0", "1-2", "fill-540000", "2-0", "2-1"]);
}

#[test]
fn rows_without_segments_are_holes() {
    let mut rows = gops(3);
    rows[1].segments.clear();
    let over = parsed(&write(&rows, State::Over, Scope::Full));
    assert_eq!(over.periods.len(), 2);
    assert_eq!(over.mediaPresentationDuration, Some(lasts(4)));
}

#[test]
fn what_is_missing_is_said() {
    let live: LiveId = "demo".parse().unwrap();
    let broadcast = BroadcastId::new(1, [0; 10]);
    let input = Input {
        live: &live,
        broadcast: &broadcast,
        availability_start: WallTime(0),
        publish_time: WallTime(0),
        base_url: None,
    };
    let write = |ledger: &Ledger| mpd(&input, &Timeline::new(ledger, State::OnAir), Scope::Full);
    assert_eq!(write(&Ledger::default()), Err(ManifestError::Empty));
    assert_eq!(
        write(&Ledger { rows: gops(1), ..Ledger::default() }),
        Err(ManifestError::NoInit { rung: "480p".to_owned(), config: "a".to_owned() })
    );
}

pub(super) fn fill(start: Ticks, end: Ticks, tracks: &[(&str, &str)]) -> Fill {
    let Row { segments, .. } = row(1, 0, start, end, tracks);
    let (epoch, committed) = (Epoch::FIRST, WallTime(0));
    Fill { epoch, start, end, shown: Shown::Held, naming: Naming::Plain, segments, committed }
}

/// Two GOPs, a hole of 6 s that is filled, two more; and a chunk that came when its place was filled.
pub(super) fn returned() -> Ledger {
    let mut rows = gops(2);
    rows.push(row(2, 0, 900_000, 1_080_000, BOTH));
    rows.push(row(2, 1, 1_080_000, 1_260_000, BOTH));
    let mut late = row(1, 2, 360_000, 540_000, BOTH);
    (late.late, late.naming) = (true, Naming::Publish(PublishNo::FIRST));
    let fills =
        vec![fill(360_000, 540_000, BOTH), fill(540_000, 720_000, BOTH), fill(720_000, 900_000, BOTH)];
    Ledger { rows, late: vec![late], fills, ..Ledger::default() }
}

#[test]
fn a_filled_hole_is_one_period_without_a_jump_while_anybody_watches_live() {
    for (state, kind) in [(State::OnAir, "dynamic"), (State::Closing, "static")] {
        let text = write_all(returned(), state, Scope::Full);
        assert!(text.contains(&format!("type=\"{kind}\"")));
        assert_eq!(parsed(&text).periods.len(), 1, "{text}");
        assert!(text.contains(r#"<S t="90000" d="180000" r="6"/>"#), "{text}");
        assert!(!text.contains("-p1"), "the late chunk is not shown");
    }
    let closing = parsed(&write_all(returned(), State::Closing, Scope::Full));
    assert_eq!(closing.mediaPresentationDuration, Some(lasts(14)));
}

#[test]
fn a_gap_that_players_stop_at_is_a_new_period() {
    // 496 samples of 48 000 a second: dash.js asks 480 further on.
    for (missing, starts) in [(-1024i64, &[0][..]), (0, &[0]), (400, &[0]), (496, &[0, 10])] {
        let mut ledger = returned();
        let silence = ledger.fills[2].segments.iter_mut().find(|s| s.rung == "audio").unwrap();
        silence.duration = silence.duration.checked_add_signed(-missing).unwrap();
        let mpd = parsed(&write_all(ledger, State::OnAir, Scope::Full));
        let seen: Vec<_> = mpd.periods.iter().map(|p| p.start.unwrap().as_secs()).collect();
        assert_eq!(seen, starts, "{missing}");
    }
}

#[test]
fn a_replay_has_every_chunk_in_order_and_no_fill() {
    let text = write_all(returned(), State::Over, Scope::Full);
    let mpd = parsed(&text);
    let periods: Vec<_> =
        mpd.periods.iter().map(|p| (p.id.clone().unwrap(), p.start.unwrap().as_secs())).collect();
    let expected = [("1-0".to_owned(), 0), ("1-2".to_owned(), 4), ("2-0".to_owned(), 6)];
    assert_eq!(periods, expected, "{text}");
    assert!(text.contains(r#"media="$RepresentationID$/$Time$-p1.m4s""#));
    assert_eq!(mpd.mediaPresentationDuration, Some(lasts(10)));
    assert!(differs(&returned()));
    assert!(!differs(&Ledger { rows: gops(3), ..Ledger::default() }));
}

#[test]
fn chunks_that_overlap_are_both_in_the_replay() {
    let mut ledger = Ledger { rows: gops(2), ..Ledger::default() };
    ledger.rows.push(row(2, 0, 360_000, 540_000, BOTH));
    ledger.late.push(Row { late: true, ..row(1, 2, 300_000, 480_000, BOTH) });
    let mpd = parsed(&write_all(ledger, State::Over, Scope::Full));
    let starts: Vec<_> =
        mpd.periods.iter().map(|p| (p.id.clone().unwrap(), p.start.unwrap().as_secs())).collect();
    assert_eq!(starts, [("1-0".to_owned(), 0), ("1-2".to_owned(), 4), ("2-0".to_owned(), 6)]);
}

#[test]
fn bandwidth_is_what_was_seen() {
    let mut rows = gops(3);
    // 2 s of sound at 320 kbit/s among quieter ones: within what it is declared with.
    rows[1].segments[2].object.bytes = 80_000;
    let text = write(&rows, State::OnAir, Scope::Window(2));
    let bandwidth = |id: &str| {
        let mpd = parsed(&text);
        let sets = mpd.periods[0].adaptations.clone();
        sets.iter().flat_map(|s| &s.representations).find(|r| r.id.as_deref() == Some(id)).unwrap().bandwidth
    };
    assert_eq!(bandwidth("360p"), Some(850_000));
    assert_eq!(bandwidth("audio"), Some(850_000));
    rows[1].segments[2].object.bytes = 250_000;
    let text = write(&rows, State::OnAir, Scope::Window(2));
    assert!(text.contains(r#"bandwidth="1008000""#), "{text}");
}

#[test]
fn rungs_of_the_same_chunks_share_their_timeline() {
    let text = write(&gops(3), State::OnAir, Scope::Full);
    let mpd = parsed(&text);
    let [video, audio] = mpd.periods[0].adaptations.as_slice() else { panic!("{text}") };
    assert!(video.SegmentTemplate.as_ref().unwrap().SegmentTimeline.is_some());
    for rung in &video.representations {
        let own = rung.SegmentTemplate.as_ref().unwrap();
        assert!(own.initialization.is_some() && own.media.is_none() && own.SegmentTimeline.is_none());
    }
    assert!(audio.SegmentTemplate.is_none() && audio.representations[0].SegmentTemplate.is_some());
    let alone: Vec<_> =
        (0..3).map(|n| row(1, n, i64::from(n) * 180_000, i64::from(n + 1) * 180_000, LOW)).collect();
    let text = write(&alone, State::OnAir, Scope::Full);
    assert!(parsed(&text).periods[0].adaptations[0].SegmentTemplate.is_none());
}

/// What a manifest of a long show with GOPs of all lengths has in bytes, at worst.
#[test]
fn a_long_show_of_uneven_gops_has_a_manifest_of_bounded_size() {
    let mut start = 0;
    let rows: Vec<_> = (0..21_600u32)
        .map(|n| {
            let from = start;
            start += 90_000 + i64::from(n * 7919 % 60) * 3000;
            row(1, n, from, start, BOTH)
        })
        .collect();
    let full = write(&rows, State::OnAir, Scope::Full).len();
    let window = write(&rows, State::OnAir, Scope::Window(LIVE_WINDOW_SECONDS)).len();
    assert!(full < 900_000 && window < 60_000, "{full} {window}");
    let even: Vec<_> =
        (0..21_600).map(|n| row(1, n, i64::from(n) * 180_000, i64::from(n + 1) * 180_000, BOTH)).collect();
    assert!(write(&even, State::OnAir, Scope::Full).len() < 4000);
}

fn cue(number: u32, at: Ticks, duration_ms: Option<u32>) -> media::cue::Cue {
    let data = r#"{"title":"\"<&"}"#.to_owned();
    media::cue::Cue { id: format!("c{number}"), number, at, duration_ms, data, noted: WallTime(0) }
}

/// Each event's Period and time in it, in 1/90 000 s.
fn events(ledger: &Ledger, state: State, scope: Scope) -> Vec<(String, String, u64)> {
    let mpd = parsed(&write_all(ledger.clone(), state, scope));
    let mut out = Vec::new();
    for period in &mpd.periods {
        for event in period.event_streams.iter().flat_map(|stream| &stream.event) {
            out.push((
                period.id.clone().unwrap(),
                event.id.clone().unwrap(),
                event.presentationTime.unwrap(),
            ));
        }
    }
    out
}

#[test]
fn events_are_at_their_time_live_and_with_their_picture_in_the_replay() {
    let mut ledger = returned();
    // In the first GOP; in the hole, where a chunk came late; in the hole, where none did; after it; ahead of all.
    ledger.cues = vec![
        cue(1, 45_000, None),
        cue(2, 405_000, Some(2000)),
        cue(3, 630_000, None),
        cue(4, 990_000, None),
        cue(5, 2_000_000, None),
    ];
    let said = |period: &str, id: u32, at| (period.to_owned(), id.to_string(), at);
    let live: Vec<_> =
        ledger.cues.iter().map(|cue| said("1-0", cue.number, u64::try_from(cue.at).unwrap())).collect();
    assert_eq!(events(&ledger, State::OnAir, Scope::Full), live);
    let replay =
        vec![said("1-0", 1, 45_000), said("1-2", 2, 45_000), said("2-0", 3, 0), said("2-0", 4, 90_000)];
    assert_eq!(events(&ledger, State::Over, Scope::Full), replay);
    let text = write_all(ledger, State::OnAir, Scope::Full);
    assert!(
        text.contains("<EventStream schemeIdUri=\"urn:gopcast:event:2026\" timescale=\"90000\">"),
        "{text}"
    );
    let event = r#"<Event id="2" presentationTime="405000" duration="180000" messageData="{&quot;title&quot;:&quot;\&quot;&lt;&amp;&quot;}"/>"#;
    assert!(text.contains(event), "{text}");
}

#[test]
fn a_window_has_the_events_that_reach_into_it() {
    let mut rows = gops(100);
    rows.push(row(1, 100, 18_000_000, 18_180_000, LOW));
    rows.push(row(1, 101, 18_180_000, 18_360_000, LOW));
    let mut ledger = Ledger { rows, ..Ledger::default() };
    ledger.cues = vec![
        cue(1, 17_000_000, None),
        cue(2, 17_000_000, Some(20_000)),
        cue(3, 18_100_000, None),
        cue(4, 90_000_000, None),
    ];
    let ids = |seconds| -> Vec<_> {
        let found = events(&ledger, State::OnAir, Scope::Window(seconds));
        found.into_iter().map(|(period, id, at)| (period, id.parse::<u32>().unwrap(), at)).collect()
    };
    let own = |period: &str, id, at| (period.to_owned(), id, at);
    let later = [own("1-100", 3, 100_000), own("1-100", 4, 72_000_000)];
    assert_eq!(ids(6), [own("1-0", 2, 17_000_000), later[0].clone(), later[1].clone()]);
    // The Period that it began in is not listed any more.
    assert_eq!(ids(3), [own("1-100", 2, 0), later[0].clone(), later[1].clone()]);
}

/// The rows with tiles, but for those without.
fn tiled(rows: &mut [Row], without: &[u32]) {
    for row in rows.iter_mut().filter(|row| !without.contains(&row.pos.seq.0)) {
        let object = Object { bytes: 10_000, sha256: String::new() };
        row.tile = Some(Tile { width: 320, height: 180, contrast: 40, object });
    }
}

#[test]
fn a_storyboard_has_the_timeline_of_the_pictures() {
    let mut rows = gops(3);
    tiled(&mut rows, &[]);
    rows.push(Row { naming: Naming::Publish(PublishNo::FIRST), ..row(1, 3, 540_000, 720_000, BOTH) });
    tiled(&mut rows[3..], &[]);
    for state in [State::OnAir, State::Over] {
        let text = write(&rows, state, Scope::Full);
        for wanted in [
            r#"<AdaptationSet id="2" contentType="image" mimeType="image/jpeg">"#,
            // 10 000 bytes in 2 s, rounded up.
            r#"<Representation id="tiles" bandwidth="48000" width="320" height="180">"#,
            r#"<EssentialProperty schemeIdUri="http://dashif.org/guidelines/thumbnail_tile" value="1x1"/>"#,
            r#"media="$RepresentationID$/$Time$.jpg""#,
            r#"media="$RepresentationID$/$Time$-p1.jpg""#,
        ] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
        let mpd = parsed(&text);
        let [_, _, images] = mpd.periods[0].adaptations.as_slice() else { panic!("{text}") };
        let template = images.representations[0].SegmentTemplate.clone().unwrap();
        let s: Vec<_> = template.SegmentTimeline.unwrap().segments.iter().map(|s| (s.t, s.d, s.r)).collect();
        assert_eq!(
            (template.presentationTimeOffset, s),
            (Some(90_000), vec![(Some(90_000), 180_000, Some(2))])
        );
    }
}

#[test]
fn a_missing_tile_is_a_hole_in_the_storyboard_and_no_new_period() {
    let mut rows = gops(4);
    tiled(&mut rows, &[1]);
    let mpd = parsed(&write(&rows, State::OnAir, Scope::Full));
    assert_eq!(mpd.periods.len(), 1);
    let template = mpd.periods[0].adaptations[2].representations[0].SegmentTemplate.clone().unwrap();
    let s: Vec<_> = template.SegmentTimeline.unwrap().segments.iter().map(|s| (s.t, s.d, s.r)).collect();
    assert_eq!(s, [(Some(90_000), 180_000, None), (Some(450_000), 180_000, Some(1))]);
    // As a whole Period may have none, or a window.
    let mut rows = gops(3);
    tiled(&mut rows, &[1, 2]);
    assert_eq!(parsed(&write(&rows, State::OnAir, Scope::Window(2))).periods[0].adaptations.len(), 2);
    assert_eq!(parsed(&write(&gops(3), State::Over, Scope::Full)).periods[0].adaptations.len(), 2);
    // Of a fill there is none.
    let mut ledger = returned();
    tiled(&mut ledger.rows, &[]);
    let mpd = parsed(&write_all(ledger, State::OnAir, Scope::Full));
    let template = mpd.periods[0].adaptations[2].representations[0].SegmentTemplate.clone().unwrap();
    assert_eq!(template.SegmentTimeline.unwrap().segments.len(), 2);
}

#[test]
fn a_tile_of_another_size_is_left_out() {
    let mut rows = gops(3);
    tiled(&mut rows, &[]);
    rows[1].tile.as_mut().unwrap().width = 318;
    let mpd = parsed(&write(&rows, State::OnAir, Scope::Full));
    let template = mpd.periods[0].adaptations[2].representations[0].SegmentTemplate.clone().unwrap();
    assert_eq!(template.SegmentTimeline.unwrap().segments.len(), 2);
}
