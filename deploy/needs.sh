# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Sourced by the steps: what a step needs is looked for before it starts, and all that is missing is said
# at once. Each need_* notes what is missing; needs_met ends the step if anything is.

NAMESPACE=kubeflow-user-example-com
missing=

note_missing() {
    missing="$missing
  $1"
}

where_from() {
    case $1 in
    kubectl) echo "https://kubernetes.io/docs/tasks/tools (1.31 or later)" ;;
    kind) echo "https://kind.sigs.k8s.io (0.30 or later)" ;;
    *) echo "apt-get install $1" ;;
    esac
}

need_command() {
    for command in "$@"; do
        command -v "$command" >/dev/null || note_missing "the command $command: $(where_from "$command")"
    done
}

need_file() { # PATH, what makes it
    [ -e "$1" ] || note_missing "$1: $2"
}

need_kubectl() { # 1.31 or later: it waits for what is not there yet
    command -v kubectl >/dev/null || { note_missing "the command kubectl: $(where_from kubectl)"; return 1; }
    version=$(kubectl version --client 2>/dev/null | sed -n 's/^Client Version: v1\.\([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge 31 ] || { note_missing "a newer kubectl: $(where_from kubectl)"; return 1; }
}

need_cluster() {
    need_kubectl || return 0
    kubectl --request-timeout=10s get --raw /readyz >/dev/null 2>&1 ||
        note_missing "a cluster that kubectl reaches: make cluster, or set KUBECONFIG"
}

# Below a cluster that is not there, nothing more is worth saying.
need_kind() { # RESOURCE.GROUP, what brings it
    [ -z "$missing" ] || return 0
    kubectl get crd "$1" >/dev/null 2>&1 || note_missing "$1 in the cluster: $2"
}

need_object() { # KIND NAME, what makes it
    [ -z "$missing" ] || return 0
    kubectl get "$1" "$2" -n "$NAMESPACE" >/dev/null 2>&1 || note_missing "$1 $2 in $NAMESPACE: $3"
}

need_namespace() {
    [ -z "$missing" ] || return 0
    kubectl get namespace "$NAMESPACE" >/dev/null 2>&1 || note_missing "the namespace $NAMESPACE: make kubeflow"
}

needs_met() { # STEP
    [ -n "$missing" ] || return 0
    echo "make $1 needs:$missing" >&2
    exit 1
}
