//! A running stack: `gopcast up` as a user starts it, watched through the JSON lines that it prints, and stopped as a user stops it.
//!
//! Invariant: every stack that a test starts is stopped with SIGTERM, ends with exit code 0, and leaves no line of level ERROR in its
//! logs that the test has not named.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    emulator::Emulator,
    http,
    process::{Process, run},
};

/// Time from start to the ready line: seconds on an idle machine; an encoder's first measurement of a busy one takes longer.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Time for the ordered drain.
const STOPPED_WITHIN: Duration = Duration::from_secs(40);

/// The ready line.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    /// `rtmps://HOST:PORT/live`
    pub rtmps: String,
    /// `http://HOST:PORT`
    pub http: String,
    /// Path of the certificate authority.
    pub ca: PathBuf,
    /// The embedded S3.
    pub s3: S3,
    /// The embedded DynamoDB.
    pub dynamodb: DynamoDb,
    /// The embedded Lambda.
    pub lambda: Lambda,
    /// The lives, in the order of `--live`.
    pub lives: Vec<Live>,
    /// The services' processes.
    pub processes: Vec<Running>,
}

/// `s3` of the ready line.
#[derive(Debug, Clone, Deserialize)]
pub struct S3 {
    /// Its address.
    pub endpoint: String,
    /// The bucket's name.
    pub bucket: String,
}

/// `dynamodb` of the ready line.
#[derive(Debug, Clone, Deserialize)]
pub struct DynamoDb {
    /// Its address.
    pub endpoint: String,
    /// The table's name.
    pub table: String,
}

/// `lambda` of the ready line.
#[derive(Debug, Clone, Deserialize)]
pub struct Lambda {
    /// Its address.
    pub endpoint: String,
    /// The function's name.
    pub function: String,
}

/// One of `lives` of the ready line.
#[derive(Debug, Clone, Deserialize)]
pub struct Live {
    /// Its name.
    pub live: String,
    /// Its stream key.
    pub key: String,
    /// Where people watch it.
    pub watch: String,
    /// Where players fetch it.
    pub mpd: String,
}

/// One of `processes` of the ready line.
#[derive(Debug, Clone, Deserialize)]
pub struct Running {
    /// `ingest-edge`, `gateway-fn` or `encoder-task`.
    pub role: String,
    /// Its id.
    pub id: String,
    /// Its process id.
    pub pid: u32,
}

/// One of `gopcast broadcast list`.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Broadcast {
    /// Its id.
    pub broadcast: String,
    /// Its live.
    pub live: String,
    /// `live` or `ended`.
    pub state: String,
    /// RFC 3339.
    pub started: String,
    /// RFC 3339.
    pub ended: Option<String>,
    /// How often it was published to.
    pub publishes: u32,
}

/// How a stack is started.
#[derive(Debug)]
pub struct Options {
    lives: Vec<String>,
    encoders: u32,
    ladder: &'static str,
    data: Option<PathBuf>,
    rtmp: Option<String>,
    allowed_errors: Vec<&'static str>,
}

impl Options {
    /// A stack with these lives, two encoders, ladder 360p and a data directory of its own.
    pub fn lives<S: Into<String>>(lives: impl IntoIterator<Item = S>) -> Self {
        Self {
            lives: lives.into_iter().map(Into::into).collect(),
            encoders: 2,
            ladder: "360p",
            data: None,
            rtmp: None,
            allowed_errors: Vec::new(),
        }
    }

    /// How many encoders.
    #[must_use]
    pub fn encoders(mut self, encoders: u32) -> Self {
        self.encoders = encoders;
        self
    }

    /// Which ladder.
    #[must_use]
    pub fn ladder(mut self, ladder: &'static str) -> Self {
        self.ladder = ladder;
        self
    }

    /// Plain RTMP is taken as well, at this address.
    #[must_use]
    pub fn rtmp(mut self, address: &str) -> Self {
        self.rtmp = Some(address.to_owned());
        self
    }

    /// A data directory that outlives the stack.
    #[must_use]
    pub fn data(mut self, data: &Path) -> Self {
        self.data = Some(data.to_owned());
        self
    }

