#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A step of docs/cluster.md on a cluster; behind the make targets of the same names.
# usage: deploy/step.sh registry-secret|storage|train-job|serve|security|monitoring|notebooks|forward|infer|load-cluster
# IMAGE (and TRAINER_IMAGE, if its name does not follow), OVERLAY (of deploy/serve/overlays), TRAIN (of deploy/train),
# OUTPUT (where the trainer writes), URL, LOAD_SECONDS; seconds: START_S for a training pod to run, TRAIN_S for its job to end after the log,
# CREATE_S for a pod of the service to be made
set -eu
cd "$(dirname "$0")/.."
. deploy/needs.sh
. deploy/image/engine.sh # the names of the images

OVERLAY=${OVERLAY:-knative}
TRAIN=${TRAIN:-trainjob}
OUTPUT=${OUTPUT:-/workspace}
START_S=${START_S:-600}
TRAIN_S=${TRAIN_S:-3600}
CREATE_S=${CREATE_S:-120}
PAUSE_S=${PAUSE_S:-5}
URL=${URL:-http://localhost:8080}
AUDIENCE=istio-ingressgateway.istio-system.svc.cluster.local

# An entry of kustomize's list of images: `image_entry NAME NAME[:TAG][@DIGEST]`.
image_entry() {
    echo "  - name: $1"
    case ${2##*/} in # a colon before the last slash is a port's
    *@*) printf '    newName: %s\n    digest: %s\n' "${2%@*}" "${2#*@}" ;;
    *:*) printf '    newName: %s\n    newTag: "%s"\n' "${2%:*}" "${2##*:}" ;;
    *) printf '    newName: %s\n    newTag: latest\n' "$2" ;;
    esac
}

# Applies a kustomization with the images set, and patches that come as text, from a kustomization below build/
# that names it: `apply FOLDER [PATCHES]`.
apply() {
    folder=build/apply/$(echo "$1" | tr / -)
    mkdir -p "$folder"
    {
        echo "apiVersion: kustomize.config.k8s.io/v1beta1"
        echo "kind: Kustomization"
        echo "resources:"
        echo "  - ../../../$1"
        echo "images:"
        image_entry dcnv2-server "$IMAGE"
        image_entry dcnv2-trainer "$TRAINER_IMAGE"
        [ -z "${2:-}" ] || printf 'patches:\n%s\n' "$2"
    } >"$folder/kustomization.yaml"
    kubectl apply -k "$folder"
}

url_of() { kubectl get inferenceservice dcnv2 -n "$NAMESPACE" -o "jsonpath=$1"; }
# A URL with a path (KServe's pathTemplate, which deploy/kubeflow takes out) has another host than the service.
service_host() {
    url=$(url_of '{.status.url}')
    case $url in *://*/*) url=$(url_of '{.status.components.predictor.url}') ;; esac
    echo "$url" | cut -d / -f 3
}
token() { kubectl create token default-editor -n "$NAMESPACE" --audience="$AUDIENCE" --duration=24h; }
need_ingress() {
    [ -z "$missing" ] || return 0
    curl -s -o /dev/null -m 5 "$URL" || note_missing "an answer from $URL: make forward, in another terminal"
}

need_image() { # NAME, the variable that holds it
    case $1 in
    localhost/*) ;;
    */*) return ;;
    esac
    note_missing "a name that the cluster can pull for $2, which is $1: make push IMAGE=docker.io/YOU/dcnv2-server:$VERSION, then the same IMAGE here (kind without a registry: make kind-load)"
}

registry_secret() {
    # Where podman and docker keep a login.
    for config in "${REGISTRY_AUTH_FILE:-}" "${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/containers/auth.json" \
        "/run/containers/$(id -u)/auth.json" "$HOME/.config/containers/auth.json" "${DOCKER_CONFIG:-$HOME/.docker}/config.json"; do
        [ ! -f "$config" ] || break
    done
    need_file "$config" "podman login or docker login"
    if [ -f "$config" ] && ! grep -q '"auth"' "$config"; then # docker's credential stores
        note_missing "a login inside $config, which keeps its logins elsewhere: podman login --authfile FILE, then REGISTRY_AUTH_FILE=FILE make registry-secret"
    fi
    need_cluster
    need_namespace
    needs_met registry-secret
    echo "the login in $config"
    kubectl create secret generic regcred -n "$NAMESPACE" --type=kubernetes.io/dockerconfigjson \
        --from-file=.dockerconfigjson="$config" --dry-run=client -o yaml | kubectl apply -f -
    # Pods of these accounts pull with it: servers and training use the first, notebooks the second.
    for account in default default-editor; do
        kubectl patch serviceaccount "$account" -n "$NAMESPACE" -p '{"imagePullSecrets": [{"name": "regcred"}]}'
    done
}

