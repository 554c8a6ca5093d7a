#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs by name what is missing of the packages for a purpose. Debian and Ubuntu.
# usage: deploy/local/install.sh build|test|bench|torch|fuzz|image|arm64|debian ..
set -eu

packages=
for purpose in "$@"; do
    case $purpose in
    build) packages="$packages gcc libc6-dev make binutils pkg-config libcjson-dev libnghttp2-dev libyaml-dev zlib1g-dev curl ca-certificates" ;;
    test) packages="$packages python3 python3-venv hey procps git clang-format libmicrohttpd-dev" ;; # the last: the benchmark must build
    bench) packages="$packages python3 python3-venv hey libmicrohttpd-dev" ;; # of the fixed reply that is measured against
    arm64) packages="$packages gcc-aarch64-linux-gnu qemu-user" ;;
    debian) packages="$packages debootstrap" ;;
    torch) packages="$packages g++ libtorch-dev libgloo-dev libopenblas0-serial" ;; # or BLAS is the slow reference
    fuzz) packages="$packages clang libclang-rt-dev" ;; # the second: libFuzzer and the sanitizers
    image) packages="$packages podman runc debootstrap ca-certificates" ;; # runc: crun, podman's first choice, refuses cgroup v1 beside v2
    *) echo "install.sh: unknown purpose '$purpose'; expected build, test, bench, torch, fuzz, image, arm64 or debian" >&2; exit 2 ;;
    esac
done

missing=
for package in $packages; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null || {
    echo "install.sh: this is not Debian or Ubuntu; install by hand what these packages hold:$missing" >&2
    exit 1
}
as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "install.sh: run as root, or install sudo; missing:$missing" >&2; exit 1; }
    as_root=sudo
fi
echo "installing:$missing"
# shellcheck disable=SC2086 # a list of names
install_missing() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; }
$as_root apt-get update -q
install_missing
