# SPDX-License-Identifier: Apache-2.0
"""Networks that the libraries themselves trained and saved, each with a model.json: dcnv2-score gives
the library's predictions, from the library's files and from the converted one.

The checkpoints lie in ../shared, beside the project; without that folder this suite says so.
"""
import csv
import json
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import ROOT, Problems, Server, check
from samples import V1, V2
from training import BIN, folder
from wire import ask

DESCRIPTIONS = ROOT / "tests/golden/models"
SHARED = ROOT.parent / "shared"
TOLERANCE = 1e-6  # or twice the distance of the library's own float32


def has_checkpoint(description):
    """Whether it lies beside the description, as that of tests/golden/make_gated_golden.py does."""
    return (description.parent / "expected.json").exists()


def source_of(description):
    if has_checkpoint(description):
        return description.parent
    library, name = description.parts[-3:-1]
    found = [path for path in (SHARED / "models" / library / name, SHARED / library / name) if path.exists()]
    check(found, f"{SHARED} has no checkpoint of {library}/{name}")
    return found[0]


def gather(description, source, here):
    """The library's files and the model.json in one folder, as somebody puts them on a volume."""
    for file in [*source.iterdir(), *description.parent.iterdir()]:
        shutil.copy(file, here)


def read_expected(source):
    """(the CSV's text, predictions in float64, in float32)"""
    if (source / "rows.csv").exists():
        scores = [float(text) for text in (source / "expected.txt").read_text().split()]
        return (source / "rows.csv").read_text(), scores, scores
    expected = json.loads((source / "expected.json").read_text())
    single = expected["predictions"]
    return expected["columns"], expected.get("predictions_float64", single), single


def write_rows(path, rows):
    if isinstance(rows, str):
        path.write_text(rows)
        return
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(rows)
        writer.writerows(zip(*rows.values()))


def run(program, *arguments):
    done = subprocess.run([BIN / program, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    check(done.returncode == 0, f"{program}: {done.stderr[-500:]}")
    return done.stdout


def scores(model, rows):
    return [float(line) for line in run("dcnv2-score", "--model-path", model, rows).split()]


def check_model(description):
    source = source_of(description)
    columns, double, single = read_expected(source)
    limit = max(TOLERANCE, 2 * max(abs(a - b) for a, b in zip(double, single)))
    with folder() as here:
        here = pathlib.Path(here)
        gather(description, source, here)
        write_rows(here / "asked.csv", columns)
        run("dcnv2-convert", "--model-path", here, "-o", here / "one.safetensors")
        for model in (here, here / "one.safetensors"):
            found = scores(model, here / "asked.csv")
            check(len(found) == len(double), f"{len(found)} scores of {len(double)} rows")
            distance, row = max((abs(a - b), i) for i, (a, b) in enumerate(zip(found, double)))
            check(distance <= limit, f"{model.name}: row {row}: {found[row]}, not {double[row]}")


def check_models(descriptions, at_least):
    problems = Problems()
    check(len(descriptions) >= at_least, f"{len(descriptions)} descriptions")
    for description in descriptions:
        problems.collect("/".join(description.parts[-3:-1]), check_model, description)
    problems.report()


def test_a_model_whose_checkpoint_lies_here_gives_its_predictions():
    check_models([path for path in sorted(DESCRIPTIONS.glob("*/*/model.json")) if has_checkpoint(path)], 1)


def test_each_librarys_model_gives_its_predictions():
    if not SHARED.exists():
        print(f"   SKIPPED: {SHARED} is missing, which has the libraries' checkpoints")
        return
    check_models([path for path in sorted(DESCRIPTIONS.glob("*/*/model.json")) if not has_checkpoint(path)], 26)


def cell(kind, text, separator):
    """A value as JSON has it; of a list its values, or one text if there is no separator."""
    if kind == "number":
        return float(text) if text else None
    return [item for item in text.split(separator) if item] if separator else text


def v2_input(column, texts, is_flat):
    separator = column.get("separator") if column.get("list") and is_flat else None
    kind = column.get("type", "category")
    values, shape = [cell(kind, text, None) for text in texts], [len(texts)]
    if separator:
        longest = max(len(text.split(separator)) for text in texts)
        shape.append(longest)
        values = [(text.split(separator) + [""] * longest)[:longest] for text in texts]
    return {"name": column["name"], "datatype": "FP64" if kind == "number" else "BYTES", "shape": shape, "data": values}


def test_lists_are_served_over_both_protocols():
    if not SHARED.exists():
        print(f"   SKIPPED: {SHARED} is missing, which has the libraries' checkpoints")
        return
    description = DESCRIPTIONS / "torchrec/ebc_crossnet_shared_table/model.json"
    columns = json.loads(description.read_text())["columns"]
    with folder() as here:
        here = pathlib.Path(here)
        gather(description, source_of(description), here)
        rows, double, _ = read_expected(source_of(description))
        with Server("--model-path", here, env={"SPARSE_COLS": None, "DENSE_COLS": None}) as server:
            for is_flat in (False, True):  # lists as texts, as lists
                body = {"instances": [{c["name"]: cell(c.get("type"), rows[c["name"]][i],
                                                       c.get("separator") if is_flat and c.get("list") else None)
                                       for c in columns} for i in range(len(double))]}
                found = [score for score, in ask(server, "POST", V1, json.dumps(body).encode()).json()["predictions"]]
                check(max(abs(a - b) for a, b in zip(found, double)) < TOLERANCE, f"v1 {is_flat}")
                body = {"inputs": [v2_input(c, rows[c["name"]], is_flat) for c in columns]}
                found = ask(server, "POST", V2, json.dumps(body).encode()).json()["outputs"][0]["data"]
                check(max(abs(a - b) for a, b in zip(found, double)) < TOLERANCE, f"v2 {is_flat}")
            shapes = {i["name"]: i["shape"] for i in ask(server, "GET", "/v2/models/dcnv2").json()["inputs"]}
            check(shapes["tags"] == [-1, -1] and shapes["city"] == [-1], f"{shapes}")


if __name__ == "__main__":
    harness.main(globals())
