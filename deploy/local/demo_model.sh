#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Trains the demo model again from its CSV, into build/demo-model.
# usage: deploy/local/demo_model.sh build/bin [more flags of dcnv2-train]
set -eu
bin=$1
shift
output=build/demo-model
"$bin/dcnv2-train" --train-data model/train.csv --valid-data model/test.csv --label clk \
    --dense-cols price --sparse-cols userid,cms_segid,cms_group_id,final_gender_code,age_level,pvalue_level,shopping_level,occupation,new_user_class_level,adgroup_id,cate_id,campaign_id,customer,brand,pid,btag \
    --epochs 3 --batch-size 128 --learning-rate 1e-3 --seed 1 --output "$output" "$@"
cat <<EOT

$output has the model's files and report.html. To serve it:
  MODEL_PATH=$output/model.safetensors make run
EOT
