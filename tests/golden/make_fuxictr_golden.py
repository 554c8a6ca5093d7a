#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/fuxictr: folders as FuxiCTR leaves them, its feature processor fitted on a few made rows, its
models with random weights, and their predictions in float32 and float64.

usage: make_fuxictr_golden.py FOLDER   with fuxictr 2.3.10, torch 2.13 and polars 1; FOLDER holds DCN.py, DCNv2.py
                                       and GDCN.py of the library's model_zoo
"""
import copy
import csv
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile

import numpy
import torch
import yaml
from fuxictr.features import FeatureMap
from fuxictr.preprocess import FeatureProcessor

sys.path.insert(0, sys.argv[1])
from DCN import DCN
from DCNv2 import DCNv2
from GDCN import GDCN

ROOT = pathlib.Path(__file__).resolve().parent / "fuxictr"
N_TRAINED, N_ASKED = 200, 32
TAGS = ["sport", "shoes", "new", "sale", "Zürich", ""]


def category(name, **more):
    return {"name": name, "active": True, "dtype": "str", "type": "categorical"} | more


def sequence(name, **more):
    return category(name) | {"type": "sequence"} | more


def number(name, **more):
    return {"name": name, "active": True, "dtype": "float", "type": "numeric"} | more


FEATURES = [
    category("user"),
    number("price", normalizer="StandardScaler", fill_na=2.5),
    category("code", dtype="int"),
    sequence("tags", max_len=4),
    category("item", embedding_dim=5, min_categr_count=3),
    sequence("seen", splitter="|", padding="pre", max_len=3, share_embedding="item", embedding_dim=5),
    number("age", normalizer="MinMaxScaler", embedding_dim=3),
]
ENCODED = [
    sequence("tags", feature_encoder="layers.MaskedSumPooling()"),
    sequence("seen", splitter="|", max_len=20, padding="pre", emb_output_dim=3,
             feature_encoder=["layers.MaskedAveragePooling()", "nn.Linear(6,3)", "nn.Tanh()"]),
    category("user", fill_na="nobody", feature_encoder="nn.Linear(6,4,bias=False)", emb_output_dim=4),
    category("code", dtype="int", fill_na=-1),
    number("price"),
]
# name: (columns, class, settings of the model, features in its order or None: all, whether the yaml is written)
MODELS = {
    "features": (FEATURES, DCNv2, {"model_structure": "parallel", "parallel_dnn_hidden_units": [8, 6], "num_cross_layers": 2,
                                   "dnn_activations": ["GELU", "LeakyReLU"], "net_dropout": 0.1, "batch_norm": True}, None, True),
    "encoders": (ENCODED, DCN, {"dnn_hidden_units": [8, 6], "dnn_activations": "PReLU", "num_cross_layers": 2}, None, False),
    "assumed": (FEATURES, DCNv2, {"model_structure": "stacked_parallel", "stacked_dnn_hidden_units": [6], "parallel_dnn_hidden_units": [5],
                                  "use_low_rank_mixture": True, "low_rank": 2, "num_experts": 3, "num_cross_layers": 2}, None, False),
    "gated": (FEATURES, GDCN, {"dnn_hidden_units": [8], "dnn_activations": "Dice", "num_cross_layers": 2}, ["age", "tags", "user"], True),
}


def make_rows(rng, n):
    def maybe(text):
        return "" if rng.random() < 0.1 else text
    return [{"user": maybe(f"u{rng.randrange(9)}"), "item": maybe(str(rng.randrange(20))), "code": maybe(str(rng.randrange(8))),
             "tags": "^".join(rng.choices(TAGS, k=rng.randrange(7))), "seen": "|".join(str(rng.randrange(20)) for _ in range(rng.randrange(6))),
             "price": maybe(f"{rng.lognormvariate(1, 1):.3f}"), "age": maybe(str(rng.randrange(10, 80))), "label": str(rng.randrange(2))}
            for _ in range(n)]


def read(processor, rows, path):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return processor.preprocess(processor.read_data(path, data_format="csv"))


def randomise(model, features):
    """As training leaves it: the row of the padding stays zero."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_table = ".embedding_layers." in name
            parameter.copy_(torch.randn_like(parameter) * (0.5 if is_table else 0.25))
            if is_table and features[name.split(".")[3]]["type"] != "numeric":
                parameter[0] = 0
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_()
            elif name.endswith("running_var"):
                buffer.uniform_(0.3, 2)


def predict(model, inputs):
    with torch.no_grad():
        single = model.forward(inputs)["y_pred"].flatten().tolist()
        model.double()
        to_float = torch.Tensor.float
        torch.Tensor.float = lambda tensor: to_float(tensor).double()  # the library rounds numbers to float32 first
        double = model.forward(inputs)["y_pred"].flatten().tolist()
        torch.Tensor.float = to_float
    return single, double


def write_model(name, columns, kind, settings, use_features, has_yaml):
    rng = random.Random(name)
    torch.manual_seed(14)
    processor = FeatureProcessor(copy.deepcopy(columns), {"name": "label", "dtype": "float"}, name + "_data", "data")
    processor.fit(read(processor, make_rows(rng, N_TRAINED), "rows.csv"))
    settings = {"embedding_dim": 6} | settings
    features = FeatureMap(name + "_data", "data")
    features.load(processor.json_file, settings | {"use_features": use_features})
    model = kind(features, model_id=name, optimizer="adam", loss="binary_crossentropy", task="binary_classification", metrics=["AUC"],
                 model_root="checkpoints", verbose=0, **settings)
    randomise(model, features.features)
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    torch.save(model.eval().state_dict(), folder / f"{name}.model")
    for file in ("feature_map.json", "feature_vocab.json", "feature_processor.pkl"):
        shutil.copy(pathlib.Path("data", name + "_data", file), folder)
    asked = make_rows(rng, N_ASKED)
    asked[0] |= {"user": "unseen", "tags": "^^sale^neverseen^"}
    batch = processor.transform(read(processor, asked, "rows.csv").collect().to_dict(as_series=False))
    inputs = {feature: torch.from_numpy(numpy.ascontiguousarray(batch[feature])) for feature in features.features}
    single, double = predict(model, inputs)
    expected = {"columns": {feature: [row[feature] for row in asked] for feature in features.features}, "predictions": single,
                "predictions_float64": double}
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n")
    if has_yaml:
        configuration = {"Base": {"use_features": use_features, "feature_specs": None}, "another": {"model": "DeepFM"},
                         name: {"model": kind.__name__, "dataset_id": name + "_data", "task": "binary_classification"} | settings}
        (folder / "model_config.yaml").write_text(yaml.safe_dump(configuration, sort_keys=False))


def main():
    for name, model in MODELS.items():
        with tempfile.TemporaryDirectory() as here:
            os.chdir(here)
            write_model(name, *model)


if __name__ == "__main__":
    main()
