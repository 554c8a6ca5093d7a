# SPDX-License-Identifier: Apache-2.0
"""Plain PyTorch modules of the field's usual layout: tables, cross layers, a dense network, a linear head.

columns={name: rule}, in the order in which forward() joins them. What the modules do not tell is an argument:
tables    {column: module's name}; default: the table that is called as the column is (an attribute, or in a ModuleDict), a
          ModuleList in the order of the columns, or the one table of all (with first_row in the rules)
stem      name of a module between x0 and the rest, such as a BatchNorm1d of all inputs
cross, deep, head   names of the modules; head: several in the order of `order` if each has an output of its own
order     ("cross", "deep"): what the head reads, in this order
structure "parallel", "stacked", "cross", "deep"; default: by the head's width
gives     "logit" or "probability"; default: by whether the module ends with nn.Sigmoid
cross_product   "xW" or "Wx" of parameter lists
"""
import inspect

import torch
from torch import nn

from .. import crosses
from ..columns import Number, as_rules
from ..describe import Network, part, width_of
from ..errors import ExportError
from . import Described

NAMES_OF_DEEP = ("deep", "dnn", "mlp", "tower", "over")


def describe(model, columns, tables=None, gives=None, dead=(), **layout):
    net, rules = Network(model), as_rules(columns)
    if not rules:
        raise ExportError('columns are missing: columns={"city": ["Berlin", "Rome"], "price": "number"}, in the order of forward()')
    net.add("x0", kind="input", parts=parts(net, model, rules, tables or {}))
    tower(net, model, input_width(net), **layout)
    return Described(net, rules, feeder(model, rules, gives), "PyTorch module " + type(model).__name__, dead)


def child(net, name):
    """The module of a dotted name."""
    found = dict(net.model.named_modules()).get(name)
    if found is None:
        raise ExportError("the module has no %r; it has %s" % (name, ", ".join(n for n, _ in net.model.named_children())))
    return found


def find_table(net, model, name, position, n_tables):
    """The table of a column, by its own name (an attribute's, a ModuleDict's key), a ModuleList's order, or because there is one
    alone."""
    kinds = (nn.Embedding, nn.EmbeddingBag)
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) and all(isinstance(e, kinds) for e in m)]
    for module in model.modules():
        if not isinstance(module, nn.ModuleList) and isinstance(module._modules.get(name), kinds):
            return module._modules[name]
    if len(lists) == 1 and len(lists[0]) == n_tables:
        return lists[0][position]
    alone = [m for m in model.modules() if isinstance(m, kinds)]
    if len(alone) == 1:
        return alone[0]
    raise ExportError("column %s: which table is its own is not known; pass tables={%r: \"module's name\"}, of %s" %
                      (name, name, ", ".join(net.name_of(m) for m in alone)))


def parts(net, model, rules, tables):
    categories = [name for name, rule in rules.items() if not isinstance(rule, Number)]
    found = []
    for name, rule in rules.items():
        if isinstance(rule, Number):
            found.append({"value": name})
            continue
        table = child(net, tables[name]) if name in tables else \
            find_table(net, model, name, categories.index(name), len(categories))
        if getattr(table, "max_norm", None) is not None:
            raise net.unsupported(table, "max_norm changes rows as they are read", "renormalise the table, and leave max_norm out")
        extra = {"pooling": table.mode} if isinstance(table, nn.EmbeddingBag) else {}
        if extra and table.padding_idx is not None:
            extra["mask"] = {"row": table.padding_idx}
        found.append(part(net, net.of(table, "weight"), name, rule, **extra))
    return found


def input_width(net):
    """Numbers per row of the layer x0."""
    return sum(1 if "table" not in p else net.state[p["table"]].shape[1] for p in net.layers[0]["parts"])


def by_name(net, given, fits, what):
    """A child by its given name, or the only one that fits. None: there is none, or given is ""."""
    if given is not None:
        return child(net, given) if given else None
    found = [m for name, m in net.model.named_children() if fits(name.lower(), m) and any(True for _ in m.parameters())]
    if len(found) > 1:
        raise ExportError("%s: %s all look like it; pass the name" % (what, ", ".join(net.name_of(m) for m in found)))
    return found[0] if found else None


def is_head(module):
    return isinstance(module, nn.Linear) and module.out_features == 1


