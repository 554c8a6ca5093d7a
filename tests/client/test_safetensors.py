# SPDX-License-Identifier: Apache-2.0
"""Python's own reader of safetensors opens what dcnv2-convert writes.

    VENV/bin/python tests/client/test_safetensors.py    (VENV: see test_client.py)
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
from safetensors import safe_open
from safetensors.numpy import load_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
import modelfile
from harness import BINARY, MODEL_ENV, check, limit, server_environment

CONVERT = BINARY.with_name("dcnv2-convert")


def convert(place, env=None):
    path = pathlib.Path(place) / "model.safetensors"
    done = subprocess.run([str(CONVERT), "-o", str(path)], env=server_environment(env),
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=limit(20))
    check(done.returncode == 0, f"exit code {done.returncode}: {done.stderr[:300]!r}")
    return path


def classes(tensors, column):
    """The texts of a vocabulary, by its description in src/model/convert.h."""
    text = tensors[f"vocabulary.{column}.text"].tobytes()
    offsets = tensors[f"vocabulary.{column}.offsets"].tolist()
    return [text[a:b].decode() for a, b in zip(offsets, offsets[1:])]


def test_the_weights_are_those_that_were_written():
    with tempfile.TemporaryDirectory() as place:
        written = modelfile.network_tensors([[0.1, -2.5, 1e-30, 3.0], [4.0, 5.0, 6.0]], n_dense=2)
        path = pathlib.Path(place)
        modelfile.write_state_dict(path / "m.pth", written)
        (path / "m.pkl").write_bytes(modelfile.encoder_pickle(
            {"first": ["a", "b", "grün"], "second": ["x", "y" * 30]}, dense=("p", "q")))
        tensors = load_file(convert(place, {
            "MODEL_PATH": str(path / "m.pth"), "ENCODER_PATH": str(path / "m.pkl"),
            "DENSE_COLS": "p,q", "SPARSE_COLS": "first,second"}))
        network = {n: t for n, t in tensors.items() if not n.startswith("vocabulary.")}
        check(set(network) == set(written), f"{sorted(network)}")
        for name, (shape, values) in written.items():
            expected = numpy.array(values, dtype=numpy.float32).reshape(shape)
            check(network[name].dtype == numpy.float32, f"{name}: {network[name].dtype}")
            check(network[name].shape == expected.shape, f"{name}: {network[name].shape}")
            check(network[name].tobytes() == expected.tobytes(), f"{name}: other values")
        check(classes(tensors, 0) == ["a", "b", "grün"], f"{classes(tensors, 0)}")
        check(classes(tensors, 1) == ["x", "y" * 30], f"{classes(tensors, 1)}")


def test_the_schema_is_in_the_metadata():
    with tempfile.TemporaryDirectory() as place:
        with safe_open(convert(place), framework="numpy") as file:
            metadata, keys = file.metadata(), set(file.keys())
            sparse = json.loads(metadata["sparse_columns"])
            check(sparse == MODEL_ENV["SPARSE_COLS"].split(","), f"{sparse}")
            check(json.loads(metadata["dense_columns"]) == ["price"], metadata["dense_columns"])
            check((metadata["format"], metadata["version"]) == ("dcnv2", "2"), f"{metadata}")
            for i in range(len(sparse)):
                parts = {f"vocabulary.{i}.{part}" for part in ("text", "offsets", "slots")}
                check(parts <= keys, f"column {i}: {parts - keys} missing")
                n_classes = file.get_slice(f"vocabulary.{i}.offsets").get_shape()[0] - 1
                n_rows = file.get_slice(f"embeddings.{i}.weight").get_shape()[0]
                check(n_rows == n_classes + 1, f"column {i}: {n_classes} classes, {n_rows} rows")
            check({f"checksum.{key}" for key in keys} <= set(metadata), "a checksum is missing")


if __name__ == "__main__":
    harness.main(globals())
