//! The ladder of new lives when none is asked for: the highest that this machine transcodes live, as the encoder itself measures it, once
//! per data directory and number of cores.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, bail};
use media::ladder::Profile;
use serde::{Deserialize, Serialize};

use crate::data_dir::{DataDir, read_optional};

const FILE: &str = "capacity.json";
/// The measurement takes a second on an idle machine; on one that is this much slower its result means nothing.
const MEASURE_MAX: Duration = Duration::from_secs(15);

/// What `encoder-task measure` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    ladder: Profile,
    #[serde(flatten)]
    details: serde_json::Map<String, serde_json::Value>,
}

impl Measured {
    /// The highest ladder that the machine holds live.
    #[must_use]
    pub(crate) fn ladder(&self) -> Profile {
        self.ladder
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    cpus: usize,
    #[serde(flatten)]
    measured: Measured,
}

/// The number of cores that this process may use.
#[must_use]
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The ladder that the machine holds live: kept, else measured, else by rule.
pub(crate) async fn choose(dir: &DataDir, encoder: &Path) -> Profile {
    let cpus = cpus();
    let kept = read_optional(&dir.file(FILE)).ok().flatten();
    if let Some(kept) = kept.and_then(|text| serde_json::from_str::<Kept>(&text).ok())
        && kept.cpus == cpus
        // Less than the rule says: perhaps the machine was busy then. Another second will tell.
        && kept.measured.ladder >= by_cores(cpus)
    {
        return kept.measured.ladder;
    }
    match measure(encoder).await {
        Ok(measured) => {
            let ladder = measured.ladder;
            let kept = serde_json::to_vec_pretty(&Kept { cpus, measured }).map_err(anyhow::Error::from);
            if let Err(error) = kept.and_then(|kept| dir.write_private(FILE, &kept)) {
                tracing::warn!(error = %error, "the measurement is not kept");
            }
            ladder
        }
        Err(error) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "measuring failed, the ladder is chosen by the number of cores"
            );
            by_cores(cpus)
        }
    }
}

/// Asks the encoder to measure this machine.
///
/// # Errors
/// When it can't be started, or fails.
pub(crate) async fn measure(encoder: &Path) -> anyhow::Result<Measured> {
    let mut command = tokio::process::Command::new(encoder);
    command.arg("measure").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(MEASURE_MAX, command.output()).await.context("it took too long")?;
    let output = output.with_context(|| format!("starting {}", encoder.display()))?;
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("reading its result")
}

/// A rule of thumb from measurements with x264's superfast preset: a ladder takes at most half of the cores.
#[must_use]
pub(crate) fn by_cores(cpus: usize) -> Profile {
    match cpus {
        0..=1 => Profile::P360,
        2..=3 => Profile::P720,
        4..=7 => Profile::P1080,
        8..=15 => Profile::P1440,
        _ => Profile::P2160,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn encoder(dir: &Path, script: &str) -> std::path::PathBuf {
        let path = dir.join("encoder-task");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn measured_once_and_kept() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = DataDir::create(&tmp.path().join("data")).unwrap();
        let says = |ladder| format!(r#"echo '{{"pixels_per_second":{{"veryfast":5}},"ladder":"{ladder}"}}'"#);
        let busy = encoder(tmp.path(), &says("360p"));
        assert_eq!(choose(&dir, &busy).await, Profile::P360);
        let idle = encoder(tmp.path(), &says("2160p"));
        let expected = if by_cores(cpus()) == Profile::P360 { Profile::P360 } else { Profile::P2160 };
        assert_eq!(choose(&dir, &idle).await, expected);
        assert_eq!(choose(&dir, Path::new("/nowhere")).await, expected);
        let kept = read_optional(&dir.file(FILE)).unwrap().unwrap();
        assert!(kept.contains("veryfast"));
    }

    #[tokio::test]
    async fn by_rule_when_it_can_not_be_measured() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = DataDir::create(&tmp.path().join("data")).unwrap();
        assert_eq!(choose(&dir, &encoder(tmp.path(), "exit 1")).await, by_cores(cpus()));
        assert_eq!(by_cores(2), Profile::P720);
    }
}
