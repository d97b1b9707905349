//! OBS publishes, where it is installed: every picture that it put out is in the replay, as it showed it; and it takes a refusal for one
//! of its key.

use std::time::Duration;

use anyhow::Result;
use tests::{
    check::{self, Shown},
    obs::{self, Obs},
    presentation::Presentation,
    source::{Format, Source},
    stack::{Options, free_address},
};

/// From its start to the live manifest that names enough: OBS draws without a graphics card, beside the encoders.
const PLAYABLE_WITHIN: Duration = Duration::from_secs(90);
/// Segments of pictures: more than one loop of the film.
const SEGMENTS: usize = 6;
const REPLAY_WITHIN: Duration = Duration::from_secs(30);
/// Pictures that OBS counts and does not send: what it has encoded when it is stopped.
const UNSENT_MAX: u64 = 3;
/// How OBS logs that the server does not know the stream key, which its window says in words.
const INVALID_STREAM: &str = "failed: -3";

#[test]
fn obs_publishes() -> Result<()> {
    if !obs::has_obs() {
        eprintln!("note: OBS or Xvfb is not installed here; nothing was tested");
        return Ok(());
    }
    let source = Source::new(Format { seconds: 10, mark: 9, ..Format::default() })?;
    let rtmp = free_address()?;
    let stack = Options::lives(["shop"]).rtmp(&rtmp).start()?;
    let server = format!("rtmp://{rtmp}/live");

    let obs = Obs::start(&source, &server, &stack.live("shop")?.key)?;
    obs.says("Streaming Start")?;
    Presentation::live(&stack.http, &stack.live("shop")?.mpd, SEGMENTS, PLAYABLE_WITHIN)?;
    let counted = obs.stop()?;

    let ended = stack.event(0, "publish-ended", &[("live", "shop")], REPLAY_WITHIN)?;
    anyhow::ensure!(ended.text("reason") == "unpublished", "OBS says goodbye: {ended:?}");
    ended.zero(&["pictures_left_out", "sound_left_out", "damaged", "jumps"])?;
    let pictures: u64 = ended.text("pictures").parse()?;
    anyhow::ensure!(
        (pictures..=pictures + UNSENT_MAX).contains(&counted),
        "OBS put out {counted}: {ended:?}"
    );

    let ready = stack.event(0, "replay-ready", &[("live", "shop")], REPLAY_WITHIN)?;
    let broadcast = ready.text("broadcast");
    let replay = Presentation::fetch(&stack.http, &stack.vod_url("shop", &broadcast))?;
    check::structure(&replay)?;
    check::rules(&replay)?;
    check::alone(&replay)?;
    for rung in replay.mpd.rungs() {
        let shown = check::shown(&replay, &rung)?;
        anyhow::ensure!(
            shown.len() == usize::try_from(pictures)?,
            "{rung} shows {} of {pictures}",
            shown.len()
        );
        // It shows the film from the moment on at which that is loaded.
        let of_film =
            |shown: &Shown| shown.picture.stamp.is_some_and(|stamp| stamp.mark == source.format.mark);
        let count = shown.iter().filter(|shown| of_film(shown)).count();
        anyhow::ensure!(
            count * 10 >= shown.len() * 9 && shown.last().is_some_and(of_film),
            "{rung} shows the film in {count} of {} pictures, or not in the last",
            shown.len()
        );
    }
    stack.whole(&broadcast)?;

    let from = stack.now();
    let obs = Obs::start(&source, &server, "sk_not-a-key-of-anybody")?;
    obs.says(INVALID_STREAM)?;
    let refused = stack.event(from, "publish-refused", &[], REPLAY_WITHIN)?;
    anyhow::ensure!(refused.text("code") == "unknown-key", "{refused:?}");
    drop(obs);
    stack.stop()
}
