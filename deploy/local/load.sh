#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Loads the server of the demo model, or that of MODEL_PATH, as docs/cluster.md loads the cluster's; fails on any reply but 200.
# Then prints what the service needed, from its own metrics: of that follows when Knative adds a pod.
# usage: LOAD_SECONDS=30 HTTP_PORT=8080 deploy/local/load.sh build/bin/dcnv2-server
set -eu
. deploy/local/server.sh
start_server "$1" 2>/dev/null
choose_requests
report=$(mktemp)

# "CPU-seconds predictions seconds-inside 0" so far
used() {
    curl -s "$BASE/metrics" | awk '/^process_cpu_seconds_total /{ cpu = $2 }
        /^dcnv2_requests_total.route="v1_predict",code="200"/{ n = $2 }
        /^request_(pre|post)?(process|predict)_seconds_sum/{ inside += $2 }
        END { print cpu + 0, n + 0, inside + 0, 0 }'
}
before=$(used)
started=$(date +%s.%N)
hey -z "${LOAD_SECONDS:-30}s" -c 30 -m POST -T application/json -D "$V1_REQUEST" \
    "$BASE/v1/models/dcnv2:predict" | tee "$report"
after=$(used)
echo "$before $after $started $(date +%s.%N)" | awk '{
    n = $6 - $2; wall = $10 - $9; cpu = $5 - $1
    if (n == 0 || cpu == 0) exit
    printf "The service: %.0f requests/s with %.2f CPUs, %.1f microseconds of CPU per request: %.0f requests/s per CPU.\n",
        n / wall, cpu / wall, cpu / n * 1e6, n / cpu
    printf "In flight: 30 from outside; inside the server %.2f on average.\n", ($7 - $3) / wall
    printf "scaleTarget for 2 ms of waiting at full load: %.0f0 (Knative adds a pod at 70 %% of it).\n", n / cpu * 0.002 / 0.7 / 10 }'
if grep -q 'Error distribution' "$report" || grep -E '^ *\[[0-9]+\]' "$report" | grep -qv '\[200\]'; then
    rm -f "$report"
    echo "load: replies other than 200" >&2
    exit 1
fi
grep -q '\[200\]' "$report" || { rm -f "$report"; echo "load: no reply at all" >&2; exit 1; }
rm -f "$report"
