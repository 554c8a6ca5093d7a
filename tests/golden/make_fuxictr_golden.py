#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/fuxictr: folders as FuxiCTR leaves them, its feature processor fitted on a few made rows, its
models with random weights, and their predictions in float32 and float64.

usage: make_fuxictr_golden.py FOLDER [NAME..]   some of MODELS, or all; with fuxictr 2.3.10, torch 2.13 and polars 1; FOLDER holds DCN.py, DCNv2.py
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
from fuxictr.datasets.criteo import CustomizedFeatureProcessor
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
# Criteo's buckets, and lists whose missing value is a word.
BUCKETS = [
    number("age", fill_na=30),
    category("visits", dtype="int", fill_na=-1, preprocess="convert_to_bucket"),
    sequence("tags", max_len=3, fill_na="none"),
    category("spend", dtype="float", fill_na=0, preprocess="convert_to_bucket(spend)"),
    sequence("seen", splitter="|", padding="pre", max_len=3, fill_na="0", feature_encoder="layers.MaskedSumPooling()"),
]
PRETRAINED = [
    category("user", pretrained_emb="user.npz", pretrain_dim=4),
    number("age", embedding_dim=2),
    category("item", pretrained_emb="item.npz", pretrain_dim=3, pretrain_usage="concat",
             feature_encoder=["nn.Tanh()", "nn.Linear(6, 4)"], emb_output_dim=4),
    sequence("seen", splitter="|", max_len=4, share_embedding="item", feature_encoder="layers.MaskedSumPooling()"),
    sequence("tags", max_len=4, pretrained_emb="tags.npz", pretrain_dim=6),
    category("code", dtype="int", pretrained_emb="code.npz", pretrain_dim=6, freeze_emb=False),
]
# name: (columns, class, settings of the model, features in its order or None: all, whether the yaml is written)
MODELS = {
    "features": (FEATURES, DCNv2, {"model_structure": "parallel", "parallel_dnn_hidden_units": [8, 6], "num_cross_layers": 2,
                                   "dnn_activations": ["GELU", "LeakyReLU"], "net_dropout": 0.1, "batch_norm": True}, None, True),
    "encoders": (ENCODED, DCN, {"dnn_hidden_units": [8, 6], "dnn_activations": "PReLU", "num_cross_layers": 2}, None, False),
    "assumed": (FEATURES, DCNv2, {"model_structure": "stacked_parallel", "stacked_dnn_hidden_units": [6], "parallel_dnn_hidden_units": [5],
                                  "use_low_rank_mixture": True, "low_rank": 2, "num_experts": 3, "num_cross_layers": 2}, None, False),
    "gated": (FEATURES, GDCN, {"dnn_hidden_units": [8], "dnn_activations": "Dice", "num_cross_layers": 2}, ["age", "tags", "user"], True),
    "buckets": (BUCKETS, DCN, {"dnn_hidden_units": [8], "num_cross_layers": 2}, None, True),
    "pretrained": (PRETRAINED, DCNv2, {"model_structure": "stacked", "stacked_dnn_hidden_units": [8], "num_cross_layers": 2}, None, True),
}
PROCESSORS = {"buckets": CustomizedFeatureProcessor}
VISITS = ["", "-3", "-2", "-1", "0", "1", "2", "3", "4", "5", "7", "90", "2147483647"]
SPENT = ["", "-2.5", "-2", "-1.5", "-1", "-0.5", "0.5", "1", "1.999", "2", "2.0000000000000004", "2.5", "2.718281828459045", "3", "54.59", "1e6", "3e38"]


def make_rows(rng, n):
    def maybe(text):
        return "" if rng.random() < 0.1 else text
    return [{"user": maybe(f"u{rng.randrange(9)}"), "item": maybe(str(rng.randrange(20))), "code": maybe(str(rng.randrange(8))),
             "tags": "^".join(rng.choices(TAGS, k=rng.randrange(7))), "seen": "|".join(str(rng.randrange(20)) for _ in range(rng.randrange(6))),
             "price": maybe(f"{rng.lognormvariate(1, 1):.3f}"), "age": maybe(str(rng.randrange(10, 80))), "label": str(rng.randrange(2))}
            for _ in range(n)]


def with_buckets(rng, rows):
    """The columns of BUCKETS, whose lists hold no empty texts."""
    tags = [tag for tag in TAGS if tag] + ["none"]
    return [row | {"visits": rng.choice(VISITS), "spend": rng.choice(SPENT), "tags": "^".join(rng.choices(tags, k=rng.randrange(6)))}
            for row in rows]


def write_pretrained(columns):
    """Vectors of most of the values, and of some that stand in no row that was trained on."""
    words = {"user": [f"u{i}" for i in range(2, 12)], "item": [str(i) for i in range(3, 26)], "tags": ["new", "sale", "old"], "code": range(1, 6)}
    random_numbers = numpy.random.default_rng(14)
    for column in columns:
        if "pretrained_emb" in column:
            keys = numpy.array(words[column["name"]])
            numpy.savez(column["pretrained_emb"], key=keys, value=random_numbers.normal(size=(len(keys), column["pretrain_dim"])))


def read(processor, rows, path):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return processor.preprocess(processor.read_data(path, data_format="csv"))


def randomise(model, features):
    """As training leaves it: the row of the padding stays zero, a pretrained table too if it is frozen, and in the one beside
    it what stands in no row that was trained on."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_table = ".embedding_layers." in name and not name.endswith(".proj.weight")
            if parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter) * (0.5 if is_table else 0.25))
            if is_table and features[name.split(".")[3]]["type"] != "numeric":
                parameter[0] = 0
            if name.endswith(".id_embedding.weight"):
                parameter[features[name.split(".")[3]]["oov_idx"] + 1:] = 0
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
    write_pretrained(columns)
    processor = PROCESSORS.get(name, FeatureProcessor)(copy.deepcopy(columns), {"name": "label", "dtype": "float"}, name + "_data", "data")
    make = (lambda n: with_buckets(rng, make_rows(rng, n))) if name in PROCESSORS else (lambda n: make_rows(rng, n))
    processor.fit(read(processor, make(N_TRAINED), "rows.csv"))
    settings = {"embedding_dim": 6} | settings
    features = FeatureMap(name + "_data", processor.data_dir)
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
    asked = make(N_ASKED)
    if name in PROCESSORS:
        asked = [row | {"visits": VISITS[i % len(VISITS)], "spend": SPENT[i % len(SPENT)]} for i, row in enumerate(asked)]
        asked[0] |= {"visits": "90000", "tags": "none^sale^neverseen", "spend": "77"}
    else:
        asked[0] |= {"user": "unseen", "tags": "^^sale^neverseen^"}
    if name == "pretrained":
        asked[1] |= {"user": "u11", "item": "25", "tags": "old^new", "seen": "24|3|25"}
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
    for name, model in ((name, MODELS[name]) for name in sys.argv[2:] or MODELS):
        with tempfile.TemporaryDirectory() as here:
            os.chdir(here)
            write_model(name, *model)


if __name__ == "__main__":
    main()
