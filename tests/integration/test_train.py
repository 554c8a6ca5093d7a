# SPDX-License-Identifier: Apache-2.0
"""dcnv2-train and dcnv2-score as programs: files, bits, interruption, bad data, wrong flags."""
import gzip
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Server, check, limit
from training import (BIN, DENSE, LABEL, SPARSE, TEST_CSV, end, environment, folder, metrics, rows, score, start, train,
                      write_csv)
from wire import ask

FILES = {"model_weights.pth", "preprocess_metadata.pkl", "model.safetensors", "metrics.json",
         "report.html", "checkpoint.safetensors"}
MODEL = {"model_weights.pth", "preprocess_metadata.pkl", "model.safetensors"}


def contents(folder, names=MODEL):
    return {name: (folder / name).read_bytes() for name in names}


def check_same(a, b, what):
    for name in a:
        check(a[name] == b[name], f"{name} differs: {what}")


# ---------------------------------------------------------------- files and scores

def test_a_run_writes_all_files_and_nothing_else():
    with folder() as name:
        out = pathlib.Path(name) / "model"
        err = train("--epochs", 1, output=out)
        check({p.name for p in out.iterdir()} == FILES, f"found {sorted(p.name for p in out.iterdir())}")
        check("epoch 1/1" in err and "AUC" in err, f"no line for the epoch: {err}")
        found = metrics(out)
        check(0.5 < found["best"]["auc"] < 1, f"AUC {found['best']['auc']}")


def test_the_server_scores_as_dcnv2_score_does():
    with folder() as name:
        out = pathlib.Path(name)
        train("--epochs", 1, output=out)
        lines = TEST_CSV.read_text().splitlines()
        header, some = lines[0].split(","), [line.split(",") for line in lines[1:101]]
        written, err = score(out, TEST_CSV)
        scores = [float(line) for line in written]
        check(len(scores) == len(lines) - 1, f"{len(scores)} scores of {len(lines) - 1} rows")
        instance = {column: [row[i] for row in some] for i, column in enumerate(header) if column != LABEL}
        instance[DENSE] = [float(value) for value in instance[DENSE]]
        for model in ({"MODEL_PATH": str(out / "model.safetensors"), "ENCODER_PATH": None},
                      {"MODEL_PATH": str(out / "model_weights.pth"),
                       "ENCODER_PATH": str(out / "preprocess_metadata.pkl")}):
            with Server(env=model) as server:
                answer = ask(server, "POST", "/v1/models/dcnv2:predict", json.dumps({"inputs": [instance]}).encode())
                served = [row[0] for row in answer.json()["predictions"]]
            check(max(abs(a - b) for a, b in zip(served, scores)) == 0, "the server's scores differ")
        auc = float(re.search(r"AUC ([0-9.]+)", err).group(1))
        check(abs(auc - metrics(out)["epochs"][0]["valid"]["auc"]) < 1e-4, f"dcnv2-score's AUC {auc}: {err}")


def test_compressed_and_several_files_give_the_same_model():
    with folder() as name:
        path = pathlib.Path(name)
        lines = rows(600)
        write_csv(path / "all.csv", lines)
        parts = path / "parts"
        parts.mkdir()
        write_csv(parts / "1.csv", lines[:300])
        (parts / "2.csv.gz").write_bytes(gzip.compress(("\r\n".join(lines[:1] + lines[300:])).encode()))
        train("--epochs", 1, data=[path / "all.csv"], output=path / "a")
        train("--epochs", 1, data=[parts], output=path / "b")
        check_same(contents(path / "a"), contents(path / "b"), "parts of a folder, one of them packed")


