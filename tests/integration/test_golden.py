# SPDX-License-Identifier: Apache-2.0
"""Golden sets: rows with the scores of the library that trained the model. They are scored at each load, by
every program, and a model that does not reproduce them is refused."""
import csv
import json
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import ENCODER_PATH, MODEL_PATH, ROOT, Problems, Server, check, limit, server_environment
from samples import MANY, MANY_SCORES, check_good, metrics
from training import BIN, folder, train
from wire import ask

LOAD = "/v2/repository/models/dcnv2/load"
TOO_FAR = "does not reproduce its golden set"
N = len(MANY_SCORES)


def golden(**changes):
    """The recorded exchange of 200 rows as a golden set."""
    return {"inputs": [MANY], "predictions": [[score] for score in MANY_SCORES], **changes}


def off_by(distance, row=7):
    scores = list(MANY_SCORES)
    scores[row] += distance
    return golden(predictions=scores)


def write(here, document):
    path = pathlib.Path(here, "golden.json")
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def copy_pair(here):
    """The environment of a server that serves the demo model from that folder."""
    shutil.copy(MODEL_PATH, here)
    shutil.copy(ENCODER_PATH, here)
    return {"MODEL_PATH": str(pathlib.Path(here, MODEL_PATH.name)), "ENCODER_PATH": str(pathlib.Path(here, ENCODER_PATH.name))}


def run(program, *arguments, env=None):
    done = subprocess.run([BIN / program, *map(str, arguments)], env=server_environment(env), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=limit(20))
    harness.check_no_sanitizer_report(done.stderr)
    return done.returncode, done.stdout, done.stderr


def check_refused(env, *parts, flags=()):
    """By the server's start, in one line with these parts."""
    code, _, text = run("dcnv2-server", "--http_port", harness.free_port(), *flags, env=env)
    check(code == 1 and text.count("\n") == 1 and all(part in text for part in parts), f"{code}: {text}")


def test_a_model_that_reproduces_its_golden_set_is_served_and_says_so():
    with folder() as here:
        env = copy_pair(here)
        write(here, golden())
        with Server(env=env) as server:
            check_good(server)
            found = metrics(server)
            check(found['dcnv2_golden_rows{model="dcnv2"}'] == N, found)
            check(0 <= found['dcnv2_golden_largest_difference{model="dcnv2"}'] < 1e-6, found)
            check(server.logs(f"golden set of {N} rows, largest distance of a score "), server.log())


def test_a_model_without_a_golden_set_has_no_samples_of_one(server):
    check(not [name for name in metrics(server) if name.startswith("dcnv2_golden")], "samples")


def test_a_score_beyond_the_limit_refuses_the_model():
    with folder() as here:
        env = copy_pair(here)
        path = write(here, off_by(3e-5))
        check_refused(env, f"{path}: ", TOO_FAR, f"row 8 scores {MANY_SCORES[7]:.5g}"[:18], f"1 of {N} rows", "1e-05")
        code, _, text = run("dcnv2-score", ROOT / "model/test.csv", env=env)
        check(code == 1 and TOO_FAR in text, text)
        code, _, text = run("dcnv2-convert", "-o", pathlib.Path(here, "one"), env=env)
        check(code == 1 and TOO_FAR in text and not pathlib.Path(here, "one").exists(), text)
        # a wider limit, of the flag, the environment, the set
        for flags, variables in ((["--golden-tolerance", "1e-4"], {}), ([], {"GOLDEN_TOLERANCE": "1e-4"})):
            check(run("dcnv2-score", *flags, ROOT / "model/test.csv", env={**env, **variables})[0] == 0, flags)
        write(here, {**off_by(3e-5), "tolerance": 1e-4})
        check(run("dcnv2-score", ROOT / "model/test.csv", env=env)[0] == 0, "the set's own limit")
        check_refused(env, TOO_FAR, flags=("--golden-tolerance", "1e-5"))


def test_none_loads_it_all_the_same_and_warns():
    with folder() as here:
        env = copy_pair(here)
        write(here, off_by(0.1))
        with Server("--golden", "none", env=env) as server:
            check_good(server)
            check(server.logs("--golden none: no golden set is checked"), server.log())


def test_another_file_is_named_by_the_flag_and_has_to_be_there():
    with folder() as here:
        env = copy_pair(here)
        other = pathlib.Path(here, "other.json")
        check_refused(env, f"{other}: ", "No such file", flags=("--golden", other))
        other.write_text(json.dumps(off_by(0.2)))
        check_refused(env, f"{other}: ", TOO_FAR, flags=("--golden", other))


def test_a_link_that_leads_nowhere_is_refused():
    for name in ("golden.json", "model.json"):
        with folder() as here:
            env = copy_pair(here)
            pathlib.Path(here, name).symlink_to("nowhere.json")
            check_refused(env, f"{name}: ", "No such file")


