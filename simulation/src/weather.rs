//! How bad the network and the services are, and what becomes of one call in it.

use std::time::Duration;

use crate::dice::Dice;

/// A service behind the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// DynamoDB.
    Table,
    /// S3.
    Bucket,
    /// Lambda.
    Gateway,
    /// The encoders' HTTP.
    Encoder,
}

impl Service {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Table, Self::Bucket, Self::Gateway, Self::Encoder];
}

/// Chances of things going wrong with a call, in thousandths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// The request never arrives.
    pub lost_request: u64,
    /// It takes effect and the reply never arrives.
    pub lost_reply: u64,
    /// It arrives twice.
    pub duplicate: u64,
    /// It takes effect after the caller has given up.
    pub late: u64,
    /// It is refused: throttled, 503, or a transaction meets another.
    pub refused: u64,
    /// It or its reply takes up to seconds.
    pub slow: u64,
}

impl Weather {
    /// Nothing goes wrong.
    pub const CALM: Self =
        Self { lost_request: 0, lost_reply: 0, duplicate: 0, late: 0, refused: 0, slow: 0 };

    /// Some weather, from fair to foul.
    #[must_use]
    pub fn thrown(dice: &mut Dice) -> Self {
        // A third of all runs have a calm network, so that crashes and pauses are also seen by themselves.
        let most = match dice.below(6) {
            0 | 1 => return Self::CALM,
            2 | 3 => 15,
            4 => 60,
            _ => 150,
        };
        let mut one = || if dice.permille(600) { dice.below(most) } else { 0 };
        Self {
            lost_request: one(),
            lost_reply: one(),
            duplicate: one(),
            late: one(),
            refused: one(),
            slow: one(),
        }
    }
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// Until it arrives.
    pub there: Duration,
    /// From its effect to its reply.
    pub back: Duration,
    /// What goes wrong.
    pub mishap: Option<Mishap>,
    /// Whether it arrives even if its sender dies on the way.
    pub survives: bool,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// It never arrives; the caller gives up after so long.
    LostRequest(Duration),
    /// It takes effect; the caller gives up after so long.
    LostReply(Duration),
    /// It takes effect, the reply is lost, and the client's own second try has an effect or an answer of its own.
    Repeated(Duration),
    /// It takes effect, and again so much later.
    Duplicate(Duration),
    /// The caller gives up after so long; it takes effect so much later.
    Late(Duration, Duration),
    /// It is refused at once.
    Refused,
}

/// What the caller waits at most for a reply, milliseconds: the least and the most of what it is set to.
const PATIENCE_MS: (u64, u64) = (1_000, 10_000);

impl Fate {
    /// Throws the dice for one call.
    pub fn thrown(dice: &mut Dice, weather: &Weather, cut: bool) -> Self {
        // One way of the two is enough for the usual time; each wait costs the simulation some work.
        let there = if dice.permille(weather.slow) { dice.millis(100, 4_000) } else { dice.millis(1, 20) };
        let back = if dice.permille(weather.slow) { dice.millis(100, 4_000) } else { Duration::ZERO };
        let patience = |dice: &mut Dice| dice.millis(PATIENCE_MS.0, PATIENCE_MS.1);
        let mishap = if cut {
            // A partition: nothing passes. Half of the time it also swallows replies of what is on its way.
            let waited = patience(dice);
            Some(Mishap::LostRequest(waited))
        } else if dice.permille(weather.lost_request) {
            Some(Mishap::LostRequest(patience(dice)))
        } else if dice.permille(weather.lost_reply) {
            let waited = patience(dice);
            Some(if dice.permille(500) { Mishap::LostReply(waited) } else { Mishap::Repeated(waited) })
        } else if dice.permille(weather.duplicate) {
            Some(Mishap::Duplicate(dice.millis(1, 3_000)))
        } else if dice.permille(weather.late) {
            let waited = patience(dice);
            Some(Mishap::Late(waited, dice.millis(1, 8_000)))
        } else if dice.permille(weather.refused) {
            Some(Mishap::Refused)
        } else {
            None
        };
        Self { there, back, mishap, survives: dice.permille(500) }
    }
}
