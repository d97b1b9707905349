//! HLS and timed events of one show: every version of every playlist while it is on air, the replay's, what FFmpeg reads of it, and an
//! event from the command line into both kinds of manifest.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tests::{
    hls::{Media, Multivariant, fetch},
    poll,
    presentation::Presentation,
    publisher::Publisher,
    source::{Format, Source},
    stack::{Options, Stack},
};

const SHOW_SECONDS: u64 = 26;
/// From the first chunk on, four of 2 s are waited for; the rest is a busy machine's.
const LISTED_WITHIN: Duration = Duration::from_secs(40);
const REPLAY_WITHIN: Duration = Duration::from_secs(20);
/// An event is in the manifests this soon: a notice, a read, a write; ten times the goal.
const EVENT_WITHIN: Duration = Duration::from_secs(3);
const LIVE: &str = "shop";
const EVENT: &str = r#"{"price":"49 €","title":"Red \"<shoes>\" & more"}"#;

#[test]
fn hls_and_timed_events() -> Result<()> {
    let source = Source::new(Format { seconds: SHOW_SECONDS, mark: 6, ..Format::default() })?;
    let stack = Options::lives([LIVE]).start()?;
    let mut publisher = Publisher::ffmpeg(&source, &stack.publish_url(LIVE)?)?;
    let on_air = stack.event(0, "publish-started", &[("live", LIVE)], LISTED_WITHIN)?;
    let broadcast = on_air.text("broadcast");
    let base = format!("{}/vod/{LIVE}/{broadcast}/", stack.ready.http);
    let (own, stable) =
        (format!("{base}master.m3u8"), format!("{}/live/{LIVE}/master.m3u8", stack.ready.http));
    poll::until("the playlists", LISTED_WITHIN, || {
        Ok((stack.http.get(&stable)?.status == 200).then_some(()))
    })?;

    let event = add_event(&stack)?;
    let mut seen: BTreeMap<String, Media> = BTreeMap::new();
    let until = Instant::now() + Duration::from_secs(12);
    while Instant::now() < until {
        for master in [&own, &stable] {
            let multivariant = Multivariant::parse(master, &fetch(&stack.http, master)?)?;
            for url in multivariant.media_urls() {
                let media = look(&stack, &url, &mut seen)?;
                anyhow::ensure!(!media.ended, "{url} has ended during the show");
            }
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    let of = |file: &str| seen.iter().filter(|(url, _)| url.ends_with(file)).count();
    assert_eq!((of("live.m3u8"), of("window.m3u8")), (2, 2), "{:?}", seen.keys());
    let (_, window) = seen.iter().find(|(url, _)| url.ends_with("360p/window.m3u8")).context("no window")?;
    assert_eq!(window.target, 2);
    dated(&window.clone(), &event)?;

    publisher.finish()?;
    stack.event(0, "replay-ready", &[("broadcast", &broadcast)], REPLAY_WITHIN)?;
    // Who watched live plays what was known to the end.
    for url in seen.keys().cloned().collect::<Vec<_>>() {
        anyhow::ensure!(look(&stack, &url, &mut seen)?.ended, "{url} has no end");
    }
    let mpd = Presentation::fetch(&stack.http, &stack.vod_url(LIVE, &broadcast))?;
    for master in [&own, &stable] {
        let multivariant = Multivariant::parse(master, &fetch(&stack.http, master)?)?;
        for url in multivariant.media_urls() {
            anyhow::ensure!(url.ends_with("/replay.m3u8"), "{master} leads to {url}");
            let replay = Media::parse(&url, &fetch(&stack.http, &url)?).with_context(|| url.clone())?;
            let rung = url.rsplit('/').nth(1).context("no rung")?;
            let tracks = mpd.mpd.periods.iter().flat_map(|period| &period.tracks);
            let named: Vec<_> =
                tracks.filter(|track| track.id == rung).flat_map(|track| &track.segments).collect();
            assert_eq!(
                replay.segments.iter().map(|s| &s.url).collect::<Vec<_>>(),
                named.iter().map(|s| &s.url).collect::<Vec<_>>(),
                "{url}"
            );
            truthful(&multivariant, &url, &replay, &stack)?;
            dated(&replay, &event)?;
        }
    }
    let text = String::from_utf8(stack.http.get(&stack.vod_url(LIVE, &broadcast))?.body)?;
    event_stream(&text, &event)?;
    read_by_ffmpeg(&stable, source.format.pictures())?;
    stack.whole(&broadcast)?;
    stack.stop()
}

/// Fetches a media playlist, and holds it against what was seen of it before.
fn look(stack: &Stack, url: &str, seen: &mut BTreeMap<String, Media>) -> Result<Media> {
    let media = Media::parse(url, &fetch(&stack.http, url)?).with_context(|| url.to_owned())?;
    if let Some(before) = seen.get(url) {
        before.goes_on_as(&media).with_context(|| url.to_owned())?;
    }
    let last = media.segments.last().context("an empty playlist")?;
    for named in [&last.url, &last.map] {
        anyhow::ensure!(stack.http.get(named)?.status == 200, "{named} is not there");
    }
    seen.insert(url.to_owned(), media.clone());
    Ok(media)
}

/// An event of now: in the manifest soon, put in twice without effect, refused when it is none.
fn add_event(stack: &Stack) -> Result<serde_json::Value> {
    let add =
        |data: &str| stack.gopcast(["live", "event", LIVE, "--id", "red", "--duration", "4", "--json", data]);
    let out = add(EVENT)?;
    anyhow::ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let event: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    let mpd = stack.live(LIVE)?.mpd.clone();
    poll::until("the event in the manifest", EVENT_WITHIN, || {
        let text = String::from_utf8(stack.http.get(&mpd)?.body)?;
        Ok(text.contains("urn:gopcast:event:2026").then_some(()))
    })?;
    event_stream(&String::from_utf8(stack.http.get(&mpd)?.body)?, &event)?;
    let again: serde_json::Value = serde_json::from_slice(&add(EVENT)?.stdout)?;
    assert_eq!(again, event);
    for bad in ["[]", r#"{"title":"another"}"#] {
        let out = add(bad)?;
        assert_eq!(out.status.code(), Some(1), "{bad}: {}", String::from_utf8_lossy(&out.stdout));
    }
    Ok(event)
}

/// The MPD has the event, once, at its time and with its data.
fn event_stream(text: &str, event: &serde_json::Value) -> Result<()> {
    let document = roxmltree::Document::parse(text)?;
    let streams: Vec<_> = document
        .descendants()
        .filter(|node| node.has_tag_name(("urn:mpeg:dash:schema:mpd:2011", "EventStream")))
        .collect();
    let [stream] = streams.as_slice() else { anyhow::bail!("{} EventStreams", streams.len()) };
    let events: Vec<_> = stream.children().filter(roxmltree::Node::is_element).collect();
    let [one] = events.as_slice() else { anyhow::bail!("{} Events", events.len()) };
    assert_eq!(stream.attribute("timescale"), Some("90000"));
    assert_eq!(one.attribute("id"), Some("1"));
    assert_eq!(one.attribute("presentationTime").map(str::to_owned), Some(event["presentation"].to_string()));
    assert_eq!(one.attribute("duration"), Some("360000"));
    assert_eq!(one.attribute("messageData"), Some(EVENT));
    Ok(())
}

/// The playlist has the event, at its date and with its data.
fn dated(media: &Media, event: &serde_json::Value) -> Result<()> {
    let [range] = media.date_ranges.as_slice() else { anyhow::bail!("{:?}", media.date_ranges) };
    assert_eq!(range["ID"], "red");
    assert_eq!(range["CLASS"], "urn:gopcast:event:2026");
    assert_eq!(range["DURATION"], "4.000");
    assert_eq!(
        range["X-DATA"],
        format!("0x{}", EVENT.bytes().map(|b| format!("{b:02X}")).collect::<String>())
    );
    let at = |text: &str| text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
    let said = at(event["at"].as_str().context("no time")?)?;
    anyhow::ensure!((at(&range["START-DATE"])? - said).abs() <= 1, "{range:?} {event}");
    Ok(())
}

/// The bit rates of a finished playlist are those of its objects.
fn truthful(multivariant: &Multivariant, url: &str, media: &Media, stack: &Stack) -> Result<()> {
    let Some(variant) = multivariant.variants.iter().find(|variant| variant.url == url) else {
        return Ok(());
    };
    let average: u64 = variant.attributes["AVERAGE-BANDWIDTH"].parse()?;
    let mut bytes = 0;
    for segment in &media.segments {
        bytes += stack.http.get(&segment.url)?.body.len();
    }
    let own = f64::from(u32::try_from(bytes)?) * 8.0 / media.seconds();
    let said = f64::from(u32::try_from(average)?);
    // The sound is in it as well: 96 kbit/s in the source.
    anyhow::ensure!(said > own && said < own + 130_000.0, "{url}: said {said}, the pictures have {own}");
    Ok(())
}

fn read_by_ffmpeg(url: &str, pictures: u64) -> Result<()> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v:0", "-count_frames", "-show_entries"]);
    command.args(["stream=nb_read_frames", "-of", "csv=p=0", url]);
    let said = String::from_utf8(tests::process::run("ffprobe", &mut command)?)?;
    let count = said.split(['\n', ',']).find_map(|n| n.trim().parse::<u64>().ok());
    anyhow::ensure!(count == Some(pictures), "ffprobe reads {said:?} instead of {pictures} pictures");
    Ok(())
}
