#!/bin/sh
# Runs the conformance suite (tests/conformance) over the embedded AWS, LocalStack and moto. `conformance.sh moto` runs one of them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
cargo build -q --locked -p localstack --tests
failed=
for backend in ${1:-embedded localstack moto}; do
    printf 'conformance: %s\n' "$backend" >&2
    if [ "$backend" = embedded ]; then
        cargo test -q --locked -p localstack --test conformance -- --nocapture || failed="$failed $backend"
    else
        "$here/emulator.sh" "$backend" sh -c "GOPCAST_CONFORMANCE=$backend GOPCAST_CONFORMANCE_S3=\$EMULATOR_AT \
            GOPCAST_CONFORMANCE_DYNAMODB=\$EMULATOR_AT cargo test -q --locked --offline -p localstack --test conformance -- --nocapture" ||
            failed="$failed $backend"
    fi
done
[ -z "$failed" ] || { printf 'conformance: not as expected:%s\n' "$failed" >&2; exit 1; }
