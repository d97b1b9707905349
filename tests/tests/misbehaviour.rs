//! Everything that a client can do wrong, at once, beside one that does nothing wrong: each is told its documented code within ten
//! seconds, and the good show loses no picture. And publishers whose rights are taken from them in the middle of a long GOP.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tests::{
    publisher::{Publisher, Tag, tags_of},
    rtmp::{self, AUDIO, Client, DATA, VIDEO, number, string},
    source::{Format, Source},
    stack::{Options, Stack, free_address},
};

/// What anybody who does something wrong is told within.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// What the machine may add: the tests share it, and the encoders work beside them.
const MACHINE: Duration = Duration::from_secs(3);
/// Connections that send nothing but garbage, as fast as they can, all the time.
const FLOODS: usize = 8;
/// As many connections as an edge takes from one address by default.
const CROWD: usize = 64;
/// Between two connections of one of them.
const FLOOD_PAUSE: Duration = Duration::from_millis(20);
/// Time for a show's last chunks and its replay, which are not what is tested here, on a machine that does other things too.
const FINISHED_WITHIN: Duration = Duration::from_secs(60);

/// 160×96, 10 pictures a second, GOPs of a second.
const SMALL: Format = Format {
    width: 160,
    height: 96,
    frames: 10,
    per_seconds: 1,
    seconds: 16,
    gop: 10,
    b_frames: 0,
    sample_rate: 44_100,
    channels: 1,
    mark: 3,
};
/// The same with a GOP that never ends.
const ENDLESS: Format = Format { gop: 1000, mark: 4, ..SMALL };
/// Another size.
const WIDER: Format = Format { width: 192, height: 112, mark: 5, ..SMALL };
/// The good show.
const GOOD: Format = Format { width: 320, height: 180, seconds: 14, mark: 6, ..SMALL };

/// What the misbehaviours work with.
struct Field<'a> {
    stack: &'a Stack,
    rtmp: &'a str,
    rtmps: String,
    small: Vec<Tag>,
    endless: Vec<Tag>,
    wider: Vec<Tag>,
}

/// On which live, if it gets that far, and what is done.
type Misbehaviour = fn(&Field<'_>, &str) -> Result<()>;

/// The table. Those with a live get on air.
const TABLE: [(&str, Misbehaviour); 22] = [
    ("garbage-for-tls", garbage_for_tls),
    ("slow-tls", slow_tls),
    ("silent-socket", silent_socket),
    ("silent-tls-socket", silent_tls_socket),
    ("garbage-for-a-handshake", garbage_for_a_handshake),
    ("slow-handshake", slow_handshake),
    ("slow-commands", slow_commands),
    ("garbage-in-amf", garbage_in_amf),
    ("huge-message", huge_message),
    ("garbage-for-chunks", garbage_for_chunks),
    ("empty-config", empty_config),
    ("no-config", no_config),
    ("corrupt-pictures", corrupt_pictures),
    ("jumping-stamps", jumping_stamps),
    ("new-size", new_size),
    ("pausing-pictures", pausing_pictures),
    ("late-sound", late_sound),
    ("long-gop", long_gop),
    ("open-gop", open_gop),
    ("silent-publisher", silent_publisher),
    ("stalled-publisher", stalled_publisher),
    ("foreign-codec", foreign_codec),
];

#[test]
fn each_is_told_and_a_good_show_beside_them_loses_nothing() -> Result<()> {
    let good = Source::new(GOOD)?;
    let of = |format| Source::new(format).and_then(|source| tags_of(&source));
    let (small, endless, wider) = (of(SMALL)?, of(ENDLESS)?, of(WIDER)?);
    let rtmp = free_address()?;
    let revoked = ["rotated", "disabled", "ended"];
    let lives = TABLE.iter().map(|(name, _)| *name).chain(revoked).chain(["good"]);
    let stack = Options::lives(lives).encoders(1).rtmp(&rtmp).start()?;
    let rtmps = stack.ready.rtmps.trim_start_matches("rtmps://").trim_end_matches("/live").to_owned();
    let field = Field { stack: &stack, rtmp: &rtmp, rtmps, small, endless, wider };

    // Whoever holds all places of an address, and says nothing, keeps nobody out.
    let crowd = (0..CROWD).map(|_| TcpStream::connect(&field.rtmps)).collect::<Result<Vec<_>, _>>()?;
    let from = stack.now();
    let mut publisher = Publisher::ffmpeg(&good, &stack.publish_url("good")?)?;
    stack.event(from, "publish-started", &[("live", "good")], TOLD_WITHIN)?;
    drop(crowd);
    thread::scope(|scope| -> Result<()> {
        let field = &field;
        for _ in 0..FLOODS {
            scope.spawn(|| flood(field));
        }
        let running: Vec<_> = TABLE
            .iter()
            .map(|(name, run)| (*name, scope.spawn(move || run(field, name))))
            .chain(revoked.map(|name| (name, scope.spawn(move || revoked_in_a_long_gop(field, name)))))
            .collect();
        let results = running.into_iter().map(|(name, thread)| {
            let result = thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("panicked")));
            result.err().map(|error| format!("{name}: {error:#}"))
        });
        let failed: Vec<_> = results.flatten().collect();
        anyhow::ensure!(failed.is_empty(), "{}", failed.join("\n"));
        Ok(())
    })?;
    publisher.finish()?;

    let ended = stack.event(from, "publish-ended", &[("live", "good")], FINISHED_WITHIN)?;
    anyhow::ensure!(ended.text("pictures") == GOOD.pictures().to_string(), "{ended:?}");
    ended.zero(&["pictures_left_out", "sound_left_out", "silence", "damaged", "jumps"])?;
    stack.event(from, "replay-ready", &[("live", "good")], FINISHED_WITHIN)?;
    let bad = ["chunk-late", "publish-warning"];
    let amiss =
        |event: &tests::stack::Event| bad.contains(&&*event.text("event")) && event.text("live") == "good";
    anyhow::ensure!(!stack.events().iter().any(amiss), "the good show was harmed");
    stack.whole(&ended.text("broadcast"))?;
    stack.stop()
}

