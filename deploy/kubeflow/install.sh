#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Step 1: fetches the official manifests at the pinned release, applies our list of them, waits, and says
# what is not ready. Definitions and what is made of them come in one stream, so the first tries fail.
# usage: deploy/kubeflow/install.sh [fetch]    ATTEMPTS=30 PAUSE_S=20 READY_S=900
set -eu
cd "$(dirname "$0")/../.."
. deploy/needs.sh

RELEASE=26.03
COMMIT=d68ebc7fab366ab40ddd1541d2ec22febb31bc83
SOURCE=${KUBEFLOW_MANIFESTS:-https://github.com/kubeflow/manifests.git}
CHECKOUT=build/kubeflow-manifests
ATTEMPTS=${ATTEMPTS:-30}
PAUSE_S=${PAUSE_S:-20}
READY_S=${READY_S:-900}

fetch() {
    if [ "$(git -C $CHECKOUT rev-parse HEAD 2>/dev/null)" != $COMMIT ] || [ ! -d $CHECKOUT/.git ]; then
        rm -rf $CHECKOUT
        git -c advice.detachedHead=false clone -q --depth 1 --branch $RELEASE "$SOURCE" $CHECKOUT
    fi
    if [ "$(git -C $CHECKOUT rev-parse HEAD)" != $COMMIT ]; then
        echo "kubeflow: the release $RELEASE is not the commit $COMMIT any more: look what changed, then pin it anew" >&2
        exit 1
    fi
}

apply() {
    for attempt in $(seq "$ATTEMPTS"); do
        if kubectl apply --server-side --force-conflicts -f build/kubeflow.yaml >build/kubeflow.log 2>&1; then
            return 0
        fi
        echo "try $attempt of $ATTEMPTS: $(grep -ciE '^error|failed|no matches' build/kubeflow.log) objects wait for others"
        [ "$attempt" -eq "$ATTEMPTS" ] || sleep "$PAUSE_S"
    done
    echo "kubeflow: gave up after $ATTEMPTS tries; the last one said:" >&2
    grep -iE '^error|failed|no matches' build/kubeflow.log | tail -20 >&2
    return 1
}

# What is not ready, a line each: Deployments and other sets with too few ready pods, and the user's namespace, which
# comes last. A cluster that does not answer is not ready either.
not_ready() {
    sets=$(kubectl get deployments,statefulsets,daemonsets -A --no-headers \
        -o custom-columns='KIND:.kind,NS:.metadata.namespace,NAME:.metadata.name,WANT:.spec.replicas,READY:.status.readyReplicas,NODES:.status.desiredNumberScheduled,ON:.status.numberReady') ||
        sets=
    [ -n "$sets" ] || echo "  no list of Deployments from kubectl"
    echo "$sets" |
        awk '{ want = $4 == "<none>" ? $6 : $4; ready = $5 == "<none>" ? $7 : $5
               if (want == "<none>") want = 0
               if (ready == "<none>") ready = 0
               if (ready + 0 < want + 0) print "  " $1 " " $2 "/" $3 ": " ready + 0 " of " want }'
    kubectl get namespace "$NAMESPACE" >/dev/null 2>&1 || echo "  Namespace $NAMESPACE: not there"
}

need_command git
[ "${1:-}" = fetch ] || need_cluster
needs_met kubeflow
fetch
[ "${1:-}" != fetch ] || exit 0

kubectl kustomize deploy/kubeflow >build/kubeflow.yaml
apply
echo "applied; waiting at most $READY_S s for the pods"
waited=0
while waiting=$(not_ready) && [ -n "$waiting" ] && [ "$waited" -lt "$READY_S" ]; do
    sleep "$PAUSE_S"
    waited=$((waited + PAUSE_S + 1))
done
if [ -n "$waiting" ]; then
    echo "kubeflow: not ready after $READY_S s:" >&2
    echo "$waiting" >&2
    echo "  kubectl describe pod and kubectl logs say why" >&2
    exit 1
fi
echo "Kubeflow is ready. Next: make storage"
