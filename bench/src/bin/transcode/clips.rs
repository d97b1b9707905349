//! What is transcoded. Made by ffmpeg from formulas, so that nobody's rights are in it: a textured scene under a moving camera with a
//! moving subject and grain (as natural as formulas get), a zoom into ever new detail, and a synthetic screen with hard edges.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use media::time::FrameRate;

use super::quietly;

/// One clip.
#[derive(Debug)]
pub(crate) struct Clip {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) rate: FrameRate,
    pub(crate) seconds: f64,
}

const FPS: u32 = 30;
/// Seconds of each GOP.
const GOP_SECONDS: u32 = 2;
/// Raise when a clip is made otherwise: kept files of an older kind are then not used.
const KIND: u32 = 1;

/// Name, ffmpeg's inputs, and what becomes of them.
const MADE: [(&str, &[&str], &str); 3] = [
    (
        "scene",
        &[
            "mandelbrot=s=1920x1080:r=30:start_scale=0.02:end_scale=0.02:start_x=-0.743643887037:start_y=-0.131825904205,trim=end_frame=1,loop=loop=-1:size=1,setpts=N/30/TB",
            "mandelbrot=s=240x240:r=30:end_pts=500,scale=360:360",
        ],
        "[0]crop=1600:900:x='160+150*sin(t*1.3)':y='90+80*cos(t*0.9)',scale=1280:720:flags=bicubic,gblur=sigma=1.2,hue=h='40*t'[far];[far][1]overlay=x='460+420*sin(t*0.8)':y='180+150*cos(t*1.7)',noise=alls=4:allf=t",
    ),
    (
        "zoom",
        &["mandelbrot=s=640x360:r=30:end_pts=900"],
        "[0]scale=1280:720:flags=bicubic,gblur=sigma=1,noise=alls=3:allf=t",
    ),
    (
        "screen",
        &["testsrc2=s=1280x720:r=30", "gradients=s=1280x720:r=30:speed=0.02:seed=7"],
        "[0][1]blend=all_expr='if(gt(mod(X+Y,640),320),A,B)'",
    ),
];

/// The clips named, or all that are made here; makes what is not there yet.
pub(crate) fn find(wanted: &[String], seconds: u32, folder: &Path) -> Result<Vec<Clip>> {
    let folder = folder.join("clips");
    std::fs::create_dir_all(&folder)?;
    let all: Vec<String> = MADE.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let wanted = if wanted.is_empty() { &all } else { wanted };
    let clip = |name: &String| -> Result<Clip> {
        let made = MADE.iter().find(|(known, ..)| known == name);
        let file = match made {
            Some((_, inputs, graph)) => make(name, inputs, graph, seconds, &folder)?,
            None => remux(Path::new(name), &folder)?,
        };
        read(name, file)
    };
    wanted.iter().map(clip).collect()
}

fn make(name: &str, inputs: &[&str], graph: &str, seconds: u32, folder: &Path) -> Result<PathBuf> {
    let file = folder.join(format!("{name}-{seconds}s-{KIND}.flv"));
    if file.exists() {
        return Ok(file);
    }
    eprintln!("making the clip {name}");
    let (gop, part) = ((FPS * GOP_SECONDS).to_string(), file.with_extension("part"));
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y"]);
    for input in inputs {
        command.args(["-f", "lavfi", "-i", input]);
    }
    command.args(["-f", "lavfi", "-i", "sine=frequency=220:sample_rate=48000"]);
    command
        .args(["-filter_complex", &format!("{graph},format=yuv420p[out]"), "-map", "[out]"])
        .args(["-map", &format!("{}:a", inputs.len()), "-t", &seconds.to_string(), "-r", &FPS.to_string()])
        .args(["-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-maxrate", "20M", "-bufsize", "20M"])
        .args(["-g", &gop, "-keyint_min", &gop, "-sc_threshold", "0", "-flags", "+cgop+bitexact"])
        .args(["-c:a", "aac", "-b:a", "128k", "-f", "flv"])
        .arg(&part);
    quietly(&mut command)?;
    std::fs::rename(&part, &file)?;
    Ok(file)
}

/// Somebody's own clip, as a broadcaster would send it.
fn remux(from: &Path, folder: &Path) -> Result<PathBuf> {
    ensure!(from.exists(), "{} is neither a clip that is made here nor a file", from.display());
    let name = from.file_stem().context("a clip needs a name")?.to_string_lossy().into_owned();
    let file = folder.join(format!("{name}.flv"));
    let mut command = Command::new("ffmpeg");
    command
        .args(["-v", "error", "-y", "-i"])
        .arg(from)
        .args(["-map", "0:v:0", "-map", "0:a:0?", "-c", "copy"])
        .arg(&file);
    quietly(&mut command)?;
    Ok(file)
}

fn read(name: &str, file: PathBuf) -> Result<Clip> {
    let mut command = Command::new("ffprobe");
    command
        .args(["-v", "error", "-select_streams", "v:0", "-count_packets", "-of", "default=nk=1:nw=1"])
        .args(["-show_entries", "stream=width,height,r_frame_rate,nb_read_packets"])
        .arg(&file);
    let text = quietly(&mut command)?;
    let mut lines = text.lines();
    let (Some(width), Some(height), Some(rate), Some(pictures)) =
        (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        bail!("{}: ffprobe says {text}", file.display())
    };
    let (num, den) = rate.split_once('/').context("a frame rate")?;
    let rate = FrameRate { num: num.parse()?, den: den.parse()? };
    let pictures: u32 = pictures.parse()?;
    let seconds = f64::from(pictures) * f64::from(rate.den) / f64::from(rate.num);
    let name = Path::new(name)
        .file_stem()
        .map_or_else(|| name.to_owned(), |stem| stem.to_string_lossy().into_owned());
    Ok(Clip { name, file, width: width.parse()?, height: height.parse()?, rate, seconds })
}

impl Clip {
    /// Pictures per GOP that the other side is told.
    pub(crate) fn gop(&self) -> u32 {
        (self.rate.num * GOP_SECONDS).div_ceil(self.rate.den)
    }

    pub(crate) fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }
}
