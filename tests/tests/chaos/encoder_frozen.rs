//! The encoder that serves the show is frozen (SIGSTOP) for fifteen seconds and wakes up: another has taken over at the next chunk,
//! and the one that wakes can change nothing.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use tests::chaos::{
    encoder::Disturbance,
    report::{pick, scenario},
};

#[test]
fn an_encoder_that_hangs_and_wakes_changes_nothing() -> Result<()> {
    scenario("encoder SIGSTOP, SIGCONT", |report| {
        Disturbance {
            what: "SIGSTOP of the serving encoder",
            times: (1, 5),
            lasts: Duration::from_secs(pick(8, 15)),
            calm: Duration::from_secs(5),
            always_watched: false,
            begin: &|cluster, serving| cluster.keeper().signal(serving, Signal::SIGSTOP),
            end: &|cluster, serving| cluster.keeper().signal(serving, Signal::SIGCONT),
        }
        .run(report)
    })
}
