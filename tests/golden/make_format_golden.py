#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/format: small model files of every kind, and what they hold.

    python make_format_golden.py [DIRECTORY]

Run it twice: in an environment with torch 2.13, scikit-learn 1.9 and numpy 2, which
writes all files but numpy1_p*.pkl; and in one with scikit-learn 1.0 and numpy 1 (no
torch needed), which writes only those. MANIFEST.md beside the files says what each is.
The same versions write the same bytes.

NAME.expected lies beside NAME.pth or NAME.pkl. Text, one item a line:

    tensor NAME DTYPE SIZE ..   then one line an element, in row-major order:
    %08x                        the bits of the element as FP32
    crc %08x                    or, instead of them, the CRC-32 of those words, little-endian

    dense N                     then N lines "name HEX" or one line "unnamed", then
    mean %016x / scale %016x    the bits of each FP64, N lines of each
    encoder HEX N               column, number of classes; then N lines
    class HEX                   HEX: UTF-8 bytes, "-" for the empty text
"""

import collections
import io
import os
import pickle
import re
import struct
import sys
import warnings
import zipfile
import zlib

import numpy as np
from sklearn.preprocessing import LabelEncoder, StandardScaler

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "format")


def write(name, data):
    with open(os.path.join(OUT, name), "wb") as file:
        file.write(data)


# ---- scikit-learn


def hex_text(text):
    return text.encode("utf-8", "surrogatepass").hex() or "-"


def expect_pair(pair):
    """The contents of a good pair, from the estimators' own attributes."""
    scaler, encoders = pair
    n = getattr(scaler, "n_features_in_", 0)
    lines = ["dense %d" % n]
    names = getattr(scaler, "feature_names_in_", None)
    lines += ["unnamed"] if names is None else ["name " + hex_text(name) for name in names]
    mean = scaler.mean_ if scaler.with_mean and n else np.zeros(n)
    scale = scaler.scale_ if scaler.with_std and n else np.ones(n)
    for label, values in (("mean", mean), ("scale", scale)):
        for value in np.asarray(values, dtype=np.float64):
            lines.append("%s %016x" % (label, struct.unpack("<Q", struct.pack("<d", value))[0]))
    for column, encoder in encoders.items():
        lines.append("encoder %s %d" % (hex_text(column), len(encoder.classes_)))
        lines += ["class " + hex_text(str(value)) for value in encoder.classes_]
    return ("\n".join(lines) + "\n").encode("ascii")


def scaler_of(names=("price", "age", "size"), **settings):
    rows = np.array([[1.0, -3.5, 7.0], [2.5, 1e-3, 7.0], [0.1, 12.0, 7.0]])  # the last: scale 1
    scaler = StandardScaler(**settings).fit(rows)
    if names is not None:
        scaler.feature_names_in_ = np.array(names, dtype=object)
    return scaler


def encoder_of(values, dtype=object):
    return LabelEncoder().fit(np.array(values, dtype=dtype))


def encoders_of():
    return {
        "userid": encoder_of(["7", "12", "101", "9", "a b"]),
        "cate": encoder_of(["x", "", "longer than the others", "\u00e9", "\u4e2d\u6587"], "U"),
        "brand \u00fc": encoder_of(["", "\u65e5\u672c", "\U0001f600", "z", "\uffff", "\u00e9"]),
        "pid": encoder_of(["only"]),
    }


def dump(name, pair, protocol=4, expected=None):
    write(name + ".pkl", pickle.dumps(pair, protocol=protocol))
    if expected is not None:
        write(name + ".expected", expect_pair(expected))


def with_classes(value):
    """A pair whose column `cate` has this as its classes; None: has none."""
    encoders = encoders_of()
    if value is None:
        del encoders["cate"].classes_
    else:
        encoders["cate"].classes_ = value
    return scaler_of(), encoders


def with_scaler(**attributes):
    """A pair whose scaler has these attributes; None takes one away."""
    scaler = scaler_of()
    for name, value in attributes.items():
        setattr(scaler, name, value)
        if value is None:
            delattr(scaler, name)
    return scaler, encoders_of()


