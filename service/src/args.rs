//! What a service's program may be called with. Settings come from the environment; the command line only says what to do with them.

use std::{fmt::Display, process::ExitCode};

use crate::{
    config::{ConfigError, Env},
    telemetry,
};

/// What a program is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// To serve.
    Serve,
    /// To say what its configuration has come to.
    CheckConfig,
    /// To say what it can be called with.
    Help,
    /// To say its version.
    Version,
    /// A command of its own.
    Command(String),
}

impl Wanted {
    /// What the arguments after the program's name ask for. `commands` are the program's own.
    ///
    /// # Errors
    /// A sentence about the argument that is not known.
    pub fn read(mut args: impl Iterator<Item = String>, commands: &[&str]) -> Result<Self, String> {
        let wanted = match args.next().as_deref() {
            None => Self::Serve,
            Some("--check-config") => Self::CheckConfig,
            Some("--help" | "-h") => Self::Help,
            Some("--version" | "-V") => Self::Version,
            Some(command) if commands.contains(&command) => Self::Command(command.to_owned()),
            Some(other) => return Err(format!("unknown argument {other}: see --help")),
        };
        match args.next() {
            None => Ok(wanted),
            Some(more) => Err(format!("one argument is taken, not also {more}: see --help")),
        }
    }
}

/// A program, as its `--help` tells of it.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Its own commands, each with what it does.
    pub commands: &'static [(&'static str, &'static str)],
}

impl Program {
    /// What the process's arguments ask for; help, version and what is wrong with the arguments are told here, and the process is to end
    /// with the code.
    ///
    /// # Errors
    /// The exit code when there is nothing more to do.
    pub fn wanted(&self) -> Result<Wanted, ExitCode> {
        let commands: Vec<_> = self.commands.iter().map(|(name, _)| *name).collect();
        match Wanted::read(std::env::args().skip(1), &commands) {
            Ok(Wanted::Help) => {
                print!("{}", self.help());
                Err(ExitCode::SUCCESS)
            }
            Ok(Wanted::Version) => {
                println!("{} {}", self.name, env!("CARGO_PKG_VERSION"));
                Err(ExitCode::SUCCESS)
            }
            Ok(wanted) => Ok(wanted),
            Err(problem) => {
                eprintln!("{}: {problem}", self.name);
                // As clap ends for bad usage.
                Err(ExitCode::from(2))
            }
        }
    }

    /// The settings of a program that only serves, read from the environment; everything else that it may be called with is done here. `further`
    /// looks at what the values point to, for `--check-config`.
    ///
    /// # Errors
    /// The exit code when there is nothing more to do. What is wrong with the settings is in the value.
    pub fn settings<T, E: Display>(
        &self,
        read: impl FnOnce(Env) -> Result<T, ConfigError>,
        further: impl FnOnce(&T) -> Option<E>,
    ) -> Result<Result<T, ConfigError>, ExitCode> {
        let wanted = self.wanted()?;
        let mut env = Env::process();
        if wanted != Wanted::Serve {
            telemetry::check(&mut env);
            return Err(check_config(env, read, further));
        }
        telemetry::init(&mut env, self.name);
        Ok(read(env))
    }

    /// The text of `--help`.
    #[must_use]
    pub fn help(&self) -> String {
        let own = [
            (
                "--check-config",
                "print what the configuration comes to, secrets left out; exit code 1 if it can't be used",
            ),
            ("--help", "print this"),
            ("--version", "print the version"),
        ];
        let width = own.iter().chain(self.commands).map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut text = format!(
            "{}\n\nUsage: {} [ARGUMENT]\n\nWithout an argument it serves until SIGTERM.\n\n",
            self.about, self.name
        );
        for (name, about) in self.commands.iter().chain(&own) {
            text.push_str(&format!("  {name:width$}  {about}\n"));
        }
        text.push_str("\nSettings are environment variables: docs/CONFIGURATION.md.\n");
        text
    }
}

/// `--check-config`: reads the configuration with `read`, prints what it comes to and what is wrong with it.
/// `further` looks at what the values point to.
pub fn check_config<T, E: Display>(
    env: Env,
    read: impl FnOnce(Env) -> Result<T, ConfigError>,
    further: impl FnOnce(&T) -> Option<E>,
) -> ExitCode {
    let (effective, unread) = (env.effective(), env.unread());
    let read = read(env);
    print!("{effective}");
    for key in unread(&effective) {
        println!("# {key} is set, and this program does not read it");
    }
    let problems: Vec<String> = match read {
        Ok(config) => further(&config).iter().map(ToString::to_string).collect(),
        Err(error) => error.0,
    };
    for problem in &problems {
        eprintln!("{problem}");
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Wanted, String> {
        Wanted::read(args.iter().map(|arg| (*arg).to_owned()), &["measure"])
    }

    #[test]
    fn one_argument_or_none() {
        assert_eq!(read(&[]), Ok(Wanted::Serve));
        assert_eq!(read(&["--check-config"]), Ok(Wanted::CheckConfig));
        assert_eq!(read(&["measure"]), Ok(Wanted::Command("measure".to_owned())));
        assert!(read(&["mesure"]).unwrap_err().contains("mesure"));
        assert!(read(&["--help", "--version"]).is_err());
    }

    #[test]
    fn help_names_everything() {
        let program = Program { name: "p", about: "Does it.", commands: &[("measure", "measures")] };
        for word in ["Usage: p", "measure", "--check-config", "--help", "--version", "CONFIGURATION.md"] {
            assert!(program.help().contains(word), "{word}");
        }
    }
}
