//! The command line: what `gopcast` takes, and the help that teaches it. Nothing here acts.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{ArgGroup, Args, Parser, Subcommand};
use media::{
    id::{BroadcastId, LiveId},
    ladder::Profile,
    limits::{HOURS_MAX, Size},
    time::WallTime,
};

/// Where a stack keeps its data unless told otherwise.
pub const DATA_DEFAULT: &str = "./.gopcast";
/// Most encoders of a local stack: each is a process with its own decoder and ladder, and one machine has few cores.
const ENCODERS_MAX: i64 = 64;
/// Longest reconnect window in seconds: the table's documented bound.
const WINDOW_MAX: i64 = 1800;
/// Largest limits that can be asked for: nothing above them is taken without limits either.
const BIT_RATE_MAX_KBIT: i64 = 60_000;
const FRAME_RATE_MAX: i64 = 120;

const EXAMPLES: &str = "\
Examples:
  gopcast up --demo                     start everything, with a test picture on air
  gopcast up --live shoes --live bags   two lives instead of `demo`
  gopcast live list                     what is on air, and what was
  gopcast live set demo --slate a.png   what to show while the publisher is away
  gopcast live event demo --json '{\"title\":\"Red shoes\"}'
                                        something happens now: viewers see a card
  gopcast live end demo                 end the show now; the replay follows
  gopcast top                           broadcasts, encoders, latency, backlog: now
  gopcast broadcast list demo           the shows of a live
  gopcast broadcast verify BROADCAST    prove that nothing of a show is lost
  gopcast doctor                        what is missing on this machine

Every command but `up` and `doctor` talks to the stack that `gopcast up` started in the same
directory (or with the same --data DIR), or with --stack NAME to one in AWS. With --json each
prints one JSON document for scripts.

A stack in AWS:
  terraform -chdir=infra output -json cli | gopcast stack add prod -
  gopcast --stack prod stack publish-pages
  gopcast --stack prod live create shoes

Exit codes: 0 done; 1 failed, or faults were found; 2 wrong usage, or `verify` could not tell;
3 no stack is running.";

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

const VERIFY_HELP: &str = "\
Reads the ledger, the bucket and the manifests, and checks that
  - every stored chunk is in exactly one row, whenever and by whomever it was stored,
  - the rows of each publish are numbered 0, 1, 2… and follow each other on the timeline without
    hole or overlap,
  - what was shown live (rows, and fills of holes) never overlaps and has no seams,
  - every segment and initialization segment is there with the recorded size and SHA-256; those
    of fills are there if anybody is told of them,
  - a dynamic manifest names the live timeline, a static one the replay (for a moment after the
    end the stable address may still show the live timeline): all of it, in order, and no more,
  - so do the HLS playlists, with durations within their target duration,
  - epochs never fall.
Stored chunks expire after a while; those that are gone are only mentioned.

Exit codes: 0 whole; 1 not whole, one line for each fault; 2 could not tell (no such broadcast,
nothing to ask).";

const EVENT_HELP: &str = "\
Examples:
  gopcast live event shoes --json '{\"title\":\"Red shoes\",\"price\":\"49 €\",\"link\":\"https://shop.example/red\"}'
  gopcast live event shoes --at 2026-12-01T20:15:00Z --duration 300 --id red --json '{\"title\":\"Red\"}'

Viewers get it with the manifest, at the picture that reached the edge at its time, live and in the
replay: as DASH EventStream and as HLS EXT-X-DATERANGE, scheme urn:gopcast:event:2026. The pages show
it as a card; `image` and `link` are shown if they begin with https://.
Prints one JSON document. A show takes 1000 events, and 128 kB of them.";
const TOP_HELP: &str = "\
LATENCY is from the last chunk's first picture at the edge until its row was committed: no viewer
can be nearer. BEHIND is how far the end of the live timeline is behind now: it grows while
nothing is committed. TRANSCODE is seconds of transcoding for each second of pictures, GLASS TO
GLASS what viewers are behind the edge who play as the manifest suggests. LOOK AT names what is
wrong. Ctrl-C ends it. With --json each look is one line; the fields are those of
`Snapshot` in cli/src/watch/mod.rs.

