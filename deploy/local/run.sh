#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Serves the demo model, or that of MODEL_PATH, shows a v1 and a v2 request with their answers, and goes on until Ctrl-C.
# usage: HTTP_PORT=8080 deploy/local/run.sh build/bin/dcnv2-server
set -eu
. deploy/local/server.sh
start_server "$1"
choose_requests

show() {
    printf '\n$ %s\n' "$1"
    sh -c "$1"
    echo
}

show "curl -s -d @$V1_REQUEST $BASE/v1/models/dcnv2:predict"
show "curl -s -H 'Content-Type: application/json' -d @$V2_REQUEST $BASE/v2/models/dcnv2/infer"
cat <<EOF

$MODEL_PATH is served on port $HTTP_PORT until Ctrl-C. The requests above are in
$V1_REQUEST and $V2_REQUEST. More to try from another terminal:
  curl -s $BASE/v2/models/dcnv2
  curl -s $BASE/v2/health/ready
  curl -s $BASE/metrics | grep dcnv2_
EOF
wait "$server"
