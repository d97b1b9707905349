//! Enhanced RTMP: HEVC and AV1 are published, become the same H.264 as anything else, and play; no picture is lost on the way.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tests::{
    browser::Player,
    check,
    presentation::Presentation,
    publisher::{self, Publisher},
    source::{Format, Source},
    stack::Options,
};

const CODINGS: [&str; 2] = ["hevc", "av1"];
/// From the end of a publish to its replay, on a busy machine.
const REPLAY_WITHIN: Duration = Duration::from_secs(30);

/// What `data/enhanced` holds of a coding; its README says how it was made.
fn source(coding: &str) -> Source {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("data/enhanced/{coding}.flv"));
    Source { format: Format { mark: 7, ..Format::default() }, file }
}

#[test]
fn hevc_and_av1_are_published() -> Result<()> {
    let folder = TempDir::new()?;
    let stack = Options::lives(CODINGS).start()?;
    let mut publishers = Vec::new();
    for coding in CODINGS {
        publishers.push(Publisher::carrying(&source(coding), &stack.publish_url(coding)?)?);
    }
    for publisher in &mut publishers {
        publisher.finish()?;
    }
    for coding in CODINGS {
        let source = source(coding);
        let ready = stack.event(0, "replay-ready", &[("live", coding)], REPLAY_WITHIN)?;
        let broadcast = ready.text("broadcast");
        let vod = stack.vod_url(coding, &broadcast);
        let replay = Presentation::fetch(&stack.http, &vod)?;
        assert_eq!(replay.mpd.rungs(), ["360p"], "{coding}");
        let sound = folder.path().join(format!("{coding}.flv"));
        publisher::sound_of(&source, &sound)?;
        let source = Source { file: sound, ..source };
        check::replay(&replay, &source).with_context(|| format!("{coding}\n{}", replay.text))?;
        stack.whole(&broadcast)?;
        // One player is enough to see that what came in does not show; both play in `publish_watch_replay`.
        let playback = Player::Shaka.replay(&vod, 10.0, 1.0)?;
        playback.check_replay(10.0, 30.0).with_context(|| coding.to_owned())?;
    }
    stack.stop()
}
