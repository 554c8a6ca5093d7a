#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Finds or makes the base image for `make image`, and prints its name: Debian's own where its registry can be
# reached, else localhost/debian:bookworm-slim of the packages of this machine's Debian mirror, by debootstrap
# (root). Then: BASE=$(deploy/image/base.sh) deploy/image/build.sh
set -eu
cd "$(dirname "$0")/../.."
. deploy/image/engine.sh
. deploy/image/debian.sh
find_engine
official=docker.io/library/debian:bookworm-slim
made=localhost/debian:bookworm-slim

for image in "$official" "$made"; do
    if "$ENGINE" inspect --type image "$image" >/dev/null 2>&1; then
        echo "$image"
        exit 0
    fi
done
if timeout "${PULL_SECONDS:-60}" "$ENGINE" pull -q "$official" >/dev/null 2>&1; then
    echo "$official"
    exit 0
fi

echo "base: $official cannot be had; made from the Debian mirror instead" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
make_debian bookworm "$root"

# What Debian's own -slim image leaves out: documents but for licences.
find "$root/usr/share/doc" -type f ! -name copyright -delete
rm -rf "$root"/usr/share/man/* "$root"/usr/share/info/* "$root"/usr/share/locale/* "$root"/usr/share/lintian \
    "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*.log
if [ "$ENGINE" = buildah ]; then
    container=$(buildah from scratch)
    buildah add -q "$container" "$root" / >/dev/null
    buildah commit -q "$container" "$made" >/dev/null
    buildah rm "$container" >/dev/null
else
    tar -C "$root" --numeric-owner -c . | "$ENGINE" import - "$made" >/dev/null
fi
echo "$made"
