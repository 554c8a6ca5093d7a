#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what Python says of numbers, for tests/unit/test_number.c.

repr_double.tsv    bits of a double (hex), repr(float)
python_float.tsv   a text, bits of float(text) or "refused"
"""

import pathlib
import random
import struct
import sys

import golden_file

HERE = pathlib.Path(__file__).parent
MADE_BY = f"Made by make_number_golden.py with Python {sys.version.split()[0]}."


def double_bits(value: float) -> int:
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def double_of(bits: int) -> float:
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def doubles(rng: random.Random):
    yield from (0.0, -0.0, float("inf"), float("-inf"), float("nan"))
    edges = (1, 2, 3, 0x000FFFFFFFFFFFFF, 0x0010000000000000, 0x7FEFFFFFFFFFFFFF)
    yield from (double_of(bits) for bits in edges)
    for exponent in range(-324, 309):
        yield float(f"1e{exponent}")
    for exponent in range(-1074, 1024, 3):
        yield 2.0**exponent
        bits = double_bits(2.0**exponent)
        yield double_of(bits - 1) if bits > 1 else 5e-324
    for edge in (1e16, 1e-4, 1e-5, 1e15, 1e17, 1e22, 1e23, 2.0**53, 2.0**63, 2.0**64):
        bits = double_bits(edge)
        yield from (double_of(bits + d) for d in range(-3, 4))
    yield from (
        0.1,
        0.2,
        0.3,
        1 / 3,
        2 / 3,
        0.1 + 0.2,
        1.1,
        33.0,
        -33.0,
        884208.0,
        100.0,
        123456.789,
    )
    yield from (9007199254740993.0, 9.5, 5e-324, 9.109e-31, 8.41e21)
    yield from (2.2250738585072011e-308, 2.98023223876953125e-8)
    for _ in range(800):
        value = double_of(rng.getrandbits(64))
        if value == value:
            yield value
    for _ in range(300):
        yield round(rng.uniform(-1e6, 1e6), rng.randrange(0, 8))


TEXTS = """
0 1 -1 +1 1. .5 -.5 +.5 1.5 01 007 00.5 -0 -0.0 1e5 1E5 1e+5 1e-5 1.e5 .5e5 1e05 1e400 -1e400
1e-400 1e99999999999999999999 1e-99999999999999999999 0e99999999999999999999 1_0 1_000_000
1_0.0_1 1e1_0 1_0e1 .1_0 0_0 1__0 _1 1_ 1_.0 1._0 1_e5 1e_5 1e5_ +_1 -_1 1.0_ ._1 . + - e5 1e 1e+
1e- +-1 --1 ++1 1-2 1+2 1,5 1.5.5 0x10 0X1p3 1f 1d 1L 0b1 0o7 1j abc None True true null inf Inf
INF infinity Infinity INFINITY +inf -inf +Infinity -infinity iNf infi infinit infinityx in i in_f
infinity_ nan NaN NAN +nan -nan nanx na nan(1) n_an nan_ 1nan naninf snan qnan
12345678901234567890 123456789012345678901234567890.5
0.1000000000000000055511151231257827021181583404541015625
0.10000000000000000555111512312578270211815834045410156250001
9007199254740993 9007199254740992.99999999999999999999 1.7976931348623157e308
1.7976931348623158e308 1.7976931348623159e308 5e-324 2.4703282292062328e-324 2.47032822920623e-324
""".split()
TEXTS += ["", " ", "  ", " 1 ", "\t\n1.5\r\n", "  inf  ", "1 2", "1 .5", "- 1", "1e 5", "1 e5"]
TEXTS += [" + 1", "0x", "+ inf", "1\x00", "\x001", "1\x000", "nan\x00"]
# Digits, signs and letters of other scripts.
TEXTS += ["\u0661", "\uff11\uff12", "\u0967.\u0968", "\u00b2", "\u00bd", "\u2460", "\u22121"]
TEXTS += ["\uff0b1", "1\uff0e5", "\u0661_\u0662", "1\u0660", "\U0001d7d9", "\U0001d7ce.5"]
TEXTS += ["\u0663e\u0661", "\uff49nf", "\u06f1\u06f2"]
TEXTS += ["1" * 400, "0" * 400 + "1", "0." + "0" * 400 + "1e401", "1" * 309, "9" * 308]
TEXTS += ["." + "0" * 5000, "1_" * 200 + "1"]

SPACES = [" ", "\t", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\xa0"]
SPACES += ["\u1680", *(chr(c) for c in range(0x2000, 0x200B)), "\u2028", "\u2029", "\u202f"]
SPACES += ["\u205f", "\u3000"]
NO_SPACES = ["\x00", "\x01", "\x1b", "\x7f", "\u200b", "\u2060", "\ufeff", "\u180e"]


def texts():
    yield from TEXTS
    for space in SPACES + NO_SPACES:
        yield from (space + "1", "1" + space, "1" + space + "0", space)


def python_float(text: str) -> str:
    try:
        return f"{double_bits(float(text)):016x}"
    except ValueError:
        return "refused"


def main() -> None:
    rng = random.Random(20)
    records = {double_bits(v): (f"{double_bits(v):016x}", repr(v)) for v in doubles(rng)}
    golden_file.write(
        HERE / "repr_double.tsv", [MADE_BY, "bits of a double, repr(float)"], records.values()
    )
    golden_file.write(
        HERE / "python_float.tsv",
        [MADE_BY, "text, bits of float(text) or refused; every NaN is written as Python's own"],
        [(text, python_float(text)) for text in dict.fromkeys(texts())],
    )


if __name__ == "__main__":
    main()