def write_old_sklearn():
    for protocol in (2, 3, 4, 5):
        pair = scaler_of(), encoders_of()
        dump("numpy1_p%d" % protocol, pair, protocol, expected=pair)


def write_good_sklearn():
    good = scaler_of(), encoders_of()
    for protocol in (2, 3, 4, 5):
        dump("encoder_p%d" % protocol, good, protocol, expected=good)
    for name, settings in (
        ("with_mean_false", dict(with_mean=False)),
        ("with_std_false", dict(with_std=False)),
        ("with_neither", dict(with_mean=False, with_std=False)),
    ):
        pair = scaler_of(**settings), encoders_of()
        dump(name, pair, expected=pair)
    unnamed = scaler_of(names=None), encoders_of()
    dump("unnamed", unnamed, 5, expected=unnamed)
    unfitted = StandardScaler(), encoders_of()  # of a model without dense columns
    dump("unfitted", unfitted, expected=unfitted)
    ordered = scaler_of(), collections.OrderedDict(encoders_of())
    dump("ordered_dict", ordered, expected=ordered)
    output = scaler_of().set_output(transform="default"), encoders_of()
    dump("set_output", output, expected=output)

    # numpy pickles the bytes as they lie in memory and says '>' in the dtype's state.
    big = scaler_of(), encoders_of()
    for name in ("mean_", "scale_", "var_"):
        setattr(big[0], name, getattr(big[0], name).astype(">f8"))
    cate = big[1]["cate"]
    cate.classes_ = cate.classes_.astype(cate.classes_.dtype.newbyteorder(">"))
    for protocol in (2, 5):
        dump("big_endian_p%d" % protocol, big, protocol, expected=good)

    with open(os.path.join(ROOT, "model", "preprocess_metadata.pkl"), "rb") as file:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write("demo_encoder.expected", expect_pair(pickle.load(file)))


