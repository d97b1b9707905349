//! GStreamer's `rtmp2sink` publishes, where it is installed.

use std::time::Duration;

use anyhow::Result;
use tests::{
    check,
    presentation::Presentation,
    publisher::{self, Publisher},
    source::{Format, Source},
    stack::Options,
};

const REPLAY_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn gstreamer_publishes() -> Result<()> {
    if !publisher::has_gstreamer() {
        eprintln!("note: GStreamer with rtmp2sink is not installed here; nothing was tested");
        return Ok(());
    }
    let source = Source::new(Format { seconds: 10, mark: 7, ..Format::default() })?;
    let stack = Options::lives(["shop"]).start()?;
    let mut publisher = Publisher::gstreamer(&source, &stack.publish_url("shop")?)?;
    publisher.finish()?;
    let ready = stack.event(0, "replay-ready", &[("live", "shop")], REPLAY_WITHIN)?;
    let broadcast = ready.text("broadcast");
    check::replay(&Presentation::fetch(&stack.http, &stack.vod_url("shop", &broadcast))?, &source)?;
    stack.whole(&broadcast)?;
    stack.stop()
}
