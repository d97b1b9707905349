//! `bench-transcode`: what the encoder's ladder costs and looks like, paired against one ffmpeg command that makes the same ladder for
//! DASH: same clip, same preset, bit rates and GOPs. See `docs/BENCHMARKS.md`.

mod clips;
mod commit;
mod ffmpeg;
mod quality;
mod work;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use bench::{
    cost::{self, Cost},
    report::{self, Table, verdict},
    stats::{mean, median, median_ratio, paired},
};
use clap::{Parser, Subcommand, ValueEnum};
use encoder_task::transcode::Preset;
use media::{ladder::Profile, time::FrameRate};
use serde::Serialize;

use quality::{Meter, Quality};

/// CPU of the ladder, at most, as a share of ffmpeg's.
const CPU_GOAL: f64 = 0.90;
/// How far the bit rates of the two sides may be apart, in percent, for their pictures to be compared.
const RATE_TOLERANCE_PERCENT: f64 = 5.0;

/// Compares the encoder with one ffmpeg command.
#[derive(Debug, Parser)]
#[command(name = "bench-transcode")]
struct Arguments {
    #[command(subcommand)]
    step: Option<Step>,
    /// The ladder's profile
    #[arg(long, default_value = "720p")]
    ladder: Profile,
    /// x264's preset, on both sides
    #[arg(long, value_enum, default_value = "veryfast")]
    preset: Speed,
    /// Seconds of each clip
    #[arg(long, default_value_t = 12)]
    seconds: u32,
    /// Paired runs per clip
    #[arg(long, default_value_t = 3)]
    pairs: usize,
    /// Clips to use: those that are made here, or files with H.264 of closed GOPs [default: all that are made here]
    #[arg(long)]
    clip: Vec<String>,
    /// Leave out the pictures' quality
    #[arg(long)]
    no_quality: bool,
    /// Leave out the local stack: from "stored" and "encoded" to "the manifest lists it"
    #[arg(long)]
    no_stack: bool,
    /// Leave out the comparison with ffmpeg
    #[arg(long)]
    only_stack: bool,
    /// Where clips, results and the tools for VMAF are kept
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Make the ladder of one clip, as the encoder does: what is measured
    #[command(hide = true)]
    Work {
        clip: PathBuf,
        ladder: Profile,
        #[arg(value_enum)]
        preset: Speed,
        to: PathBuf,
    },
}

/// x264's presets that the encoder uses.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Speed {
    Veryfast,
    Superfast,
    Ultrafast,
}

impl From<Speed> for Preset {
    fn from(speed: Speed) -> Self {
        match speed {
            Speed::Veryfast => Self::Veryfast,
            Speed::Superfast => Self::Superfast,
            Speed::Ultrafast => Self::Ultrafast,
        }
    }
}

/// One rung of one side.
#[derive(Debug, Clone, Serialize)]
struct Rung {
    name: String,
    kbits: f64,
    quality: Option<Quality>,
}

/// What came of one clip.
#[derive(Debug, Serialize)]
struct Outcome {
    clip: String,
    seconds: f64,
    ours: Vec<Cost>,
    theirs: Vec<Cost>,
    cpu_ratio: f64,
    our_rungs: Vec<Rung>,
    their_rungs: Vec<Rung>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Step::Work { clip, ladder, preset, to }) = &arguments.step {
        return work::run(clip, *ladder, (*preset).into(), to);
    }
    let meter = if arguments.no_quality { None } else { Some(Meter::set_up(&arguments.folder)) };
    let mut tables = Vec::new();
    let mut outcomes = Vec::new();
    if !arguments.only_stack {
        for clip in clips::find(&arguments.clip, arguments.seconds, &arguments.folder)? {
            outcomes.push(compare(&clip, &arguments, meter.as_ref())?);
        }
        tables.extend(tables_of(&outcomes, &arguments));
    }
    let commits = if arguments.no_stack { None } else { Some(commit::measure(&arguments.folder)?) };
    tables.extend(commits.as_ref().map(commit::table));
    let data = serde_json::json!({ "transcode": outcomes, "commit": commits });
    report::publish(&arguments.folder, "transcode", &tables, &data)
}

