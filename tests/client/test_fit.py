# SPDX-License-Identifier: Apache-2.0
"""The trainer's classes, scaler and rows are those of pandas and scikit-learn.

    make build/tests/client/print_fit
    VENV/bin/python tests/client/test_fit.py    (VENV: see test_client.py)

The notebook's lines are the reference: read_csv, LabelEncoder.fit(column.astype(str)),
StandardScaler.fit(dense.fillna(0)). Random files, from a fixed seed.

One difference is on purpose: read_csv's own way to read a number of 16 digits or more may miss the
nearest double by a bit or two, so such numbers are compared with float_precision="round_trip".
"""
import collections
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy
import pandas
from sklearn.preprocessing import LabelEncoder, StandardScaler

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import ROOT, Problems, check, limit

PRINT_FIT = ROOT / "build/tests/client/print_fit"
MISSING = ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
           "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
NEARLY_MISSING = ["NAN", "none", "na", " ", "N/A ", "<na>", "#N/A N/A N/A", "nul", "-", "1.#IN"]

Fit = collections.namedtuple("Fit", "classes counts scaler rows again")


def fit(paths, label, sparse, dense, min_count=1):
    """What print_fit says of the files."""
    done = subprocess.run([str(PRINT_FIT), label, ",".join(sparse), ",".join(dense), str(min_count),
                           *map(str, paths)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=limit(60))
    check(done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-600:]!r}")
    found = Fit({name: [] for name in sparse}, {}, {}, [], [])
    for line in done.stdout.decode().splitlines():
        kind, *words = line.split(" ")
        if kind == "class":
            found.classes[words[0]].append(bytes.fromhex(words[1]).decode())
        elif kind == "column":
            found.counts[words[0]] = tuple(map(int, words[1:]))
        elif kind == "scaler":
            found.scaler[words[0]] = tuple(map(float, words[1:]))
        else:
            (found.rows if kind == "row" else found.again).append(words)
    return found


# ---------------------------------------------------------------- random columns

def digits(rng, most):
    return "".join(rng.choice("0123456789") for _ in range(rng.randint(1, most)))


def integer(rng):
    return str(rng.randint(-50, 200))


def padded(rng):
    return rng.choice(["", "", "-", "+"]) + "0" * rng.randint(0, 3) + str(rng.randint(0, 30))


def large(rng):
    near = rng.choice([2**53, 2**63, 2**64, 10**18, 10**20])
    return rng.choice(["", "", "-", "+", "0"]) + str(near + rng.randint(-2, 2))


def uint64(rng):
    return str(2**63 + rng.randint(-3, 3))


def decimal(rng):
    return f"{rng.uniform(-20, 20):.{rng.randint(0, 4)}f}"


def double(rng):
    return repr(rng.choice([rng.random(), rng.uniform(-1e6, 1e6), 10.0**rng.randint(-30, 30)]))


def odd_number(rng):
    return rng.choice(["1.", ".5", "-.5", "+1.5", "1e3", "1E-3", "1e+05", "00.10", "-0", "-0.0", "+0", "inf",
                       "-inf", "Infinity", "+INF", "1e22", "1e-7", "123456789012345680000", "0.1e1", "5e0"])


def spaced(rng):
    return rng.choice(["", " ", "  ", "\t"]) + rng.choice([integer, decimal])(rng) + rng.choice(["", " "])


def boolean(rng):
    return rng.choice(["True", "False", "true", "false", "TRUE", "FALSE", "tRUE"])


def word(rng):
    letters = "abcXYZ äßλ中文😀 '.;|-_#"
    return "".join(rng.choice(letters) for _ in range(rng.randint(1, rng.choice([3, 8, 12, 40]))))


def quoted(rng):
    return rng.choice(['a"b', 'x,y', "two\nlines", 'all,"of"\nit', '""', ',', "cr\r\nlf", 'he said "no"'])


def not_a_number(rng):
    return rng.choice(["1e", "1e+", "0x10", "1_000", "1,000", "--1", "1.2.3", ".", "+", "e5", "1 2", "12abc",
                       "infinit", "1e5x", "9223372036854775808abc", "99999999999999999999.5", "- 1"])


KINDS = [integer, padded, large, uint64, decimal, double, odd_number, spaced, boolean, word, quoted,
         not_a_number]