Exit codes: 0 ended; 1 the stack can't be read; 3 no stack is running.";

/// gopcast: live broadcasts in over RTMPS, MPEG-DASH and replays out. Run the whole pipeline on this machine with `gopcast up`.
#[derive(Debug, Parser)]
#[command(name = "gopcast", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// A stack in AWS: its name from `gopcast stack add`, or the file itself
    #[arg(long, global = true, value_name = "NAME|FILE")]
    pub stack: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the whole pipeline on this machine and keep it running
    Up(UpArgs),
    /// Create, look at and control lives
    #[command(subcommand)]
    Live(LiveCommand),
    /// Look at and verify the shows of a live
    #[command(subcommand)]
    Broadcast(BroadcastCommand),
    /// Watch broadcasts, encoders, edges, latency and backlog on the terminal
    Top(TopArgs),
    /// Know stacks in AWS by name, and put the web pages there
    #[command(subcommand)]
    Stack(StackCommand),
    /// Mint the signatures that viewers need where a stack has viewer keys
    #[command(subcommand)]
    Sign(SignCommand),
    /// Say what shows cost, by AWS's list prices
    Cost(CostArgs),
    /// Say what is missing on this machine
    Doctor(DoctorArgs),
    /// End the processes of a stack whose `gopcast up` is gone; started by it
    #[command(hide = true)]
    Guard,
}

/// What every command takes that talks to a running stack.
#[derive(Debug, Clone, Args)]
pub struct StackArgs {
    /// Directory of a local stack's data [default: ./.gopcast]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// `--stack`, which stands before the command as well.
    #[arg(skip)]
    pub stack: Option<String>,
}

impl StackArgs {
    /// The directory of the local stack's data.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.as_deref().unwrap_or_else(|| Path::new(DATA_DEFAULT))
    }
}

impl Cli {
    /// The command, told which stack it is for.
    ///
    /// # Errors
    /// When `--stack` contradicts something else that is given.
    pub fn into_command(self) -> Result<Command, String> {
        let Self { stack, mut command } = self;
        let Some(stack) = stack else { return Ok(command) };
        match &mut command {
            Command::Live(live) => live.take_stack(stack)?,
            Command::Broadcast(broadcast) => broadcast.stack_mut().take_stack(stack)?,
            Command::Top(top) => top.stack.take_stack(stack)?,
            Command::Stack(StackCommand::PublishPages { stack: args, .. }) => args.take_stack(stack)?,
            Command::Sign(SignCommand::Url { with, .. } | SignCommand::Cookies { with, .. }) => {
                with.stack = Some(stack)
            }
            Command::Stack(_) => {
                return Err("this command takes no --stack: it is about the names of stacks".to_owned());
            }
            Command::Up(_) | Command::Doctor(_) | Command::Cost(_) | Command::Guard => {
                return Err(
                    "--stack names a stack in AWS, and this command is about this machine or about none"
                        .to_owned(),
                );
            }
        }
        Ok(command)
    }
}

impl StackArgs {
    fn take_stack(&mut self, stack: String) -> Result<(), String> {
        if self.data.is_some() {
            return Err("--stack names a stack in AWS and --data a local one: give one of them".to_owned());
        }
        self.stack = Some(stack);
        Ok(())
    }
}

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

