#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Finds or makes the base image for `make image`, and prints its name: Debian's own where its registry can be
# reached, else localhost/debian:bookworm-slim of the packages of this machine's Debian mirror, by debootstrap
# (root). Then: BASE=$(deploy/image/base.sh) deploy/image/build.sh
set -eu
cd "$(dirname "$0")/../.."
. deploy/image/engine.sh
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
command -v debootstrap >/dev/null || { echo "base: debootstrap is missing: deploy/local/install.sh image" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || { echo "base: debootstrap needs root" >&2; exit 1; }
mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)\{0,1\}\([^ ]*\) .*/\2/p' \
    /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | head -1)
[ -n "$mirror" ] || { echo "base: no Debian mirror in /etc/apt" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
debootstrap --variant=minbase bookworm "$root" "$mirror" >"$work/log" 2>&1 || { tail -5 "$work/log" >&2; exit 1; }

# What Debian's own -slim image leaves out: documents but for licences.
find "$root/usr/share/doc" -type f ! -name copyright -delete
rm -rf "$root"/usr/share/man/* "$root"/usr/share/info/* "$root"/usr/share/locale/* "$root"/usr/share/lintian \
    "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*.log
# Packages come from where this machine has its own.
rm -f "$root/etc/apt/sources.list"
cp -a /etc/apt/sources.list.d/*.sources "$root/etc/apt/sources.list.d/" 2>/dev/null ||
    cp -a /etc/apt/sources.list "$root/etc/apt/"
for file in /etc/apt/apt.conf.d/99* /etc/apt/apt.conf.d/*proxy*; do
    [ ! -f "$file" ] || cp -a "$file" "$root/etc/apt/apt.conf.d/"
done
if [ "$ENGINE" = buildah ]; then
    container=$(buildah from scratch)
    buildah add -q "$container" "$root" / >/dev/null
    buildah commit -q "$container" "$made" >/dev/null
    buildah rm "$container" >/dev/null
else
    tar -C "$root" --numeric-owner -c . | "$ENGINE" import - "$made" >/dev/null
fi
echo "$made"