def test_the_order_of_columns_in_a_file_does_not_matter():
    with folder() as name:
        path = pathlib.Path(name)
        lines = [line.split(",") for line in rows(400)]
        write_csv(path / "a.csv", [",".join(line) for line in lines])
        write_csv(path / "b.csv", [",".join(line[::-1] + ["more"]) for line in lines])
        train("--epochs", 1, data=[path / "a.csv"], valid=(), output=path / "a")
        train("--epochs", 1, data=[path / "b.csv"], valid=(), output=path / "b")
        check_same(contents(path / "a"), contents(path / "b"), "columns in reverse")


# ---------------------------------------------------------------- the same bits

def test_bits_do_not_depend_on_threads_nor_on_how_adam_catches_up():
    with folder() as name:
        path = pathlib.Path(name)
        data = [write_csv(path / "some.csv", rows(3000))]
        train("--epochs", 2, "--threads", 1, data=data, output=path / "a")
        for label, flags in {"threads": ["--threads", 3], "dense": ["--dense-adam"]}.items():
            train("--epochs", 2, *flags, data=data, output=path / label)
            check_same(contents(path / "a"), contents(path / label), label)


def stripped(document):
    """Without what depends on time."""
    if isinstance(document, dict):
        return {k: stripped(v) for k, v in document.items() if "second" not in k and k != "threads"}
    return [stripped(v) for v in document] if isinstance(document, list) else document