storage() {
    need_cluster
    need_namespace
    needs_met storage
    kubectl apply -k deploy/storage
    echo "The volume is made when the first pod asks for it; until then: Pending."
    kubectl get pvc torch-workspace -n "$NAMESPACE"
}

wait_until() { # SECONDS, a command: whether it succeeded in time
    left=$1
    shift
    until "$@"; do
        [ "$left" -gt 0 ] || return 1
        sleep "$PAUSE_S"
        left=$((left - PAUSE_S))
    done
}

# What jsonpath finds in the pods with the labels in $pods; nothing while there are none.
of_pods() { kubectl get pods -n "$NAMESPACE" -l "$pods" -o "jsonpath=$1" 2>/dev/null || true; }
there_are_pods() { [ -n "$(of_pods '{.items[*].metadata.name}')" ]; }
pods_have_started() { case $(of_pods '{.items[*].status.phase}') in '' | Pending) false ;; esac; }
# The run's conditions that hold, as "TYPE: message".
conditions() {
    kubectl get "$TRAIN" dcnv2-train -n "$NAMESPACE" \
        -o 'jsonpath={range .status.conditions[?(@.status=="True")]}{.type}: {.message}{"\n"}{end}'
}

run_has_ended() { ended=$(conditions | grep -E "^(Failed|$finished):"); }

# Sets the folder that the trainer writes to: `output_patches KIND CONTAINER..`, paths of a JSON patch.
output_patches() {
    kind=$1
    shift
    for container in "$@"; do
        cat <<EOT
  - target: {kind: $kind}
    patch: |-
      - {op: test, path: $container/args/4, value: --output}
      - {op: replace, path: $container/args/5, value: $OUTPUT}
EOT
    done
}

train_job() {
    need_file "deploy/train/$TRAIN/kustomization.yaml" "TRAIN is trainjob or pytorchjob"
    need_image "$TRAINER_IMAGE" TRAINER_IMAGE
    need_cluster
    need_object pvc torch-workspace "make storage"
    case $TRAIN in
    pytorchjob)
        need_kind pytorchjobs.kubeflow.org "its line in deploy/kubeflow/kustomization.yaml, and make kubeflow"
        pods=training.kubeflow.org/job-name=dcnv2-train,training.kubeflow.org/replica-type=master
        finished=Succeeded kind=PyTorchJob
        replicas=/spec/pytorchReplicaSpecs
        containers="$replicas/Master/template/spec/containers/0 $replicas/Worker/template/spec/containers/0"
        ;;
    *)
        need_kind trainjobs.trainer.kubeflow.org "make kubeflow"
        pods=jobset.sigs.k8s.io/jobset-name=dcnv2-train,batch.kubernetes.io/job-completion-index=0
        finished=Complete kind=TrainingRuntime
        containers=/spec/template/spec/replicatedJobs/0/template/spec/template/spec/containers/0
        ;;
    esac
    needs_met train-job
    # A job cannot be changed once it is there: the last run makes room, with its pods, whose log and end would
    # else be taken for those of this one.
    kubectl delete "$TRAIN" dcnv2-train -n "$NAMESPACE" --ignore-not-found --cascade=foreground --timeout=300s
    # shellcheck disable=SC2086 # a list
    apply "deploy/train/$TRAIN" "$(output_patches $kind $containers)"
    wait_until "$START_S" pods_have_started || { # the image may have to be pulled
        echo "train-job: the first pod does not run after $START_S s: $(of_pods '{.items[0].status..waiting}')" >&2
        echo "  kubectl describe pod -n $NAMESPACE -l $pods" >&2
        exit 1
    }
    kubectl logs -n "$NAMESPACE" -l "$pods" --follow --tail=-1 || true
    # Time for what starts again after a failure.
    wait_until "$TRAIN_S" run_has_ended || { echo "train-job: after its log neither $finished nor Failed for $TRAIN_S s" >&2; exit 1; }
    echo "$ended"
    case $ended in Failed*) exit 1 ;; esac
}

