# SPDX-License-Identifier: Apache-2.0
"""TorchRec: its DLRM_DCN, and modules of one's own around an EmbeddingBagCollection.

columns={feature: rule}: the collection gives tables, their order and pooling; numbers stand behind the tables, in the
order of the columns. The rest of a module of one's own is found as plain.tower() says. predict= is needed for such a
module. Formulas: torchrec/modules/crossnet.py, mlp.py, models/dlrm.py of 1.9.
"""
import torch

from .. import crosses
from ..columns import Number, as_rules
from ..describe import Network, part
from ..errors import ExportError
from . import Described
from .plain import input_width, tower


def describe(model, columns, dead=(), **layout):
    model = getattr(model, "model", model) if hasattr(model, "loss_fn") else model  # DLRMTrain
    net, rules = Network(model), as_rules(columns)
    tables = table_parts(net, collection_of(net), rules)
    numbers = [{"value": name} for name, rule in rules.items() if isinstance(rule, Number)]
    if hasattr(model, "inter_arch"):
        dlrm(net, model, tables, numbers)
        return Described(net, rules, lambda encoded: feed_dlrm(model, rules, encoded), "TorchRec " + type(model).__name__, dead)
    net.add("x0", kind="input", parts=tables + numbers)
    tower(net, model, input_width(net), **layout)
    return Described(net, rules, None, "TorchRec module " + type(model).__name__, dead)


def collection_of(net):
    found = [m for m in net.model.modules() if hasattr(m, "embedding_bags") and hasattr(m, "embedding_bag_configs")]
    if len(found) != 1:
        raise ExportError("%d EmbeddingBagCollections were found, not one; export before sharding, or from an unsharded copy" % len(found))
    if found[0].is_weighted():
        raise net.unsupported(found[0], "it is weighted", "a weight per value is not served; train without weights")
    return found[0]


def table_parts(net, collection, rules):
    """forward() of the collection: tables in their order, the features of each in theirs. An empty bag gives zeros."""
    found = []
    for config in collection.embedding_bag_configs():
        for feature in config.feature_names:
            if feature not in rules:
                raise ExportError("feature %s of table %s has no rule; pass columns={%r: ..}" % (feature, config.name, feature))
            table = net.of(collection.embedding_bags[config.name], "weight")
            pooling = {"pooling": getattr(config.pooling, "value", config.pooling).lower()} if rules[feature].is_list else {}
            found.append(part(net, table, feature, rules[feature], **pooling))
    return found


def dlrm(net, model, tables, numbers):
    """DLRM_DCN: [dense network of the numbers, tables], cross layers, dense network, head."""
    net.add("numbers", kind="input", parts=numbers)
    dense = net.chain("dense", "numbers", net.sequence(model.dense_arch.model))
    net.add("embeddings", kind="input", parts=tables)
    net.joined("x0", [dense, "embeddings"])
    cross = net.chain("cross", "x0", crosses.of(net, model.inter_arch.crossnet, "x0"))
    over, head = model.over_arch.model
    net.head([net.chain("deep", cross, net.sequence(over))], head)


def feed_dlrm(model, rules, encoded):
    """forward(dense_features, sparse_features), which gives a logit."""
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor
    keys = [name for name, rule in rules.items() if not isinstance(rule, Number)]
    bags = [cell if isinstance(cell, list) else [] if cell is None else [cell] for name in keys for cell in encoded[name]]
    sparse = KeyedJaggedTensor.from_lengths_sync(keys, torch.tensor([row for bag in bags for row in bag]), torch.tensor([len(b) for b in bags]))
    dense = torch.tensor([encoded[name] for name, rule in rules.items() if isinstance(rule, Number)], dtype=torch.float32).T
    return torch.sigmoid(model(dense, sparse))