def catches(process, number):
    """Whether it has a handler for the signal by now."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16) >> (number - 1) & 1


def test_a_run_that_was_stopped_goes_on_with_the_same_bits():
    with folder() as name:
        path = pathlib.Path(name)
        train("--epochs", 3, output=path / "whole")
        out = path / "stopped"
        n_stopped = 0
        for attempt in range(12):
            process = start("--epochs", 3, "--resume", output=out)
            check(harness.wait_until(lambda: catches(process, signal.SIGTERM), 10), "no handler for SIGTERM")
            time.sleep(limit(0.05 + 0.1 * attempt))
            process.send_signal(signal.SIGTERM)
            code, _, err = end(process)
            check(code in (0, 143), f"exit code {code}: {err[-300:]}")
            n_stopped += code == 143
            if code == 0:
                break
        check(n_stopped >= 2, f"only {n_stopped} runs were stopped in the middle")
        train("--epochs", 3, "--resume", output=out)
        check_same(contents(path / "whole"), contents(out), "stopped and resumed")
        check(stripped(metrics(path / "whole")) == stripped(metrics(out)), "metrics.json differs")
        err = train("--epochs", 3, "--resume", output=out)
        check("nothing to do" in err, f"a finished run says: {err}")


def stands_at(checkpoint):
    """Steps, epochs, and batches of the epoch under way, that a checkpoint has behind it."""
    content = checkpoint.read_bytes()
    size = int.from_bytes(content[:8], "little")
    start = 8 + size + json.loads(content[8:8 + size])["run.numbers"]["data_offsets"][0]
    return [int(number) for number in struct.unpack_from("<3d", content, start)]


def test_a_run_that_was_killed_in_an_epoch_goes_on_with_the_same_bits():
    with folder() as name:
        path = pathlib.Path(name)
        data = [write_csv(path / "some.csv", rows(3000))]
        flags = ("--epochs", 2, "--batch-size", 4, "--checkpoint-steps", 50)
        train(*flags, data=data, output=path / "whole")
        checkpoint = path / "killed/checkpoint.safetensors"
        for _ in range(10):  # an attempt may hit the checkpoint after an epoch
            process = start(*flags, "--resume", data=data, output=path / "killed")
            harness.wait_until(lambda: process.poll() is not None or checkpoint.exists() and stands_at(checkpoint)[2] > 0, 20)
            process.kill()
            end(process)
            steps, epochs, batches = stands_at(checkpoint)
            if batches > 0:
                break
        check(batches > 0 and batches % 50 == 0 and epochs < 2, f"{steps} steps, {epochs} epochs, {batches} batches")
        err = train(*flags, "--resume", data=data, output=path / "killed")
        check(f"going on after epoch {epochs}, step {steps}" in err, err)
        check_same(contents(path / "whole"), contents(path / "killed"), "killed and resumed")
        check(stripped(metrics(path / "whole")) == stripped(metrics(path / "killed")), "metrics.json differs")


def test_checkpoints_between_do_not_change_bits():
    with folder() as name:
        path = pathlib.Path(name)
        data = [write_csv(path / "some.csv", rows(2000))]
        train("--epochs", 2, data=data, output=path / "a")
        train("--epochs", 2, "--checkpoint-steps", 3, data=data, output=path / "b")
        check_same(contents(path / "a"), contents(path / "b"), "a checkpoint every 3 steps")


def test_a_checkpoint_of_other_settings_is_refused():
    with folder() as name:
        path = pathlib.Path(name)
        data = [write_csv(path / "some.csv", rows(500))]
        train("--epochs", 1, data=data, output=path / "a")
        for flags, what in ((["--seed", 2], "seed"), (["--batch-size", 64], "batch-size"), (["--dnn", "32"], "dnn")):
            err = train("--resume", *flags, data=data, output=path / "a", expect=1)
            check(what in err and "another run" in err, f"{flags}: {err}")
        for flags, what in ((["--best-by", "logloss"], "best-by"), (["--group-col", "age_level"], "group-col")):
            err = train("--resume", *flags, data=data, output=path / "a", expect=1)
            check(f"its {what} was" in err, f"{flags}: {err}")
        checkpoint = path / "a/checkpoint.safetensors"
        damaged = bytearray(checkpoint.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        checkpoint.write_bytes(damaged)
        err = train("--resume", data=data, output=path / "a", expect=1)
        check("checkpoint.safetensors" in err, f"damaged: {err}")


def test_a_model_can_be_trained_further():
    with folder() as name:
        path = pathlib.Path(name)
        data = [write_csv(path / "some.csv", rows(2000))]
        train("--epochs", 1, data=data, output=path / "a")
        for label, source in {"file": path / "a/model.safetensors", "folder": path / "a"}.items():
            train("--epochs", 1, "--init-from", source, "--learning-rate", "1e-30", data=data, output=path / label)
            check((path / label / "preprocess_metadata.pkl").exists(), "no encoder")
            found, before = metrics(path / label), metrics(path / "a")
            check(found["epochs"][0]["valid"]["auc"] == before["epochs"][0]["valid"]["auc"], f"{label}: the start is not the model")


def test_a_checkpoint_of_other_data_is_refused():
    with folder() as name:
        path = pathlib.Path(name)
        lines = [line.split(",") for line in rows(500)]
        user, price, label = (lines[0].index(column) for column in ("userid", DENSE, LABEL))

        def changed(name, column, change, only=None):
            """The file with a column's cells changed, in all rows or in row `only`."""
            return [write_csv(path / name, [",".join(change(cell) if i == column and row and only in (None, row) else cell
                                                     for i, cell in enumerate(line)) for row, line in enumerate(lines)])]

        data = changed("a.csv", user, str)
        train("--epochs", 1, data=data, valid=data, output=path / "a")
        # Texts that sort as those before, and twice each price, are encoded to the same words.
        cases = ((changed("classes.csv", user, lambda cell: cell + "x"), data, "encoder"),
                 (changed("scaler.csv", price, lambda cell: str(float(cell or 0) * 2)), data, "encoder"),
                 (changed("label.csv", label, lambda cell: str(1 - int(cell)), 9), data, "training data"),
                 (data, changed("valid.csv", label, lambda cell: str(1 - int(cell)), 9), "validation data"),
                 (data, (), "validation data"))
        for train_data, valid, what in cases:
            err = train("--resume", data=train_data, valid=valid, output=path / "a", expect=1)
            check(f"its {what} was" in err, f"{train_data} and {valid}: {err}")
        renamed = write_csv(path / "renamed.csv", [",".join(["uid" if c == "userid" else c for c in line]) for line in lines])
        err = end(start("--resume", "--sparse-cols", SPARSE.replace("userid", "uid"), data=[renamed], valid=[renamed],
                        output=path / "a", columns=["--label", LABEL, "--dense-cols", DENSE]))[2]
        check("its encoder was" in err, f"another name: {err}")
        check("nothing to do" in train("--epochs", 1, "--resume", data=data, valid=data, output=path / "a"), "the same data")


