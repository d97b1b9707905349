//! `kill -9` of the encoder that serves the show, every ten seconds, while both players watch: nothing is lost, nobody stops for
//! longer than a GOP and a second.

use std::time::Duration;

use anyhow::Result;
use tests::chaos::{
    encoder::Disturbance,
    report::{pick, scenario},
};

#[test]
fn nothing_is_lost_when_encoders_are_killed() -> Result<()> {
    scenario("encoder kill -9", |report| {
        Disturbance {
            what: "kill -9 of the serving encoder",
            times: (2, 12),
            lasts: Duration::ZERO,
            calm: Duration::from_secs(pick(7, 10)),
            always_watched: true,
            begin: &|cluster, serving| cluster.keeper().kill(serving, false),
            end: &|_, _| Ok(()),
        }
        .run(report)
    })
}