def random_cells(rng, n):
    """A column: of one kind or several, some values missing, some of them often."""
    kinds = rng.choice([[kind] for kind in KINDS] + [rng.sample(KINDS, 2) for _ in range(8)] + [KINDS])
    pool = [rng.choice(kinds)(rng) for _ in range(rng.choice([1, 2, 5, 30, n]))]
    missing = rng.choice([0, 0, 0.1, 0.5, 1 if rng.random() < 0.1 else 0.01])
    words = rng.choice([[""], MISSING, MISSING + NEARLY_MISSING])
    return [rng.choice(words) if rng.random() < missing else rng.choice(pool) for _ in range(n)]


def random_dense(rng, n):
    """Numbers of which pandas makes a number column."""
    make = rng.choice([integer, decimal, double, padded, lambda r: "3.25", lambda r: f"{1e6 + r.random():.9f}",
                       lambda r: repr(r.gauss(0, 1) * 10.0**r.randint(-20, 20)),
                       lambda r: repr(r.lognormvariate(0, 3))])
    missing = rng.choice([0, 0, 0.1, 0.5])
    return [rng.choice(MISSING) if rng.random() < missing else make(rng) for _ in range(n)]


def written(rng, cell, separator):
    """The cell in CSV, quoted where it must be and where the dice say so."""
    if any(c in cell for c in separator + "\r\n") or cell.startswith('"') or rng.random() < 0.05:
        return '"' + cell.replace('"', '""') + '"'
    return cell


def write_csv(rng, path, columns, separator=",", encoding="utf-8"):
    end = rng.choice(["\n", "\n", "\r\n", "\r"])
    lines = [separator.join(columns)] + [separator.join(written(rng, cell, separator) for cell in row)
                                         for row in zip(*columns.values())]
    text = end.join(lines) + rng.choice(["", end, end + end])
    mark = rng.choice([b"", b"\xef\xbb\xbf"]) if encoding == "utf-8" else b""
    path.write_bytes(mark + text.encode(encoding))


# ---------------------------------------------------------------- the comparison

def close(found, expected, size):
    return abs(found - expected) <= 1e-12 * max(abs(expected), size)


def compare(problems, name, frame, found, label, sparse, dense, min_count):
    """Everything that print_fit said with what the notebook's lines make of the same table."""
    expected = [frame[label].astype(int).tolist()]
    for column in dense:
        values = frame[[column]].fillna(0)
        scaler = StandardScaler().fit(values)
        mean, var, scale = found.scaler[column]
        size = float(numpy.abs(values.to_numpy(dtype=float)).max())
        problems.check(close(mean, scaler.mean_[0], size), f"{name}: mean {mean}, not {scaler.mean_[0]}")
        problems.check(close(scale, scaler.scale_[0], 0) and (scale == 1) == (scaler.scale_[0] == 1),
                       f"{name}: scale {scale}, not {scaler.scale_[0]}")
        problems.check(close(var, scaler.var_[0], size * size * 1e-9), f"{name}: var {var}, not {scaler.var_[0]}")
        expected.append(scaler.transform(values)[:, 0])
    for column in sparse:
        texts = frame[column].astype(str)
        counts = collections.Counter(texts)
        rare = {text: n for text, n in counts.items() if n < min_count}
        encoder = LabelEncoder().fit([text for text in texts if text not in rare])
        classes = encoder.classes_.tolist()
        problems.check(found.classes[column] == classes,
                       f"{name}, {frame[column].dtype} {column}: classes {found.classes[column][:9]}, not {classes[:9]}")
        told = (int(frame[column].isna().sum()), sum(rare.values()), len(rare))
        problems.check(found.counts[column] == told, f"{name}, {column}: {found.counts[column]}, not {told}")
        index = {text: i for i, text in enumerate(classes)}
        expected.append([index.get(text, len(classes)) for text in texts])
    check(len(found.rows) == len(frame), f"{name}: {len(found.rows)} rows, not {len(frame)}")
    for c, values in enumerate(expected):
        got = [float(row[c]) for row in found.rows]
        same = numpy.allclose(got, values, rtol=2e-7, atol=1e-7)
        problems.check(same, f"{name}: column {c} of the rows")
    if min_count == 1:
        problems.check(found.rows == found.again, f"{name}: encoded again, the rows are others")


