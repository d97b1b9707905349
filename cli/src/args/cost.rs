//! `gopcast cost`: the shows whose cost is asked for. It is about no stack.

use clap::Args;
use media::ladder::Profile;

/// `gopcast cost`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Two hours of a show in 720p with 500 people watching all of it, and what MediaLive and IVS ask for
the same:
  gopcast cost --hours 2 --ladder 720p --viewers 500

The formula and where the prices are from: docs/COST.md. No taxes, no free tier, no discounts.")]
pub struct CostArgs {
    /// Hours on air, of all lives together
    #[arg(long, value_name = "HOURS", default_value_t = 1.0, value_parser = crate::cost::amount)]
    pub hours: f64,
    /// Ladder: 2160p, 1440p, 1080p, 720p, 480p or 360p
    #[arg(long, value_name = "NAME", default_value = "720p")]
    pub ladder: Profile,
    /// People watching, on average, while on air
    #[arg(long, value_name = "N", default_value_t = 0.0, value_parser = crate::cost::amount, conflicts_with = "viewer_hours")]
    pub viewers: f64,
    /// Hours watched by all people together, live and replays
    #[arg(long, value_name = "HOURS", value_parser = crate::cost::amount)]
    pub viewer_hours: Option<f64>,
    /// Seconds between key frames
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = crate::cost::gop)]
    pub gop: f64,
    /// Lives on air at the same time at most: what the fixed parts are shared by
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub lives: u32,
    /// Days that replays are kept
    #[arg(long, value_name = "DAYS", default_value_t = 30.0, value_parser = crate::cost::amount)]
    pub keep: f64,
    /// Region of the prices
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    pub region: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
