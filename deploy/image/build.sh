#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds images and puts the list of what each is made of beside them, into build/image.
# usage: deploy/image/build.sh [server] [tools] [trainer]     (none named: all)
# IMAGE, TRAINER_IMAGE, TOOLS_IMAGE: their names; BASE: another Debian image; ENGINE: podman, docker or
# buildah; BUILD_FLAGS: more flags of its build command; REVISION, SOURCE, SOURCE_DATE_EPOCH: what git says.
#
# One commit gives the same layers each time, as long as the base image and Debian's packages are the same.
set -eu
cd "$(dirname "$0")/../.."
. deploy/image/engine.sh
[ $# -gt 0 ] || set -- server tools trainer
for target in "$@"; do image_of "$target" >/dev/null; done
find_engine

# From the checkout, unless they are given.
SOURCE=${SOURCE:-}
if [ -z "${REVISION:-}" ] && commit=$(git rev-parse HEAD 2>/dev/null); then
    REVISION=$commit
    changed=$(git status --porcelain -- Dockerfile Makefile LICENSE include src deploy/image)
    [ -z "$changed" ] || REVISION=$commit-changed
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
    case $SOURCE$(git remote get-url origin 2>/dev/null) in
    https://*@*) ;; # may hold a password
    https://*) SOURCE=${SOURCE:-$(git remote get-url origin)} ;;
    esac
fi
REVISION=${REVISION:-unknown}
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-0}"

# Every file of the layers has been given this time; docker's own times of folders come from the variable.
case $ENGINE in
docker) times= ;;
*) times="--timestamp $SOURCE_DATE_EPOCH --layers" ;;
esac

sbom_of() { # IMAGE, PATH in it
    case $ENGINE in
    buildah)
        container=$(buildah from --pull-never "$1")
        mounted=$(buildah mount "$container")
        cat "$mounted$2"
        buildah rm "$container" >/dev/null
        ;;
    *)
        container=$("$ENGINE" create "$1" none)
        "$ENGINE" cp "$container:$2" - | tar -xO
        "$ENGINE" rm "$container" >/dev/null
        ;;
    esac
}

mkdir -p build/image
for target in "$@"; do
    image=$(image_of "$target")
    # shellcheck disable=SC2086 # lists of flags
    "$ENGINE" build $times ${BUILD_FLAGS:-} --target "$target" -t "$image" \
        --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" --build-arg "VERSION=$VERSION" \
        --build-arg "REVISION=$REVISION" --build-arg "SOURCE=$SOURCE" ${BASE:+--build-arg "BASE=$BASE"} -f Dockerfile . || {
        [ -n "${BASE:-}" ] || echo "build: where docker.io cannot be reached: BASE=\$(deploy/image/base.sh) make image" >&2
        exit 1
    }
    sbom_of "$image" "/usr/share/doc/dcnv2-$target/sbom.spdx.json" >"build/image/dcnv2-$target.spdx.json"
    case $ENGINE in
    buildah) size=$(buildah inspect --type image --format '{{.FromImageID}}' "$image") ;;
    *) size="$("$ENGINE" image inspect --format '{{.Size}}' "$image") bytes" ;;
    esac
    echo "$image: $size; made of what build/image/dcnv2-$target.spdx.json lists"
done
