//! What is published: files of numbered pictures and a beep with each flash, encoded once per format and kept, so that publishing them
//! costs next to nothing.

use std::{
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{process::run, sound, stamp, stamp::Stamp};

/// Raise when pictures or sound are drawn otherwise: kept files of an older kind are then not used.
const KIND: u32 = 2;

/// Shows that are ended before their source is: their sources' lengths are multiples of this, in seconds, so that they share a few files.
const LENGTH_STEP: u64 = 160;
/// Lengths of GOPs that vary, in seconds: from one to what is the longest that encoders use by themselves.
const VARYING: [u64; 5] = [1, 3, 8, 2, 5];

/// What a source is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Width in pixels; 0 for sound alone.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Frames…
    pub frames: u64,
    /// …in this many seconds.
    pub per_seconds: u64,
    /// Length in seconds.
    pub seconds: u64,
    /// Pictures per GOP; 0 for GOPs as long as [`VARYING`] says, in turn.
    pub gop: u64,
    /// B-frames between two reference pictures.
    pub b_frames: u32,
    /// Samples per second of the sound.
    pub sample_rate: u32,
    /// Channels of the sound; 0 for pictures alone.
    pub channels: u16,
    /// The mark in its stamps: 0 to 15.
    pub mark: u32,
}

impl Default for Format {
    /// 640×360, 30 fps, 2 s GOPs with B-frames, 48 kHz stereo, 10 s.
    fn default() -> Self {
        Self {
            width: 640,
            height: 360,
            frames: 30,
            per_seconds: 1,
            seconds: 10,
            gop: 60,
            b_frames: 2,
            sample_rate: 48_000,
            channels: 2,
            mark: 1,
        }
    }
}

impl Format {
    /// How many pictures it has.
    #[must_use]
    pub fn pictures(&self) -> u64 {
        self.seconds * self.frames / self.per_seconds
    }

    /// Whether it has pictures.
    #[must_use]
    pub fn has_pictures(&self) -> bool {
        self.width > 0
    }

    /// Whether it has sound.
    #[must_use]
    pub fn has_sound(&self) -> bool {
        self.channels > 0
    }

    /// Where GOPs begin, in seconds, when they vary: as FFmpeg's option takes them.
    fn key_times(&self) -> String {
        let mut at = 0;
        let starts = VARYING.iter().cycle().map(|length| {
            let start = at;
            at += length;
            start
        });
        let starts = starts.take_while(|start| *start < self.seconds);
        starts.map(|start| start.to_string()).collect::<Vec<_>>().join(",")
    }

    /// Whether picture `number` is shown in the first tenth of a second.
    #[must_use]
    pub fn flashes(&self, number: u64) -> bool {
        number * self.per_seconds * 1000 / self.frames % 1000 < stamp::FLASH_MS
    }

    /// When picture `number` is shown, in seconds from the first.
    #[must_use]
    pub fn seconds_at(&self, number: u64) -> f64 {
        let number = u32::try_from(number * self.per_seconds).unwrap_or(u32::MAX);
        f64::from(number) / f64::from(u32::try_from(self.frames).unwrap_or(1))
    }

    fn name(&self) -> String {
        format!(
            "v{KIND}-{}x{}-{}_{}fps-{}s-g{}-b{}-{}hz-{}ch-m{}",
            self.width,
            self.height,
            self.frames,
            self.per_seconds,
            self.seconds,
            self.gop,
            self.b_frames,
            self.sample_rate,
            self.channels,
            self.mark
        )
    }
}

/// A source, ready to be published.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is like.
    pub format: Format,
    /// The FLV file.
    pub file: PathBuf,
}

/// Where the files are kept: beside the binaries, so that `cargo clean` takes them away.
fn folder() -> Result<PathBuf> {
    let folder = crate::stack::binaries()?.join("e2e-sources");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}

impl Source {
    /// The source of this format: the kept file, or one made now.
    ///
    /// # Errors
    /// When FFmpeg is missing or fails.
    pub fn new(format: Format) -> Result<Self> {
        let file = folder()?.join(format!("{}.flv", format.name()));
        if !file.exists() {
            let work = tempfile::tempdir_in(folder()?)?;
            let made = make(&format, work.path())?;
            fs::rename(made, &file)?;
        }
        Ok(Self { format, file })
    }

