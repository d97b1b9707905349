//! `gopcast top`: how often is looked, and what is told of each look.

use clap::Args;

use super::StackArgs;

const TOP_HELP: &str = "\
LATENCY is from the last chunk's first picture at the edge until its row was committed: no viewer
can be nearer. BEHIND is how far the end of the live timeline is behind now: it grows while
nothing is committed. TRANSCODE is seconds of transcoding for each second of pictures, GLASS TO
GLASS what viewers are behind the edge who play as the manifest suggests. LOOK AT names what is
wrong. Ctrl-C ends it. With --json each look is one line; the fields are those of
`Snapshot` in cli/src/watch/mod.rs.

Exit codes: 0 ended; 1 the stack can't be read; 3 no stack is running.";

/// `gopcast top`.
#[derive(Debug, Clone, Args)]
#[command(after_help = TOP_HELP)]
pub struct TopArgs {
    /// Print it once and end; also so when standard output is no terminal and --json is not given
    #[arg(long)]
    pub once: bool,
    /// Time between two looks
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    pub every: f64,
    /// The stack
    #[command(flatten)]
    pub stack: StackArgs,
}

/// A time between looks: each costs a few reads for each live.
fn interval(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.2..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.2 to 3600".to_owned()),
    }
}
