#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes cell_text.tsv: the text that pandas' astype(str) gives to each value of a request.

    pip install kserve==0.21.0 && python tests/golden/make_pandas_golden.py

Each record is a request body and the texts of its column "c", computed by the way
that KServe's server goes: the body to a DataFrame by kserve's own get_predict_input(),
then astype(str). A second column "d" is always there and always made of floats.

    name, protocol (v1 | v2), length of the JSON part, body, text of row 1, row 2, ..
"""

import importlib.metadata
import itertools
import json
import pathlib
import struct
import sys
import warnings

import golden_file
import numpy as np
import orjson
import pandas as pd
from kserve import InferRequest
from kserve.protocol.rest.v2_datamodels import InferenceRequest
from kserve.utils.utils import get_predict_input

# Columns as JSON texts, so that a number keeps the form in which it was written.
KINDS = {"int": "7", "float": "2.5", "bool": "true", "null": "null", "text": '"x"'}

COLUMNS = {
    "one integer": "[1]",
    "integers": "[0, 1, -1, 42, 884208]",
    "minus zero as an integer": "[-0, 5]",
    "64-bit integers": "[9223372036854775807, -9223372036854775808]",
    "unsigned 64-bit integers": "[9223372036854775808, 18446744073709551615]",
    "the largest integer of a double and one more": "[9007199254740992, 9007199254740993]",
    "the same beside a null": "[9007199254740992, 9007199254740993, null]",
    "the same beside a float": "[9007199254740993, 0.5]",
    "64-bit integers beside a null": "[9223372036854775807, -9223372036854775808, null]",
    "unsigned 64-bit beside a null": "[18446744073709551615, null]",
    "unsigned 64-bit beside a float": "[18446744073709551615, 0.5]",
    "unsigned 64-bit beside a negative": "[18446744073709551615, -1]",
    "unsigned 64-bit, negative and null": "[18446744073709551615, -1, null]",
    "unsigned 64-bit, negative and float": "[18446744073709551615, -1, 0.5]",
    "unsigned 64-bit beside text": '[18446744073709551615, "x"]',
    "integer beyond 64 bits": "[18446744073709551616]",
    "integer beyond 64 bits beside a small one": "[18446744073709551616, 1]",
    "negative integer beyond 64 bits": "[-9223372036854775809, 1]",
    "integer beyond 64 bits beside text": '[18446744073709551616, "x"]',
    "integer beyond 64 bits beside a null": "[18446744073709551616, null]",
    "whole floats": "[1.0, 33.0, 884208.0]",
    "floats in many forms": "[1e3, 1E+2, 100e-2, -0.0, 0.0, -1.50, 1.10]",
    "large floats": "[1e15, 1e16, 123456789012345680.0, 1e17, 1e22, 1e23]",
    "small floats": "[0.001, 0.0001, 0.00001, 1e-10]",
    "extreme floats": "[5e-324, 2.2250738585072014e-308, 1.7976931348623157e308]",
    "floats that are too small": "[1e-400, -1e-400]",
    "floats that need 17 digits": "[0.1, 0.30000000000000004, 3.141592653589793]",
    "floats that are rounded": "[9007199254740993.0, 1e100]",
    "long decimals": "[0.1000000000000000055511151231257827, 17976931348623157000000000000.0]",
    "texts": '["1", "01", "1.0", "", " ", "None", "nan", "True", "NaN"]',
    "texts with escapes": '["\\u00e9", "\\ud83d\\ude00", "tab\\there", "\\"\\\\\\/"]',
    "texts with NUL": '["a\\u0000b", "\\u0000"]',
    "text that looks like a date": '["2024-01-01", "2024-01-01T00:00:00"]',
    "beyond the basic plane": '["\U0001f600", "\u4e2d\u6587", "\u00e9"]',
    "two nulls": "[null, null]",
    "bools": "[true, false]",
    "int, then bool": "[1, true, 0, false]",
    "float, then bool": "[1.0, true, 0.0, false]",
    "bool, float and null": "[true, 1.0, null]",
    "text, whole float and null": '["x", 1.0, null, 1e20]',
    "a hundred integers and one null": "[" + "3, " * 100 + "null]",
    "a hundred nulls and one integer": "[" + "null, " * 100 + "3]",
}

# An instance of column "c" for each way in which pandas types one.
SEGMENTS = {
    "int": "[1]",
    "uint": "[18446744073709551615]",
    "float": "[1.5]",
    "bool": "[true]",
    "text": '["x"]',
    "null": "[null]",
    "int+null": "[2, null]",
    "bool+null": "[true, null]",
    "text+int": '["x", 3]',
    "int+bool": "[4, false]",
}
TRIPLES = ["int", "uint", "float", "bool", "text", "null"]

SCALARS = {**KINDS, "whole float": "3.0", "uint": "18446744073709551615", "minus zero": "-0"}


def floats_like(column: str) -> str:
    return json.dumps([0.5] * len(json.loads(column)))


def v1_instance(column: str) -> str:
    return '{"c": %s, "d": %s}' % (column, floats_like(column))


def v1_texts(body: str) -> list[str]:
    return list(get_predict_input(orjson.loads(body))["c"].astype(str))


def v1_cases():
    for name, column in columns():
        yield name, '{"inputs": [%s]}' % v1_instance(column)
    for name, value in SCALARS.items():
        yield f"scalar repeated: {name}", '{"instances": [{"c": %s, "d": [0.5, 0.5, 0.5]}]}' % value
    for (a, x), (b, y) in itertools.product(SCALARS.items(), repeat=2):
        yield f"list of objects: {a}, {b}", (
            '{"instances": [[{"c": %s, "d": 0.5}, {"c": %s, "d": 0.5}]]}' % (x, y)
        )
    for names in itertools.chain(
        itertools.product(SEGMENTS, repeat=2), itertools.product(TRIPLES, repeat=3)
    ):
        yield "instances: " + " / ".join(names), '{"instances": [%s]}' % ", ".join(
            v1_instance(SEGMENTS[n]) for n in names
        )
    yield "instances: objects in a list / float", (
        '{"instances": [[{"c": 1, "d": 0.5}, {"c": null, "d": 0.5}], ' '{"c": [true], "d": [0.5]}]}'
    )
    # One column's type can depend on its neighbour: pandas asks a block of columns at once
    # whether it is all null, and then forgets the block's type.
    yield "instances: float / null beside a column of floats / text", (
        '{"instances": [{"d": [0.5], "c": [1.5], "e": [1.5]}, '
        '{"d": [0.5], "c": [null], "e": ["x"]}]}'
    )


def columns():
    yield from COLUMNS.items()
    for n in range(1, len(KINDS) + 1):
        for names in itertools.combinations(KINDS, n):
            for order in (names, names[::-1]):
                yield "column of " + ", ".join(order), "[%s]" % ", ".join(KINDS[k] for k in order)
                if n == 1:
                    break


def v2_body(tensor: dict | str, n: int) -> str:
    if not isinstance(tensor, str):
        tensor = json.dumps(tensor)
    return (
        '{"parameters": {"content_type": "pd"}, "inputs": [%s, '
        '{"name": "d", "shape": [%d], "datatype": "FP64", "data": %s}]}'
        % (tensor, n, json.dumps([0.5] * n))
    )


def v2_json_texts(body: str) -> list[str]:
    # The server's own way: json.loads, the pydantic model, then InferRequest.
    request = InferRequest.from_inference_request(InferenceRequest(**json.loads(body)), "m")
    return list(get_predict_input(request)["c"].astype(str))


def v2_json_cases():
    for datatype, name, column in [
        *(("BYTES", n, c) for n, c in columns()),
        ("INT64", "a float in an integer tensor", "[1, 2.5]"),
        ("INT32", "a null in an integer tensor", "[1, null]"),
        ("INT8", "an integer too large for its datatype", "[300, 1]"),
        ("FP32", "integers in a float tensor", "[1, 2]"),
        ("FP32", "floats", "[0.1, 1e20]"),
        ("BOOL", "integers in a bool tensor", "[1, 0]"),
        ("BOOL", "bools", "[true, false]"),
        ("UINT64", "unsigned", "[18446744073709551615, 0]"),
        ("INT64", "text in an integer tensor", '["7", 7]'),
    ]:
        n = len(json.loads(column))
        flat = '{"name": "c", "shape": [%d], "datatype": "%s", "data": %s}' % (n, datatype, column)
        yield f"{datatype} json: {name}", v2_body(flat, n)
    for name, column in columns():
        values = column[1:-1].split(", ")
        nested = '{"name": "c", "shape": [%d, 1], "datatype": "BYTES", "data": [%s]}' % (
            len(values),
            ", ".join(f"[{v}]" for v in values),
        )
        if len(values) < 10:
            yield f"nested json: {name}", v2_body(nested, len(values))


def v2_binary_texts(body: bytes, json_length: int) -> list[str]:
    request = InferRequest.from_bytes(body, json_length, "m")
    return list(get_predict_input(request)["c"].astype(str))


def v2_binary_cases():
    def limits(dtype):
        info = np.iinfo(dtype)
        return np.array([info.min, info.max, 0, 1, 42], dtype=dtype)

    floats = [0.0, -0.0, 1.0, 0.1, -2.5, 33.0, 1e-5, 0.0001, 3.14159274]
    arrays = {
        **{
            f"{s}INT{b}": limits(f"<{c}{b // 8}")
            for s, c in (("", "i"), ("U", "u"))
            for b in (8, 16, 32, 64)
        },
        "BOOL": np.array([0, 1, 1], dtype=np.uint8),
        "FP16": np.array([*floats, 65504.0, 6e-8, 6.104e-05], dtype="<f2"),
        "FP32": np.array([*floats, 1e20, 16777216.0, 3.4028235e38, 1e-45, 1e16, 1e15], dtype="<f4"),
        "FP64": np.array([*floats, 1e20, 1e22, 1.7976931348623157e308, 5e-324], dtype="<f8"),
    }
    for datatype, array in arrays.items():
        yield datatype, f"binary {datatype}", len(array), array.tobytes()
        yield datatype, f"binary {datatype}, one value", 1, array[:1].tobytes()
    yield "BOOL", "binary BOOL, bytes other than 0 and 1", 3, b"\x00\x02\xff"
    for datatype, code in (("FP16", "<f2"), ("FP32", "<f4"), ("FP64", "<f8")):
        for name, values in (
            ("NaN beside a value", [1.5, np.nan]),
            ("NaN only", [np.nan]),
            ("NaN twice", [np.nan, np.nan]),
            ("infinities", [np.inf, -np.inf, 1.0]),
        ):
            array = np.array(values, dtype=code)
            yield datatype, f"binary {datatype}, {name}", len(values), array.tobytes()
    texts = ["1", "", "nan", "a\x00b", "\u00e9", "\U0001f600", "x" * 300, "None"]
    raw = b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in texts)
    yield "BYTES", "binary BYTES", len(texts), raw


def main() -> None:
    warnings.simplefilter("ignore")
    records = []
    for name, body in v1_cases():
        records.append((name, "v1", len(body.encode()), body, *v1_texts(body)))
    for name, body in v2_json_cases():
        records.append((name, "v2", len(body.encode()), body, *v2_json_texts(body)))
    for datatype, name, n, raw in v2_binary_cases():
        tensor = {
            "name": "c",
            "shape": [n],
            "datatype": datatype,
            "parameters": {"binary_data_size": len(raw)},
        }
        head = v2_body(tensor, n).encode()
        texts = v2_binary_texts(head + raw, len(head))
        records.append((name, "v2", len(head), head + raw, *texts))
    names = [r[0] for r in records if r[1] == "v1"], [r[0] for r in records if r[1] == "v2"]
    assert all(len(set(n)) == len(n) for n in names), "two cases of one name"
    packages = ("pandas", "numpy", "kserve", "orjson")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    versions += f", Python {sys.version.split()[0]}"
    golden_file.write(
        pathlib.Path(__file__).with_name("cell_text.tsv"),
        [
            "The text that astype(str) gives to each value of column c.",
            f"Made by make_pandas_golden.py with {versions}.",
            "name, protocol, length of the JSON part, body, text of each row",
        ],
        records,
    )


if __name__ == "__main__":
    main()
