#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds everything for arm64 with a cross compiler, runs the kernels' checks under qemu, and compares the
# scores of the demo model's test rows with this machine's, bit for bit. Packages are installed by name; the
# libraries for arm64 go below build/arm64 and touch nothing else. The last line is `N passed, N failed`.
set -eu
cd "$(dirname "$0")/../.."
deploy/local/install.sh build arm64
here=$PWD/build/arm64
root=$here/root
mkdir -p "$here/apt/lists/partial" "$here/apt/archives/partial" "$root"

apt() { apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::lists="$here/apt/lists" \
    -o Dir::State::status=/dev/null -o Dir::Cache="$here/apt" -o APT::Sandbox::User=root "$@"; }
if [ ! -e "$root/usr/include/nghttp2/nghttp2.h" ]; then
    apt update
    (cd "$here/apt" && apt download libcjson1 libcjson-dev libnghttp2-14 libnghttp2-dev libyaml-0-2 libyaml-dev zlib1g zlib1g-dev)
    for package in "$here"/apt/*.deb; do dpkg -x "$package" "$root"; done
fi

libraries=$root/usr/lib/aarch64-linux-gnu:$root/lib/aarch64-linux-gnu
make -s -j"$(nproc)" B=build/arm64 CC=aarch64-linux-gnu-gcc OBJCOPY=aarch64-linux-gnu-objcopy AR=aarch64-linux-gnu-ar \
    CFLAGS="-O2 -g -I$root/usr/include -I$root/usr/include/aarch64-linux-gnu" \
    LDFLAGS="-L$root/usr/lib/aarch64-linux-gnu -L$root/lib/aarch64-linux-gnu -Wl,-rpath-link,$libraries" \
    all build/arm64/tests/kernels
make -s -j"$(nproc)" build/bin/dcnv2-convert build/bin/dcnv2-score

emulated() { qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH="$libraries" "$@"; }
passed=0 failed=0
check() { # NAME COMMAND ..
    name=$1
    shift
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $name"; fi
}
kernels_agree() { emulated "$here/tests/kernels" >"$here/kernels.log" || { tail "$here/kernels.log"; return 1; }; }
scores_agree() {
    build/bin/dcnv2-convert --model-path model/model_weights.pth --encoder-path model/preprocess_metadata.pkl \
        -o "$here/model.safetensors" >/dev/null
    build/bin/dcnv2-score --model-path "$here/model.safetensors" model/test.csv >"$here/scores" 2>/dev/null
    emulated "$here/bin/dcnv2-score" --model-path "$here/model.safetensors" model/test.csv 2>/dev/null | cmp - "$here/scores"
}
check "every kernel follows the scalar one" kernels_agree
check "the scores of the demo model's test rows have the same bits" scores_agree
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
