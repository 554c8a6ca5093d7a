# SPDX-License-Identifier: Apache-2.0
"""RecBole: DCN and DCNV2. dataset=: the Dataset, which holds the vocabularies (field2token_id, field2seqlen).

Mean, minimum and maximum of the float fields are applied to the stored rows and kept nowhere, so that they are the
user's: columns={"price": Number([{"fill": mean}, {"subtract": min}, {"divide": max - min}])}; a discretised field is a
Category of steps without a vocabulary. Of a float_seq field the model takes the mean of the values, so that the mean is
what a request holds: a Number too. Formulas: recbole/model/context_aware_recommender, abstract_recommender.py of 1.2.
"""
import copy

import torch

from .. import crosses
from ..columns import Category, Number, Tags, as_rules
from ..describe import Network
from ..errors import ExportError
from . import Described

MEAN_EPSILON = 1e-8  # embed_token_seq_fields()'s
PADDING = "[PAD]"
DEAD = ("first_order_linear.",)


def describe(model, columns, dataset=None, separator=None):
    """separator: what stands between the values of a token_seq field (default: seq_separator of the dataset's configuration)."""
    if separator is None:
        separator = dataset.config["seq_separator"] if hasattr(dataset, "config") else " "
    net = Network(model)
    if not hasattr(model, "cross_layer_w") and not hasattr(model, "cross_layer_u"):
        raise net.unsupported(model, "of RecBole DCN and DCNV2 are known")
    rules = rules_of(model, as_rules(columns), dataset, separator)
    net.add("x0", kind="input", parts=parts(net, model, rules))
    cross = net.chain("cross", "x0", crosses.based_on("x0", cross_layers(net, model)))
    if getattr(model, "structure", "parallel") == "stacked":
        sources = [net.chain("deep", cross, net.sequence(model.mlp_layers))]
    else:
        sources = [cross, net.chain("deep", "x0", net.sequence(model.mlp_layers))]
    net.head(sources, model.predict_layer)
    return Described(net, rules, lambda encoded: feed(model, rules, encoded), "RecBole " + type(model).__name__, DEAD)


def cross_layers(net, model):
    if getattr(model, "mixed", False):
        return crosses.mixture(net, model, ("cross_layer_u", "cross_layer_v", "cross_layer_c"), model.gating, "tanh")
    kind, bias = ("cross_vector", "cross_layer_b") if hasattr(model, "cross_layer_b") else ("cross", "bias")
    return [{"kind": kind, "weight": net.of(model, "cross_layer_w.%d" % i), "bias": net.of(model, "%s.%d" % (bias, i))}
            for i in range(len(model.cross_layer_w))]


def starts(dims):
    """The first row of each field in their one table."""
    return [sum(dims[:i]) for i in range(len(dims))]


def sequences(model):
    """Its float_seq fields, none of a RecBole that has none."""
    return getattr(model, "float_seq_field_names", [])


def vocabulary(dataset, name):
    if dataset is None:
        raise ExportError("field %s has no vocabulary; pass dataset=, the model's Dataset" % name)
    return {token: row for token, row in dataset.field2token_id[name].items() if token != PADDING}


def rules_of(model, given, dataset, separator):
    """Rules of all fields, in the order of the input."""
    rules = {}
    for name in model.token_seq_field_names:
        rules[name] = given.get(name) or Tags(vocabulary(dataset, name), separator=separator, max=dataset.field2seqlen[name],
                                              pooling="mean", mask={"row": 0}, epsilon=MEAN_EPSILON)
    for name, start in zip(model.token_field_names, starts(model.token_field_dims)):
        rules[name] = given.get(name) or Category(vocabulary(dataset, name), first_row=start, missing=start)
    for name in sequences(model):
        if not isinstance(given.get(name), Number):
            raise ExportError("float_seq field %s: the server reads no lists of numbers, and the model takes their mean alone; put the mean of "
                              "the first seq_len values into the rows (0 if there is none), and pass columns={%r: Number([{\"fill\": 0}])}; a "
                              "discretised one is not served" % (name, name))
        rules[name] = given[name]
    for name, start in zip(model.float_field_names, starts(model.float_field_dims)):
        if name not in given:
            raise ExportError("float field %s: RecBole keeps neither the mean that fills it nor its range; pass "
                              "columns={%r: Number([{\"fill\": mean}, ..])}" % (name, name))
        rules[name] = copy.copy(given[name])
        if isinstance(rules[name], Category):
            rules[name].first_row += start
    return rules


def parts(net, model, rules):
    """embed_input_fields(): sequences, tokens, sequences of floats, floats. A plain float field uses row 1 of its two."""
    found = []
    for i, name in enumerate(model.token_seq_field_names):
        found.append({"table": net.of(model.token_seq_embedding_table[i], "weight"), "lookup": name,
                      "pooling": rules[name].pooling, "mask": rules[name].mask, "epsilon": rules[name].epsilon})
    for name in model.token_field_names:
        found.append({"table": net.of(model.token_embedding_table.embedding, "weight"), "lookup": name})
    for i, name in enumerate(sequences(model)):
        found.append({"value": name, "times": net.of(model.float_seq_embedding_table[i], "weight", rows=[1, 1])})
    for name, start in zip(model.float_field_names, starts(model.float_field_dims)):
        table = model.float_embedding_table.embedding
        if isinstance(rules[name], Number):
            found.append({"value": name, "times": net.of(table, "weight", rows=[start + 1, 1])})
        else:
            found.append({"table": net.of(table, "weight"), "lookup": name})
    return found


def feed(model, rules, encoded):
    """The model's own predict(), of an interaction: ids as the Dataset has them, from 0 in each field."""
    batch = {}
    for name, start in zip(model.token_field_names, starts(model.token_field_dims)):
        batch[name] = torch.tensor(encoded[name]) - start
    for name in model.token_seq_field_names:
        length = rules[name].max
        batch[name] = torch.tensor([cell + [0] * (length - len(cell)) for cell in encoded[name]])
    for name, start in zip(model.float_field_names, starts(model.float_field_dims)):
        cells = torch.tensor(encoded[name], dtype=torch.float32)
        pair = (cells, torch.ones_like(cells)) if isinstance(rules[name], Number) else (torch.ones_like(cells), cells - start)
        batch[name] = torch.stack(pair, dim=1)
    for name in sequences(model):  # one value, which is the mean of a list
        cells = torch.tensor(encoded[name], dtype=torch.float32).unsqueeze(1)
        batch[name] = torch.stack([cells, torch.ones_like(cells)], dim=-1)
    return model.predict(batch)
