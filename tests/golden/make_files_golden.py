#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes encoder files of many kinds with scikit-learn and joblib to tests/golden/files, each with the
scores of tests/golden/files/ok/rows.csv: of scikit-learn's transform and the network of
files/ok/model_weights.pth, computed here in float64.

usage: make_files_golden.py     with numpy, scikit-learn 1.9 and joblib; the folders that hold
model_weights.pth came from elsewhere (MANIFEST.md) and stay
"""
import csv
import math
import pathlib
import pickle
import zipfile

import joblib
import numpy as np
from sklearn.preprocessing import (LabelEncoder, MaxAbsScaler, MinMaxScaler, OrdinalEncoder, RobustScaler,
                                   StandardScaler)

FILES = pathlib.Path(__file__).resolve().parent / "files"
U, A = ["10", "100", "2", "33", "7", "9"], ["a", "b", "c"]
ROWS = list(csv.DictReader(open(FILES / "ok/rows.csv")))
PRICES = np.array([[float(row["price"])] for row in ROWS])


def network():
    """The tensors of files/ok, by name, in float64."""
    names = ["embeddings.0", "embeddings.1", "w0", "b0", "g0", "h0", "w1", "b1", "g1", "h1", "d0", "e0", "d1", "e1",
             "o", "p"]
    shapes = {"embeddings.0": (7, 4), "embeddings.1": (4, 4), "w0": (9, 9), "w1": (9, 9), "d0": (8, 9), "d1": (4, 8)}
    with zipfile.ZipFile(FILES / "ok/model_weights.pth") as archive:
        values = [np.frombuffer(archive.read(f"model_weights/data/{i}"), np.float32) for i in range(len(names))]
    return {name: value.reshape(shapes.get(name, value.shape)).astype(np.float64)
            for name, value in zip(names, values)}


def score(net, price, u, a):
    x = np.concatenate([[price], net["embeddings.0"][u], net["embeddings.1"][a]])
    c = x
    for i in range(2):
        y = net[f"w{i}"] @ c + net[f"b{i}"]
        y = (y - y.mean()) / math.sqrt(y.var() + 1e-5) * net[f"g{i}"] + net[f"h{i}"]
        c = y + c
    d = x
    for i in range(2):
        d = np.maximum(net[f"d{i}"] @ d + net[f"e{i}"], 0)
    return 1 / (1 + math.exp(-(net["o"] @ np.concatenate([c, d]) + net["p"][0])))


def encoder_of(classes):
    encoder = LabelEncoder()
    encoder.classes_ = np.array(classes, dtype=object)
    return encoder


def write(name, scaler, saved=None, save=None, order=U, scored=True):
    """`saved`: what the file holds, if it is no plain pair; `save`: how it is written;
    `order`: of the classes of u; `scored`: False of what must be refused."""
    folder = FILES / name
    folder.mkdir(exist_ok=True)
    encoders = {"u": encoder_of(U), "a": encoder_of(A)}
    saved = (scaler, encoders) if saved is None else saved(scaler, encoders)
    path = folder / "preprocess_metadata.pkl"
    if save:
        save(saved, path)
    else:
        path.write_bytes(pickle.dumps(saved))
    if not scored:
        return
    net = network()
    dense = scaler.transform(PRICES)[:, 0]
    scores = [score(net, price, order.index(row["u"]), A.index(row["a"])) for price, row in zip(dense, ROWS)]
    (folder / "expected.txt").write_text("".join(f"{s:.8f}\n" for s in scores))


def fitted(scaler):
    scaler.fit(PRICES[3:9])
    scaler.feature_names_in_ = np.array(["price"], dtype=object)
    return scaler


def ordinal(**settings):
    rows = np.array([[u, A[i % 3]] for i, u in enumerate(U)], dtype=object)
    encoder = OrdinalEncoder(**settings).fit(rows)
    encoder.feature_names_in_ = np.array(["u", "a"], dtype=object)
    return encoder


def main():
    write("min_max", fitted(MinMaxScaler((-1, 2))))
    write("min_max_clip", fitted(MinMaxScaler((0, 0.5), clip=True)))
    write("robust", fitted(RobustScaler()))
    write("robust_no_centre", fitted(RobustScaler(with_centering=False)))
    write("max_abs", fitted(MaxAbsScaler()))
    write("max_abs_clip", fitted(MaxAbsScaler(clip=True)))
    write("no_mean", fitted(StandardScaler(with_mean=False)))
    write("no_std", fitted(StandardScaler(with_std=False)))
    standard = fitted(StandardScaler())
    write("reversed_list", standard, lambda scaler, encoders: [encoders, scaler])
    write("flat_dict", standard, lambda scaler, encoders: {"dense": scaler, **encoders, "note": "1.2", "columns": ["u"]})
    write("joblib_zlib", standard, save=lambda saved, path: joblib.dump(saved, path, compress=3))
    write("joblib_gzip", standard, save=lambda saved, path: joblib.dump(saved, path, compress=("gzip", 9)))
    write("joblib_bz2", standard, save=lambda saved, path: joblib.dump(saved, path, compress=("bz2", 3)), scored=False)
    write("joblib_wide", standard, lambda scaler, _: (scaler, {name: LabelEncoder().fit(np.array(classes))
                                                               for name, classes in (("u", U), ("a", A))}),
          save=joblib.dump)
    def numbers(kind):
        return lambda scaler, encoders: (scaler, {"u": LabelEncoder().fit(np.array(U).astype(kind)), "a": encoders["a"]})
    write("joblib_integers", standard, numbers(np.int32), joblib.dump, sorted(U, key=int))
    write("unsigned_classes", standard, numbers(np.uint8), order=sorted(U, key=int))
    write("ordinal_unknown_below", standard, lambda scaler, _: (
        scaler, ordinal(handle_unknown="use_encoded_value", unknown_value=-1)), scored=False)
    write("ordinal_unknown_row", standard, lambda scaler, _: (
        scaler, ordinal(handle_unknown="use_encoded_value", unknown_value=6)), scored=False)


if __name__ == "__main__":
    main()
