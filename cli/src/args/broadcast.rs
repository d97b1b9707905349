//! `gopcast broadcast …`: the shows of a live, and what `verify` proves of one.

use clap::Subcommand;
use media::id::{BroadcastId, LiveId};

use super::StackArgs;

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

impl BroadcastCommand {
    pub(super) fn stack_mut(&mut self) -> &mut StackArgs {
        match self {
            Self::List { stack, .. } | Self::Show { stack, .. } | Self::Verify { stack, .. } => stack,
        }
    }
}
