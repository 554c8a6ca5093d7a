#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Step 0: the kind cluster `kubeflow`. One that is already there is kept.
set -eu
cd "$(dirname "$0")/../.."
. deploy/needs.sh
. deploy/image/engine.sh
need_command kind
need_kubectl || true
pick_engine podman docker || note_missing "podman, or docker with a daemon that answers: apt-get install podman"
# Kubeflow's many pods watch many files; with the kernel's defaults some of them end at once.
check_limit() { # NAME LEAST
    have=$(cat "/proc/sys/fs/inotify/$1" 2>/dev/null || echo "$2")
    [ "$have" -ge "$2" ] || note_missing "fs.inotify.$1 of $2 or more (it is $have): sudo sysctl fs.inotify.$1=$3"
}
check_limit max_user_instances 1280 2280
check_limit max_user_watches 524288 1255360
# What Kubeflow asks for; a machine of 16 GB has a little less.
LEAST_CPUS=${LEAST_CPUS:-8}
LEAST_GB=${LEAST_GB:-15}
cpus=$(nproc 2>/dev/null || echo "$LEAST_CPUS")
gb=$(awk '/^MemTotal:/ { print int($2 / 1000000) }' "${MEMINFO:-/proc/meminfo}" 2>/dev/null || echo "$LEAST_GB")
[ "$cpus" -ge "$LEAST_CPUS" ] || note_missing "$LEAST_CPUS CPUs (there are $cpus; LEAST_CPUS=$cpus make cluster tries it all the same)"
[ "$gb" -ge "$LEAST_GB" ] || note_missing "$LEAST_GB GB of memory (there are $gb; LEAST_GB=$gb make cluster tries it all the same)"
needs_met cluster

if kind get clusters 2>/dev/null | grep -qx kubeflow; then
    echo "The cluster kubeflow is there already; kind delete cluster --name kubeflow removes it."
else
    kind create cluster --name kubeflow --config deploy/cluster/kind.yaml --wait 180s
fi
kind export kubeconfig --name kubeflow
kubectl get nodes
