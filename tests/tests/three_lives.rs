//! Three shows at once: nothing of one is ever seen in another, and they spread over the encoders.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;
use tests::{
    aws::Aws,
    check, poll,
    presentation::Presentation,
    publisher::Publisher,
    source::{Format, Source},
    stack::Options,
};

const ON_AIR_WITHIN: Duration = Duration::from_secs(20);
const REPLAY_WITHIN: Duration = Duration::from_secs(30);
const LIVES: [&str; 3] = ["red", "green", "blue"];

#[test]
fn three_lives_do_not_mix() -> Result<()> {
    let mut sources = Vec::new();
    for mark in 4..7 {
        sources.push(Source::new(Format { seconds: 15, mark, ..Format::default() })?);
    }
    let stack = Options::lives(LIVES).start()?;
    let mut publishers = Vec::new();
    for (source, live) in sources.iter().zip(LIVES) {
        publishers.push(Publisher::ffmpeg(source, &stack.publish_url(live)?)?);
    }
    let mut broadcasts = Vec::new();
    for live in LIVES {
        let started = stack.event(0, "publish-started", &[("live", live)], ON_AIR_WITHIN)?;
        broadcasts.push(started.text("broadcast"));
    }
    let aws = Aws::new(&stack)?;
    let mut encoders = BTreeSet::new();
    for broadcast in &broadcasts {
        encoders.insert(aws.encoder_of(broadcast)?);
    }
    anyhow::ensure!(encoders.len() == 2, "three lives on two encoders are all on {encoders:?}");

    // All three are on air at once, at their own addresses.
    for live in LIVES {
        let mpd = stack.live(live)?.mpd.clone();
        poll::until("a live manifest", ON_AIR_WITHIN, || {
            Ok((stack.http.get(&mpd)?.status == 200).then_some(()))
        })?;
        check::structure(&Presentation::fetch(&stack.http, &mpd)?)?;
    }
    for publisher in &mut publishers {
        publisher.finish()?;
    }
    for ((source, live), broadcast) in sources.iter().zip(LIVES).zip(&broadcasts) {
        stack.event(0, "replay-ready", &[("live", live), ("broadcast", broadcast)], REPLAY_WITHIN)?;
        check::replay(&Presentation::fetch(&stack.http, &stack.vod_url(live, broadcast))?, source)?;
        stack.whole(broadcast)?;
    }
    stack.stop()
}
