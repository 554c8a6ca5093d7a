#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds images, and pushes them to the registry that IMAGE names.
# usage: IMAGE=registry/you/dcnv2-server:0.1.0 deploy/image/push.sh [server] [tools] [trainer]
set -eu
cd "$(dirname "$0")/../.."
. deploy/image/engine.sh
[ $# -gt 0 ] || set -- server tools trainer
for target in "$@"; do
    case $(image_of "$target") in
    localhost/* | [!/]*/*) ;;
    *)
        echo "push: $(image_of "$target") names no registry: make push IMAGE=docker.io/YOU/dcnv2-server:$VERSION" >&2
        exit 1
        ;;
    esac
done
find_engine

is_logged_in() { # REGISTRY
    case $ENGINE in
    docker) grep -qE "\"($1|https://index\.$1/v1/|credsStore|credHelpers)\"" "${DOCKER_CONFIG:-$HOME/.docker}/config.json" 2>/dev/null ;;
    *) "$ENGINE" login --get-login "$1" >/dev/null 2>&1 ;;
    esac
}
# Not all registries want one: said before the build, and the push decides.
registry=${IMAGE%%/*}
is_logged_in "$registry" || echo "push: there is no login for $registry here; if it wants one, end this (Ctrl-C): $ENGINE login $registry" >&2

deploy/image/build.sh "$@"
for target in "$@"; do
    image=$(image_of "$target")
    "$ENGINE" push "$image" || {
        echo "push: $image was not taken: is the name right, and did you log in ($ENGINE login ${image%%/*})?" >&2
        exit 1
    }
    echo "pushed $image"
done