    /// A source of this format that lasts as long as it says, or longer: for a show that is ended before its source is.
    ///
    /// # Errors
    /// As [`Source::new`].
    pub fn lasting(format: Format) -> Result<Self> {
        Self::new(Format { seconds: format.seconds.next_multiple_of(LENGTH_STEP), ..format })
    }

    /// The same pictures and sound as an MP4 file: the kept one, or one made now.
    ///
    /// # Errors
    /// When FFmpeg fails.
    pub fn mp4(&self) -> Result<PathBuf> {
        let file = self.file.with_extension("mp4");
        if !file.exists() {
            let work = tempfile::tempdir_in(folder()?)?;
            let made = work.path().join("made.mp4");
            let mut command = Command::new("ffmpeg");
            command.args(["-hide_banner", "-nostdin", "-v", "error", "-i"]).arg(&self.file);
            run("ffmpeg", command.args(["-c", "copy"]).arg(&made))?;
            fs::rename(made, &file)?;
        }
        Ok(file)
    }

    /// SHA-256 of each AAC frame, in order.
    ///
    /// # Errors
    /// When FFmpeg can't read the file.
    pub fn audio_hashes(&self) -> Result<Vec<String>> {
        sound::frame_hashes(&self.file)
    }
}

fn make(format: &Format, work: &Path) -> Result<PathBuf> {
    let (pcm, made) = (work.join("sound.pcm"), work.join("made.flv"));
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-v", "error"]);
    if format.has_pictures() {
        command.args(["-f", "rawvideo", "-pix_fmt", "yuv420p"]);
        command.args(["-s", &format!("{}x{}", format.width, format.height)]);
        command.args(["-r", &format!("{}/{}", format.frames, format.per_seconds), "-i", "-"]);
    }
    if format.has_sound() {
        sound::write_pcm(&pcm, format.sample_rate, format.channels, format.seconds)?;
        let (rate, channels) = (format.sample_rate.to_string(), format.channels.to_string());
        command.args(["-f", "s16le", "-ar", &rate, "-ac", &channels, "-i"]).arg(&pcm);
        command.args(["-c:a", "aac", "-b:a", "96k"]);
    }
    if format.has_pictures() {
        command.args(["-c:v", "libx264", "-preset", "superfast", "-crf", "24"]);
        command.args(["-bf", &format.b_frames.to_string(), "-sc_threshold", "0", "-flags", "+cgop"]);
        match format.gop {
            0 => command.args(["-g", "100000", "-forced-idr", "1", "-force_key_frames", &format.key_times()]),
            gop => command.args(["-g", &gop.to_string(), "-keyint_min", &gop.to_string()]),
        };
    }
    command.args(["-f", "flv"]).arg(&made).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("starting ffmpeg")?;
    let input = child.stdin.take().context("ffmpeg's input")?;
    let drawn = if format.has_pictures() { draw_all(format, BufWriter::new(input)) } else { Ok(()) };
    let end = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&end.stderr);
    anyhow::ensure!(end.status.success(), "making {}: {}\n{said}", format.name(), end.status);
    drawn?;
    Ok(made)
}

fn draw_all(format: &Format, mut to: impl Write) -> Result<()> {
    let luma = format.width * format.height;
    let mut frame = vec![128; luma + luma / 2];
    for number in 0..format.pictures() {
        let stamp = Stamp { mark: format.mark, number: u32::try_from(number)? };
        stamp::draw(&mut frame[..luma], format.width, format.height, stamp, format.flashes(number));
        // A colour per source, so that people can tell them apart too.
        frame[luma..luma + luma / 4].fill(u8::try_from(96 + 8 * (format.mark % 8))?);
        to.write_all(&frame)?;
    }
    to.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_reads_back_whole() {
        let format = Format { width: 320, height: 180, seconds: 3, mark: 9, ..Format::default() };
        let source = Source::new(format).unwrap();
        let pictures = stamp::read_file(&source.file).unwrap();
        assert_eq!(u64::try_from(pictures.len()).unwrap(), format.pictures());
        for (number, picture) in (0..).zip(&pictures) {
            assert_eq!(picture.stamp, Some(Stamp { mark: 9, number }));
            assert_eq!(picture.flash, format.flashes(number.into()));
        }
        let beeps = sound::beeps(&source.file, format.sample_rate).unwrap();
        assert_eq!(beeps.len(), 3, "{beeps:?}");
        let hashes = source.audio_hashes().unwrap();
        assert!(hashes.len() > 3 * 48_000 / 1024, "{} frames of sound", hashes.len());
    }
}
