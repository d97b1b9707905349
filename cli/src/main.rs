//! `gopcast`: reads the command line, runs the command, says what went wrong, exits with the documented code.

use std::process::ExitCode;

use clap::Parser as _;
use cli::{
    args::{Cli, Command},
    broadcast, cost, doctor,
    exit::{self, Exit},
    live, remote, sign, up, watch,
};

fn main() -> ExitCode {
    let command = match Cli::parse().into_command() {
        Ok(command) => command,
        Err(wrong) => {
            eprintln!("gopcast: {wrong}");
            return Exit::Unknown.into();
        }
    };
    if matches!(command, Command::Guard) {
        up::guard::run(std::io::stdin().lock());
        return Exit::Done.into();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&error.into()),
    };
    let done = runtime.block_on(run(command));
    // What still blocks (a reader of our output that does not read) does not hold the exit up.
    runtime.shutdown_background();
    match done {
        Ok(exit) => exit.into(),
        Err(error) => report(&error),
    }
}

async fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Up(args) => up::run(args).await,
        Command::Live(command) => live::run(command).await,
        Command::Broadcast(command) => broadcast::run(command).await,
        Command::Top(args) => watch::top::run(args).await,
        Command::Stack(command) => remote::run(command).await,
        Command::Sign(command) => sign::run(command),
        Command::Cost(args) => cost::run(&args),
        Command::Doctor(args) => doctor::run(args).await,
        Command::Guard => Ok(Exit::Done),
    }
}

fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("gopcast: {error:#}");
    exit::of(error).into()
}
