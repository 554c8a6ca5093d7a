#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Checks what docs/architecture.md says of the rooms: who may include whom, where a library is
# used, that every source says its licence. Prints what is wrong; exit 1 if anything is.
set -eu
bad=0
complain() { echo "lint: $1" >&2; bad=1; }

# may_include FOLDER 'headers allowed, as an extended regular expression'
may_include() {
    for file in src/"$1"/*.[ch]; do
        grep -hoE '^#include "[^"]+"' "$file" | sed 's/#include "//;s/"//' | while read -r header; do
            echo "$header" | grep -qE "^($1/|$2)" || echo "$file includes $header"
        done
    done
}
found=$(
    may_include kernels 'kernels/'
    may_include format 'arena\.h|memory\.h|text\.h|half\.h|number\.h|scaling\.h'
    may_include encode 'dcnv2\.h|network/spec\.h|format/format_error\.h|frame\.h|arena\.h|memory\.h|hash\.h|text\.h|number\.h'
    may_include network 'format/|protocol/json(_writer)?\.h|arena\.h|text\.h|number\.h'
    may_include model 'scaling\.h|dcnv2\.h|network/|kernels/|format/|encode/|arena\.h|memory\.h|hash\.h|text\.h|number\.h'
    may_include data 'scaling\.h|encode/|format/|arena\.h|memory\.h|hash\.h|text\.h|number\.h|sum\.h'
    may_include backend 'data/train_error\.h|network/|format/tensor\.h|memory\.h'
    may_include native 'backend/|torch/ranks\.h|network/kinds\.h|kernels/|memory\.h|cpus\.h'
    may_include torch 'backend/|data/train_error\.h|network/|memory\.h|text\.h'
    may_include report 'data/train_error\.h|network/|memory\.h|number\.h|sum\.h'
    may_include train 'scaling\.h|dcnv2\.h|backend/|data/|report/|torch/ranks\.h|native/team\.h|model/|network/|format/|arena\.h|memory\.h|hash\.h|text\.h|number\.h|clock\.h|cpus\.h|settings\.h'
    may_include tools 'dcnv2\.h|train/|model/|network/|format/|arena\.h|text\.h|(source_)?settings\.h|cpus\.h'
    may_include protocol 'frame\.h|arena\.h|text\.h|number\.h|half\.h'
    may_include http 'protocol/|frame\.h|arena\.h|text\.h|metrics\.h|log\.h|config\.h|registry\.h|clock\.h|dcnv2\.h|model/'
)
[ -z "$found" ] || complain "$found"

# used_only_in HEADER 'where'
used_only_in() {
    outside=$(grep -lE "#include <$1>" -r src include | grep -vE "$2" || true)
    [ -z "$outside" ] || complain "$1 is included in $outside"
}
used_only_in 'sys/epoll\.h' '^src/http/worker\.c$'
used_only_in 'cjson/cJSON\.h' '^src/(http/handlers|format/safetensors|report/report)\.c$'
used_only_in 'zlib\.h' '^src/(format/zip|format/zip_writer|format/inflate|http/body|data/log_file)\.c$'
used_only_in 'immintrin\.h' '^src/kernels/(avx2\.c|avx512\.c|four_rows\.h)$'
used_only_in '(ATen|c10|gloo|torch)/.*' '^src/torch/torch_shim\.cpp$'
used_only_in 'dlfcn\.h' '^src/torch/torch_load\.c$'

for file in $(git ls-files '*.c' '*.h' '*.cpp' '*.py' '*.sh' Makefile); do
    head -3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || complain "$file has no SPDX line"
done
long=$(git ls-files 'src/*.[ch]' 'src/*.cpp' 'tests/*.[ch]' | grep -v number_pow10.h | xargs wc -l | awk '$2 != "total" && $1 > 600 {print $2 ": " $1 " lines"}')
[ -z "$long" ] || complain "longer than 600 lines: $long"
exit $bad
