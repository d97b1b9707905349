//! The pages of `docs/` against the sources, in both directions: what there is is documented, and what is documented is there.
//!
//! Metrics have such a test beside their registry (`service/src/metrics/page.rs`).

mod support;

use std::{collections::BTreeSet, fmt::Write as _};

use clap::{Arg, Command, CommandFactory as _};
use cli::args::Cli;
use media::verdict::Code;
use support::{Source, doc, first_column, first_table, sources, words};

type Names = BTreeSet<String>;

/// Asserts that two sets are equal, and says what to do about each difference.
fn same(what: &str, page: &str, in_sources: &Names, in_page: &Names) {
    let missing: Vec<_> = in_sources.difference(in_page).collect();
    let gone: Vec<_> = in_page.difference(in_sources).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "{what}: {page} must also describe {missing:?}, and must no longer describe {gone:?}"
    );
}

#[test]
fn environment_variables() {
    let used: Names = sources().iter().flat_map(|source| words(&source.code(), "GOPCAST_")).collect();
    let told: Names = words(&doc("CONFIGURATION.md"), "GOPCAST_").into_iter().collect();
    same("environment variables", "docs/CONFIGURATION.md", &used, &told);
    // Other pages name only what there is.
    for page in support::pages() {
        let named: Names = words(&page.text, "GOPCAST_").into_iter().collect();
        let unknown: Vec<_> = named.difference(&told).collect();
        assert!(unknown.is_empty(), "{} names {unknown:?}, which nothing reads", page.path.display());
    }
}

#[test]
fn events() {
    let mut sent: Names =
        sources().iter().filter(|source| source.is_service()).flat_map(Source::events).collect();
    sent.extend(support::constants("cli/src/up/event.rs"));
    let told: Names = first_column(first_table(&doc("EVENTS.md"))).into_iter().collect();
    same("events", "docs/EVENTS.md", &sent, &told);
}

#[test]
fn reasons_of_rebound() {
    let given: Names = support::arms("gateway-fn/src/decide/tell.rs").into_iter().collect();
    let page = doc("EVENTS.md");
    let told: Names =
        first_column(page.split("## Why a broadcast is moved").nth(1).unwrap()).into_iter().collect();
    same("reasons of `rebound`", "docs/EVENTS.md", &given, &told);
}

#[test]
fn arguments_of_the_services() {
    let mut taken = Names::new();
    for program in ["ingest-edge", "gateway-fn", "events-fn", "encoder-task"] {
        let main = support::read(&format!("{program}/src/main.rs"));
        let commands = main.split("commands: &[").nth(1).unwrap().split(']').next().unwrap();
        // Pairs of a name and what it does.
        taken.extend(commands.split('"').skip(1).step_by(4).map(str::to_owned));
    }
    let own = support::read("service/src/args.rs");
    for arm in own.split("Some(\"").skip(1) {
        let names = arm.split(')').next().unwrap();
        taken.extend(names.split('"').filter(|name| name.starts_with('-')).map(str::to_owned));
    }
    let page = doc("CONFIGURATION.md");
    let table = first_table(&page);
    let cells = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let told: Names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
    same("arguments of the services", "docs/CONFIGURATION.md", &taken, &told);
}

#[test]
fn codes() {
    let mut sent: Names = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    sent.extend(support::arms("ingest-edge/src/rtmp/reason.rs"));
    let page = doc("CODES.md");
    let told: Names = first_column(&page).into_iter().collect();
    same("codes", "docs/CODES.md", &sent, &told);
    for code in Code::ALL {
        let ends = if code.is_fatal() { "yes" } else { "no" };
        let row = format!("| `{}` | {ends} |", code.as_str());
        assert!(
            page.contains(&row),
            "docs/CODES.md must say whether {} ends a publish: {row}",
            code.as_str()
        );
    }
}

