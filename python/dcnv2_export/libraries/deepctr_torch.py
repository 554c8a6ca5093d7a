# SPDX-License-Identifier: Apache-2.0
"""DeepCTR-Torch: DCN (vector, matrix) and DCNMix, with the linear part.

The model keeps its feature columns; what a text becomes is the user's: columns={"city": label_encoder,
"tags": Tags(key2index, max=6, keep="last"), **scaled(min_max_scaler, ["age", "price"], fill=0)}. A column of lengths
(length_name) is no column of a request: the values of a list are counted, those that `max` leaves.
Formulas: deepctr_torch/models/dcn.py, dcnmix.py, layers/sequence.py of 0.3.0.
"""
import copy

import torch

from .. import crosses
from ..columns import DROP, REFUSE, Number, as_rules
from ..describe import Network, part
from ..errors import ExportError
from . import Described

MEAN_EPSILON = 1e-8  # SequencePoolingLayer's


def describe(model, columns):
    net = Network(model)
    if type(model).__name__ not in ("DCN", "DCNMix"):
        raise net.unsupported(model, "of DeepCTR-Torch DCN and DCNMix are known")
    rules = ordered(model, as_rules(columns))
    features = list(model.dnn_feature_columns)
    linear = model.linear_model
    net.add("x0", kind="input", parts=parts(net, model, features, rules))
    linear_features = linear.sparse_feature_columns + linear.varlen_sparse_feature_columns + linear.dense_feature_columns
    sources, weights = [], []
    width = model.dnn_linear.in_features
    deep = dnn_layers(net, model.dnn)
    n_deep = model.dnn.linears[-1].out_features
    if model.cross_num > 0:
        sources.append(net.chain("cross", "x0", crosses.of(net, model.crossnet, "x0")))
        weights.append(net.of(model.dnn_linear, "weight", rows=[0, width - n_deep]))
    sources.append(net.chain("deep", "x0", deep))
    weights.append(net.of(model.dnn_linear, "weight", rows=[width - n_deep, n_deep]))
    if linear_features:
        net.add("linear", kind="input", parts=linear_parts(net, linear, linear_features, rules))
        sources.append("linear")
        weights.append(None)
    net.output(sources, weights=weights, bias=net.of(model.out, "bias"))
    dead = ["crossnet."] if model.cross_num == 0 else []
    return Described(net, rules, lambda encoded: feed(model, encoded), "DeepCTR-Torch " + type(model).__name__, dead)


def ordered(model, rules):
    """The rules of the model's features, each of its kind."""
    if model.out.task != "binary":
        raise ExportError("the model's task is %r; the server's reply is a probability, of task \"binary\"" % model.out.task)
    found = {}
    for feature in every_feature(model):
        kind = type(feature).__name__
        if kind == "DenseFeat" and feature.dimension != 1:
            raise ExportError("feature %s: a dense feature of %d numbers; make it %d features" % (feature.name, feature.dimension, feature.dimension))
        if feature.name not in rules:
            raise ExportError("feature %s (%s) has no rule; pass columns={%r: ..}" % (feature.name, kind, feature.name))
        rule = rules[feature.name]
        if isinstance(rule, Number) != (kind == "DenseFeat") or rule.is_list != (kind == "VarLenSparseFeat"):
            raise ExportError("feature %s is a %s, and its rule a %s" % (feature.name, kind, type(rule).__name__))
        if kind == "VarLenSparseFeat":
            rule = with_mask(feature, rule)
        if found.setdefault(feature.name, rule).__dict__ != rule.__dict__:
            raise ExportError("feature %s: the linear part masks its values otherwise than the network; give both the same "
                              "length_name" % feature.name)
    check_lengths(model, found)
    return {name: found.get(name, rule) for name, rule in rules.items()}


def with_mask(feature, rule):
    """Row 0 does not count; with length_name each value does."""
    rule = copy.copy(rule)
    rule.mask = {"row": 0}
    if feature.length_name:
        rule.mask, rule.pad, rule.pad_row = "none", None, None
    if feature.combiner == "max":
        rule.missing = REFUSE if rule.missing == DROP else rule.missing
        check_max(feature, rule)
    return rule


