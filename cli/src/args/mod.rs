//! The command line: what `gopcast` takes, and the help that teaches it. Nothing here acts.
//!
//! Here is the command itself, and which stack it is for; each family of commands has a file of its own.

mod broadcast;
mod cost;
mod doctor;
mod live;
mod sign;
mod stack;
#[cfg(test)]
mod tests;
mod top;
mod up;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

pub use self::{
    broadcast::BroadcastCommand,
    cost::CostArgs,
    doctor::DoctorArgs,
    live::{LimitArgs, LiveCommand},
    sign::{SignCommand, SignWith},
    stack::StackCommand,
    top::TopArgs,
    up::UpArgs,
};

/// Where a stack keeps its data unless told otherwise.
pub const DATA_DEFAULT: &str = "./.gopcast";

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
