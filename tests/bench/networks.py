# SPDX-License-Identifier: Apache-2.0
"""Networks of the sizes that are in production, with random weights: a model.json and a safetensors file each.

Categories are row numbers (`"integer": true`), so that a request names the rows of the tables itself.
"""
import array
import dataclasses
import json
import math
import random
import struct

EPSILON = 1e-3  # of batch norm, as Keras and FuxiCTR's configurations have it
BLOCK_FLOATS = 1 << 16  # of a table: so many differ, then they repeat


@dataclasses.dataclass
class Network:
    """`width` of an embedding; `lists`: of the columns, so many hold up to `most` values, pooled by mean."""
    name: str
    what: str
    columns: int
    width: int
    numbers: int
    cross: str  # a kind of model.json
    n_cross: int
    deep: tuple
    stacked: bool = False
    batch_norm: bool = False
    lists: int = 0
    most: int = 0
    experts: int = 0
    rank: int = 0
    rows: int = 20000  # of a table

    def x0_width(self):
        return self.columns * self.width + self.numbers

    def smaller(self):
        """Of the same form, for a test that all of it works."""
        return dataclasses.replace(self, width=max(2, self.width // 8), deep=tuple(n // 8 for n in self.deep),
                                   rank=self.rank // 8, rows=100)


ALL = (
    Network("mixture", "mixture of 4 experts of rank 32, 20 columns of 16", 20, 16, 5, "cross_mixture", 3, (256, 128),
            experts=4, rank=32),
    Network("stacked", "stacked, batch norm, 400-400-400, 20 columns of 16", 20, 16, 5, "cross", 3, (400, 400, 400),
            stacked=True, batch_norm=True),
    Network("lists", "16 columns of 16 and 4 lists of up to 20 values by mean", 20, 16, 5, "cross", 3, (256, 128), lists=4, most=20),
    Network("large", "22 columns of 32, 4 cross layers, 512-256-128", 22, 32, 1, "cross", 4, (512, 256, 128)),
)


class Weights:
    """Collects float32 tensors and writes them as safetensors."""

    def __init__(self, seed):
        self.random, self.tensors = random.Random(seed), []

    def uniform(self, name, shape, least, most):
        draw, n = self.random.random, math.prod(shape)
        values = array.array("f", (least + (most - least) * draw() for _ in range(min(n, BLOCK_FLOATS))))
        values *= -(-n // len(values))
        self.tensors.append((name, shape, values[:n].tobytes()))

    def linear(self, name, n_out, n_in):
        bound = 1 / math.sqrt(n_in)
        self.uniform(f"{name}.weight", (n_out, n_in), -bound, bound)
        self.uniform(f"{name}.bias", (n_out,), -bound, bound)

    def write(self, path):
        head, at = {}, 0
        for name, shape, data in self.tensors:
            head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(data)]}
            at += len(data)
        text = json.dumps(head).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for _, _, data in self.tensors:
                file.write(data)


def cross_layer(network, weights):
    x0 = network.x0_width()
    layer = {"name": "cross", "kind": network.cross, "input": "x0", "repeat": network.n_cross}
    if network.cross == "cross":
        for i in range(network.n_cross):
            weights.linear(f"cross.{i}", x0, x0)
        return {**layer, "weight": "cross.{}.weight", "bias": "cross.{}.bias"}
    bound = 1 / math.sqrt(network.rank)
    for i in range(network.n_cross):
        weights.uniform(f"cross.{i}.u", (network.experts, x0, network.rank), -bound, bound)
        weights.uniform(f"cross.{i}.v", (network.experts, network.rank, x0), -bound / 3, bound / 3)
        weights.uniform(f"cross.{i}.c", (network.experts, network.rank, network.rank), -bound, bound)
        weights.uniform(f"cross.{i}.gate", (network.experts, x0), -bound, bound)
        weights.uniform(f"cross.{i}.bias", (x0,), -bound, bound)
    return {**layer, "function": "tanh", **{key: f"cross.{{}}.{key}" for key in ("u", "v", "c", "gate", "bias")}}


def deep_layers(network, weights):
    n_in = network.x0_width()
    chain = [{"kind": "linear", "weight": "deep.{}.weight", "bias": "deep.{}.bias"}]
    for i, n_out in enumerate(network.deep):
        weights.linear(f"deep.{i}", n_out, n_in)
        if network.batch_norm:
            for kind, least, most in (("weight", 0.5, 1.5), ("bias", -0.1, 0.1), ("mean", -0.1, 0.1), ("variance", 0.1, 1)):
                weights.uniform(f"norm.{i}.{kind}", (n_out,), least, most)
        n_in = n_out
    if network.batch_norm:
        chain.append({"kind": "batch_norm", "epsilon": EPSILON,
                      **{kind: f"norm.{{}}.{kind}" for kind in ("weight", "bias", "mean", "variance")}})
    chain.append({"kind": "activation", "function": "relu"})
    return {"name": "deep", "input": "cross" if network.stacked else "x0", "repeat": len(network.deep), "chain": chain}


def write(network, folder, seed=1):
    """Writes folder/model.json and folder/model.safetensors."""
    weights, columns, lookups, parts = Weights(seed), [], {}, []
    for i in range(network.columns):
        weights.uniform(f"table.{i}", (network.rows, network.width), -0.5, 0.5)
        is_list = i < network.lists
        columns.append({"name": f"c{i}", **({"list": True, "separator": "|"} if is_list else {})})
        lookups[f"c{i}"] = {"integer": True, **({"max": network.most, "keep": "first"} if is_list else {})}
        parts.append({"table": f"table.{i}", "lookup": f"c{i}", **({"pooling": "mean"} if is_list else {})})
    for i in range(network.numbers):
        columns.append({"name": f"n{i}", "type": "number"})
        parts.append({"value": f"n{i}"})
    layers = [{"name": "x0", "kind": "input", "parts": parts}, cross_layer(network, weights), deep_layers(network, weights)]
    ends = ["deep"] if network.stacked else ["cross", "deep"]
    weights.linear("output", 1, network.deep[-1] + (0 if network.stacked else network.x0_width()))
    layers.append({"name": "out", "kind": "output", "inputs": ends, "weight": "output.weight", "bias": "output.bias"})
    description = {"dcnv2_model": 1, "weights": "model.safetensors", "columns": columns, "lookups": lookups,
                   "values": {f"n{i}": {"steps": []} for i in range(network.numbers)}, "layers": layers}
    (folder / "model.json").write_text(json.dumps(description, indent=1))
    weights.write(folder / "model.safetensors")


def columns(network, n_rows, seed=2):
    """Random rows as a v1 request has them; a list is a list of texts, never empty."""
    draw = random.Random(seed)
    found = {f"c{i}": [str(draw.randrange(network.rows)) for _ in range(n_rows)] for i in range(network.lists, network.columns)}
    for i in range(network.lists):
        found[f"c{i}"] = [[str(draw.randrange(network.rows)) for _ in range(draw.randint(1, network.most))] for _ in range(n_rows)]
    found.update({f"n{i}": [draw.uniform(-2, 2) for _ in range(n_rows)] for i in range(network.numbers)})
    return found