def random_table(rng, n_rows):
    columns = {"clk": [rng.choice("01") for _ in range(n_rows)]}
    dense = [f"d{i}" for i in range(2)]
    sparse = [f"s{i}" for i in range(6)]
    for name in dense:
        columns[name] = random_dense(rng, n_rows)
    for name in sparse:
        columns[name] = random_cells(rng, n_rows)
    return columns, sparse, dense


def test_random_tables_are_fitted_as_pandas_and_sklearn_fit_them():
    rng = random.Random(20240501)
    problems = Problems()
    with tempfile.TemporaryDirectory() as place:
        path = pathlib.Path(place) / "table.csv"
        for round_ in range(300):
            columns, sparse, dense = random_table(rng, rng.choice([1, 2, 5, 40, 300]))
            write_csv(rng, path, columns)
            frame = pandas.read_csv(path, low_memory=False, float_precision="round_trip")
            min_count = rng.choice([1, 1, 2, 3])
            found = problems.collect(f"table {round_}", fit, [path], "clk", sparse, dense, min_count)
            if found:
                compare(problems, f"table {round_}", frame, found, "clk", sparse, dense, min_count)
    problems.report()


def test_short_decimals_are_fitted_as_read_csv_reads_them_by_default():
    rng = random.Random(7)
    problems = Problems()
    with tempfile.TemporaryDirectory() as place:
        path = pathlib.Path(place) / "table.csv"
        columns = {"clk": ["0", "1"] * 2000}
        for digits_ in (1, 4, 9, 14):
            columns[f"s{digits_}"] = [f"{rng.uniform(0, 10):.{digits_}f}" for _ in range(4000)]
        write_csv(rng, path, columns)
        found = fit([path], "clk", list(columns)[1:], [])
        compare(problems, "decimals", pandas.read_csv(path), found, "clk", list(columns)[1:], [], 1)
    problems.report()


def test_separators_and_encodings_are_found_as_pandas_is_told_them():
    rng = random.Random(54)
    problems = Problems()
    with tempfile.TemporaryDirectory() as place:
        path = pathlib.Path(place) / "table.csv"
        for separator in ",\t;|":
            for encoding in ("utf-8", "utf-16", "utf-16-le", "utf-16-be"):
                for n_rows in (1, 40, 3000):
                    name = f"{separator!r}, {encoding}, {n_rows} rows"
                    columns, sparse, dense = random_table(rng, n_rows)
                    write_csv(rng, path, columns, separator, encoding)
                    frame = pandas.read_csv(path, low_memory=False, float_precision="round_trip", sep=separator,
                                            encoding=encoding)
                    found = problems.collect(name, fit, [path], "clk", sparse, dense)
                    if found:
                        compare(problems, name, frame, found, "clk", sparse, dense, 1)
    problems.report()


def test_several_files_are_fitted_as_one_table():
    rng = random.Random(8)
    problems = Problems()
    with tempfile.TemporaryDirectory() as place:
        columns, sparse, dense = random_table(rng, 90)
        parts = [pathlib.Path(place) / f"{i}.csv" for i in range(3)]
        for i, part in enumerate(parts):
            shown = {name: cells[30 * i:30 * i + 30] for name, cells in columns.items()}
            names = list(shown)
            rng.shuffle(names)
            write_csv(rng, part, {name: shown[name] for name in names})
        whole = pathlib.Path(place) / "whole.table"
        write_csv(rng, whole, columns)
        frame = pandas.read_csv(whole, low_memory=False, float_precision="round_trip")
        for paths in (parts, [place]):
            compare(problems, f"{paths}", frame, fit(paths, "clk", sparse, dense), "clk", sparse, dense, 1)
    problems.report()


def test_a_mean_far_from_zero_loses_nothing():
    rng = random.Random(9)
    with tempfile.TemporaryDirectory() as place:
        path = pathlib.Path(place) / "table.csv"
        values = [1e9 + rng.random() for _ in range(20000)]
        write_csv(rng, path, {"clk": ["0"] * len(values), "d": list(map(repr, values)), "s": ["1"] * len(values)})
        mean, var, scale = fit([path], "clk", ["s"], ["d"]).scaler["d"]
        exact = numpy.array(values, dtype=numpy.longdouble)
        check(close(mean, float(exact.mean()), 0), f"mean {mean}")
        check(close(var, float(exact.var()), 0), f"var {var}, not {float(exact.var())}")
        check(scale == var**0.5, f"scale {scale}")


if __name__ == "__main__":
    harness.main(globals())
