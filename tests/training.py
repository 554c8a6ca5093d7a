# SPDX-License-Identifier: Apache-2.0
"""Runs dcnv2-train and dcnv2-score on rows of the demo data, for the tests of both."""
import json
import os
import pathlib
import random
import subprocess
import tempfile

import harness
from harness import ROOT, check, limit

BIN = harness.BINARY.parent
TRAIN_CSV, TEST_CSV = ROOT / "model/train.csv", ROOT / "model/test.csv"
LABEL, DENSE = "clk", "price"
SPARSE = harness.MODEL_ENV["SPARSE_COLS"]
COLUMNS = ("--label", LABEL, "--dense-cols", DENSE, "--sparse-cols", SPARSE)


def environment():
    kept = {n: v for n, v in os.environ.items() if n not in ("DENSE_COLS", "SPARSE_COLS", "WORLD_SIZE")}
    return kept


def start(*flags, data=(TRAIN_CSV,), valid=(TEST_CSV,), output, columns=COLUMNS, variables={}, stderr=subprocess.PIPE):
    command = [BIN / "dcnv2-train", "--train-data", *data, *(["--valid-data", *valid] if valid else []),
               "--output", output, *columns, *flags]
    return subprocess.Popen([str(c) for c in command], env={**environment(), **variables}, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=stderr, text=True)


def end(process, seconds=120):
    try:
        out, err = process.communicate(timeout=limit(seconds))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise harness.Failure(f"dcnv2-train did not end in {seconds} s") from None
    harness.check_no_sanitizer_report(err)
    return process.returncode, out, err


def train(*flags, expect=0, **places):
    code, _, err = end(start(*flags, **places))
    check(code == expect, f"exit code {code}, expected {expect}: {err[-500:]}")
    return err


def score(model, *files, flags=(), expect=0):
    """Scores as texts, and stderr. `model`: a folder of dcnv2-train's, or None: the demo's."""
    paths = [harness.MODEL_PATH, "--encoder-path", harness.ENCODER_PATH] if model is None else [model / "model.safetensors"]
    done = subprocess.run([str(c) for c in (BIN / "dcnv2-score", "--model-path", *paths, *flags, *files)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environment(), timeout=limit(60))
    harness.check_no_sanitizer_report(done.stderr)
    check(done.returncode == expect, f"exit code {done.returncode}, expected {expect}: {done.stderr[-500:]}")
    return done.stdout.splitlines(), done.stderr


def folder():
    return tempfile.TemporaryDirectory()


def metrics(path):
    return json.loads((path / "metrics.json").read_text())


def rows(n, seed=1):
    """The header and n rows of the demo data."""
    lines = TRAIN_CSV.read_text().splitlines()
    random.seed(seed)
    return [lines[0]] + random.sample(lines[1:], n)


def write_csv(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path
