# SPDX-License-Identifier: Apache-2.0
"""A network as model.json has it, layer by layer, and which tensors of the module it reads."""
import torch
from torch import nn
from torch.nn import functional

from .errors import ExportError, Unsupported

COUNTERS = ("num_batches_tracked", "n_averaged")
NOTHING = (nn.Dropout, nn.AlphaDropout, nn.Identity)
FUNCTIONS = {torch.relu: "relu", functional.relu: "relu", torch.sigmoid: "sigmoid", torch.tanh: "tanh",
             functional.silu: "silu", functional.gelu: "gelu"}
PLAIN = {nn.ReLU: "relu", nn.SiLU: "silu", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh"}
SEQUENCES = {"MLP_Block": ["mlp"], "MLP": ["mlp", "_mlp"], "MLPLayers": ["mlp_layers"]}  # FuxiCTR; RecHub, TorchRec; RecBole
WHAT_TO_DO = "replace it by a layer of docs/model-json.md, or open an issue of dcnv2-server"


def unwrapped(model):
    """The module below torch.compile, DataParallel and DistributedDataParallel."""
    for _ in range(8):
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = model.module
        if inner is None:
            return model
        model = inner
    raise ExportError("the module is wrapped more than 8 times; pass the one inside")


class Network:
    """The layers so far. A tensor that a layer names counts as used; see unused()."""

    def __init__(self, model):
        self.model, self.state, self.used, self.layers = model, model.state_dict(), {}, []
        self.names = {id(module): name for name, module in model.named_modules()}

    def name_of(self, module):
        return self.names.get(id(module), "")

    def of(self, module, parameter, **selection):
        """A tensor of a module as model.json names it."""
        name = self.name_of(module)
        return self.tensor(name + "." + parameter if name else parameter, **selection)

    def tensor(self, name, **selection):
        if name not in self.state:
            raise ExportError("the module has no tensor %s; it has %s" % (name, ", ".join(list(self.state)[:20])))
        self.used[name] = True
        return {"tensor": name, **selection} if selection else name

    def unused(self, known=()):
        """Names of tensors that no layer reads, and that are neither counters nor known to be dead."""
        def place(name):  # a shared table has several names
            return self.state[name].data_ptr(), self.state[name].shape
        places = {place(name) for name in self.used}
        return [name for name in self.state
                if name not in self.used and not name.endswith(COUNTERS) and not name.startswith(tuple(known))
                and place(name) not in places]

    def unsupported(self, module, reason, advice=WHAT_TO_DO):
        return Unsupported(self.name_of(module), module, reason, advice)

    def add(self, name, **entries):
        self.layers.append({"name": name, **entries})
        return name

    def chain(self, name, source, layers):
        """Layers behind each other; without any, their source."""
        return self.add(name, input=source, chain=layers) if layers else source

    def joined(self, name, sources):
        if len(sources) == 1:
            return sources[0]
        return self.add(name, kind="activation", inputs=sources, function="none")

    def output(self, sources, weight=None, weights=None, bias=None):
        entries = {"kind": "output", "inputs": sources}
        entries.update({"weights": weights} if weights else {"weight": weight}, **({"bias": bias} if bias else {}))
        return self.add("out", **entries)

    def head(self, sources, linear):
        if not isinstance(linear, nn.Linear) or linear.out_features != 1:
            raise self.unsupported(linear, "the output is no nn.Linear of one unit")
        return self.output(sources, weight=self.of(linear, "weight"),
                           bias=self.of(linear, "bias") if linear.bias is not None else None)

    def linear(self, module):
        layer = {"kind": "linear", "weight": self.of(module, "weight")}
        if module.bias is not None:
            layer["bias"] = self.of(module, "bias")
        return layer

    def _norm(self, kind, module, tensors):
        layer = {"kind": kind}
        layer.update({key: self.of(module, name) for key, name in tensors if getattr(module, name) is not None})
        if module.eps != 1e-5:
            layer["epsilon"] = module.eps
        return layer

    def norm(self, module):
        if isinstance(module, nn.LayerNorm):
            if len(module.normalized_shape) != 1:
                raise self.unsupported(module, "it normalises %d dimensions" % len(module.normalized_shape))
            return self._norm("layer_norm", module, [("weight", "weight"), ("bias", "bias")])
        if module.running_mean is None:
            raise self.unsupported(module, "it keeps no running statistics, so that a score depends on the batch",
                                   "train it with track_running_stats=True")
        return self._norm("batch_norm", module, [("weight", "weight"), ("bias", "bias"), ("mean", "running_mean"),
                                                 ("variance", "running_var")])

    def activation(self, module):
        """An activation layer, or None if the module is none. Dice, GELU, SwishLayerNorm: the libraries' own."""
        kind, name = type(module), type(module).__name__

        def function(text, **entries):
            return {"kind": "activation", "function": text, **entries}
        if kind in PLAIN:
            return function(PLAIN[kind])
        if kind is nn.LeakyReLU:
            return function("leaky_relu", slope=module.negative_slope)
        if kind is nn.ELU:
            return function("elu", slope=module.alpha)
        if kind is nn.PReLU:
            return function("prelu", slope=self.of(module, "weight"))
        if kind is nn.GELU:
            return function("gelu_tanh" if module.approximate == "tanh" else "gelu")
        if name == "GELU" and kind.__module__.startswith("fuxictr."):
            return function("gelu_tanh")
        if name == "Dice" and hasattr(module, "bn"):
            epsilon = {} if module.bn.eps == 1e-9 else {"epsilon": module.bn.eps}
            return function("dice", alpha=self.of(module, "alpha"), mean=self.of(module.bn, "running_mean"),
                            variance=self.of(module.bn, "running_var"), **epsilon)
        if name == "Dice" and getattr(module, "epsilon", None) == 1e-3:
            return function("dice_row", alpha=self.of(module, "alpha"))
        if name == "SwishLayerNorm" and module.norm[0].eps == 1e-5:
            return function("swish_layer_norm", weight=self.of(module.norm[0], "weight"), bias=self.of(module.norm[0], "bias"))
        return None

    def function_name(self, function, owner):
        """The name of an activation without tensors: a function, or a module."""
        if isinstance(function, nn.Module):
            layer = self.activation(function)
            if layer and set(layer) == {"kind", "function"}:
                return layer["function"]
        elif function in FUNCTIONS:
            return FUNCTIONS[function]
        raise self.unsupported(owner, "its activation %r is not known" % (function,))

    def sequence(self, module):
        """The layers of a module that is one layer, or a sequence of them."""
        kind, name = type(module), type(module).__name__
        if kind in NOTHING or module is None or (name == "Identity" and kind.__module__.startswith("deepctr_torch.")):
            return []
        if kind is nn.Sequential:
            return [layer for child in module for layer in self.sequence(child)]
        if kind is nn.Linear:
            return [self.linear(module)]
        if kind in (nn.BatchNorm1d, nn.LayerNorm, nn.SyncBatchNorm):
            return [self.norm(module)]
        if name == "Perceptron" and hasattr(module, "_linear"):  # TorchRec's
            return [self.linear(module._linear)] + self._behind(module._activation_fn, module)
        for inner in SEQUENCES.get(name, []):
            if hasattr(module, inner):
                return self.sequence(getattr(module, inner))
        layer = self.activation(module)
        if layer is None:
            raise self.unsupported(module, "no layer of model.json computes it")
        return [layer]

    def _behind(self, function, owner):
        if isinstance(function, nn.Module):
            return self.sequence(function)
        return [{"kind": "activation", "function": self.function_name(function, owner)}]


def width_of(layers, network, width):
    """The width of the last layer of a chain."""
    for layer in layers:
        if layer["kind"] == "linear":
            width = network.state[layer["weight"]].shape[0]
    return width


def part(network, table, name, rule, **pooling):
    """A part of an input that reads a table. table: a tensor's name or selection."""
    entry = {"table": table, "lookup": name}
    if rule.is_list:
        pooling = {key: value for key, value in {"pooling": rule.pooling, "mask": rule.mask, "epsilon": rule.epsilon,
                                                 **pooling}.items() if value is not None}
        if "pooling" not in pooling:
            raise ExportError("column %s: how its rows become one vector is not known; pass Tags(pooling=\"mean\"), or "
                              "\"sum\", \"max\"" % name)
        entry.update(pooling)
    return entry