    /// Names part of an ERROR line that this test provokes.
    #[must_use]
    pub fn allow_error(mut self, part: &'static str) -> Self {
        self.allowed_errors.push(part);
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start(self) -> Result<Stack> {
        let temporary = TempDir::with_prefix("gopcast-e2e-")?;
        let data = self.data.unwrap_or_else(|| temporary.path().to_owned());
        let mut command = Command::new(binary("gopcast")?);
        command
            .args(["up", "--json", "--rtmps", &free_address()?, "--http", &free_address()?])
            .args(["--encoders", &self.encoders.to_string(), "--ladder", self.ladder])
            .arg("--data")
            .arg(&data)
            .args(Emulator::find()?.up_args(&data));
        if let Some(address) = &self.rtmp {
            command.args(["--rtmp", address]);
        }
        for live in &self.lives {
            command.args(["--live", live]);
        }
        let process = Process::start("gopcast up", &mut command)?;
        let ready = process
            .out
            .wait("the ready line", 0, READY_WITHIN, |line| {
                let value: Value = serde_json::from_str(line).ok()?;
                (value.get("ready") == Some(&Value::Bool(true))).then_some(value)
            })
            .with_context(|| format!("its standard error:\n{}", process.err.text()))?;
        let ready: Ready = serde_json::from_value(ready).context("the ready line")?;
        Ok(Stack {
            process,
            ready,
            data,
            http: http::Client::default(),
            allowed_errors: self.allowed_errors,
            _temporary: temporary,
        })
    }
}

/// A running stack.
#[derive(Debug)]
pub struct Stack {
    process: Process,
    /// What it said when it became ready.
    pub ready: Ready,
    /// Its data directory.
    pub data: PathBuf,
    /// A client for its pages and media.
    pub http: http::Client,
    allowed_errors: Vec<&'static str>,
    _temporary: TempDir,
}

/// An event that a stack has printed.
#[derive(Debug, Clone)]
pub struct Event(pub Value);

impl Event {
    /// A field as text; empty when it is absent.
    #[must_use]
    pub fn text(&self, field: &str) -> String {
        match self.0.get(field) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }

    /// Holds the counts in these fields to 0.
    ///
    /// # Errors
    /// The first that is not, or is absent.
    pub fn zero(&self, counts: &[&str]) -> Result<()> {
        for count in counts {
            anyhow::ensure!(self.text(count) == "0", "{count}: {self:?}");
        }
        Ok(())
    }

    /// When it happened, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// When its `time` is not an instant.
    pub fn time_ms(&self) -> Result<i64> {
        let time: jiff::Timestamp = self.text("time").parse().context("the event's time")?;
        Ok(time.as_millisecond())
    }
}

impl Stack {
    /// A live of the ready line.
    ///
    /// # Errors
    /// When there is no such live.
    pub fn live(&self, name: &str) -> Result<&Live> {
        self.ready.lives.iter().find(|l| l.live == name).with_context(|| format!("no live {name}"))
    }

    /// Where a publisher sends a live: `rtmps://…/live/{key}`.
    ///
    /// # Errors
    /// When there is no such live.
    pub fn publish_url(&self, live: &str) -> Result<String> {
        Ok(format!("{}/{}", self.ready.rtmps, self.live(live)?.key))
    }

    /// Where players fetch a broadcast from its second 0.
    #[must_use]
    pub fn vod_url(&self, live: &str, broadcast: &str) -> String {
        format!("{}/vod/{live}/{broadcast}/manifest.mpd", self.ready.http)
    }

    /// A mark in the event stream: events waited for from it on are later than now.
    #[must_use]
    pub fn now(&self) -> usize {
        self.process.out.count()
    }

    /// Waits for an event with this name whose fields are as given, printed at or after `from`.
    ///
    /// # Errors
    /// When it does not come in time; the error holds the last events.
    pub fn event(&self, from: usize, name: &str, fields: &[(&str, &str)], limit: Duration) -> Result<Event> {
        self.process.out.wait(&format!("event {name} {fields:?}"), from, limit, |line| {
            let event = Event(serde_json::from_str(line).ok()?);
            let fits = event.text("event") == name && fields.iter().all(|(k, v)| event.text(k) == *v);
            fits.then_some(event)
        })
    }

