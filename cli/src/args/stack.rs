//! `gopcast stack …`: stacks in AWS by name. All but `publish-pages` are about the names alone, and take no `--stack`.

use std::path::PathBuf;

use clap::Subcommand;
use media::id::LiveId;

use super::StackArgs;

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