/// Runs both sides on one clip.
fn compare(clip: &clips::Clip, arguments: &Arguments, meter: Option<&Meter>) -> Result<Outcome> {
    let renditions = arguments.ladder.renditions(clip.width, clip.height, Some(clip.rate));
    let folder = arguments.folder.join("out");
    let (mine, theirs) = (folder.join("gopcast"), folder.join("ffmpeg"));
    let preset = Preset::from(arguments.preset);
    let me = std::env::current_exe().context("finding this program")?;
    let fresh = |folder: &Path| -> Result<()> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        Ok(std::fs::create_dir_all(folder)?)
    };
    eprintln!("{}: {} pairs", clip.name, arguments.pairs);
    let runs = paired(
        arguments.pairs,
        || {
            fresh(&mine)?;
            let mut command = Command::new(&me);
            command.arg("work").arg(&clip.file).arg(arguments.ladder.name()).arg(preset.name()).arg(&mine);
            cost::run(&mut command)
        },
        || {
            fresh(&theirs)?;
            cost::run(&mut ffmpeg::command(clip, &renditions, preset, &theirs))
        },
    )?;
    ffmpeg::join(&theirs, &renditions)?;
    let rungs = |folder: &Path| -> Result<Vec<Rung>> {
        renditions
            .iter()
            .map(|rendition| {
                let file = folder.join(format!("{}.mp4", rendition.name));
                let bytes = std::fs::metadata(&file).with_context(|| format!("{}", file.display()))?.len();
                let bits = f64::from(u32::try_from(bytes * 8 / 1000)?);
                let quality = meter.map(|meter| meter.measure(&file, clip)).transpose()?;
                Ok(Rung { name: rendition.name.clone(), kbits: bits / clip.seconds, quality })
            })
            .collect()
    };
    let (ours, others): (Vec<Cost>, Vec<Cost>) = runs.into_iter().unzip();
    let pairs: Vec<(f64, f64)> =
        ours.iter().zip(&others).map(|(a, b)| (a.cpu_seconds, b.cpu_seconds)).collect();
    let cpu_ratio = median_ratio(&pairs).context("no run")?;
    Ok(Outcome {
        clip: clip.name.clone(),
        seconds: clip.seconds,
        ours,
        theirs: others,
        cpu_ratio,
        our_rungs: rungs(&mine)?,
        their_rungs: rungs(&theirs)?,
    })
}

/// One of a cost's figures.
type Pick = fn(&Cost) -> f64;

/// The rate's frames a second, for ffmpeg.
fn spelled(rate: FrameRate) -> String {
    format!("{}/{}", rate.num, rate.den)
}

fn tables_of(outcomes: &[Outcome], arguments: &Arguments) -> Vec<Table> {
    let preset = Preset::from(arguments.preset).name();
    let title = format!(
        "Ladder from {}, {preset}: cost per second of video, median of {} pairs",
        arguments.ladder, arguments.pairs
    );
    let columns =
        ["clip", "gopcast CPU s", "ffmpeg CPU s", "ratio", "goal", "gopcast wall s", "ffmpeg wall s"];
    let mut costs = Table::new(&title, &columns);
    let title = "Pictures: every rung scaled up to the clip's size, gopcast against ffmpeg";
    let columns =
        ["clip", "rung", "kbit/s", "ffmpeg kbit/s", "measure", "gopcast", "ffmpeg", "difference", "goal"];
    let mut pictures = Table::new(title, &columns);
    for outcome in outcomes {
        let each = |runs: &[Cost], pick: Pick| {
            let value = median(&runs.iter().map(pick).collect::<Vec<_>>());
            format!("{:.3}", value.unwrap_or(f64::NAN) / outcome.seconds)
        };
        let (cpu, wall): (Pick, Pick) = (|cost| cost.cpu_seconds, |cost| cost.wall_seconds);
        costs.row([
            outcome.clip.clone(),
            each(&outcome.ours, cpu),
            each(&outcome.theirs, cpu),
            format!("{:.2}", outcome.cpu_ratio),
            format!("≤ {CPU_GOAL:.2}: {}", verdict(outcome.cpu_ratio <= CPU_GOAL)),
            each(&outcome.ours, wall),
            each(&outcome.theirs, wall),
        ]);
        for (ours, theirs) in outcome.our_rungs.iter().zip(&outcome.their_rungs) {
            let (Some(mine), Some(others)) = (&ours.quality, &theirs.quality) else { continue };
            let apart = (ours.kbits / theirs.kbits - 1.0) * 100.0;
            let met = verdict(mine.mean >= others.mean);
            let judged = if apart.abs() <= RATE_TOLERANCE_PERCENT {
                met.to_owned()
            } else {
                format!("{met}, at {apart:+.0} % bits")
            };
            pictures.row([
                outcome.clip.clone(),
                ours.name.clone(),
                format!("{:.0}", ours.kbits),
                format!("{:.0}", theirs.kbits),
                mine.measure.to_owned(),
                format!("{:.2}", mine.mean),
                format!("{:.2}", others.mean),
                format!("{:+.2}", mine.mean - others.mean),
                judged,
            ]);
        }
    }
    let ratio = mean(&outcomes.iter().map(|outcome| outcome.cpu_ratio).collect::<Vec<_>>());
    if let (Some(ratio), true) = (ratio, outcomes.len() > 1) {
        let goal = format!("≤ {CPU_GOAL:.2}: {}", verdict(ratio <= CPU_GOAL));
        costs.row(["all", "", "", &format!("{ratio:.2}"), &goal, "", ""]);
    }
    if pictures.rows.is_empty() { vec![costs] } else { vec![costs, pictures] }
}

/// A command that must succeed, with its output kept away from the report.
fn quietly(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{command:?} failed: {text}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &text)
}