def test_a_reload_that_fails_its_golden_set_keeps_the_old_model():
    with folder() as here:
        env = copy_pair(here)
        path = write(here, golden())
        with Server("--enable_model_repository", "true", env=env) as server:
            write(here, off_by(0.1))
            answer = ask(server, "POST", LOAD, b"")
            check(answer.status == 400 and TOO_FAR in answer.json()["error"], answer.body)
            check_good(server)
            check(metrics(server)['dcnv2_golden_rows{model="dcnv2"}'] == N, "the old model's")
            path.unlink()
            check(ask(server, "POST", LOAD, b"").status == 200, "without a set")
            check_good(server)


def test_a_converted_file_carries_the_golden_set():
    with folder() as here:
        env = copy_pair(here)
        write(here, golden())
        one = pathlib.Path(here, "served/one.safetensors")
        one.parent.mkdir()
        check(run("dcnv2-convert", "-o", one, env=env)[0] == 0, "convert")
        check(f"golden set: {N} rows" in run("dcnv2-convert", "--inspect", one)[1], "inspect")
        with Server(env={"MODEL_PATH": str(one), "ENCODER_PATH": "/no-such-file"}) as server:
            check(metrics(server)['dcnv2_golden_rows{model="dcnv2"}'] == N, "rows")
        # its own set counts, not one that lies beside
        write(one.parent, off_by(0.1))
        check(run("dcnv2-score", "--model-path", one, ROOT / "model/test.csv")[0] == 0, "beside")


def write_csv(path, columns):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values()))


def test_a_converted_file_loads_without_the_tolerance_of_its_conversion():
    """The set is copied as it is: a file that all programs then refuse is not written."""
    with folder() as here:
        env, one = copy_pair(here), pathlib.Path(here, "served/one.safetensors")
        one.parent.mkdir()
        path = write(here, off_by(3e-5))
        code, _, text = run("dcnv2-convert", "--golden-tolerance", "1e-4", "-o", one, env=env)
        check(code == 1 and TOO_FAR in text and not one.exists(), text)
        write(here, {**off_by(3e-5), "tolerance": 1e-4})
        check(run("dcnv2-convert", "-o", one, env=env)[0] == 0, f"{path} has the tolerance")
        check(run("dcnv2-score", "--model-path", one, ROOT / "model/test.csv")[0] == 0, "score")


def test_rows_and_scores_become_the_golden_set_of_a_converted_file():
    with folder() as here:
        rows, scores, one = (pathlib.Path(here, name) for name in ("rows.csv", "scores.txt", "one.safetensors"))
        write_csv(rows, MANY)
        flags = ("--golden", rows, "--golden-scores", scores, "-o", one)
        scores.write_text("".join(f"{score!r}\n" for score in MANY_SCORES))
        check(run("dcnv2-convert", *flags) == (0, "", ""), "convert")
        check(f"golden set: {N} rows" in run("dcnv2-convert", "--inspect", one)[1], "inspect")
        one.unlink()
        problems = Problems()

        def refused(text, code, *parts):
            scores.write_text(text)
            found = run("dcnv2-convert", *flags)
            check(found[0] == code and all(part in found[2] for part in parts) and not one.exists(), f"{found}")
        lines = [f"{score!r}\n" for score in MANY_SCORES]
        problems.collect("a wrong score", refused, "".join([*lines[:-1], "0.999\n"]), 1, f"{rows}: ", TOO_FAR, f"row {N} ")
        problems.collect("a score too few", refused, "".join(lines[:-1]), 1, "scores.txt has 199 scores", "200 rows")
        problems.collect("no score", refused, "score\n" + "".join(lines), 1, "scores.txt:1: ", "\"score\"")
        problems.collect("beyond 1", refused, "".join(lines[:3]) + "1.5\n", 1, "scores.txt:4: ")
        flags = ("--golden", rows, "-o", one)
        problems.collect("no scores", refused, "", 2, "--golden-scores: is missing")
        header = pathlib.Path(here, "header.csv")
        header.write_text(rows.read_text().split("\n")[0] + "\n")
        flags = ("--golden", header, "--golden-scores", scores, "-o", one)
        problems.collect("a header only", refused, "", 1, f"{header}: header only, no rows")
        flags = flags[2:]
        problems.collect("no rows", refused, "", 2, "--golden FILE")
        flags = ("--golden", "none", "--golden-scores", scores, "-o", one)
        problems.collect("no set", refused, "", 2, "--golden FILE")
        flags = ("-o", one, "--separator", "tab")
        problems.collect("a separator of nothing", refused, "", 2, "--golden-scores")
        for read in (rows, scores):  # what is read is not written over
            flags = ("--golden", rows, "--golden-scores", scores, "-o", read)
            problems.collect(f"onto {read.name}", refused, "".join(lines), 2, "one of the files that are read")
        check(rows.read_text().startswith("userid,"), rows.read_text()[:100])
        problems.report()