def tower(net, model, width, source="x0", stem=None, cross=None, deep=None, head=None, order=("cross", "deep"), structure=None,
          cross_product=None):
    """Layers from the input to the output. width: of the input."""
    x0 = net.chain("stem", source, net.sequence(child(net, stem))) if stem else source
    cross = by_name(net, cross, lambda name, m: "cross" in name and not is_head(m), "cross=")
    deep = by_name(net, deep, lambda name, m: any(n in name for n in NAMES_OF_DEEP) and not is_head(m), "deep=")
    heads = [child(net, name) for name in ([head] if isinstance(head, str) else head or [])] or \
        [m for m in model.children() if is_head(m)]
    layers = net.sequence(deep) if deep is not None else []
    heads, layers = (heads, layers) if heads else split_head(net, deep, layers)
    n_deep = width_of(layers, net, width)
    structure = structure or structure_of(net, heads, width, n_deep, cross, deep)
    values = {}
    if structure != "deep":
        values["cross"] = net.chain("cross", x0, crosses.of(net, cross, x0, cross_product))
    if structure != "cross":
        values["deep"] = net.chain("deep", values["cross"] if structure == "stacked" else x0, layers)
    sources = [values["deep"]] if structure == "stacked" else [values[name] for name in order if name in values]
    if len(heads) == 1:
        if isinstance(heads[0], dict):
            net.output(sources, weight=heads[0]["weight"], bias=heads[0].get("bias"))
        else:
            net.head(sources, heads[0])
        return
    several_heads(net, heads, sources, order)


def split_head(net, deep, layers):
    """A dense network whose last nn.Linear has one unit is the head too."""
    if layers and layers[-1]["kind"] == "linear" and net.state[layers[-1]["weight"]].shape[0] == 1:
        return [layers[-1]], layers[:-1]
    raise ExportError('the head, an nn.Linear of one unit, was not found; pass head="name"')


def structure_of(net, heads, width, n_deep, cross, deep):
    """By what the one head reads."""
    if cross is None or deep is None:
        return "deep" if cross is None else "cross"
    if len(heads) > 1:
        return "parallel"
    head = heads[0]
    n = net.state[head["weight"]].shape[1] if isinstance(head, dict) else head.in_features
    if n == width + n_deep:
        return "parallel"
    if n == n_deep:
        return "stacked"
    raise ExportError("the head reads %d numbers, but cross layers give %d and the dense network %d; pass structure=, cross=, deep=" %
                      (n, width, n_deep))


def several_heads(net, heads, sources, order):
    """An output per source: fc_cross and fc_deep, by the name of the source or in its order."""
    chosen = [next((h for h in heads if name in net.name_of(h).lower()), None) for name in order]
    if None in chosen or len(set(map(id, chosen))) != len(sources):
        chosen = heads
    if len(chosen) != len(sources):
        raise ExportError("%d heads of %d parts; pass head=[names], in the order of order=" % (len(chosen), len(sources)))
    biases = [net.of(h, "bias") for h in chosen if h.bias is not None]
    net.output(sources, weights=[net.of(h, "weight") for h in chosen], bias=(biases if len(biases) > 1 else biases[0]) if biases else None)


def feeder(model, rules, gives):
    """model(categories [rows, n] long, numbers [rows, m] float32), if forward() takes two and no column is a list."""
    parameters = [p for p in inspect.signature(model.forward).parameters.values() if p.default is p.empty]
    numbers = [name for name, rule in rules.items() if isinstance(rule, Number)]
    categories = [name for name in rules if name not in numbers]
    if len(parameters) != 2 or not numbers or not categories or any(rules[name].is_list for name in categories):
        return None
    if gives is None and any(isinstance(m, nn.Sigmoid) for m in list(model.children())[-1:]):
        gives = "probability"

    def feed(encoded):
        dropped = [name for name in categories if None in encoded[name]]
        if dropped:
            raise ExportError("column %s: \"drop\" leaves a row without an id, which forward() needs; pass predict=" % dropped[0])
        if gives not in ("logit", "probability"):
            raise ExportError('what forward() gives is not known; pass gives="logit", or "probability" if it ends with a sigmoid')
        result = model(torch.tensor([encoded[name] for name in categories]).T, torch.tensor([encoded[name] for name in numbers]).float().T)
        return torch.sigmoid(result) if gives == "logit" else result
    return feed
