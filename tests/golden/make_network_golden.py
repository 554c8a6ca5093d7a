#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/network: small random DCNv2 networks of many shapes with their encoders,
and what PyTorch gives for some rows.

    python make_network_golden.py [DIRECTORY]

Needs torch 2.13, scikit-learn 1.9 and numpy 2; the same versions write the same model files.
MANIFEST.md, written too, says what each network is. NAME.pth is a state dict, NAME.pkl the
pickled (StandardScaler, {column: LabelEncoder}), NAME.expected what they give, in the form of
golden_file.py; floats as Python's float.hex() writes them:

    dense   NAME             one of each dense column, in the scaler's order
    sparse  NAME CLASSES     one of each sparse column, in the order of the embedding tables
    named   WHICH            dense, sparse or both: whose names the files do not tell in this order
    row     F64 F32 ..       PyTorch's score in float64 and in float32, then the raw values:
                             a float a dense column, a text a sparse column

Both scores are of the same input: scaled in float64, then rounded to float32.
"""

import collections
import copy
import os
import pickle
import sys

import numpy as np
import torch
from sklearn.preprocessing import LabelEncoder, StandardScaler

import golden_file

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "network")
N_ROWS = 20

# NAME: dense columns; tables (width, classes, rows that no class reaches); cross kind and depth;
# widths of the deep network, or None: there is none, or "x0": one without layers, the output sees
# x0 twice; and how the files are peculiar.
Shape = collections.namedtuple("Shape", "dense tables cross depth deep how", defaults=("",))
SHAPES = {
    "linear": Shape(2, [(3, 4, 0)], "norm", 0, None),
    "linear_twice": Shape(3, [(1, 2, 0), (5, 7, 3)], "full", 0, "x0"),
    "one_number": Shape(0, [(1, 3, 0)], "norm", 1, None),
    "one_number_twice": Shape(0, [(1, 6, 5)], "full", 1, "x0"),
    "deep_only": Shape(5, [(2, 9, 0)], "norm", 0, [64, 17]),
    "deep_narrow": Shape(1, [(1, 5, 0), (1, 4, 1)], "full", 2, [1, 3, 1]),
    "norm_1": Shape(0, [(3, 5, 0), (8, 7, 0)], "norm", 1, [17]),
    "norm_2_only": Shape(2, [(5, 11, 2), (16, 3, 0)], "norm", 2, None),
    "norm_2_twice": Shape(1, [(16, 6, 0), (16, 9, 0)], "norm", 2, "x0", "unnamed"),
    "norm_3": Shape(5, [(16, 12, 40)], "norm", 3, [64, 3, 1]),
    "norm_4": Shape(1, [(1, 8, 0), (2, 1, 0), (3, 6, 1), (5, 20, 0), (8, 7, 0), (16, 10, 9)],
                    "norm", 4, [17, 31, 3, 1]),
    "norm_aligned": Shape(0, [(16, 5, 0), (8, 8, 0), (8, 13, 0)], "norm", 1, [64, 64]),
    "full_1": Shape(3, [(5, 4, 0), (5, 15, 0)], "full", 1, [100]),
    "full_2": Shape(0, [(8, 30, 2)], "full", 2, [31, 64], "shuffled"),
    "full_2_twice": Shape(1, [(8, 6, 0), (8, 6, 6)], "full", 2, "x0"),
    "full_3": Shape(4, [(2, 5, 0), (3, 8, 0), (1, 3, 0), (2, 40, 0)], "full", 3, [3, 31, 17, 17],
                    "shuffled"),
    "full_3_only": Shape(2, [(5, 9, 0), (3, 2, 0)], "full", 3, None, "unnamed"),
    "full_4": Shape(1, [(16, 14, 1), (8, 9, 0), (3, 5, 0)], "full", 4, [1]),
    "half": Shape(2, [(8, 16, 0), (2, 3, 0)], "norm", 1, [31, 16], "half"),
    "views": Shape(1, [(5, 6, 0), (5, 4, 0)], "full", 2, [17, 3], "views"),
}

# Pieces of class texts; an empty text is a class too.
ALPHABET = ["0", "7", "12", "x", "Z", " ", "-1", "\u00e9", "\u4e2d", "\U0001f600", "long enough to leave"]
UNKNOWN = ["no such value", "\u00e8", "nan", "0.0", "\U0001f601", "a\\b\tc"]


class Cross(torch.nn.Module):
    def __init__(self, kind, width, depth):
        super().__init__()
        self.kind = kind
        layers = [torch.nn.Linear(width, width) for _ in range(depth)]
        if kind == "norm":
            layers = [torch.nn.Sequential(layer, torch.nn.LayerNorm(width)) for layer in layers]
        self.layers = torch.nn.ModuleList(layers)

    def forward(self, x0):
        c = x0
        for layer in self.layers:
            c = layer(c) + c if self.kind == "norm" else x0 * layer(c) + c
        return c


class Network(torch.nn.Module):
    """Its state dict has the names that the server reads."""

    def __init__(self, shape):
        super().__init__()
        self.embeddings = torch.nn.ModuleList(
            torch.nn.Embedding(classes + 1 + spare, width) for width, classes, spare in shape.tables)
        width = shape.dense + sum(table[0] for table in shape.tables)
        cross = Cross(shape.cross, width, shape.depth)
        self.cross_layers = cross.layers
        self.cross = [cross.forward]  # in a list: not a second name of its parameters
        widths = shape.deep if isinstance(shape.deep, list) else []
        layers = []
        for before, after in zip([width] + widths, widths):
            layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
        self.dnn = torch.nn.Sequential(*layers)
        self.has_deep = shape.deep is not None
        deep_width = 0 if not self.has_deep else (widths or [width])[-1]
        self.output = torch.nn.Linear(width + deep_width, 1)

    def forward(self, dense, indices):
        x0 = torch.cat([dense] + [table(indices[:, i]) for i, table in enumerate(self.embeddings)], 1)
        parts = [self.cross[0](x0)] + ([self.dnn(x0)] if self.has_deep else [])
        return torch.sigmoid(self.output(torch.cat(parts, 1)))[:, 0]


def in_double(network, shape):
    """A copy in float64."""
    double = Network(shape).double()
    double.load_state_dict({name: value.double() for name, value in network.state_dict().items()})
    return double


def randomize(network, generator):
    """Weights that keep activations near 1 and logits apart."""
    for name, parameter in network.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        if name.startswith("output.") and parameter.dim() == 2:
            values *= 1.5 / parameter.shape[1] ** 0.5
        elif name.endswith(".1.weight"):
            values = 1 + 0.2 * values
        elif parameter.dim() == 2 and not name.startswith("embeddings."):
            values *= (1.0 if name.startswith("dnn.") else 0.7) / parameter.shape[1] ** 0.5
        elif parameter.dim() == 1:
            values *= 0.3
        with torch.no_grad():
            parameter.copy_(values)


def classes_of(random, n):
    found = set()
    while len(found) < n:
        text = "".join(random.choice(ALPHABET) for _ in range(random.integers(0, 4)))
        found.add(text)
    return sorted(found)


def as_views(state):
    """The same tensors as views of few storages: tables within one, weights transposed."""
    views = collections.OrderedDict()
    tables = [name for name in state if name.startswith("embeddings.")]
    whole = torch.cat([state[name] for name in tables])
    first = 0
    for name in tables:
        views[name] = whole[first:first + len(state[name])]
        first += len(state[name])
    for name, value in state.items():
        if name not in views:
            views[name] = value.t().contiguous().t() if value.dim() == 2 else value
    assert all(torch.equal(views[name], value) for name, value in state.items())
    return views


def make(number, name, shape):
    random = np.random.Generator(np.random.PCG64(1000 + number))
    network = Network(shape)
    randomize(network, torch.Generator().manual_seed(number))
    if shape.how == "half":  # FP16 beside BF16: both are exact in FP32
        for i, parameter in enumerate(network.parameters()):
            parameter.data = parameter.data.to(torch.bfloat16 if i % 3 == 0 else torch.float16).float()

    dense_names = ["price" if i == 0 else "dense %d" % i for i in range(shape.dense)]
    sparse_names = ["cat\u00e9gorie" if i == 2 else "sparse_%d" % i for i in range(len(shape.tables))]
    scaler = StandardScaler()
    units = 10.0 ** random.integers(-3, 4, shape.dense)
    if shape.dense:
        scaler.fit(random.lognormal(size=(50, shape.dense)) * units)
        if shape.how != "unnamed":
            scaler.feature_names_in_ = np.array(dense_names, dtype=object)
    classes = [classes_of(random, table[1]) for table in shape.tables]
    encoders = [LabelEncoder().fit(np.array(c, dtype=object)) for c in classes]
    pairs = list(zip(sparse_names, encoders))
    if shape.how == "shuffled":
        pairs.reverse()
    with open(os.path.join(OUT, name + ".pkl"), "wb") as file:
        pickle.dump((scaler, dict(pairs)), file, protocol=4)

    state = network.state_dict()
    if shape.how == "half":
        state = collections.OrderedDict(
            (key, value.to(torch.bfloat16 if i % 3 == 0 else torch.float16))
            for i, (key, value) in enumerate(state.items()))
    if shape.how == "views":
        state = as_views(state)
    torch.save(state, os.path.join(OUT, name + ".pth"))

    # The first row knows no value, the second every one.
    raw = random.lognormal(size=(N_ROWS, shape.dense)) * units
    texts = []
    for row in range(N_ROWS):
        known = [random.random() < (0.8 if row > 1 else row) for _ in classes]
        texts.append([str(random.choice(c)) if k else str(random.choice(UNKNOWN))
                      for c, k in zip(classes, known)])
    indices = np.array([[c.index(text) if text in c else len(c) for c, text in zip(classes, row)]
                        for row in texts], dtype=np.int64)
    if shape.dense:
        if hasattr(scaler, "feature_names_in_"):
            scaler = copy.copy(scaler)
            del scaler.feature_names_in_
        raw = np.where(random.random(raw.shape) < 0.1, 0.0, raw)
        dense = scaler.transform(raw).astype(np.float32)
    else:
        dense = np.zeros((N_ROWS, 0), dtype=np.float32)
    dense, indices = torch.from_numpy(dense), torch.from_numpy(indices)
    with torch.no_grad():
        single = network(dense, indices)
        double = in_double(network, shape)(dense.double(), indices)
    assert float((single - double).abs().max()) < 1e-5, name

    records = [("dense", column) for column in dense_names]
    records += [("sparse", column, len(c)) for column, c in zip(sparse_names, classes)]
    if shape.how in ("unnamed", "shuffled"):
        records.append(("named", "dense" if shape.how == "unnamed" else "sparse"))
    for row in range(N_ROWS):
        records.append(["row", float(double[row]).hex(), float(single[row]).hex()]
                       + [float(value).hex() for value in raw[row]] + texts[row])
    remarks = ["SPDX-License-Identifier: Apache-2.0",
               "Written by make_network_golden.py, whose head says what stands here."]
    golden_file.write(os.path.join(OUT, name + ".expected"), remarks, records)
    return float(double.min()), float(double.max()), float((single - double).abs().max())


HOW = {
    "": "",
    "unnamed": "the scaler was fitted without column names",
    "shuffled": "the encoders stand in the file in reverse order",
    "half": "tensors in FP16 and BF16",
    "views": "tables are views of one storage, weights transposed views",
}


def main():
    torch.set_num_threads(1)
    os.makedirs(OUT, exist_ok=True)
    lines = [
        "# Small random networks of many shapes",
        "",
        "Written by `../make_network_golden.py` with torch %s, scikit-learn and numpy; that file's head says how to run"
        % torch.__version__.split("+")[0],
        "it and what the `.expected` files hold: %d rows each, the first of unknown values only, the second of known" % N_ROWS,
        "values only. The weights are random numbers of a fixed seed; the scores mean nothing.",
        "",
        "Tables: width x rows needed (classes and one), + rows that no class reaches. Output: how it sees the deep",
        "network; `x0` is a deep network without layers. Distance: of PyTorch's float32 to its float64.",
        "",
        "| network | dense | tables | width | cross | deep | scores | distance | remark |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for number, (name, shape) in enumerate(SHAPES.items()):
        low, high, distance = make(number, name, shape)
        tables = ", ".join("%dx%d%s" % (w, n + 1, "+%d" % s if s else "") for w, n, s in shape.tables)
        width = shape.dense + sum(table[0] for table in shape.tables)
        deep = {None: "none", "x0": "x0"}.get(shape.deep if not isinstance(shape.deep, list) else 0,
                                              None) or "-".join(map(str, shape.deep))
        lines.append("| `%s` | %d | %s | %d | %s | %s | %.3f to %.3f | %.1e | %s |" % (
            name, shape.dense, tables, width, "%s %d" % (shape.cross, shape.depth) if shape.depth else "none",
            deep, low, high, distance, HOW[shape.how]))
    with open(os.path.join(OUT, "MANIFEST.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


main()
