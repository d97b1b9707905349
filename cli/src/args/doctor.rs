//! `gopcast doctor`: where a stack would be; the defaults are those of `gopcast up`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::DATA_DEFAULT;

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
