//! The sound that goes with the pictures: a beep of 1 kHz at each whole second, as long as the flash, over a quiet hum. Reading it
//! back gives the instant of each beep, to the sample.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::Command,
};

use anyhow::Result;

use crate::{process::run, stamp::FLASH_MS};

const BEEP_HZ: f64 = 1000.0;
const BEEP_LEVEL: f64 = 16_000.0;
const HUM_HZ: f64 = 220.0;
const HUM_LEVEL: f64 = 600.0;
/// A sample louder than this is part of a beep: far above the hum, reached by the beep within a tenth of a millisecond.
const BEEP_FROM: i16 = 5000;
/// It is quiet for this long before a beep, in milliseconds: most of the second between two.
const QUIET_MS: u32 = 400;

/// Writes the sound as signed 16-bit little-endian samples.
///
/// # Errors
/// When the file can't be written.
pub fn write_pcm(file: &Path, sample_rate: u32, channels: u16, seconds: u64) -> Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    let beep = u64::from(sample_rate) * FLASH_MS / 1000;
    for at in 0..u64::from(sample_rate) * seconds {
        let within = at % u64::from(sample_rate);
        let turn = std::f64::consts::TAU * f64::from(u32::try_from(within)?) / f64::from(sample_rate);
        let mut level = HUM_LEVEL * (turn * HUM_HZ).sin();
        if within < beep {
            level += BEEP_LEVEL * (turn * BEEP_HZ).cos();
        }
        #[allow(clippy::cast_possible_truncation, reason = "both levels together are within 16 bits")]
        let sample = level as i16;
        for _ in 0..channels {
            out.write_all(&sample.to_le_bytes())?;
        }
    }
    out.flush()?;
    Ok(())
}

/// The beeps in `file`: for each the number of its first sample, from the first sample that the decoder gives.
///
/// # Errors
/// When FFmpeg can't decode the sound, or has anything to say about it.
pub fn beeps(file: &Path, sample_rate: u32) -> Result<Vec<u64>> {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-hide_banner", "-nostdin", "-v", "error", "-xerror"])
        .args(["-err_detect", "crccheck+bitstream+buffer+explode"])
        // An edit list or a skip would hide samples that a browser plays.
        .args(["-ignore_editlist", "1", "-flags2", "+skip_manual", "-i"]);
    if file.extension().is_some_and(|e| e == "flv") {
        command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-nostdin", "-v", "error", "-flags2", "+skip_manual", "-i"]);
    }
    command.arg(file).args(["-map", "0:a:0", "-ac", "1", "-f", "s16le", "-"]);
    let pcm = run("ffmpeg", &mut command)?;
    let quiet = u64::from(sample_rate) * u64::from(QUIET_MS) / 1000;
    let mut found = Vec::new();
    let mut last_loud: Option<u64> = None;
    for (at, sample) in (0u64..).zip(pcm.chunks_exact(2)) {
        let sample = i16::from_le_bytes([sample[0], sample[1]]);
        if sample.saturating_abs() >= BEEP_FROM {
            if last_loud.is_none_or(|last| at - last > quiet) {
                found.push(at);
            }
            last_loud = Some(at);
        }
    }
    Ok(found)
}

/// SHA-256 of each coded frame of sound in `file`, in order.
///
/// # Errors
/// When FFmpeg can't read the file.
pub fn frame_hashes(file: &Path) -> Result<Vec<String>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-v", "error", "-i"]).arg(file);
    command.args(["-map", "0:a:0", "-c", "copy", "-f", "framehash", "-hash", "sha256", "-"]);
    let text = String::from_utf8(run("ffmpeg", &mut command)?)?;
    Ok(text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit(',').next())
        .map(|hash| hash.trim().to_owned())
        .collect())
}
