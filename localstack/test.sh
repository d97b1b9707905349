#!/bin/sh
# Runs the end-to-end tests with LocalStack's S3 and DynamoDB; Lambda, the CDN and all else stay ours, for LocalStack runs none without Docker.
# Wants built programs (`make check`). Arguments go to the test runner: `test.sh --test refusals`.
#
# Left out: tests that break what is stored behind gopcast's back or kill the embedded AWS itself need that one.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || set -- --test publish_watch_replay --test refusals --test restart --test three_lives --test enhanced --test chaos
exec "$here/emulator.sh" localstack sh -c 'export E2E_S3_AT=$EMULATOR_AT E2E_DYNAMODB_AT=$EMULATOR_AT CARGO_NET_OFFLINE=true; exec "$@"' test \
    "$here/../scripts/tests.sh" "$@"