def write_refused_sklearn():
    import joblib
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder

    nan, inf = float("nan"), float("inf")
    twisted = {
        "unsorted": with_classes(np.array(["b", "a", "c"], dtype=object)),
        "unsorted_u": with_classes(np.array(["b", "a", "c"])),
        "duplicate": with_classes(np.array(["a", "b", "b"], dtype=object)),
        "duplicate_u": with_classes(np.array(["a", "b", "b"])),
        "integer_classes": with_classes(np.array([1, 2, 3], dtype=np.int64)),
        "scale_zero": with_scaler(scale_=np.array([1.0, 0.0, 2.0])),
        "mean_nan": with_scaler(mean_=np.array([1.0, nan, 2.0])),
    }
    for name, pair in twisted.items():
        for protocol in (2, 5):
            is_read = name.startswith(("unsorted", "integer"))
            dump("%s%s_p%d" % ("" if is_read else "refused_", name, protocol), pair, protocol)
    dump("integer_objects", with_classes(np.array([1, 2, 3], dtype=object)))
    dump("none_class", with_classes(np.array(["a", "b", None], dtype=object)))
    dump("refused_bytes_classes", with_classes(np.array([b"a", b"b"], dtype="S")))
    dump("float_classes", with_classes(np.array([0.5, 1.5], dtype=np.float64)))
    dump("bool_classes", with_classes(np.array([False, True], dtype=bool)))
    dump("refused_2d_classes", with_classes(np.array([["a", "b"], ["c", "d"]], dtype=object)))
    dump("refused_list_classes", with_classes(["a", "b"]))
    dump("refused_no_classes", with_classes(None))
    dump("refused_scale_nan", with_scaler(scale_=np.array([1.0, nan, 2.0])))
    dump("refused_scale_inf", with_scaler(scale_=np.array([1.0, inf, 2.0])))
    dump("refused_mean_inf", with_scaler(mean_=np.array([1.0, -inf, 2.0])))
    dump("refused_mean_long", with_scaler(mean_=np.zeros(4)))
    dump("refused_scale_short", with_scaler(scale_=np.ones(2)))
    dump("refused_mean_integers", with_scaler(mean_=np.array(["1", "2", "3"], dtype=object)))
    dump("refused_names_short", with_scaler(feature_names_in_=np.array(["a", "b"], dtype=object)))
    dump("refused_no_mean", with_scaler(mean_=None))
    dump("refused_no_scale", with_scaler(scale_=None))
    dump("refused_no_width", with_scaler(n_features_in_=None))
    dump("one", scaler_of())
    dump("three", (scaler_of(), encoders_of(), 1))
    dump("swapped", (encoders_of(), scaler_of()))
    dump("refused_no_dict", (scaler_of(), [encoder_of(["a"])]))
    dump("refused_number_column", (scaler_of(), {3: encoder_of(["a"])}))
    dump("refused_no_encoder", (scaler_of(), {"cate": 3}))
    dump("refused_class_not_object", (scaler_of(), {"cate": LabelEncoder}))
    dump("refused_scaler_as_encoder", (scaler_of(), {"cate": scaler_of()}))
    one_hot = OneHotEncoder().fit(np.array([["a"], ["b"]], dtype=object))
    dump("refused_one_hot", (scaler_of(), {"cate": one_hot}))
    dump("min_max", (MinMaxScaler().fit(np.array([[1.0], [2.0]])), encoders_of()))
    file = io.BytesIO()
    joblib.dump((scaler_of(), encoders_of()), file)
    write("joblib.pkl", file.getvalue())

    # Never loaded by anything here: bytes put together by hand.
    write("refused_os_system_p2.pkl", b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")
    write("refused_os_system_p4.pkl", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.")
    good = pickle.dumps((scaler_of(), encoders_of()), protocol=2)
    write("appended_call.pkl", good[:-1] + b"cposix\nsystem\nX\x04\x00\x00\x00true\x85R0.")


# ---- PyTorch

DTYPES = {
    "torch.float32": "f32",
    "torch.float64": "f64",
    "torch.float16": "f16",
    "torch.bfloat16": "bf16",
}


def expect_tensors(tensors, checksum=False):
    lines = []
    for name, tensor in tensors.items():
        tensor = tensor.detach()
        sizes = "".join(" %d" % size for size in tensor.shape)
        lines.append("tensor %s %s%s" % (name, DTYPES[str(tensor.dtype)], sizes))
        words = tensor.float().resolve_neg().contiguous().numpy().view(np.uint32).reshape(-1)
        if checksum:
            lines.append("crc %08x" % zlib.crc32(words.astype("<u4").tobytes()))
        else:
            lines += ["%08x" % word for word in words]
    return ("\n".join(lines) + "\n").encode("utf-8")


def write_torch():
    import torch

    def save(name, value, expected=None, **settings):
        file = io.BytesIO()
        torch.save(value, file, **settings)
        write(name + ".pth", file.getvalue())
        if expected is not None:
            write(name + ".expected", expect_tensors(expected))

    def numbers(*shape, dtype=torch.float32):
        n = int(np.prod(shape))
        generator = torch.Generator().manual_seed(20 + n)
        return torch.randn(n, generator=generator, dtype=torch.float64).to(dtype).reshape(shape)

    # state_dict(): an OrderedDict with the attribute _metadata. The smallest real file.
    linear = torch.nn.Linear(3, 2)
    with torch.no_grad():
        linear.weight.copy_(numbers(2, 3))
        linear.bias.copy_(numbers(2))
    small = linear.state_dict()
    save("small", small, expected=small)
    for protocol in (3, 4, 5):
        save("small_p%d" % protocol, small, expected=small, pickle_protocol=protocol)
    keep = linear.state_dict(keep_vars=True)
    save("parameters", keep, expected=keep)
    plain = dict(small)
    save("plain_dict", plain, expected=plain)
    save("unicode_names", {"gewicht_\u00fc": numbers(2)}, expected={"gewicht_\u00fc": numbers(2)})

    base = numbers(4, 6)
    cube = numbers(2, 3, 4, 5)
    row = numbers(1, 3)
    vector = numbers(9)
    views = collections.OrderedDict(
        whole=base,
        transposed=base.t(),
        inner=base[1:3, 2:5],
        every_second_row=base[::2],
        every_third_column=base[:, ::3],
        last=base[3, 5],
        column=base[:, 4],
        permuted=cube.permute(3, 1, 0, 2),
        inner_permuted=cube[1, :, 1:3, 2:].permute(2, 0, 1),
        repeated_row=row.expand(4, 3),
        shared_a=vector[:6].view(2, 3),
        shared_b=vector[2:],
        scalar=torch.tensor(-1.5),
    )
    save("views", views, expected=views)
    tied = {"first": row, "second": row}
    save("tied", tied, expected=tied)

    # Ties and halfway cases, the largest and smallest numbers of each type.
    edge = [0.0, -0.0, 1.0, -1.0, 65504.0, 2.0**-14, 2.0**-24, 1023 * 2.0**-24, 0.1, 1 / 3]
    wide = edge + [
        1 + 2.0**-24, 1 + 3 * 2.0**-24, 1 + 2.0**-24 + 2.0**-52, 2.0**-149, 2.0**-150,
        1.5 * 2.0**-150, 3.4028234663852886e38, 3.4028235677973366e38, 3.5e38, -1e300, 1e-300,
        5e-324,
    ]
    tall = edge + [3.3895313892515355e38, 2.0**-126, 2.0**-133]
    dtypes = collections.OrderedDict(
        half=torch.tensor(edge, dtype=torch.float16),
        brain=torch.tensor(tall, dtype=torch.bfloat16),
        double=torch.tensor(wide, dtype=torch.float64),
        single=torch.tensor(tall, dtype=torch.float32),
        half_view=numbers(5, 4, dtype=torch.float16).t()[1:3],
        brain_view=numbers(5, 4, dtype=torch.bfloat16)[::2, 1:],
        double_view=numbers(3, 4, 2, dtype=torch.float64).permute(2, 0, 1)[:, 1:],
    )
    save("dtypes", dtypes, expected=dtypes)
    save("empty", {"empty": torch.empty(0, 3), "after": numbers(2)})
    negative = {"negative": torch._neg_view(numbers(3))}
    save("negative_bit", negative, expected=negative)

    # What must be refused.
    save("int64", dict(small, steps=torch.tensor([3, 4])))
    save("bool", dict(small, mask=torch.tensor([True, False])))
    save("refused_complex", dict(small, wave=torch.tensor([1j])))
    save("refused_five_dims", dict(small, deep=numbers(1, 2, 1, 2, 1)))
    save("refused_sparse", dict(small, holes=torch.eye(2).to_sparse()))
    save("refused_float8", dict(small, tiny=torch.tensor([1.0]).to(torch.float8_e4m3fn)))
    save("nested", {"state_dict": small})
    save("epoch", dict(small, epoch=3))
    save("refused_list", [numbers(2), numbers(2)])
    save("refused_tensor", numbers(2))
    save("refused_number_key", {0: numbers(2)})
    save("refused_module", torch.nn.ReLU())

    file = io.BytesIO()
    torch.save({"weight": numbers(2, 3)}, file, _use_new_zipfile_serialization=False)
    # The storage is named by its address there.
    write("legacy.pth", re.sub(rb"[0-9]{8,}", b"01234567890123", file.getvalue()))

    # Without its entries of line numbers, which hold the paths of this machine, and their hash.
    class Scale(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(numbers(2, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.weight

    file, copy = io.BytesIO(), io.BytesIO()
    torch.jit.save(torch.jit.script(Scale()), file)
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(copy, "w") as target:
        for entry in source.infolist():
            if not entry.filename.endswith(("debug_pkl", "serialization_id")):
                info = zipfile.ZipInfo(entry.filename)
                info.compress_type = entry.compress_type
                target.writestr(info, source.read(entry))
    write("refused_torchscript.pth", copy.getvalue())

    for name, path in (("demo_weights", "model"), ("paper_weights", "tests/golden/paper")):
        path = os.path.join(ROOT, *path.split("/"), "model_weights.pth")
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        write(name + ".expected", expect_tensors(tensors, checksum=True))


def main():
    os.makedirs(OUT, exist_ok=True)
    if int(np.__version__.split(".")[0]) < 2:
        write_old_sklearn()
        return
    write_good_sklearn()
    write_refused_sklearn()
    write_torch()


main()
