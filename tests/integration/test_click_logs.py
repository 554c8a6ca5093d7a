# SPDX-License-Identifier: Apache-2.0
"""Click logs as people have them: separators, encodings, packed files under other names, files without a
header line, names that hold commas and spaces, and files that are no text."""
import bz2
import gzip
import io
import json
import lzma
import os
import pathlib
import random
import subprocess
import sys
import tarfile
import threading
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Server, check, limit, server_environment
from training import BIN, environment, folder, score, train
from wire import ask

QUICK = ("--epochs", 1, "--dnn", "8")
COLUMNS = ("--dense-cols", "price", "--sparse-cols", "u,a")
MODEL = ("model_weights.pth", "preprocess_metadata.pkl", "model.safetensors")


def random_rows(n=400):
    rng = random.Random(n)
    return [(str(rng.randint(0, 1)), f"u{rng.randint(0, 20)}", rng.choice(["x", "y z", "ä", "中", ""]),
             f"{rng.uniform(0, 9):.3f}") for _ in range(n)]


def written(rows, separator=",", header=("clk", "u", "a", "price")):
    lines = [separator.join(row) for row in ([header] if header else []) + rows]
    return "\n".join(lines) + "\n"


def put(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def run_train(*arguments):
    """(exit code, stderr) of dcnv2-train with these arguments alone."""
    done = subprocess.run([str(a) for a in (BIN / "dcnv2-train", *arguments)], env=environment(),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit(60))
    harness.check_no_sanitizer_report(done.stderr)
    return done.returncode, done.stderr


# ---------------------------------------------------------------- one log in many forms

def forms_of(rows):
    """Each as its label, the bytes of the file, and the flags that it needs."""
    names = ("--header", "clk,u,a,price")
    csv, tsv = written(rows), written(rows, "\t")
    bare, bare_tsv = written(rows, header=None), written(rows, "\t", None)
    return [
        ("tab", tsv, ()), ("semicolon", written(rows, ";"), ()), ("pipe", written(rows, "|"), ()),
        ("tab, given", tsv, ("--separator", "tab")), ("colon", written(rows, ":"), ("--separator", ":")),
        ("control-A", written(rows, "\x01"), ("--separator", r"\x01")),
        ("UTF-8 with a mark", csv.encode("utf-8-sig"), ()),
        ("UTF-16, tab, as Excel's Unicode text", tsv.encode("utf-16"), ()),
        ("UTF-16 of the other order", b"\xfe\xff" + csv.encode("utf-16-be"), ()),
        ("UTF-16 without a mark", csv.encode("utf-16-le"), ()),
        ("gzip without its name", gzip.compress(csv.encode()), ()),
        ("UTF-16 in gzip", gzip.compress(tsv.encode("utf-16")), ()),
        ("no header", bare, names), ("no header, tab", bare_tsv, names),
        ("no header, tab, given", bare_tsv, (*names, "--separator", "tab")),
        ("no header, UTF-16 in gzip", gzip.compress(bare_tsv.encode("utf-16")), names),
    ]


def test_all_forms_of_a_log_give_the_same_model_and_scores():
    rows = random_rows()
    with folder() as name:
        path = pathlib.Path(name)
        plain = put(path / "plain.csv", written(rows))
        train(*QUICK, data=[plain], valid=(), output=path / "expected", columns=COLUMNS)
        scores, _ = score(path / "expected", plain)
        for label, data, flags in forms_of(rows):
            file = put(path / "other.csv", data)
            err = train(*QUICK, *flags, data=[file], valid=[file], output=path / "found", columns=COLUMNS)
            check("read 400 training rows" in err, f"{label}: {err}")
            for part in MODEL:
                check((path / "found" / part).read_bytes() == (path / "expected" / part).read_bytes(),
                      f"{label}: {part} differs")
            found, err = score(path / "expected", file, flags=flags)
            check(found == scores and "AUC" in err, f"{label}: other scores; {err}")


def test_a_log_may_come_through_a_pipe_in_any_form():
    rows = random_rows()
    with folder() as name:
        path = pathlib.Path(name)
        plain = put(path / "plain.csv", written(rows))
        train(*QUICK, data=[plain], valid=(), output=path, columns=COLUMNS)
        expected, _ = score(path, plain)
        pipe = path / "pipe"
        os.mkfifo(pipe)
        for data in (gzip.compress(written(rows).encode()), written(rows, "\t").encode("utf-16")):
            writer = threading.Thread(target=put, args=(pipe, data))
            writer.start()
            found, err = score(path, pipe)
            writer.join()
            check(found == expected, err)


def test_criteo_s_files_are_read_as_they_are():
    rng = random.Random(3)
    names = ["label"] + [f"I{i}" for i in range(1, 14)] + [f"C{i}" for i in range(1, 27)]
    lines = [[str(rng.randint(0, 1))] + [rng.choice(["", str(rng.randint(-2, 999))]) for _ in range(13)] +
             [rng.choice(["", f"{rng.randint(0, 30):08x}"]) for _ in range(26)] for _ in range(200)]
    with folder() as name:
        path = pathlib.Path(name)
        criteo = put(path / "train.txt", written(lines, "\t", None))
        log = ("--separator", "tab", "--header", ",".join(names))
        columns = ("--label", "label", "--dense-cols", ",".join(names[1:14]), "--sparse-cols", ",".join(names[14:]))
        err = train(*QUICK, *log, data=[criteo], valid=(), output=path / "a", columns=columns)
        check("read 200 training rows" in err, err)
        same = put(path / "same.csv", written(lines, ",", names))
        train(*QUICK, data=[same], valid=(), output=path / "b", columns=columns)
        for part in MODEL:
            check((path / "a" / part).read_bytes() == (path / "b" / part).read_bytes(), f"{part} differs")
        found, err = score(path / "a", criteo, flags=log)
        check(found == score(path / "b", same)[0] and "AUC" in err, err)
        _, err = score(path / "a", criteo, expect=1)
        check(f"{criteo}:1: column C1: is not in the file" in err, err)
        _, err = score(path / "b", same, flags=("--header", ",".join(names)), expect=1)
        check(f"{same}:1: the file has a header line: leave --header out" in err, err)


# ---------------------------------------------------------------- refusals

def test_a_packed_log_without_its_name_that_goes_on_as_plain_rows_is_refused():
    rows = random_rows(800)
    packed = gzip.compress(written(rows[:400]).encode())
    with folder() as name:
        path = pathlib.Path(name)
        file = put(path / "train.csv", packed + written(rows[400:], header=None).encode())
        err = train(*QUICK, data=[file], valid=(), output=path / "model", columns=COLUMNS, expect=1)
        check(f"{file}: what follows the gzip data at byte {len(packed)} is not gzip: pack the whole file anew; "
              "401 records were read before" in err, err)
        check(not (path / "model/model.safetensors").exists(), "a model was written")


def archives(data):
    """Each as what it is called, its bytes, and what the message says."""
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("train.csv", data)
    with tarfile.open(fileobj=tarred, mode="w") as archive:
        entry = tarfile.TarInfo("train.csv")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return [("bz2", bz2.compress(data), "packed with bzip2: unpack it first (bzip2 -d)"),
            ("xz", lzma.compress(data), "packed with xz: unpack it first (xz -d)"),
            ("zip", zipped.getvalue(), "a zip archive, or an Excel workbook"),
            ("tar", tarred.getvalue(), "a tar archive: unpack it first (tar -x)"),
            ("tar.gz", gzip.compress(tarred.getvalue()), "a tar archive: unpack it first (tar -x)"),
            ("gz", gzip.compress(gzip.compress(data)), "packed with gzip twice: unpack it once (gzip -d)"),
            ("csv", data.decode().encode("utf-32"), "UTF-32: write it as UTF-8 first (iconv -f UTF-32 -t UTF-8)"),
            ("utf16", data.decode().encode("utf-16")[:-1], "cut: UTF-16 ends within a character")]


def test_files_that_are_no_csv_are_refused_by_what_they_are():
    with folder() as name:
        path = pathlib.Path(name)
        plain = put(path / "plain.csv", written(random_rows()))
        train(*QUICK, data=[plain], valid=(), output=path / "model", columns=COLUMNS)
        for ending, data, reason in archives(plain.read_bytes()):
            file = put(path / f"log.{ending}", data)
            err = train(*QUICK, data=[file], valid=(), output=path / "none", columns=COLUMNS, expect=1)
            check(f"{file}: {reason}" in err and err.count("\n") == 1, f"{ending}: {err}")
            _, err = score(path / "model", file, expect=1)
            check(f"{file}: {reason}" in err.splitlines()[-1], f"{ending}: {err}")


def test_a_separator_that_cannot_be_one_is_wrong_usage():
    with folder() as name:
        path = pathlib.Path(name)
        plain = put(path / "plain.csv", written(random_rows(10)))
        train(*QUICK, data=[plain], valid=(), output=path, columns=COLUMNS)
        for separator in ("ab", '"', "\n", "ä", r"\x80", r"\x00", r"\x1", "tabs"):
            expected = "--separator: expected comma, tab, semicolon, pipe, space, or one byte"
            err = train("--separator", separator, data=[plain], valid=(), output=path, columns=COLUMNS, expect=2)
            check(expected in err, f"{separator!r}: {err}")
            _, err = score(path, plain, flags=("--separator", separator), expect=2)
            check(expected in err, f"{separator!r}: {err}")


# ---------------------------------------------------------------- names

NAMES = (" u", 'a,"b"')
AS_A_LIST = '" u","a,""b"""'


def convert(*flags, env):
    done = subprocess.run([str(a) for a in (BIN / "dcnv2-convert", *flags)], env=server_environment(env),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit(30))
    check(done.returncode == 0, done.stderr)


def test_names_with_commas_and_spaces_come_from_the_log_to_the_server():
    rows = random_rows()
    with folder() as name:
        path = pathlib.Path(name)
        log = put(path / "log.csv", written(rows, header=("clk", " u", '"a,""b"""', "price")))
        code, err = run_train("--train-data", log, "--output", path, "--dense-cols", "price", "--sparse-cols", "u,a", *QUICK)
        check(code == 1 and f'{log}:1: column u: is not in the file; the header has " u": spaces count' in err, err)
        code, err = run_train("--train-data", log, "--output", path, "--dense-cols", "price",
                              "--sparse-cols", '" u",a', *QUICK)
        check(code == 1 and 'column a: is not in the file; the header has clk, " u", "a,""b""", price' in err, err)
        train(*QUICK, data=[log], valid=(), output=path, columns=("--dense-cols", "price", "--sparse-cols", AS_A_LIST))
        expected = [float(line) for line in score(path, log)[0]]
        instance = {NAMES[0]: [row[1] for row in rows], NAMES[1]: [row[2] or "nan" for row in rows],
                    "price": [float(row[3]) for row in rows]}
        pair = {"MODEL_PATH": str(path / "model_weights.pth"), "ENCODER_PATH": str(path / "preprocess_metadata.pkl"),
                "DENSE_COLS": "price", "SPARSE_COLS": AS_A_LIST}
        convert("-o", path / "converted", env=pair)
        for env in (pair, {"MODEL_PATH": str(path / "converted"), "ENCODER_PATH": None, "SPARSE_COLS": AS_A_LIST},
                    {"MODEL_PATH": str(path / "model.safetensors"), "ENCODER_PATH": None, "SPARSE_COLS": None}):
            with Server(env=env) as server:
                answer = ask(server, "POST", "/v1/models/dcnv2:predict", json.dumps({"inputs": [instance]}).encode())
                check(answer.status == 200, f"{answer.body}")
                found = [row[0] for row in answer.json()["predictions"]]
            check(found == expected, f"{env}: the server's scores differ")


if __name__ == "__main__":
    harness.main(globals())
