//! What a child process costs.

use std::{process::Command, time::Instant};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::{
        resource::{Usage, UsageWho, getrusage},
        time::TimeValLike,
    },
    unistd::Pid,
};
use serde::Serialize;

/// Seconds that some work took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Of all cores together, in user and kernel mode, with the work's own children.
    pub cpu_seconds: f64,
    /// From start to end.
    pub wall_seconds: f64,
}

fn cpu_seconds(usage: &Usage) -> f64 {
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0)).as_secs_f64()
}

/// Runs `command` to its end. No other child of this process may end meanwhile: the kernel counts them together.
///
/// # Errors
/// When it can't be started, or fails.
pub fn run(command: &mut Command) -> Result<Cost> {
    let children = || getrusage(UsageWho::RUSAGE_CHILDREN).context("reading what children have used");
    let (before, began) = (children()?, Instant::now());
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    let wall_seconds = began.elapsed().as_secs_f64();
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(Cost { cpu_seconds: cpu_seconds(&children()?) - cpu_seconds(&before), wall_seconds })
}

/// Processor time that a running process has used so far, from `/proc`; `None` if it is gone or this is not Linux.
#[must_use]
pub fn cpu_of(process: Pid) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // After the name, which may hold anything but ends with the last parenthesis: fields 14 and 15, in clock ticks (proc(5)).
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    let sum = ticks()?.checked_add(ticks()?)?;
    Some(f64::from(sum) / CLOCK_TICKS)
}

/// `sysconf(_SC_CLK_TCK)`: 100 on every Linux that Rust runs on.
const CLOCK_TICKS: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_works_costs_processor_time_and_one_that_sleeps_does_not() {
        let busy = run(Command::new("sh").args(["-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"]))
            .unwrap();
        let idle = run(Command::new("sleep").arg("0.2")).unwrap();
        assert!(busy.cpu_seconds > idle.cpu_seconds, "{busy:?} {idle:?}");
        assert!(idle.wall_seconds >= 0.2);
        assert!(run(&mut Command::new("false")).is_err());
        assert!(cpu_of(Pid::this()).is_some());
    }
}
