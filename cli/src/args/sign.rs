//! `gopcast sign …`: what viewers' signatures are for, and what they are made with.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use media::id::LiveId;

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
