//! `gopcast broadcast verify` is believed only because it fails when it must: one segment removed, one altered, one ledger row deleted,
//! each is found and named; put back, the broadcast is whole again.

use std::time::Duration;

use anyhow::{Context, Result};
use tests::{
    aws::{self, Aws},
    publisher::Publisher,
    source::{Format, Source},
    stack::{Options, Stack},
};

const REPLAY_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn verify_finds_faults() -> Result<()> {
    let source = Source::new(Format { width: 320, height: 180, seconds: 9, ..Format::default() })?;
    let stack = Options::lives(["shop"]).start()?;
    Publisher::ffmpeg(&source, &stack.publish_url("shop")?)?.finish()?;
    let ready = stack.event(0, "replay-ready", &[("live", "shop")], REPLAY_WITHIN)?;
    let broadcast = ready.text("broadcast");
    expect(&stack, &broadcast, 0, "")?;
    let aws = Aws::new(&stack)?;

    let prefix = format!("vod/shop/{broadcast}/");
    let keys = aws.keys(&prefix)?;
    let segments: Vec<&String> = keys.iter().filter(|key| key.ends_with(".m4s")).collect();
    let pictures =
        segments.iter().filter(|key| !key.contains("/audio/")).nth(1).context("a segment of pictures")?;
    let sound = segments.iter().filter(|key| key.contains("/audio/")).nth(2).context("a segment of sound")?;
    let init = keys.iter().find(|key| key.contains("/init-")).context("an initialization segment")?;

    for key in [pictures.as_str(), sound.as_str(), init.as_str()] {
        let whole = aws.object(key)?;
        aws.delete_object(key)?;
        expect(&stack, &broadcast, 1, key)?;
        let mut altered = whole.clone();
        // The size stays: only the hash can tell.
        let last = altered.last_mut().context("an empty segment")?;
        *last ^= 1;
        aws.put_object(key, altered)?;
        expect(&stack, &broadcast, 1, key)?;
        aws.put_object(key, whole)?;
        expect(&stack, &broadcast, 0, "")?;
    }

    let rows = aws.rows(&format!("BCAST#{broadcast}"), "GOP#")?;
    anyhow::ensure!(rows.len() >= 4, "{} ledger rows", rows.len());
    for at in [0, 1, rows.len() - 1] {
        let row = &rows[at];
        aws.delete_row(row)?;
        // The row is gone; the chunk that it was for still has its name.
        let seq = row.get("seq").and_then(|v| v.as_n().ok()).context("a row without seq")?;
        let chunk = format!("ingest/{broadcast}/000001/{:0>8}.gop", seq);
        let said = expect(&stack, &broadcast, 1, "")?;
        let time = aws::text(row, "sk")?;
        let time = time.trim_start_matches("GOP#").trim_start_matches('0');
        anyhow::ensure!(said.contains(&chunk) || said.contains(time), "row {at}: no line names it:\n{said}");
        aws.put_row(row.clone())?;
        expect(&stack, &broadcast, 0, "")?;
    }

    // A broadcast that there never was: it could not tell.
    expect(&stack, "018bcfe5-6801-7000-8000-000000000000", 2, "")?;
    stack.stop()
}

/// Runs `verify`, expects this exit code and a line with `names` in it; gives what it said.
fn expect(stack: &Stack, broadcast: &str, code: i32, names: &str) -> Result<String> {
    let (got, said) = stack.verify(broadcast)?;
    anyhow::ensure!(got == code, "verify ended with {got} instead of {code}:\n{said}");
    anyhow::ensure!(said.lines().any(|line| line.contains(names)), "no line names {names}:\n{said}");
    Ok(said)
}
