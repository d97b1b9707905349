//! The encoder that serves the show can't be reached for fifteen seconds, though it reaches everything itself: it can only be wrong
//! about who serves the show, and the fence holds.

use std::time::Duration;

use anyhow::Result;
use tests::chaos::{
    encoder::Disturbance,
    faults::Faults,
    report::{pick, scenario},
};

#[test]
fn an_encoder_that_nobody_reaches_is_replaced() -> Result<()> {
    scenario("encoder unreachable", |report| {
        Disturbance {
            what: "black hole before the serving encoder",
            times: (1, 5),
            lasts: Duration::from_secs(pick(8, 15)),
            calm: Duration::from_secs(5),
            always_watched: false,
            begin: &|cluster, serving| cluster.keeper().door(serving, |door| door.set(Faults::BLACK_HOLE)),
            end: &|cluster, serving| cluster.keeper().door(serving, |door| door.set(Faults::NONE)),
        }
        .run(report)
    })
}
