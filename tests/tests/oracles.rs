//! The oracles themselves: they accept a presentation that FFmpeg made, and each fault put into it is found. A check that can't fail
//! proves nothing.

use std::{collections::HashMap, fs, process::Command};

use anyhow::{Context, Result};
use tests::{
    check,
    presentation::Presentation,
    process::run,
    source::{Format, Source},
};

/// Where the made manifest is said to be.
const URL: &str = "http://oracle.test/m.mpd";

type Files = HashMap<String, Vec<u8>>;

/// FFmpeg's DASH of a source, without B-frames: three segments of two seconds, pictures only.
fn made(source: &Source) -> Result<Files> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(&source.file);
    // FLV's times are in milliseconds; counting makes them exact again.
    command.args([
        "-map",
        "0:v",
        "-vf",
        "setpts=N/30/TB",
        "-r",
        "30",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
    ]);
    command.args(["-bf", "0", "-g", "60", "-f", "dash", "-seg_duration", "2", "-use_template", "1"]);
    run("ffmpeg", command.arg("m.mpd").current_dir(folder.path()))?;
    let mut files = Files::new();
    for entry in fs::read_dir(folder.path())? {
        let path = entry?.path();
        let name = path.file_name().context("a file without name")?.to_string_lossy().into_owned();
        files.insert(format!("http://oracle.test/{name}"), fs::read(&path)?);
    }
    // FFmpeg names segments by number; the reader here knows names by time, as gopcast has them.
    let text = String::from_utf8(files[URL].clone())?;
    for number in 1..=3u32 {
        let chunk = files.remove(&format!("http://oracle.test/chunk-stream0-{number:05}.m4s"));
        let time = u64::from(number - 1) * 2 * timescale(&text)?;
        files.insert(format!("http://oracle.test/chunk-{time}.m4s"), chunk.context("a segment")?);
    }
    let text = text.replace("chunk-stream$RepresentationID$-$Number%05d$.m4s", "chunk-$Time$.m4s");
    files.insert(URL.to_owned(), text.into_bytes());
    Ok(files)
}

fn timescale(text: &str) -> Result<u64> {
    let at = text.split("timescale=\"").nth(1).and_then(|rest| rest.split('"').next());
    at.context("no timescale")?.parse().context("timescale")
}

fn read(files: &Files) -> Result<Presentation> {
    Presentation::read(URL, |url| files.get(url).cloned().with_context(|| format!("{url} is not there")))
}

/// What the checks say of the files.
fn judge(files: &Files, source: &Source) -> Result<()> {
    let presentation = read(files)?;
    check::structure(&presentation)?;
    check::whole(&presentation, "0", source).map(|_| ())
}

#[test]
fn every_fault_is_found() -> Result<()> {
    let source = Source::new(Format { width: 320, height: 180, seconds: 6, mark: 2, ..Format::default() })?;
    let good = made(&source)?;
    judge(&good, &source)?;
    let text = String::from_utf8(good[URL].clone())?;
    let scale = timescale(&text)?;
    let segment = |n: u64| format!("http://oracle.test/chunk-{}.m4s", n * 2 * scale);
    let at = |bytes: &[u8], pattern: &[u8]| bytes.windows(pattern.len()).position(|w| w == pattern);

    let manifest = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} is not in {text}");
        let mut files = good.clone();
        files.insert(URL.to_owned(), text.replacen(from, to, 1).into_bytes());
        files
    };
    let bytes = |n: u64, pattern: &[u8], offset: usize, with: &[u8]| -> Result<Files> {
        let mut files = good.clone();
        let segment = files.get_mut(&segment(n)).context("no such segment")?;
        let start = at(segment, pattern).context("the pattern is not there")? + offset;
        segment[start..start + with.len()].copy_from_slice(with);
        Ok(files)
    };
    let swapped = {
        let mut files = good.clone();
        let (a, b) = (good[&segment(0)].clone(), good[&segment(1)].clone());
        files.insert(segment(0), b);
        files.insert(segment(1), a);
        files
    };
    let missing = {
        let mut files = good.clone();
        files.remove(&segment(1));
        files
    };
    let codecs =
        text.split("codecs=\"").nth(1).and_then(|r| r.split('"').next()).context("codecs")?.to_owned();
    let cases = [
        ("a segment is missing", missing, "is not there"),
        ("two segments are swapped", swapped, "earliest presentation time"),
        ("another codec is said", manifest(&codecs, "avc1.640028"), "but the header is"),
        ("another size is said", manifest("width=\"320\"", "width=\"322\""), "in the manifest, 320×180"),
        (
            "an attribute that the schema has not",
            manifest("type=\"static\"", "type=\"static\" sort=\"x\""),
            "validate",
        ),
        ("another time scale is said", manifest("timescale=\"", "timescale=\"1"), ""),
        // tfdt's last byte (version 1: 8 bytes of time after 4 of version and flags after the type).
        ("a segment starts a little later", bytes(1, b"tfdt", 15, &[0xff])?, "earliest presentation time"),
        // A NAL unit of the second sample's kind in the first place: IDR (0x65) becomes a plain slice.
        ("a segment starts without IDR", bytes(1, &[0x65, 0x88], 0, &[0x41])?, "IDR"),
        // Picture data: the decoder stumbles, or the stamp can't be read.
        ("picture data is damaged", bytes(2, &[0x65, 0x88], 200, &[0x55; 64])?, ""),
    ];
    for (what, files, says) in cases {
        let error = judge(&files, &source).err().with_context(|| format!("{what}: nobody noticed"))?;
        let said = format!("{error:#}");
        anyhow::ensure!(said.contains(says), "{what}: {said}");
    }
    let other = Source { format: Format { mark: 3, ..source.format }, ..source.clone() };
    anyhow::ensure!(judge(&good, &other).is_err(), "pictures of another show were taken");
    Ok(())
}