impl Field<'_> {
    fn on_air(&self, live: &str) -> Result<Client> {
        Client::on_air(self.rtmp, &self.stack.live(live)?.key)
    }

    /// The client is told a code and cut, and the operator reads it.
    fn told(&self, client: &Client, live: &str, code: &str, within: Duration) -> Result<()> {
        client.hears(code, within + MACHINE)?;
        client.closed(MACHINE)?;
        self.stack.event(0, "publish-stopped", &[("live", live), ("code", code)], MACHINE)?;
        Ok(())
    }

    /// Every picture of a show that goes on regardless.
    fn whole(&self, client: &mut Client, live: &str, pictures: usize) -> Result<()> {
        client.unpublish()?;
        let ended = self.stack.event(0, "publish-ended", &[("live", live)], FINISHED_WITHIN)?;
        anyhow::ensure!(ended.text("pictures") == pictures.to_string(), "{pictures} were sent: {ended:?}");
        Ok(())
    }
}

/// The tags of the first seconds.
fn until(tags: &[Tag], seconds: u64) -> impl Iterator<Item = &Tag> {
    tags.iter().filter(move |tag| tag.time < Duration::from_secs(seconds))
}

fn pictures<'a>(tags: impl Iterator<Item = &'a Tag>) -> usize {
    tags.filter(|tag| tag.kind == VIDEO && tag.body.get(1) == Some(&1)).count()
}

fn is_config(tag: &Tag) -> bool {
    tag.kind == VIDEO && tag.body.get(1) == Some(&0)
}

/// Bytes that look like nothing.
fn garbage(length: usize) -> Vec<u8> {
    (0u32..).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).take(length).collect()
}

/// Connects and floods, again and again, until the good show's time is over.
fn flood(field: &Field<'_>) {
    let (began, garbage) = (Instant::now(), garbage(64 << 10));
    while began.elapsed() < Duration::from_secs(10) {
        let address = if began.elapsed().as_millis() % 2 == 0 { field.rtmp } else { &field.rtmps };
        let Ok(mut socket) = TcpStream::connect(address) else { continue };
        // A version that is right, so that a handshake is waited for.
        let _ = socket.write_all(&[3]);
        while began.elapsed() < Duration::from_secs(10) && socket.write_all(&garbage).is_ok() {}
        // Hundreds of connections a second, of all; more would show what this machine's kernel can do.
        thread::sleep(FLOOD_PAUSE);
    }
}

