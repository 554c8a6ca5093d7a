#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Trains the demo model again from its CSV, into build/demo-model.
# usage: deploy/local/demo_model.sh build/bin [more flags of dcnv2-train]
set -eu
. deploy/local/server.sh # the columns
bin=$1
shift
output=build/demo-model
"$bin/dcnv2-train" --train-data model/train.csv --valid-data model/test.csv --label clk \
    --epochs 3 --batch-size 128 --learning-rate 1e-3 --seed 1 --output "$output" "$@"
cat <<EOT

$output has the model's files and report.html. To serve it:
  MODEL_PATH=$output/model.safetensors make run
EOT
