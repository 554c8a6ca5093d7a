# SPDX-License-Identifier: Apache-2.0
"""Models of random contents that PyTorch and scikit-learn wrote, read and written again by the
trainer's code (copy_model.c), and read back by PyTorch and scikit-learn: nothing has changed.

    make build/tests/client/copy_model
    VENV/bin/python tests/client/test_written_files.py    (VENV: see test_client.py)
"""
import math
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import warnings

os.environ["TORCH_SERIALIZATION_DEBUG"] = "1"  # PyTorch compares computed offsets with those it finds
import numpy
import pandas
import sklearn
import torch
from safetensors.numpy import load_file
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.preprocessing import LabelEncoder, StandardScaler
from torch.utils.serialization import config

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import ROOT, check, limit

COPY_MODEL = ROOT / "build/tests/client/copy_model"
WEIGHTS, ENCODER, CONVERTED = "model_weights.pth", "preprocess_metadata.pkl", "model.safetensors"


# ---------------------------------------------------------------- models

def random_text(random):
    ranges = [(0x20, 0x7F), (0xA0, 0x250), (0x4E00, 0x5000), (0x1F300, 0x1F600)]
    low, high = ranges[random.integers(len(ranges))]
    return "".join(map(chr, random.integers(low, high, random.integers(0, 40))))


def random_encoder(random, n_dense, class_counts):
    scaler = StandardScaler()
    if n_dense:  # without columns there is nothing to fit
        names = [f"dense {i} {random_text(random)}" for i in range(n_dense)]
        values = random.normal(size=(50, n_dense)) * 10.0 ** random.integers(-5, 6, n_dense)
        values[:, 0] = 3.5  # a constant column: scale 1
        scaler.fit(pandas.DataFrame(values, columns=names))
    encoders = {}
    for i, n in enumerate(class_counts):
        texts = {str(k) for k in range(n)} if n > 1000 else {random_text(random) for _ in range(n)}
        encoders[f"{i} {random_text(random)}"] = LabelEncoder().fit(numpy.array(sorted(texts), dtype=object))
    return scaler, encoders


def random_state(random, n_dense, encoders, embedding, cross, n_cross, deep):
    """A state dict; each float is one of any size, the smallest ones too."""
    width = n_dense + embedding * len(encoders)
    shapes = {f"embeddings.{i}.weight": (len(e.classes_) + 1, embedding) for i, e in enumerate(encoders.values())}
    for i in range(n_cross):
        linear = f"cross_layers.{i}" + (".0" if cross == "layernorm" else "")
        shapes |= {f"{linear}.weight": (width, width), f"{linear}.bias": (width,)}
        if cross == "layernorm":
            shapes |= {f"cross_layers.{i}.1.weight": (width,), f"cross_layers.{i}.1.bias": (width,)}
    n_in = width
    for i, n_out in enumerate(deep):
        shapes |= {f"dnn.{2 * i}.weight": (n_out, n_in), f"dnn.{2 * i}.bias": (n_out,)}
        n_in = n_out
    shapes |= {"output.weight": (1, width + (n_in if deep else 0)), "output.bias": (1,)}
    state = {}
    for name, shape in shapes.items():
        bits = random.integers(0, 1 << 32, math.prod(shape), dtype=numpy.uint32)
        values = bits.view(numpy.float32).reshape(shape)
        state[name] = torch.from_numpy(numpy.where(numpy.isfinite(values), values, numpy.float32(-0.0)))
    return state


CASES = {
    "the notebook's": dict(n_dense=1, counts=(400, 2, 30), embedding=8, cross="layernorm", n_cross=2, deep=(128, 64)),
    "full cross layers": dict(n_dense=3, counts=(5, 7), embedding=5, cross="full", n_cross=3, deep=(9,)),
    "no dense columns": dict(n_dense=0, counts=(5, 7), embedding=4, cross="layernorm", n_cross=1, deep=(6, 5, 4)),
    "no category columns": dict(n_dense=4, counts=(), embedding=8, cross="full", n_cross=2, deep=(16,)),
    "no deep layers": dict(n_dense=2, counts=(3,), embedding=2, cross="layernorm", n_cross=2, deep=()),
    "many classes": dict(n_dense=1, counts=(150000,), embedding=8, cross="layernorm", n_cross=1, deep=(8,)),
}


def write(folder, seed, n_dense, counts, embedding, cross, n_cross, deep):
    """The pair from Python; returns its contents."""
    random = numpy.random.default_rng(seed)
    scaler, encoders = random_encoder(random, n_dense, counts)
    state = random_state(random, n_dense, encoders, embedding, cross, n_cross, deep)
    folder.mkdir()
    torch.save(state, folder / WEIGHTS)
    (folder / ENCODER).write_bytes(pickle.dumps((scaler, encoders)))
    return state, scaler, encoders