def test_what_another_model_brings_cannot_be_given_beside_it():
    with folder() as name:
        path = pathlib.Path(name)
        data = [write_csv(path / "some.csv", rows(300))]
        train("--epochs", 1, "--dnn", "16", "--cross", "full", data=data, valid=(), output=path / "a")
        again = ["--epochs", 1, "--init-from", path / "a/model.safetensors"]
        for flags in (["--min-count", 1], ["--embedding", 8], ["--cross", "layernorm"], ["--cross-layers", 2],
                      ["--dnn", "128,64"]):
            err = train(*again, *flags, data=data, valid=(), output=path / "b", expect=2)
            check("--init-from" in err and flags[0] in err, f"{flags}: {err}")
        places = {"data": data, "valid": (), "output": path / "b"}
        for columns, what in ((["--sparse-cols", SPARSE.removesuffix(",btag")], "--sparse-cols"),
                              (["--sparse-cols", ",".join(SPARSE.split(",")[::-1])], "--sparse-cols"),
                              (["--dense-cols", "price,btag"], "--dense-cols")):
            code, _, err = end(start(*again, columns=["--label", LABEL, *columns], **places))
            check(code == 1 and what in err and err.count("\n") == 1, f"{columns}: {err}")
        for variables, expect in (({}, 0), ({"DENSE_COLS": DENSE, "SPARSE_COLS": SPARSE}, 0),
                                  ({"DENSE_COLS": DENSE, "SPARSE_COLS": "userid,brand"}, 1)):
            code, _, err = end(start(*again, columns=["--label", LABEL], variables=variables, **places))
            check(code == expect and (not expect or "SPARSE_COLS" in err), f"{variables}: {err}")
        settings = metrics(path / "b")["settings"]
        check(settings["dnn"] == "16" and settings["cross"] == "full" and settings["min-count"] != "1", f"{settings}")


# ---------------------------------------------------------------- epochs

def test_the_best_epoch_is_kept_and_training_ends_early():
    with folder() as name:
        out = pathlib.Path(name)
        err = train("--epochs", 50, "--early-stop", 2, output=out)
        found = metrics(out)
        aucs = [epoch["valid"]["auc"] for epoch in found["epochs"]]
        best = aucs.index(max(aucs)) + 1
        check(len(aucs) == best + 2, f"stopped after {len(aucs)} epochs, the best is {best}")
        check(found["best"]["epoch"] == best, f"best epoch {found['best']} of {aucs}")
        auc = float(re.search(r"AUC ([0-9.]+)", score(out, TEST_CSV)[1]).group(1))
        check(abs(auc - max(aucs)) < 1e-4, f"the files have AUC {auc}, the best epoch {max(aucs)}: {err[-300:]}")


def test_rare_values_train_the_out_of_vocabulary_row():
    with folder() as name:
        path = pathlib.Path(name)
        data = [write_csv(path / "some.csv", rows(2000))]
        train("--epochs", 1, "--min-count", 5, data=data, output=path / "a")
        column = next(c for c in metrics(path / "a")["columns"] if c["name"] == "userid")
        counts = {}
        for line in data[0].read_text().splitlines()[1:]:
            user = line.split(",")[1]
            counts[user] = counts.get(user, 0) + 1
        kept = sum(n >= 5 for n in counts.values())
        check(column["classes"] == kept, f"{column} where {kept} users have 5 rows")


