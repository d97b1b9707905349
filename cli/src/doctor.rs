//! `gopcast doctor`: looks at this machine and says what is missing for a local stack, and what to do about it.

use std::{net::SocketAddr, path::Path, time::Duration};

use serde::Serialize;

use crate::{
    args::DoctorArgs,
    data_dir::DataDir,
    exit::Exit,
    output,
    stack::Stack,
    up::{demo, ladder, pages, programs},
};

/// How long a program may take to say its version.
const ASK_MAX: Duration = Duration::from_secs(10);
/// Free space below which a show of an hour may not fit: the 720p ladder and its chunks are 3 GB.
const SPACE_MIN: u64 = 4_000_000_000;
/// 2025-01-01: a clock before that has never been set.
const CLOCK_MIN_MS: u64 = 1_735_689_600_000;
/// What gets everything.
const SETUP: &str = "run `make setup`";
const BUILD: &str = "run `make build`";

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    ok: bool,
    /// What was found.
    found: String,
    /// What to do when it is not as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Finding {
    fn new(check: &'static str, found: Result<String, String>, advice: impl Into<String>) -> Self {
        match found {
            Ok(found) => Self { check, ok: true, found, advice: None },
            Err(found) => Self { check, ok: false, found, advice: Some(advice.into()) },
        }
    }
}

