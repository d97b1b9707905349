#!/bin/sh
# Fuzzes: every target for TIME seconds (60), or the TARGET that is named; see docs/FUZZING.md. Builds with the project's own compiler:
# libFuzzer wants instrumentation that stable Rust has but does not promise, hence RUSTC_BOOTSTRAP.
#
# What is found on the way is kept in target/fuzz/corpus; what fails is written to target/fuzz/artifacts and ends the run.
# MERGE=1 does not fuzz but puts what adds coverage, smallest first, into the committed corpora.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
time=${TIME:-60}
work=${FUZZ_DIR:-$root/target/fuzz}
# Most bytes of an input, of memory (MB), and of seconds for one input (by the clock on the wall: a starved machine needs more).
longest=${MAX_LEN:-16384}
memory=${MEMORY_MB:-1024}
slowest=${SLOWEST:-60}

say() { printf '%s\n' "fuzz: $*" >&2; }

host=$(rustc -vV | sed -n 's/^host: //p')
# The counters and comparisons that libFuzzer is guided by.
sancov="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
        -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
build() {
    # With --target, build scripts and macros are built without.
    # shellcheck disable=SC2086 # the flags are words
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="$(echo $sancov) --cfg fuzzing" CARGO_TARGET_DIR="$work/build" \
        cargo build --quiet --release --locked --target "$host" --manifest-path "$1/fuzz/Cargo.toml" --bins
}

status=0
for crate in media ingest-edge; do
    targets=$(cd "$root/$crate/fuzz/fuzz_targets" && ls | sed 's/\.rs$//')
    if [ -n "${TARGET:-}" ]; then
        echo "$targets" | grep -qx "$TARGET" || continue
        targets=$TARGET
    fi
    build "$root/$crate"
    for target in $targets; do
        program=$work/build/$host/release/$target
        corpus=$work/corpus/$crate/$target
        committed=$root/$crate/fuzz/corpus/$target
        artifacts=$work/artifacts/$crate-$target-
        mkdir -p "$corpus" "$work/artifacts" "$committed"
        if [ -n "${MERGE:-}" ]; then
            "$program" -merge=1 -max_len=2048 "$committed" "$corpus" 2>&1 | grep '^MERGE-OUTER.*new' >&2 || true
            continue
        fi
        say "$crate: $target, $time s"
        if ! "$program" "$corpus" "$committed" -max_total_time="$time" -max_len="$longest" -timeout="$slowest" \
            -rss_limit_mb="$memory" -artifact_prefix="$artifacts" -print_final_stats=1 -verbosity=${VERBOSITY:-1} \
            >"$work/$crate-$target.log" 2>&1; then
            tail -n 40 "$work/$crate-$target.log" >&2
            say "$crate: $target FAILED; the input is $artifacts…"
            status=1
            continue
        fi
        sed -n 's/^stat::number_of_executed_units: */executed /p; s/^stat::peak_rss_mb: */peak MB /p' "$work/$crate-$target.log" |
            tr '\n' ' ' >&2
        sed -n 's/.*\(cov: [0-9]* ft: [0-9]* corp: [0-9/A-Za-z]*\).*/\1/p' "$work/$crate-$target.log" | tail -n 1 >&2
    done
done
exit "$status"
