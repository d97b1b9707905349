#!/bin/sh
# Runs all Rust tests: unit, property and end-to-end. The end-to-end tests start the programs in target/debug; `make check` builds them.
set -eu
cd "$(dirname "$0")/.."
if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run --locked --workspace --no-fail-fast "$@"
fi
# One test of a program at a time: the end-to-end tests each need the machine for themselves.
exec cargo test --locked --workspace --no-fail-fast "$@" -- --test-threads=1
