//! Playlists of made-up ledgers: their text, and that each version of one goes on from the version before. That players take them is
//! tested with real segments in `tests/`.

use media::{
    id::{BroadcastId, LiveId, PublishNo},
    ledger::{Naming, Object, Row},
    time::{Ticks, WallTime},
};
use service::table::Ledger;

use super::*;
use crate::manifest::{
    State,
    tests::{BOTH, LOW, fill, gops, init, returned, row},
};

const START: WallTime = WallTime(1_700_000_000_250_000);

/// All that is written of a ledger.
fn playlists(ledger: &Ledger, state: State, write: impl FnOnce(&Playlists<'_>)) -> bool {
    let live: LiveId = "demo".parse().unwrap();
    let broadcast = BroadcastId::new(1_700_000_000_001, [0; 10]);
    let mut ledger = ledger.clone();
    ledger.inits = vec![init("480p", "a"), init("360p", "b"), init("audio", "c")];
    let input = Input {
        live: &live,
        broadcast: &broadcast,
        availability_start: START,
        publish_time: WallTime(0),
        base_url: None,
    };
    let timeline = Timeline::new(&ledger, state);
    let made = Playlists::new(&input, &timeline).unwrap();
    let is_some = made.is_some();
    if let Some(made) = &made {
        write(made);
    }
    is_some
}

fn media(ledger: &Ledger, state: State, kind: Kind, rung: &str) -> String {
    let mut text = None;
    let ended = state != State::OnAir;
    playlists(ledger, state, |made| {
        text = made.media(kind, ended).into_iter().find(|(name, _)| name == rung).map(|(_, text)| text);
    });
    text.unwrap()
}

fn multivariant(ledger: &Ledger, state: State, kind: Kind, base: &str) -> String {
    let mut text = String::new();
    assert!(playlists(ledger, state, |made| text = made.multivariant(kind, base)));
    text
}

fn of(rows: Vec<Row>) -> Ledger {
    Ledger { rows, ..Ledger::default() }
}

#[test]
fn a_playlist_from_second_0() {
    let text = media(&of(gops(4)), State::OnAir, Kind::Event, "360p");
    let expected = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:EVENT\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"init-b.mp4\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.250Z\n\
         #EXTINF:2.000000,\n90000.m4s\n#EXTINF:2.000000,\n270000.m4s\n#EXTINF:2.000000,\n450000.m4s\n\
         #EXTINF:2.000000,\n630000.m4s\n";
    assert_eq!(text, expected);
    let over = media(&of(gops(4)), State::Over, Kind::Replay, "360p");
    assert_eq!(over, expected.replace("EVENT", "VOD") + "#EXT-X-ENDLIST\n");
}

#[test]
fn nothing_is_said_before_the_gops_are_known_unless_all_is_over() {
    assert!(!playlists(&of(gops(3)), State::OnAir, |_| ()));
    assert!(playlists(&of(gops(4)), State::OnAir, |_| ()));
    assert!(media(&of(gops(1)), State::Over, Kind::Replay, "audio").contains("TARGETDURATION:2\n"));
}

#[test]
fn the_multivariant_playlist() {
    let mut ledger = of(gops(4));
    for row in &mut ledger.rows {
        for (segment, bytes) in row.segments.iter_mut().zip([200_000, 100_000, 32_000]) {
            segment.object = Object { bytes, ..segment.object.clone() };
        }
    }
    let text = multivariant(&ledger, State::OnAir, Kind::Window, "../../vod/demo/x/");
    let sound = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"Sound\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",\
                 URI=\"../../vod/demo/x/audio/window.m3u8\"\n";
    assert!(text.starts_with("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n"), "{text}");
    assert!(text.contains(sound), "{text}");
    // Promised are 850 kbit/s each; measured were 400, 800 and 128.
    assert!(
        text.contains(
            "#EXT-X-STREAM-INF:BANDWIDTH=1700000,AVERAGE-BANDWIDTH=557056,CODECS=\"avc1.64001e,mp4a.40.2\",\
             RESOLUTION=640x360,FRAME-RATE=30.000,AUDIO=\"sound\",CLOSED-CAPTIONS=NONE\n../../vod/demo/x/360p/window.m3u8\n"
        ),
        "{text}"
    );
    // 852 × 640/639, as it is shown.
    assert!(text.contains("RESOLUTION=853x480,FRAME-RATE=29.970,"), "{text}");
    let over = multivariant(&ledger, State::Over, Kind::Replay, "");
    assert!(over.contains("BANDWIDTH=528000,AVERAGE-BANDWIDTH=528000,"), "{over}");
    assert!(over.contains("\n360p/replay.m3u8\n") && over.contains("URI=\"audio/replay.m3u8\""), "{over}");
}

#[test]
fn pictures_alone_and_sound_alone() {
    let rows = |tracks: &[(&str, &str)]| {
        let row = |n: u32| row(1, n, i64::from(n) * 180_000, i64::from(n + 1) * 180_000, tracks);
        of((0..4).map(row).collect())
    };
    let text = multivariant(&rows(&[("360p", "b")]), State::OnAir, Kind::Event, "");
    assert!(!text.contains("EXT-X-MEDIA:") && !text.contains("AUDIO="), "{text}");
    assert!(text.contains("CODECS=\"avc1.64001e\""), "{text}");
    let text = multivariant(&rows(&[("audio", "c")]), State::OnAir, Kind::Event, "");
    let only =
        "#EXT-X-STREAM-INF:BANDWIDTH=850000,AVERAGE-BANDWIDTH=4,CODECS=\"mp4a.40.2\"\naudio/live.m3u8\n";
    assert!(text.ends_with(only), "{text}");
}

#[test]
fn what_replaces_a_rung_that_is_gone() {
    let mut rows = gops(4);
    rows.push(row(1, 4, 720_000, 900_000, LOW));
    rows.push(row(1, 5, 900_000, 1_080_000, BOTH));
    let text = media(&of(rows), State::OnAir, Kind::Event, "480p");
    let replaced = "630000.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"../360p/init-b.mp4\"\n\
                    #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:28.250Z\n#EXTINF:2.000000,\n../360p/810000.m4s\n\
                    #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-a.mp4\"\n";
    assert!(text.contains(replaced), "{text}");
}

#[test]
fn a_rung_that_comes_later_begins_with_what_stood_in_for_it() {
    let at = |n: u32, tracks| row(1, n, i64::from(n) * 180_000, i64::from(n + 1) * 180_000, tracks);
    let mut rows: Vec<Row> = (0..4).map(|n| at(n, LOW)).collect();
    let before = multivariant(&of(rows.clone()), State::OnAir, Kind::Event, "");
    rows.push(at(4, BOTH));
    let after = multivariant(&of(rows.clone()), State::OnAir, Kind::Event, "");
    assert!(!before.contains("480p/live.m3u8") && after.contains("480p/live.m3u8"), "{before}{after}");
    let text = media(&of(rows), State::OnAir, Kind::Event, "480p");
    let read: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let low = ["../360p/90000.m4s", "../360p/270000.m4s", "../360p/450000.m4s", "../360p/630000.m4s"];
    assert_eq!(read, [&low[..], &["810000.m4s"]].concat());
}

#[test]
fn sound_that_is_gone_is_a_gap() {
    let mut rows = gops(4);
    rows.push(row(1, 4, 720_000, 900_000, &[("480p", "a"), ("360p", "b")]));
    rows.push(row(1, 5, 900_000, 1_080_000, BOTH));
    let text = media(&of(rows), State::OnAir, Kind::Event, "audio");
    let gap = "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:28.250Z\n#EXTINF:2.000000,\n#EXT-X-GAP\n\
               gap-720000.m4s\n#EXT-X-DISCONTINUITY\n";
    assert!(text.contains(gap), "{text}");
}

#[test]
fn a_fill_without_a_frame_of_sound_is_left_out_of_the_sound() {
    let mut ledger = of(gops(4));
    ledger.fills.push(fill(720_000, 721_000, &[("480p", "a"), ("360p", "b")]));
    assert!(!media(&ledger, State::OnAir, Kind::Event, "audio").contains("GAP"));
    assert!(media(&ledger, State::OnAir, Kind::Event, "360p").contains("#EXTINF:0.011111,\n810000.m4s"));
}

#[test]
fn the_live_timeline_and_the_replay_of_a_hole() {
    let live = media(&returned(), State::OnAir, Kind::Event, "360p");
    assert!(!live.contains("DISCONTINUITY") && !live.contains("-p1"), "{live}");
    assert_eq!(live.matches("#EXTINF").count(), 7);
    let replay = media(&returned(), State::Over, Kind::Replay, "360p");
    assert_eq!(replay.matches("#EXT-X-DISCONTINUITY\n").count(), 2, "{replay}");
    assert!(replay.contains("450000-p1.m4s") && replay.matches("#EXTINF").count() == 5, "{replay}");
    assert!(replay.contains("#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:30.250Z\n"), "{replay}");
}

#[test]
fn target_durations_cover_every_segment() {
    let mut ledger = of(gops(4));
    let target = |ledger: &Ledger| {
        let text = media(ledger, State::OnAir, Kind::Event, "audio");
        text.lines().find_map(|line| line.strip_prefix("#EXT-X-TARGETDURATION:")?.parse::<u64>().ok())
    };
    assert_eq!(target(&ledger), Some(2));
    ledger.rows.push(row(1, 4, 720_000, 720_000 + 224_000, BOTH));
    assert_eq!(target(&ledger), Some(2), "2.489 s are 2");
    ledger.rows.push(row(1, 5, 944_000, 944_000 + 720_000, BOTH));
    assert_eq!(target(&ledger), Some(10));
}

/// A playlist as its rules see it.
#[derive(Debug, PartialEq)]
struct Read {
    sequence: usize,
    discontinuity_sequence: usize,
    /// Each segment with what stands before it.
    segments: Vec<(bool, String)>,
}

fn read(text: &str) -> Read {
    let mut read = Read { sequence: 0, discontinuity_sequence: 0, segments: Vec::new() };
    let mut discontinuity = false;
    for line in text.lines() {
        if let Some(n) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
            read.sequence = n.parse().unwrap();
        } else if let Some(n) = line.strip_prefix("#EXT-X-DISCONTINUITY-SEQUENCE:") {
            read.discontinuity_sequence = n.parse().unwrap();
        } else if line == "#EXT-X-DISCONTINUITY" {
            discontinuity = true;
        } else if !line.starts_with('#') {
            read.segments.push((std::mem::take(&mut discontinuity), line.to_owned()));
        }
    }
    read
}