/// Waits for the end of a connection that nothing can be told on.
fn cut(socket: &mut TcpStream) -> Result<()> {
    socket.set_read_timeout(Some(TOLD_WITHIN + MACHINE))?;
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error).context("it was not cut"),
        }
    }
}

fn garbage_for_tls(field: &Field<'_>, _: &str) -> Result<()> {
    let mut socket = TcpStream::connect(&field.rtmps)?;
    socket.write_all(&garbage(5000))?;
    cut(&mut socket)
}

/// A client's hello, a byte at a time.
fn slow_tls(field: &Field<'_>, _: &str) -> Result<()> {
    let mut socket = TcpStream::connect(&field.rtmps)?;
    let began = Instant::now();
    let hello = [&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &garbage(500)].concat();
    for byte in hello {
        if socket.write_all(&[byte]).is_err() {
            break;
        }
        anyhow::ensure!(began.elapsed() < TOLD_WITHIN + MACHINE, "it was not cut");
        thread::sleep(Duration::from_millis(100));
    }
    cut(&mut socket)
}

fn silent_socket(field: &Field<'_>, _: &str) -> Result<()> {
    cut(&mut TcpStream::connect(field.rtmp)?)
}

fn silent_tls_socket(field: &Field<'_>, _: &str) -> Result<()> {
    cut(&mut TcpStream::connect(&field.rtmps)?)
}

fn garbage_for_a_handshake(field: &Field<'_>, _: &str) -> Result<()> {
    let mut socket = TcpStream::connect(field.rtmp)?;
    socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")?;
    cut(&mut socket)
}

