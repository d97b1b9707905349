//! Publishers: the programs that people publish with, sending a kept file at its own speed.

use std::{
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::{
    process::{Lines, Process},
    source::Source,
};

/// Time that a publisher may need beyond the length of what it sends.
const GRACE: Duration = Duration::from_secs(30);

/// A running publisher.
#[derive(Debug)]
pub struct Publisher {
    process: Process,
    length: Duration,
}

impl Publisher {
    /// The `ffmpeg` command, sending `source` to `url` as it is.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn ffmpeg(source: &Source, url: &str) -> Result<Self> {
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-nostdin", "-nostats", "-v", "info", "-re", "-i"]);
        command.arg(&source.file).args(["-c", "copy", "-f", "flv", url]);
        Self::start("ffmpeg", &mut command, source)
    }

    /// GStreamer's `rtmp2sink`, sending `source` to `url` as it is.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn gstreamer(source: &Source, url: &str) -> Result<Self> {
        let mut command = Command::new("gst-launch-1.0");
        command
            .args(["-q", "flvmux", "name=mux", "streamable=true", "!"])
            .args(["rtmp2sink", &format!("location={url}"), "tls-validation-flags=0", "sync=true"])
            .arg("filesrc")
            .arg(format!("location={}", source.file.display()))
            .args(["!", "flvdemux", "name=demux"])
            .args(["demux.video", "!", "queue", "!", "h264parse", "!", "mux."])
            .args(["demux.audio", "!", "queue", "!", "aacparse", "!", "mux."]);
        Self::start("gst-launch-1.0", &mut command, source)
    }

    fn start(name: &str, command: &mut Command, source: &Source) -> Result<Self> {
        let length = Duration::from_secs(source.format.seconds);
        Ok(Self { process: Process::start(name, command)?, length })
    }

    /// What it says on standard error.
    #[must_use]
    pub fn log(&self) -> &Lines {
        &self.process.err
    }

    /// Waits until it has sent everything.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.process.wait(self.length + GRACE)
    }

    /// Waits until it has sent everything, which must have gone well.
    ///
    /// # Errors
    /// When it does not end in time, or reports a failure.
    pub fn finish(&mut self) -> Result<()> {
        let status = self.wait()?;
        anyhow::ensure!(status.success(), "the publisher ended with {status}:\n{}", self.log().text());
        Ok(())
    }

    /// Ends the publish as a user does: with goodbye.
    ///
    /// # Errors
    /// When it is gone, or does not end.
    pub fn interrupt(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGINT)?;
        self.process.wait(GRACE).map(|_| ())
    }

    /// Kills it: the connection is cut in the middle of whatever it was doing.
    ///
    /// # Errors
    /// When it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.wait(GRACE).map(|_| ())
    }
}

/// Whether this machine has GStreamer with what [`Publisher::gstreamer`] needs.
#[must_use]
pub fn has_gstreamer() -> bool {
    ["rtmp2sink", "flvmux", "flvdemux", "h264parse", "aacparse"].iter().all(|element| {
        let found =
            Command::new("gst-inspect-1.0").arg(element).stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    })
}

/// Whether a program can be started at all.
///
/// # Errors
/// Says that it is missing and what for.
pub fn needs(program: &Path) -> Result<()> {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.map(|_| ()).with_context(|| format!("{} is needed by this test", program.display()))
}
