#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime's forward pass of the published network: embeddings and layers as one graph, one
thread, inputs and outputs bound to memory beforehand.

usage: MODEL_PATH=.. ENCODER_PATH=.. tests/bench/peer_onnx.py

Reads lines of JSON and answers each with one:
    {"form": F, "columns": {"userid": [..], ..}}      {"scores": [..]}
    {"form": F, "rows": 200, "seconds": 0.5}          {"us": the median time of a pass over random rows}
It ends with its standard input. F is "separate": a look-up for each embedding table, as the network has
them; or "merged": all tables joined into one by hand, which spares ONNX Runtime 15 nodes.
"""
import itertools
import json
import os
import statistics
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import peer_model

OPSET = 17  # the first with LayerNormalization
BURST_SECONDS, BURST_ROWS = 4e-3, 20  # a figure is the median of the means of such bursts, as in tests/kernels
POOL_ROWS = 4096  # random rows that the passes go through in turn, as tests/kernels has them


class Graph:
    """Collects nodes and weights; every method returns the name of its result."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def node(self, operator, *inputs, **attributes):
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def weight(self, name, values):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def linear(self, name, state, x):
        return self.node("Gemm", x, *(self.weight(f"{name}.{kind}", state[f"{name}.{kind}"])
                                      for kind in ("weight", "bias")), transB=1)

    def model(self, n_dense, indices):
        """All of it, with the inputs dense [N, n_dense] and indices: (name, shape) each."""
        info = helper.make_tensor_value_info
        model = helper.make_model(
            helper.make_graph(self.nodes, "dcnv2",
                              [info("dense", TensorProto.FLOAT, ["N", n_dense])]
                              + [info(name, TensorProto.INT64, shape) for name, shape in indices],
                              [info("scores", TensorProto.FLOAT, ["N", 1])], self.weights),
            opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
        onnx.checker.check_model(model)
        return model


def graph_of(state, form):
    """The network as an ONNX model with the inputs dense [N, D] and indices. (model, D, tables)"""
    def numbers(prefix):
        return sorted({int(name.split(".")[1]) for name in state if name.startswith(prefix)})

    graph, tables = Graph(), [state[f"embeddings.{i}.weight"] for i in numbers("embeddings.")]
    width = state["cross_layers.0.0.bias"].shape[0]
    n_dense = width - sum(table.shape[1] for table in tables)
    if form == "merged":
        offsets = np.cumsum([0] + [len(t) for t in tables[:-1]]).astype(np.int64)
        rows = graph.node("Add", "indices", graph.weight("offsets", offsets))
        found = graph.node("Gather", graph.weight("tables", np.concatenate(tables)), rows)
        embedded = [graph.node("Reshape", found, graph.weight("flat", np.array([-1, width - n_dense])))]
        inputs = [("indices", ["N", len(tables)])]
    else:
        inputs = [(f"indices_{i}", ["N"]) for i in range(len(tables))]
        embedded = [graph.node("Gather", graph.weight(f"embeddings.{i}", table), f"indices_{i}")
                    for i, table in enumerate(tables)]
    x0 = graph.node("Concat", "dense", *embedded, axis=1)
    cross = deep = x0
    for i in numbers("cross_layers."):
        norm = [graph.weight(f"norm.{i}.{kind}", state[f"cross_layers.{i}.1.{kind}"]) for kind in ("weight", "bias")]
        layer = graph.linear(f"cross_layers.{i}.0", state, cross)
        cross = graph.node("Add", graph.node("LayerNormalization", layer, *norm), cross)
    for i in numbers("dnn."):
        deep = graph.node("Relu", graph.linear(f"dnn.{i}", state, deep))
    logits = graph.linear("output", state, graph.node("Concat", cross, deep, axis=1))
    graph.nodes.append(helper.make_node("Sigmoid", [logits], ["scores"]))
    return graph.model(n_dense, inputs), n_dense, [len(table) for table in tables]


class Timed:
    """A session of one thread, and passes over random rows that a subclass makes."""

    def __init__(self, model):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                                    providers=["CPUExecutionProvider"])
        self.bound = {}

    def random_feeds(self, n_rows, random):
        raise NotImplementedError

    def bind(self, n_rows, seed):
        """A binding whose memory holds random rows."""
        binding = self.session.io_binding()
        for name, value in self.random_feeds(n_rows, np.random.default_rng(seed)).items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(value))
        output = onnxruntime.OrtValue.ortvalue_from_numpy(np.empty((n_rows, 1), np.float32))
        binding.bind_ortvalue_output("scores", output)
        return binding

    def time_us(self, n_rows, seconds):
        if n_rows not in self.bound:
            self.bound[n_rows] = [self.bind(n_rows, seed) for seed in range(POOL_ROWS // n_rows)]
            for binding in self.bound[n_rows]:
                self.session.run_with_iobinding(binding)
        # What Python's run_with_iobinding() calls, without a Python frame of its own.
        run, clock, means = self.session._sess.run_with_iobinding, time.perf_counter, []
        bindings = itertools.cycle([binding._iobinding for binding in self.bound[n_rows]])
        end = clock() + seconds
        while not means or clock() < end:
            n_passes, start = 0, clock()
            while n_passes == 0 or clock() < start + BURST_SECONDS:
                for _ in range(max(1, BURST_ROWS // n_rows)):
                    run(next(bindings), None)
                    n_passes += 1
            means.append((clock() - start) / n_passes)
        return statistics.median(means) * 1e6


class Session(Timed):
    def __init__(self, form):
        state = {name: value.float().numpy()
                 for name, value in peer_model.load_state(os.environ["MODEL_PATH"]).items()}
        model, self.n_dense, self.n_rows = graph_of(state, form)
        self.merged = form == "merged"
        super().__init__(model)

    def feeds(self, dense, indices):
        """`indices`: [sparse columns, rows]"""
        if self.merged:
            return {"dense": dense, "indices": np.ascontiguousarray(indices.T)}
        return {"dense": dense, **{f"indices_{i}": column for i, column in enumerate(indices)}}

    def scores(self, columns):
        dense, indices = peer_model.Encoder(os.environ["ENCODER_PATH"])(columns)
        return self.session.run(None, self.feeds(dense.contiguous().numpy(), indices.numpy()))[0][:, 0].tolist()

    def random_feeds(self, n_rows, random):
        dense = random.standard_normal((n_rows, self.n_dense), dtype=np.float32)
        return self.feeds(dense, np.stack([random.integers(0, n, n_rows) for n in self.n_rows]))


def answer_lines(session_of):
    """Answers what is asked; session_of(a question): the session that it is for."""
    for line in sys.stdin:
        asked = json.loads(line)
        session = session_of(asked)
        if "columns" in asked:
            answer = {"scores": session.scores(asked["columns"])}
        else:
            answer = {"us": session.time_us(asked["rows"], asked["seconds"])}
        print(json.dumps(answer), flush=True)


def main():
    sessions = {form: Session(form) for form in ("separate", "merged")}
    answer_lines(lambda asked: sessions[asked["form"]])


if __name__ == "__main__":
    main()
