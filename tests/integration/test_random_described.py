# SPDX-License-Identifier: Apache-2.0
"""Random model.json beside Python's own arithmetic: each way to name a part of a tensor, lookups of each kind with what
becomes of unseen and missing values, lists, repetitions and chains. What is random is of a fixed seed, which a failure names.

    DCNV2_TEST_MODELS=5000 python3 tests/integration/test_random_described.py
"""
import csv
import json
import math
import os
import pathlib
import random
import struct
import subprocess
import sys
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import check
from training import BIN, folder

N_MODELS = int(os.environ.get("DCNV2_TEST_MODELS") or 100)
N_ROWS = 40
WORDS = ["a", "b", "Zürich", " a", "A", '"q"', "0", "1", "3.0", "None", "{}", "long " * 20]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def product(matrix, x):
    return [dot(row, x) for row in matrix]


def transposed(matrix):
    return [list(column) for column in zip(*matrix)]


def shape_of(values):
    return [len(values), *shape_of(values[0])] if isinstance(values, list) else []


def flat(values):
    return [x for value in values for x in flat(value)] if isinstance(values, list) else [values]


class Model:
    """A random network: `document` and `tensors` describe it, logit() computes it."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.tensors, self.n_names = {}, 0
        self.document = {"dcnv2_model": 1, "weights": "m.safetensors", "columns": [], "vocabularies": {}, "lookups": {},
                         "values": {}, "layers": []}
        self.parts, self.cells = [], {}  # functions of a row; functions that make a column's cell
        layer = {"name": "x0", "kind": "input", "parts": []}
        self.document["layers"].append(layer)
        for _ in range(self.random.randint(1, 4)):
            layer["parts"].append(self.random.choice([self.add_category, self.add_list, self.add_number])())
        self.steps = []  # functions of x and x0, one after the other
        self.width = sum(len(part(self.row())) for part in self.parts)
        last = "x0"
        for _ in range(self.random.randint(0, 2)):
            last = self.add_block(last)
        self.add_output(last)

    # ---- tensors

    def name(self, stem):
        self.n_names += 1
        return f"{stem}{self.n_names}"

    def make(self, *shape):
        if shape:
            return [self.make(*shape[1:]) for _ in range(shape[0])]
        return struct.unpack("f", struct.pack("f", self.random.uniform(-0.6, 0.6)))[0]

    def matrix(self, rows, columns, zero_row=None):
        """A matrix and how a model.json may name it; both sizes are above 1, for such dimensions do not count."""
        values, name = self.make(rows, columns), self.name("t.")
        if zero_row is not None:
            values[zero_row] = [0.0] * columns
        stored, reference = values, {"tensor": name}
        if self.random.random() < 0.4:
            stored, reference["transpose"] = transposed(stored), True
        if self.random.random() < 0.4:
            first = self.random.randint(0, 3)
            reference["rows"] = [first, len(stored)]
            stored = self.make(first, len(stored[0])) + stored + self.make(self.random.randint(0, 2), len(stored[0]))
        if self.random.random() < 0.4:
            others = [self.make(*shape_of(stored)) for _ in range(3)]
            reference["index"] = [self.random.randrange(3)]
            others[reference["index"][0]] = stored
            stored = others
        elif self.random.random() < 0.3:
            stored = [stored]
        self.tensors[name] = stored
        return values, name if len(reference) == 1 and self.random.random() < 0.7 else reference

    def vector(self, n):
        name, values = self.name("v."), self.make(n)
        self.tensors[name] = values
        return values, name

    # ---- columns

    def lookup(self, column):
        """A lookup of texts: its description and rows by text; text None is a missing value."""
        kind = self.random.choice(["vocabulary", "hash", "integer"])
        first = self.random.choice([0, 0, 4])
        found = {"first_row": first} if first else {}
        if kind == "vocabulary":
            words = self.random.sample(WORDS, self.random.randint(1, 6))
            places = list(range(len(words)))
            if self.random.random() < 0.5:
                self.random.shuffle(places)
                self.document["vocabularies"][column] = {"values": dict(zip(words, places))}
            else:
                self.document["vocabularies"][column] = {"values": words}
            rows, texts = {word: first + place for word, place in zip(words, places)}, words + ["unseen"]
            n_rows = first + len(words)
        elif kind == "hash":
            modulus, prefix = self.random.randint(2, 9), self.random.choice(["", "p", "é="])
            found |= {"hash": "crc32", "modulus": modulus} | ({"prefix": prefix} if prefix else {})
            texts, n_rows = WORDS, first + modulus
            rows = {word: first + zlib.crc32((prefix + word).encode()) % modulus for word in WORDS}
        else:
            modulus = self.random.randint(2, 9)
            found |= {"integer": True, "modulus": modulus}
            texts, n_rows = ["0", "7", "-1", "+12", "123456789012345678901234567890"], first + modulus
            rows = {text: first + int(text) % modulus for text in texts}
        for key in ("missing", "unseen")[:2 if kind == "vocabulary" else 1]:
            chosen = self.random.choice([0, n_rows, "drop", *([{"as": texts[0]}] if kind == "vocabulary" else [])])
            found[key] = chosen
            n_rows = max(n_rows, chosen + 1) if isinstance(chosen, int) else n_rows
            row = None if chosen == "drop" else rows[texts[0]] if isinstance(chosen, dict) else chosen
            rows[None if key == "missing" else "unseen"] = row
        return found, rows, texts, n_rows

    def add_lookup(self, column, lookup):
        if self.random.random() < 0.5:
            self.document["lookups"][column] = lookup
            return column
        return {"column": column, **lookup}

    def add_category(self):
        column, width = self.name("c "), self.random.randint(2, 9)
        self.document["columns"].append({"name": column})
        lookup, rows, texts, n_rows = self.lookup(column)
        table, reference = self.matrix(n_rows + 1, width)
        self.cells[column] = lambda: self.random.choice([*texts, ""])

        def part(row):
            place = rows[row[column] or None]
            return [0.0] * width if place is None else table[place]

        self.parts.append(part)
        return {"table": reference, "lookup": self.add_lookup(column, lookup)}

    def add_list(self):
        column, width, separator = self.name("l"), self.random.randint(2, 9), self.random.choice(["|", "||", "^"])
        self.document["columns"].append({"name": column, "list": True, "separator": separator})
        lookup, rows, texts, n_rows = self.lookup(column)
        table, reference = self.matrix(n_rows + 1, width, self.random.randrange(n_rows))
        pooling = self.random.choice(["sum", "mean", "max"])
        mask = self.random.choice(["none", "nonzero", {"row": self.random.randrange(n_rows)}])
        most = self.random.choice([None, 1, 2, 3])
        if most:
            lookup |= {"max": most, "keep": self.random.choice(["first", "last"])}
            if self.random.random() < 0.5:
                lookup |= {"pad": self.random.choice(["front", "behind"]), "pad_row": n_rows}
        self.cells[column] = lambda: separator.join(self.random.choices([*texts, ""], k=self.random.randint(0, 5)))

        def places(cell):
            found = [rows[text] for text in cell.split(separator) if text]
            found = [place for place in (found or [rows[None]]) if place is not None]
            if most:
                found = found[:most] if lookup["keep"] == "first" else found[-most:]
                pads = [n_rows] * (most - len(found)) if "pad" in lookup else []
                found = pads + found if lookup.get("pad") == "front" else found + pads
            return found

        def part(row):
            found = places(row[column])
            counted = [p for p in found if mask == "none" or (any(table[p]) if mask == "nonzero" else p != mask["row"])]
            vectors = [table[p] for p in counted] or [[0.0] * width]
            if pooling == "max":
                return [max(values) for values in zip(*vectors)]
            return [sum(values) / (max(len(counted), 1) if pooling == "mean" else 1) for values in zip(*vectors)]

        self.parts.append(part)
        return {"table": reference, "lookup": self.add_lookup(column, lookup), "pooling": pooling, "mask": mask}

    def add_number(self):
        column, fill = self.name("n"), self.random.choice([0.5, -1.25])
        self.document["columns"].append({"name": column, "type": "number"})
        self.cells[column] = lambda: self.random.choice(["", "0.75", "-2", "1e-1", " 3 "])
        steps = [{"fill": fill}, {"subtract": 0.25}, {"divide": 2}]
        value = {"column": column, "steps": steps}
        times, reference = self.vector(self.random.randint(1, 4))
        self.parts.append(lambda row: [((float(row[column]) if row[column] else fill) - 0.25) / 2 * x for x in times])
        if self.random.random() < 0.5:
            self.document["values"][column] = {"steps": steps}
            value = column
        return {"value": value, "times": reference}

    # ---- layers

    def layer(self, kind):
        """A layer's tensors under names with {}, the same for each repetition, and what it computes."""
        n = self.width
        if kind == "cross":
            w, b = self.make(n, n), self.make(n)
            return {"weight": w, "bias": b}, lambda x, x0: [a * (y + c) + z for a, y, c, z in zip(x0, product(w, x), b, x)]
        if kind == "cross_vector":
            w, b = self.make(n), self.make(n)
            return {"weight": w, "bias": b}, lambda x, x0: [a * dot(w, x) + c + z for a, c, z in zip(x0, b, x)]
        w, b = self.make(n, n), self.make(n)
        return {"weight": w, "bias": b}, lambda x, x0: [max(0.0, y + c) for y, c in zip(product(w, x), b)]

    def add_block(self, before):
        """Cross layers or linear ones with a ReLU, repeated, perhaps with gaps in their numbers and tensors one number on."""
        kind, stem, name = self.random.choice(["cross", "cross_vector", "linear"]), self.name("r{"), self.name("block")
        numbers = self.random.choice([[0], [0, 1], [5, 2]])
        plus = self.random.choice([0, 0, 1])
        inside = f"+{plus}" if plus else ""
        is_transposed = kind != "cross_vector" and self.random.random() < 0.5
        reference = {key: f"{stem.replace('{', '{{')}.{{{inside}}}.{key}" for key in ("weight", "bias")}
        if is_transposed:
            reference["weight"] = {"tensor": reference["weight"], "transpose": True}
        run = []
        for number in numbers:
            values, function = self.layer(kind)
            run.append(function)
            for key, value in values.items():
                stored = transposed(value) if is_transposed and key == "weight" else value
                self.tensors[f"{stem}.{number + plus}.{key}"] = stored
        layer = {"kind": kind, **reference}
        block = {"name": name, "input": before, "repeat": len(numbers) if numbers == [0, 1] else numbers}
        block |= {"chain": [layer, {"kind": "activation", "function": "relu"}]} if kind == "linear" else layer
        self.document["layers"].append(block)

        def compute(x):
            x0 = x
            for function in run:
                x = function(x, x0)
            return x

        self.steps.append(compute)
        return name

    def add_output(self, last):
        """Of the last layer and of x0, by one weight or by two."""
        names = [last, "x0"] if last != "x0" else ["x0"]
        halves, layer = [self.make(self.width) for _ in names], {"name": "out", "kind": "output", "inputs": names}
        self.document["layers"].append(layer)
        if self.random.random() < 0.5:
            whole, layer["weight"] = [x for half in halves for x in half], "o.w"
            self.tensors["o.w"] = self.random.choice([whole, [whole]])
        else:
            layer["weights"] = [f"o.{i}" for i in range(len(names))]
            self.tensors |= dict(zip(layer["weights"], halves))
        self.tensors["o.b"], layer["bias"] = bias, _ = self.make(1), "o.b"
        self.output = lambda x, x0: sum(dot(half, value) for half, value in zip(halves, [x, x0])) + bias[0]

    # ---- rows

    def row(self):
        return {column: cell() for column, cell in self.cells.items()}

    def logit(self, row):
        x = x0 = [value for part in self.parts for value in part(row)]
        for step in self.steps:
            x = step(x)
        return self.output(x, x0)

    def write(self, here):
        header, data = {}, b""
        for name, values in self.tensors.items():
            numbers = flat(values)
            packed = struct.pack(f"<{len(numbers)}f", *numbers)
            header[name] = {"dtype": "F32", "shape": shape_of(values), "data_offsets": [len(data), len(data) + len(packed)]}
            data += packed
        text = json.dumps(header).encode()
        (here / "m.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
        (here / "model.json").write_text(json.dumps(self.document))


def check_model(seed):
    model = Model(seed)
    rows = [model.row() for _ in range(N_ROWS)]
    with folder() as name:
        here = pathlib.Path(name)
        model.write(here)
        with open(here / "rows.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, [*model.cells, "other"], restval="x")
            writer.writeheader()
            writer.writerows(rows)
        done = subprocess.run([BIN / "dcnv2-score", "--logit", "--threads", "1", "--model-path", here, here / "rows.csv"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        check(done.returncode == 0, f"seed {seed}: {done.stderr}")
        found = list(map(float, done.stdout.split()))
    check(len(found) == N_ROWS, f"seed {seed}: {len(found)} scores")
    for row, score in zip(rows, found):
        wanted = model.logit(row)
        check(math.isclose(score, wanted, rel_tol=1e-5, abs_tol=2e-5), f"seed {seed}: {score}, not {wanted}, of {row}")


def test_random_networks_score_as_their_description_says():
    for seed in range(harness.fewer(N_MODELS)):
        check_model(seed)


if __name__ == "__main__":
    harness.main(globals())