def test_a_tolerance_goes_with_the_set_that_is_made():
    with folder() as here:
        rows, scores, one = (pathlib.Path(here, name) for name in ("rows.csv", "scores.txt", "one.safetensors"))
        write_csv(rows, MANY)
        scores.write_text("".join(f"{score:.2f}\n" for score in MANY_SCORES))
        flags = ("--golden", rows, "--golden-scores", scores, "-o", one)
        check(run("dcnv2-convert", *flags)[0] == 1, "without a tolerance")
        check(run("dcnv2-convert", *flags, "--golden-tolerance", "0.01") == (0, "", ""), "convert")
        found = run("dcnv2-convert", "--inspect", one)
        check(found[0] == 0 and "limit 0.01" in found[1], f"{found}")
        check(run("dcnv2-score", "--model-path", one, rows)[0] == 0, "score")


def test_a_wrong_activation_is_found():
    """GELU for ReLU: names and shapes are the same."""
    shared = ROOT.parent / "shared/files/06_gelu"
    if not shared.is_dir():
        print(f"   SKIPPED: {shared} is missing, a network with GELU")
        return
    with folder() as here:
        for file in [*shared.iterdir(), ROOT / "tests/golden/models/files/06_gelu/model.json"]:
            shutil.copy(file, here)
        with open(shared / "rows.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        columns = {name: [row[name] for row in rows] for name in rows[0] if name != "clk"}
        columns["price"] = [float(value) if value else None for value in columns["price"]]
        scores = [float(line) for line in (shared / "expected.txt").read_text().split()]
        write(here, {"inputs": [columns], "predictions": scores})
        asked = ("dcnv2-score", "--model-path", here, shared / "rows.csv")
        no_columns = {"DENSE_COLS": None, "SPARSE_COLS": None}
        check(run(*asked, env=no_columns)[0] == 0, "as it was trained")
        description = pathlib.Path(here, "model.json")
        description.write_text(description.read_text().replace('"gelu"', '"relu"'))
        code, _, text = run(*asked, env=no_columns)
        check(code == 1 and TOO_FAR in text, text)


def test_a_golden_set_is_scored_as_requests_are():
    """With --match_numbers 884208.0 is found where 884208 was learnt: in the set as well, or its scores would not be the served ones."""
    floats = [float(user) if user.isdigit() else user for user in MANY["userid"]]
    with folder() as here:
        env, log = copy_pair(here), pathlib.Path(here, "rows.csv")
        write_csv(log, MANY)
        write(here, golden(inputs=[{**MANY, "userid": floats}]))
        for flags in ((), ("--match-numbers",)):
            code, _, text = run("dcnv2-score", *flags, log, env=env)
            check(code == (0 if flags else 1) and (TOO_FAR in text) == (not flags), f"{flags}: {text}")
        with Server("--match_numbers", "true", env=env) as server:
            check_good(server)
        check_refused(env, TOO_FAR)


def test_mistakes_of_a_golden_set_are_named():
    few = {name: values[:2] for name, values in MANY.items()}
    good = {"inputs": [few], "predictions": MANY_SCORES[:2]}
    cases = {
        "no JSON": ("{", "golden.json: "),
        "an unknown key": ({**good, "tolerence": 1}, "tolerence", "tolerance"),
        "no predictions": ({"inputs": [few]}, "predictions"),
        "no rows": ({**good, "predictions": []}, "predictions: ", "1 to 10000"),
        "a score of 2": ({**good, "predictions": [0.5, 2]}, "predictions[1]", "from 0 to 1", "found 2"),
        "a score below 0": ({**good, "predictions": [[-0.5], 0.1]}, "predictions[0]", "from 0 to 1"),
        "a text": ({**good, "predictions": ["0.5", 0.1]}, "predictions[0]", "number"),
        "too few": ({**good, "predictions": [0.5]}, "2 rows of inputs", "1 predictions"),
        "tolerance 0": ({**good, "tolerance": 0}, "tolerance", "above 0"),
        "tolerance negative": ({**good, "tolerance": -1}, "tolerance", "above 0"),
        "no inputs": ({"predictions": [0.5]}, "inputs"),
        "a column is missing": ({**good, "inputs": [{k: v for k, v in few.items() if k != "brand"}]}, "inputs: ", '"brand" is missing'),
        "no number": ({**good, "inputs": [{**few, "price": ["x", "y"]}]}, "inputs: ", '"price"', "not a number"),
        "a list": ([good], "golden.json: "),
        "deep": ("[" * 100000, "golden.json: "),
        "too many": ({**good, "predictions": [0.5] * 10001}, "1 to 10000"),
    }
    problems = Problems()
    with folder() as here:
        env = copy_pair(here)
        for name, (document, *parts) in cases.items():
            write(here, document)

            def one():
                code, out, text = run("dcnv2-score", ROOT / "model/test.csv", env=env)
                check(code == 1 and not out and text.count("\n") == 1 and all(part in text for part in parts), f"{code}: {text}")
            problems.collect(name, one)
    problems.report()


def test_training_does_not_mind_a_golden_set_of_an_earlier_model():
    """Its folder may hold one, which the new model cannot reproduce."""
    with folder() as here:
        write(here, golden())
        train("--epochs", "1", output=here)


if __name__ == "__main__":
    harness.main(globals())
