#!/bin/sh
# Builds the functions' zip files (the gateway, and what forwards events), for arm64 and x86_64, the same bytes from the same source:
# target/lambda/FUNCTION-ARCH.zip.
#
# cargo-lambda and zig come from PyPI into target/tools, unless cargo-lambda is installed. `lambda.sh arm64` builds one of the two.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
die() { printf 'lambda: %s\n' "$*" >&2; exit 1; }

# The newest glibc of the runtime provided.al2023 (Amazon Linux 2023).
glibc=2.34
# What a function may weigh, zipped: a cold start reads all of it.
zip_max=10485760
version=1.9.2

if ! command -v cargo-lambda >/dev/null; then
    venv=$root/target/tools/cargo-lambda-$version
    [ -e "$venv/complete" ] || {
        python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check "cargo-lambda==$version" >&2
        : >"$venv/complete"
    }
    PATH=$venv/bin:$PATH
fi
# Paths of this machine are not in the binary, nor is the time.
export RUSTFLAGS="--remap-path-prefix=$root=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo" SOURCE_DATE_EPOCH=315532800
for arch in ${1:-arm64 x86_64}; do
    case $arch in
        arm64) target=aarch64-unknown-linux-gnu ;;
        x86_64) target=x86_64-unknown-linux-gnu ;;
        *) die "arm64 or x86_64, not $arch" ;;
    esac
    if command -v rustup >/dev/null; then rustup target add "$target" >&2; fi
    cargo lambda build --release --locked -p gateway-fn -p events-fn --target "$target.$glibc" --lambda-dir "target/lambda/$arch" >&2
    for function in gateway-fn events-fn; do
        python3 infra/build/zip.py "target/lambda/$arch/$function/bootstrap" "target/lambda/$function-$arch.zip" "$glibc" "$zip_max"
    done
done
