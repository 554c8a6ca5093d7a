# SPDX-License-Identifier: Apache-2.0
"""Small networks with a model.json and weights of this test: each score beside Python's own arithmetic."""
import json
import math
import pathlib
import random
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import check
from training import BIN, folder

WIDTH, N_ROWS = 5, 60  # rows: more than one block
COLUMNS = [f"p{i}" for i in range(WIDTH)]
BASE = {"dcnv2_model": 1, "weights": "m.safetensors", "columns": [{"name": name, "type": "number"} for name in COLUMNS],
        "values": {name: {"column": name, "steps": [{"fill": 0}]} for name in COLUMNS}}
X0 = {"name": "x0", "kind": "input", "parts": [{"value": name} for name in COLUMNS]}
TOLERANCE = 1e-6


class Weights:
    """Tensors by name, as lists of rows; of one row as [n]."""

    def __init__(self):
        self.random, self.all = random.Random(3), {}

    def make(self, name, *shape):
        values = [struct.unpack("f", struct.pack("f", self.random.uniform(-0.7, 0.7)))[0]
                  for _ in range(math.prod(shape))]
        self.all[name] = (shape, values)
        return values if len(shape) == 1 else [values[i:i + shape[1]] for i in range(0, len(values), shape[1])]

    def write(self, path):
        header, data = {}, b""
        for name, (shape, values) in self.all.items():
            packed = struct.pack(f"<{len(values)}f", *values)
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
            data += packed
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def linear(weight, bias, x):
    return [dot(row, x) + b for row, b in zip(weight, bias)]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def write_model(here, layers, weights):
    (here / "model.json").write_text(json.dumps({**BASE, "layers": [X0, *layers]}))
    weights.write(here / "m.safetensors")


def score(here, rows):
    log = here / "rows.csv"
    log.write_text("\n".join([",".join(COLUMNS)] + [",".join(map(repr, row)) for row in rows]) + "\n")
    return subprocess.run([BIN / "dcnv2-score", "--model-path", here, log], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True)


def check_scores(layers, weights, reference):
    rows = [[random.Random(i).uniform(-2, 2) for _ in COLUMNS] for i in range(N_ROWS)]
    with folder() as name:
        here = pathlib.Path(name)
        write_model(here, layers, weights)
        done = score(here, rows)
        check(done.returncode == 0, done.stderr)
        found = list(map(float, done.stdout.split()))
        distance, row = max((abs(a - sigmoid(reference(b))), i) for i, (a, b) in enumerate(zip(found, rows)))
        check(len(found) == N_ROWS and distance < TOLERANCE, f"row {row} is {distance} off")


def check_refused(layers, weights, words):
    with folder() as name:
        here = pathlib.Path(name)
        write_model(here, layers, weights)
        done = score(here, [[0.0] * WIDTH])
        check(done.returncode == 1 and words in done.stderr, done.stderr)


def test_a_relu_changes_no_value_that_a_cross_layer_reads_as_x0():
    w = Weights()
    w1, b1, wc, bc, wo, bo = (w.make("l.weight", WIDTH, WIDTH), w.make("l.bias", WIDTH), w.make("c.weight", WIDTH, WIDTH),
                              w.make("c.bias", WIDTH), w.make("o.weight", 2 * WIDTH), w.make("o.bias", 1))

    def reference(x):
        before = linear(w1, b1, x)
        relu = [max(0.0, v) for v in before]
        cross = [a * y + c for a, y, c in zip(before, linear(wc, bc, relu), relu)]
        return dot(wo, cross + relu) + bo[0]

    check_scores([{"name": "l", "kind": "linear", "input": "x0", "weight": "l.weight", "bias": "l.bias"},
                  {"name": "r", "kind": "activation", "function": "relu", "input": "l"},
                  {"name": "c", "kind": "cross", "input": "r", "x0": "l", "weight": "c.weight", "bias": "c.bias"},
                  {"name": "o", "kind": "output", "inputs": ["c", "r"], "weight": "o.weight", "bias": "o.bias"}], w, reference)


def output(weights, inputs):
    weights.make("o.weight", WIDTH * len(inputs))
    return {"name": "o", "kind": "output", "inputs": inputs, "weight": "o.weight"}


def test_a_layer_that_nobody_reads_is_refused():
    w = Weights()
    check_refused([{"name": "z", "kind": "activation", "function": "relu", "input": "x0"}, output(w, ["x0"])], w,
                  'layer "z" (activation): nothing reads it')


def test_an_epsilon_that_is_not_computed_is_refused():
    w = Weights()
    w.make("c.weight", WIDTH, WIDTH)
    layer = {"name": "c", "kind": "cross_layer_norm", "input": "x0", "x0": "x0", "weight": "c.weight", "epsilon": 1e-3}
    check_refused([layer, output(w, ["c"])], w, "epsilon is 0.001; 1e-05 alone is possible here")


if __name__ == "__main__":
    harness.main(globals())
