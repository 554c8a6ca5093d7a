# SPDX-License-Identifier: Apache-2.0
"""dcnv2-score as a program: bad rows, and rows whose score is not a number."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import check
from training import TEST_CSV, folder, score, train, write_csv

BEYOND_THE_SCALER = "3e38"
BEYOND_A_PRODUCT = "1e30"  # of DCN v2's own cross layers, whose result is then infinity less infinity


def some_rows(n, prices):
    """The header and the first n rows of the test data, some with another price."""
    lines = TEST_CSV.read_text().splitlines()[:n + 1]
    for row, price in prices.items():
        lines[row] = lines[row].rsplit(",", 1)[0] + "," + price
    return lines


def test_a_value_beyond_the_scaler_makes_a_bad_row():
    with folder() as name:
        path = pathlib.Path(name)
        bad = write_csv(path / "bad.csv", some_rows(6, {3: BEYOND_THE_SCALER}))
        whole, _ = score(None, write_csv(path / "good.csv", some_rows(6, {})))
        scores, err = score(None, bad, expect=1)
        check(f"{bad}:4: column price: \"{BEYOND_THE_SCALER}\"" in err and not scores, f"{scores}, {err}")
        scores, err = score(None, bad, flags=["--max-bad-rows", 1])
        check(scores == whole[:2] + whole[3:], f"{scores} where {whole} have one more")
        check("5 rows" in err and f"; 1 bad rows left out, the first: {bad}:4: column price: " in err, err)


def test_training_and_scoring_skip_the_same_rows():
    with folder() as name:
        path = pathlib.Path(name)
        valid = write_csv(path / "valid.csv", some_rows(200, {7: BEYOND_THE_SCALER, 99: BEYOND_THE_SCALER}))
        err = train("--epochs", 1, "--max-bad-rows", 1, valid=[valid], output=path / "a", expect=1)
        check(f"{valid}:100: column price" in err, err)
        train("--epochs", 1, "--max-bad-rows", 2, valid=[valid], output=path / "a")
        scores, _ = score(path / "a", valid, flags=["--max-bad-rows", 2])
        check(len(scores) == 198, f"{len(scores)} scores")


def test_rows_without_a_label_are_scored_and_nothing_is_measured():
    with folder() as name:
        path = pathlib.Path(name)
        lines = some_rows(300, {})
        whole, err = score(None, write_csv(path / "whole.csv", lines), flags=["--label", "clk"])
        check("AUC" in err, err)
        lines[200] = lines[200][1:]  # as exports leave it where nothing is known yet
        some = write_csv(path / "some.csv", lines)
        train("--epochs", 1, valid=(), output=path)  # its label's column is looked for
        scores, err = score(path, some)
        check(len(scores) == 300 and "AUC" not in err, f"{len(scores)} scores; {err}")
        scores, err = score(None, some, flags=["--label", "clk"], expect=1)
        check(f"{some}:201: column clk" in err, err)


def test_files_with_and_without_labels_may_be_mixed():
    with folder() as name:
        path = pathlib.Path(name)
        train("--epochs", 1, valid=(), output=path, columns=["--dense-cols", "price", "--sparse-cols", "pid"])
        n = 40000  # more than are read at once
        without = write_csv(path / "without.csv", ["pid,price"] + ["1,0.5"] * n)
        labelled = write_csv(path / "labelled.csv", ["clk,pid,price"] + ["1,1,0.5"] * n)
        for files in ((without, labelled), (labelled, without)):
            scores, err = score(path, *files)
            check(len(scores) == 2 * n and len(set(scores)) == 1 and "AUC" not in err, f"{len(scores)} scores; {err}")


def test_scores_do_not_depend_on_threads():
    one, _ = score(None, TEST_CSV, flags=["--threads", 1])
    check(len(one) == 6000, f"{len(one)} scores")
    for threads in (2, 3):
        check(score(None, TEST_CSV, flags=["--threads", threads])[0] == one, f"other scores by {threads} threads")


def test_a_score_that_is_not_a_number_is_an_error_and_no_score():
    with folder() as name:
        path = pathlib.Path(name)
        n, wrong = 1500, 1201
        train("--epochs", 1, "--cross", "full", valid=(), output=path)
        whole, _ = score(path, write_csv(path / "good.csv", some_rows(n, {})))
        bad = write_csv(path / "bad.csv", some_rows(n, {wrong: BEYOND_A_PRODUCT, wrong + 20: BEYOND_A_PRODUCT}))
        for threads in (1, 3):
            scores, err = score(path, bad, flags=["--threads", threads, "--max-bad-rows", n], expect=1)
            check(f"{bad}:{wrong + 1}: the score is not a number" in err, err)
            check(scores == whole[:wrong - 1], f"{len(scores)} scores, {wrong - 1} rows before the bad one")


if __name__ == "__main__":
    harness.main(globals())