    /// Every event so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let lines = self.process.out.all();
        lines.iter().filter_map(|l| serde_json::from_str(l).ok()).map(Event).collect()
    }

    /// The processes of a role that run now, as the ready line and the events since have told.
    #[must_use]
    pub fn running(&self, role: &str) -> Vec<Running> {
        let mut running = self.ready.processes.clone();
        for event in self.events() {
            let pid = event.text("pid").parse();
            match (event.text("event").as_str(), pid) {
                ("process-started", Ok(pid)) => {
                    running.push(Running { role: event.text("role"), id: event.text("id"), pid });
                }
                ("process-exited", Ok(pid)) => running.retain(|process| process.pid != pid),
                _ => {}
            }
        }
        running.retain(|process| process.role == role);
        running
    }

    /// Runs `gopcast ARGS --data …` to its end.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn gopcast<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Output> {
        gopcast(&self.data, args)
    }

    /// Runs `gopcast ARGS --json --data …`, which must succeed, and reads what it prints.
    ///
    /// # Errors
    /// When it fails or prints anything but JSON.
    pub fn gopcast_json<T: serde::de::DeserializeOwned>(&self, args: &[&str]) -> Result<T> {
        let mut command = Command::new(binary("gopcast")?);
        command.args(args).arg("--json").arg("--data").arg(&self.data);
        let out = run("gopcast", &mut command)?;
        serde_json::from_slice(&out)
            .with_context(|| format!("gopcast {args:?} printed {}", String::from_utf8_lossy(&out)))
    }

    /// The broadcasts of a live, newest first.
    ///
    /// # Errors
    /// When they can't be listed.
    pub fn broadcasts(&self, live: &str) -> Result<Vec<Broadcast>> {
        self.gopcast_json(&["broadcast", "list", live])
    }

    /// `gopcast broadcast verify`: its exit code and everything it printed.
    ///
    /// # Errors
    /// When it can't be run.
    pub fn verify(&self, broadcast: &str) -> Result<(i32, String)> {
        let out = self.gopcast(["broadcast", "verify", broadcast])?;
        let said =
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        Ok((out.status.code().context("verify was killed")?, said))
    }

    /// Proves with [`Self::verify`] that a broadcast is whole.
    ///
    /// # Errors
    /// When it is not, with what `verify` found.
    pub fn whole(&self, broadcast: &str) -> Result<()> {
        let (code, said) = self.verify(broadcast)?;
        anyhow::ensure!(code == 0, "verify of {broadcast}: {code}\n{said}");
        Ok(())
    }

    /// All log lines of all processes, and what `gopcast up` itself wrote.
    ///
    /// # Errors
    /// When the logs can't be read.
    pub fn log(&self) -> Result<String> {
        let mut text = read_logs(&self.data)?;
        text.push_str(&self.process.out.text());
        text.push_str(&self.process.err.text());
        Ok(text)
    }

    /// What must be in no log: the stream keys, which publishers are told by the ready line alone, and the hop secret.
    fn secrets(&self) -> Result<Vec<String>> {
        let keys: BTreeMap<String, String> = serde_json::from_str(&self.private("keys.json")?)?;
        let told = self.ready.lives.iter().map(|live| live.key.clone());
        let secrets: Vec<_> = keys.into_values().chain(told).chain([self.private("hop-secret")?]).collect();
        anyhow::ensure!(secrets.iter().all(|secret| secret.len() >= 16), "no secret is that short");
        Ok(secrets)
    }

    fn private(&self, name: &str) -> Result<String> {
        let path = self.data.join(name);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// Stops it as Ctrl-C does and checks what it leaves behind.
    ///
    /// # Errors
    /// When it does not end in time with exit code 0, or a log has a secret, or an ERROR that was not allowed.
    pub fn stop(mut self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        let status = self.process.wait(STOPPED_WITHIN)?;
        anyhow::ensure!(status.success(), "gopcast up ended with {status}:\n{}", self.process.err.text());
        let log = read_logs(&self.data)?;
        let (out, err) = (self.process.out.all(), self.process.err.text());
        // The first line is the ready line.
        let lines = log.lines().chain(err.lines()).chain(out.iter().skip(1).map(String::as_str));
        for secret in self.secrets()? {
            let told = lines.clone().find(|line| line.contains(&secret));
            anyhow::ensure!(told.is_none(), "a secret is in the log: {told:?}");
        }
        let errors: Vec<String> = log
            .lines()
            .filter(|line| {
                let level = serde_json::from_str::<Value>(line)
                    .ok()
                    .and_then(|v| v.get("level").and_then(Value::as_str).map(str::to_owned));
                level.as_deref() == Some("ERROR") || line.contains("panicked at")
            })
            .filter(|line| !self.allowed_errors.iter().any(|part| line.contains(part)))
            .map(str::to_owned)
            .collect();
        anyhow::ensure!(errors.is_empty(), "the logs hold errors:\n{}", errors.join("\n"));
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // A test that failed: its logs are in the temporary directory, which goes away with it.
        if std::thread::panicking() || self.process.is_running().unwrap_or(false) {
            eprintln!("--- the stack's standard error\n{}", self.process.err.text());
            eprintln!("--- the stack's events\n{}", self.process.out.text());
            if let Ok(log) = read_logs(&self.data) {
                let lines: Vec<_> = log.lines().filter(|l| !l.contains("\"DEBUG\"")).collect();
                eprintln!("--- the last log lines\n{}", lines[lines.len().saturating_sub(120)..].join("\n"));
            }
        }
        // The ordered end takes its children with it; a kill would not.
        if self.process.is_running().unwrap_or(false) && self.process.signal(Signal::SIGTERM).is_ok() {
            let _ = self.process.wait(STOPPED_WITHIN);
        }
    }
}