/// Looks at everything and prints it.
///
/// # Errors
/// Never in practice: what can't be found out is a finding.
pub async fn run(args: DoctorArgs) -> anyhow::Result<Exit> {
    let findings = look(&args).await;
    let ok = findings.iter().all(|finding| finding.ok);
    if args.json {
        output::json(&serde_json::json!({ "ok": ok, "checks": findings }))?;
    } else {
        output::print(&human(&findings));
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

fn human(findings: &[Finding]) -> String {
    let mark = |ok| if ok { "ok" } else { "MISSING" };
    let row = |f: &Finding| vec![mark(f.ok).to_owned(), f.check.to_owned(), f.found.clone()];
    let mut text =
        output::table(&["", "", ""], &findings.iter().map(row).collect::<Vec<_>>()).trim_start().to_owned();
    let advice: Vec<_> =
        findings.iter().filter_map(|f| Some(format!("  {}: {}", f.check, f.advice.as_ref()?))).collect();
    text.push_str("\n\n");
    if advice.is_empty() {
        text.push_str("Nothing is missing. `gopcast up --demo` starts everything.");
    } else {
        text.push_str(&format!("What to do:\n{}", advice.join("\n")));
    }
    text
}

async fn look(args: &DoctorArgs) -> Vec<Finding> {
    let services = programs::find();
    let dir = services.as_ref().ok().cloned().or_else(own_dir).unwrap_or_default();
    let player =
        pages::find(&dir).map(|path| path.display().to_string()).ok_or_else(|| "not built".to_owned());
    let running = Stack::find(&args.data).ok();
    let free = |option, address| match &running {
        Some((_, stack)) => {
            Ok(format!("a stack is running here (process {})", stack.pid.unwrap_or_default()))
        }
        None => port(option, address),
    };
    let cores = ladder::cpus();
    let measured = match &services {
        Ok(dir) => ladder::measure(&dir.join("encoder-task")).await.map_err(|error| format!("{error:#}")),
        Err(_) => Err("the encoder is not built".to_owned()),
    };
    let holds =
        measured.map(|measured| format!("{cores} cores, holds the {} ladder live", measured.ladder()));
    let font = demo::font_dir().map(|dir| dir.display().to_string());
    vec![
        Finding::new("ffmpeg", version("ffmpeg", "-version").await, SETUP),
        Finding::new("x264", x264().await, format!("{SETUP}, or install an ffmpeg that has libx264")),
        Finding::new(
            "demo font",
            font.ok_or_else(|| "not found".to_owned()),
            format!("{SETUP}, or go without the clock"),
        ),
        Finding::new(
            "programs",
            services.map(|dir| dir.display().to_string()).map_err(|e| format!("{e:#}")),
            BUILD,
        ),
        Finding::new("player", player, BUILD),
        Finding::new("cores", holds, format!("{BUILD}; {SETUP}")),
        Finding::new(
            "rtmps port",
            free("--rtmps", args.rtmps),
            "stop what uses it, or give --rtmps another address",
        ),
        Finding::new(
            "http port",
            free("--http", args.http),
            "stop what uses it, or give --http another address",
        ),
        Finding::new("disk", space(&args.data), "make room, or choose another disk with --data DIR"),
        Finding::new("clock", clock(), "set it: viewers and publishers go by it"),
    ]
}

fn own_dir() -> Option<std::path::PathBuf> {
    std::env::current_exe().ok()?.parent().map(Path::to_owned)
}

fn port(option: &str, address: SocketAddr) -> Result<String, String> {
    programs::check_free(option, address)
        .map(|()| format!("{address} is free"))
        .map_err(|e| e.root_cause().to_string())
}

/// The first line that a program prints of itself.
async fn version(program: &str, argument: &str) -> Result<String, String> {
    let text = ask(program, &[argument]).await?;
    Ok(text.lines().next().unwrap_or_default().split(" Copyright").next().unwrap_or_default().to_owned())
}

async fn x264() -> Result<String, String> {
    let text = ask("ffmpeg", &["-hide_banner", "-encoders"]).await?;
    if text.contains(" libx264 ") {
        Ok("libx264".to_owned())
    } else {
        Err("ffmpeg has no libx264".to_owned())
    }
}

async fn ask(program: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(std::process::Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(ASK_MAX, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(Ok(output)) => Err(format!("{program}: {}", output.status)),
        Ok(Err(_)) => Err("not installed".to_owned()),
        Err(_) => Err(format!("{program} does not answer")),
    }
}

fn space(data: &Path) -> Result<String, String> {
    // The directory may not be there yet: its nearest parent that is.
    let data = std::path::absolute(DataDir::at(data).root()).unwrap_or_default();
    let there = data.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    let disk = nix::sys::statvfs::statvfs(there).map_err(|error| error.to_string())?;
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    let text = format!("{} GB free in {}", free / 1_000_000_000, there.display());
    if free >= SPACE_MIN { Ok(text) } else { Err(text) }
}

fn clock() -> Result<String, String> {
    let now = service::clock::now();
    let text = output::instant(now);
    if now.unix_ms() >= CLOCK_MIN_MS { Ok(text) } else { Err(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(ok: bool) -> Finding {
        let found = if ok { Ok("5.1".to_owned()) } else { Err("not installed".to_owned()) };
        Finding::new("ffmpeg", found, SETUP)
    }

    #[test]
    fn what_is_missing_comes_with_what_to_do() {
        let text = human(&[finding(true), Finding { check: "disk", ..finding(false) }]);
        assert!(text.starts_with("ok"), "{text}");
        assert!(text.contains("MISSING  disk    not installed"), "{text}");
        assert!(text.ends_with("disk: run `make setup`"), "{text}");
        assert!(human(&[finding(true)]).contains("Nothing is missing"));
    }

    #[test]
    fn json_of_a_finding() {
        assert_eq!(
            serde_json::to_string(&finding(false)).unwrap(),
            r#"{"check":"ffmpeg","ok":false,"found":"not installed","advice":"run `make setup`"}"#
        );
        assert_eq!(
            serde_json::to_string(&finding(true)).unwrap(),
            r#"{"check":"ffmpeg","ok":true,"found":"5.1"}"#
        );
    }

    #[tokio::test]
    async fn ports_disk_and_programs() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(port("--http", listener.local_addr().unwrap()).is_err());
        assert!(
            space(Path::new("/nowhere/at/all")).is_ok_and(|text| text.ends_with("free in /"))
                || cfg!(not(unix))
        );
        assert_eq!(ask("no-such-program-here", &[]).await, Err("not installed".to_owned()));
        assert!(version("ffmpeg", "-version").await.unwrap().starts_with("ffmpeg version"));
        assert!(clock().is_ok());
    }
}
