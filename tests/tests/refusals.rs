//! Who may not publish: a wrong key, no key, a wrong application. The publisher is told why, the operator reads why, and nobody reads
//! the key.

use std::time::Duration;

use anyhow::Result;
use tests::{
    process::Lines,
    publisher::Publisher,
    source::{Format, Source},
    stack::Options,
};

const REFUSED_WITHIN: Duration = Duration::from_secs(15);
const WRONG_KEY: &str = "wrong-key-0123456789abcdef0123456789abcdef";

#[test]
fn refusals_say_why_and_keep_the_key() -> Result<()> {
    let source = Source::new(Format { width: 320, height: 180, seconds: 9, ..Format::default() })?;
    let stack = Options::lives(["shop"]).start()?;
    let key = stack.live("shop")?.key.clone();
    let server = stack.ready.rtmps.trim_end_matches("/live").to_owned();
    // The last character of the right key is changed: one bit of the hash's input, all of the answer.
    let near_miss = format!("{}{}", &key[..key.len() - 1], if key.ends_with('0') { '1' } else { '0' });

    for (what, url, says) in [
        ("a wrong key", format!("{server}/live/{WRONG_KEY}"), "key"),
        ("a near miss", format!("{server}/live/{near_miss}"), "key"),
        ("no key", format!("{server}/live"), "key"),
        ("a wrong application", format!("{server}/studio/{key}"), "server url"),
    ] {
        let from = stack.now();
        let mut publisher = Publisher::ffmpeg(&source, &url)?;
        let status = publisher.wait()?;
        let told = publisher.log().text();
        anyhow::ensure!(!status.success(), "{what}: ffmpeg thinks that it was taken:\n{told}");
        anyhow::ensure!(
            refusal(publisher.log()).to_lowercase().contains(says),
            "{what}: ffmpeg was told\n{told}"
        );
        let refused = stack.event(from, "publish-refused", &[], REFUSED_WITHIN)?;
        anyhow::ensure!(!refused.text("code").is_empty(), "{what}: {refused:?}");
    }
    anyhow::ensure!(stack.broadcasts("shop")?.is_empty(), "a refused publish has made a broadcast");

    // The right key still works, and a key that was rotated away does not.
    let from = stack.now();
    let mut publisher = Publisher::ffmpeg(&source, &stack.publish_url("shop")?)?;
    stack.event(from, "publish-started", &[("live", "shop")], REFUSED_WITHIN)?;
    publisher.finish()?;
    let out = stack.gopcast(["live", "rotate-key", "shop"])?;
    anyhow::ensure!(out.status.success(), "rotate-key: {}", String::from_utf8_lossy(&out.stderr));
    let from = stack.now();
    let mut publisher = Publisher::ffmpeg(&source, &format!("{server}/live/{key}"))?;
    anyhow::ensure!(!publisher.wait()?.success(), "the old key still works");
    stack.event(from, "publish-refused", &[], REFUSED_WITHIN)?;

    for line in stack.log()?.lines().filter(|line| !line.contains("\"ready\":true")) {
        for secret in [key.as_str(), WRONG_KEY, near_miss.as_str()] {
            anyhow::ensure!(!line.contains(secret), "a key is in the log: {}", line.replace(secret, "(key)"));
        }
    }
    stack.stop()
}

/// What the server said, as ffmpeg repeats it.
fn refusal(log: &Lines) -> String {
    let lines = log.all();
    let said = lines.iter().filter_map(|line| line.split_once("Server error: ").map(|(_, said)| said));
    said.collect::<Vec<_>>().join("\n")
}
