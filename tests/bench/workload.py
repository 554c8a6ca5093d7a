# SPDX-License-Identifier: Apache-2.0
"""What the servers are asked: the published request, and random rows of the model's own values."""
import json
import pickle
import random

from programs import ROOT

ONE_ROW_V1, ONE_ROW_V2 = ROOT / "model/input.json", ROOT / "model/input_v2.json"


class _Stub:
    """Stands for any object of scikit-learn and numpy, neither of which is needed here."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __setstate__(self, state):
        self.state = state


class _Reader(pickle.Unpickler):
    def find_class(self, module, name):
        return type(name, (_Stub,), {})


def vocabularies(path):
    """{column: its known values} of a preprocess_metadata.pkl."""
    with open(path, "rb") as file:
        _, encoders = _Reader(file).load()
    # The state of a numpy array of objects: version, shape, dtype, order, list of elements.
    return {column: encoder.state["classes_"].state[4] for column, encoder in encoders.items()}


class Rows:
    """Random rows; the same for the same seed."""

    def __init__(self, encoder_path, seed=1):
        self.classes, self.random = vocabularies(encoder_path), random.Random(seed)

    def columns(self, n_rows):
        found = {column: self.random.choices(classes, k=n_rows) for column, classes in self.classes.items()}
        return {**found, "price": [round(self.random.lognormvariate(-1, 1), 4) for _ in range(n_rows)]}

    def body(self, n_rows):
        """A v1 request, spaced as Python's json.dumps() spaces it."""
        return json.dumps({"inputs": [self.columns(n_rows)]}).encode()
