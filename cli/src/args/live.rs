//! `gopcast live …`: what lives may be told, and the bounds of it.
//!
//! Each of these commands takes [`StackArgs`] but `event`, whose `--json` is the event's data.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use media::{
    id::LiveId,
    ladder::Profile,
    limits::{HOURS_MAX, Size},
    time::WallTime,
};

use super::StackArgs;

/// Longest reconnect window in seconds: the table's documented bound.
const WINDOW_MAX: i64 = 1800;
/// Largest limits that can be asked for: nothing above them is taken without limits either.
const BIT_RATE_MAX_KBIT: i64 = 60_000;
const FRAME_RATE_MAX: i64 = 120;

const EVENT_HELP: &str = "\
Examples:
  gopcast live event shoes --json '{\"title\":\"Red shoes\",\"price\":\"49 €\",\"link\":\"https://shop.example/red\"}'
  gopcast live event shoes --at 2026-12-01T20:15:00Z --duration 300 --id red --json '{\"title\":\"Red\"}'

Viewers get it with the manifest, at the picture that reached the edge at its time, live and in the
replay: as DASH EventStream and as HLS EXT-X-DATERANGE, scheme urn:gopcast:event:2026. The pages show
it as a card; `image` and `link` are shown if they begin with https://.
Prints one JSON document. A show takes 1000 events, and 128 kB of them.";

/// What the shows of a live may be like.
#[derive(Debug, Clone, Default, Args)]
pub struct LimitArgs {
    /// Most kbit/s, pictures and sound together, averaged over some seconds
    #[arg(long, value_name = "KBIT", value_parser = clap::value_parser!(u32).range(64..=BIT_RATE_MAX_KBIT))]
    pub max_bit_rate: Option<u32>,
    /// Largest picture, lying or upright, such as 1920x1080
    #[arg(long, value_name = "WxH")]
    pub max_resolution: Option<Size>,
    /// Most frames a second
    #[arg(long, value_name = "FPS", value_parser = clap::value_parser!(u32).range(1..=FRAME_RATE_MAX))]
    pub max_fps: Option<u32>,
    /// Longest show in hours
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=i64::from(HOURS_MAX)))]
    pub max_hours: Option<u32>,
}

/// `gopcast live …`
#[derive(Debug, Subcommand)]
pub enum LiveCommand {
    /// Create a live and print its stream key
    #[command(
        after_help = "Example:\n  gopcast live create shoes --title \"The shoe show\" --ladder 720p --window 60"
    )]
    Create {
        /// Name in URLs: a-z, 0-9 and inner '-'
        name: LiveId,
        /// Name for people [default: the name]
        #[arg(long)]
        title: Option<String>,
        /// Ladder: 2160p, 1440p, 1080p, 720p, 480p or 360p [default: as the stack chose]
        #[arg(long)]
        ladder: Option<Profile>,
        /// Make the source itself the top rung wherever it can be: H.264 of at most 25 Mbit/s
        #[arg(long)]
        source_rung: bool,
        /// How many seconds a show waits for a publisher whose connection was lost
        #[arg(long, value_name = "SECONDS", default_value_t = crate::stack::WINDOW_DEFAULT, value_parser = clap::value_parser!(u32).range(0..=WINDOW_MAX))]
        window: u32,
        /// A PNG or JPEG file to show while the publisher is away [default: the last picture is held]
        #[arg(long, value_name = "FILE")]
        slate: Option<PathBuf>,
        /// Limits; a publish that passes one is stopped
        #[command(flatten)]
        limits: LimitArgs,
        /// The stack
        #[command(flatten)]
        stack: StackArgs,
    },
    /// List the lives
    List {
        /// The stack
        #[command(flatten)]
        stack: StackArgs,
    },
    /// Show one live, its addresses and its stream key
    Show {
        /// The live
        name: LiveId,
        /// The stack
        #[command(flatten)]
        stack: StackArgs,
    },
    /// Change a live: its title, its reconnect window, its limits, its slate, its top rung
    #[command(
        group = ArgGroup::new("change").args(["title", "source_rung", "no_source_rung", "window", "slate", "no_slate", "max_bit_rate", "max_resolution", "max_fps", "max_hours", "no_limits"]).required(true).multiple(true),
        after_help = "\
A new window, new limits and a new top rung count from the next show on, a new slate from the next hole on.

