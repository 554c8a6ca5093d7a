#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What run.sh does in its Debian 13: the first command of the README, then the stages of tests/run.py that are named.
set -eu
cd "$(dirname "$0")/../.."
log=build/make-run.log
mkdir -p build
fail() { # LOG, what does not work
    tail -30 "$1"
    printf 'FAIL %s\n0 passed, 1 failed\n' "$2"
    exit 1
}
command -v make >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends make; } >"$log" 2>&1

port=18080
while grep -q ":$(printf %04X "$port") " /proc/net/tcp /proc/net/tcp6; do port=$((port + 1)); done

: >"$log" # the last run's must not be taken for this one's
# In a session of its own, so that the server ends with it.
setsid make run HTTP_PORT="$port" >"$log" 2>&1 </dev/null &
run=$!
tries=600
until grep -q 'until Ctrl-C' "$log" || ! kill -0 "$run" 2>/dev/null || [ "$tries" -eq 0 ]; do
    tries=$((tries - 1))
    sleep 1
done
kill -TERM "-$run" 2>/dev/null || true
wait "$run" || true
grep -qxF '{"predictions":[[0.056723863]]}' "$log" || fail "$log" "make run serves the demo model on a fresh machine"

deploy/local/install.sh build test torch >build/install.log 2>&1 || fail build/install.log "the packages can be installed"
apt-get clean
echo "Debian $(cat /etc/debian_version), $(gcc --version | head -1), $(python3 --version)," \
    "libtorch $(dpkg-query -W -f '${Version}' libtorch-dev), libmicrohttpd $(dpkg-query -W -f '${Version}' libmicrohttpd-dev)"
exec python3 tests/run.py --only "$1"
