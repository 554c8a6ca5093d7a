#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/models/gdcn/cross_gated with PyTorch: a small network with gated cross layers (GDCN,
arXiv:2311.04635; the gate has no bias, as in FuxiCTR) with random weights, and its predictions in float32 and float64.
The model.json beside them is written by hand.

usage: make_gated_golden.py     with torch 2.13
"""
import json
import pathlib

import torch
from torch import nn

FOLDER = pathlib.Path(__file__).resolve().parent / "models/gdcn/cross_gated"
CITIES, N_ROWS, WIDTH, DEPTH = ["Berlin", "Oslo", "Rome", "Zürich"], 70, 17, 3


class GatedCrossNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.city = nn.Embedding(len(CITIES), WIDTH - 2)
        self.w = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH))
        self.gate = nn.ModuleList(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(DEPTH))
        self.fc = nn.Linear(WIDTH, 1)

    def forward(self, city, numbers):
        x0 = torch.cat([self.city(city), numbers], dim=1)
        x = x0
        for w, gate in zip(self.w, self.gate):
            x = x0 * w(x) * torch.sigmoid(gate(x)) + x
        return torch.sigmoid(self.fc(x)).squeeze(1)


def main():
    torch.manual_seed(14)
    model = GatedCrossNetwork().eval()
    city = torch.randint(len(CITIES), (N_ROWS,))
    numbers = torch.randn(N_ROWS, 2)
    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), FOLDER / "model.pt")
    with torch.no_grad():
        single = model(city, numbers).tolist()
        double = model.double()(city, numbers.double()).tolist()
    columns = {"city": [CITIES[i] for i in city], "price": numbers[:, 0].tolist(), "age": numbers[:, 1].tolist()}
    text = json.dumps({"columns": columns, "predictions": single, "predictions_float64": double}, indent=1)
    (FOLDER / "expected.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