/// A long show with everything: formats that change, holes filled and not, chunks that are late.
fn eventful(rows: u32) -> Ledger {
    let mut ledger = Ledger::default();
    let mut start: Ticks = 0;
    for n in 0..rows {
        let length = 180_000;
        if n % 97 == 96 {
            ledger.fills.push(fill(start, start + length, BOTH));
            let late = Row {
                late: true,
                naming: Naming::Publish(PublishNo::FIRST),
                ..row(1, n, start, start + length, BOTH)
            };
            ledger.late.push(late);
            start += length;
        } else if n % 101 == 100 {
            start += 5 * length;
        }
        let tracks = if n / 50 % 2 == 1 { LOW } else { BOTH };
        ledger.rows.push(row(1, n, start, start + length, tracks));
        start += length;
    }
    ledger
}

#[test]
fn every_version_goes_on_from_the_one_before() {
    let whole = eventful(1200);
    for rung in ["360p", "480p", "audio"] {
        let mut before: Option<(String, Read)> = None;
        for rows in [4, 5, 50, 51, 96, 97, 101, 400, 880, 910, 911, 930, 1000, 1001, 1199] {
            let grown = eventful(rows);
            assert_eq!(grown.rows[..], whole.rows[..grown.rows.len()]);
            let event = media(&grown, State::OnAir, Kind::Event, rung);
            let window = read(&media(&grown, State::OnAir, Kind::Window, rung));
            // The window is the end of the whole.
            let all = read(&event);
            assert_eq!(window.segments[..], all.segments[window.sequence..], "{rung} {rows}");
            let left = all.segments[..window.sequence].iter().filter(|(discontinuity, _)| *discontinuity);
            assert_eq!(window.discontinuity_sequence, left.count());
            if let Some((text, read)) = before {
                assert!(event.starts_with(&text), "{rung} {rows}");
                assert!(window.sequence >= read.sequence);
            }
            before = Some((event, window));
        }
        let ended = media(&eventful(1199), State::Closing, Kind::Event, rung);
        assert_eq!(ended, before.unwrap().0 + "#EXT-X-ENDLIST\n");
    }
}

