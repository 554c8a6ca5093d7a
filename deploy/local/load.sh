#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Loads the demo model's server as the README loads the cluster's; fails on any reply but 200.
# usage: LOAD_SECONDS=30 HTTP_PORT=8080 deploy/local/load.sh build/bin/dcnv2-server
set -eu
. deploy/local/server.sh
start_server "$1" 2>/dev/null
report=$(mktemp)
hey -z "${LOAD_SECONDS:-30}s" -c 30 -m POST -T application/json -D model/input.json \
    "$BASE/v1/models/dcnv2:predict" | tee "$report"
if grep -q 'Error distribution' "$report" || grep -E '^ *\[[0-9]+\]' "$report" | grep -qv '\[200\]'; then
    rm -f "$report"
    echo "load: replies other than 200" >&2
    exit 1
fi
grep -q '\[200\]' "$report" || { rm -f "$report"; echo "load: no reply at all" >&2; exit 1; }
rm -f "$report"
