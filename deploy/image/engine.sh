# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Sourced by the scripts beside it: which engine builds (ENGINE=podman|docker|buildah, or the first that
# works), what the images are called (IMAGE, and from it TRAINER_IMAGE and TOOLS_IMAGE).

VERSION=$(sed -n 's/^#define DCNV2_VERSION "\(.*\)"$/\1/p' include/dcnv2.h)
IMAGE=${IMAGE:-dcnv2-server:$VERSION}

# registry/name-server:tag -> registry/name-KIND:tag
sibling() {
    case ${IMAGE##*/} in # a colon before the last slash is a port's
    *:*) name=${IMAGE%:*} tag=:${IMAGE##*:} ;;
    *) name=$IMAGE tag= ;;
    esac
    echo "${name%-server}-$1$tag"
}

TRAINER_IMAGE=${TRAINER_IMAGE:-$(sibling trainer)}
TOOLS_IMAGE=${TOOLS_IMAGE:-$(sibling tools)}

image_of() {
    case $1 in
    server) echo "$IMAGE" ;;
    tools) echo "$TOOLS_IMAGE" ;;
    trainer) echo "$TRAINER_IMAGE" ;;
    *) echo "$0: unknown image '$1'; expected server, tools or trainer" >&2; exit 2 ;;
    esac
}

# Sets ENGINE, where it is not given, to the first of these that works; 1: none does.
pick_engine() { # NAME..
    if [ -n "${ENGINE:-}" ]; then
        command -v "$ENGINE" >/dev/null || { echo "$0: ENGINE=$ENGINE is not installed" >&2; exit 1; }
        return
    fi
    for ENGINE in "$@"; do
        case $ENGINE in
        docker) timeout 20 docker info >/dev/null 2>&1 && return ;; # a client alone builds nothing
        *) command -v "$ENGINE" >/dev/null && return ;;
        esac
    done
    ENGINE=
    return 1
}

find_engine() {
    pick_engine podman docker buildah && return
    cat >&2 <<EOT
$0: nothing here builds images: podman, buildah, or docker with a daemon that answers.
On Debian or Ubuntu: deploy/local/install.sh image
EOT
    exit 1
}