def check_max(feature, rule):
    """The largest of no values is about -1e9 in the library: each text has to give one. With lengths it fails, of all masks."""
    if feature.length_name:
        raise ExportError("feature %s: DeepCTR-Torch cannot compute combiner=\"max\" with a length_name; train with \"mean\" or \"sum\", or "
                          "without length_name" % feature.name)
    if {DROP, 0} & {rule.unseen, rule.missing, *(rule.vocabulary or {}).values()}:
        raise ExportError("feature %s: combiner=\"max\" of a list none of whose values counts is -1e9 in the library; pass a rule that "
                          "drops no text and gives no row 0, or train with \"mean\" or \"sum\"" % feature.name)


def check_lengths(model, rules):
    for feature in every_feature(model):
        if getattr(feature, "length_name", None) in rules:
            raise ExportError("feature %s: its length_name %s is a feature too, and nothing holds both equal; give the feature a copy "
                              "of the column by another name" % (feature.name, feature.length_name))


def every_feature(model):
    linear = model.linear_model
    return list(model.dnn_feature_columns) + linear.sparse_feature_columns + linear.varlen_sparse_feature_columns + \
        linear.dense_feature_columns


def table(net, owner, feature, rules):
    name = net.of(owner.embedding_dict[feature.embedding_name], "weight")
    combiner = getattr(feature, "combiner", None)
    return part(net, name, feature.name, rules[feature.name], pooling=combiner,
                epsilon=MEAN_EPSILON if combiner == "mean" else None)


def parts(net, model, features, rules):
    """input_from_feature_columns(): sparse, then varlen, then dense features, each in their order."""
    groups = {"SparseFeat": [], "VarLenSparseFeat": [], "DenseFeat": []}
    for feature in features:
        groups[type(feature).__name__].append(feature)
    return [table(net, model, f, rules) for f in groups["SparseFeat"] + groups["VarLenSparseFeat"]] + \
        [{"value": f.name} for f in groups["DenseFeat"]]


def linear_parts(net, linear, features, rules):
    found, n_dense = [], 0
    for feature in features:
        if type(feature).__name__ == "DenseFeat":
            found.append({"value": feature.name, "times": net.of(linear, "weight", rows=[n_dense, 1])})
            n_dense += 1
        else:
            found.append(table(net, linear, feature, rules))
    return found


def dnn_layers(net, dnn):
    layers = []
    for i, linear in enumerate(dnn.linears):
        layers.append(net.linear(linear))
        if dnn.use_bn:
            layers.append(net.norm(dnn.bn[i]))
        layers += net.sequence(dnn.activation_layers[i])
    return layers


def with_lengths(model, encoded):
    """The inputs by name: those of the rules, and each column of lengths."""
    inputs = dict(encoded)
    for feature in every_feature(model):
        name = getattr(feature, "length_name", None)
        if name is None:
            continue
        lengths = [len(cell) for cell in encoded[feature.name]]
        if inputs.setdefault(name, lengths) != lengths:
            row = next(i for i, pair in enumerate(zip(inputs[name], lengths)) if pair[0] != pair[1])
            raise ExportError("feature %s, row %d: the list has %d values, and another one of length_name %s has %d; the server counts "
                              "each by itself" % (feature.name, row, lengths[row], name, inputs[name][row]))
    return inputs


def feed(model, encoded):
    """The model's own forward(), of its one float32 matrix."""
    n = len(next(iter(encoded.values())))
    encoded = with_lengths(model, encoded)
    width = max(stop for _, stop in model.feature_index.values())
    matrix = torch.zeros(n, width)
    for name, (start, stop) in model.feature_index.items():
        for i, cell in enumerate(encoded[name]):
            cells = cell if isinstance(cell, list) else [cell]
            if len(cells) > stop - start or None in cells:
                raise ExportError("feature %s, row %d: %r does not fit %d places" % (name, i, cell, stop - start))
            matrix[i, start:start + len(cells)] = torch.tensor(cells, dtype=torch.float32)
    if n == 1:  # DCNMix squeezes a batch of one
        return model(matrix.repeat(2, 1))[:1]
    return model(matrix)
