//! `gopcast cost`: what shows cost by AWS's list prices, and what MediaLive and IVS would ask for the same.
//!
//! `prices` is the data with its sources, `model` the formula; both are pure. Nothing here asks AWS.

mod model;
mod prices;

use std::fmt::Write as _;

use serde::Serialize;

use self::{
    model::{Bill, Cost, Line, Show},
    prices::Book,
};
use crate::{args::CostArgs, exit::Exit, output};

/// Most of any amount that is taken: a million hours.
const AMOUNT_MAX: f64 = 1e6;
/// Shortest and longest GOP in seconds that the edge takes.
const GOP: std::ops::RangeInclusive<f64> = 0.5..=20.0;

/// Reads an amount: a number that is not negative.
///
/// # Errors
/// When it is none, or too large to mean anything.
pub fn amount(text: &str) -> Result<f64, String> {
    let amount = text.parse::<f64>().ok().filter(|amount| (0.0..=AMOUNT_MAX).contains(amount));
    amount.ok_or_else(|| format!("{text} is not a number from 0 to {AMOUNT_MAX}"))
}

/// Reads the length of a GOP.
///
/// # Errors
/// When it is none that the edge takes.
pub fn gop(text: &str) -> Result<f64, String> {
    let gop = text.parse::<f64>().ok().filter(|gop| GOP.contains(gop));
    gop.ok_or_else(|| format!("{text} is not between {} and {} seconds", GOP.start(), GOP.end()))
}

/// What `--json` prints: the cost, and all that it was worked out from.
#[derive(Debug, Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    cost: &'a Cost,
    from: &'a Book,
}

/// Runs it.
///
/// # Errors
/// When there are no prices of the region.
pub fn run(args: &CostArgs) -> anyhow::Result<Exit> {
    let book = Book::load(&args.region)?;
    let show = Show {
        ladder: args.ladder,
        hours: args.hours,
        lives: f64::from(args.lives),
        viewer_hours: args.viewer_hours.unwrap_or(args.viewers * args.hours),
        gop: args.gop,
        keep: args.keep,
    };
    let cost = model::cost(&book, &show)?;
    if args.json {
        output::json(&Told { cost: &cost, from: &book })?;
    } else {
        output::print(&human(args, &show, &cost));
    }
    Ok(Exit::Done)
}

fn human(args: &CostArgs, show: &Show, cost: &Cost) -> String {
    let mut out = String::new();
    let mut bill = |title: &str, bill: &Bill| {
        let _ = writeln!(out, "{title:<46} ${:>12.4}", bill.usd);
        for Line { what, usd } in &bill.lines {
            let _ = writeln!(out, "  {what:<44} ${usd:>12.4}");
        }
    };
    bill("an hour of the stack, nothing on air", &cost.idle_hour);
    bill(&format!("an hour of the stack, {} on air in {}", args.lives, show.ladder), &cost.stack_hour);
    bill("and an hour of each live on air", &cost.stream_hour);
    bill("an hour that one person watches", &cost.viewer_hour);
    bill(&format!("{} h on air, {} h watched", show.hours, show.viewer_hours), &cost.total);
    for Line { what, usd } in &cost.elsewhere {
        let _ = writeln!(out, "{:<46} ${usd:>12.4}", format!("the same with {what}"));
    }
    if cost.elsewhere.is_empty() {
        out.push_str("MediaLive and IVS: no price for this ladder in the data\n");
    }
    let _ = write!(
        out,
        "{} encoder tasks. List prices of {}, dated, with sources, in infra/data/prices.json; the formula: docs/COST.md.",
        cost.encoders, args.region
    );
    out
}

#[cfg(test)]
mod tests;