/// `gopcast stack …`
#[derive(Debug, Subcommand)]
pub enum StackCommand {
    /// Remember a stack in AWS under a name
    #[command(after_help = "\
Terraform tells what is to be remembered; it holds no secret:
  terraform -chdir=infra output -json cli | gopcast stack add prod -

Who you are is the AWS SDK's to find: environment, profile, role. The policy that the output
operator_policy_arn names is enough.")]
    Add {
        /// Name: a-z, 0-9 and inner '-'
        name: LiveId,
        /// What `terraform output -json cli` printed; - reads standard input
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the stacks that are known by name
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what is known of a stack
    Show {
        /// The stack
        name: LiveId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget a stack's name; the stack and its stream keys stay
    Remove {
        /// The stack
        name: LiveId,
    },
    /// Put the web pages into the stack's bucket, and take away those of an earlier version
    PublishPages {
        /// Directory of the built pages [default: as `gopcast up` finds them]
        #[arg(long, value_name = "DIR")]
        pages: Option<PathBuf>,
        /// The stack
        #[command(flatten)]
        stack: StackArgs,
    },
}

/// With what, for how long and for whom it is signed.
#[derive(Debug, Clone, Args)]
pub struct SignWith {
    /// Private key, PEM: RSA of 2048 bits, or ECDSA on P-256
    #[arg(long, value_name = "FILE")]
    pub key_file: PathBuf,
    /// Which of the stack's viewer keys it is, by name [default: the only one]
    #[arg(long, value_name = "NAME", conflicts_with = "key_id")]
    pub key: Option<String>,
    /// Id of the public key at CloudFront, where no stack tells it
    #[arg(long, value_name = "ID")]
    pub key_id: Option<String>,
    /// How long it holds from now on, as 90s, 30m, 12h, 7d
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = crate::sign::duration)]
    pub expires: std::time::Duration,
    /// From when on it holds: seconds since 1970 [default: at once]
    #[arg(long, value_name = "UNIX")]
    pub from: Option<i64>,
    /// Who may use it: an IPv4 address or range [default: anybody]
    #[arg(long, value_name = "CIDR")]
    pub ip: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// `--stack`.
    #[arg(skip)]
    pub stack: Option<String>,
}

/// `gopcast sign …`
#[derive(Debug, Subcommand)]
pub enum SignCommand {
    /// Sign one URL
    #[command(after_help = "\
A manifest's segments have URLs of their own: for players use `sign cookies`.

Example:
  gopcast --stack prod sign url --key-file viewers.pem https://d1.cloudfront.net/vod/shoes/B/poster.jpg")]
    Url {
        /// The URL; or a path, where --stack tells the host
        url: String,
        /// How
        #[command(flatten)]
        with: SignWith,
    },
    /// Mint the cookies that let a browser play a live and its replays
    #[command(after_help = "\
They are for the service that lets viewers in to set, on the viewers' own host name, as
`Set-Cookie` lines: two policies, for /live/NAME/ and /vod/NAME/.

Example:
  gopcast --stack prod sign cookies shoes --key-file viewers.pem --expires 6h")]
    Cookies {
        /// The live; all lives and the front page's list without
        live: Option<LiveId>,
        /// Viewers' host, `https://HOST`, where no stack tells it
        #[arg(long, value_name = "URL")]
        http: Option<String>,
        /// How
        #[command(flatten)]
        with: SignWith,
    },
}

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

