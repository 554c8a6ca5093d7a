# SPDX-License-Identifier: Apache-2.0
"""Small networks with a model.json and weights of this test: each score beside Python's own arithmetic."""
import hashlib
import json
import math
import pathlib
import random
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Server, check, wait_until
from training import BIN, folder
from wire import ask

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


def score(here, rows, *flags):
    log = here / "rows.csv"
    log.write_text("\n".join([",".join(COLUMNS)] + [",".join(map(repr, row)) for row in rows]) + "\n")
    return run_score(here, log, *flags)


def run_score(here, log, *flags):
    return subprocess.run([BIN / "dcnv2-score", "--model-path", here, *flags, log], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)


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


def check_refused(layers, weights, words, *flags):
    with folder() as name:
        here = pathlib.Path(name)
        write_model(here, layers, weights)
        done = score(here, [[0.0] * WIDTH], *flags)
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


def test_flags_that_would_change_scores_and_have_no_effect_are_refused():
    w = Weights()
    layers = [output(w, ["x0"])]
    check_refused(layers, w, "--unknown-class has no effect here", "--unknown-class", "p0=x")
    check_refused(layers, w, "leave out --state-dict-key", "--state-dict-key", "model")


def test_a_converted_file_is_scored_by_its_own_description_or_not_at_all():
    w = Weights()
    layers = [output(w, ["x0"])]
    with folder() as name:
        here = pathlib.Path(name)
        log, other = here / "rows.csv", here / "other.json"
        write_model(here, layers, w)
        row = score(here, [[1.0, 2.0, 3.0, 4.0, 5.0]]).stdout
        converted = here / "converted"
        check(subprocess.run([BIN / "dcnv2-convert", "--model-path", here, "-o", converted]).returncode == 0, "not converted")
        reverse = {**BASE, "layers": [{**X0, "parts": X0["parts"][::-1]}, *layers]}
        other.write_text(json.dumps(reverse))
        for flags in ([], ["--model-json", other]):
            done = subprocess.run([BIN / "dcnv2-score", "--model-path", converted, *flags, log], capture_output=True, text=True)
            check(done.stdout == ("" if flags else row) and ("--model-json has no effect here" in done.stderr) == bool(flags),
                  f"{flags}: {done.stdout} {done.stderr}")
        (here / "model.json").write_text(json.dumps({**reverse, "weights": "converted"}))
        done = run_score(here, log)
        check(done.returncode == 1 and "model.json: names weights that are a converted file" in done.stderr, done.stderr)


def test_dimensions_of_size_1_do_not_count_in_a_stack_of_experts():
    n_experts, rank = 3, 2
    w = Weights()
    u, v, gate = (w.make("u", n_experts * WIDTH, rank), w.make("v", n_experts * rank, WIDTH), w.make("g", n_experts, WIDTH))
    layers = [{"name": "m", "kind": "cross_mixture", "input": "x0", "u": "u", "v": "v", "gate": "g", "function": "none"},
              output(w, ["m"])]
    out = w.all["o.weight"][1]

    def reference(x):
        powers = [math.exp(z) for z in linear(gate, [0] * n_experts, x)]
        total = list(x)
        for e in range(n_experts):
            inner = linear(v[e * rank:][:rank], [0] * rank, x)
            product = linear(u[e * WIDTH:][:WIDTH], [0] * WIDTH, inner)
            total = [t + powers[e] / sum(powers) * a * b for t, a, b in zip(total, x, product)]
        return dot(out, total)

    for u_shape in ((n_experts, WIDTH, rank), (1, n_experts, WIDTH, rank), (n_experts, 1, WIDTH, rank)):
        for v_shape in ((n_experts, rank, WIDTH), (1, n_experts, rank, WIDTH), (n_experts, rank, 1, WIDTH)):
            w.all["u"], w.all["v"] = (u_shape, w.all["u"][1]), (v_shape, w.all["v"][1])
            check_scores(layers, w, reference)


# ---------------------------------------------------------------- lists

TABLE = [[0.0, 0.0], [-1.0, -2.0], [1.0, -1.0], [0.5, 0.25]]  # the second row but one has values whose sum is 0


