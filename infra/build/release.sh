#!/bin/sh
# Packs a release of this machine's architecture: target/release-VERSION/gopcast-VERSION-ARCH.tar.gz with the programs and the pages, an SBOM
# beside it, and checksums of all. The same bytes from the same programs: order, owners and times in the archive are fixed.
#
# Wants what `make build` makes. The function's zip files go in as well where `make lambda` has made them.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
die() { printf 'release: %s\n' "$*" >&2; exit 1; }
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
[ -n "$version" ] || die "no version in Cargo.toml"
arch=$(uname -m)
name=gopcast-$version-linux-$arch
out=$root/target/release-$version
rm -rf "$out"
mkdir -p "$out/$name"

for program in gopcast ingest-edge gateway-fn events-fn encoder-task; do
    [ -x "target/release/$program" ] || die "target/release/$program is missing: make build"
    install -m 0755 "target/release/$program" "$out/$name/$program"
done
[ -f player/dist/index.html ] || die "player/dist is missing: make build"
cp -R player/dist "$out/$name/player"
cp LICENSE README.md "$out/$name/"
cp -R docs "$out/$name/docs"
printf '%s\n' "$version" >"$out/$name/VERSION"

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 315532800)
export SOURCE_DATE_EPOCH
python3 infra/build/sbom.py "$version" >"$out/$name.cdx.json"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$out" -c "$name" | gzip -n -9 >"$out/$name.tar.gz"
rm -rf "${out:?}/$name"
for zip in target/lambda/gateway-fn-*.zip target/lambda/events-fn-*.zip; do
    [ ! -e "$zip" ] || cp "$zip" "$out/"
done
(cd "$out" && sha256sum -- * >SHA256SUMS)
ls -l "$out"
