#!/bin/sh
# Builds the two images, with an SBOM and provenance attached, and pushes them where the stack's outputs say.
#
# TAG        their tag; default: the commit
# PLATFORM   default linux/arm64, what infra/data/services.json runs
# EDGE_REPOSITORY, ENCODER_REPOSITORY   where to push; default: `terraform output` of infra/. None: built only, into target/images/.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
die() { printf 'images: %s\n' "$*" >&2; exit 1; }

docker buildx version >/dev/null 2>&1 || die "docker with buildx is missing"
docker info >/dev/null 2>&1 || die "the docker daemon does not answer"
tag=${TAG:-$(git rev-parse --short=12 HEAD)}
platform=${PLATFORM:-linux/arm64}
repositories=$(cd infra && terraform output -json repositories 2>/dev/null) || repositories='{}'
of() { printf '%s' "$repositories" | python3 -c "import json, sys; print(json.load(sys.stdin).get('$1', ''))"; }

build() { # crate, repository
    if [ -n "$2" ]; then
        docker buildx build --platform "$platform" --sbom=true --provenance=mode=max -f "$1/Dockerfile" -t "$2:$tag" --push .
    else
        mkdir -p target/images
        docker buildx build --platform "$platform" --sbom=true --provenance=mode=max -f "$1/Dockerfile" -o "type=oci,dest=target/images/$1-$tag.tar" .
        ls -l "target/images/$1-$tag.tar"
    fi
}
build ingest-edge "${EDGE_REPOSITORY:-$(of edge)}"
build encoder-task "${ENCODER_REPOSITORY:-$(of encoder)}"
printf 'images: image_tag = "%s"\n' "$tag" >&2
