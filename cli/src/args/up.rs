//! `gopcast up`: what the pipeline on this machine is started with.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use media::{id::LiveId, ladder::Profile};

use super::DATA_DEFAULT;

/// Most encoders of a local stack: each is a process with its own decoder and ladder, and one machine has few cores.
const ENCODERS_MAX: i64 = 64;

const UP_EXAMPLES: &str = "\
Examples:
  gopcast up --demo
  gopcast up --rtmps 0.0.0.0:1943 --http 0.0.0.0:8080    reachable from other machines
  gopcast up --data b --rtmps 127.0.0.1:0 --http 127.0.0.1:0 --json
                                                         a second one, on free ports, for a script

Publish with ffmpeg:
  ffmpeg -re -i show.mp4 -c:v libx264 -g 60 -c:a aac -f flv rtmps://127.0.0.1:1943/live/STREAM_KEY

Ctrl-C stops in order: the edge first; what is on air is ended and stays as a replay; then the
encoders, the gateway and the embedded AWS. A second Ctrl-C stops at once.
With --json the first line says where everything is; every further line is an event.
The embedded AWS answers the `aws` command with --endpoint-url; key `test`, secret `test`.

Environment: GOPCAST_LOG is the log filter (`debug`, `info,encoder_task=debug`), GOPCAST_BIN_DIR
where the services' programs are, GOPCAST_PLAYER_DIR where the built web pages are.

Exit codes: 0 stopped as asked; 1 could not start; 2 wrong usage; 130 stopped by a second Ctrl-C.";

/// `gopcast up`.
#[derive(Debug, Clone, Args)]
#[command(after_help = UP_EXAMPLES)]
pub struct UpArgs {
    /// Directory of the stack's data; replays are kept there
    #[arg(long, value_name = "DIR", default_value = DATA_DEFAULT)]
    pub data: PathBuf,
    /// Where publishers connect over TLS; port 0 chooses a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:1943")]
    pub rtmps: SocketAddr,
    /// Where publishers connect without TLS; off unless given
    #[arg(long, value_name = "ADDR")]
    pub rtmp: Option<SocketAddr>,
    /// Where viewers connect
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,
    /// Where the operator's page is; loopback only [default: 127.0.0.1:8081, or a free port if that is taken]
    #[arg(long, value_name = "ADDR", value_parser = loopback)]
    pub operator: Option<SocketAddr>,
    /// How many encoders to run
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=ENCODERS_MAX))]
    pub encoders: u16,
    /// Ladder of new lives: 2160p, 1440p, 1080p, 720p, 480p or 360p [default: the highest that this machine holds live]
    #[arg(long, value_name = "NAME")]
    pub ladder: Option<Profile>,
    /// A live to create if it is not there; may be given again [default: demo]
    #[arg(long = "live", value_name = "NAME")]
    pub lives: Vec<LiveId>,
    /// Publish a generated picture with a clock and sound until the first real publisher comes
    #[arg(long, overrides_with = "demo")]
    pub demo: bool,
    /// Print one JSON line when ready, then one for each event
    #[arg(long)]
    pub json: bool,
    /// Leave processes that die dead
    #[arg(long)]
    pub no_restart: bool,
    /// Use the S3 of an emulator that runs on this machine instead of the embedded one
    #[arg(long, value_name = "IP:PORT")]
    pub s3_at: Option<SocketAddr>,
    /// Use the DynamoDB of an emulator that runs on this machine instead of the embedded one
    #[arg(long, value_name = "IP:PORT")]
    pub dynamodb_at: Option<SocketAddr>,
    /// Name of the bucket and of the table
    #[arg(long, value_name = "NAME", default_value = crate::stack::BUCKET)]
    pub names: String,
}

/// An address that only this machine reaches: what is there has no password.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error| format!("{error}"))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("must be a loopback address: 127.0.0.1:PORT".to_owned())
    }
}
