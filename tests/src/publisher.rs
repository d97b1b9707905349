//! Publishers: the programs that people publish with, sending a kept file at its own speed.

use std::{
    io::Write,
    net::TcpListener,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::{
    process::{Lines, Process},
    source::Source,
};

/// Names another ffmpeg to publish with than the one on the path, so that the same tests hold of every version.
const FFMPEG_VAR: &str = "E2E_PUBLISHER_FFMPEG";
/// Time that a publisher may need beyond the length of what it sends.
const GRACE: Duration = Duration::from_secs(30);
/// The header of an FLV file with sound and pictures, and the size of no tag behind it.
const FLV_HEADER: [u8; 13] = *b"FLV\x01\x05\0\0\0\x09\0\0\0\0";
/// The type of a tag of sound.
const TAG_AUDIO: u8 = 8;
/// Length of a tag's header.
const TAG_HEADER: usize = 11;
/// Length of the tag's size behind it.
const TAG_TRAILER: usize = 4;

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
        let mut command = Command::new(std::env::var(FFMPEG_VAR).as_deref().unwrap_or("ffmpeg"));
        command.args(["-hide_banner", "-nostdin", "-nostats", "-v", "info", "-re", "-i"]);
        command.arg(&source.file).args(["-c", "copy", "-f", "flv", url]);
        Self::start("ffmpeg", &mut command, source)
    }

    /// The `ffmpeg` command, sending `source` from second `from` (the start of a GOP) on, with time stamps from zero: what a camera
    /// sends whose encoder was started again.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn ffmpeg_from(source: &Source, url: &str, from: u64) -> Result<Self> {
        let mut command = Command::new(std::env::var(FFMPEG_VAR).as_deref().unwrap_or("ffmpeg"));
        command.args(["-hide_banner", "-nostdin", "-nostats", "-v", "info", "-re"]);
        // FLV has no index to seek by.
        // Just behind the start: its pictures are a reorder delay late in the file, and a seek goes back to the one before.
        let seek = if from == 0 { "0".to_owned() } else { format!("{from}.2") };
        command.args(["-ss", &seek, "-i"]).arg(source.mp4()?);
        command.args(["-c", "copy", "-f", "flv", url]);
        Self::start("ffmpeg", &mut command, source)
    }

    /// The `ffmpeg` command, sending the bytes of `source`'s tags as they are, each at its time: what is in them is none of its business,
    /// so that it carries codings that it can't put into FLV itself.
    ///
    /// # Errors
    /// When it can't be started, or the file is no FLV.
    pub fn carrying(source: &Source, url: &str) -> Result<Self> {
        let file = std::fs::read(&source.file).with_context(|| source.file.display().to_string())?;
        let tags = tags(&file)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut command = Command::new(std::env::var(FFMPEG_VAR).as_deref().unwrap_or("ffmpeg"));
        command.args(["-hide_banner", "-nostdin", "-nostats", "-v", "info", "-f", "data"]);
        command.args(["-i", &format!("tcp://{}", listener.local_addr()?)]);
        command.args(["-map", "0", "-c", "copy", "-flush_packets", "1", "-f", "data", url]);
        let publisher = Self::start("ffmpeg", &mut command, source)?;
        // Ends with the file, or with the ffmpeg that reads it.
        thread::spawn(move || -> Result<()> {
            let (mut to, _) = listener.accept()?;
            let start = Instant::now();
            to.write_all(&FLV_HEADER)?;
            for tag in tags {
                thread::sleep((start + tag.time).saturating_duration_since(Instant::now()));
                to.write_all(&tag.bytes())?;
            }
            Ok(())
        });
        Ok(publisher)
    }

    /// GStreamer's `rtmp2sink`, sending `source` to `url` as it is.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn gstreamer(source: &Source, url: &str) -> Result<Self> {
        // From MP4: of an FLV file with B-frames GStreamer's own demuxer gives the first two frames of sound one time stamp.
        let file = source.mp4()?;
        let mut command = Command::new("gst-launch-1.0");
        command
            .args(["-q", "flvmux", "name=mux", "streamable=true", "!"])
            .args(["rtmp2sink", &format!("location={url}"), "tls-validation-flags=0", "sync=true"])
            .arg("filesrc")
            .arg(format!("location={}", file.display()))
            .args(["!", "qtdemux", "name=demux"])
            .args(["demux.video_0", "!", "queue", "!", "h264parse", "!", "mux."])
            .args(["demux.audio_0", "!", "queue", "!", "aacparse", "!", "mux."]);
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

    /// Whether it still sends.
    ///
    /// # Errors
    /// When the system can't say.
    pub fn is_running(&mut self) -> Result<bool> {
        self.process.is_running()
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

/// A tag of an FLV file.
#[derive(Debug, Clone)]
pub struct Tag {
    /// When, from the file's start.
    pub time: Duration,
    /// Its type, which is also that of an RTMP message.
    pub kind: u8,
    /// What is in it.
    pub body: Vec<u8>,
}

impl Tag {
    /// From its header to its size behind it, as in a file.
    fn bytes(&self) -> Vec<u8> {
        let [m3, m2, m1, m0] = u32::try_from(self.time.as_millis()).unwrap_or(u32::MAX).to_be_bytes();
        let length = u32::try_from(self.body.len()).unwrap_or(u32::MAX);
        let [_, l2, l1, l0] = length.to_be_bytes();
        let behind = length.saturating_add(u32::try_from(TAG_HEADER).unwrap_or(0)).to_be_bytes();
        [&[self.kind, l2, l1, l0, m2, m1, m0, m3, 0, 0, 0], &self.body[..], &behind].concat()
    }
}

/// The tags of a source, in order.
///
/// # Errors
/// When its file can't be read, or is no FLV.
pub fn tags_of(source: &Source) -> Result<Vec<Tag>> {
    tags(&std::fs::read(&source.file).with_context(|| source.file.display().to_string())?)
}

fn tags(file: &[u8]) -> Result<Vec<Tag>> {
    let mut tags = Vec::new();
    let mut rest = file.strip_prefix(&FLV_HEADER).context("no FLV with sound and pictures")?;
    while !rest.is_empty() {
        let header = rest.first_chunk::<TAG_HEADER>().context("an FLV tag without header")?;
        let size = u32::from_be_bytes([0, header[1], header[2], header[3]]);
        let ms = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
        let length = TAG_HEADER + usize::try_from(size)? + TAG_TRAILER;
        let (bytes, behind) = rest.split_at_checked(length).context("an FLV tag that is cut")?;
        tags.push(Tag {
            time: Duration::from_millis(ms.into()),
            kind: header[0],
            body: bytes[TAG_HEADER..length - TAG_TRAILER].to_vec(),
        });
        rest = behind;
    }
    Ok(tags)
}

/// Writes the sound of `source` alone to `to`: every ffmpeg reads that, whatever the pictures are coded in.
///
/// # Errors
/// When the file is no FLV, or `to` can't be written.
pub fn sound_of(source: &Source, to: &Path) -> Result<()> {
    let tags = tags(&std::fs::read(&source.file)?)?;
    let sound = tags.iter().filter(|tag| tag.kind == TAG_AUDIO).flat_map(Tag::bytes);
    std::fs::write(to, FLV_HEADER.into_iter().chain(sound).collect::<Vec<_>>())?;
    Ok(())
}

/// Whether this machine has GStreamer with what [`Publisher::gstreamer`] needs.
#[must_use]
pub fn has_gstreamer() -> bool {
    ["rtmp2sink", "flvmux", "qtdemux", "h264parse", "aacparse"].iter().all(|element| {
        let found =
            Command::new("gst-inspect-1.0").arg(element).stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    })
}
