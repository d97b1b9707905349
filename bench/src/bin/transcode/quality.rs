//! How good pictures are: VMAF by a static FFmpeg that has libvmaf (the PyPI wheel `imageio-ffmpeg`, put into a virtual environment of
//! the benchmark's own), else SSIM by the system's FFmpeg. The rung is scaled up to the clip's size, as a player does.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde::Serialize;

use super::{clips::Clip, quietly, spelled};

/// The wheel whose FFmpeg (9.0.2) has libvmaf.
const WHEEL: &str = "imageio-ffmpeg==0.8.1";
/// Every this many pictures is looked at: neighbours differ little, and VMAF costs more than encoding.
const EVERY: u32 = 3;

/// What one rung looks like.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Quality {
    /// `VMAF`, or `SSIM` in percent.
    pub(crate) measure: &'static str,
    pub(crate) mean: f64,
}

/// Who measures.
#[derive(Debug)]
pub(crate) enum Meter {
    Vmaf(PathBuf),
    Ssim,
}

impl Meter {
    /// Looks for the tool, installs it if it can be had, and else makes do.
    pub(crate) fn set_up(folder: &Path) -> Self {
        match vmaf(&folder.join("tools")) {
            Ok(program) => Self::Vmaf(program),
            Err(error) => {
                eprintln!("no VMAF, so SSIM instead: {error:#}");
                Self::Ssim
            }
        }
    }

    pub(crate) fn measure(&self, rung: &Path, clip: &Clip) -> Result<Quality> {
        // By number: both sides have every picture, and DASH's times differ from the clip's. In one time base, or what is rounded otherwise in
        // the other makes neighbours of pictures that belong together.
        let numbered = format!("settb=1/({}),setpts=N", spelled(clip.rate));
        // What a side leaves unsaid of its colours must not have the other's converted.
        let alike = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709";
        let (width, height) = clip.size();
        let inputs = format!(
            "[0:v]{alike},scale={width}:{height}:flags=bicubic,{numbered}[rung];[1:v]{alike},{numbered}[clip];[rung][clip]"
        );
        let (program, filter, measure) = match self {
            Self::Vmaf(program) => {
                (program.as_path(), format!("libvmaf=n_threads=2:n_subsample={EVERY}"), "VMAF")
            }
            Self::Ssim => (Path::new("ffmpeg"), "ssim".to_owned(), "SSIM"),
        };
        let mut command = Command::new(program);
        command.args(["-hide_banner", "-nostdin", "-i"]).arg(rung).arg("-i").arg(&clip.file);
        command.args(["-lavfi", &(inputs + &filter), "-an", "-f", "null", "-"]);
        let text = quietly(&mut command)?;
        let (mark, factor) = if measure == "VMAF" { ("VMAF score: ", 1.0) } else { (" All:", 100.0) };
        let value = text.rsplit_once(mark).with_context(|| format!("no {measure} in {text}"))?.1;
        let value: String = value.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        Ok(Quality { measure, mean: value.parse::<f64>()? * factor })
    }
}

fn vmaf(folder: &Path) -> Result<PathBuf> {
    if let Ok(found) = program(folder) {
        return Ok(found);
    }
    eprintln!("installing {WHEEL} for VMAF");
    quietly(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    quietly(Command::new(folder.join("bin/pip")).args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        WHEEL,
    ]))?;
    program(folder)
}

fn program(folder: &Path) -> Result<PathBuf> {
    let mut command = Command::new(folder.join("bin/python"));
    command.args(["-c", "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"]);
    let path = PathBuf::from(quietly(&mut command)?.trim());
    let filters = quietly(Command::new(&path).args(["-hide_banner", "-filters"]))?;
    anyhow::ensure!(filters.contains("libvmaf"), "{} has no libvmaf", path.display());
    Ok(path)
}
