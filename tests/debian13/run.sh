#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds and tests in a Debian 13 of this machine's mirror: `make run` as on a fresh machine, then stages of
# tests/run.py. The Debian and its build stay below build/debian13 for the next run. Needs root. The last line
# is `N passed, N failed`.
# usage: tests/debian13/run.sh [stage,..]      (plain,torch)
set -eu
cd "$(dirname "$0")/../.."
[ "$(id -u)" -eq 0 ] || { echo "debian13: chroot needs root" >&2; exit 1; }
deploy/local/install.sh debian
here=$PWD/build/debian13
root=$here/root
source=$root/dcnv2-server

if [ ! -e "$root" ]; then
    rm -rf "$here/new"
    mkdir -p "$here"
    unshare --mount sh -euc '. deploy/image/debian.sh; make_debian trixie "$1"' sh "$here/new" # debootstrap mounts as well
    mv "$here/new" "$root"
fi
mkdir -p "$source"
find "$source" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
tar -c --exclude=./build --exclude=./.git . | tar -x -C "$source"

# Mounts and processes end with the namespaces that hold them, and those with this shell, however it ends: a first
# process as theirs takes no signal but SIGKILL.
setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child sh -euc '
    root=$1
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    shift
    exec chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} WERROR=1 "$@"
' sh "$root" /dcnv2-server/tests/debian13/inside.sh "${1:-plain,torch}" &
wait $!
