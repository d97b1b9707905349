#!/bin/sh
# What the functions' zip files promise: infra/build/lambda.sh sees to glibc and size; here they are built twice, the second time from a copy
# of the sources elsewhere, and must be the same bytes; then each is started against a Runtime API (lambda.py).
#
# Usage: lambda.sh [arm64|x86_64]. START_MS: most milliseconds of a start, 50 unless a busy machine needs more.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
arches=${1:-arm64 x86_64}
infra/build/lambda.sh $arches
copy=$root/target/lambda-check
rm -rf "$copy"
mkdir -p "$copy"
git ls-files -z --cached --others --exclude-standard | tar c --null -T - 2>/dev/null | tar x -C "$copy"
mkdir -p "$copy/target"
ln -s "$root/target/tools" "$copy/target/tools"
printf 'lambda-check: the same again, from %s\n' "$copy" >&2
"$copy/infra/build/lambda.sh" $arches
for arch in $arches; do
    for zip in gateway-fn-$arch.zip events-fn-$arch.zip; do
        cmp "target/lambda/$zip" "$copy/target/lambda/$zip" || { printf 'lambda-check: %s: not the same bytes\n' "$zip" >&2; exit 1; }
        printf 'lambda-check: %s: the same bytes twice\n' "$zip" >&2
        python3 infra/check/lambda.py "target/lambda/$zip" "${START_MS:-50}"
    done
done
rm -rf "$copy"
