#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints for docs/models.md how long the forward pass of each checkpoint takes, in microseconds per row: one row
alone, and in batches of 200. One core, the fastest instruction set.

usage: tests/bench/models.py

The checkpoints lie in ../shared, beside the project, or beside their description.
"""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
import measures  # noqa: E402
import test_models  # noqa: E402
from programs import Failure  # noqa: E402


def main():
    name = measures.instruction_sets()[-1]
    for description in sorted(test_models.DESCRIPTIONS.glob("*/*/model.json")):
        with tempfile.TemporaryDirectory() as here:
            try:
                test_models.gather(description, test_models.source_of(description), here)
            except Failure as error:
                print(f"{'/'.join(description.parts[-3:-1])}: {error}")
                continue
            figures = measures.forward_figures(here, name, 200)
            print(f"{'/'.join(description.parts[-3:-1])}: {figures[1]['us']:.2f} {figures[200]['us'] / 200:.2f}")


if __name__ == "__main__":
    main()