/// Runs `gopcast ARGS --data DATA` to its end.
///
/// # Errors
/// When it can't be started.
pub fn gopcast<S: AsRef<OsStr>>(data: &Path, args: impl IntoIterator<Item = S>) -> Result<Output> {
    let mut command = Command::new(binary("gopcast")?);
    command.args(args).arg("--data").arg(data).stdin(Stdio::null());
    command.output().context("starting gopcast")
}

fn read_logs(data: &Path) -> Result<String> {
    let mut text = String::new();
    let folder = data.join("log");
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_file() {
            let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    Ok(text)
}

/// First of the ports that are given to programs to listen on, and how many there are: below those that systems give to whoever asks for none,
/// another program's connection among them.
const PORTS: (u16, u16) = (20_000, 5_000);

/// An address on loopback that was free a moment ago, and is given to nobody else.
///
/// # Errors
/// When there is none.
pub fn free_address() -> Result<String> {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let (first, count) = PORTS;
    // Tests that follow each other do not begin with the same: something of the one before may still be there.
    let start = u16::try_from(std::process::id() * 61 % u32::from(count))?;
    for _ in 0..count {
        let nth = (start + GIVEN.fetch_add(1, Ordering::Relaxed) % count) % count;
        let address = format!("127.0.0.1:{}", first + nth);
        if TcpListener::bind(&address).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!("no port is free from {first} on")
}

/// Where cargo puts the workspace's binaries: this test's own executable is in `deps/` below.
///
/// # Errors
/// When this executable's place can't be found.
pub fn binaries() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let folder = exe.parent().context("the test has no folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(folder.to_owned())
}

/// Names another folder of programs to test than the one beside the tests.
const BIN_DIR_VAR: &str = "GOPCAST_BIN_DIR";

/// A program of gopcast's.
///
/// # Errors
/// When it is not built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let folder = std::env::var_os(BIN_DIR_VAR).map(PathBuf::from);
    let path = folder.map_or_else(binaries, Ok)?.join(name);
    anyhow::ensure!(path.exists(), "{} is missing: run `cargo build --workspace` first", path.display());
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_address_is_given_twice() -> Result<()> {
        let given = (0..200).map(|_| free_address()).collect::<Result<HashSet<_>>>()?;
        assert_eq!(given.len(), 200);
        Ok(())
    }
}
