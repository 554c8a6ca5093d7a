#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# For kind without a registry: builds the images of server and trainer and loads them into the cluster's node,
# as an archive, which kind takes of podman and of docker alike. A name without a registry is put below
# kind.local/, where Knative does not look for a registry.
set -eu
cd "$(dirname "$0")/../.."
. deploy/needs.sh
. deploy/image/engine.sh
need_command kind
! command -v kind >/dev/null || kind get clusters 2>/dev/null | grep -qx kubeflow || note_missing "the kind cluster kubeflow: make cluster"
pick_engine podman docker buildah || note_missing "podman, buildah, or docker with a daemon that answers: deploy/local/install.sh image"
[ "$ENGINE" != buildah ] || note_missing "podman or docker in the place of buildah, which saves no archive: apt-get install podman"
needs_met kind-load
case $IMAGE in */*) ;; *) IMAGE=kind.local/$IMAGE ;; esac
case $TRAINER_IMAGE in */*) ;; *) TRAINER_IMAGE=kind.local/$TRAINER_IMAGE ;; esac
export IMAGE TRAINER_IMAGE
deploy/image/build.sh server trainer
for image in "$IMAGE" "$TRAINER_IMAGE"; do
    rm -f build/image/load.tar
    "$ENGINE" save -o build/image/load.tar "$image"
    kind load image-archive build/image/load.tar --name kubeflow
done
rm -f build/image/load.tar
echo "Loaded. For the steps that follow: export IMAGE=$IMAGE"
