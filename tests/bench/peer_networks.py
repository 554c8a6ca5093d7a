#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime's forward pass of a network of networks.py, as a graph that is made of its model.json.

usage: tests/bench/peer_networks.py FOLDER

Reads and answers lines as peer_onnx.py does, without "form". Of a list the graph has what an export from PyTorch
has: rows [N, most], padded with row 0 of a table that has a row more, and a mask.
"""
import json
import pathlib
import struct
import sys

import numpy as np
from onnx import helper

from peer_onnx import Graph, Timed, answer_lines


def read_tensors(path):
    data = path.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    return {name: np.frombuffer(data[start + entry["data_offsets"][0]:start + entry["data_offsets"][1]], np.float32)
            .reshape(entry["shape"]) for name, entry in json.loads(data[8:start]).items()}


class Builder:
    """One function per kind of layer that the networks have; each returns the name of its result."""

    def __init__(self, description, tensors):
        self.graph, self.tensors, self.description = Graph(), tensors, description
        self.inputs, self.tables = [], []  # (name, shape); (column, rows, most values or 0)
        self.n_numbers = sum(column.get("type") == "number" for column in description["columns"])

    def const(self, name, values):
        return self.graph.weight(name, np.asarray(values))

    def weight(self, name):
        return self.graph.weight(name, self.tensors[name])

    def embedded(self, part):
        column, table = part["lookup"], self.tensors[part["table"]]
        most = self.description["lookups"][column].get("max", 0)
        self.tables.append((column, len(table), most))
        self.inputs.append((column, ["N", most] if most else ["N"]))
        if not most:
            return self.graph.node("Gather", self.weight(part["table"]), column)
        node, padded = self.graph.node, np.concatenate([np.zeros((1, table.shape[1]), np.float32), table])
        found = node("Gather", self.graph.weight(part["table"], padded), column)
        mask = node("Cast", node("Greater", column, self.const(f"{column}.zero", np.int64(0))), to=1)
        axis = self.const(f"{column}.axis", np.array([1], np.int64))
        total = node("ReduceSum", node("Mul", found, node("Unsqueeze", mask, self.const(f"{column}.last", np.array([2], np.int64)))),
                     axis, keepdims=0)
        count = node("Max", node("ReduceSum", mask, axis, keepdims=1), self.const(f"{column}.one", np.float32(1)))
        return node("Div", total, count)

    def x0(self, layer):
        parts = [self.embedded(part) for part in layer["parts"] if "table" in part]
        return self.graph.node("Concat", *parts, "dense", axis=1)

    def cross(self, layer, x0, x, i):
        name = layer["weight"].replace("{}", str(i)).rsplit(".", 1)[0]
        return self.graph.node("Add", self.graph.node("Mul", x0, self.graph.linear(name, self.tensors, x)), x)

    def cross_mixture(self, layer, x0, x, i):
        """As torch.nn.Linear for V and C of each expert, the sum over experts by their gates."""
        node, name = self.graph.node, {key: layer[key].replace("{}", str(i)) for key in ("u", "v", "c", "gate", "bias")}
        gates = node("Softmax", node("Gemm", x, self.weight(name["gate"]), transB=1), axis=1)
        bias, total = self.weight(name["bias"]), x
        for e in range(len(self.tensors[name["u"]])):
            u, v, c = (self.graph.weight(f"{name[key]}.{e}", self.tensors[name[key]][e]) for key in ("u", "v", "c"))
            inner = node("Tanh", node("Gemm", node("Tanh", node("Gemm", x, v, transB=1)), c, transB=1))
            gate = node("Gather", gates, self.const(f"{name['gate']}.{e}.at", np.array([e], np.int64)), axis=1)
            total = node("Add", total, node("Mul", gate, node("Mul", x0, node("Gemm", inner, u, bias, transB=1))))
        return total

    def chain(self, layer, x, i):
        for step in layer["chain"]:
            if step["kind"] == "linear":
                x = self.graph.linear(f"deep.{i}", self.tensors, x)
            elif step["kind"] == "batch_norm":
                x = self.graph.node("BatchNormalization", x, *(self.weight(step[key].replace("{}", str(i)))
                                                               for key in ("weight", "bias", "mean", "variance")),
                                    epsilon=step["epsilon"])
            else:
                x = self.graph.node("Relu", x)
        return x

    def build(self):
        made, x0 = {}, None
        for layer in self.description["layers"][:-1]:
            if layer["kind" if "kind" in layer else "name"] == "input":
                x0 = made[layer["name"]] = self.x0(layer)
                continue
            x = made[layer["input"]]
            for i in range(layer["repeat"]):
                x = self.chain(layer, x, i) if "chain" in layer else getattr(self, layer["kind"])(layer, x0, x, i)
            made[layer["name"]] = x
        ends = [made[name] for name in self.description["layers"][-1]["inputs"]]
        last = ends[0] if len(ends) == 1 else self.graph.node("Concat", *ends, axis=1)
        self.graph.nodes.append(helper.make_node("Sigmoid", [self.graph.linear("output", self.tensors, last)], ["scores"]))
        return self.graph.model(self.n_numbers, self.inputs)


class Session(Timed):
    def __init__(self, folder):
        self.builder = Builder(json.loads((folder / "model.json").read_text()), read_tensors(folder / "model.safetensors"))
        super().__init__(self.builder.build())

    def scores(self, columns):
        numbers = [columns[f"n{i}"] for i in range(self.builder.n_numbers)]
        feeds = {"dense": np.array(numbers, np.float32).T.copy()}
        for name, _, most in self.builder.tables:
            if most:
                feeds[name] = np.array([[int(text) + 1 for text in row] + [0] * (most - len(row)) for row in columns[name]])
            else:
                feeds[name] = np.array([int(text) for text in columns[name]])
        return self.session.run(None, feeds)[0][:, 0].tolist()

    def random_feeds(self, n_rows, random):
        feeds = {"dense": random.standard_normal((n_rows, self.builder.n_numbers), dtype=np.float32)}
        for name, n, most in self.builder.tables:
            feeds[name] = random.integers(0, n, n_rows)
            if most:
                lengths = random.integers(1, most + 1, n_rows)
                feeds[name] = np.where(np.arange(most) < lengths[:, None], random.integers(1, n + 1, (n_rows, most)), 0)
        return feeds


def main():
    session = Session(pathlib.Path(sys.argv[1]))
    answer_lines(lambda asked: session)


if __name__ == "__main__":
    main()
