# SPDX-License-Identifier: Apache-2.0
"""Torch-RecHub: DCN and DCNv2.

The model keeps its features; what a text becomes is the user's: columns={"city": Category(label_encoder, first_row=1),
"spend_cat": Category(encoder, column="spend", steps=["truncate", "squared_log"]), "tags": Tags(encoder, max=5, first_row=1)}.
Formulas: torch_rechub/models/ranking/dcn.py, dcn_v2.py, basic/layers.py of 0.9.0.
"""
import copy

import torch

from .. import crosses
from ..columns import Number, as_rules
from ..describe import Network, part
from ..errors import ExportError
from . import Described

MEAN_EPSILON = 1e-16  # AveragePooling's
SIGMOID_INSIDE = ("DCN", "DCNv2")


def describe(model, columns):
    if type(model).__name__ not in SIGMOID_INSIDE:
        raise Network(model).unsupported(model, "of Torch-RecHub DCN and DCNv2 are known")
    net, rules = Network(model), ordered(model, as_rules(columns))
    net.add("x0", kind="input", parts=parts(net, model, rules))
    cross = net.chain("cross", "x0", crosses.of(net, model.cn if hasattr(model, "cn") else model.crossnet, "x0"))
    sources = [cross]
    if hasattr(model, "stacked_dnn"):
        sources = [net.chain("deep", cross, net.sequence(model.stacked_dnn))]
    for name in ("parallel_dnn", "mlp"):
        if hasattr(model, name):
            sources.append(net.chain("deep", "x0", net.sequence(getattr(model, name))))
    net.head(sources, model.linear.fc)
    return Described(net, rules, lambda encoded: feed(model, rules, encoded), "Torch-RecHub " + type(model).__name__)


def ordered(model, rules):
    """The rules of the model's features. Without padding_idx each free place of a sequence counts as row 0."""
    found = {}
    for feature in model.features:
        kind = type(feature).__name__
        if feature.name not in rules:
            raise ExportError("feature %s (%s) has no rule; pass columns={%r: ..}" % (feature.name, kind, feature.name))
        rule = copy.copy(rules[feature.name])
        if isinstance(rule, Number) != (kind == "DenseFeature") or rule.is_list != (kind == "SequenceFeature"):
            raise ExportError("feature %s is a %s, and its rule a %s" % (feature.name, kind, type(rule).__name__))
        if kind == "SequenceFeature":
            if not rule.max:
                raise ExportError("feature %s: its padded length is missing; pass Tags(.., max=n)" % feature.name)
            if feature.padding_idx is None:
                rule.pad, rule.pad_row, rule.mask = rule.pad or "behind", 0, "none"
            else:
                rule.mask = {"row": feature.padding_idx}
        if kind == "DenseFeature" and feature.embed_dim != 1:
            raise ExportError("feature %s is a vector; make its numbers features of their own" % feature.name)
        found[feature.name] = rule
    return found


def parts(net, model, rules):
    """EmbeddingLayer.forward(): tables in the features' order, then all dense ones."""
    tables, dense = [], []
    for feature in model.features:
        if type(feature).__name__ == "DenseFeature":
            dense.append({"value": feature.name})
            continue
        table = net.of(model.embedding.embed_dict[feature.shared_with or feature.name], "weight")
        pooling = getattr(feature, "pooling", None)
        if pooling == "concat":
            raise ExportError("feature %s: pooling=\"concat\" keeps a sequence; sum and mean are served" % feature.name)
        tables.append(part(net, table, feature.name, rules[feature.name], pooling=pooling,
                           epsilon=MEAN_EPSILON if pooling == "mean" else None))
    return tables + dense


def feed(model, rules, encoded):
    """The model's own forward(), of a tensor per feature."""
    n = len(next(iter(encoded.values())))
    inputs = {}
    for feature in model.features:
        cells = encoded[feature.name]
        if rules[feature.name].is_list:
            padding = feature.padding_idx or 0
            cells = [cell + [padding] * (rules[feature.name].max - len(cell)) for cell in cells]
        kind = torch.float32 if type(feature).__name__ == "DenseFeature" else torch.long
        inputs[feature.name] = torch.tensor(cells, dtype=kind)
    if n == 1:  # CrossNetMix squeezes a batch of one
        return model({name: torch.cat([tensor, tensor]) for name, tensor in inputs.items()})[:1]
    return model(inputs)
