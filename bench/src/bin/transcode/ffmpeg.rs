//! The other side: one ffmpeg command that decodes once, scales, and encodes all rungs to DASH.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};
use encoder_task::transcode::Preset;
use media::ladder::Rendition;

use super::{clips::Clip, spelled};

/// The command. Each rung's rate control has the same average and peak as the encoder's, and a buffer of a second, as is usual for DASH.
pub(crate) fn command(clip: &Clip, renditions: &[Rendition], preset: Preset, to: &Path) -> Command {
    let rate = spelled(clip.rate);
    let mut graph = format!("[0:v]settb=1/({rate}),setpts=N,split={}", renditions.len());
    for n in 0..renditions.len() {
        graph += &format!("[in{n}]");
    }
    for (n, rung) in renditions.iter().enumerate() {
        let scale = if (rung.width, rung.height) == clip.size() {
            "null".to_owned()
        } else {
            format!("scale={}:{}:flags=bicubic", rung.width, rung.height)
        };
        graph += &format!(";[in{n}]{scale}[out{n}]");
    }
    let gop = clip.gop().to_string();
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y", "-i"]).arg(&clip.file).args(["-filter_complex", &graph]);
    for (n, rung) in renditions.iter().enumerate() {
        command
            .args(["-map", &format!("[out{n}]")])
            .args([&format!("-b:v:{n}"), &rung.bit_rate.to_string()])
            .args([&format!("-maxrate:v:{n}"), &rung.max_rate().to_string()])
            .args([&format!("-bufsize:v:{n}"), &rung.bit_rate.to_string()]);
    }
    command
        .args([
            "-map",
            "0:a?",
            "-c:a",
            "copy",
            "-c:v",
            "libx264",
            "-preset",
            preset.name(),
            // Every picture, and none twice: FLV's time stamps are rounded to milliseconds.
            "-fps_mode:v",
            "passthrough",
        ])
        .args(["-g", &gop, "-keyint_min", &gop, "-sc_threshold", "0", "-flags", "+cgop"])
        .args(["-f", "dash", "-seg_duration", "2", "-use_template", "1", "-use_timeline", "1"])
        .args([
            "-adaptation_sets",
            "id=0,streams=v id=1,streams=a",
            "-init_seg_name",
            "init-$RepresentationID$.m4s",
        ])
        .args(["-media_seg_name", "seg-$RepresentationID$-$Number%05d$.m4s"])
        .arg(to.join("manifest.mpd"));
    command
}

/// Joins each rung's segments into one file named after it.
pub(crate) fn join(folder: &Path, renditions: &[Rendition]) -> Result<()> {
    for (n, rung) in renditions.iter().enumerate() {
        let mut bytes =
            std::fs::read(folder.join(format!("init-{n}.m4s"))).context("ffmpeg's initialization segment")?;
        for number in 1.. {
            let Ok(segment) = std::fs::read(folder.join(format!("seg-{n}-{number:05}.m4s"))) else { break };
            bytes.extend(segment);
        }
        std::fs::write(folder.join(format!("{}.mp4", rung.name)), bytes)?;
    }
    Ok(())
}
