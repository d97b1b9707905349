//! Transcoding real GOPs.

mod support;

use encoder_task::transcode::{Plan, Preset, transcode};
use media::ladder::Profile;
use support::Source;

const PLAN: Plan = Plan { profile: Profile::P720, preset: Preset::Veryfast, threads: 2 };

#[test]
fn timing() {
    let chunks = Source { size: (1280, 720), gop: 60, gops: 3, ..Source::default() }.chunks();
    for preset in Preset::BEST_FIRST {
        for chunk in &chunks {
            let t = std::time::Instant::now();
            let cpu = cpu();
            let out = transcode(chunk, &Plan { preset: *preset, ..PLAN }).unwrap();
            eprintln!(
                "{preset:?} {:?} cpu {:.2} {:?}",
                t.elapsed(),
                self::cpu() - cpu,
                out.tracks
                    .iter()
                    .map(|t| t.samples.iter().map(|s| s.data.len()).sum::<usize>() * 4 / 1000)
                    .collect::<Vec<_>>()
            );
        }
    }
    eprintln!("{:?}", encoder_task::transcode::measure(2));
}
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(") ").next().unwrap().split(' ').collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