fn slow_handshake(field: &Field<'_>, _: &str) -> Result<()> {
    let mut socket = TcpStream::connect(field.rtmp)?;
    let began = Instant::now();
    while socket.write_all(&[3]).is_ok() {
        anyhow::ensure!(began.elapsed() < TOLD_WITHIN + MACHINE, "it was not cut");
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Connected, and always about to publish.
fn slow_commands(field: &Field<'_>, _: &str) -> Result<()> {
    let mut client = Client::connected(field.rtmp)?;
    let began = Instant::now();
    let ask = [&string("releaseStream"), &number(2.0), &[5][..], &string("key")].concat();
    while client.message(rtmp::COMMAND, 0, 0, &ask).is_ok() {
        anyhow::ensure!(began.elapsed() < TOLD_WITHIN + MACHINE, "it was not cut");
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn garbage_in_amf(field: &Field<'_>, live: &str) -> Result<()> {
    let mut client = field.on_air(live)?;
    client.message(rtmp::COMMAND, 1, 0, &garbage(300))?;
    field.told(&client, live, "protocol", TOLD_WITHIN)
}

fn huge_message(field: &Field<'_>, live: &str) -> Result<()> {
    let mut client = field.on_air(live)?;
    client.raw(&[4, 0, 0, 0, 0xFF, 0xFF, 0xFF, VIDEO, 1, 0, 0, 0])?;
    field.told(&client, live, "too-large", TOLD_WITHIN)
}

fn garbage_for_chunks(field: &Field<'_>, live: &str) -> Result<()> {
    let mut client = field.on_air(live)?;
    // A chunk stream that begins with what only a later chunk may leave out.
    client.raw(&[0xC9])?;
    client.raw(&garbage(500))?;
    field.told(&client, live, "protocol", TOLD_WITHIN)
}

fn empty_config(field: &Field<'_>, live: &str) -> Result<()> {
    let mut client = field.on_air(live)?;
    client.message(VIDEO, 1, 0, &[0x17, 0, 0, 0, 0])?;
    field.told(&client, live, "video-profile", TOLD_WITHIN)
}

fn no_config(field: &Field<'_>, live: &str) -> Result<()> {
    let mut client = field.on_air(live)?;
    client.stream(until(&field.small, 9).filter(|tag| !is_config(tag)), Duration::ZERO);
    field.told(&client, live, "video-config", MACHINE)
}

/// The show goes on, and its publisher is warned.
fn corrupt_pictures(field: &Field<'_>, live: &str) -> Result<()> {
    let mut client = field.on_air(live)?;
    let mut tags: Vec<_> = until(&field.small, 14).cloned().collect();
    for tag in tags.iter_mut().filter(|tag| tag.kind == VIDEO && tag.body.get(1) == Some(&1)) {
        if tag.time >= Duration::from_secs(2) && tag.time < Duration::from_secs(4) {
            // Behind the tag's header and the length and type of the first NAL unit.
            let behind = tag.body.len().min(12);
            let damage = garbage(tag.body.len() - behind);
            tag.body[behind..].copy_from_slice(&damage);
        }
    }
    client.stream(&tags, Duration::ZERO);
    client.hears("video-corrupt", TOLD_WITHIN)?;
    field.stack.event(0, "publish-warning", &[("live", live), ("code", "video-corrupt")], MACHINE)?;
    field.whole(&mut client, live, pictures(tags.iter()))
}

/// Back by 200 ms now and then; an hour ahead; and on from there, and five seconds ahead again.
fn jumping_stamps(field: &Field<'_>, live: &str) -> Result<()> {
    let mut client = field.on_air(live)?;
    let began = Instant::now();
    for (n, tag) in until(&field.small, 6).enumerate() {
        thread::sleep((began + tag.time).saturating_duration_since(Instant::now()));
        let ms = u32::try_from(tag.time.as_millis())?;
        let moved = match tag.time.as_secs() {
            0..3 if n % 7 == 6 => ms.saturating_sub(200),
            0..3 => ms,
            3..5 => ms + 3_600_000,
            _ => ms + 3_605_000,
        };
        client.tag(tag, moved)?;
    }
    client.hears("timestamp-jump", TOLD_WITHIN)?;
    field.whole(&mut client, live, pictures(until(&field.small, 6)))?;
    let ended = field.stack.event(0, "publish-ended", &[("live", live)], MACHINE)?;
    anyhow::ensure!(ended.text("jumps") == "2", "{ended:?}");
    Ok(())
}

/// Another size in the middle of the show: a new sequence header, no picture lost.
fn new_size(field: &Field<'_>, live: &str) -> Result<()> {
    let mut client = field.on_air(live)?;
    let half = Duration::from_secs(3);
    let second = until(&field.wider, 3).filter(|tag| tag.kind != DATA);
    let second: Vec<_> = second.map(|tag| Tag { time: tag.time + half, ..tag.clone() }).collect();
    let tags: Vec<_> = until(&field.small, 3).cloned().chain(second).collect();
    anyhow::ensure!(client.stream(&tags, Duration::ZERO), "it was cut");
    field.whole(&mut client, live, pictures(tags.iter()))?;
    let ended = field.stack.event(0, "replay-ready", &[("live", live)], FINISHED_WITHIN)?;
    let url = field.stack.vod_url(live, &ended.text("broadcast"));
    let mpd = String::from_utf8(field.stack.http.body(&url)?)?;
    anyhow::ensure!(mpd.matches("<Period").count() == 2, "one Period for each size:\n{mpd}");
    Ok(())
}

/// Pictures that stop while sound goes on, and return.
fn pausing_pictures(field: &Field<'_>, live: &str) -> Result<()> {
    let mut client = field.on_air(live)?;
    let pause = Duration::from_secs(2)..Duration::from_secs(10);
    let tags: Vec<_> = until(&field.small, 13)
        .filter(|tag| tag.kind != VIDEO || is_config(tag) || !pause.contains(&tag.time))
        .cloned()
        .collect();
    anyhow::ensure!(client.stream(&tags, Duration::ZERO), "it was cut");
    field.whole(&mut client, live, pictures(tags.iter()))?;
    let ended = field.stack.event(0, "replay-ready", &[("live", live)], FINISHED_WITHIN)?;
    // What is shown of sound alone covers nothing of the pictures that return.
    let late =
        |event: &tests::stack::Event| event.text("event") == "chunk-late" && event.text("live") == live;
    anyhow::ensure!(!field.stack.events().iter().any(late), "pictures came too late for the live stream");
    field.stack.whole(&ended.text("broadcast"))
}

/// Sound a second behind its pictures.
fn late_sound(field: &Field<'_>, live: &str) -> Result<()> {
    let mut client = field.on_air(live)?;
    let sent = |tag: &Tag| tag.time + Duration::from_secs(u64::from(tag.kind == AUDIO));
    let mut tags: Vec<_> = until(&field.small, 6).collect();
    tags.sort_by_key(|tag| sent(tag));
    let began = Instant::now();
    for tag in &tags {
        thread::sleep((began + sent(tag)).saturating_duration_since(Instant::now()));
        client.tag(tag, u32::try_from(tag.time.as_millis())?)?;
    }
    field.whole(&mut client, live, pictures(until(&field.small, 6)))?;
    let ended = field.stack.event(0, "publish-ended", &[("live", live)], MACHINE)?;
    // What lies before the first picture, and where sound begins behind it: a frame or two of 44.1 kHz each.
    let few = |count: &str| ended.text(count).parse().is_ok_and(|count: u32| count <= 3);
    anyhow::ensure!(few("silence") && few("sound_left_out"), "{ended:?}");
    Ok(())
}

fn long_gop(field: &Field<'_>, live: &str) -> Result<()> {
    let mut client = field.on_air(live)?;
    // As far ahead of its time as is taken, so that ten seconds take eight.
    client.stream(until(&field.endless, 14), Duration::from_secs(2));
    field.told(&client, live, "gop-too-long", TOLD_WITHIN)
}

/// Pictures that claim to be key frames and are none.
fn open_gop(field: &Field<'_>, live: &str) -> Result<()> {
    let mut client = field.on_air(live)?;
    let mut tags: Vec<_> = until(&field.endless, 14).cloned().collect();
    for tag in tags.iter_mut().filter(|tag| tag.kind == VIDEO && !is_config(tag)).step_by(10) {
        tag.body[0] = 0x17;
    }
    client.stream(&tags, Duration::from_secs(2));
    field.told(&client, live, "open-gop", TOLD_WITHIN)
}

/// On air, then nothing.
fn silent_publisher(field: &Field<'_>, live: &str) -> Result<()> {
    let mut client = field.on_air(live)?;
    client.stream(until(&field.small, 2), Duration::ZERO);
    field.told(&client, live, "silent", TOLD_WITHIN)
}

/// On air and chatty, with neither picture nor sound.
fn stalled_publisher(field: &Field<'_>, live: &str) -> Result<()> {
    let mut client = field.on_air(live)?;
    client.stream(until(&field.small, 1), Duration::ZERO);
    let began = Instant::now();
    let data = [&string("onTextData"), &[5][..]].concat();
    while client.message(DATA, 1, 1000, &data).is_ok() && began.elapsed() < TOLD_WITHIN {
        thread::sleep(Duration::from_millis(500));
    }
    field.told(&client, live, "no-media", MACHINE)
}

fn foreign_codec(field: &Field<'_>, live: &str) -> Result<()> {
    let mut client = field.on_air(live)?;
    client.message(VIDEO, 1, 0, b"\x91vp09\0\0\0")?;
    field.told(&client, live, "video-codec", TOLD_WITHIN)
}

/// A key is replaced, a live disabled, a show ended while a GOP is under way that has long to go: the publisher does not get to its end.
fn revoked_in_a_long_gop(field: &Field<'_>, live: &str) -> Result<()> {
    let (arguments, code) = match live {
        "rotated" => (["live", "rotate-key", live], "key-replaced"),
        "disabled" => (["live", "disable", live], "live-disabled"),
        _ => (["live", "end", live], "ended"),
    };
    let mut client = field.on_air(live)?;
    thread::scope(|scope| -> Result<()> {
        let told = scope.spawn(|| -> Result<()> {
            // A key frame every nine seconds: at the second one the edge would hear of it from the reply to the chunk.
            let on_time = field.endless.iter().filter(|tag| tag.time < Duration::from_secs(9));
            client.stream(on_time, Duration::ZERO);
            field.told(&client, live, code, Duration::ZERO)
        });
        field.stack.event(0, "publish-started", &[("live", live)], TOLD_WITHIN)?;
        thread::sleep(Duration::from_secs(2));
        let out = field.stack.gopcast(arguments)?;
        anyhow::ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        told.join().unwrap_or_else(|_| Err(anyhow::anyhow!("panicked")))
    })?;
    // Nobody comes back with what was revoked.
    if code != "ended" {
        let refused = Client::on_air(field.rtmp, &field.stack.live(live)?.key);
        anyhow::ensure!(refused.is_err(), "it got on air again");
    }
    if code == "live-disabled" {
        let out = field.stack.gopcast(["live", "enable", live])?;
        anyhow::ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        field.on_air(live)?.unpublish()?;
    }
    Ok(())
}
