//! The encoder that serves the show can't reach S3 for fifteen seconds (a black hole: connections freeze), though it can be reached
//! itself: another takes over, and nothing is lost.

use std::time::Duration;

use anyhow::Result;
use tests::chaos::{
    cluster::Way,
    encoder::Disturbance,
    faults::Faults,
    report::{pick, scenario},
};

#[test]
fn an_encoder_without_s3_is_replaced() -> Result<()> {
    scenario("encoder without S3", |report| {
        Disturbance {
            what: "black hole between the serving encoder and S3",
            times: (1, 5),
            lasts: Duration::from_secs(pick(8, 15)),
            calm: Duration::from_secs(5),
            always_watched: false,
            begin: &|cluster, serving| cluster.fault(serving, Way::S3, Faults::BLACK_HOLE),
            end: &|cluster, serving| cluster.fault(serving, Way::S3, Faults::NONE),
        }
        .run(report)
    })
}
