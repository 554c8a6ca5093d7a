# SPDX-License-Identifier: Apache-2.0
"""The model in Python, for the peers: the published network in PyTorch, and what encodes rows.

Encoding is a dictionary look-up a value, without pandas: the fastest that Python does.
"""
import pickle
import re
import warnings

import torch

TENSOR_NAMES = r"(embeddings\.\d+|cross_layers\.\d+\.[01]|dnn\.\d+|output)\.(weight|bias)"


class Network(torch.nn.Module):
    """The published network, with the shapes that its state dict has."""

    def __init__(self, state):
        super().__init__()
        unknown = [name for name in state if not re.fullmatch(TENSOR_NAMES, name)]
        if unknown:
            raise ValueError(f"not the published network: it has {unknown[0]}")

        def numbers(prefix):
            return sorted({int(name.split(".")[1]) for name in state if name.startswith(prefix)})

        def linear(name):
            n_out, n_in = state[f"{name}.weight"].shape
            return torch.nn.Linear(n_in, n_out)

        self.embeddings = torch.nn.ModuleList(
            torch.nn.Embedding(*state[f"embeddings.{i}.weight"].shape) for i in numbers("embeddings."))
        self.cross_layers = torch.nn.ModuleList(
            torch.nn.Sequential(linear(f"cross_layers.{i}.0"),
                                torch.nn.LayerNorm(state[f"cross_layers.{i}.1.weight"].shape[0]))
            for i in numbers("cross_layers."))
        self.dnn = torch.nn.Sequential(
            *(layer for i in numbers("dnn.") for layer in (linear(f"dnn.{i}"), torch.nn.ReLU())))
        self.output = linear("output")
        self.load_state_dict(state)
        self.eval()

    def forward(self, dense, indices):
        """`dense`: FP32 [rows, dense columns], scaled; `indices`: int64 [sparse columns, rows]."""
        x0 = torch.cat([dense] + [table(index) for table, index in zip(self.embeddings, indices)], 1)
        cross = x0
        for layer in self.cross_layers:
            cross = layer(cross) + cross
        return torch.sigmoid(self.output(torch.cat([cross, self.dnn(x0)], 1)))[:, 0]


class Encoder:
    """Columns of raw values to what the network takes."""

    def __init__(self, path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # any scikit-learn reads what is used here
            with open(path, "rb") as file:
                scaler, encoders = pickle.load(file)
        self.dense = list(zip(scaler.feature_names_in_, scaler.mean_.tolist(), scaler.scale_.tolist()))
        self.sparse = [(column, {text: i for i, text in enumerate(encoder.classes_.tolist())})
                       for column, encoder in encoders.items()]

    def __call__(self, columns):
        dense = [[(value - mean) / scale for value in columns[name]]
                 for name, mean, scale in self.dense]
        indices = [[classes.get(text, len(classes)) for text in columns[name]]
                   for name, classes in self.sparse]
        return torch.tensor(dense, dtype=torch.float32).t(), torch.tensor(indices)


def load_state(path):
    return torch.load(path, map_location="cpu", weights_only=True)