Examples:
  gopcast live set shoes --window 300 --slate back-soon.png
  gopcast live set shoes --max-resolution 1920x1080 --max-bit-rate 8000
  gopcast live set shoes --no-slate"
    )]
    Set {
        /// The live
        name: LiveId,
        /// Name for people
        #[arg(long)]
        title: Option<String>,
        /// Make the source itself the top rung wherever it can be: H.264 of at most 25 Mbit/s
        #[arg(long)]
        source_rung: bool,
        /// Encode every rung
        #[arg(long, conflicts_with = "source_rung")]
        no_source_rung: bool,
        /// How many seconds a show waits for a publisher whose connection was lost
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=WINDOW_MAX))]
        window: Option<u32>,
        /// A PNG or JPEG file to show while the publisher is away
        #[arg(long, value_name = "FILE")]
        slate: Option<PathBuf>,
        /// Hold the last picture instead
        #[arg(long, conflicts_with = "slate")]
        no_slate: bool,
        /// Limits; a publish that passes one is stopped
        #[command(flatten)]
        limits: LimitArgs,
        /// Take all limits off first
        #[arg(long)]
        no_limits: bool,
        /// The stack
        #[command(flatten)]
        stack: StackArgs,
    },
    /// Replace a live's stream key; a publish with the old one is cut within 2 s
    RotateKey {
        /// The live
        name: LiveId,
        /// The stack
        #[command(flatten)]
        stack: StackArgs,
    },
    /// Take no publisher for a live any more; a running show is ended within 2 s
    Disable {
        /// The live
        name: LiveId,
        /// The stack
        #[command(flatten)]
        stack: StackArgs,
    },
    /// Take publishers again for a live that was disabled
    Enable {
        /// The live
        name: LiveId,
        /// The stack
        #[command(flatten)]
        stack: StackArgs,
    },
    /// Put a timed event into what is on air: something happens at this moment of the show
    #[command(after_help = EVENT_HELP)]
    Event {
        /// The live
        name: LiveId,
        /// The event's data, a JSON object of up to 2 kB; the pages show `title`, `text`, `price`, `image`, `link`
        #[arg(long = "json", value_name = "JSON")]
        data: String,
        /// When it happens (RFC 3339), up to a day ahead [default: now]
        #[arg(long, value_name = "TIME", value_parser = instant)]
        at: Option<WallTime>,
        /// How long it lasts, in seconds
        #[arg(long, value_name = "SECONDS", value_parser = milliseconds)]
        duration: Option<u32>,
        /// Its name, so that putting it in twice is harmless: a-z, A-Z, 0-9, '.', '_' and '-' [default: a new one]
        #[arg(long)]
        id: Option<String>,
        /// Directory of a local stack's data [default: ./.gopcast]
        #[arg(long = "data", value_name = "DIR")]
        dir: Option<PathBuf>,
        /// `--stack`. Not the other commands' flags: `--json` is the data here.
        #[arg(skip)]
        of: Option<String>,
    },
    /// End what is on air now, and wait until its replay is there
    End {
        /// The live
        name: LiveId,
        /// The stack
        #[command(flatten)]
        stack: StackArgs,
    },
    /// Delete a live and its key; refused while it is on air
    #[command(
        after_help = "What its broadcasts stored stays in the bucket and can be played by its address."
    )]
    Delete {
        /// The live
        name: LiveId,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// The stack
        #[command(flatten)]
        stack: StackArgs,
    },
}

impl LiveCommand {
    pub(super) fn take_stack(&mut self, name: String) -> Result<(), String> {
        match self {
            Self::Create { stack, .. }
            | Self::List { stack }
            | Self::Show { stack, .. }
            | Self::Set { stack, .. }
            | Self::RotateKey { stack, .. }
            | Self::Disable { stack, .. }
            | Self::Enable { stack, .. }
            | Self::End { stack, .. }
            | Self::Delete { stack, .. } => stack.take_stack(name),
            Self::Event { dir, of, .. } => {
                let mut stack = StackArgs { data: dir.take(), json: true, stack: None };
                stack.take_stack(name)?;
                *of = stack.stack;
                Ok(())
            }
        }
    }
}

/// An instant, as RFC 3339 spells it.
fn instant(text: &str) -> Result<WallTime, String> {
    let instant: jiff::Timestamp =
        text.parse().map_err(|_| "an instant is spelled as 2026-12-01T20:15:00Z".to_owned())?;
    Ok(WallTime(instant.as_microsecond()))
}

/// Seconds, with a fraction or not, as milliseconds.
fn milliseconds(text: &str) -> Result<u32, String> {
    let wrong = || "a duration is seconds, as 30 or 2.5".to_owned();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        u32::try_from(fraction.len()).ok().filter(|digits| (1..=3).contains(digits)).ok_or_else(wrong)?;
    let fraction = fraction.parse::<u32>().map_err(|_| wrong())? * 10u32.pow(3 - digits);
    let whole = whole.parse::<u32>().ok().and_then(|seconds| seconds.checked_mul(1000));
    whole.and_then(|ms| ms.checked_add(fraction)).ok_or_else(wrong)
}
