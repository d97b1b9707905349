//! What the benchmarks share: paired alternating runs, what a child process costs, medians and ratios, and reports.
//!
//! A benchmark is a program under `src/bin/`, run by `make bench-…`. It compares two ways of doing the same in alternating runs, so that
//! what else the machine does meets both, and judges by processor time where it can: wall time is only true on an idle machine.
//! Goals are printed beside what was measured; nothing fails by being slow.

pub mod cost;
pub mod report;
pub mod stats;