serve() {
    need_file "deploy/serve/overlays/$OVERLAY/kustomization.yaml" "OVERLAY is one of: $(ls deploy/serve/overlays | tr '\n' ' ')"
    need_image "$IMAGE" IMAGE
    need_cluster
    need_kind inferenceservices.serving.kserve.io "make kubeflow"
    need_object pvc torch-workspace "make storage"
    if [ "$OVERLAY" = canary ]; then
        need_object inferenceservice dcnv2 "a revision to stand beside: make serve"
    fi
    if [ "$OVERLAY" = raw ] && [ -z "$missing" ]; then
        kubectl get apiservice v1beta1.metrics.k8s.io >/dev/null 2>&1 ||
            note_missing "metrics-server, which the HorizontalPodAutoscaler reads: https://github.com/kubernetes-sigs/metrics-server"
    fi
    needs_met serve
    # A label of its own for this rollout: new pods, which read the model's files anew, and the ones to wait for.
    # (status.observedGeneration would not tell: KServe copies it from the Knative Service or the Deployment.)
    rollout=$(date +%Y%m%d-%H%M%S)
    apply "deploy/serve/overlays/$OVERLAY" "  - target: {kind: InferenceService}
    patch: |-
      - {op: add, path: /spec/predictor/labels, value: {dcnv2/rollout: $rollout}}"
    pods=dcnv2/rollout=$rollout
    # (kubectl wait --for=create takes labels from 1.33 on.)
    {
        { wait_until "$CREATE_S" there_are_pods || { echo "serve: no pod after $CREATE_S s: kubectl get pods -n $NAMESPACE -l $pods" >&2; false; }; } &&
            kubectl wait pod -n "$NAMESPACE" -l "$pods" --for=condition=Ready --timeout=300s &&
            kubectl wait inferenceservice dcnv2 -n "$NAMESPACE" --for=condition=Ready --timeout=300s
    } || {
        kubectl describe inferenceservice dcnv2 -n "$NAMESPACE" | sed -n '/^Status/,$p' >&2
        kubectl get pods -n "$NAMESPACE" -l serving.kserve.io/inferenceservice=dcnv2 >&2
        exit 1
    }
    kubectl get inferenceservice dcnv2 -n "$NAMESPACE"
}

security() {
    need_cluster
    need_kind authorizationpolicies.security.istio.io "make kubeflow"
    need_namespace
    needs_met security
    kubectl apply -k deploy/security
}

monitoring() {
    need_cluster
    need_kind podmonitors.monitoring.coreos.com "a Prometheus operator, such as the Helm chart kube-prometheus-stack, in the namespace monitoring"
    need_namespace
    needs_met monitoring
    kubectl apply -k deploy/monitoring
}

notebooks() {
    need_image "$TRAINER_IMAGE" TRAINER_IMAGE
    need_cluster
    need_kind notebooks.kubeflow.org "make kubeflow"
    need_kind trainingruntimes.trainer.kubeflow.org "make kubeflow"
    need_object pvc torch-workspace "make storage"
    needs_met notebooks
    apply deploy/train/runtime
    kubectl apply -k deploy/notebooks
    kubectl wait pod/dcnv2-notebook-0 -n "$NAMESPACE" --for=create --timeout=120s
    kubectl wait pod/dcnv2-notebook-0 -n "$NAMESPACE" --for=condition=Ready --timeout=900s # its image is large
    cat <<EOT
The notebook runs: from the dashboard ($URL, Notebooks, dcnv2-notebook) after make forward. To put a click log on the volume:
  kubectl exec -n $NAMESPACE dcnv2-notebook-0 -c dcnv2-notebook -- mkdir -p /home/jovyan/data/train /home/jovyan/data/valid
  kubectl cp model/train.csv $NAMESPACE/dcnv2-notebook-0:/home/jovyan/data/train/ -c dcnv2-notebook
  kubectl cp model/test.csv $NAMESPACE/dcnv2-notebook-0:/home/jovyan/data/valid/ -c dcnv2-notebook
EOT
}

forward() {
    need_cluster
    needs_met forward
    port=${URL##*:}
    echo "The ingress on http://localhost:$port; Ctrl-C ends it. Dashboard: user@example.com, 12341234 if nobody changed it."
    exec kubectl port-forward svc/istio-ingressgateway -n istio-system "$port:80"
}

infer() {
    need_command python3 curl
    python3 -c 'import ensurepip' 2>/dev/null || note_missing "python3's venv: apt-get install python3-venv"
    need_cluster
    need_object inferenceservice dcnv2 "make serve"
    need_ingress
    needs_met infer
    python3 tests/pypi.py venv-infer deploy/client/requirements.txt
    host=$(service_host)
    TOKEN=$(token) build/venv-infer/bin/python deploy/client/infer.py --url "$URL" --host "$host"
}

load_cluster() {
    need_command hey curl
    need_cluster
    need_object inferenceservice dcnv2 "make serve"
    need_ingress
    needs_met load-cluster
    host=$(service_host)
    hey -z "${LOAD_SECONDS:-30}s" -c 30 -m POST -host "$host" -T application/json \
        -H "Authorization: Bearer $(token)" -D model/input.json "$URL/v1/models/dcnv2:predict"
    kubectl get pods -n "$NAMESPACE" -l serving.kserve.io/inferenceservice=dcnv2
}

case ${1:-} in
registry-secret | storage | train-job | serve | security | monitoring | notebooks | forward | infer | load-cluster)
    "$(echo "$1" | tr - _)" ;;
*) sed -n '3,6s/^# //p' "$0" >&2; exit 2 ;;
esac