#[test]
fn what_is_watched_is_a_metric() {
    let watched: serde_json::Value =
        serde_json::from_str(&support::read("infra/data/observability.json")).unwrap();
    let counted: Names = watched["counters"].as_object().unwrap().keys().cloned().collect();
    let page = doc("METRICS.md");
    let logged: Names = first_column(page.split("## From log lines").nth(1).unwrap()).into_iter().collect();
    same("metrics made from log lines", "docs/METRICS.md, From log lines", &counted, &logged);
}

#[test]
fn commands_and_flags() {
    let mut page = String::from(
        "# The command line\n\nWhat `gopcast` takes. Made from the program's own definition by `make docs`; `gopcast COMMAND --help` says more.\n",
    );
    write_command(&mut page, "gopcast", &mut Cli::command());
    support::holds("CLI.md", &page);
    // Every line that somebody may copy parses.
    for (path, line) in support::command_lines() {
        check_line(&line).unwrap_or_else(|problem| panic!("{}: `{line}`: {problem}", path.display()));
    }
}

fn write_command(page: &mut String, path: &str, command: &mut Command) {
    command.build();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    if command.get_subcommands().all(|sub| sub.is_hide_set() || sub.get_name() == "help") {
        let _ = write!(page, "\n## `{path}`\n\n{about}.\n\n");
        let arguments: Vec<&Arg> = command
            .get_arguments()
            .filter(|arg| !arg.is_hide_set() && arg.get_id() != "help" && arg.get_id() != "version")
            .collect();
        if !arguments.is_empty() {
            page.push_str("| argument | meaning | default |\n| --- | --- | --- |\n");
        }
        for arg in arguments {
            let _ = writeln!(page, "| `{}` | {} | {} |", spelled(arg), help(arg), default(arg));
        }
    }
    for sub in command.get_subcommands_mut() {
        if !sub.is_hide_set() && sub.get_name() != "help" {
            write_command(page, &format!("{path} {}", sub.get_name()), sub);
        }
    }
}

fn spelled(arg: &Arg) -> String {
    let value = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let value = value.unwrap_or_else(|| arg.get_id().as_str().to_ascii_uppercase());
    match arg.get_long() {
        Some(long) if arg.get_action().takes_values() => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None => value,
    }
}

fn help(arg: &Arg) -> String {
    arg.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|").replace('\n', " ")
}

fn default(arg: &Arg) -> String {
    if !arg.get_action().takes_values() {
        return String::new();
    }
    let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    values.first().map(|value| format!("`{value}`")).unwrap_or_default()
}

/// Whether a line of an example names commands and flags that there are.
fn check_line(line: &str) -> Result<(), String> {
    let mut command = Cli::command();
    command.build();
    let mut at = &command;
    let mut words = line.split_whitespace().skip(1).peekable();
    // What stands before the command: `--stack NAME`.
    while let Some(flag) = words.next_if(|word| word.starts_with("--")) {
        let argument = at.get_arguments().find(|arg| arg.get_long() == flag.strip_prefix("--"));
        let Some(argument) = argument else { return Err(format!("gopcast has no {flag}")) };
        if argument.get_action().takes_values() {
            words.next();
        }
    }
    while let Some(next) = words.peek().and_then(|word| at.find_subcommand(word)) {
        at = next;
        words.next();
    }
    // Several at once, as pages' tables write it.
    if let Some(several) = words.peek().filter(|word| word.contains("\\|")) {
        let unknown = several.split("\\|").find(|name| at.find_subcommand(name).is_none());
        return unknown.map_or(Ok(()), |name| Err(format!("there is no command {name}")));
    }
    if at.has_subcommands()
        && words.peek().is_some_and(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
    {
        return Err(format!("there is no command {}", words.peek().unwrap_or(&"")));
    }
    for word in words.take_while(|word| !word.starts_with('#')) {
        let Some(flag) = word.strip_prefix("--") else { continue };
        let flag = flag.split('=').next().unwrap_or(flag);
        let is_known = at.get_arguments().any(|arg| arg.get_long() == Some(flag));
        if !is_known && !["help", "version"].contains(&flag) {
            return Err(format!("{} has no --{flag}", at.get_name()));
        }
    }
    Ok(())
}