/// An address that only this machine reaches: what is there has no password.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error| format!("{error}"))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("must be a loopback address: 127.0.0.1:PORT".to_owned())
    }
}

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
    fn take_stack(&mut self, name: String) -> Result<(), String> {
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

impl BroadcastCommand {
    fn stack_mut(&mut self) -> &mut StackArgs {
        match self {
            Self::List { stack, .. } | Self::Show { stack, .. } | Self::Verify { stack, .. } => stack,
        }
    }
}

/// `gopcast broadcast …`
#[derive(Debug, Subcommand)]
pub enum BroadcastCommand {
    /// List the shows of a live, newest first
    List {
        /// The live
        live: LiveId,
        /// The stack
        #[command(flatten)]
        stack: StackArgs,
    },
    /// Show one show: its state, its publishes, what is committed
    Show {
        /// The broadcast
        broadcast: BroadcastId,
        /// The stack
        #[command(flatten)]
        stack: StackArgs,
    },
    /// Prove from the ledger and the bucket that a show is whole
    #[command(after_help = VERIFY_HELP)]
    Verify {
        /// The broadcast
        broadcast: BroadcastId,
        /// The stack
        #[command(flatten)]
        stack: StackArgs,
    },
}

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

/// `gopcast doctor`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Exit codes: 0 nothing is missing; 1 something is, and what to do is said.")]
pub struct DoctorArgs {
    /// Directory where a stack would keep its data
    #[arg(long, value_name = "DIR", default_value = DATA_DEFAULT)]
    pub data: PathBuf,
    /// Where publishers would connect
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:1943")]
    pub rtmps: SocketAddr,
    /// Where viewers would connect
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn up_has_the_documented_defaults() {
        let Command::Up(up) = parse("gopcast up").unwrap().command else { panic!("not up") };
        assert_eq!(up.data, PathBuf::from("./.gopcast"));
        assert_eq!(up.rtmps.to_string(), "127.0.0.1:1943");
        assert_eq!(up.http.to_string(), "127.0.0.1:8080");
        assert_eq!((up.rtmp, up.encoders, up.ladder, up.lives.len()), (None, 2, None, 0));
        assert_eq!((up.s3_at, up.dynamodb_at, up.names.as_str()), (None, None, "gopcast"));
        assert!(!up.demo && !up.json && !up.no_restart);
    }

    #[test]
    fn up_takes_everything_that_is_documented() {
        let line = "gopcast up --data d --rtmps [::1]:0 --rtmp 127.0.0.1:1935 --http 0.0.0.0:80 --encoders 3 \
                    --ladder 480p --live a --live b-2 --demo --json --no-restart";
        let Command::Up(up) = parse(line).unwrap().command else { panic!("not up") };
        assert_eq!(up.lives.iter().map(LiveId::as_str).collect::<Vec<_>>(), ["a", "b-2"]);
        assert_eq!((up.encoders, up.ladder), (3, Some(Profile::P480)));
        assert!(up.demo && up.json && up.no_restart && up.rtmp.is_some());
    }

    #[test]
    fn events_have_times() {
        let line = "gopcast live event a --json {} --at 1970-01-01T00:00:01.5Z --duration 2.25 --id x";
        let Command::Live(LiveCommand::Event { at, duration, id, .. }) = parse(line).unwrap().command else {
            panic!("not an event")
        };
        assert_eq!((at, duration, id.as_deref()), (Some(WallTime(1_500_000)), Some(2250), Some("x")));
    }

    #[test]
    fn make_run_may_be_given_what_it_gives_itself() {
        let Command::Up(up) = parse("gopcast up --demo --demo").unwrap().command else { panic!("not up") };
        assert!(up.demo);
    }

    #[test]
    fn a_stack_in_aws_may_be_named_before_and_after_the_command() {
        let named = |line: &str| parse(line).unwrap().into_command();
        for line in ["gopcast --stack prod live show shoes", "gopcast live show shoes --stack prod"] {
            let Command::Live(LiveCommand::Show { stack, .. }) = named(line).unwrap() else {
                panic!("not show")
            };
            assert_eq!((stack.stack.as_deref(), stack.data()), (Some("prod"), Path::new("./.gopcast")));
        }
        for line in ["gopcast --stack a live list --data b", "gopcast broadcast list x --data b --stack a"] {
            assert!(named(line).unwrap_err().contains("give one of them"), "{line}");
        }
        for line in ["gopcast --stack a up", "gopcast --stack a stack list", "gopcast --stack a cost"] {
            assert!(named(line).is_err(), "{line}");
        }
    }

    #[test]
    fn wrong_values_are_refused_with_what_is_right() {
        for (line, says) in [
            ("gopcast up --ladder 500p", "2160p, 1440p"),
            ("gopcast up --live Demo", "a-z, 0-9"),
            ("gopcast live show", "NAME"),
            ("gopcast up --encoders 0", "1..=64"),
            ("gopcast up --http 8080", "address"),
            ("gopcast broadcast verify x", "UUID"),
            ("gopcast live create a --window 1801", "0..=1800"),
            ("gopcast live set a --window 1801", "0..=1800"),
            ("gopcast live set a --window -1", "-1"),
            ("gopcast live set a --slate x --no-slate", "cannot be used with"),
            ("gopcast up --operator 0.0.0.0:8081", "loopback"),
            ("gopcast top --every 0", "0.2 to 3600"),
            ("gopcast live set a", "--window <SECONDS>"),
            ("gopcast live event a", "--json <JSON>"),
            ("gopcast live event a --json {} --at noon", "2026-12-01T20:15:00Z"),
            ("gopcast live event a --json {} --duration 1.2345", "30 or 2.5"),
            ("gopcast live set a --max-resolution 720p", "WIDTHxHEIGHT"),
            ("gopcast live set a --max-fps 121", "1..=120"),
            ("gopcast live create a --max-hours 25", "1..=24"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.to_string().contains(says), "{line}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
