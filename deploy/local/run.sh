#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Serves the demo model, shows a v1 and a v2 request with their answers, and goes on until Ctrl-C.
# usage: HTTP_PORT=8080 deploy/local/run.sh build/bin/dcnv2-server
set -eu
. deploy/local/server.sh
start_server "$1"

show() {
    printf '\n$ %s\n' "$1"
    sh -c "$1"
    echo
}

show "curl -s -d @model/input.json $BASE/v1/models/dcnv2:predict"
show "curl -s -H 'Content-Type: application/json' -d @model/input_v2.json $BASE/v2/models/dcnv2/infer"
cat <<EOF

The demo model is served on port $HTTP_PORT until Ctrl-C. More to try from another terminal:
  curl -s $BASE/v2/models/dcnv2
  curl -s $BASE/v2/health/ready
  curl -s $BASE/metrics | grep dcnv2_
EOF
wait "$server"