#[test]
fn timed_events_are_date_ranges() {
    use media::cue::Cue;
    let mut ledger = of(gops(6));
    for (n, row) in ledger.rows.iter_mut().enumerate() {
        row.committed = WallTime(i64::try_from(n).unwrap() * 2_000_000);
    }
    let data = r#"{"a":1}"#.to_owned();
    // Put in when four chunks were committed, of a moment that is in the sixth.
    let cue = Cue {
        id: "x".to_owned(),
        number: 1,
        at: 990_000,
        duration_ms: Some(2500),
        data,
        noted: WallTime(7_000_000),
    };
    ledger.cues = vec![cue];
    let tag = "#EXT-X-DATERANGE:ID=\"x\",CLASS=\"urn:gopcast:event:2026\",START-DATE=\"2023-11-14T22:13:31.250Z\",DURATION=2.500,\
               X-DATA=0x7B2261223A317D\n";
    let live = media(&ledger, State::OnAir, Kind::Event, "360p");
    assert!(live.contains(&format!("630000.m4s\n{tag}#EXTINF")), "{live}");
    let replay = media(&ledger, State::Over, Kind::Replay, "audio");
    assert!(replay.contains(&format!("432000.m4s\n{tag}#EXTINF:2.000000,\n528000.m4s")), "{replay}");
    // The playlist only grows while nothing is known of what is to come.
    ledger.rows.truncate(4);
    let before = media(&ledger, State::OnAir, Kind::Event, "360p");
    assert!(before.ends_with(tag) && live.starts_with(&before), "{before}");
}