def write_list_model(here, **part):
    weights = Weights()
    weights.all["t"] = ((len(TABLE), 2), [value for row in TABLE for value in row])
    weights.write(here / "m.safetensors")
    (here / "model.json").write_text(json.dumps({
        "dcnv2_model": 1, "weights": "m.safetensors", "columns": [{"name": "l", "list": True, "separator": "|"}],
        "lookups": {"l": {"integer": True, "missing": "drop"}},
        "layers": [{"name": "x0", "kind": "input", "parts": [{"table": "t", "lookup": "l", **part}]},
                   {"name": "o", "kind": "output", "inputs": ["x0"], "weights": [None]}]}))


def pooled(rows, pooling, mask):
    """What docs/model-json.md says of a part."""
    vectors = [TABLE[row] for row in rows]
    counted = [v for row, v in zip(rows, vectors)
               if mask == "none" or (sum(v) != 0 if mask == "nonzero" else row != mask["row"])]
    if pooling == "max":
        return [max(column) for column in zip(*counted)] if counted else [0.0, 0.0]
    added = vectors if mask == "nonzero" else counted
    total = [sum(v[i] for v in added) for i in range(2)]
    return total if pooling == "sum" else [value / max(len(counted), 1) for value in total]


def test_each_pooling_with_each_mask_whatever_the_order_of_the_list():
    lists = [[], [0], [1], [0, 1], [1, 0], [2, 3], [3, 2], [1, 2, 3], [3, 2, 1], [0, 0, 1], [2, 2], [1, 0, 3, 0]]
    for pooling in ("sum", "mean", "max"):
        for mask in ("none", "nonzero", {"row": 0}, {"row": 3}):
            with folder() as name:
                here = pathlib.Path(name)
                write_list_model(here, pooling=pooling, mask=mask)
                log = here / "rows.csv"
                log.write_text("".join(f"{text},x\n" for text in ["l", *("|".join(map(str, rows)) for rows in lists)]))
                done = run_score(here, log)
                check(done.returncode == 0, done.stderr)
                for rows, found in zip(lists, map(float, done.stdout.split()), strict=True):
                    wanted = sigmoid(sum(pooled(rows, pooling, mask)))
                    check(abs(found - wanted) < TOLERANCE, f"{pooling}, {mask}, {rows}: {found}, not {wanted}")


def test_a_mask_of_a_row_that_is_not_there_is_refused():
    with folder() as name:
        here = pathlib.Path(name)
        write_list_model(here, pooling="sum", mask={"row": 4})
        (here / "rows.csv").write_text("l,x\n1,x\n")
        done = run_score(here, here / "rows.csv")
        check(done.returncode == 1 and 'its mask is row 4; tensor "t" has 4 rows' in done.stderr, done.stderr)


# ---------------------------------------------------------------- which model

def test_the_digest_is_of_all_that_tells_the_network():
    with folder() as name:
        here = pathlib.Path(name)
        weights = Weights()
        weights.make("t", 3, 2)
        weights.write(here / "m.safetensors")
        texts = [json.dumps({"dcnv2_model": 1, "weights": "m.safetensors", "columns": [{"name": "u"}],
                             "vocabularies": {"u": {"file": "v.json"}}, "lookups": {"u": {"unseen": 2, "missing": 2}},
                             "layers": [{"name": "x0", "kind": "input", "parts": [{"table": "t", "lookup": "u"}]},
                                        {"name": "o", "kind": "output", "inputs": ["x0"], "weights": [None]}]}), '["a", "b"]']
        (here / "model.json").write_text(texts[0])
        (here / "v.json").write_text(texts[1])
        with Server("--model-path", here, env={"SPARSE_COLS": None, "DENSE_COLS": None}) as server:
            def found():
                return ask(server, "GET", "/v2/models/dcnv2").json()["parameters"]
            check(wait_until(lambda: "encoder_sha256" in found(), 10), "no digest")
            check(found()["encoder_sha256"] == hashlib.sha256("".join(texts).encode()).hexdigest(), f"{found()}")
            check(server.logs("its description sha256"), server.log())


if __name__ == "__main__":
    harness.main(globals())