def copy(source, folder, version=sklearn.__version__):
    folder.mkdir(exist_ok=True)
    done = subprocess.run([str(COPY_MODEL), str(source), str(folder), version], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=limit(60), text=True)
    check(done.returncode == 0, f"copy_model: {done.stderr[:400]}")
    return folder


def each_case():
    """Name, the original's contents, folders of the original and of the copy."""
    for seed, (name, shape) in enumerate(CASES.items()):
        with tempfile.TemporaryDirectory() as place:
            source = pathlib.Path(place) / "source"
            contents = write(source, seed, **shape)
            yield name, contents, source, copy(source, pathlib.Path(place) / "copy")


# ---------------------------------------------------------------- comparing

def check_state(name, found, expected):
    check(list(found) == list(expected), f"{name}: {list(found)}")
    for key, tensor in expected.items():
        check(found[key].dtype == torch.float32 and found[key].shape == tensor.shape, f"{name}: {key}")
        check(found[key].is_contiguous() and not found[key].requires_grad, f"{name}: {key}")
        check(found[key].numpy().tobytes() == tensor.numpy().tobytes(), f"{name}: {key}: other bytes")


def load_encoder(folder):
    """Without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return pickle.loads((folder / ENCODER).read_bytes())


def test_torch_reads_the_same_bytes():
    for name, (state, _, _), _, folder in each_case():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_state(name, torch.load(folder / WEIGHTS, weights_only=True), state)
            check_state(name, torch.load(folder / WEIGHTS, weights_only=True, mmap=True), state)
            with config.patch("load.calculate_storage_offsets", True):
                check_state(name, torch.load(folder / WEIGHTS, weights_only=True, mmap=True), state)


def test_scikit_learn_reads_the_same_scaler():
    for name, (_, expected, _), _, folder in each_case():
        found, _ = load_encoder(folder)
        check(isinstance(found, StandardScaler), f"{name}: {type(found)}")
        for switch in ("with_mean", "with_std", "copy"):
            check(getattr(found, switch) is True, f"{name}: {switch}")
        if not hasattr(expected, "mean_"):
            check(vars(found) == vars(expected), f"{name}: {vars(found)}")
            continue
        check(list(found.feature_names_in_) == list(expected.feature_names_in_), f"{name}: names")
        check(found.feature_names_in_.dtype == object and found.n_features_in_ == expected.n_features_in_, name)
        check(found.mean_.tobytes() == expected.mean_.tobytes(), f"{name}: mean_")
        check(found.scale_.tobytes() == expected.scale_.tobytes(), f"{name}: scale_")
        check((found.var_ == expected.scale_ ** 2).all(), f"{name}: var_")
        frame = pandas.DataFrame(numpy.arange(3.0 * found.n_features_in_).reshape(3, -1),
                                 columns=found.feature_names_in_)
        check((found.transform(frame) == expected.transform(frame)).all(), f"{name}: transform")
        found.partial_fit(frame)  # and goes on with it


def test_scikit_learn_reads_the_same_classes():
    for name, (_, _, expected), _, folder in each_case():
        _, found = load_encoder(folder)
        check(list(found) == list(expected), f"{name}: {list(found)}")
        for column, encoder in expected.items():
            classes = found[column].classes_
            check(isinstance(found[column], LabelEncoder) and classes.dtype == object, f"{name}: {column}")
            check(classes.tolist() == encoder.classes_.tolist(), f"{name}: {column}: other classes")
            some = classes[:: max(1, len(classes) // 100)]
            check((found[column].transform(some) == encoder.transform(some)).all(), f"{name}: {column}: transform")
            check((found[column].inverse_transform([0]) == classes[0]).all(), f"{name}: {column}: inverse_transform")


def test_the_converted_file_holds_the_same():
    for name, (state, _, _), _, folder in each_case():
        tensors = {k: v for k, v in load_file(folder / CONVERTED).items() if not k.startswith("vocabulary.")}
        check(set(tensors) == set(state), f"{name}: {sorted(tensors)}")
        for key, tensor in state.items():
            check(tensors[key].tobytes() == tensor.numpy().tobytes(), f"{name}: {key}: other bytes")


def test_a_copy_of_a_copy_has_the_same_bytes():
    for name, _, _, folder in each_case():
        for source in (folder, folder / CONVERTED):
            again = copy(source, folder.parent / "again")
            for file in (WEIGHTS, ENCODER):
                check((folder / file).read_bytes() == (again / file).read_bytes(), f"{name}: {file} of {source.name}")


def test_another_version_of_scikit_learn_only_warns():
    with tempfile.TemporaryDirectory() as place:
        source = pathlib.Path(place) / "source"
        write(source, 1, **CASES["the notebook's"])
        folder = copy(source, pathlib.Path(place) / "copy", "1.7.1")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            _, encoders = pickle.loads((folder / ENCODER).read_bytes())
        check(len(told) == 1 + len(encoders), f"{len(told)} warnings")
        check({w.category for w in told} == {InconsistentVersionWarning}, f"{[str(w.message) for w in told]}")


if __name__ == "__main__":
    harness.main(globals())
