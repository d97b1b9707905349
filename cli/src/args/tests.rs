//! The definition as a whole: lines that are taken, and lines that are refused with what is right.

use clap::CommandFactory as _;
use media::{id::LiveId, ladder::Profile, time::WallTime};

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
        let Command::Live(LiveCommand::Show { stack, .. }) = named(line).unwrap() else { panic!("not show") };
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
