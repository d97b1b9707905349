#!/bin/sh
# Checks the images where there is no container engine: makes the root file systems that the Dockerfiles describe with debootstrap, puts the
# binaries and scripts in, and starts them there as the images' user. Wants root, a Debian mirror, and built binaries.
#
# Usage: rootfs.sh DIRECTORY-OF-BINARIES
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$(cd "$1" && pwd)
work=$root/target/rootfs
mkdir -p "$work"
say() { printf 'rootfs: %s\n' "$*"; }
die() { say "$*" >&2; exit 1; }

if ! command -v debootstrap >/dev/null; then
    [ -d "$work/debootstrap" ] || (cd "$work" && apt-get -q download debootstrap && dpkg-deb -x debootstrap_*.deb debootstrap) >/dev/null 2>&1 || die "debootstrap is missing"
    export DEBOOTSTRAP_DIR="$work/debootstrap/usr/share/debootstrap" PATH="$PATH:$work/debootstrap/usr/sbin"
fi

# The packages that the last stage of a Dockerfile installs.
packages() {
    sed -e ':join' -e '/\\$/{N;s/\\\n//;b join' -e '}' "$1" | sed -n '/^FROM debian/,$p' |
        sed -n 's/.*--no-install-recommends \([^&]*\)&&.*/\1/p' | tr -s ' ' ',' | sed 's/^,//; s/,$//'
}

# $1: crate. Leaves the root in $work/$1.
build() {
    rm -rf "${work:?}/$1"
    debootstrap --variant=minbase --include="$(packages "$root/$1/Dockerfile")" bookworm "$work/$1" >"$work/$1.log" 2>&1 ||
        { tail -5 "$work/$1.log" >&2; die "the root of $1 could not be made"; }
    rm -rf "$work/$1/var/cache/apt" "$work/$1/var/lib/apt/lists"
    install -m 0755 "$bin/$1" "$work/$1/usr/local/bin/$1"
}
# $1: crate, then a command to run in its root, as its user.
inside() {
    crate=$1
    shift
    chroot --userspec=65532:65532 "$work/$crate" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin "$@"
}

build ingest-edge
install -m 0755 "$root/ingest-edge/entrypoint.sh" "$work/ingest-edge/usr/local/bin/"
install -d -o 65532 -g 65532 -m 0700 "$work/ingest-edge/run/gopcast"
said=$(inside ingest-edge GOPCAST_TLS_CERT=/run/gopcast/c.pem GOPCAST_TLS_KEY=/run/gopcast/k.pem GOPCAST_TLS_CERT_PEM=certificate GOPCAST_TLS_KEY_PEM=key \
    entrypoint.sh 2>&1) && die "the edge started without a bucket"
case $said in *"GOPCAST_BUCKET is not set"*) ;; *) die "the edge says: $said" ;; esac
[ "$(stat -c '%a %u' "$work/ingest-edge/run/gopcast/k.pem")" = "600 65532" ] || die "the key is not the edge's alone"
say "ingest-edge starts; its root is $(du -sm "$work/ingest-edge" | cut -f1) MB"

build encoder-task
install -m 0755 "$root/encoder-task/healthz" "$root/encoder-task/protect" "$work/encoder-task/usr/local/bin/"
said=$(inside encoder-task encoder-task 2>&1) && die "the encoder started without a bucket"
case $said in *"GOPCAST_BUCKET is not set"*) ;; *) die "the encoder says: $said" ;; esac
# Transcodes, and so loads all of FFmpeg.
inside encoder-task encoder-task measure
inside encoder-task protect >/dev/null
say "encoder-task starts and transcodes; its root is $(du -sm "$work/encoder-task" | cut -f1) MB"
rm -rf "$work/ingest-edge" "$work/encoder-task"
