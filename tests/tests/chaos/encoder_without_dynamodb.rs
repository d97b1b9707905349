//! The encoder that serves the show can't reach DynamoDB for fifteen seconds (a black hole: connections freeze), though it can be reached
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
fn an_encoder_without_dynamodb_is_replaced() -> Result<()> {
    scenario("encoder without DynamoDB", |report| {
        Disturbance {
            what: "black hole between the serving encoder and DynamoDB",
            times: (1, 5),
            lasts: Duration::from_secs(pick(8, 15)),
            calm: Duration::from_secs(5),
            always_watched: false,
            begin: &|cluster, serving| cluster.fault(serving, Way::DynamoDb, Faults::BLACK_HOLE),
            end: &|cluster, serving| cluster.fault(serving, Way::DynamoDb, Faults::NONE),
        }
        .run(report)
    })
}