# ---------------------------------------------------------------- what is wrong

def test_bad_rows_are_named_or_skipped():
    with folder() as name:
        path = pathlib.Path(name)
        lines = rows(200)
        bad = dict(enumerate(lines))
        bad[50] = lines[50].rsplit(",", 1)[0] + ",cheap"
        bad[60] = "2" + lines[60][1:]
        bad[70] = lines[70] + ",1"
        data = [write_csv(path / "bad.csv", list(bad.values()))]
        err = train("--epochs", 1, data=data, valid=(), output=path / "a", expect=1)
        check(f"{data[0]}:51" in err and "price" in err, f"the first bad row: {err}")
        err = train("--epochs", 1, "--max-bad-rows", 2, data=data, valid=(), output=path / "a", expect=1)
        check(f"{data[0]}:71" in err, f"the third bad row: {err}")
        err = train("--epochs", 1, "--max-bad-rows", 3, data=data, valid=(), output=path / "a")
        check(f"read 197 training rows in " in err and f"; 3 bad rows skipped, the first: {data[0]}:51: column price: " in err, err)
        found = metrics(path / "a")
        check(found["data"]["bad_rows"] == 3 and found["data"]["train_rows"] == 197, f"{found['data']}")


def test_wrong_usage_is_told():
    with folder() as name:
        for flags, what in ((["--epochs", "0"], "--epochs"), (["--epoks", "3"], "--epoks"),
                            (["--cross", "deep"], "layernorm"), (["--dnn", "12,x"], "--dnn"),
                            (["--learning-rate", "-1"], "--learning-rate"),
                            (["--epoks", "3"], "did you mean --epochs?"),
                            (["--train-data", "more.csv"], "given twice; name all files behind one")):
            err = train(*flags, output=name, expect=2)
            check(what in err and err.count("\n") == 1, f"{flags}: {err}")
        err = train("--epochs", 1, data=[pathlib.Path(name) / "none.csv"], output=name, expect=1)
        check("none.csv" in err, f"a missing file: {err}")
        done = subprocess.run([BIN / "dcnv2-train", "--help"], stdout=subprocess.PIPE, text=True, check=True)
        check("--train-data" in done.stdout and "--resume" in done.stdout, "--help lacks flags")


def test_a_list_of_columns_does_not_take_the_files_behind_it():
    with folder() as name:
        path = pathlib.Path(name)
        data = [write_csv(path / "some.csv", rows(200))]
        train("--epochs", 1, data=data, valid=(), output=path / "a")
        scores, _ = score(path / "a", data[0], flags=["--sparse-cols", SPARSE])
        check(len(scores) == 200, f"{len(scores)} scores")


def test_the_output_folder_is_made_with_its_parents():
    with folder() as name:
        path = pathlib.Path(name)
        data = [write_csv(path / "some.csv", rows(200))]
        for output in ("x/y/z", "x//other/", "x/y/z"):
            train("--epochs", 1, data=data, valid=(), output=f"{path}/{output}")
            check((path / output / "model.safetensors").exists(), output)
        (path / "file").write_text("")
        err = train("--epochs", 1, data=data, valid=(), output=path / "file/below", expect=1)
        check("file/below: cannot be made: Not a directory" in err, err)


def test_a_full_disk_or_a_bad_folder_is_told():
    with folder() as name:
        path = pathlib.Path(name)
        data = [write_csv(path / "some.csv", rows(200))]
        (path / "file").write_text("")
        err = train("--epochs", 1, data=data, valid=(), output=path / "file", expect=1)
        check("file" in err and "folder" in err, f"a file for a folder: {err}")
        if os.path.exists("/dev/full"):
            (path / "full").mkdir()
            os.symlink("/dev/full", path / "full/metrics.json")
        train("--epochs", 1, data=data, valid=(), output=path / "full")  # replaced, not followed


if __name__ == "__main__":
    harness.main(globals())
